"""The data of the lab `losses`: images of digits, and curves with noise of a known kind.

A curve task draws inputs x uniform on [-2, 2] and, with f(x) = sin 2x + x / 2,
    curve      y = f(x) + noise, normal; each target is replaced by a jump upward with the
               probability `contamination`, in training and validation rows, never in test rows
    variance   y = f(x) + sigma(x) e, e normal, sigma rising tenfold from left to right
    counts     y Poisson with rate exp(1.5 f(x)), from under a tenth to over ten
Test rows of `curve` hold f itself: what is to be learned, without noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.data import load
from practicum.engine.seeds import Streams, streams
from practicum.engine.services import Services
from practicum.errors import PracticumError

if TYPE_CHECKING:
    from practicum.labs.practice.losses.experiment import Setup

EDGE = 2.0
"""Inputs of the curves lie between minus this and this."""

QUIETEST, LOUDEST = 0.08, 0.8
"""The smallest and the largest deviation of the noise in the task `variance`."""

STRETCH = 1.5
"""The logarithm of the rate of counts is this times f."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Examples of all seeds, and which are whose.

    Attributes:
        x: [N, ...] inputs.
        y: [N] targets: values, counts as numbers, or classes.
        train: for each seed, the rows that it trains on.
        validation: for each seed, the rows that choose its step.
        test: for each seed, the rows that only the final measurement sees.
    """

    x: Float[Tensor, "N *shape"]
    y: Tensor
    train: Mapping[int, Int[Tensor, "_"]]
    validation: Mapping[int, Int[Tensor, "_"]]
    test: Mapping[int, Int[Tensor, "_"]]

    def part(self, rows: Int[Tensor, "n"]) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of some rows."""
        return self.x[rows], self.y[rows]


def build(setup: Setup, seeds: Sequence[int], services: Services) -> Problem:
    """Return the data of an arm; they depend on the task and the seed, not on the loss."""
    return (
        images(setup, seeds, services) if setup.task == "class" else curves(setup, seeds, services)
    )


def images(setup: Setup, seeds: Sequence[int], services: Services) -> Problem:
    """Split the training images by seed; test images are the data set's own.

    Raises:
        PracticumError: the data set has fewer images than the two settings ask for.
    """
    data = load(setup.data)
    available, asked = len(data.train[0]), setup.train_size + setup.validation_size
    if asked > available:
        raise PracticumError(
            f"train_size and validation_size ask for {asked} images; {setup.data} has {available}"
        )
    x = torch.cat((data.train[0], data.test[0]))
    y = torch.cat((data.train[1], data.test[1]))
    x, y = services.place(x, y)
    shuffled = {
        seed: torch.randperm(available, generator=streams(seed).generator("noise"))
        for seed in seeds
    }
    return Problem(
        x=x,
        y=y,
        train={seed: rows[: setup.train_size] for seed, rows in shuffled.items()},
        validation={seed: rows[setup.train_size : asked] for seed, rows in shuffled.items()},
        test=dict.fromkeys(seeds, torch.arange(available, len(x))),
    )


def curves(setup: Setup, seeds: Sequence[int], services: Services) -> Problem:
    """Draw every seed's own examples of a curve task."""
    sizes = (setup.train_size, setup.validation_size, setup.test_size)
    first, second, total = sizes[0], sizes[0] + sizes[1], sum(sizes)
    drawn = [draw(setup, total, second, streams(seed)) for seed in seeds]
    x, y = services.place(*(torch.cat(one) for one in zip(*drawn, strict=True)))
    rows = {seed: torch.arange(total) + number * total for number, seed in enumerate(seeds)}
    return Problem(
        x=x,
        y=y,
        train={seed: mine[:first] for seed, mine in rows.items()},
        validation={seed: mine[first:second] for seed, mine in rows.items()},
        test={seed: mine[second:] for seed, mine in rows.items()},
    )


def draw(
    setup: Setup, n: int, test_from: int, random: Streams
) -> tuple[Float[Tensor, "n 1"], Float[Tensor, "n"]]:
    """Draw n examples of a curve task; rows from `test_from` on are for the test.

    Every loss of a task, and every contamination, meets the same inputs and the same noise.
    """
    generator = random.generator("noise")
    x = EDGE * (2 * torch.rand(n, 1, generator=generator) - 1)
    at = x[:, 0]
    if setup.task == "counts":
        return x, torch.poisson((STRETCH * truth(at)).exp(), generator=generator)
    standard = torch.randn(n, generator=generator)
    if setup.task == "variance":
        return x, truth(at) + deviation(at) * standard
    y = truth(at) + setup.noise * standard
    struck = torch.rand(n, generator=generator) < setup.contamination
    jump = setup.jump * (0.5 + torch.rand(n, generator=generator))
    y = torch.where(struck, truth(at) + jump, y)
    test = torch.arange(n) >= test_from
    return x, torch.where(test, truth(at), y)


def truth(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Return f(x), the middle of the targets (of counts: the logarithm of the rate / STRETCH)."""
    return (2 * x).sin() + x / 2


def deviation(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Return sigma(x) of the task `variance`: it grows by equal factors over equal distances."""
    share: Tensor = (x + EDGE) / (2 * EDGE)
    return QUIETEST * (LOUDEST / QUIETEST) ** share
