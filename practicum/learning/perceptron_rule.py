"""The perceptron rule, its convergence theorem, and two ways to use it on inseparable data.

Papers: F. Rosenblatt, Psychological Review 65(6), 386-408, 1958 (the rule).
A. B. J. Novikoff, "On convergence proofs on perceptrons", 1962 (the bound).
S. I. Gallant, "Perceptron-based learning algorithms", IEEE Transactions on Neural Networks 1(2),
179-191, 1990 (pocket).
Y. Freund and R. E. Schapire, "Large margin classification using the perceptron algorithm",
Machine Learning 37, 277-296, 1999 (voting, here averaging).

With z = y x^ (the augmented example, turned so that every score should be positive):
    (3)  mistake at z:   w . z <= 0, then  w <- w + z
    (4)  gamma = max over |u| = 1 of the smallest u . z;    R = the largest |z|
    (5)  mistakes <= (R / gamma)^2, in whatever order the examples come     (Novikoff)
    (6)  averaged: mean of w over all visits;  pocket: the w with the fewest training errors so far

Equations 1 and 2 are in `practicum.nn.perceptron`.

Shapes: n examples, d features, D = d + 1 augmented features.

Deviations from the papers:
    1. Visits that cause no change are skipped by looking ahead for the next mistake; the weights
       are those of visiting one example after the other.
    2. Gallant checks for fewer training errors only after a longer run of right answers ("with
       ratchet"); here the check is made after every change, which keeps a vector at least as good.
    3. Freund and Schapire let every visited vector vote; the average of the vectors is their
       cheaper variant.
Signs of trouble: a number of mistakes beyond Eq. (5) means that gamma was not the largest margin or
that R forgot the constant input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.errors import PracticumError


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a run of the rule leaves.

    Attributes:
        last: [d+1] the weights at the end.
        pocket: [d+1] the weights with the fewest training errors met on the way.
        averaged: [d+1] the mean of the weights over all visits.
        mistakes: number of mistakes in each pass.
        norms: |w| at the end of each pass.
    """

    last: Tensor
    pocket: Tensor
    averaged: Tensor
    mistakes: tuple[int, ...]
    norms: tuple[float, ...]

    @property
    def converged(self) -> bool:
        """Whether the last pass had no mistake; the weights then never change again."""
        return self.mistakes[-1] == 0


def turned(x: Float[Tensor, "n D"], y: Float[Tensor, " n"]) -> Float[Tensor, "n D"]:
    """Return z = y x^, whose scores are positive exactly where the answer is right."""
    return y[:, None] * x


def learn(
    z: Float[Tensor, "n D"],
    order: Callable[[], Int[Tensor, " n"]],
    *,
    passes: int,
    most_mistakes: float = float("inf"),
) -> Learned:
    """Start from zero and apply the rule until a pass has no mistake or a budget is spent.

    Args:
        z: turned augmented examples, see `turned`.
        order: called before each pass for the order of visiting; the same one each time cycles.
        passes: the most passes made.
        most_mistakes: stop after the pass in which the total goes beyond this.
    """
    weights = z.new_zeros(z.shape[1])
    pocket, fewest = weights, len(z) + 1
    total, visits = torch.zeros_like(weights), 0
    mistakes: list[int] = []
    norms: list[float] = []
    while len(mistakes) < passes:
        visited, at, wrong = z[order()], 0, 0
        while at < len(z):
            survived = _before_mistake(visited[at:] @ weights)
            total, visits = total + survived * weights, visits + survived
            at += survived
            if at == len(z):
                break
            weights = weights + visited[at]  # Eq. (3)
            total, visits = total + weights, visits + 1
            at, wrong = at + 1, wrong + 1
            errors = int((z @ weights <= 0).sum())
            if errors < fewest:
                pocket, fewest = weights, errors  # Eq. (6)
        mistakes.append(wrong)
        norms.append(float(weights.norm()))
        if wrong == 0 or sum(mistakes) > most_mistakes:
            break
    return Learned(
        last=weights,
        pocket=pocket,
        averaged=total / visits,  # Eq. (6)
        mistakes=tuple(mistakes),
        norms=tuple(norms),
    )


def _before_mistake(scores: Float[Tensor, " k"]) -> int:
    """Return how many examples are passed without a mistake before the next one."""
    wrong = (scores <= 0).nonzero()
    return int(wrong[0]) if len(wrong) else len(scores)


@dataclass(frozen=True, kw_only=True)
class Margin:
    """The quantities of Novikoff's bound.

    Attributes:
        gamma: the largest margin of a plane through the origin, 0 where there is none.
        radius: the length R of the longest example.
        plane: [d+1] the unit normal that has this margin; zeros where there is none.
    """

    gamma: float
    radius: float
    plane: Tensor

    @property
    def separable(self) -> bool:
        """Whether one plane has every example on its right side."""
        return self.gamma > 0

    @property
    def bound(self) -> float:
        """The most mistakes that the rule can make (infinite on inseparable data)."""
        return (self.radius / self.gamma) ** 2 if self.separable else float("inf")  # Eq. (5)


def margin(z: Float[Tensor, "n D"], *, tolerance: float = 1e-9) -> Margin:
    """Find the largest margin exactly, by an active-set method that knows nothing of the rule.

    The shortest w with w . z >= 1 for every z has |w| = 1 / gamma. As a least-distance problem it
    is solved through non-negative least squares (C. L. Lawson and R. J. Hanson, "Solving Least
    Squares Problems", 1974, chapter 23), whose residual vanishes exactly when no such w exists.

    Args:
        z: turned augmented examples.
        tolerance: a residual at or under this means that the data are inseparable.

    Raises:
        PracticumError: there are no examples, or their numbers are not finite.
    """
    from scipy.optimize import lsq_linear

    if not len(z) or not bool(torch.isfinite(z).all()):
        raise PracticumError("a margin needs at least one example, all of them finite numbers")
    radius = float(z.norm(dim=1).max())
    matrix = torch.cat((z.double().T, z.new_ones(1, len(z)).double()))
    target = torch.zeros(len(matrix), dtype=torch.float64)
    target[-1] = 1.0
    # Not scipy.optimize.nnls: in 1.17 it returns points that are no solution (a test has one).
    found = lsq_linear(
        matrix.numpy(),
        target.numpy(),
        (0.0, math.inf),
        method="bvls",
        tol=1e-15,
        max_iter=100 * len(z),
    )
    residual = matrix @ torch.from_numpy(found.x) - target
    if float(residual.norm()) <= tolerance:
        return Margin(gamma=0.0, radius=radius, plane=z.new_zeros(z.shape[1]))
    plane = -residual[:-1] / residual[-1]
    plane = (plane / plane.norm()).to(z.dtype)
    # The smallest score of an actual plane is a margin that the data have, rounding included.
    return Margin(gamma=max(float((z @ plane).min()), 0.0), radius=radius, plane=plane)  # Eq. (4)
