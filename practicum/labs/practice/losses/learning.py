"""How an arm of the lab `losses` is built and trained, and how its step is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from practicum.engine.fit import fit
from practicum.engine.noise import Noise
from practicum.engine.optimizers import SGD, Adam
from practicum.engine.schedules import Cosine
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.engine.updates import Batch
from practicum.labs.practice.losses.problems import Problem
from practicum.learning import likelihood
from practicum.learning.supervised import error_percent
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from practicum.labs.practice.losses.experiment import Setup

Network = Callable[[Tensor], Tensor]


class OneVariance(nn.Module):
    """A network of means, and one logarithm of a variance for all inputs.

    Args:
        means: gives one mean for each example.
    """

    def __init__(self, means: nn.Module) -> None:
        super().__init__()
        self.means = means
        self.log_variance = nn.Parameter(torch.zeros(1))

    def forward(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n 2"]:
        """Return mean and log variance of each example."""
        mean: Tensor = self.means(x)
        return torch.cat((mean, self.log_variance.expand_as(mean)), 1)


def network(setup: Setup, problem: Problem) -> nn.Module:
    """Build an arm's network; arms of a task share every first weight that they both have."""
    inputs = problem.x[0].numel()
    if setup.task == "class":
        made = MLP(inputs, setup.hidden, int(problem.y.max()) + 1, activation=setup.activation)
        with torch.no_grad():  # all images look like class 0, so many nats above the others
            list(made.parameters())[-1][0] += setup.certainty  # the last layer's bias
        return made
    outputs = 2 if setup.loss == "gaussian" else 1
    made = MLP(inputs, setup.hidden, outputs, activation=setup.activation)
    return OneVariance(made) if setup.loss == "gaussian, one variance" else made


def loss_of(setup: Setup, outputs: Float[Tensor, "n K"], y: Tensor) -> Float[Tensor, ""]:
    """Return the loss that an arm trains with."""
    if setup.loss == "cross-entropy":
        return F.cross_entropy(outputs, y)
    if setup.loss == "squared probabilities":
        return likelihood.squared_probabilities(outputs, y)
    if setup.loss.startswith("gaussian"):
        return likelihood.gaussian(outputs[:, 0], outputs[:, 1], y)
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "squared": likelihood.squared,
        "absolute": likelihood.absolute,
        "huber": partial(likelihood.huber, delta=setup.delta),
        "poisson": likelihood.poisson,
        "squared, exponential": lambda z, y: likelihood.squared(z.exp(), y),
    }
    return losses[setup.loss](outputs[:, 0], y)


def rate_of(setup: Setup, outputs: Float[Tensor, "n 1"], floor: float) -> Float[Tensor, "n"]:
    """Return the predicted mean of counts, at least the floor where the output can be below 0."""
    z = outputs[:, 0]
    return z.clamp(min=floor) if setup.loss == "squared" else z.exp()


def best_floor(setup: Setup, outputs: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the smallest validation deviance over the floors that are tried, and its floor."""
    floors = setup.floors if setup.loss == "squared" else setup.floors[:1]
    found = [
        (float(likelihood.poisson_deviance(rate_of(setup, outputs, floor), y)), floor)
        for floor in floors
    ]
    return min(found)


def score(setup: Setup, outputs: Tensor, y: Tensor) -> float:
    """Return what chooses the step: error, deviance, or the arm's own loss; lower is better."""
    if setup.task == "class":
        return float(error_percent(outputs, y))
    if not bool(torch.isfinite(outputs).all()):
        return float("nan")
    if setup.task == "counts":
        return best_floor(setup, outputs, y)[0]
    return float(loss_of(setup, outputs, y))


def train(
    setup: Setup, rate: float, problem: Problem, seeds: Sequence[int], services: Services
) -> Trained:
    """Train every seed at one learning rate, watching the validation rows."""

    def loss(net: Network, batch: Batch, noise: Noise) -> Tensor:
        x, y = batch
        return loss_of(setup, net(x), y)

    def evaluate(net: Network, seed: int) -> dict[str, float]:
        x, y = problem.part(problem.validation[seed])
        return {"validation": score(setup, net(x), y)}

    optimizer = SGD(lr=rate, momentum=setup.momentum) if setup.optimizer == "sgd" else Adam(lr=rate)
    return fit(
        lambda: network(setup, problem),
        loss=loss,
        optimizer=optimizer,
        data=(problem.x, problem.y),
        rows=lambda seed: problem.train[seed],
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=evaluate,
        schedule=Cosine(steps=setup.steps) if setup.schedule == "cosine" else None,
        seeds=seeds,
        services=services,
        name=f"rate-{rate}",
    )
