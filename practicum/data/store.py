"""Files of data sets on this machine: where they lie, and whether they are what they should be.

The folder is the one that the environment variable PRACTICUM_DATA names, else the user's cache.
A file is believed only after its SHA-256 was compared; one that is damaged is named and left alone.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from practicum.data.cards import Card, FileCard, card, is_path, registry
from practicum.errors import PracticumError

VARIABLE = "PRACTICUM_DATA"
_CHUNK = 1 << 20
_WINDOW_GZIP = 31  # zlib: largest window, gzip header and trailer


@dataclass(frozen=True, slots=True)
class FileState:
    """What `check` found about one file.

    Attributes:
        file: its place below the data folder.
        state: "ok", "missing" or "damaged".
        detail: where it lies, or what is wrong with it.
        path: the file on the disk; None when it is missing.
    """

    file: str
    state: Literal["ok", "missing", "damaged"]
    detail: str
    path: Path | None = None


def root() -> Path:
    """Return the folder of the data files: PRACTICUM_DATA, else the user's cache.

    Raises:
        PracticumError: PRACTICUM_DATA names something that is no folder.
    """
    named = os.environ.get(VARIABLE, "")
    if not named:
        import pooch

        return Path(pooch.os_cache("practicum"))
    folder = Path(named).expanduser().absolute()
    if not folder.is_dir():
        raise PracticumError(
            f"{VARIABLE} is {named!r}, which is no folder; name a folder that holds the data "
            "files (mnist/train-images-idx3-ubyte.gz, ...), or unset it to use the user's cache"
        )
    return folder


def where(name: str) -> Path | None:
    """Return the folder of a data set's files; None if none of them is there, or it needs none.

    The name may be a path of the user's own, which is returned made absolute. Whether the files
    are whole and right is what `check` tells.
    """
    this = card(name)
    if is_path(name):
        return Path(name).expanduser().absolute()
    return root() / name if any(_locate(one) for one in this.files) else None


def check(name: str, sha256: str = "") -> tuple[FileState, ...]:
    """Compare every file of a data set with its checksum; empty for a set always at hand.

    Args:
        name: a data set, or a folder or file of the user's own.
        sha256: for an own folder or file, what `own_sha256` must find; without it the state is
            "ok" and the checksum is in the detail.
    """
    this = card(name)
    if not is_path(name):
        if sha256:
            raise PracticumError(
                f"the checksums of {name} are in its card; give a SHA-256 for an own folder only"
            )
        return tuple(inspect(one) for one in this.files)
    path = Path(name).expanduser()
    found = own_sha256(path)
    if sha256 and found != sha256.strip().lower():
        return (FileState(name, "damaged", f"expected SHA-256 {sha256}; found {found}", path),)
    return (FileState(name, "ok", f"SHA-256 {found}", path),)


def own_sha256(path: Path) -> str:
    r"""Return the SHA-256 of a file; of a folder, that of the list of its files' checksums.

    For a folder it is what this command prints, run inside it:

        find . -xtype f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
    """
    try:
        if path.is_file():
            return checksums(path)[0]
        files = sorted(
            (one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file()),
            key=str.encode,
        )
        lines = "".join(f"{checksums(path / one)[0]}  {one}\n" for one in files)
    except OSError as error:
        raise PracticumError(f"cannot read {error.filename}: {error.strerror}") from error
    return hashlib.sha256(lines.encode()).hexdigest()


def paths(name: str) -> dict[str, Path]:
    """Return the verified files of a data set by their names below its folder.

    Raises:
        PracticumError: a file is missing or damaged, or the set has no files.
    """
    this = card(name)
    if not this.files:
        raise PracticumError(f"{name} is always at hand and has no files of its own; use load")
    return {one.path.removeprefix(f"{name}/"): verified(one, this) for one in this.files}


def inspect(file: FileCard) -> FileState:
    """Compare one file with its checksum, reading it in small pieces."""
    path = _locate(file)
    if path is None:
        return FileState(file.path, "missing", f"not at {root() / file.path}")
    try:
        plain, content, fault = checksums(path)
    except OSError as error:
        return FileState(file.path, "damaged", f"{path} cannot be read: {error.strerror}", path)
    if plain == file.sha256 or (content and content == file.sha256_uncompressed):
        return FileState(file.path, "ok", str(path), path)
    found = f"{path.stat().st_size} bytes, SHA-256 {plain}{fault}"
    expected = f"{file.bytes} bytes, SHA-256 {file.sha256}"
    if file.sha256_uncompressed:
        expected += f" (uncompressed: {file.sha256_uncompressed})"
    return FileState(file.path, "damaged", f"{path}: expected {expected}; found {found}", path)


def verified(file: FileCard, owner: Card) -> Path:
    """Return the path of a file that was just verified.

    Raises:
        PracticumError: the file is missing or damaged; the message says how to get it.
    """
    state = inspect(file)
    if state.state == "missing":
        raise PracticumError(missing(owner, file.path))
    if state.state == "damaged" or state.path is None:
        raise PracticumError(
            f"a file of {owner.name} is damaged: {state.detail}; nothing was deleted: move it "
            f"away and {_how_to_get(owner)}"
        )
    return state.path


def content(file: FileCard, owner: Card) -> bytes:
    """Return a file's uncompressed bytes, verified.

    Raises:
        PracticumError: as `verified`.
    """
    return unzipped(verified(file, owner).read_bytes())


def missing(owner: Card, file: str) -> str:
    """Say that a file of a data set is not there, and what to do about it."""
    return (
        f"{owner.name} is not on this machine ({file} is not in {root()}): "
        f"{_how_to_get(owner)}; {_instead_of(owner)}"
    )


def _instead_of(owner: Card) -> str:
    """Return what to say of sets of the same form that need no file."""
    alike = [
        one.name for one in registry().values() if one.always_at_hand and one.form == owner.form
    ]
    if not alike:
        return "`practicum data list` shows which sets need no download"
    return f"`--data {alike[0]}` needs no download"


def _how_to_get(owner: Card) -> str:
    own = f"set {VARIABLE} to a folder that holds {owner.files[0].path}"
    if owner.fetchable:
        return f"run `practicum data get {owner.name}`, or {own}"
    return f"{own} (this form of it cannot be downloaded; its source is {owner.source})"


def _locate(file: FileCard) -> Path | None:
    """Find the file under its name or, for a .gz, its uncompressed form."""
    path = root() / file.path
    if path.is_file():
        return path
    bare = path.with_suffix("")
    return bare if file.sha256_uncompressed and bare.is_file() else None


def checksums(path: Path) -> tuple[str, str, str]:
    """Return the SHA-256 of a file and of what it holds uncompressed, and a fault in words.

    Whether it is compressed is told by its first bytes: a server may have unpacked it on the way.
    The second checksum is "" when the gzip data are faulty.
    """
    plain, inner = hashlib.sha256(), hashlib.sha256()
    fault = ""
    with path.open("rb") as file:
        unzip = zlib.decompressobj(_WINDOW_GZIP) if _zipped(file.read(2)) else None
        file.seek(0)
        while chunk := file.read(_CHUNK):
            plain.update(chunk)
            if unzip is None:
                inner.update(chunk)
            elif not fault:
                try:
                    inner.update(unzip.decompress(chunk))
                except zlib.error as error:
                    fault = f", no valid gzip data ({error})"
    if unzip is not None and not fault and not unzip.eof:
        fault = ", cut off before the end of its gzip data"
    elif unzip is not None and unzip.unused_data:
        fault = ", with more after the end of its gzip data"
    return plain.hexdigest(), "" if fault else inner.hexdigest(), fault


def _zipped(data: bytes) -> bool:
    """Whether data begin as gzip data do."""
    return data[:2] == b"\x1f\x8b"


def unzipped(data: bytes) -> bytes:
    """Return what gzip data hold, and other data as they are; faulty ones raise zlib.error."""
    return zlib.decompress(data, _WINDOW_GZIP) if _zipped(data) else data
