"""The data of the lab `flow`: points in the plane whose density is known.

Every seed draws its own points. They are shifted and scaled by constants of the set, so that each
coordinate has about mean 0 and deviation 1; densities are per unit of the scaled plane.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.data import rings, two_moons
from practicum.engine.seeds import streams
from practicum.engine.services import Services

if TYPE_CHECKING:
    from practicum.labs.generative.flow.experiment import Setup

SETS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "moons": two_moons,
    "rings": rings,
}
CENTRES = {"moons": (0.5, 0.25), "rings": (0.0, 0.0)}
SCALES = {"moons": (0.87, 0.5), "rings": (0.56, 0.56)}
"""About mean and deviation of each coordinate; any constants would do."""

ANGLES = 240
"""Points of the quadrature along a curve: less than a deviation of 0.03 apart."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """The points of all seeds, and which are whose.

    Attributes:
        x: [N, 2] scaled points.
        train: for each seed, the rows that it learns from.
        validation: for each seed, the rows that choose settings.
        test: for each seed, the rows that only the final measurement sees.
    """

    x: Float[Tensor, "N 2"]
    train: Mapping[int, Int[Tensor, "_"]]
    validation: Mapping[int, Int[Tensor, "_"]]
    test: Mapping[int, Int[Tensor, "_"]]


def draw(setup: Setup, seeds: Sequence[int], services: Services) -> Points:
    """Draw every seed's points; they depend on set, sizes and seed, not on the model."""
    sizes = (setup.train_size, setup.validation_size, setup.test_size)
    first, second, total = sizes[0], sizes[0] + sizes[1], sum(sizes)
    drawn = []
    for seed in seeds:
        generator = streams(seed).numpy("order")
        raw, _ = SETS[setup.set](total, setup.deviation, generator)
        drawn.append(torch.tensor(scaled(setup.set, raw[generator.permutation(total)])))
    (x,) = services.place(torch.cat(drawn))
    rows = {seed: torch.arange(total) + number * total for number, seed in enumerate(seeds)}
    return Points(
        x=x,
        train={seed: mine[:first] for seed, mine in rows.items()},
        validation={seed: mine[first:second] for seed, mine in rows.items()},
        test={seed: mine[second:] for seed, mine in rows.items()},
    )


def scaled(name: str, raw: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Return points in the scaled plane."""
    moved: Float[np.ndarray, "n 2"] = (raw - np.array(CENTRES[name])) / np.array(SCALES[name])
    return moved


def curves(name: str) -> Float[np.ndarray, "angles 2"]:
    """Return equally likely points of a set without its noise, in the unscaled plane."""
    share = (np.arange(ANGLES) + 0.5) / ANGLES
    t = np.pi * share if name == "moons" else 2 * np.pi * share
    arc = np.stack([np.cos(t), np.sin(t)], 1)
    other = np.array([1, 0.5]) - arc if name == "moons" else 0.5 * arc
    return np.concatenate([arc, other])


def log_truth(name: str, deviation: float, x: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
    """Return the true log density of scaled points, in nats.

    It is the mean over the curves of the normal density around each of their points.
    """
    scale = torch.tensor(SCALES[name], dtype=torch.float64)
    raw = x.double() * scale + torch.tensor(CENTRES[name], dtype=torch.float64)
    middles = torch.tensor(curves(name))
    logs = [
        torch.logsumexp(-torch.cdist(part, middles).square() / (2 * deviation**2), 1)
        for part in torch.split(raw, 4096)  # the distances of all at once would fill the memory
    ]
    constant = math.log(len(middles)) + math.log(2 * math.pi * deviation**2)
    return torch.cat(logs) - constant + scale.log().sum()
