"""Sentences as numbers of words, as all arms of the lab `bert` read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from practicum.data.sentences import Labelled, load_sentences
from practicum.engine.seeds import streams
from practicum.errors import PracticumError

PADDING, MASK, BEGIN, UNKNOWN = range(4)
SPECIAL = ("[PAD]", "[MASK]", "[CLS]", "[UNK]")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Sentences to learn words from, and labelled ones.

    Attributes:
        vocabulary: the word of each number, special ones first.
        text: [M, T] sentences of the training part and further ones, without labels.
        train: [N, T] and the class of each.
        validation: likewise.
        test: likewise.
        classes: their names.
    """

    vocabulary: tuple[str, ...]
    text: Int[Tensor, "M T"]
    train: tuple[Int[Tensor, "N T"], Int[Tensor, "N"]]
    validation: tuple[Int[Tensor, "v T"], Int[Tensor, "v"]]
    test: tuple[Int[Tensor, "t T"], Int[Tensor, "t"]]
    classes: tuple[str, ...]


@lru_cache(2)
def corpus(name: str, size: int, length: int, most: int | None = None) -> Corpus:
    """Return the sentences of a data set as numbers.

    Args:
        name: the data set.
        size: V, with the special words; the commonest words of the text are known.
        length: T, with [CLS], which begins every sentence; the rest of a long one is cut off.
        most: sentences of every part; None: all.

    Raises:
        PracticumError: no room for one word.
    """
    if size <= len(SPECIAL) or length < 2:
        raise PracticumError(f"{size} words and sentences of {length}: there is room for none")
    found = load_sentences(name)
    text = (*found.train.sentences, *found.further)[:most]
    counted = Counter(word for sentence in text for word in sentence.split())
    by_count = sorted(counted, key=lambda word: (-counted[word], word))
    vocabulary = (*SPECIAL, *by_count[: size - len(SPECIAL)])

    def part(one: Labelled) -> tuple[Tensor, Tensor]:
        return encode(one.sentences[:most], vocabulary, length), torch.tensor(one.classes[:most])

    return Corpus(
        vocabulary=vocabulary,
        text=encode(text, vocabulary, length),
        train=part(found.train),
        validation=part(found.validation),
        test=part(found.test),
        classes=found.classes,
    )


def encode(sentences: Sequence[str], vocabulary: Sequence[str], length: int) -> Int[Tensor, "N T"]:
    """Return the numbers of the words: [CLS] first, [PAD] after the last."""
    number = {word: i for i, word in enumerate(vocabulary)}
    rows = torch.full((len(sentences), length), PADDING)
    for row, sentence in zip(rows, sentences, strict=True):
        words = [number.get(word, UNKNOWN) for word in sentence.split()[: length - 1]]
        row[: 1 + len(words)] = torch.tensor([BEGIN, *words])
    return rows


def shuffled(tokens: Int[Tensor, "N T"]) -> Int[Tensor, "N T"]:
    """Return sentences with their words in random order; [CLS] and padding stay in place."""
    at = torch.rand(tokens.shape, generator=streams(0).order())
    at[tokens == PADDING] = 2.0
    at[:, 0] = -1.0
    return tokens.gather(1, at.argsort(dim=1, stable=True))
