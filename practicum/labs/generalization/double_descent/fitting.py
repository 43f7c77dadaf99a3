"""Fits at one number of features after the other, and what is measured of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from practicum.engine.seeds import Streams
from practicum.errors import PracticumError
from practicum.labs.generalization.double_descent.problems import Images, Teacher
from practicum.nn.random_features import LeastSquares, RandomFeatures, first


def check_sizes(sizes: Sequence[float]) -> None:
    """Raise PracticumError unless the sizes rise and lie on both sides of N = n."""
    if len(sizes) < 2 or not 0 < sizes[0] < 1 < sizes[-1] or any(np.diff(sizes) <= 0):
        raise PracticumError(
            f"sizes {sizes}: expected rising numbers above zero, the first below 1 and the last "
            "above 1, because the peak is looked for between them"
        )


def features_at(size: float, examples: int) -> int:
    """Return N for a size N / n, at least one."""
    return max(1, round(size * examples))


def over_images(
    drawn: Images,
    layer: RandomFeatures,
    sizes: Sequence[float],
    *,
    ridges: Sequence[float],
    rcond: float,
) -> Iterator[dict[str, float]]:
    """Yield what is measured on images at each size.

    Args:
        drawn: the images.
        layer: as many features as the largest size asks for; smaller sizes take the first ones.
        sizes: N / n.
        ridges: what validation chooses from; none for the least-norm fit.
        rcond: cut-off of the least-norm fit.
    """
    parts = (drawn.train, drawn.validation, drawn.test)
    responses = [layer.responses(x) for x, _ in parts]
    for size in sizes:
        features = features_at(size, len(drawn.train[0]))
        z, z_validation, z_test = (first(one, features) for one in responses)
        solver = LeastSquares.of(z)
        if ridges:
            ridge, weights = chosen_ridge(solver, z_validation, drawn, ridges)
        else:
            ridge, weights = 0.0, solver.least_norm(drawn.train[1], rcond)
        answers, targets = z_test @ weights, drawn.test[1]
        yield {
            "test loss": loss(answers, targets),
            "training loss": loss(z @ weights, drawn.train[1]),
            "test error": 100.0 * float(np.mean(answers.argmax(1) != targets.argmax(1))),
            "weight norm": float(np.linalg.norm(weights)),
            "ridge": ridge,
        }


def chosen_ridge(
    solver: LeastSquares, z_validation: Float[Array, "v N"], drawn: Images, ridges: Sequence[float]
) -> tuple[float, Float[Array, "N K"]]:
    """Return the ridge of lowest loss on the validation images, and its weights."""
    tried = [solver.ridge(drawn.train[1], ridge) for ridge in ridges]
    losses = [loss(z_validation @ weights, drawn.validation[1]) for weights in tried]
    best = int(np.argmin(losses))
    return ridges[best], tried[best]


def loss(answers: Float[Array, "m K"], targets: Float[Array, "m K"]) -> float:
    """Return the squared distance of the answers to the targets, averaged over examples."""
    return float(np.square(answers - targets).sum(axis=1).mean())


def over_teachers(
    random: Streams,
    sizes: Sequence[float],
    *,
    examples: int,
    signal: float,
    variance: float,
    rcond: float,
) -> Iterator[dict[str, float]]:
    """Yield the risk of least-norm regression on a linear teacher, at each number of inputs.

    Args:
        random: the seed's streams.
        sizes: inputs by examples.
        examples: n.
        signal: squared length of the teacher's rule.
        variance: of its noise.
        rcond: cut-off of the fit.
    """
    for size in sizes:
        inputs = features_at(size, examples)
        problem = Teacher.draw(random, train=examples, inputs=inputs, signal=signal, noise=variance)
        weights = LeastSquares.of(problem.x).least_norm(problem.y, rcond)
        yield {
            "test loss": problem.risk(weights),
            "training loss": loss(problem.x @ weights, problem.y),
            "weight norm": float(np.linalg.norm(weights)),
        }
