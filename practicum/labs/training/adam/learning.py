"""How an arm of the lab `adam` trains at one learning rate, and how wide its choice of rates is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD, Adam, OptimizerSpec
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.errors import PracticumError
from practicum.learning.supervised import cross_entropy, error_percent
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from practicum.labs.training.adam.experiment import Setup


def optimizer(setup: Setup, rate: float) -> OptimizerSpec:
    """Return an arm's optimizer at a learning rate."""
    if setup.method in ("adam", "amsgrad"):
        betas = (setup.beta1, setup.beta2)
        return Adam(lr=rate, betas=betas, amsgrad=setup.method == "amsgrad")
    return SGD(lr=rate, momentum=setup.momentum if setup.method == "momentum" else 0.0)


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


def train(
    setup: Setup,
    rate: float,
    data: tuple[Tensor, Tensor],
    rows: Callable[[int], tuple[Tensor, Tensor]],
    test: tuple[Tensor, Tensor],
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train every seed at one learning rate; measure validation and test error at the end."""
    x, y = data

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        held = rows(seed)[1]
        return {
            "validation_error": error_percent(network(x[held]), y[held]),
            "test_error": error_percent(network(test[0]), test[1]),
        }

    return fit(
        lambda: MLP(x[0].numel(), setup.hidden, int(y.max()) + 1),
        loss=cross_entropy,
        optimizer=optimizer(setup, rate),
        data=data,
        rows=lambda seed: rows(seed)[0],
        batch_size=setup.batch_size,
        steps=setup.steps,
        evaluate=evaluate,
        seeds=seeds,
        services=services,
        name=f"rate-{rate}",
    )


def width(
    errors: Float[Tensor, "seeds rates"], rates: Sequence[float], within: float
) -> Float[Tensor, "seeds"]:
    """Return how many decades of rates give an error within so much of the least.

    Between two rates of the grid the error is taken to be linear in the logarithm of the rate.
    """
    over = errors - errors.amin(1, keepdim=True) - within  # at most 0: near enough to the best
    left, right = over[:, :-1], over[:, 1:]
    decades = torch.tensor(rates, dtype=errors.dtype).log10().diff()
    inside = (left <= 0).to(errors.dtype) * (right <= 0)
    # A segment that crosses: the part on the side of the end that is near enough.
    near, far = torch.minimum(left, right), torch.maximum(left, right)
    part = torch.where((near <= 0) & (far > 0), -near / (far - near), inside)
    return (part * decades).sum(1)
