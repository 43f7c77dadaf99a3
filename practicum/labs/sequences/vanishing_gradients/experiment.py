"""Gradients shrink or grow by a factor at every step back in time, and clipping lets them learn.

Question
    How does the error that flows back through a recurrent network depend on the spectral radius of
    its weights? Does clipping the gradient's norm let the network learn over a long lag, does the
    paper's regularizer help further, and does an orthogonal start do as much without it?

What would refute it
    Below radius 1 the factor per step does not follow the radius: the exponent is not near 1. At
    radius 1.5 the gradient shrinks, or grows by more than 1.35 a step: then units that saturate
    would not hold it back. The test error is not lower with clipping than without, with the
    regularizer than with clipping alone, from an orthogonal start than from a normal one.

Arms and what is held equal
    radius 0.5, 0.7, 0.9, 1.5    first weights only: the same normal numbers, scaled to the radius
    sgd           plain gradient descent, from radius 0.95
    clip          the same, the gradient's norm at most 1
    regularized   clip, and the regularizer Omega
    orthogonal    control: clip from an orthogonal start, no regularizer. If a start does as much
                  as the regularizer, the regularizer was not needed here
    The four that learn see, at each seed, the same sequences in the same order, all of them fresh,
    and do the same number of updates; sgd, clip and regularized start from the same weights. All
    arms are tested on the same sequences. A network that guesses is wrong in 75 %: the radius
    arms, which never learn, are that control.
    Learning rates were chosen for each arm with seeds 1000 and 1001, which no run uses by default,
    by the error after the last update on sequences of their own: from 0.01, 0.03, 0.1, 0.3 and 1 at
    quick, from the first four at full; 0.1 where several had none wrong. In a first publication
    full had the rates of quick, and that of regularized was too large for it; a review found that,
    and all four arms were tuned again. The weight of Omega is 1 and the largest norm 1,
    both not tuned. Updates are equalised; an update with Omega costs about half as much again.

Primary measure
    test_error, percent of test sequences misclassified after the last update; for the radius arms
    growth, the factor of one step back.

Smallest effect that matters
    5 points of test error; 0.05 of the exponent; a factor of 1.05 in growth.

Pitfalls of naive reproductions
    Plain gradient descent with the learning rate that suits clipping: it needs a smaller one, so
    the grid goes down far enough. An orthogonal start that nobody compared with. Norms that
    underflow in float32 over a long lag; here the error is scaled to length 1 at each step.
    Reading the radius as the factor itself: the factor also depends on how far the units are
    saturated, and over a short lag on the singular values. The paper trains for up to millions of
    updates; few updates show which arm is sooner ready, not what is possible.
    Claims and margins were fixed after one pilot run of each arm that learns (seed 1000). The full
    scale was to have length 60; pilot runs showed that 1000 updates are far too few there for all
    arms but orthogonal, so it has 40 and more updates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from practicum.engine.clipping import ClipNorm
from practicum.engine.fit import fit
from practicum.engine.noise import GlobalNoise, Noise
from practicum.engine.optimizers import SGD
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.engine.train import Trained
from practicum.engine.updates import Batch
from practicum.evidence import Measure, lower, ratio, slope
from practicum.labs import figures as draw
from practicum.labs.lab import Scale, setting
from practicum.labs.sequences.vanishing_gradients.backflow import (
    Classifier,
    growth,
    log_norms,
    omega,
)
from practicum.labs.sequences.vanishing_gradients.data import CLASSES, SYMBOLS, temporal_order
from practicum.learning.supervised import error_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Gradients vanish or explode by a factor at every step back in time"
SOURCE = (
    "Pascanu, Mikolov, Bengio 2013, On the difficulty of training recurrent neural networks, "
    "ICML 2013, arXiv:1211.5063v2"
)
YEAR = 2013
DATA = ()

TEST_STREAM = 1_000_000  # the seed of the test sequences, the same for every arm and seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    length: int = setting(30, "symbols of a sequence", unit="symbols", paper=200, low=10)
    hidden: int = setting(50, "hidden units", unit="units", paper=50, low=2)
    radius: float = setting(0.95, "spectral radius of the first weights", paper=0.95, low=0.01)
    orthogonal: bool = setting(False, "first weights orthogonal, in place of normal numbers")
    learns: bool = setting(True, "train; otherwise only the first weights are measured")
    clip: float = setting(0.0, "largest norm of the gradient; 0: not clipped", low=0.0)
    omega: float = setting(0.0, "weight of the regularizer", low=0.0)
    rate: float = setting(0.1, "learning rate", paper=0.01, low=0.0)
    batch_size: int = setting(50, "sequences an update", unit="sequences", paper=20, low=1)
    steps: int = setting(800, "updates", unit="updates", paper=5_000_000, low=1)
    points: int = setting(20, "evaluations on the way", low=1)
    test_size: int = setting(1000, "test sequences", unit="sequences", paper=10000, low=10)


ARMS = {
    "radius 0.5": Setup(radius=0.5, learns=False),
    "radius 0.7": Setup(radius=0.7, learns=False),
    "radius 0.9": Setup(radius=0.9, learns=False),
    "radius 1.5": Setup(radius=1.5, learns=False),
    "sgd": Setup(rate=0.01),
    "clip": Setup(clip=1.0),
    "regularized": Setup(clip=1.0, omega=1.0),
    "orthogonal": Setup(clip=1.0, radius=1.0, orthogonal=True),
}

MEASURES = (
    Measure(
        "test_error",
        unit="%",
        better="lower",
        says="test sequences misclassified after the last update; guessing gives 75",
        diverged=75.0,
    ),
    Measure(
        "solved",
        better="higher",
        says="1 if at most 1 % of the test sequences are misclassified, else 0",
        diverged=0.0,
    ),
    Measure(
        "growth",
        better="neither",
        says="factor of the gradient's norm in one step back, first weights, geometric mean",
    ),
    Measure(
        "growth_after",
        better="neither",
        says="the same after the last update",
    ),
    Measure(
        "gradient",
        better="neither",
        says="log10 of the norm of the error by its norm at the end, over the lag, first weights",
    ),
    Measure(
        "error",
        unit="%",
        better="lower",
        says="test sequences misclassified, over updates; it chooses nothing",
        diverged=75.0,
    ),
)

CLAIMS = (
    slope(
        "growth",
        over={"radius 0.5": 0.5, "radius 0.7": 0.7, "radius 0.9": 0.9},
        setting="radius",
        log_x=True,
        log_y=True,
        at_least=0.8,
        at_most=1.2,
        matters=0.05,
        sentence="Below 1 the factor by which the gradient shrinks in one step back is "
        "proportional to the spectral radius.",
    ),
    ratio(
        "growth",
        "radius 1.5",
        to=1.5,
        at_least=0.6667,
        at_most=0.9,
        matters=1.05,
        sentence="At spectral radius 1.5 the gradient explodes, but slower than 1.5 a step, since "
        "units saturate.",
    ),
    lower(
        "test_error",
        "clip",
        than="sgd",
        matters=5.0,
        sentence="Clipping the gradient's norm lowers the error on the temporal order task.",
    ),
    lower(
        "test_error",
        "regularized",
        than="clip",
        matters=5.0,
        sentence="With clipping, the regularizer lowers the error on that task further.",
    ),
    lower(
        "test_error",
        "orthogonal",
        than="clip",
        matters=5.0,
        sentence="With clipping, an orthogonal start lowers it too, without the regularizer.",
    ),
)

SCALES = {
    "smoke": Scale(
        seeds=2,
        set={"length": 10, "hidden": 8, "batch_size": 8, "steps": 6, "points": 2, "test_size": 40},
    ),
    "quick": Scale(seeds=10),
    "full": Scale(seeds=10, set={"length": 40, "steps": 3000, "clip.rate": 0.03}),
    "paper": Scale(
        seeds=10,
        set={
            "length": 200,
            "batch_size": 20,
            "steps": 5_000_000,
            "points": 100,
            "test_size": 10000,
            "rate": 0.01,
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Measure the error's way back through the first weights; train; measure again."""
    with streams(TEST_STREAM).noise():
        test = services.place(*temporal_order(GlobalNoise(), setup.test_size, setup.length))
    first = [begin(setup, seed, services) for seed in seeds]
    before = [backflow(network, test) for network in first]
    ran = train(setup, test, seeds, services) if setup.learns else None
    last = first if ran is None else [one["network"] for one in ran.networks]
    error = torch.stack([wrong(network, test) for network in last])
    return Measurements(
        values={
            "test_error": error,
            "solved": (error <= 1.0).double(),
            "growth": torch.stack([growth(one) for one in before]),
            "growth_after": torch.stack([growth(backflow(one, test)) for one in last]),
            "gradient": torch.stack([log_norms(one) for one in before]),
            **({} if ran is None else {"error": ran.curves["error"]}),
        },
        diverged=None if ran is None else ran.diverged,
        steps={
            "gradient": torch.arange(1, setup.length),
            **({} if ran is None else {"error": ran.steps}),
        },
        weights=tuple(dict(network.state_dict()) for network in last),
    )


