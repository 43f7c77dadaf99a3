"""One task in whatever process does it: a lab's trial for some seeds, taken apart by seed.

Workers get (module, arm, setup, seeds, arithmetic) and return plain arrays; the parent alone writes
the record.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from practicum.engine import files, interrupt
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError

SECONDS_BETWEEN_TELLINGS = 0.5


class Status:
    """Writes how far one task is, a few times a second; a reader may miss any of it."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self._last = 0.0

    def __call__(self, done: int, of: int) -> None:
        """Tell the steps done and the steps in all."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_TELLINGS:
            self._last = time.monotonic()
            with suppress(OSError):
                self.path.write_text(f"{self.name}: step {done} of {of}", encoding="utf-8")

    def end(self) -> None:
        """Take the text away."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def perform(
    *,
    module: str,
    arm: str,
    setup: Any,
    seeds: Sequence[int],
    arithmetic: Arithmetic,
    checkpoint: Path,
    keep: int,
    status: Path,
) -> list[dict[str, Any]]:
    """Do one arm's trial for some seeds, in whatever process this is.

    Args:
        module: the lab's module.
        arm: name of the arm.
        setup: its settings.
        seeds: which seeds.
        arithmetic: what decides the bits.
        checkpoint: folder for step checkpoints.
        keep: the seed whose final weights are returned whole; of the others only the digest.

        status: file in which the steps done are told.

    Returns:
        One plain result for each seed.
    """
    progress = Status(status, f"{arm}, seed {seeds[0]}" + (" ..." if len(seeds) > 1 else ""))
    trial = importlib.import_module(module).trial
    services = Services(
        arithmetic=arithmetic,
        device=arithmetic.device,
        progress=progress,
        poll=interrupt.here().check,
        checkpoint=checkpoint,
    )
    began = time.perf_counter()
    try:
        measured = trial(setup, seeds, services)
    finally:
        progress.end()
    seconds = (time.perf_counter() - began) / len(seeds)
    return [
        {"arm": arm, "seed": seed, "seconds": seconds, **result}
        for seed, result in zip(seeds, split(measured, seeds, keep), strict=True)
    ]


def split(measured: Measurements, seeds: Sequence[int], keep: int) -> list[dict[str, Any]]:
    """Take a trial's measurements apart, one result for each seed.

    Raises:
        PracticumError: an array does not have the seeds as its leading axis.
    """
    arrays = {name: _array(value) for name, value in measured.values.items()}
    for name, array in arrays.items():
        if array.shape[:1] != (len(seeds),):
            raise PracticumError(
                f"measure {name!r} has shape {array.shape}; the leading axis is the "
                f"{len(seeds)} seeds"
            )
    diverged = np.zeros(len(seeds), bool) if measured.diverged is None else measured.diverged
    steps = {name: _array(at).tolist() for name, at in measured.steps.items()}
    results = []
    for i, seed in enumerate(seeds):
        weights = measured.weights[i] if measured.weights else None
        results.append(
            {
                "values": {name: array[i].tolist() for name, array in arrays.items()},
                "steps": steps,
                "diverged": bool(diverged[i]),
                "digest": None if weights is None else files.digest_tensors(weights),
                "weights": weights if seed == keep else None,
            }
        )
    return results


def _array(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
