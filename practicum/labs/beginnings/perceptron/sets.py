"""The sets that the lab learns: made ones of known margin, and two classes of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from practicum.data import load
from practicum.errors import PracticumError
from practicum.learning.perceptron_rule import turned
from practicum.nn.perceptron import augment


def planted(gamma: float, points: int, features: int, noise: np.random.Generator) -> Tensor:
    """Draw turned augmented examples in the unit ball whose largest margin is exactly gamma.

    Two of the examples are set so that a convex combination of them is gamma times the unit normal
    of a plane; no plane can then do better than gamma, and this one does not do worse. Unlike in
    `practicum.data.synthetic.separable`, planes need not go through the origin: the bias counts.

    Returns:
        [points, features + 1]

    Raises:
        PracticumError: the margin leaves no room for two classes inside the ball.
    """
    if not 0.0 < gamma <= 0.5:
        raise PracticumError(f"a margin inside the unit ball is in (0, 0.5], not {gamma}")
    bias = noise.uniform(-0.1, 0.1)
    normal = noise.normal(size=features)
    normal *= np.sqrt(1.0 - bias**2) / np.linalg.norm(normal)
    across = noise.normal(size=features)
    across -= (across @ normal) / (normal @ normal) * normal
    across *= 0.2 / np.linalg.norm(across)
    rows = []
    for label in (1.0, -1.0):
        weight = (1.0 + label * gamma * bias) / 2.0  # of this example in the combination
        x = (label * gamma - bias) / (1.0 - bias**2) * normal + across / (2.0 * weight)
        rows.append(label * np.append(x, 1.0))
    # A hair more than gamma for the others keeps the margin at gamma despite rounding.
    least = gamma * (1.0 + 1e-9)
    while len(rows) < points:
        x = noise.normal(size=features)
        x *= noise.uniform() ** (1.0 / features) / np.linalg.norm(x)
        score = x @ normal + bias
        if abs(score) >= least:
            rows.append(np.sign(score) * np.append(x, 1.0))
    return torch.from_numpy(np.array(rows)[noise.permutation(points)])


def two_classes(
    name: str, pair: Sequence[int], examples: int, flips: float, noise: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw training examples of two classes and flip some labels; the test examples are the set's.

    Args:
        name: of the data set.
        pair: the two classes.
        examples: training examples drawn.
        flips: share of the training labels flipped.
        noise: draws the examples first and the flips then.

    Returns:
        turned augmented examples, training [n, d+1] and test [m, d+1].

    Raises:
        PracticumError: not two different classes of the data set.
    """
    if len(set(pair)) != 2:
        raise PracticumError(f"setting 'pair' is {pair}; expected two different classes")
    data = load(name)
    missing = [str(one) for one in pair if one not in data.train[1].tolist()]
    if missing:
        raise PracticumError(f"{name} has no class {missing[0]}; choose another pair")
    train, test = (_turned_pair(part, pair) for part in (data.train, data.test))
    chosen = noise.permutation(len(train))[:examples]
    z = train[torch.from_numpy(chosen)]
    flipped = noise.permutation(len(z))[: round(flips * len(z))]
    z[torch.from_numpy(flipped)] *= -1.0  # turning z over is flipping its label
    return z, test


def _turned_pair(part: Sequence[Tensor], pair: Sequence[int]) -> Tensor:
    x, y = part[0], part[1]
    chosen = (y == pair[0]) | (y == pair[1])
    flat = x[chosen].flatten(1).double()
    return turned(augment(flat), torch.where(y[chosen] == pair[1], 1.0, -1.0).double())
