"""What is measured of every arm of the lab `vae`, and what its figures show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.engine.evaluation import points
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.labs.generative.vae.learning import (
    Mixture,
    Rows,
    fit_mixture,
    gradient_noise,
    learn,
    walk,
)
from practicum.learning.variational import active_units, estimate
from practicum.nn.vae import VAE

if TYPE_CHECKING:
    from practicum.labs.generative.vae.experiment import Setup

SHOWN, WALK, UNITS = 20, 12, 20  # samples kept, side of the walk, units of the code reported


def networks(
    setup: Setup, bits: Tensor, rows: Rows, test: Tensor, seeds: Sequence[int], services: Services
) -> Measurements:
    """Train at every rate, choose by validation bound, and measure the chosen networks."""
    runs = [learn(setup, rate, bits, rows, seeds, services) for rate in setup.rates]
    validation = torch.stack([run.final("validation_bound") for run in runs])  # [rates, seeds]
    best = validation.nan_to_num(nan=-math.inf).argmax(0)  # a diverged rate is never chosen
    chosen = [runs[rate] for rate in best.tolist()]
    measured, kept = [], []
    for i, (seed, run) in enumerate(zip(seeds, chosen, strict=True)):
        network = run.networks[i]["network"].eval()
        assert isinstance(network, VAE)
        batch = bits[rows(seed)[1][: setup.batch_size]]
        measured.append(measure(setup, network, test, batch, seed))
        kept.append({**run.weights()[i], **shown(setup, network, test, seed)})
    return Measurements(
        values={
            **{name: torch.stack([one[name] for one in measured]) for name in measured[0]},
            "rate": torch.tensor(setup.rates, dtype=torch.float64)[best],
            "validation_elbo": torch.stack(
                [run.curves["validation_elbo"][i] for i, run in enumerate(chosen)]
            ),
        },
        diverged=torch.stack([run.diverged for run in runs]).all(0),
        steps=steps_of(setup),
        weights=tuple(kept),
    )


def measure(
    setup: Setup, network: VAE, test: Tensor, batch: Tensor, seed: int
) -> dict[str, Tensor]:
    """Return everything that is measured of one trained network."""
    generator = streams(seed).generator("noise")
    found = estimate(network, test, generator, sizes=setup.sizes)
    bounds = found.bounds.double().mean(0)
    noise = partial(
        gradient_noise, network, batch, samples=setup.samples, repeats=setup.repeats, seed=seed
    )
    elbo = found.elbo.double().mean()
    decades = math.log10(noise("score") / noise("reparameterised"))
    by_unit = found.divergence.double().mean(0).sort(descending=True).values[:UNITS]
    empty = torch.full((UNITS - len(by_unit),), math.nan, dtype=torch.float64)
    return {
        "log_likelihood": bounds[-1],
        "elbo": elbo,
        "gap": bounds[-1] - elbo,
        "active_units": active_units(found.mean),
        "decades_of_variance": torch.tensor(decades, dtype=torch.float64),
        "unit_divergence": torch.cat((by_unit.cpu(), empty)),
        "bound": bounds,
    }


def shown(setup: Setup, network: VAE, test: Tensor, seed: int) -> dict[str, Tensor]:
    """Return what the figures show: samples, some test images, and the walk over a code of 2."""
    drawn = torch.randn(
        (SHOWN, setup.code), generator=streams(seed).generator("noise"), dtype=test.dtype
    )
    with torch.no_grad():
        made = network.decoder(drawn.to(test.device)).sigmoid()
    kept = {"shown.samples": made, "shown.images": test[:SHOWN].clone()}
    return {**kept, "shown.walk": walk(network, WALK)} if setup.code == 2 else kept


def mixtures(
    setup: Setup, bits: Tensor, rows: Rows, test: Tensor, seeds: Sequence[int], services: Services
) -> Measurements:
    """Fit mixtures of every number of components, and measure the one that validation prefers."""
    chosen = [tuned_mixture(setup, bits, rows, seed, services) for seed in seeds]
    exact = torch.stack([one.log_likelihood(test).double().mean() for one, _ in chosen])
    nothing = torch.zeros(len(seeds), dtype=torch.float64)
    curve = torch.tensor([level for _, level in chosen], dtype=torch.float64)
    steps = steps_of(setup)
    return Measurements(
        values={
            "log_likelihood": exact,
            "elbo": exact,
            **{name: nothing for name in ("gap", "active_units", "decades_of_variance", "rate")},
            "validation_elbo": curve[:, None].repeat(1, len(steps["validation_elbo"])),
            "unit_divergence": torch.full((len(seeds), UNITS), math.nan, dtype=torch.float64),
            "bound": exact[:, None].repeat(1, len(setup.sizes)),
        },
        steps=steps,
        weights=tuple(
            {
                "shares": one.shares,
                "chances": one.chances,
                "shown.samples": one.draw(SHOWN, streams(seed).generator("noise")),
                "shown.images": test[:SHOWN].clone(),
            }
            for (one, _), seed in zip(chosen, seeds, strict=True)
        ),
    )


def tuned_mixture(
    setup: Setup, bits: Tensor, rows: Rows, seed: int, services: Services
) -> tuple[Mixture, float]:
    """Return the mixture with the highest validation likelihood, and that likelihood."""
    x, held = (bits[part] for part in rows(seed))
    found = [
        fit_mixture(x, size, sweeps=setup.sweeps, seed=seed, services=services)
        for size in setup.components
    ]
    levels = [float(one.log_likelihood(held).double().mean()) for one in found]
    best = levels.index(max(levels))
    return found[best], levels[best]


def steps_of(setup: Setup) -> dict[str, Tensor]:
    """Return where the points of the curves lie."""
    return {
        "validation_elbo": torch.tensor(points(setup.steps, max(1, setup.steps // setup.points))),
        "unit_divergence": torch.arange(1, UNITS + 1),
        "bound": torch.tensor(setup.sizes),
    }
