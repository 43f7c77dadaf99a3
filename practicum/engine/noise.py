"""The random draws inside a step.

In the loop they come from torch's global generator, which `Streams.noise` has set to the seed's
noise stream; `F.dropout` draws from the same place, so ordinary modules need nothing special. In
lanes every lane draws from its own generator, outside the mapped program (see `lanes.py`).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Noise(Protocol):
    """What a step may draw; shapes are those of one seed."""

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution."""
        ...

    def uniform(self, *shape: int) -> Tensor:
        """Draw uniformly from [0, 1)."""
        ...

    def bernoulli(self, p: float, *shape: int) -> Tensor:
        """Draw 1.0 with probability p, else 0.0."""
        ...

    def integers(self, high: int, *shape: int) -> Tensor:
        """Draw integers uniformly from 0 .. high - 1."""
        ...


class GlobalNoise:
    """Draws from torch's global CPU generator, as `F.dropout` does.

    Attributes:
        device: where the drawn tensors go. They are drawn on the CPU, so that a seed draws the
            same numbers on every device.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution."""
        return torch.randn(shape).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """Draw uniformly from [0, 1)."""
        return torch.rand(shape).to(self.device)

    def bernoulli(self, p: float, *shape: int) -> Tensor:
        """Draw 1.0 with probability p, else 0.0."""
        return torch.empty(shape).bernoulli_(p).to(self.device)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Draw integers uniformly from 0 .. high - 1."""
        return torch.randint(high, shape).to(self.device)