def build(setup: Setup) -> Classifier:
    """Return the network that an arm begins with."""
    return Classifier(
        SYMBOLS, setup.hidden, CLASSES, radius=setup.radius, orthogonal=setup.orthogonal
    )


def begin(setup: Setup, seed: int, services: Services) -> torch.nn.Module:
    """Return the network with the weights from which a seed begins."""
    with streams(seed).init():
        return build(setup).to(services.device, services.dtype)


def backflow(network: torch.nn.Module, test: tuple[Tensor, ...]) -> Tensor:
    """Return the factors of the error's way back on the test sequences, [T-1, sequences]."""
    with torch.no_grad():
        factors: Tensor = network(*test)[1]
        return factors


def wrong(network: Callable[..., Any], test: tuple[Tensor, ...]) -> Tensor:
    """Return the percentage of the test sequences that are misclassified."""
    with torch.no_grad():
        return error_percent(network(test[0])[0], test[1])


def train(
    setup: Setup, test: tuple[Tensor, ...], seeds: Sequence[int], services: Services
) -> Trained:
    """Train every seed on sequences that are drawn anew for each update, from its noise stream."""

    def loss(network: Callable[..., Any], batch: Batch, noise: Noise) -> Tensor:
        (places,) = batch
        x, y = temporal_order(noise, len(places), setup.length)
        logits, factors = network(x.to(places), y.to(places.device) if setup.omega else None)
        value = F.cross_entropy(logits, y.to(places.device))
        return value + setup.omega * omega(factors) if setup.omega else value

    def evaluate(network: Callable[..., Any], seed: int) -> Mapping[str, Tensor]:
        return {"error": wrong(network, test)}

    return fit(
        lambda: build(setup),
        loss=loss,
        optimizer=SGD(lr=setup.rate),
        data=services.place(torch.zeros(setup.batch_size)),  # one place for each fresh sequence
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=evaluate,
        clip=ClipNorm(norm=setup.clip) if setup.clip else None,
        seeds=seeds,
        services=services,
    )


def figures(record: Record) -> dict[str, Figure]:
    """Draw the gradient over the lag, its factor over the radius, and the errors."""
    learners = [arm for arm in record.arms if record.setups[arm]["learns"]]
    still = [arm for arm in record.arms if arm not in learners]
    drawn = {
        "How much of the error reaches a symbol, by how many steps it lies before the end; first "
        "weights, mean and 95 % interval": draw.curves(
            record, "gradient", arms=still, x_label="steps before the end", each_seed=False
        ),
        "Factor of the gradient's norm in one step back, over the spectral radius of the first "
        "weights": draw.against(
            record, "growth", "radius", by={"normal start": still}, log_x=True, log_y=True
        ),
    }
    if learners:
        drawn |= {
            "Error on the temporal order task while learning, mean and 95 % interval": draw.curves(
                record, "error", arms=learners, x_label="updates"
            ),
            "Error after the last update; lines join the arms of one seed": draw.dots(
                record, "test_error", arms=learners
            ),
        }
    return drawn
