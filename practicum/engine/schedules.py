"""Learning-rate schedules: frozen descriptions, called with the number of steps done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Schedule(Protocol):
    """A factor on the optimizer's learning rate, as a function of the step."""

    def __call__(self, step: int) -> float:
        """Return the factor for the update that follows `step` finished steps."""
        ...


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Linear warm-up, then half a cosine down (Loshchilov and Hutter 2017, arXiv:1608.03983v5).

    Attributes:
        steps: where the cosine ends.
        warmup: steps of the linear rise.
        floor: the factor at the end.
    """

    steps: int
    warmup: int = 0
    floor: float = 0.0

    def __call__(self, step: int) -> float:
        """Return the factor after `step` steps."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True, kw_only=True)
class StepDecay:
    """Multiply the rate by `factor` after every `every` steps."""

    every: int
    factor: float

    def __call__(self, step: int) -> float:
        """Return the factor after `step` steps."""
        return float(self.factor ** (step // self.every))


@dataclass(frozen=True, kw_only=True)
class LinearDecay:
    """Fall in a straight line from 1 to `floor` over `steps` steps."""

    steps: int
    floor: float = 0.0

    def __call__(self, step: int) -> float:
        """Return the factor after `step` steps."""
        return 1 - (1 - self.floor) * min(1.0, step / self.steps)
