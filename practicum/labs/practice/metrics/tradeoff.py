"""Squared error split into bias, variance and noise, by simulation with a known truth.

Paper: Geman, Bienenstock, Doursat, "Neural networks and the bias/variance dilemma", Neural
Computation 4 (1992) 1-58.

Equations (numbered here; D a training set, f the truth, y = f(x) + e with e of variance s^2):
    f(x) = sin(2 pi x), a test point x uniform in [-1, 1]                              (1)
    E (y - f_D(x))^2 = (E_D f_D(x) - f(x))^2 + Var_D f_D(x) + s^2                      (2)
                       bias^2                  variance       noise
The left side is measured on training sets and test points of its own, not on those that the right
side is computed from: else the two would agree by algebra, whatever was wrong.

Shapes: L training sets, n points in each, G points where fits are compared, k coefficients.

Deviation: the square of a mean over L fits is too large by Var / L on average, which is taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.labs.practice.metrics.gathering import gather

if TYPE_CHECKING:
    from practicum.labs.practice.metrics.experiment import Setup

Array = NDArray[np.float64]
COMPARED = (np.arange(400) + 0.5) / 200 - 1  # the middles of 400 equal parts of [-1, 1]
FRESH = 50  # test points of a training set


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Split the squared error of one degree into its parts."""
    rows = []
    for done, seed in enumerate(seeds):
        random = streams(seed)
        rows.append(measure(setup, random.numpy("order"), random.numpy("noise")))
        services.progress(done + 1, len(seeds))
    return gather(rows)


def truth(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return f, Eq. (1)."""
    return np.asarray(np.sin(2 * np.pi * x))


def training_sets(setup: Setup, random: np.random.Generator) -> tuple[Array, Array]:
    """Draw the points x and y of the training sets, [L, n] each, the same for every degree.

    Spread evenly, every n-th part of the interval has one point, anywhere in it; else all points
    fall anywhere.
    """
    x = random.uniform(-1.0, 1.0, size=(setup.sets, setup.points))
    if setup.design == "even":
        x = (2 * np.arange(setup.points) + 1 + x) / setup.points - 1
    return x, truth(x) + setup.noise * random.normal(size=x.shape)


def fits(degree: int, x: Float[Array, "L n"], y: Float[Array, "L n"]) -> Float[Array, "L k"]:
    """Return the least-squares coefficients of each training set, in Legendre polynomials."""
    # They are nearly orthogonal on such points: the normal equations are well conditioned.
    a = legvander(x, degree)  # [L, n, k]
    transposed = a.swapaxes(1, 2)
    return np.asarray(np.linalg.solve(transposed @ a, transposed @ y[..., None])[..., 0])


def parts(predictions: Float[Array, "L G"], wanted: Float[Array, "G"]) -> tuple[float, float]:
    """Return squared bias and variance of fits, averaged over the points, Eq. (2)."""
    variance = predictions.var(axis=0, ddof=1)
    square = (predictions.mean(axis=0) - wanted) ** 2
    return float(np.mean(square - variance / len(predictions))), float(np.mean(variance))


def measure(
    setup: Setup, first: np.random.Generator, second: np.random.Generator
) -> dict[str, Array]:
    """Return the parts of the error, and the error itself on other training sets.

    Args:
        setup: the arm.
        first: draws the training sets that are split into parts.
        second: draws the training sets and test points of the error.
    """
    degree = setup.degree
    predictions = fits(degree, *training_sets(setup, first)) @ legvander(COMPARED, degree).T
    bias, variance = parts(predictions, truth(COMPARED))

    others = fits(degree, *training_sets(setup, second))
    x = second.uniform(-1.0, 1.0, size=(setup.sets, FRESH))
    y = truth(x) + setup.noise * second.normal(size=x.shape)
    guesses = np.einsum("lgk,lk->lg", legvander(x, degree), others)
    error = float(np.mean((y - guesses) ** 2))
    total = bias + variance + setup.noise**2
    numbers = {
        "bias": bias,
        "variance": variance,
        "noise": setup.noise**2,
        "squared_error": error,
        "gap": 100 * (total / error - 1),
    }
    return {name: np.array(one) for name, one in numbers.items()}
