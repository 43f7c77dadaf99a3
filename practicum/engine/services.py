"""What the engine hands to every trial, and what every trial hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from practicum.engine.arithmetic import Arithmetic


def _nothing(done: int, of: int) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services of the engine that a trial may use; the defaults work by hand.

    Attributes:
        arithmetic: path (loop or lanes), threads, precision: what decides the bits.
        device: where tensors live, "cpu" or "cuda".
        progress: called with (steps done, steps in all) now and then.
        poll: called after every step; raises `Interrupted` when the run was asked to stop.
        checkpoint: folder for the step checkpoints of a trial longer than about a minute.
        probe: called as `progress` is, but after every step, while the planner times a trial.
    """

    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    device: str = "cpu"
    progress: Callable[[int, int], None] = _nothing
    poll: Callable[[], None] | None = None
    checkpoint: Path | None = None
    probe: Callable[[int, int], None] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights and data; bfloat16 is autocast over float32."""
        return torch.float64 if self.arithmetic.precision == "float64" else torch.float32

    def place(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors on the device, floating ones in the run's precision."""
        return tuple(
            one.to(self.device, self.dtype) if one.is_floating_point() else one.to(self.device)
            for one in tensors
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which a step's arithmetic runs."""
        if self.arithmetic.precision == "bfloat16":
            return torch.autocast(self.device, torch.bfloat16)
        return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What one call of a trial measured: every array has the seeds as its leading axis.

    Attributes:
        values: measure name to array [seeds] (a number) or [seeds, points] (a curve).
        diverged: [seeds], True where training left the finite numbers.
        steps: for each curve, [points]: where on the step axis its points lie.
        weights: per seed, the final tensors by name; only their digest is kept, except one seed's.
    """

    values: Mapping[str, Any]
    diverged: Any = None
    steps: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[Mapping[str, Any], ...] = ()
