"""The data of the lab `diffusion`: two moons in the plane, or small images.

Every seed draws its own points, or its own split of the training images. Images are whole numbers
of grey; each pixel gets uniform noise of one level, so that a density on real numbers makes sense
(`practicum.learning.normalizing_flow`), and is scaled to lie between -1 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.data import load, two_moons
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.labs.splitting import split
from practicum.learning.normalizing_flow import dequantized

if TYPE_CHECKING:
    from practicum.labs.generative.diffusion.experiment import Setup

CENTRE, SCALE = (0.5, 0.25), (0.87, 0.5)
"""About mean and deviation of the moons' coordinates; any constants would do."""

NOISE = 0.1
"""Deviation of the points around their moons, before scaling."""

LEVELS = {"digits": 17}
"""Levels of grey; 256 in every other set."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """The examples of all seeds, and which are whose.

    Attributes:
        x: [N, *shape] points [2], or images [1, H, W].
        train: for each seed, the rows that it learns from.
        validation: for each seed, the rows that choose settings.
        test: for each seed, the rows that only the final measurement sees.
        axes: [D, C] directions in whose coordinates distributions are compared.
    """

    x: Float[Tensor, "N *shape"]
    train: Mapping[int, Int[Tensor, "_"]]
    validation: Mapping[int, Int[Tensor, "_"]]
    test: Mapping[int, Int[Tensor, "_"]]
    axes: Float[Tensor, "D C"]


def build(setup: Setup, seeds: Sequence[int], services: Services) -> Task:
    """Return the data of an arm; they depend on task, sizes and seed only."""
    drawn = points(setup, seeds) if setup.task == "moons" else images(setup, seeds)
    (x,), (axes,) = services.place(drawn.x), services.place(drawn.axes)
    return Task(x=x, train=drawn.train, validation=drawn.validation, test=drawn.test, axes=axes)


def points(setup: Setup, seeds: Sequence[int]) -> Task:
    """Draw every seed's own moons; they are compared as they are."""
    sizes = (setup.train_size, setup.validation_size, setup.test_size)
    first, second, total = sizes[0], sizes[0] + sizes[1], sum(sizes)
    drawn = []
    for seed in seeds:
        generator = streams(seed).numpy("order")
        raw, _ = two_moons(total, NOISE, generator)
        moved = (raw[generator.permutation(total)] - np.array(CENTRE)) / np.array(SCALE)
        drawn.append(torch.tensor(moved))
    rows = {seed: torch.arange(total) + number * total for number, seed in enumerate(seeds)}
    return Task(
        x=torch.cat(drawn),
        train={seed: mine[:first] for seed, mine in rows.items()},
        validation={seed: mine[first:second] for seed, mine in rows.items()},
        test={seed: mine[second:] for seed, mine in rows.items()},
        axes=torch.eye(2, dtype=torch.float64),
    )


def images(setup: Setup, seeds: Sequence[int]) -> Task:
    """Split the training images by seed; test images are the data set's own, from its first on.

    They are compared in their leading principal components, found on all training images and
    scaled to deviation 1: most directions of pixel space hold nothing but noise.
    """
    data = load(setup.data)
    shape, available = data.train[0].shape[1:], len(data.train[0])
    x = torch.cat((data.train[0], data.test[0][: setup.test_size])).double()
    x = x.reshape(len(x), 1, *shape[-2:])
    levels = LEVELS.get(setup.data, 256)
    uniform = torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    x = 2 * dequantized((x * (levels - 1)).round(), uniform, levels) - 1
    flat = x[:available].flatten(1)
    _, spread, rows = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    kept = setup.components
    axes = rows[:kept].T / (spread[:kept] / len(flat) ** 0.5)
    halves = {
        seed: split(setup.train_size, setup.validation_size, of=available, seed=seed,
                    data=setup.data)
        for seed in seeds
    }  # fmt: skip
    return Task(
        x=x,
        train={seed: half[0] for seed, half in halves.items()},
        validation={seed: half[1] for seed, half in halves.items()},
        test=dict.fromkeys(seeds, torch.arange(available, len(x))),
        axes=axes,
    )


def sliced_wasserstein(
    x: Float[Tensor, "n D"], y: Float[Tensor, "n D"], axes: Float[Tensor, "D C"], directions: int
) -> Float[Tensor, ""]:
    """Return the squared 2-Wasserstein distance of projections, the mean over directions.

    In one dimension the best pairing is that of the sorted numbers. The directions are the same
    in every call.

    Args:
        x: as many examples as y.
        y: examples.
        axes: the coordinates in which they are compared.
        directions: how many unit vectors of that space, drawn uniformly.
    """
    generator = torch.Generator().manual_seed(1)
    way = torch.randn(axes.shape[1], directions, generator=generator, dtype=torch.float64)
    way = way / way.norm(dim=0)
    one, other = (
        torch.sort(part.double().cpu() @ axes.double().cpu() @ way, dim=0).values for part in (x, y)
    )
    return (one - other).square().mean()
