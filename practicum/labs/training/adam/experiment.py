"""Adam on a sequence that leads it astray, and beside momentum over a grid of learning rates.

Question
    Does Adam end at the worst point of a problem that a change of one line, AMSGrad, solves? And is
    Adam less sensitive to its learning rate than gradient descent with momentum, without being
    better at each one's best rate?

What would refute it
    Sequence: Adam ends below 0.9, or AMSGrad above -0.9, from some start or at some step size; in
    the random sequence, Adam ends on the good side, or AMSGrad on the bad one.
    Images: the range of rates within one point of the best is not at least half a decade wider
    under Adam; at the best rates the test errors differ by more than 0.5 points.

Arms and what is held equal
    periodic adam, amsgrad, descent   Reddi's sequence: slope 1010 every 101st step, else -10
    random adam, amsgrad, descent     slope 1010 with probability 1/100, else -10
    momentum, adam                    a perceptron with one hidden layer on images
    linear                            control: softmax regression, trained with momentum
    Sequence: a seed decides the start between the walls and where in the period it begins, or the
    random draws; the methods share them, and the step sizes. Descent is a control: it shows that
    nothing is hard about the problem itself.
    Images: a seed's images, first weights and order of images are the same for every optimizer, and
    so are the updates and the grid of learning rates, which holds every half decade from 0.00001 to
    1. Best is the rate with the lowest validation error (the smallest of equal ones). Test images
    choose nothing.

Primary measure
    width, decades of learning rates whose validation error is within one point of the lowest, with
    straight lines between the rates of the grid.

Smallest effect that matters
    Half a decade; half a point of test error.

Pitfalls of naive reproductions
    Comparing both at their default rates. A grid that ends before one method gets bad, which makes
    its range look narrow. A rate of momentum 0.9 is worth ten times as much as the same rate
    without, so that ranges must be compared on a logarithmic scale. In the sequence: starting with
    the large slope, as the paper does, throws AMSGrad to the right end in the first steps, where it
    then only has to stay; here the place in the period is random. AMSGrad's way is long: with
    averages of squares near 150^2 and a mean slope of 0.1, crossing takes some hundred thousand
    steps unless alpha is above one. Training images per set, updates and the ends of the grid were
    chosen on validation images with seeds that no run uses by default (1000 and 1001), the same for
    both optimizers; step sizes of the sequence were computed from that estimate; thresholds before
    any run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from practicum.data import load
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, bounded, equivalent, higher, lower
from practicum.labs import figures as draw
from practicum.labs.lab import Scale, setting
from practicum.labs.training.adam import sequence
from practicum.labs.training.adam.drawing import paths
from practicum.labs.training.adam.learning import split, train, width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Adam can converge to the worst point, and is not better at the best learning rate"
SOURCE = (
    "Kingma, Ba 2015, Adam: a method for stochastic optimization, arXiv:1412.6980v9; "
    "Reddi, Kale, Kumar 2018, On the convergence of Adam and beyond, arXiv:1904.09237v1"
)
YEAR = 2015
DATA = ("digits", "mnist", "fashion-mnist")

GUESSING = 90.0  # the error with which a diverged rate counts
POINTS = 50  # of a path along the sequence
RARE = 0.3  # 20 seeds without an exception exclude it, for as many claims as there are


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: a problem and an optimizer."""

    problem: str = setting("images", "what is minimised", choices=("images", "periodic", "random"))
    method: str = setting(
        "adam", "the optimizer", choices=("adam", "amsgrad", "momentum", "descent")
    )
    data: str = setting("digits", "data set of the images", paper="MNIST")
    train_size: int = setting(1000, "training images", unit="images", paper=60000, low=10)
    validation_size: int = setting(
        437, "images that judge the learning rates", unit="images", low=10
    )
    hidden: tuple[int, ...] = setting((64,), "units of each hidden layer", paper=(1000, 1000))
    batch_size: int = setting(32, "images an update", unit="images", paper=128, low=1)
    steps: int = setting(500, "updates", unit="updates", low=1)
    rates: tuple[float, ...] = setting(
        (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0), "learning rates tried"
    )
    within: float = setting(1.0, "error above the lowest that still counts", unit="points", low=0)
    momentum: float = setting(0.9, "heavy-ball momentum", low=0, high=0.999)
    beta1: float = setting(0.9, "memory of the gradients", paper=0.9, low=0, high=0.9999)
    beta2: float = setting(
        0.999, "memory of their squares (0.99 on the sequence)", paper=0.999, low=0, high=0.99999
    )
    length: int = setting(1_000_000, "steps along the sequence", unit="steps", low=POINTS)
    alphas: tuple[float, ...] = setting(
        (2.0, 4.0, 8.0), "step sizes along the sequence, divided by sqrt(t)"
    )


