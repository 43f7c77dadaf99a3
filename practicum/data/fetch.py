"""Downloads: from the publishers' addresses, verified before they get their name.

A file is written to a folder of its own beside its place, compared with its SHA-256, flushed to
the disk and only then renamed. Whatever goes wrong, no partial file ever has a whole one's name,
and a file that is there already is never overwritten.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from practicum.data.cards import Card, FileCard, card
from practicum.data.store import VARIABLE, check, checksums, root, verified
from practicum.errors import PracticumError

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all); the latter is 0 while it is unknown."""

_CHUNK = 1 << 16  # bytes handed over at a time
_TIMEOUT = 30.0  # seconds of silence after which an address is given up


def _silent(done: int, of: int) -> None:
    """Report progress to nobody."""


def get(name: str, progress: Progress = _silent) -> tuple[Path, ...]:
    """Download the files of a data set that are not there yet.

    Args:
        name: a data set of the registry.
        progress: told how many bytes of all files are there.

    Returns:
        the path of every file, verified; empty for a set that is always at hand.

    Raises:
        PracticumError: the set cannot be downloaded, an address does not answer, what came is not
            what was expected, a file that is there is damaged, or the folder cannot be written.
    """
    this = card(name)
    states = check(name)
    for state in states:
        if state.state == "damaged":
            raise PracticumError(
                f"{state.detail}; it is not overwritten: move it away and run "
                f"`practicum data get {name}` again"
            )
    absent = [
        file for file, state in zip(this.files, states, strict=True) if state.state == "missing"
    ]
    _refuse_without_address(this, absent)
    done = this.bytes - sum(file.bytes for file in absent)
    if not this.files:
        return ()
    if absent and this.archive:
        _from_archive(this, absent, progress)
    else:
        for file in absent:
            _download(file, _shifted(progress, done, this.bytes))
            done += file.bytes
    progress(this.bytes, this.bytes)
    return tuple(verified(file, this) for file in this.files)


def get_url(
    url: str, sha256: str, to: str | Path | None = None, progress: Progress = _silent
) -> Path:
    """Download any file whose SHA-256 the user gives; return where it lies.

    Args:
        url: an http or https address.
        sha256: 64 hexadecimal digits.
        to: a folder to put it in; by default the folder `own` below the data folder.
        progress: told how many bytes have come.

    Raises:
        PracticumError: bad checksum or address, a different file has the name already, or as `get`.
    """
    wanted = sha256.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", wanted):
        raise PracticumError(f"a SHA-256 has 64 hexadecimal digits; {sha256!r} is none")
    base = url.split("?")[0].split("#")[0]
    name = base.rstrip("/").rsplit("/", 1)[-1]
    if not re.match("https?://[^/]+/.", base) or name in ("", ".", ".."):
        raise PracticumError(f"{url!r} is no address of a file; expected http(s)://host/.../file")
    target = (Path(to) if to is not None else root() / "own") / name
    if target.exists():
        found = checksums(target)[0] if target.is_file() else "none: it is no file"
        if found == wanted:
            return target
        raise PracticumError(
            f"{target} is there already and is another file (SHA-256 {found}); it is not "
            "overwritten: move it away, or give another folder"
        )
    with _beside(target) as partial:
        try:
            _fetch(url, partial, progress)
        except _Unreachable as error:
            raise PracticumError(
                f"could not download {error}; check the address and the network"
            ) from error
        found = checksums(partial)[0]
        if found != wanted:
            raise PracticumError(
                f"what came from {url} has SHA-256 {found}, expected {wanted}; it was not kept"
            )
        _keep(partial, target)
    return target


def _refuse_without_address(this: Card, absent: list[FileCard]) -> None:
    homeless = [file.path for file in absent if not file.urls and not this.archive]
    if homeless:
        raise PracticumError(
            f"{this.name} cannot be downloaded in the form used here ({homeless[0]} has no address "
            f"of its own; its source is {this.source}): set {VARIABLE} to a folder that holds it"
        )


def _download(file: FileCard, progress: Progress) -> None:
    """Try the addresses of one file in turn until one gives the right content."""
    target = root() / file.path
    faults = []
    with _beside(target) as partial:
        for url in file.urls:
            try:
                _fetch(url, partial, progress)
                _keep_verified(file, partial, url)
                return
            except _Unreachable as error:
                faults.append(str(error))
    raise PracticumError(
        f"could not download {file.path}: {'; '.join(faults)}; check the network and try again, "
        f"or set {VARIABLE} to a folder that holds it"
    )


