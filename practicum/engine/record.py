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

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from practicum.engine import files, locks
from practicum.engine.protocol import (
    check,
    folders,
    free_folder,
    read_protocol,
    request_digest,
)
from practicum.engine.trials import Trials, read_owned, set_aside
from practicum.errors import PracticumError, unknown

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

State = Literal["finished", "unfinished", "locked"]


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
        self._trials = Trials(path, self.sha256, tuple(protocol["arms"]), protocol["seeds"])
        self._locked = False

    @classmethod
    def create(
        cls, root: str | Path, protocol: Mapping[str, Any], *, today: date | None = None
    ) -> Record:
        """Make a new folder under root/<lab> and write the protocol.

        Raises:
            PracticumError: the protocol lacks a part or contradicts itself, or the file system
                refuses.
        """
        body = files.plain({**protocol, "request_sha256": request_digest(protocol)})
        check(body)
        home = Path(root) / body["lab"]
        files.make_folder(home)
        with locks.exclusive(home / ".lock", wait=True):
            stem = f"{today or date.today():%Y-%m-%d}-{files.digest(body)[:4]}"
            path = free_folder(home, stem)
            files.make_folder(path / "trials")
            # The copy comes first: protocol.json is what makes the folder a run.
            files.write_json(path / "protocol.copy.json", body)
            files.write_json(path / "protocol.json", body)
        return cls(path, body)

    @classmethod
    def open(cls, path: str | Path) -> Record:
        """Open a run.

        Raises:
            PracticumError: no run is there.
            files.Damaged: protocol.json is damaged, and its copy is no better.
        """
        path = Path(path)
        if not (path / "protocol.json").is_file():
            raise PracticumError(f"{path} is no run: it has no protocol.json")
        try:
            return cls(path, read_protocol(path / "protocol.json"))
        except PracticumError as damaged:
            try:
                return cls(path, read_protocol(path / "protocol.copy.json"))
            except PracticumError:
                raise files.Damaged(
                    f"{damaged}. Its copy is no better: move {path} away, or use --fresh"
                ) from damaged

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
        return self._trials.arms

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, the same in every arm."""
        return self._trials.seeds

    @property
    def pairs(self) -> tuple[tuple[str, int], ...]:
        """Every trial the protocol asks for, as (arm, seed)."""
        return self._trials.pairs

    @property
    def request(self) -> str:
        """The hash of what was asked for (`request_digest`)."""
        return str(self.protocol["request_sha256"])

    # --- writing, under the lock

    @contextmanager
    def lock(self) -> Iterator[Record]:
        """Within, this process is the run's one writer; the kernel frees it if the process dies.

        Raises:
            PracticumError: another process writes here; the message names it and the folder.
        """
        with locks.exclusive(self.path / "lock"):
            self._trials.forget()  # another process may have written since
            self._locked = True
            try:
                yield self
            finally:
                self._locked = False

    def _must_hold_lock(self) -> None:
        if not self._locked:
            raise RuntimeError(f"{self.path} is written without its lock; use `with record.lock()`")

    def repair(self) -> tuple[str, ...]:
        """Set damaged files aside as `*.damaged`, so that only what they held is repeated.

        Returns:
            One message for each damaged file, naming it; empty when all is well.

        Raises:
            PracticumError: the file system refuses.
        """
        self._must_hold_lock()
        files.remove_partial(self.path)
        said: list[str] = []
        for name in ("protocol.json", "protocol.copy.json"):
            try:
                read_owned(self.path / name, self.protocol)
            except PracticumError as damaged:
                # Over it, not aside: without a protocol.json the folder would be no run.
                files.write_json(self.path / name, self.protocol)
                said.append(f"{damaged}. It is restored from its copy")
        said += self._trials.repair()
        verdict = self.path / "verdict.json"
        if verdict.exists():
            said += set_aside(verdict, self._read_verdicts)
        return tuple(said)

    def finished(self) -> set[tuple[str, int]]:
        """Return the trials, as (arm, seed), whose files are whole and belong to this protocol."""
        return {pair for pair in self.pairs if self._trials.is_finished(*pair)}

    def save_trial(
        self,
        arm: str,
        seed: int,
        values: Mapping[str, Any],
        steps: Mapping[str, Any] | None = None,
        diverged: bool = False,
        weights_digest: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Write one finished trial; once this returns, nothing but damage to the disk loses it.

        Args:
            arm: an arm of the protocol.
            seed: a seed of the protocol.
            values: measure to a number, or to a curve [points].
            steps: for each curve, [points]: where on the step axis its points lie.
            diverged: whether training left the finite numbers.
            weights_digest: SHA-256 of the final weights (`files.digest_tensors`).
            seconds: how long the trial took; no part of the outcome.

        Raises:
            PracticumError: no such arm or seed, the trial is there already with other bits, or the
                file system refuses.
        """
        self._must_hold_lock()
        outcome = {
            "diverged": bool(diverged),
            "values": values,
            "steps": steps or {},
            "weights": weights_digest,
            "seconds": float(seconds),
        }
        self._trials.save(arm, seed, outcome)

    def save_weights(self, arm: str, seed: int, tensors: Mapping[str, Tensor]) -> str:
        """Write a trial's final weights, before the trial itself; return their digest.

        Raises:
            PracticumError: no such arm or seed, or the file system refuses.
        """
        self._must_hold_lock()
        return self._trials.save_weights(arm, seed, tensors)

    def save_verdicts(self, verdicts: Sequence[Mapping[str, Any]]) -> None:
        """Write the verdicts, which finishes the run.

        Raises:
            PracticumError: a trial is missing, or the file system refuses.
        """
        self._must_hold_lock()
        for pair in self.pairs:
            if not self._trials.is_finished(*pair):
                raise self._trials.unfinished(*pair)
        body = {"protocol": self.sha256, "verdicts": list(verdicts)}
        files.write_json(self.path / "verdict.json", body)

    # --- reading

    @property
    def state(self) -> State:
        """Whether the run is finished, may be continued, or is being written by a process."""
        if locks.holder(self.path / "lock") is not None:
            return "locked"
        try:
            self._read_verdicts()
        except PracticumError:
            return "unfinished"
        return "finished" if len(self.finished()) == len(self.pairs) else "unfinished"

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        """The verdicts, as they were written.

        Raises:
            files.Damaged: the file is damaged; the message names it.
            PracticumError: the run is not finished.
        """
        return list(self._read_verdicts()["verdicts"])

    def _read_verdicts(self) -> dict[str, Any]:
        path = self.path / "verdict.json"
        if not path.exists():
            done = f"{len(self.finished())} of {len(self.pairs)} trials are finished"
            raise PracticumError(f"{self.path} has no verdict yet: {done}; {files.AGAIN} to go on")
        return read_owned(path, {"protocol": self.sha256})

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of what the first trial measured."""
        return tuple(self._trials.read(*self.pairs[0])["values"])

    def values(self, measure: str, arm: str) -> NDArray[np.float64]:
        """Return a measure of an arm, [seeds] or [seeds, points], in the protocol's order.

        Raises:
            files.Damaged: a trial's file is damaged; the message names it.
            PracticumError: no such measure or arm, or a trial is missing.
        """
        rows = []
        for seed in self.seeds:
            values = self._trials.read(arm, seed)["values"]
            if measure not in values:
                raise unknown("measure", measure, values)
            rows.append(values[measure])
        try:
            return np.array(rows, dtype=np.float64)  # reads the strings "nan" and "inf" too
        except ValueError:
            raise PracticumError(
                f"{measure!r} of arm {arm!r} in {self.path} has another shape at some seeds"
            ) from None

    def steps(self, measure: str) -> NDArray[np.float64]:
        """Return where on the step axis a curve's points lie, [points].

        Raises:
            PracticumError: the measure is no curve, or its trials disagree.
        """
        every = [self._trials.read(*pair)["steps"] for pair in self.pairs]
        found = [one[measure] for one in every if measure in one]
        if not found:
            raise unknown("curve", measure, {name for one in every for name in one})
        if any(one != found[0] for one in found):
            raise PracticumError(f"the trials in {self.path} give {measure!r} at different steps")
        return np.array(found[0], dtype=np.float64)

    def diverged(self, arm: str) -> NDArray[np.bool_]:
        """Return which of an arm's trials diverged, [seeds]."""
        return np.array([self._trials.read(arm, seed)["diverged"] for seed in self.seeds], np.bool_)

    def seconds(self, arm: str) -> NDArray[np.float64]:
        """Return how long an arm's trials took, [seeds], in seconds."""
        return np.array([self._trials.read(arm, seed)["seconds"] for seed in self.seeds])

    def weights_digest(self, arm: str, seed: int) -> str | None:
        """Return the SHA-256 of a trial's final weights, None where it has none."""
        found = self._trials.read(arm, seed)["weights"]
        return None if found is None else str(found)

    def weights(self, arm: str, seed: int) -> dict[str, Tensor]:
        """Return the final weights of a trial for which they were kept.

        Raises:
            files.Damaged: the file is damaged, or another trial's.
            PracticumError: they were not kept.
        """
        return self._trials.weights(arm, seed)

    def trial(self, arm: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what one trial measured, and where its curves' points lie."""
        body = self._trials.read(arm, seed)
        return dict(body["values"]), dict(body["steps"])

    def frame(self, measure: str) -> pd.DataFrame:
        """Return a measure as a table: arm, seed, value, and step if it is a curve."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for arm in self.arms:
            for seed, value in zip(self.seeds, self.values(measure, arm), strict=True):
                if np.ndim(value) == 0:
                    rows.append({"arm": arm, "seed": seed, "value": float(value)})
                    continue
                for step, point in zip(self.steps(measure), value, strict=True):
                    rows.append({"arm": arm, "seed": seed, "step": step, "value": float(point)})
        return pd.DataFrame(rows)

    def outcomes(self) -> dict[str, Any]:
        """Return the fields of `practicum.evidence.Outcomes`: seeds, values, diverged, steps."""
        values = {
            arm: {
                measure: self.values(measure, arm)
                for measure in self._trials.read(arm, self.seeds[0])["values"]
            }
            for arm in self.arms
        }
        diverged = {arm: self.diverged(arm) for arm in self.arms}
        curves = {
            measure
            for measures in values.values()
            for measure, array in measures.items()
            if array.ndim == 2
        }
        steps = {measure: self.steps(measure) for measure in sorted(curves)}
        return {"seeds": self.seeds, "values": values, "diverged": diverged, "steps": steps}


def find(
    root: str | Path,
    lab: str,
    request: str,
    fits: Callable[[Mapping[str, Any]], bool] = lambda protocol: True,
) -> Record | None:
    """Return the newest run that answers a request, or None; its `state` says what to do with it.

    Args:
        root: the folder of all runs.
        lab: the lab's name.
        request: `request_digest` of the protocol that would be written.
        fits: says of a run's protocol whether this machine may continue it (its versions).

    Raises:
        files.Damaged: a newer run's protocol cannot be read, so it might have been the one.
    """
    for path in reversed(folders(root, lab)):
        record = Record.open(path)
        if record.request == request and fits(record.protocol):
            return record
    return None
