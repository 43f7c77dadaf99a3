"""The lab's text: words as numbers, and words that are split in two.

A word is a run of the letters a to z, after all letters were made small; every other sign is a
border. That leaves out numbers, punctuation, letters with accents, and WikiText's `<unk>`.

Twins: each occurrence of a chosen word becomes, by a fair coin, one of two words that the text did
not have before. The two have the same neighbours but for chance, and no letter tells them together:
what brings them together again has learnt from neighbours.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from practicum.data import load_text
from practicum.data.words_eval import load_questions, load_similarities
from practicum.errors import PracticumError

_WORD = re.compile("[a-z]+")


@dataclass(frozen=True)
class Corpus:
    """A text as numbers.

    Attributes:
        words: the vocabulary, most frequent first; then the second halves of twins.
        text: [n], numbers of words.
        counts: [V], how often each occurs.
        twins: [twins, 2], numbers of the two halves.
    """

    words: tuple[str, ...]
    text: Int[Tensor, "n"]
    counts: Int[Tensor, "V"]
    twins: Int[Tensor, "twins 2"]


def spelled(text: str) -> list[str]:
    """Return the words of a text, in order."""
    return _WORD.findall(text.lower().replace("<unk>", " "))


@lru_cache(2)
def corpus(name: str, size: int | None, least: int) -> Corpus:
    """Return the training part of a text.

    Args:
        name: data set.
        size: how many words of its beginning; None for all.
        least: words that occur less often are left out.

    Raises:
        PracticumError: no word occurs so often.
    """
    words = spelled(load_text(name).train)[:size]
    common = [(word, count) for word, count in Counter(words).most_common() if count >= least]
    if not common:
        raise PracticumError(
            f"no word of {name} occurs {least} times among {len(words)} words; "
            "lower `least` or raise `size`"
        )
    number = {word: i for i, (word, _) in enumerate(common)}
    text = torch.tensor([number[word] for word in words if word in number])
    return Corpus(
        tuple(word for word, _ in common),
        text,
        torch.tensor([count for _, count in common]),
        torch.empty(0, 2, dtype=torch.long),
    )


def with_twins(
    whole: Corpus, many: int, least: int, spared: frozenset[str], generator: torch.Generator
) -> Corpus:
    """Return the text with words split in two.

    Args:
        whole: the text.
        many: how many words to split.
        least: how often a word occurs that may be split.
        spared: words that may not.
        generator: words and coins are drawn from it.

    Raises:
        PracticumError: there are not so many such words.
    """
    able = torch.tensor(
        [
            i
            for i, count in enumerate(whole.counts.tolist())
            if count >= least and whole.words[i] not in spared
        ],
        dtype=torch.long,
    )
    if len(able) < many:
        raise PracticumError(
            f"{len(able)} words occur {least} times and may be split in two, not {many}; "
            "lower `twins` or `twin_count`"
        )
    first = able[torch.randperm(len(able), generator=generator)[:many]]
    vocabulary = len(whole.words)
    other = torch.arange(vocabulary)
    other[first] = vocabulary + torch.arange(many)
    heads = torch.rand(len(whole.text), generator=generator) < 0.5
    text = torch.where(heads, other[whole.text], whole.text)
    return Corpus(
        whole.words + tuple(f"{whole.words[i]}*" for i in first.tolist()),
        text,
        torch.bincount(text, minlength=vocabulary + many),
        torch.stack([first, other[first]], dim=1),
    )


@lru_cache(1)
def asked_words() -> frozenset[str]:
    """Return all words of the published questions and pairs; they are never split."""
    questions = load_questions()
    asked = {word for one in questions.semantic + questions.syntactic for word in one}
    return frozenset(asked | {word for pair in load_similarities().pairs for word in pair})