ARMS = {
    "periodic adam": Setup(problem="periodic", method="adam", beta2=0.99),
    "periodic amsgrad": Setup(problem="periodic", method="amsgrad", beta2=0.99),
    "periodic descent": Setup(problem="periodic", method="descent"),
    "random adam": Setup(problem="random", method="adam", beta2=0.99),
    "random amsgrad": Setup(problem="random", method="amsgrad", beta2=0.99),
    "random descent": Setup(problem="random", method="descent"),
    "momentum": Setup(method="momentum"),
    "adam": Setup(method="adam"),
    "linear": Setup(method="momentum", hidden=()),
}

MEASURES = (
    Measure(
        "width",
        unit="decades",
        better="higher",
        says="decades of rates with a validation error within a point of the lowest",
        diverged=0.0,
    ),
    Measure(
        "test_error",
        unit="%",
        better="lower",
        says="test images misclassified at the rate that validation chose",
        diverged=GUESSING,
    ),
    Measure("rate", better="neither", says="the rate that validation chose"),
    Measure(
        "error_at_rate",
        unit="%",
        better="lower",
        says="test images misclassified, over learning rates; a diverged one guesses",
    ),
    Measure(
        "final_x",
        better="lower",
        says="x over the last tenth of the steps, at the smallest step size; -1 is best",
    ),
    Measure("lowest_x", better="lower", says="the lowest of such x among the step sizes"),
    Measure("highest_x", better="lower", says="the highest of such x among the step sizes"),
    Measure("x", better="lower", says="x over steps, at the smallest step size"),
)

CLAIMS = (
    higher(
        "width",
        "adam",
        than="momentum",
        by=0.5,
        matters=0.5,
        sentence="The range of learning rates within one point of the best is at least half a "
        "decade wider for Adam than for momentum.",
    ),
    equivalent(
        "test_error",
        "adam",
        to="momentum",
        within=0.5,
        sentence="At each one's best rate Adam and momentum differ by less than 0.5 points.",
    ),
    bounded(
        "lowest_x",
        arms=["periodic adam"],
        at_least=0.9,
        rare=RARE,
        sentence="On the periodic sequence Adam ends at the worst point, from every start and at "
        "every step size.",
    ),
    bounded(
        "highest_x",
        arms=["periodic amsgrad"],
        at_most=-0.9,
        rare=RARE,
        sentence="On the same sequence AMSGrad ends at the best point, from every start and at "
        "every step size.",
    ),
    higher(
        "final_x",
        "random adam",
        than=0.0,
        matters=0.25,
        sentence="On the random sequence Adam ends on the wrong side.",
    ),
    lower(
        "final_x",
        "random amsgrad",
        than=0.0,
        matters=0.25,
        sentence="On the random sequence AMSGrad ends on the right side.",
    ),
)

