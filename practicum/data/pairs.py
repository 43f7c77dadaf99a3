"""Pairs of sentences in two languages: Multi30k, captions of photographs (German and English).

A sentence is words with one space between them, in lower case. Words are runs of letters, numbers
are runs of digits, and every mark is a word of its own: "Two T-shirts." is `two t - shirts .`
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from practicum.data.cards import card
from practicum.data.store import content
from practicum.errors import PracticumError, unknown

LANGUAGES = ("de", "en")
"""The languages of Multi30k, as its files name them."""

_NAMES = ("multi30k",)
_PARTS = ("train", "val", "test_2016_flickr")
_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")


@dataclass(frozen=True)
class Part:
    """Sentences and their translations, in the same order."""

    source: tuple[str, ...]
    target: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs of sentences in three parts.

    Attributes:
        train: to learn from.
        validation: to choose by.
        test: to measure on.
    """

    train: Part
    validation: Part
    test: Part


def load_pairs(name: str, source: str = "de", target: str = "en") -> Pairs:
    """Return the pairs of a data set: 29,000, 1,014 and 1,000 for "multi30k".

    Args:
        name: "multi30k".
        source: language that is translated from.
        target: language that is translated to.

    Raises:
        PracticumError: another set or language; a file is missing or damaged, or the two files of
            a part do not belong together.

    Source: Elliott et al. 2016; the parts are the published ones, the test is that of 2016.
    """
    if name not in _NAMES:
        raise unknown("data set of sentence pairs", name, _NAMES)
    for language in (source, target):
        if language not in LANGUAGES:
            raise unknown("language", language, LANGUAGES)
    this = card(name)
    files = {file.path.rsplit("/", 1)[-1]: file for file in this.files}

    def part(one: str) -> Part:
        names = f"{one}.{source}.gz", f"{one}.{target}.gz"
        texts = [content(files[file], this).decode() for file in names]
        return aligned(texts[0], texts[1], names)

    train, validation, test = (part(one) for one in _PARTS)
    return Pairs(train=train, validation=validation, test=test)


def aligned(source: str, target: str, names: tuple[str, str] = ("source", "target")) -> Part:
    """Read two texts whose lines are sentences, line by line translations of each other.

    Args:
        source: text in one language.
        target: text in the other.
        names: what to call the two in errors.

    Raises:
        PracticumError: a line without words, or not as many lines in one text as in the other.
    """
    found = []
    for text, name in zip((source, target), names, strict=True):
        # Not splitlines: it would also break at rarer characters inside a sentence.
        lines = text.removesuffix("\n").split("\n")
        sentences = tuple(tokenised(line) for line in lines)
        if "" in sentences:
            raise PracticumError(
                f"{name}, line {sentences.index('') + 1}: no words; every line must be a sentence"
            )
        found.append(sentences)
    if len(found[0]) != len(found[1]):
        raise PracticumError(
            f"{names[0]} has {len(found[0])} lines and {names[1]} {len(found[1])}; line by line "
            "they must translate each other, so both need as many"
        )
    return Part(found[0], found[1])


def tokenised(sentence: str) -> str:
    """Return a sentence's words and marks in lower case, one space between them."""
    # Letters written with a separate accent would fall apart at it.
    return " ".join(_WORD.findall(unicodedata.normalize("NFC", sentence).lower()))
