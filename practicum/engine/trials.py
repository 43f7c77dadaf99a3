"""The files of a run's finished trials: one each, written once, checked whenever they are read.

A trial's kept weights lie beside it, in `weights/`; they are written first, so a trial that is
there has everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from practicum.engine import files
from practicum.errors import PracticumError, unknown

if TYPE_CHECKING:
    from torch import Tensor


class Trials:
    """The trials of one run.

    Attributes:
        folder: the run's folder.
        protocol: the hash of the run's protocol, which every trial's file repeats.
        arms: the names of the arms.
        seeds: the seeds.
        pairs: every trial the protocol asks for, as (arm, seed).
    """

    def __init__(
        self, folder: Path, protocol: str, arms: Sequence[str], seeds: Sequence[int]
    ) -> None:
        self.folder, self.protocol = folder, protocol
        self.arms, self.seeds = tuple(arms), tuple(seeds)
        self.pairs = tuple((arm, seed) for arm in self.arms for seed in self.seeds)
        self._bodies: dict[tuple[str, int], dict[str, Any]] = {}
        self._whole: set[Path] = set()  # files of weights that were checked already

    def read(self, arm: str, seed: int) -> dict[str, Any]:
        """Return the body of a trial's file.

        Raises:
            files.Damaged: the file is damaged, or another run's.
            PracticumError: no such arm or seed, or the trial is not finished.
        """
        if (arm, seed) not in self._bodies:
            path = self.path(arm, seed)
            if not path.exists():
                raise self.unfinished(arm, seed)
            expected = {"arm": arm, "seed": seed, "protocol": self.protocol}
            self._bodies[arm, seed] = read_owned(path, expected)
        return self._bodies[arm, seed]

    def forget(self) -> None:
        """Read every file anew from now on."""
        self._bodies.clear()
        self._whole.clear()

    def unfinished(self, arm: str, seed: int) -> PracticumError:
        """Say that a trial is missing."""
        return PracticumError(
            f"the trial of arm {arm!r} with seed {seed} in {self.folder} is not finished; "
            f"{files.AGAIN} to go on"
        )

    def is_finished(self, arm: str, seed: int) -> bool:
        """Return whether a trial's file is whole and belongs to this run, its weights included."""
        weights = self.weights_path(arm, seed)
        if not weights.exists() and _aside(weights).exists():
            return False  # repeating the trial brings the lost weights back
        try:
            self.read(arm, seed)
            if weights not in self._whole and weights.exists():
                files.check_tensors(weights)
                self._whole.add(weights)
        except PracticumError:
            return False
        return True

    def save(self, arm: str, seed: int, outcome: Mapping[str, Any]) -> None:
        """Write a trial's file, or find the same outcome there already.

        Raises:
            PracticumError: it is there with other bits, or the file system refuses.
        """
        path = self.path(arm, seed)
        body = files.plain({"arm": arm, "seed": seed, "protocol": self.protocol, **outcome})
        if path.exists():
            old = self.read(arm, seed)
            if files.digest(_outcome(old)) != files.digest(_outcome(body)):
                raise PracticumError(
                    f"{path} holds other bits than this repetition of the same trial: the trial is "
                    "not deterministic, or the machine is faulty; the old file is kept"
                )
            return
        files.write_json(path, body)
        self._bodies[arm, seed] = body

    def save_weights(self, arm: str, seed: int, tensors: Mapping[str, Tensor]) -> str:
        """Write a trial's final weights and return their digest."""
        path = self.weights_path(arm, seed)
        self._whole.discard(path)
        files.make_folder(path.parent)
        files.write_tensors(path, tensors)
        return files.digest_tensors(tensors)

    def weights(self, arm: str, seed: int) -> dict[str, Tensor]:
        """Return a trial's final weights.

        Raises:
            files.Damaged: the file is damaged, or another trial's.
            PracticumError: they were not kept, or the trial is not finished.
        """
        path = self.weights_path(arm, seed)
        tensors = files.read_tensors(path)
        if files.digest_tensors(tensors) != self.read(arm, seed)["weights"]:
            raise files.Damaged(f"{path} is damaged: these are not the trial's weights")
        return tensors

    def repair(self) -> list[str]:
        """Set damaged files aside, remove half-written ones; return a message for each damaged."""
        self.forget()
        for folder in (self.folder / "trials", self.folder / "weights"):
            files.remove_partial(folder)
        said: list[str] = []
        for arm, seed in self.pairs:
            path, weights = self.path(arm, seed), self.weights_path(arm, seed)
            if path.exists():
                said += set_aside(path, self.read, arm, seed)
            if weights.exists():
                said += set_aside(weights, files.check_tensors, weights)
        return said

    def path(self, arm: str, seed: int) -> Path:
        """Return where a trial's file lies."""
        return self.folder / "trials" / f"{self._stem(arm, seed)}.json"

    def weights_path(self, arm: str, seed: int) -> Path:
        """Return where a trial's weights lie, if they are kept."""
        return self.folder / "weights" / f"{self._stem(arm, seed)}.safetensors"

    def _stem(self, arm: str, seed: int) -> str:
        if arm not in self.arms:
            raise unknown("arm", arm, self.arms)
        if seed not in self.seeds:
            raise unknown("seed", str(seed), map(str, self.seeds))
        return f"{quote(arm, safe=' +=,@')}--{seed}"


def _outcome(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in body if key != "seconds"}


def read_owned(path: Path, owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a JSON file that states certain entries.

    Raises:
        files.Damaged: the file is damaged, or states others.
        PracticumError: the file is missing or cannot be read.
    """
    body = files.read_json(path)
    if not isinstance(body, dict) or any(body.get(key) != owner[key] for key in owner):
        raise files.Damaged(f"{path} is damaged: it belongs elsewhere; {files.AGAIN}")
    return body


def set_aside(path: Path, check: Callable[..., object], *arguments: Any) -> list[str]:
    """Rename a file to `*.damaged` if its check finds it so; return what is to be said of it."""
    try:
        check(*arguments)
    except files.Damaged as damaged:
        files.move(path, _aside(path))
        return [f"{damaged}. It is set aside as {_aside(path).name}"]
    return []


def _aside(path: Path) -> Path:
    return path.with_name(path.name + ".damaged")
