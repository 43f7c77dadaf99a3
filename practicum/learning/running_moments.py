"""Mean and variance of everything seen so far, for each lane.

Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances", COMPSTAT 1982: how the moments of two parts give those of the whole.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class RunningMoments:
    """Running mean and (population) variance over the middle axis of [L, E, D] tensors.

    Attributes:
        mean: [L, 1, D].
        variance: [L, 1, D]; 0 before anything was seen.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.mean = torch.zeros(shape, dtype=torch.float64)
        self.variance = torch.zeros(shape, dtype=torch.float64)
        self._count = 0

    def add(self, x: Float[Tensor, "L E D"]) -> None:
        """Take E more numbers of every lane into account."""
        x = x.double()
        n, more = self._count, x.shape[1]
        mean, variance = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
        step, total = mean - self.mean, n + more
        self.variance = (
            n * self.variance + more * variance + step.square() * n * more / total
        ) / total
        self.mean = self.mean + step * more / total
        self._count = total

    @property
    def deviation(self) -> Float[Tensor, "L 1 D"]:
        """The standard deviation, kept away from 0."""
        return (self.variance + 1e-8).sqrt()

    def normal(self, x: Float[Tensor, "L E D"]) -> Float[Tensor, "L E D"]:
        """Return x in deviations from the mean."""
        return (x.double() - self.mean) / self.deviation
