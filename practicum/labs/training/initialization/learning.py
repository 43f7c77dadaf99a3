"""How an arm of the lab `initialization` begins and trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.errors import PracticumError
from practicum.learning.supervised import cross_entropy, error_percent
from practicum.nn.initialization import initialize
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from practicum.labs.training.initialization.experiment import Setup


def split(setup: Setup, available: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a seed's training and validation images, the same in every arm.

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


def build(setup: Setup, inputs: int, classes: int) -> MLP:
    """Build an arm's network with its first weights, drawn from torch's global generator."""
    network = MLP(
        inputs, (setup.width,) * setup.hidden_layers, classes, activation=setup.activation
    )
    initialize(network, setup.scheme, setup.distribution)
    return network


def train(
    setup: Setup,
    rate: float,
    data: tuple[Tensor, Tensor],
    rows: Callable[[int], tuple[Tensor, Tensor]],
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train every seed at one learning rate, measuring training and validation images."""
    x, y = data

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        mine, held = rows(seed)
        watched = mine[: setup.watched]
        return {
            "train_error": error_percent(network(x[watched]), y[watched]),
            "validation_error": error_percent(network(x[held]), y[held]),
        }

    return fit(
        lambda: build(setup, x[0].numel(), int(y.max()) + 1),
        loss=cross_entropy,
        optimizer=SGD(lr=rate, momentum=setup.momentum),
        data=data,
        rows=lambda seed: rows(seed)[0],
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=evaluate,
        seeds=seeds,
        services=services,
        name=f"rate-{rate}",
    )
