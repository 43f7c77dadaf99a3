"""The bowl that the lab descends: a quadratic in random directions, and descent under noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from practicum.learning.momentum import Vector


@dataclass(frozen=True, kw_only=True)
class Bowl:
    """The quadratic f(w) = w A w / 2 of one seed, and where the descent starts.

    Attributes:
        matrix: [d, d] A, its curvatures between 1 / kappa and 1.
        start: [d] the first w; the minimum is at zero.
    """

    matrix: NDArray[np.float64]
    start: Vector

    @classmethod
    def draw(cls, condition: float, d: int, generator: np.random.Generator) -> Bowl:
        """Draw the directions of the axes and the start; curvatures are fixed by the condition."""
        # Q of a Gaussian matrix with the signs of R's diagonal is uniform over rotations.
        q, r = np.linalg.qr(generator.normal(size=(d, d)))
        axes = q * np.sign(np.diag(r))
        curvatures = np.geomspace(1.0 / condition, 1.0, d)
        return cls(matrix=(axes * curvatures) @ axes.T, start=generator.normal(size=d))

    def loss(self, w: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return f for any number of points [..., d]."""
        value: NDArray[np.float64] = 0.5 * np.sum((w @ self.matrix) * w, axis=-1)
        return value


def noisy_end(
    bowl: Bowl,
    beta: float,
    alphas: NDArray[np.float64],
    *,
    noises: Sequence[float],
    steps: int,
    repeats: int,
    noise: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the mean loss over the last tenth of the steps, for steps alphas [noises, candidates].

    Every level of noise and every candidate meets the same draws, scaled.

    Args:
        bowl: where to descend.
        beta: the momentum.
        alphas: [noises, candidates] step sizes.
        noises: length of the noise in a gradient, in units of the first gradient's length.
        steps: how many are made.
        repeats: draws of the noise that are averaged.
        noise: draws it.
    """
    d = len(bowl.start)
    scale = np.linalg.norm(bowl.matrix @ bowl.start) / np.sqrt(d) * np.array(noises)
    w = np.broadcast_to(bowl.start, (*alphas.shape, repeats, d)).copy()
    z = np.zeros_like(w)
    total, last = np.zeros(w.shape[:2]), max(1, steps // 10)
    for step in range(steps):
        drawn = noise.normal(size=(repeats, d))
        gradient = w @ bowl.matrix + scale[:, None, None, None] * drawn
        z = beta * z + gradient  # Eq. (2) of practicum.learning.momentum, all candidates at once
        w = w - alphas[:, :, None, None] * z
        if step >= steps - last:
            total += bowl.loss(w).mean(axis=2)
    return total / last
