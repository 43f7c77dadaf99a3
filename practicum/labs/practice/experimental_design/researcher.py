"""Simulated studies of an effect that is not there, and researchers who may look more than once.

Source: Simmons, Nelson and Simonsohn, "False-positive psychology", Psychological Science 22 (2011)
1359-1366. Each study has three conditions that do not differ, a coin toss for each person that has
nothing to do with anything, and two outcomes that are correlated.

The researcher tries analyses in a fixed order, from the planned one on, and reports the first with
p below 0.05; if none is, the planned one. One of four freedoms adds

    outcomes     the second outcome, and the mean of the two
    covariate    the coin as a covariate, and with it its interaction with the condition
    conditions   the other two pairs of conditions, and the linear trend over all three
    stopping     all of this again with more people in each condition

Shapes: S studies, C = 3 conditions, n people in a condition, K = 2 outcomes, A analyses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from practicum.labs.practice.experimental_design.least_squares import coefficient_p, p_from_sums

SIGNIFICANT = 0.05
PAIRS = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True, kw_only=True)
class Freedom:
    """What the researcher allows himself beyond the planned analysis."""

    outcomes: bool = False
    covariate: bool = False
    conditions: bool = False
    stopping: bool = False


@dataclass(frozen=True, kw_only=True)
class Studies:
    """The people of S studies.

    Attributes:
        y: [S, C, n, K] their outcomes.
        coin: [S, C, n] +1 or -1: then the coefficient of the condition in a model with both and
            their interaction is the mean effect over heads and tails; with 0 and 1 it would be the
            effect for the zeros only.
    """

    y: Float[Array, "S C n K"]
    coin: Float[Array, "S C n"]

    @classmethod
    def draw(
        cls,
        studies: int,
        people: int,
        correlation: float,
        effect: float,
        random: np.random.Generator,
    ) -> Studies:
        """Draw studies; `effect` is added to the second condition, in standard deviations."""
        own = random.normal(size=(studies, 3, people, 2))
        shared = random.normal(size=(studies, 3, people, 1))
        y = np.sqrt(1.0 - correlation) * own + np.sqrt(correlation) * shared
        y[:, 1] += effect
        coin = random.integers(0, 2, size=(studies, 3, people)) * 2.0 - 1.0
        return cls(y=y, coin=coin)

    def dummies(self) -> Studies:
        """Return the same studies with the coin coded 0 and 1."""
        return Studies(y=self.y, coin=(self.coin + 1.0) / 2.0)

    def first(self, people: int) -> Studies:
        """Return the studies as they were when only so many had been seen in each condition."""
        return Studies(y=self.y[:, :, :people], coin=self.coin[:, :, :people])


def every_p(data: Studies, freedom: Freedom, people: int) -> Float[Array, "S A"]:
    """Return the p of every analysis that the researcher would try, in order, [S, A].

    Args:
        data: all people, those who come only if the researcher goes on included.
        freedom: what is allowed.
        people: in each condition at the first look.
    """
    looks = (people, data.y.shape[2]) if freedom.stopping else (people,)
    found = [p for look in looks for p in _analyses(data.first(look), freedom)]
    return np.concatenate(found, axis=1)


def _analyses(data: Studies, freedom: Freedom) -> Iterator[Float[Array, "S K"]]:
    """Yield the p of each contrast and model, for all outcomes that are looked at."""
    for x, coin, y in _contrasts(data, freedom.conditions):
        if freedom.outcomes:
            y = np.concatenate([y, y.mean(axis=2, keepdims=True)], axis=2)
        else:
            y = y[:, :, :1]
        one = np.ones_like(coin)
        planned = np.broadcast_to(np.stack([one[0], x], axis=1), (len(y), len(x), 2))
        yield coefficient_p(planned, y, 1)
        if freedom.covariate:
            condition = np.broadcast_to(x, coin.shape)
            with_coin = np.stack([one, condition, coin], axis=2)
            yield coefficient_p(with_coin, y, 1)
            crossed = np.stack([one, condition, coin, condition * coin], axis=2)
            yield coefficient_p(crossed, y, 1)
            yield coefficient_p(crossed, y, 3)


def _contrasts(
    data: Studies, several: bool
) -> Iterator[tuple[Float[Array, "N"], Float[Array, "S N"], Float[Array, "S N K"]]]:
    """Yield condition (-1, 0, 1), coin and outcomes of the N people in a comparison."""
    n, size = data.y.shape[2], len(data.y)
    for pair in PAIRS if several else PAIRS[:1]:
        chosen = list(pair)
        x = np.repeat([-1.0, 1.0], n)
        yield x, data.coin[:, chosen].reshape(size, -1), data.y[:, chosen].reshape(size, 2 * n, -1)
    if several:
        x = np.repeat([-1.0, 0.0, 1.0], n)
        yield x, data.coin.reshape(size, -1), data.y.reshape(size, 3 * n, -1)


def reported(p: Float[Array, "S A"]) -> Float[Array, "S"]:
    """Return the p that is reported: the first significant one, else the planned one."""
    told: Array = p[np.arange(len(p)), (p < SIGNIFICANT).argmax(axis=1)]
    return told


def peeking(
    studies: int, every: int, last: int, random: np.random.Generator
) -> Float[Array, "S looks"]:
    """Return the p of a t-test after every so many people in each of two equal groups, [S, looks].

    Args:
        studies: how many studies.
        every: people in each group between two looks.
        last: people in each group at the end; a remainder of the division is not seen.
        random: draws them.
    """
    looks = last // every
    first, second = (_running(random.normal(size=(studies, looks, every))) for _ in range(2))
    n = every * np.arange(1, looks + 1)
    return p_from_sums(first, second, n, n)


def _running(x: Float[Array, "S looks every"]) -> tuple[Array, Array]:
    """Return the running sums of values and of squares, [S, looks]."""
    return x.sum(axis=2).cumsum(axis=1), np.square(x).sum(axis=2).cumsum(axis=1)
