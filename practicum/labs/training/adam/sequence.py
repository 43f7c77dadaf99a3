"""The sequence on which Adam goes the wrong way: one large slope in a hundred small opposite ones.

    f_t(x) = 1010 x  now and then, -10 x  otherwise,   -1 <= x <= 1           (Reddi's section 3)

"Now and then" is every 101st step (periodic), or each step with probability 1/100 (random). Either
way the slopes sum to more than zero, so that x = -1 is best and x = +1 is worst.

The slope does not depend on x. So averages of slopes, Eq. (1), (2) and (5) of
practicum.learning.adam, are computed for a whole stretch of steps at once. As in the paper there is
no bias correction, and the step size falls as alpha / sqrt(t).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from practicum.engine.seeds import Streams

LARGE, SMALL, PERIOD, CHANCE = 1010.0, -10.0, 101, 0.01
TYPICAL = float(np.sqrt((LARGE**2 + (PERIOD - 1) * SMALL**2) / PERIOD))
"""Root mean square of the slopes over a period, the unit in which gradient descent steps."""

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is stepped along: Adam's ratio of averages, AMSGrad's, or the slope itself."""

    method: str
    beta1: float
    beta2: float


def slopes(kind: str, random: Streams, steps: int, stretch: int) -> Iterator[Vector]:
    """Yield the slopes of all steps, a stretch at a time.

    Args:
        kind: "periodic", begun at a random place of the period, or "random".
        random: the seed's streams; every method meets the same slopes.
        steps: how many in all.
        stretch: how many at a time.
    """
    generator = random.numpy("order")
    phase = int(generator.integers(PERIOD))
    for begin in range(0, steps, stretch):
        count = min(stretch, steps - begin)
        if kind == "periodic":
            large = (np.arange(begin, begin + count) + phase) % PERIOD == 0
        else:
            large = generator.random(count) < CHANCE
        yield np.where(large, LARGE, SMALL)


def start(random: Streams) -> float:
    """Return where a seed begins, uniform between the walls, the same for every method."""
    return float(random.numpy("initialisation").uniform(-1.0, 1.0))


def directions(rule: Rule, found: Iterator[Vector]) -> Iterator[Vector]:
    """Yield for each stretch of slopes what alpha / sqrt(t) is multiplied with.

    Adam: m / sqrt(v). AMSGrad: m / sqrt(largest v so far). Descent: the slope over TYPICAL.
    """
    from scipy.signal import lfilter

    # lfilter computes y_t = beta y_{t-1} + (1 - beta) x_t; `memory` is what it carries over.
    memory1, memory2, largest = np.zeros(1), np.zeros(1), 0.0
    for g in found:
        if rule.method == "descent":
            yield g / TYPICAL
            continue
        m, memory1 = lfilter([1.0 - rule.beta1], [1.0, -rule.beta1], g, zi=memory1)  # Eq. (1)
        v, memory2 = lfilter([1.0 - rule.beta2], [1.0, -rule.beta2], g * g, zi=memory2)  # Eq. (2)
        if rule.method == "amsgrad":
            v = np.maximum(np.maximum.accumulate(v), largest)  # Eq. (5)
            largest = float(v[-1])
        yield m / np.sqrt(v)


def walk(x: Vector, steps: Matrix) -> tuple[Vector, Vector]:
    """Subtract steps from x one by one, stopping at the walls; return the last x and the mean.

    Any number of such steps in a row is again a shift with two walls,

        x -> min(high, max(low, x + shift)),

    so that all blocks of the steps are put together at once: first what each does to any x, then
    where each begins, then the way through each.

    Args:
        x: [walkers] where they begin.
        steps: [walkers, n] what is subtracted.
    """
    walkers, n = steps.shape
    length = max(1, int(np.sqrt(n)))
    blocks = -(-n // length)
    # A step of zero at the end changes nothing but the mean, which leaves it out below.
    padded = np.pad(steps, ((0, 0), (0, blocks * length - n)))
    moves = np.moveaxis(padded.reshape(walkers, blocks, length), -1, 0)  # [length, walkers, blocks]

    shift = np.zeros((walkers, blocks))
    low, high = shift - 1.0, shift + 1.0
    for move in moves:
        shift = shift - move
        low, high = np.clip(low - move, -1.0, 1.0), np.clip(high - move, -1.0, 1.0)

    begins = np.empty((walkers, blocks))
    for block in range(blocks):
        begins[:, block] = x
        x = np.minimum(high[:, block], np.maximum(low[:, block], x + shift[:, block]))

    total, left = np.zeros(walkers), n - (blocks - 1) * length
    for i, move in enumerate(moves):
        begins = np.clip(begins - move, -1.0, 1.0)
        total += begins.sum(axis=1) if i < left else begins[:, :-1].sum(axis=1)
    return begins[:, -1], total / n