_MNIST = {"train_size": 5000, "validation_size": 5000, "batch_size": 64, "length": 4_000_000}
SCALES = {
    "smoke": Scale(seeds=2, set={"steps": 10, "rates": (1e-3, 1e-2, 0.1), "length": 600}),
    "quick": Scale(seeds=20),
    "full": Scale(
        seeds=20,
        data="mnist",
        set={**_MNIST, "hidden": (128,), "linear.hidden": (), "steps": 600},
    ),
    "paper": Scale(
        seeds=20,
        data="mnist",
        set={
            **_MNIST,
            "train_size": 50000,
            "batch_size": 128,
            "hidden": (1000, 1000),
            "linear.hidden": (),
            "steps": 20000,
            "length": 10_000_000,
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train at every rate, or walk along the sequence with every step size."""
    return (
        _images(setup, seeds, services)
        if setup.problem == "images"
        else _sequence(setup, seeds, services)
    )


def _images(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    images = load(setup.data)
    x, y = services.place(*images.train)
    x_test, y_test = services.place(*images.test)
    rows = partial(split, setup, len(x))
    runs = [
        train(setup, rate, (x, y), rows, (x_test, y_test), seeds, services) for rate in setup.rates
    ]
    # [seeds, rates]; a diverged rate has the error of guessing
    validation, test = (
        torch.stack([run.final(name) for run in runs], 1).nan_to_num(nan=GUESSING)
        for name in ("validation_error", "test_error")
    )
    best = validation.argmin(1)
    return Measurements(
        values={
            "width": width(validation, setup.rates, setup.within),
            "test_error": test.gather(1, best[:, None])[:, 0],
            "rate": torch.tensor(setup.rates, dtype=torch.float64)[best],
            "error_at_rate": test,
        },
        diverged=torch.stack([run.diverged for run in runs]).all(0),
        steps={"error_at_rate": setup.rates},
        weights=tuple(runs[rate].weights()[i] for i, rate in enumerate(best.tolist())),
    )


def _sequence(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Walk along a seed's slopes, a stretch at a time for all seeds."""
    rule = sequence.Rule(method=setup.method, beta1=setup.beta1, beta2=setup.beta2)
    random = [streams(seed) for seed in seeds]
    stretch = -(-setup.length // POINTS)
    walks = [
        sequence.directions(rule, sequence.slopes(setup.problem, one, setup.length, stretch))
        for one in random
    ]
    x = [np.full(len(setup.alphas), sequence.start(one)) for one in random]  # seeds, [alphas]
    path, means, ends = [], [], []
    for done, directions in enumerate(zip(*walks, strict=True)):
        t = done * stretch + 1.0 + np.arange(len(directions[0]))
        scale = np.array(setup.alphas)[:, None] / np.sqrt(t)
        walked = [sequence.walk(x[i], scale * one) for i, one in enumerate(directions)]
        x = [last for last, _ in walked]
        path.append([last[0] for last in x])
        means.append([mean for _, mean in walked])
        ends.append(int(t[-1]))
        _tell(services, done + 1)
    late = np.mean(means[-max(1, len(means) // 10) :], axis=0)  # [seeds, alphas]
    return Measurements(
        values={
            "final_x": late[:, 0],
            "lowest_x": late.min(axis=1),
            "highest_x": late.max(axis=1),
            "x": np.array(path).T,
        },
        diverged=np.zeros(len(seeds), dtype=bool),
        steps={"x": ends},
    )


def _tell(services: Services, done: int) -> None:
    """Report a stretch as a step of training is: progress, the planner's clock, a wish to stop."""
    services.progress(done, POINTS)
    if services.probe is not None:
        services.probe(done, POINTS)
    if services.poll is not None:
        services.poll()


def figures(record: Record) -> dict[str, Figure]:
    """Draw the error against the learning rate, and the paths along the sequences."""
    return {
        "Test error against the learning rate, mean and 95 % interval; thin lines are seeds, a "
        "diverged training counts as guessing": draw.curves(
            record,
            "error_at_rate",
            arms=["momentum", "adam", "linear"],
            x_label="learning rate",
            log_x=True,
            log_y=True,
        ),
        "The range of rates within a point of the best, for every seed": draw.dots(
            record, "width", arms=["momentum", "adam", "linear"]
        ),
        "Where x is along the sequences at the smallest step size, mean and 95 % interval; -1 is "
        "best, +1 is worst": paths(record, ("periodic", "random"), ("adam", "amsgrad", "descent")),
    }
