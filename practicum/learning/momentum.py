"""Gradient descent and heavy-ball momentum, as their papers write them, and their rates on a bowl.

Papers: B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR
Computational Mathematics and Mathematical Physics 4(5), 1-17, 1964 (the heavy ball).
G. Goh, "Why momentum really works", Distill, 2017, doi:10.23915/distill.00006 (this notation).

Equations (numbered for this file):
    (1)  gradient descent   w' = w - alpha grad f(w)
    (2)  momentum           z' = beta z + grad f(w),   w' = w - alpha z'          (Goh)
    (3)  the same           w' = w - alpha grad f(w) + beta (w - w_before)        (Polyak)
On a quadratic f whose curvatures lie between mu and L, kappa = L / mu:
    (4)  best step          alpha = 2 / (L + mu)
         error per step     (kappa - 1) / (kappa + 1)
    (5)  best step          alpha = (2 / (sqrt L + sqrt mu))^2
         best momentum      beta = ((sqrt kappa - 1) / (sqrt kappa + 1))^2
         error per step     sqrt beta
    (6)  component along curvature l, as a pair (now, before), is multiplied every step by
         ((1 + beta - alpha l, -beta), (1, 0))

At Eq. (5) both roots of the matrix in Eq. (6) coincide for l = mu and l = L. Such a double root
makes the error fall like t rho^t, not rho^t: the promised number of steps is exceeded.

Shapes: d parameters.

Deviations: none; Eq. (2) and Eq. (3) are equal when z starts at zero and w_before at w, and
Eq. (2) is what `torch.optim.SGD(momentum=beta)` computes.
Signs of trouble: beyond alpha = 2 (1 + beta) / L the error grows instead of falling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from practicum.errors import PracticumError

Vector = NDArray[np.float64]
"""[d], float64: a hundred thousand small steps are quicker in NumPy than in torch."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A step size and a momentum (zero: gradient descent)."""

    alpha: float
    beta: float = 0.0


def descent(w: Vector, gradient: Vector, alpha: float) -> Vector:
    """Return the parameters after a step of gradient descent."""
    return w - alpha * gradient  # Eq. (1)


def heavy_ball(w: Vector, z: Vector, gradient: Vector, tuning: Tuning) -> tuple[Vector, Vector]:
    """Return parameters and velocity after a step of momentum."""
    z = tuning.beta * z + gradient  # Eq. (2)
    return w - tuning.alpha * z, z


def best_descent(mu: float, largest: float) -> Tuning:
    """Return the step that is best for gradient descent between curvatures mu and largest.

    Raises:
        PracticumError: not 0 < mu <= largest.
    """
    _check(mu, largest)
    return Tuning(alpha=2.0 / (largest + mu))  # Eq. (4)


def best_heavy_ball(mu: float, largest: float) -> Tuning:
    """Return the step and the momentum that are best for the heavy ball.

    Raises:
        PracticumError: not 0 < mu <= largest.
    """
    _check(mu, largest)
    root = math.sqrt(largest / mu)
    return Tuning(
        alpha=(2.0 / (math.sqrt(largest) + math.sqrt(mu))) ** 2,  # Eq. (5)
        beta=((root - 1.0) / (root + 1.0)) ** 2,
    )


def best_step_for(beta: float, mu: float, largest: float) -> Tuning:
    """Return the step that is best for a given momentum, larger or smaller than Eq. (5).

    For a momentum up to that of Eq. (5) the two extreme curvatures shrink equally fast when
    alpha = 2 (1 + beta) / (L + mu): Eq. (6) then has the same absolute trace at both ends. With
    more momentum than that every step with oscillation at both ends has the rate sqrt(beta); the
    largest of them is taken.

    Raises:
        PracticumError: not 0 < mu <= largest, or beta outside [0, 1).
    """
    _check(mu, largest)
    if not 0.0 <= beta < 1.0:
        raise PracticumError(f"a momentum is at least 0 and below 1, not {beta}")
    if beta <= best_heavy_ball(mu, largest).beta:
        return Tuning(alpha=2.0 * (1.0 + beta) / (largest + mu), beta=beta)
    return Tuning(alpha=(1.0 + math.sqrt(beta)) ** 2 / largest, beta=beta)


def rate(tuning: Tuning, curvature: float) -> float:
    """Return the factor per step by which a component finally shrinks, from Eq. (6)."""
    matrix = np.array([[1.0 + tuning.beta - tuning.alpha * curvature, -tuning.beta], [1.0, 0.0]])
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def error_after(tuning: Tuning, curvatures: Vector, steps: int) -> Vector:
    """Return the factor by which each component of the error is multiplied after some steps.

    The closed form of Eq. (6), started at rest (the component before the first step is the first).
    """
    factors = []
    for curvature in curvatures:
        once = np.array([[1.0 + tuning.beta - tuning.alpha * curvature, -tuning.beta], [1.0, 0.0]])
        factors.append((np.linalg.matrix_power(once, steps) @ np.ones(2))[0])  # Eq. (6)
    return np.array(factors)


def _check(mu: float, largest: float) -> None:
    if not 0.0 < mu <= largest:
        raise PracticumError(
            f"curvatures are above zero and mu is the smallest, not mu={mu}, L={largest}"
        )
