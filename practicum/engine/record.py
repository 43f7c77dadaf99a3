"""What a run leaves on disk: enough to redo it, continue it, and argue about it.

    runs/<lab>/<date>-<first digits of the protocol's hash>/
        protocol.json           what was fixed before the first trial; its hash names the run
        protocol.copy.json      the same again, for the day a byte of the first one flips
        lock                    held while a process writes; says who
        trials/<arm>--<seed>.json       one finished trial each, never overwritten
        weights/<arm>--<seed>.safetensors
        verdict.json            written last: a run with it and every trial is finished

Which run does a command continue? The newest one of its lab with the same request, that is the same
protocol apart from arithmetic and versions, which the first run chose (`find`). A finished one has
nothing left to do, an unfinished one goes on, one that another process holds is refused (`lock`).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from practicum.engine import files
from practicum.errors import PracticumError, unknown

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

_CHOSEN = ("arithmetic", "versions", "request_sha256")  # what the request leaves open
_OUTCOME = ("arm", "seed", "protocol", "diverged", "values", "steps", "weights")
_TRIES_TO_LOCK = 10
_SECONDS_BETWEEN_TRIES = 0.02

State = Literal["finished", "unfinished", "locked"]


def request_digest(protocol: Mapping[str, Any]) -> str:
    """Return the hash of what a command asks for: the protocol without arithmetic and versions."""
    return files.digest({key: protocol[key] for key in protocol if key not in _CHOSEN})


class Record:
    """One run on disk: created or opened, written under its lock, read at any time.

    Attributes:
        path: its folder.
        protocol: the body of protocol.json.
        sha256: the protocol's hash.
    """

    def __init__(self, path: Path, protocol: dict[str, Any]) -> None:
        self.path = path
        self.protocol = protocol
        self.sha256 = files.digest(protocol)
        self._read_trials: dict[tuple[str, int], dict[str, Any]] = {}
        self._locked = False

    @classmethod
    def create(
        cls, root: str | Path, protocol: Mapping[str, Any], *, today: date | None = None
    ) -> Record:
        """Make a new folder under root/<lab> and write the protocol.

        Raises:
            PracticumError: the protocol lacks a part or is contradictory, or the file system
                refuses.
        """
        body = files.plain({**protocol, "request_sha256": request_digest(protocol)})
        _check(body)
        home = Path(root) / body["lab"]
        files.make_folder(home)
        stem = f"{today or date.today():%Y-%m-%d}-{files.digest(body)[:4]}"
        with _flock(home / ".lock"):
            path = _free_folder(home, stem)
            files.make_folder(path / "trials")
            # The copy comes first: protocol.json is what makes the folder a run.
            files.write_json(path / "protocol.copy.json", body)
            files.write_json(path / "protocol.json", body)
        return cls(path, body)

    @classmethod
    def open(cls, path: str | Path) -> Record:
        """Open a run for reading.

        Raises:
            PracticumError: no run is there.
            files.Damaged: protocol.json is damaged, and so is its copy; the message names it.
        """
        path = Path(path)
        if not (path / "protocol.json").is_file():
            raise PracticumError(f"{path} is no run: it has no protocol.json; see `practicum runs`")
        try:
            protocol = files.read_json(path / "protocol.json")
        except files.Damaged as damaged:
            try:
                protocol = files.read_json(path / "protocol.copy.json")
            except PracticumError:
                raise files.Damaged(
                    f"{damaged}. Its copy is no better: move {path} away, or use --fresh"
                ) from damaged
        return cls(path, protocol)

    # --- what the protocol says

    @property
    def lab(self) -> str:
        """The lab's name."""
        return str(self.protocol["lab"])

    @property
    def scale(self) -> str:
        """The scale's name."""
        return str(self.protocol["scale"])

    @property
    def setups(self) -> dict[str, dict[str, Any]]:
        """The settings of each arm."""
        return dict(self.protocol["arms"])

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of the arms, in the protocol's order."""
        return tuple(self.protocol["arms"])

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, the same in every arm."""
        return tuple(self.protocol["seeds"])

    @property
    def pairs(self) -> tuple[tuple[str, int], ...]:
        """Every trial the protocol asks for, as (arm, seed)."""
        return tuple((arm, seed) for arm in self.arms for seed in self.seeds)

    @property
    def request(self) -> str:
        """The hash of what was asked for."""
        return str(self.protocol["request_sha256"])

    # --- writing, under the lock

    @contextmanager
    def lock(self) -> Iterator[Record]:
        """Within, this process is the run's one writer; the kernel frees it if the process dies.

        Raises:
            PracticumError: another process writes here; the message names it and the folder.
        """
        with _flock(self.path / "lock"):
            self._locked = True
            try:
                yield self
            finally:
                self._locked = False

    def repair(self) -> tuple[str, ...]:
        """Set damaged files aside as `*.damaged`, so that only what they held is repeated.

        Returns: one message for each damaged file, naming it; empty when all is well.
        """
        self._must_hold_lock()
        self._read_trials.clear()
        for folder in (self.path, self.path / "trials", self.path / "weights"):
            files.remove_partial(folder)
        said = [
            *self._repair_protocol("protocol.json"),
            *self._repair_protocol("protocol.copy.json"),
        ]
        for arm, seed in self.pairs:
            said += self._set_aside(self._trial_path(arm, seed), lambda a=arm, s=seed: (a, s))
        return (*said, *self._set_aside(self.path / "verdict.json", None))
