"""What the lab `diffusion` measures of a seed, and how the seeds' measures are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.engine import evaluation
from practicum.engine.services import Measurements
from practicum.labs.generative.diffusion import tasks

if TYPE_CHECKING:
    from practicum.labs.generative.diffusion.experiment import Setup


def results(
    setup: Setup,
    task: tasks.Task,
    seed: int,
    far: Callable[[int, float], Tensor],
    nll: Tensor,
    lost: Tensor,
) -> dict[str, Tensor]:
    """Return the measures of one seed.

    Args:
        setup: the arm.
        task: its data.
        seed: the seed.
        far: (steps, eta) -> distance of samples.
        nll: the bound, in nats a number.
        lost: the error of there and back, for all numbers of steps.
    """
    counts = all_counts(setup)
    ddpm, ddim = (torch.stack([far(count, eta) for count in counts]) for eta in (1.0, 0.0))
    few = counts.index(setup.few)
    rows = task.train[seed][: len(task.test[seed])]
    return {
        "distance": ddpm[-1],
        "nll_bound": nll.double().cpu(),
        "few_ratio": ddpm[few] / ddim[few],
        "few_cost": ddpm[few] / ddpm[-1],
        "back_ratio": lost[few] / lost[-1] if lost.any() else torch.ones_like(lost[0]),
        "back": lost,
        "floor": distance(setup, task, seed, task.x[rows]),
        "ddpm": ddpm,
        "ddim": ddim,
    }


def all_counts(setup: Setup) -> tuple[int, ...]:
    """Return every number of steps that is measured, all steps last."""
    return (*setup.counts, setup.times)


def distance(setup: Setup, task: tasks.Task, seed: int, made: Tensor) -> Tensor:
    """Return how far examples are from as many test examples of a seed."""
    held = task.x[task.test[seed]][: len(made)]
    return tasks.sliced_wasserstein(made.flatten(1), held.flatten(1), task.axes, setup.directions)


def gathered(
    setup: Setup,
    rows: Sequence[dict[str, Tensor]],
    watched: Tensor,
    diverged: Tensor,
    weights: tuple[dict[str, Tensor], ...],
) -> Measurements:
    """Put the seeds' measures side by side."""
    counts = all_counts(setup)
    return Measurements(
        values={
            **{name: torch.stack([row[name] for row in rows]) for name in rows[0]},
            "validation_loss": watched,
        },
        diverged=diverged,
        steps={
            "ddpm": torch.tensor(counts),
            "ddim": torch.tensor(counts),
            "back": torch.tensor(counts),
            "validation_loss": torch.tensor(
                evaluation.points(setup.steps, max(1, setup.steps // setup.points))
            ),
        },
        weights=weights,
    )
