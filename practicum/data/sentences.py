"""Sentences with a class: film reviews for or against (SST-2), and sections of Python's help.

A sentence is words with one space between them, in lower case; marks are words of their own.

Sections of the help (`pydoc`) need no file. A sentence that stands in several sections has no
class. Those of four large sections are labelled, split by the hash of the sentence, and ordered by
it, so that classes are mixed; all others are further text of the same kind.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from practicum.data.cards import card
from practicum.data.store import content
from practicum.errors import PracticumError, unknown

SECTIONS = ("types", "debugger", "string-methods", "compound")
"""The sections of the help that are classes."""

_FEWEST = 4  # words that a sentence of the help has, marks not counted
_WORD = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9]")
_END = re.compile(r"(?<=[.!?:])\s+(?=[A-Z\"*])")


@dataclass(frozen=True)
class Labelled:
    """Sentences and the number of the class of each."""

    sentences: tuple[str, ...]
    classes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """Labelled sentences in three parts.

    Attributes:
        train: to learn from.
        validation: to choose by.
        test: to measure on.
        further: sentences of the same kind without a class; none of them is in a part.
        classes: their names.
    """

    train: Labelled
    validation: Labelled
    test: Labelled
    further: tuple[str, ...]
    classes: tuple[str, ...]


def load_sentences(name: str) -> Sentences:
    """Return the labelled sentences of a data set.

    Args:
        name: "sst2" (6,920, 872 and 1,821 sentences, none further) or "pydoc".

    Raises:
        PracticumError: another set; a file is missing or damaged.

    Source: Socher et al. 2013; the parts are the published ones.
    """
    if name == "pydoc":
        from pydoc_data.topics import topics

        return sections(topics, SECTIONS)
    if name != "sst2":
        raise unknown("data set of sentences", name, ("pydoc", "sst2"))
    this = card(name)
    files = {file.path.rsplit("/", 1)[-1]: file for file in this.files}
    train, validation, test = (
        parse(content(files[part], this).decode()) for part in ("train.tsv", "dev.tsv", "test.tsv")
    )
    return Sentences(
        train=train,
        validation=validation,
        test=test,
        further=(),
        classes=("negative", "positive"),
    )


def parse(text: str) -> Labelled:
    """Read lines of a sentence, a tab, and 0 or 1.

    Raises:
        PracticumError: a line that is something else; the message has its number.
    """
    sentences, classes = [], []
    for number, line in enumerate(text.strip("\n").split("\n"), start=1):
        sentence, _, label = line.rpartition("\t")
        if not sentence.strip() or label.strip() not in ("0", "1"):
            raise PracticumError(
                f"labelled sentences, line {number}: {line!r}; expected words, a tab, and 0 or 1"
            )
        sentences.append(" ".join(sentence.lower().split()))
        classes.append(int(label))
    return Labelled(tuple(sentences), tuple(classes))


def sections(texts: Mapping[str, str], chosen: Sequence[str]) -> Sentences:
    """Return the sentences of some texts, labelled where they stand in one chosen text alone.

    Args:
        texts: by name.
        chosen: the names that are classes.

    Raises:
        PracticumError: a chosen text is not there.
    """
    for name in chosen:
        if name not in texts:
            raise unknown("section of the help", name, texts)
    found = {name: dict.fromkeys(split_sentences(texts[name])) for name in sorted(texts)}
    seen = Counter(sentence for one in found.values() for sentence in one)
    parts: dict[str, list[tuple[str, int]]] = {"train": [], "validation": [], "test": []}
    further: dict[str, None] = {}
    for name, sentences in found.items():
        for sentence in sentences:
            if name in chosen and seen[sentence] == 1:
                parts[_part(sentence)].append((sentence, chosen.index(name)))
            else:
                further[sentence] = None
    for one in parts.values():
        one.sort(key=lambda pair: _number(pair[0]))
    train, validation, test = (
        Labelled(tuple(s for s, _ in one), tuple(c for _, c in one)) for one in parts.values()
    )
    return Sentences(
        train=train,
        validation=validation,
        test=test,
        further=tuple(further),
        classes=tuple(chosen),
    )


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text; what has fewer than four words is left out."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in _END.split(" ".join(paragraph.split())):
            words = _WORD.findall(sentence.lower())
            if sum(word.isalpha() for word in words) >= _FEWEST:
                found.append(" ".join(words))
    return found


def _part(sentence: str) -> str:
    """Return a sentence's part by its number: 55 % train, 15 % validation, 30 % test."""
    number = _number(sentence)
    return "train" if number < 0.55 else "validation" if number < 0.7 else "test"


def _number(sentence: str) -> float:
    """Return a number from 0 to 1 by a sentence's hash."""
    return int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:8], "big") / 2**64