def _from_archive(this: Card, absent: list[FileCard], progress: Progress) -> None:
    """Take the absent files out of the zip file of the publisher's repository."""
    with _beside(root() / this.name / "archive.zip") as partial:
        try:
            _fetch(this.archive, partial, progress)
            with zipfile.ZipFile(partial) as archive:
                # the repository's files lie in one folder, named after it and its commit
                inside = {one.split("/", 1)[-1]: one for one in archive.namelist()}
                for file in absent:
                    _from_member(file, archive, inside, this)
        except (_Unreachable, zipfile.BadZipFile) as error:
            raise PracticumError(
                f"could not download {this.name}: {error}; check the network and try again, or "
                f"set {VARIABLE} to a folder that holds it"
            ) from error


def _from_member(
    file: FileCard, archive: zipfile.ZipFile, inside: dict[str, str], this: Card
) -> None:
    member = file.path.removeprefix(f"{this.name}/")
    if member not in inside:
        raise _Unreachable(f"{this.archive} has no {member}")
    with _beside(root() / file.path) as partial:
        partial.write_bytes(archive.read(inside[member]))
        _keep_verified(file, partial, f"{this.archive} ({member})")


def _shifted(progress: Progress, before: int, of: int) -> Progress:
    """Make the progress of one file that of all."""
    return lambda now, _of: progress(before + now, of)


class _Unreachable(Exception):
    """An address did not give what was expected; another one may."""


class _Meter:
    """What pooch wants of a progress bar, told on as (done, total)."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.total = 0
        self.done = 0

    def update(self, amount: int) -> None:
        self.done += amount
        self.progress(min(self.done, self.total) if self.total else self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Leave the last report standing."""


def _fetch(url: str, to: Path, progress: Progress) -> None:
    """Download one address to a path; a fault of the network raises _Unreachable."""
    import pooch
    import requests

    load = pooch.HTTPDownloader(progressbar=_Meter(progress), chunk_size=_CHUNK, timeout=_TIMEOUT)
    try:
        load(url, str(to), None)
    except requests.exceptions.RequestException as error:
        raise _Unreachable(f"{url}: {_words(error)}") from error


def _words(error: Exception) -> str:
    """Say in one line what a network fault was, without the library's nested representation."""
    text = str(error)
    if "IncompleteRead" in text:
        return "the connection broke before the end of the file"
    if "Name or service not known" in text or "NameResolution" in text:
        return "the host's name is not known (no network?)"
    if "Connection refused" in text:
        return "the host refused the connection"
    return text.split("\n")[0][:200]


def _keep_verified(file: FileCard, partial: Path, source: str) -> None:
    """Give a downloaded file its name, if it is the right one in either form."""
    plain, inner, fault = checksums(partial)
    target = root() / file.path
    if plain == file.sha256:
        _keep(partial, target)
    elif file.sha256_uncompressed and inner == file.sha256_uncompressed:
        zipped = partial.read_bytes()[:2] == b"\x1f\x8b"
        _keep(partial, target if zipped else target.with_suffix(""))
    else:
        raise _Unreachable(
            f"what came from {source} is not {file.path}: expected {file.bytes} bytes with SHA-256 "
            f"{file.sha256}, found {partial.stat().st_size} with {plain}{fault}"
        )


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give a path in a new folder beside the target; the folder goes, whatever happens."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as folder:
            yield Path(folder) / target.name
    except OSError as error:
        raise _unwritable(target, error) from error


def _keep(partial: Path, target: Path) -> None:
    """Flush a whole file to the disk and give it its name."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, target)


def _unwritable(target: Path, error: OSError) -> PracticumError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    forbidden = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    if full:
        cause, advice = "the disk is full", "make room"
    elif forbidden:
        cause, advice = "no permission to write there", "correct the permission"
    else:
        cause, advice = error.strerror or str(error), "correct that"
    return PracticumError(
        f"cannot write {target}: {cause}; {advice}, or set {VARIABLE} to another folder; "
        "nothing partial was left"
    )
