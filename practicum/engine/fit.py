"""Supervised training: a thin layer that writes the recipe of one network and one loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from jaxtyping import Int
from torch import Tensor, nn

from practicum.engine.clipping import Clip
from practicum.engine.noise import Noise
from practicum.engine.optimizers import OptimizerSpec
from practicum.engine.schedules import Schedule
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Batch, Networks, Update

SupervisedLoss = Callable[[Callable[..., Tensor], Batch, Noise], Tensor]
SupervisedEvaluate = Callable[[Callable[..., Tensor], int], Mapping[str, Tensor | float]]


def fit(
    network: Callable[[], nn.Module],
    *,
    loss: SupervisedLoss,
    optimizer: OptimizerSpec,
    data: tuple[Tensor, ...],
    batch_size: int,
    steps: int,
    seeds: Sequence[int],
    services: Services,
    rows: Callable[[int], Int[Tensor, "n"]] | None = None,
    evaluate: SupervisedEvaluate | None = None,
    every: int | None = None,
    accumulate: int = 1,
    clip: Clip | None = None,
    schedule: Schedule | None = None,
    name: str = "training",
) -> Trained:
    """Train one network, once for every seed.

    Args:
        network: builds the network; called under each seed's initialisation stream.
        loss: (network, batch, noise) -> scalar; a batch is a tuple in the order of `data`.
        optimizer: how the weights move.
        data: tensors with the examples as first axis, usually inputs and targets.
        batch_size: examples a step.
        steps: updates in all.
        seeds: the seeds to train.
        services: what the engine handed to the trial.
        rows: for a seed, the indices of the examples it trains on; None: all.
        evaluate: (network, seed) -> measures by name; in evaluation mode, without gradients.
        every: steps between evaluations; None: only at the end.
        accumulate: parts that a batch is cut into.
        clip: gradient clipping, or None.
        schedule: factor on the learning rate, or None.
        name: tells several trainings of one trial apart.

    Raises:
        PracticumError: the batch size does not fit the data, or the network cannot run in lanes.
    """

    def on_network(
        networks: Networks, batch: Batch, noise: Noise
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return loss(networks["network"], batch, noise), {}

    recipe = Recipe(
        networks={"network": network},
        optimizers={"main": Trains(spec=optimizer, networks=("network",))},
        updates=(Update(loss=on_network, accumulate=accumulate, clip=clip, schedule=schedule),),
        data=data,
        batch_size=batch_size,
        steps=steps,
        rows=rows,
        evaluate=None if evaluate is None else partial(_evaluate, evaluate),
        every=every,
        name=name,
    )
    return train(recipe, seeds, services)


def _evaluate(
    evaluate: SupervisedEvaluate, networks: Networks, seed: int
) -> Mapping[str, Tensor | float]:
    return evaluate(networks["network"], seed)
