"""How an arm of the lab `lenet` learns from a number of images, and what is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD
from practicum.engine.schedules import LinearDecay
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.errors import PracticumError
from practicum.labs.vision.lenet.networks import build
from practicum.learning.supervised import cross_entropy, error_percent

if TYPE_CHECKING:
    from practicum.labs.vision.lenet.experiment import Setup

AT_ONCE = 1000  # images whose maps are in memory together when errors are counted


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What every seed reached with one number of images.

    Attributes:
        test_error: [seeds] in percent.
        rate: [seeds] the learning rate that validation chose.
        diverged: [seeds] whether every rate diverged.
        weights: per seed, the tensors of the chosen network by name.
    """

    test_error: Float[Tensor, "seeds"]
    rate: Float[Tensor, "seeds"]
    diverged: Bool[Tensor, "seeds"]
    weights: tuple[Mapping[str, Tensor], ...] = ()


def learn(
    setup: Setup,
    size: int,
    data: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    seeds: Sequence[int],
    services: Services,
) -> Learned:
    """Train at every rate, choose by validation error, then measure the test error once.

    Raises:
        PracticumError: fewer images than the size and the validation images together.
    """
    rows = partial(split, setup, size, len(data[0]))
    if setup.network == "majority":
        wrong = [error_of_majority(data[1][rows(seed)[0]], test[1]) for seed in seeds]
        nothing = torch.zeros(len(seeds))
        return Learned(test_error=torch.stack(wrong), rate=nothing, diverged=nothing.bool())
    runs = [train(setup, size, rate, data, rows, seeds, services) for rate in setup.rates]
    validation = torch.stack([run.final("validation_error") for run in runs])  # [rates, seeds]
    best = validation.nan_to_num(nan=torch.inf).argmin(0)  # a diverged rate is never chosen
    chosen = [runs[rate] for rate in best.tolist()]
    return Learned(
        test_error=torch.stack(
            [error(run.networks[i]["network"].eval(), *test) for i, run in enumerate(chosen)]
        ),
        rate=torch.tensor(setup.rates, dtype=torch.float64)[best.cpu()],
        diverged=torch.stack([run.diverged for run in runs]).all(0),
        weights=tuple(run.weights()[i] for i, run in enumerate(chosen)),
    )


def train(
    setup: Setup,
    size: int,
    rate: float,
    data: tuple[Tensor, Tensor],
    rows: Callable[[int], tuple[Tensor, Tensor]],
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train every seed at one rate, which falls to 0 in a straight line."""
    x, y = data
    side, classes = x.shape[-1], int(y.max()) + 1

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        held = rows(seed)[1]
        return {"validation_error": error(network, x[held], y[held])}

    return fit(
        lambda: build(setup, side, classes),
        loss=cross_entropy,
        optimizer=SGD(lr=rate, momentum=setup.momentum),
        schedule=LinearDecay(steps=setup.steps),
        data=data,
        rows=lambda seed: rows(seed)[0],
        batch_size=min(setup.batch_size, size),
        steps=setup.steps,
        evaluate=evaluate,
        seeds=seeds,
        services=services,
        name=f"{size}-images-rate-{rate}",
    )


def split(
    setup: Setup, size: int, available: int, seed: int
) -> tuple[Int[Tensor, "size"], Int[Tensor, "held"]]:
    """Draw a seed's training and validation images, the same in every arm.

    More images contain the fewer.
    """
    if size + setup.validation_size > available:
        raise PracticumError(
            f"{size} training and {setup.validation_size} validation images are more than the "
            f"{available} of {setup.data}; lower few, some or many"
        )
    shuffled = torch.randperm(available, generator=streams(seed).generator("order"))
    return shuffled[:size], shuffled[available - setup.validation_size :]


def error(
    network: Callable[[Tensor], Tensor], x: Float[Tensor, "n 1 H W"], y: Int[Tensor, "n"]
) -> Float[Tensor, ""]:
    """Return the share of images misclassified, in percent."""
    with torch.no_grad():
        logits = torch.cat([network(x[at : at + AT_ONCE]) for at in range(0, len(x), AT_ONCE)])
    return error_percent(logits, y)


def error_of_majority(y: Int[Tensor, "n"], y_test: Int[Tensor, "m"]) -> Float[Tensor, ""]:
    """Return the error of answering the commonest training class, in percent."""
    return 100 * (y_test != y.bincount().argmax()).double().mean()
