"""What is fixed before the first trial, the hash that names it, and the folders it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from practicum.engine import files
from practicum.errors import PracticumError

# What a request leaves open.
_CHOSEN = ("arithmetic", "command", "environment", "versions", "request_sha256")
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)-([0-9a-f]{4,})(?:-(\d+))?")


def request_digest(protocol: Mapping[str, Any]) -> str:
    """Return the hash of what a command asks for: the protocol without arithmetic and versions."""
    return files.digest({key: protocol[key] for key in protocol if key not in _CHOSEN})


def folders(root: str | Path, lab: str) -> list[Path]:
    """Return the folders of a lab's runs, oldest first."""
    found = [path.parent for path in (Path(root) / lab).glob("*/protocol.json")]
    return sorted((path for path in found if _NAME.fullmatch(path.name)), key=_age)


def _age(path: Path) -> tuple[str, int, int]:
    name = _NAME.fullmatch(path.name)
    assert name is not None, path
    return name[1], (path / "protocol.json").stat().st_mtime_ns, int(name[3] or 1)


def read_protocol(path: Path) -> dict[str, Any]:
    """Return the protocol in a run's folder, which its folder's name confirms.

    Raises:
        files.Damaged: the file is damaged, or is another run's.
        PracticumError: the file is missing or cannot be read.
    """
    protocol = files.read_json(path)
    name = _NAME.fullmatch(path.parent.name)
    try:
        check(protocol)
        ours = name is None or files.digest(protocol).startswith(name[2])
    except (PracticumError, AttributeError, TypeError):
        ours = False
    if not ours:
        raise files.Damaged(f"{path} is damaged: it is no protocol of this run")
    return dict(protocol)


def check(protocol: Mapping[str, Any]) -> None:
    """Refuse a protocol that lacks a part that every run needs.

    Raises:
        PracticumError: names the part.
    """
    for key in ("lab", "scale", "arms", "seeds"):
        if not protocol.get(key):
            raise PracticumError(f"a protocol needs {key!r}, and it must not be empty")
    lab, arms, seeds = protocol["lab"], protocol["arms"], protocol["seeds"]
    if "/" in lab or lab.startswith("."):
        raise PracticumError(f"{lab!r} cannot name a folder; expected a lab's name")
    if len({arm.casefold() for arm in arms}) < len(arms):
        raise PracticumError(f"two arms differ only in upper and lower case: {', '.join(arms)}")
    if len(set(seeds)) < len(seeds):
        raise PracticumError(f"a seed is named twice: {seeds}")


def free_folder(home: Path, stem: str) -> Path:
    """Return the first of stem, stem-2, stem-3 ... that is no run yet."""
    number = 1
    while True:
        path = home / (stem if number == 1 else f"{stem}-{number}")
        if not (path / "protocol.json").exists():  # none, or one whose creation was interrupted
            return path
        number += 1
