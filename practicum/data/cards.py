"""Cards: what every data set is, where it comes from, and how its files are recognised.

The registry is two small files beside this one: `cards.json` (one entry a data set) and
`files.tsv` (one line a file: name, bytes, SHA-256, SHA-256 of the uncompressed content, addresses).
Reading them needs nothing but the standard library, so listing the data sets is instant.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from practicum.errors import PracticumError, unknown

Form = Literal["tensors", "text", "words", "graph", "table", "files"]
"""How a set is handed out: by `load`, `load_text`, `load_words`, `load_graph`, `load_table` or,
for what has no loader, as verified files by `paths`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileCard:
    """One file of a fetched data set.

    Attributes:
        path: its place below the data folder, with forward slashes ("mnist/x.gz").
        bytes: its size.
        sha256: the checksum of the file as it is.
        sha256_uncompressed: the checksum of what a .gz file holds; "" for other files. A file with
            this content is accepted in any compression, and without any under the name less ".gz".
        urls: where the file or its uncompressed form can be downloaded, tried in order.
    """

    path: str
    bytes: int
    sha256: str
    sha256_uncompressed: str = ""
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What a data set is; everything that can be known without reading it.

    Attributes:
        name: the word that names it on the command line.
        title: its full name.
        what: number of examples and what each holds.
        kind: "images", "text", "table", "graph", "audio", "pairs of sentences" and the like.
        form: how it is handed out, see `Form`.
        licence: as its publisher states it; "not stated" when nothing is.
        citation: what to cite.
        source: the page of its publisher.
        files: the files it is made of; empty when it is always at hand.
        archive: address of a zip file of the publisher's repository that holds all the files.
        always_at_hand: True when it comes with the installed packages.
        shapes: part to shape of one example, where the set is tensors.
        note: what a user must know: the split, a trap, an offensive content.
    """

    name: str
    title: str
    what: str
    kind: str
    form: Form
    licence: str
    citation: str
    source: str
    files: tuple[FileCard, ...] = ()
    archive: str = ""
    always_at_hand: bool = False
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    note: str = ""

    @property
    def bytes(self) -> int:
        """The size of all files together, as they are downloaded."""
        return sum(one.bytes for one in self.files)

    @property
    def fetchable(self) -> bool:
        """Whether every file has an address from which it can be downloaded."""
        return bool(self.files) and all(one.urls or self.archive for one in self.files)


@cache
def registry() -> Mapping[str, Card]:
    """Return every card by name, those always at hand first."""
    here = Path(__file__).parent
    files: dict[str, list[FileCard]] = {}
    lines = (here / "files.tsv").read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        path, size, sha256, uncompressed, urls = line.split("\t")
        files.setdefault(path.split("/")[0], []).append(
            FileCard(
                path=path,
                bytes=int(size),
                sha256=sha256,
                sha256_uncompressed=uncompressed,
                urls=tuple(urls.split()),
            )
        )
    cards: dict[str, Card] = {}
    for entry in json.loads((here / "cards.json").read_text(encoding="utf-8")):
        shapes = {part: tuple(shape) for part, shape in entry.pop("shapes", {}).items()}
        its = tuple(files.get(entry["name"], ()))
        cards[entry["name"]] = Card(**entry, files=its, always_at_hand=not its, shapes=shapes)
    return MappingProxyType(cards)


def names() -> tuple[str, ...]:
    """Return the names of all data sets, those always at hand first."""
    return tuple(registry())


def card(name: str) -> Card:
    """Return the card of a data set, or make one for a folder or file of the user's own.

    Raises:
        PracticumError: there is no such data set (the nearest name is suggested), or no such
            folder or .npz file.
    """
    if is_path(name):
        return _own_card(name)
    cards = registry()
    if name not in cards:
        raise unknown("data set", name, cards)
    return cards[name]


def is_path(name: str) -> bool:
    """Whether a name stands for a folder or file of the user's own, not for a registered set.

    It does when it is none of the registry's and has a slash, begins with a dot or a tilde, ends
    in .npz, or is the name of a folder that exists.
    """
    if name in registry():
        return False
    marks = "/" in name or os.sep in name or name.endswith(".npz")
    return marks or name.startswith((".", "~")) or (bool(name) and Path(name).is_dir())


def _own_card(name: str) -> Card:
    path = Path(name).expanduser()
    if not path.is_dir() and not (path.is_file() and path.suffix == ".npz"):
        found = "is a file" if path.is_file() else "does not exist"
        raise PracticumError(
            f"{name} {found}; an own data set is a folder or an .npz file "
            "(docs/data.md shows the layouts)"
        )
    return Card(
        name=name,
        title=path.absolute().name,
        what="a data set of your own",
        kind="own",
        form="tensors",
        licence="yours to know",
        citation="",
        source=str(path.absolute()),
    )
