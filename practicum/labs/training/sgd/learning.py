"""How an arm of the lab `sgd` trains, and what is measured of its excess over the minimum."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.engine.optimizers import SGD
from practicum.engine.train import Recipe, Trains
from practicum.engine.updates import Batch, Networks, Update
from practicum.labs.training.sgd.problems import Problem
from practicum.labs.training.sgd.steps import Averaging, Falling, distance_to_iterate
from practicum.nn.linear import LinearModel

if TYPE_CHECKING:
    from practicum.labs.training.sgd.experiment import Setup

BINS = 8  # of the last tenfold of updates, for the fitted exponent


def recipe(setup: Setup, problem: Problem) -> Recipe:
    """Return the complete description of an arm's training."""

    def fall(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        x, y = batch
        return problem.loss(networks["network"](x), y), {}

    def model() -> LinearModel:
        return LinearModel(problem.x.shape[1], problem.outputs, deviation=setup.deviation)

    schedule = Falling(offset=setup.offset, power=setup.power)
    networks: dict[str, Callable[[], LinearModel]] = {"network": model}
    # torch's weight_decay is the gradient of decay / 2 |W|^2: the same objective as the optimum's.
    spec = SGD(lr=setup.step, weight_decay=setup.decay)
    optimizers = {"main": Trains(spec=spec, networks=("network",))}
    updates = [Update(loss=fall, schedule=schedule)]
    if setup.averaged:
        networks["average"] = model
        optimizers["average"] = Trains(spec=SGD(lr=1.0), networks=("average",))
        averaging = Averaging(emphasis=setup.emphasis)
        updates.append(Update(loss=distance_to_iterate, optimizer="average", schedule=averaging))
    measured = "average" if setup.averaged else "network"
    return Recipe(
        networks=networks,
        optimizers=optimizers,
        updates=tuple(updates),
        data=(problem.x, problem.y),
        batch_size=setup.batch_size,
        steps=setup.steps,
        rows=lambda seed: problem.draws(seed, setup.steps * setup.batch_size, setup.replace),
        evaluate=lambda networks, seed: measure(problem, networks[measured], seed),
        every=max(1, setup.steps // setup.points),
    )


def measure(problem: Problem, network: Callable[[Tensor], Tensor], seed: int) -> dict[str, float]:
    """Return the excess of a network's objective, and where it stands in the bowl (linear)."""
    weight = network(torch.eye(problem.x.shape[1], dtype=problem.x.dtype, device=problem.x.device))
    found = {"excess": problem.excess(weight, seed)}
    if seed in problem.axes:
        steep, flat = (problem.axes[seed].T @ (weight - problem.optimum[seed])).flatten().tolist()
        found |= {"steep": steep, "flat": flat}
    return found


def exponent(
    steps: NDArray[np.float64], excess: Float[np.ndarray, "seeds points"]
) -> Float[np.ndarray, "seeds"]:
    """Return for each seed the slope of log excess over log updates in the last tenfold of updates.

    Points are gathered in bins of equal width on the logarithmic scale and averaged there first:
    the many late points would otherwise decide alone, and single iterates scatter.
    """
    edges = np.geomspace(steps[-1] / 10, steps[-1], BINS + 1)
    numbers = np.searchsorted(edges, steps * (1 - 1e-9))  # 0 is before the last tenfold
    groups = [numbers == one for one in np.unique(numbers[numbers > 0])]
    if len(groups) < 2:
        return np.full(len(excess), np.nan)
    x = np.array([np.log(steps[group]).mean() for group in groups])
    y = np.stack([np.log(np.maximum(excess[:, group].mean(1), 1e-300)) for group in groups], 1)
    x = x - x.mean()
    # Seed by seed: a product of matrices would round differently with the number of seeds.
    return np.array([row @ x / (x @ x) for row in y])
