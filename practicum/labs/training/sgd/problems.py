"""The two problems of the lab, each with its exact optimum for every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from practicum.data import load
from practicum.engine.seeds import Streams, streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.nn.linear import (
    softmax_objective,
    softmax_optimum,
    squared_objective,
    squared_optimum,
    with_constant,
)

if TYPE_CHECKING:
    from practicum.labs.training.sgd.experiment import Setup


LENGTH = 64.0
"""Mean squared length that images are scaled to, so that the same steps suit images of any size."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is minimised: rows of examples for each seed, an objective, its minimum.

    Attributes:
        task: "linear" or "logistic".
        x: [N, D] the examples of all seeds.
        y: [N, 1] values or [N] classes.
        rows: for each seed, where its examples lie in x.
        outputs: K.
        decay: lambda of the objective.
        optimum: for each seed, [D, K] the weights at the minimum.
        lowest: for each seed, the objective there.
        axes: for each seed, [D, 2] unit vectors of the largest and the smallest curvature (linear).
    """

    task: str
    x: Float[Tensor, "N D"]
    y: Tensor
    rows: Mapping[int, slice]
    outputs: int
    decay: float
    optimum: Mapping[int, Float[Tensor, "D K"]]
    lowest: Mapping[int, float]
    axes: Mapping[int, Float[Tensor, "D 2"]] = field(default_factory=dict)

    def excess(self, weight: Float[Tensor, "D K"], seed: int) -> float:
        """Return by how much the seed's objective exceeds its minimum."""
        x, y = self.x[self.rows[seed]], self.y[self.rows[seed]]
        objective = squared_objective if self.task == "linear" else softmax_objective
        return float(objective(weight, x, y, self.decay)) - self.lowest[seed]

    def loss(self, outputs: Float[Tensor, "batch K"], targets: Tensor) -> Float[Tensor, ""]:
        """Return the objective's part that depends on a batch; the decay is the optimizer's."""
        if self.task == "linear":
            return (outputs - targets).square().sum() / (2 * len(outputs))
        return F.cross_entropy(outputs, targets)

    def draws(self, seed: int, count: int, replace: bool) -> Int[Tensor, "_"]:
        """Return the rows that a seed trains on, in one epoch.

        With replacement they are `count` independent draws, so that an epoch is never over and
        every gradient has the same distribution; without, each row once an epoch.
        """
        mine = torch.arange(len(self.x))[self.rows[seed]]
        if not replace:
            return mine
        # Of the noise stream: the engine shuffles these rows with the order stream.
        return mine[torch.randint(len(mine), (count,), generator=streams(seed).generator("noise"))]


def build(setup: Setup, seeds: Sequence[int], services: Services) -> Problem:
    """Return the problem of an arm, with everything that a seed decides of it."""
    make = linear_problem if setup.task == "linear" else logistic_problem
    return make(setup, seeds, services)


def linear_problem(setup: Setup, seeds: Sequence[int], services: Services) -> Problem:
    """Draw for each seed a regression whose curvatures spread over a condition number."""
    n, parts, rows, optimum, lowest, axes = setup.examples, [], {}, {}, {}, {}
    for number, seed in enumerate(seeds):
        x, y = services.place(*draw_regression(setup, streams(seed)))
        parts.append((x, y))
        rows[seed] = slice(number * n, (number + 1) * n)
        optimum[seed] = squared_optimum(x, y, setup.decay)
        lowest[seed] = float(squared_objective(optimum[seed], x, y, setup.decay))
        vectors = torch.linalg.eigh(x.T @ x).eigenvectors
        axes[seed] = vectors[:, [-1, 0]]
    x_all, y_all = (torch.cat(one) for one in zip(*parts, strict=True))
    return Problem(
        task="linear", x=x_all, y=y_all, rows=rows, outputs=1, decay=setup.decay,
        optimum=optimum, lowest=lowest, axes=axes,
    )  # fmt: skip


def draw_regression(setup: Setup, random: Streams) -> tuple[Tensor, Tensor]:
    """Draw examples [n, d] in random directions and noisy targets [n, 1], in float64."""
    generator = random.generator("initialisation")
    n, d = setup.examples, setup.dimensions

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    turn = torch.linalg.qr(normal(d, d)).Q
    curvatures = torch.logspace(0, -1, d, base=setup.condition, dtype=torch.float64)
    x = normal(n, d) * curvatures.sqrt() @ turn.T
    truth = normal(d, 1)
    return x, x @ truth + setup.noise * normal(n, 1)


def logistic_problem(setup: Setup, seeds: Sequence[int], services: Services) -> Problem:
    """Take the training images, the same for every seed, and find the one optimum.

    Raises:
        PracticumError: the data set has fewer images than the setting asks for.
    """
    images, classes = load(setup.data).train
    if setup.examples > len(images):
        raise PracticumError(
            f"examples is {setup.examples}; {setup.data} has {len(images)} training images"
        )
    x, y = services.place(images[: setup.examples].flatten(1), classes[: setup.examples])
    x = x - x.mean(0)
    x = with_constant(x * (LENGTH / x.square().sum(1).mean()).sqrt())
    outputs = int(classes.max()) + 1
    optimum = softmax_optimum(x, y, outputs, setup.decay)
    lowest = float(softmax_objective(optimum, x, y, setup.decay))
    return Problem(
        task="logistic", x=x, y=y, rows=dict.fromkeys(seeds, slice(0, len(x))), outputs=outputs,
        decay=setup.decay, optimum=dict.fromkeys(seeds, optimum),
        lowest=dict.fromkeys(seeds, lowest),
    )  # fmt: skip
