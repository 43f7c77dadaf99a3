"""Dropout lowers test error when images are few, and not when they are many.

Question
    Does leaving out random units while training lower the test error of a network that is wide for
    its data, and is the gain gone when the network is small and the data are many?

What would refute it
    Few images, wide network: dropout's test error is not lower. Many images, small network:
    dropout's test error is not higher.

Arms and what is held equal
    plain, dropout               wide network, few images
    small-plain, small-dropout   small network, many images
    linear                       control: softmax regression on the few images
    Within a pair: images, initial weights, order of images, number of updates, optimizer, and the
    tuning: each arm and seed tries the same learning rates and keeps the one with the lowest
    validation error. Test images choose nothing. Updates are equalised, and there are many of
    them: dropout learns more slowly, and comparisons after few epochs show it losing.

Primary measure
    test_error, percent of test images misclassified, after the last update.

Smallest effect that matters
    0.5 points.

Pitfalls of naive reproductions
    Too few epochs (above). A network that is narrow for its data: dropping units then takes
    capacity away. A plain arm whose learning rate was never tuned. Max-norm constraints and very
    high momentum belong to the paper's best figure (0.95 % with 8192 x 2 units); they are not here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.data import load
from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.engine.train import Trained
from practicum.errors import PracticumError
from practicum.evidence import Measure, higher, lower
from practicum.labs import figures as draw
from practicum.labs.lab import Scale, setting
from practicum.learning.supervised import cross_entropy, error_percent
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Dropout lowers test error when images are few"
SOURCE = (
    "Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014, "
    "Dropout: a simple way to prevent neural networks from overfitting, JMLR 15:1929-1958"
)
YEAR = 2014
DATA = ("digits", "mnist", "fashion-mnist")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    data: str = setting("digits", "data set of the images", paper="MNIST")
    train_size: int = setting(200, "training images", unit="images", paper=60000, low=10)
    validation_size: int = setting(
        400, "images that choose the learning rate", unit="images", paper=10000, low=10
    )
    hidden: tuple[int, ...] = setting((512,), "units of each hidden layer", paper=(1024, 1024))
    dropout: float = setting(0.0, "chance to drop a hidden unit", paper=0.5, low=0, high=0.95)
    input_dropout: float = setting(0.0, "chance to drop an input", paper=0.2, low=0, high=0.9)
    rates: tuple[float, ...] = setting((0.03, 0.1, 0.3), "learning rates tried", low=None)
    momentum: float = setting(0.9, "heavy-ball momentum", paper=0.95, low=0, high=0.999)
    batch_size: int = setting(50, "images an update", unit="images", paper=100, low=1)
    steps: int = setting(800, "updates", unit="updates", paper=1000000, low=1)
    points: int = setting(10, "evaluations on the way", low=1)


ARMS = {
    "plain": Setup(),
    "dropout": Setup(dropout=0.5, input_dropout=0.2),
    "small-plain": Setup(hidden=(32,), train_size=1000),
    "small-dropout": Setup(hidden=(32,), train_size=1000, dropout=0.5, input_dropout=0.2),
    "linear": Setup(hidden=()),
}

MEASURES = (
    Measure(
        "test_error",
        unit="%",
        better="lower",
        says="test images misclassified after the last update",
        diverged=90.0,
    ),
    Measure(
        "train_error",
        unit="%",
        better="lower",
        says="training images misclassified after the last update, dropout off",
        diverged=90.0,
    ),
    Measure("rate", better="neither", says="the learning rate that validation chose", diverged=0.0),
    Measure(
        "validation_error",
        unit="%",
        better="lower",
        says="validation images misclassified at the chosen rate, by share of the updates",
        diverged=90.0,
    ),
)

CLAIMS = (
    lower(
        "test_error",
        "dropout",
        than="plain",
        matters=0.5,
        sentence="With few images and a wide network, dropout lowers the test error.",
    ),
    higher(
        "test_error",
        "small-dropout",
        than="small-plain",
        matters=0.5,
        sentence="With many images and a small network, dropout raises the test error.",
    ),
)

_MNIST = {
    "train_size": 1000,
    "validation_size": 5000,
    "batch_size": 100,
    "hidden": (1024,),
    "linear.hidden": (),
    "small-plain.hidden": (128,),
    "small-dropout.hidden": (128,),
    "small-plain.train_size": 20000,
    "small-dropout.train_size": 20000,
}
SCALES = {
    "smoke": Scale(seeds=2, set={"steps": 10, "rates": (0.1,), "points": 2}),
    "quick": Scale(seeds=10),
    "full": Scale(
        seeds=10,
        data="mnist",
        set={**_MNIST, "steps": 1000, "small-plain.steps": 3000, "small-dropout.steps": 3000},
    ),
    "paper": Scale(
        seeds=10,
        data="mnist",
        set={
            **_MNIST,
            "hidden": (1024, 1024),
            "linear.hidden": (),
            "small-plain.hidden": (128,),
            "small-dropout.hidden": (128,),
            "steps": 100000,
            "points": 50,
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train at every learning rate; keep for each seed the one that validation prefers."""
    images = load(setup.data)
    x, y = services.place(*images.train)
    rows = partial(split, setup, len(x))
    runs = [train(setup, rate, (x, y), rows, seeds, services) for rate in setup.rates]

    validation = torch.stack([run.final("validation_error") for run in runs])  # [rates, seeds]
    best = validation.nan_to_num(nan=torch.inf).argmin(0)  # a diverged rate is never chosen
    chosen = [runs[rate] for rate in best.tolist()]
    x_test, y_test = services.place(*images.test)
    test_error, train_error = [], []
    for i, (seed, run) in enumerate(zip(seeds, chosen, strict=True)):
        network = run.networks[i]["network"].eval()
        mine = rows(seed)[0]
        with torch.no_grad():
            test_error.append(error_percent(network(x_test), y_test))
            train_error.append(error_percent(network(x[mine]), y[mine]))
    return Measurements(
        values={
            "test_error": torch.stack(test_error),
            "train_error": torch.stack(train_error),
            "rate": torch.tensor(setup.rates)[best],
            "validation_error": pick([run.curves["validation_error"] for run in runs], best),
        },
        diverged=torch.stack([run.diverged for run in runs]).all(0),
        steps={"validation_error": 100 * runs[0].steps / setup.steps},
        weights=tuple(run.weights()[i] for i, run in enumerate(chosen)),
    )


