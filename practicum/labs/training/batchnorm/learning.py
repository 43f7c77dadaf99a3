"""How an arm of the lab `batchnorm` trains at one learning rate, and what is measured of it."""

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
from practicum.nn.batchnorm import BatchNormMLP, Perturb

if TYPE_CHECKING:
    from practicum.labs.training.batchnorm.experiment import Setup


def split(setup: Setup, available: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a seed's training and validation images, the same in every arm.

    Only full batches: a last batch of one image could not be normalised.
    """
    if setup.train_size + setup.validation_size > available:
        raise PracticumError(
            f"{setup.train_size} training and {setup.validation_size} validation images are more "
            f"than the {available} of {setup.data}; lower train_size"
        )
    shuffled = torch.randperm(available, generator=streams(seed).generator("order"))
    full = max(setup.train_size - setup.train_size % setup.batch_size, setup.batch_size)
    return shuffled[: min(full, setup.train_size)], shuffled[available - setup.validation_size :]


def network(setup: Setup, inputs: int, classes: int) -> BatchNormMLP:
    """Build an arm's network."""
    noise = Perturb(shift=setup.shift, scale=setup.scale, jitter=setup.jitter)
    return BatchNormMLP(
        inputs,
        setup.hidden,
        classes,
        activation=setup.activation,
        normalize=setup.normalize,
        perturb=noise if setup.noise else None,
        deviation=setup.deviation,
    )


def error(network: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return the share of images misclassified, in percent."""
    with torch.no_grad():
        return error_percent(network(x), y)


def train(
    setup: Setup,
    rate: float,
    data: tuple[Tensor, Tensor],
    rows: Callable[[int], tuple[Tensor, Tensor]],
    watched: tuple[Tensor, Tensor],
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train every seed at one learning rate, measuring validation and watched images."""
    x, y = data

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        held = rows(seed)[1]
        return {
            "validation_error": error(network, x[held], y[held]),
            "watched_error": error(network, *watched),
        }

    return fit(
        lambda: network(setup, x[0].numel(), int(y.max()) + 1),
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
