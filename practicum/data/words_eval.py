"""What words mean to people: the analogy questions of word2vec, and WordSim-353.

All words are handed out in lower case.
"""

from __future__ import annotations

from dataclasses import dataclass

from practicum.data.cards import card
from practicum.data.loading import load_table
from practicum.data.store import content
from practicum.errors import PracticumError

_GRAMMAR = "gram"  # names of the sections about grammar begin so

Question = tuple[str, str, str, str]


@dataclass(frozen=True)
class Questions:
    """Analogies a : b :: c : d, where d is the answer.

    Attributes:
        semantic: about capitals, currencies, cities and families.
        syntactic: about forms of words.
    """

    semantic: tuple[Question, ...]
    syntactic: tuple[Question, ...]


@dataclass(frozen=True)
class Similarities:
    """Pairs of words, and how alike people found them, from 0 to 10."""

    pairs: tuple[tuple[str, str], ...]
    scores: tuple[float, ...]


def load_questions() -> Questions:
    """Return the questions of `word2vec-eval`.

    Raises:
        PracticumError: the file is missing or damaged.
    """
    this = card("word2vec-eval")
    return parse_questions(content(this.files[0], this).decode())


def parse_questions(text: str) -> Questions:
    """Read questions: lines of four words, under headings that begin with a colon.

    Raises:
        PracticumError: a line that is neither; the message has its number.
    """
    found: dict[bool, list[Question]] = {False: [], True: []}
    grammar: bool | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.lower().split()
        if words and words[0] == ":":
            grammar = "".join(words[1:]).startswith(_GRAMMAR)
        elif words and (len(words) != 4 or grammar is None):
            raise PracticumError(
                f"analogy questions, line {number}: {line!r}; expected four words under a heading"
            )
        elif words and grammar is not None:
            a, b, c, d = words
            found[grammar].append((a, b, c, d))
    return Questions(tuple(found[False]), tuple(found[True]))


def load_similarities() -> Similarities:
    """Return the pairs of `wordsim353`.

    Raises:
        PracticumError: the file is missing or damaged.
    """
    frame = load_table("wordsim353").frame
    first, second, scores = (frame[name] for name in frame.columns[:3])
    return Similarities(
        tuple((str(a).lower(), str(b).lower()) for a, b in zip(first, second, strict=True)),
        tuple(float(one) for one in scores),
    )
