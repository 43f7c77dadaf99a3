"""Sets of words: running text, words with a class, and tables; none of them needs torch.

Text without an official split is cut in order: 90 % of the characters for training, then 5 % for
validation, then 5 % for the test. Words with a class are split by the hash of the word itself, so
that the same word never stands in both parts, in whatever classes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from practicum.data.cards import Card, card
from practicum.data.store import content

if TYPE_CHECKING:
    from pandas import DataFrame

_TEST_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text in three parts; `sha256` is of the parts in UTF-8."""

    card: Card
    train: str
    validation: str
    test: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Words:
    """Words and the number of the class of each; `sha256` is of both parts."""

    card: Card
    train: tuple[tuple[str, ...], tuple[int, ...]]
    test: tuple[tuple[str, ...], tuple[int, ...]]
    sha256: str
    classes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as published; `sha256` is of the file. The frame is the caller's own copy."""

    card: Card
    frame: DataFrame
    sha256: str


def load_pydoc() -> Text:
    """Return the help topics of the running Python, in the order of their names."""
    from pydoc_data.topics import topics

    return _cut("pydoc", "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n")


def load_tinyshakespeare() -> Text:
    """Return Tiny Shakespeare, cut in order."""
    this = card("tinyshakespeare")
    return _cut("tinyshakespeare", content(this.files[0], this).decode())


def load_wikitext_2() -> Text:
    """Return WikiText-2 in its official parts."""
    this = card("wikitext-2")
    train, validation, test = (content(file, this).decode() for file in this.files)
    return _text("wikitext-2", train, validation, test)


def load_surnames() -> Words:
    """Return the surnames with the number of their language, languages in alphabetical order."""
    this = card("surnames")
    files = sorted(
        (one for one in this.files if one.path.endswith(".txt")), key=lambda one: one.path
    )
    pairs = [
        (word.strip(), number)
        for number, file in enumerate(files)
        for word in content(file, this).decode().splitlines()
        if word.strip()
    ]
    parts = tuple(
        tuple(pair for pair in pairs if _held_out("surnames", pair[0]) == held)
        for held in (False, True)
    )
    train, test = ((tuple(w for w, _ in one), tuple(c for _, c in one)) for one in parts)
    return Words(
        card=this,
        train=train,
        test=test,
        sha256=_sha256("\n".join(f"{word}\t{c}" for word, c in one) for one in parts),
        classes=tuple(file.path.split("/")[1].removesuffix(".txt") for file in files),
    )


def load_csv(name: str) -> Table:
    """Return a published table of comma-separated values, read by pandas."""
    import pandas

    this = card(name)
    data = content(this.files[0], this)
    return Table(
        card=this, frame=pandas.read_csv(io.BytesIO(data)), sha256=hashlib.sha256(data).hexdigest()
    )


def _held_out(name: str, word: str) -> bool:
    number = hashlib.sha256(f"{name}/{word}".encode()).digest()[:8]
    return int.from_bytes(number, "big") < _TEST_SHARE * 2**64


def _cut(name: str, text: str) -> Text:
    first, second = len(text) * 90 // 100, len(text) * 95 // 100
    return _text(name, text[:first], text[first:second], text[second:])


def _text(name: str, train: str, validation: str, test: str) -> Text:
    return Text(
        card=card(name),
        train=train,
        validation=validation,
        test=test,
        sha256=_sha256((train, validation, test)),
    )


def _sha256(parts: Iterable[str]) -> str:
    """Return one checksum of several texts; their lengths keep the borders apart."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode()
        whole.update(f"{len(data)}\n".encode() + data)
    return whole.hexdigest()
