"""How an arm of the lab `mlp` learns at one rate, and how its images are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD
from practicum.engine.schedules import LinearDecay
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.errors import PracticumError
from practicum.labs.training.mlp.networks import build
from practicum.learning.supervised import cross_entropy, error_percent

if TYPE_CHECKING:
    from practicum.labs.training.mlp.experiment import Setup


def split(
    setup: Setup, available: int, seed: int
) -> tuple[Int[Tensor, "train"], Int[Tensor, "held"]]:
    """Draw a seed's training and validation images, the same for every network.

    Raises:
        PracticumError: the data set has fewer images than the two settings ask for.
    """
    if setup.train_size + setup.validation_size > available:
        raise PracticumError(
            f"train_size {setup.train_size} and validation_size {setup.validation_size} ask for "
            f"more than the {available} training images of {setup.data}"
        )
    shuffled = torch.randperm(available, generator=streams(seed).generator("order"))
    return shuffled[: setup.train_size], shuffled[available - setup.validation_size :]


def train(
    setup: Setup,
    rate: float,
    data: tuple[Tensor, Tensor],
    rows: Callable[[int], tuple[Tensor, Tensor]],
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train every seed at one rate, which falls to 0 in a straight line."""
    x, y = data
    inputs, classes = x[0].numel(), int(y.max()) + 1

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        held = rows(seed)[1]
        return {"validation_error": error(network, x[held], y[held])}

    return fit(
        lambda: build(setup, inputs, classes),
        loss=cross_entropy,
        optimizer=SGD(lr=rate, momentum=setup.momentum),
        schedule=LinearDecay(steps=setup.steps),
        data=data,
        rows=lambda seed: rows(seed)[0],
        batch_size=min(setup.batch_size, setup.train_size),
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=evaluate,
        seeds=seeds,
        services=services,
        name=f"rate-{rate}",
    )


def error(
    network: Callable[[Tensor], Tensor], x: Float[Tensor, "n *inputs"], y: Int[Tensor, "n"]
) -> Float[Tensor, ""]:
    """Return the share of images misclassified, in percent."""
    with torch.no_grad():
        return error_percent(network(x), y)


def error_of_majority(y: Int[Tensor, "n"], y_test: Int[Tensor, "m"]) -> Float[Tensor, ""]:
    """Return the error of answering the commonest training class, in percent."""
    return 100 * (y_test != y.bincount().argmax()).double().mean()


def for_ratios(percent: Float[Tensor, "seeds"], examples: int) -> dict[str, Tensor]:
    """Return errors that have ratios, and their logarithms: half a mistake at least."""
    counted = percent.clamp_min(50.0 / examples)
    return {"counted_error": counted, "log_error": counted.log()}