def split(setup: Setup, available: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a seed's training and validation images; every arm of a pair gets the same.

    Raises:
        PracticumError: the data set has fewer images than the two settings ask for.
    """
    if setup.train_size + setup.validation_size > available:
        raise PracticumError(
            f"train_size {setup.train_size} and validation_size {setup.validation_size} ask for "
            f"more than the {available} training images of {setup.data}"
        )
    shuffled = torch.randperm(available, generator=streams(seed).generator("order"))
    return shuffled[: setup.train_size], shuffled[available - setup.validation_size :]


def train(
    setup: Setup,
    rate: float,
    data: tuple[Tensor, Tensor],
    rows: Callable[[int], tuple[Tensor, Tensor]],
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train every seed at one learning rate, measuring validation error on the way."""
    x, y = data
    inputs, classes = x[0].numel(), int(y.max()) + 1
    return fit(
        lambda: MLP(
            inputs,
            setup.hidden,
            classes,
            dropout=setup.dropout,
            input_dropout=setup.input_dropout,
        ),
        loss=cross_entropy,
        optimizer=SGD(lr=rate, momentum=setup.momentum),
        data=(x, y),
        rows=lambda seed: rows(seed)[0],
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=lambda network, seed: {
            "validation_error": error_percent(network(x[rows(seed)[1]]), y[rows(seed)[1]])
        },
        seeds=seeds,
        services=services,
        name=f"rate-{rate}",
    )


def pick(curves: list[Tensor], best: Tensor) -> Tensor:
    """Return each seed's chosen curve, [seeds, points], from one [seeds, points] per rate."""
    return torch.stack(curves)[best, torch.arange(len(best))]


def figures(record: Record) -> dict[str, Figure]:
    """Draw the test errors seed by seed, and validation error over the updates."""
    return {
        "Test error of every seed; lines join the arms of one seed": draw.dots(
            record, "test_error"
        ),
        "Validation error while training, mean and 95 % interval": draw.curves(
            record, "validation_error", x_label="updates done (%)"
        ),
    }
