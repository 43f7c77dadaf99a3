"""The two kinds of trial of the lab `gan`: points of a mixture, and images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.labs.generative.gan.learning import Judging, images, judging, made, mixture, play
from practicum.labs.generative.gan.measures import centres, misplaced, modes_hit, shares

if TYPE_CHECKING:
    from practicum.labs.generative.gan.experiment import Setup

POINTS_SHOWN, IMAGES_SHOWN = 1000, 10
"""Generated examples that the record keeps of its first seed."""


def points_trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Learn a mixture of Gaussians; count where the points are."""
    count, middles = setup.points_size, centres(setup.layout)
    found, weights = [], [dict[str, Tensor]() for _ in seeds]
    diverged = torch.zeros(len(seeds), dtype=torch.bool)
    if setup.network == "real":
        found = [mixture(setup, count, judging(seed)) for seed in seeds]
    else:
        mine = {seed: i for i, seed in enumerate(seeds)}
        drawn = [mixture(setup, count, streams(seed).order()) for seed in seeds]
        (data,) = services.place(torch.cat(drawn))
        run = play(
            setup, data, lambda seed: mine[seed] * count + torch.arange(count), seeds, services
        )
        generators = [networks["generator"] for networks in run.networks]
        found = [
            made(generator, setup.code, count, seed, services).cpu()
            for generator, seed in zip(generators, seeds, strict=True)
        ]
        weights, diverged = list(run.weights()), run.diverged
    held = [shares(one, middles, setup.spread) for one in found]
    return Measurements(
        values={
            "misplaced": torch.stack([misplaced(one) for one in held]),
            "modes": torch.stack([modes_hit(one) for one in held]),
        },
        diverged=diverged,
        weights=_with_samples(weights, found, POINTS_SHOWN),
    )


def images_trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Learn to make images; compare them with test images in the features of a classifier."""
    data = images(setup, services)
    judge = Judging(setup, data, seeds, services)
    weights: list[dict[str, Tensor]] = [{} for _ in seeds]
    diverged = torch.zeros(len(seeds), dtype=torch.bool)
    course, steps = {}, {}
    if setup.network in ("real", "gaussian"):
        found = [judge.control(seed) for seed in seeds]
    else:
        run = play(setup, data.x, lambda seed: judge.rows(seed)[0], seeds, services, judge.evaluate)
        found = [
            made(networks["generator"], setup.code, setup.test_size, seed, services)
            for networks, seed in zip(run.networks, seeds, strict=True)
        ]
        weights, diverged = list(run.weights()), run.diverged
        course = {"frechet_course": run.curves["frechet_course"]}
        steps = {"frechet_course": 100 * run.steps / run.steps[-1]}
    distances = [
        judge.distance(seed, one, judge.test(seed)) for seed, one in zip(seeds, found, strict=True)
    ]
    kinds = [judge.variety(seed, one) for seed, one in zip(seeds, found, strict=True)]
    return Measurements(
        values={"frechet": torch.stack(distances), "classes": torch.stack(kinds), **course},
        diverged=diverged,
        steps=steps,
        weights=_with_samples(weights, found, IMAGES_SHOWN),
    )


def _with_samples(
    weights: Sequence[dict[str, Tensor]], found: Sequence[Tensor], count: int
) -> tuple[dict[str, Tensor], ...]:
    """Return each seed's weights and, as "samples", the first of what was generated."""
    pairs = zip(weights, found, strict=True)
    return tuple({**one, "samples": made[:count].contiguous()} for one, made in pairs)
