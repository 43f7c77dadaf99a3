"""The shape of a curve of losses over the number of features, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

LEVEL = 1.0  # the loss of a model that answers zero; where the width of a peak is taken
NEAR = 1.2  # factor from N = n within which the theory's risk is too spread to be compared


def numbers(losses: Float[Array, "sizes"], sizes: Sequence[float]) -> dict[str, float]:
    """Return what the lab's claims are about, by the names of its measures."""
    return {
        "rise": rise(losses),
        "peak place": float(sizes[int(losses.argmax())]),
        "fall": float(losses.max() / losses[-1]),
        "far end": second_descent(losses, sizes),
        "width": width(losses, sizes, LEVEL),
    }


def rise(losses: Float[Array, "sizes"]) -> float:
    """Return the largest factor by which a loss exceeds the lowest one at fewer features.

    It is 1 or less if and only if more features never hurt.
    """
    best = np.minimum.accumulate(losses)[:-1]
    return float(np.max(losses[1:] / best))


def second_descent(losses: Float[Array, "sizes"], sizes: Sequence[float]) -> float:
    """Return the loss at the most features divided by the lowest loss below N = n."""
    return float(losses[-1] / losses[np.asarray(sizes) < 1].min())


def width(losses: Float[Array, "sizes"], sizes: Sequence[float], level: float) -> float:
    """Return on how many octaves of N the loss is above a level.

    Between two sizes the logarithm of the loss is taken as linear in the logarithm of N.
    """
    x, y = np.log2(np.asarray(sizes)), np.log(losses / level)
    total = 0.0
    for i in range(len(x) - 1):
        high, low = max(y[i], y[i + 1]), min(y[i], y[i + 1])
        above = 1.0 if low >= 0 else 0.0 if high <= 0 else high / (high - low)
        total += above * (x[i + 1] - x[i])
    return float(total)


def over_theory(
    risks: Float[Array, "sizes"], sizes: Sequence[float], theory: Callable[[float], float]
) -> float:
    """Return measured by known risk, the geometric mean over sizes away from N = n."""
    logs = [
        np.log(risk / theory(size))
        for size, risk in zip(sizes, risks, strict=True)
        if not 1 / NEAR < size < NEAR
    ]
    return float(np.exp(np.mean(logs)))
