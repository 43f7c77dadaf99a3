"""Batch normalisation bears larger learning rates and learns in fewer steps, even with noise added.

Question
    How much larger can the learning rate be with batch normalisation, how many updates does it
    save, and does the benefit vanish when noise makes the normalised distributions shift again?

What would refute it
    The largest stable learning rate is less than 5 times that of the plain network. The test error
    at which the plain network ends is reached only after more than a third of its updates. With
    noise after the normalisation, the network is no longer ahead of the plain one.

Arms and what is held equal
    plain, batchnorm             three hidden layers of sigmoid units, as in the paper
    noisy-batchnorm              batchnorm, and noise after every normalisation
    noisy-plain                  control: the same noise in the plain network
    relu-plain, relu-batchnorm   the pair with rectified units; no claim
    Equal within a pair: images and their order, the deviation of the first weights, momentum,
    number of updates, and the tuning: every arm and seed trains once at every rate of one grid.
    Updates are equalised; an update with batch normalisation costs more time. Normalised layers
    have gamma and beta in place of a bias: one more number for each hidden unit.

How it is decided
    Stable is a rate at which the training loss, averaged over the last stretch between two
    evaluations, is finite and below half the loss of guessing, log K. The largest such rate of the
    grid is the primary measure; a trial without one counts with half the smallest rate. A rate at
    the top of the grid is a lower limit. For the race to the plain network's last test error, each
    arm and seed runs at the rate with the lowest validation error after the last update (the
    smallest of equal ones). Test images choose nothing.

Primary measure
    largest_stable_rate, the largest learning rate of the grid at which training is stable.

Smallest effect that matters
    A factor of 1.5 beyond the claimed factor.

Pitfalls of naive reproductions
    A plain network at a poor learning rate, which makes any figure possible. Inputs that are not
    standardised, which hurts only the plain network. Measuring in training mode, where the answer
    for an image depends on the rest of its batch. Batches of 2 to 8 images, which reverse the
    result. Sigmoid units, with which plain networks do worst: see the relu pair. The grid and
    the number of updates were chosen with seeds that no run uses by default (1000 and 1001), the
    thresholds before any run. The noise was made stronger, which makes its claims harder to
    support, after a first run of ten seeds at the quick scale.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.data import load
from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError
from practicum.evidence import Measure, ratio, sooner
from practicum.labs import figures as draw
from practicum.labs.lab import Scale, setting
from practicum.labs.training.batchnorm.drawing import loss_against_rate, stable_rates
from practicum.labs.training.batchnorm.learning import error, split, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Batch normalisation bears larger learning rates and needs fewer updates"
SOURCE = (
    "Ioffe, Szegedy 2015, Batch normalization: accelerating deep network training by reducing "
    "internal covariate shift, arXiv:1502.03167v3; Santurkar, Tsipras, Ilyas, Madry 2018, How does "
    "batch normalization help optimization?, arXiv:1805.11604"
)
YEAR = 2015
DATA = ("digits", "mnist", "fashion-mnist")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    data: str = setting("digits", "data set of the images", paper="MNIST")
    train_size: int = setting(1100, "training images", unit="images", paper=60000, low=2)
    validation_size: int = setting(
        300, "images that choose the learning rate", unit="images", low=10
    )
    watched: int = setting(1000, "test images measured on the way, at most", unit="images", low=10)
    hidden: tuple[int, ...] = setting(
        (100, 100, 100), "units of each hidden layer", paper=(100, 100, 100)
    )
    activation: str = setting(
        "sigmoid", "nonlinearity", paper="sigmoid", choices=("sigmoid", "relu", "tanh")
    )
    normalize: bool = setting(False, "normalise the hidden layers over each batch")
    noise: bool = setting(False, "perturb what enters the nonlinearities while training")
    shift: float = setting(1.0, "deviation of the noise's mean, over units and updates", low=0)
    scale: float = setting(0.5, "deviation of the noise's log factor, likewise", low=0)
    jitter: float = setting(0.5, "deviation of the noise within a batch", low=0)
    deviation: float = setting(0.1, "of the first weights, drawn from a normal", low=1e-6)
    rates: tuple[float, ...] = setting(
        (0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), "learning rates tried, rising"
    )
    stable_below: float = setting(
        0.5, "training loss that counts as stable, as a share of the loss of guessing", low=0
    )
    momentum: float = setting(0.9, "heavy-ball momentum", low=0, high=0.999)
    batch_size: int = setting(60, "images an update", unit="images", paper=60, low=1)
    steps: int = setting(300, "updates", unit="updates", paper=50000, low=1)
    points: int = setting(20, "evaluations on the way", low=1)


ARMS = {
    "plain": Setup(),
    "batchnorm": Setup(normalize=True),
    "noisy-batchnorm": Setup(normalize=True, noise=True),
    "noisy-plain": Setup(noise=True),
    "relu-plain": Setup(activation="relu"),
    "relu-batchnorm": Setup(activation="relu", normalize=True),
}

MEASURES = (
    Measure(
        "largest_stable_rate",
        better="higher",
        says="the largest learning rate at which the training loss ends below the stable share",
        diverged=0.015625,
    ),
    Measure(
        "test_error",
        unit="%",
        better="lower",
        says="test images misclassified after the last update, at the rate that validation chose",
        diverged=90.0,
    ),
    Measure(
        "watched_error",
        unit="%",
        better="lower",
        says="the first test images misclassified over updates, at the chosen rate",
        diverged=90.0,
    ),
    Measure("rate", better="neither", says="the rate that validation chose", diverged=0.0),
    Measure(
        "loss_at_rate",
        better="lower",
        says="training loss at the end, divided by the loss of guessing, over learning rates",
        diverged=1.0,
    ),
)

CLAIMS = (
    ratio(
        "largest_stable_rate",
        "batchnorm",
        to="plain",
        at_least=5.0,
        matters=1.5,
        sentence="Batch normalisation bears a learning rate at least five times as large.",
    ),
    sooner(
        "watched_error",
        "batchnorm",
        than="plain",
        factor=1 / 3,
        matters=1.5,
        sentence="With batch normalisation a third of the updates suffices for the plain "
        "network's last test error.",
    ),
    ratio(
        "largest_stable_rate",
        "noisy-batchnorm",
        to="plain",
        at_least=1.0,
        matters=1.5,
        sentence="With noise after the normalisation the network still bears a larger learning "
        "rate than the plain one.",
    ),
    sooner(
        "watched_error",
        "noisy-batchnorm",
        than="plain",
        factor=1.0,
        matters=1.5,
        sentence="With noise after the normalisation the network still needs fewer updates than "
        "the plain one for the plain one's last test error.",
    ),
)

_MNIST = {"train_size": 50000, "validation_size": 1000}
SCALES = {
    "smoke": Scale(seeds=2, set={"steps": 6, "rates": (0.25, 2.0), "points": 2}),
    "quick": Scale(seeds=10),
    "full": Scale(seeds=10, data="mnist", set={**_MNIST, "steps": 500}),
    "paper": Scale(seeds=10, data="mnist", set={**_MNIST, "steps": 50000, "points": 100}),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train at every learning rate; find the largest stable one, and the one to race with."""
    if not setup.rates or any(a >= b for a, b in itertools.pairwise((0.0, *setup.rates))):
        raise PracticumError(f"the rates must rise from above 0, not {setup.rates}")
    images = load(setup.data).standardized()
    x, y = services.place(*images.train)
    x_test, y_test = services.place(*images.test)
    rows = partial(split, setup, len(x))
    watched = (x_test[: setup.watched], y_test[: setup.watched])
    runs = [train(setup, rate, (x, y), rows, watched, seeds, services) for rate in setup.rates]

    guessing = math.log(int(y.max()) + 1)  # the loss of answering with equal probabilities
    losses = torch.stack([run.final("loss") for run in runs], 1) / guessing  # [seeds, rates]
    validation = torch.stack([run.final("validation_error") for run in runs])  # [rates, seeds]
    best = validation.nan_to_num(nan=torch.inf).argmin(0)  # a diverged rate is never chosen
    chosen = [runs[rate] for rate in best.tolist()]
    return Measurements(
        values={
            "largest_stable_rate": largest_stable(losses, setup),
            "test_error": torch.stack(
                [
                    error(run.networks[i]["network"].eval(), x_test, y_test)
                    for i, run in enumerate(chosen)
                ]
            ),
            "watched_error": torch.stack(
                [run.curves["watched_error"][i] for i, run in enumerate(chosen)]
            ),
            "rate": torch.tensor(setup.rates, dtype=torch.float64)[best],
            "loss_at_rate": losses,
        },
        diverged=torch.stack([run.diverged for run in runs]).all(0),
        steps={"watched_error": runs[0].steps, "loss_at_rate": setup.rates},
        weights=tuple(run.weights()[i] for i, run in enumerate(chosen)),
    )


def largest_stable(losses: Tensor, setup: Setup) -> Tensor:
    """Return each seed's largest rate whose loss [seeds, rates] is stable, if none half the least.

    A diverged run's loss is NaN, which is below nothing.
    """
    rates = torch.tensor(setup.rates, dtype=torch.float64)
    return torch.where(losses < setup.stable_below, rates, rates[0] / 2).amax(1)


def figures(record: Record) -> dict[str, Figure]:
    """Draw the loss against the learning rate, and the race at the chosen rates."""
    pairs = {
        "sigmoid": ["plain", "batchnorm", "noisy-batchnorm", "noisy-plain"],
        "relu": ["relu-plain", "relu-batchnorm"],
    }
    return {
        "Training loss at the end against the learning rate, as a share of the loss of guessing: "
        "median over seeds and each seed; below the line training counts as stable. Diverged runs "
        "and losses above 4 are drawn at 4": loss_against_rate(record, pairs),
        "Test error over updates, each arm and seed at the learning rate that validation chose": (
            draw.curves(record, "watched_error", arms=pairs["sigmoid"], x_label="updates")
        ),
        "The largest stable learning rate of every seed (rate of the grid), arm by arm": (
            stable_rates(record)
        ),
    }
