"""Losses as statements about noise: what is won by the right one, and lost by the wrong one.

Question: classification: does cross-entropy do better than the squared error of the probabilities,
from an ordinary start and from a confidently wrong one? Regression: do the absolute and Huber's
error withstand outliers that spoil the squared error, and what do they cost where there are none?
The recipe: does a likelihood that fits the noise (a variance that depends on the input, counts)
predict new data better than the squared error?

What would refute it: from an ordinary start, cross-entropy worse by more than one point. From the
wrong start, less than one point better, or not twice as fast, or a first gradient of the squared
error above a hundredth of cross-entropy's. With outliers, a robust loss whose error is above 0.7
of the squared error's. Without, the absolute error at least as good as the squared one, or Huber's
worse by more than 10 %. A learned variance that wins less than 0.1 nats a target, or whose bands
are not nearer to their 95 % by 5 points. A Poisson deviance that is not lower.

Arms, and what is held equal:
    class cross-entropy, class squared          images of digits, ordinary first weights
    wrong cross-entropy, wrong squared          the same, but the output's first bias says class 0
    outliers squared, absolute, huber           a curve; some targets jump upward
    clean squared, absolute, huber              the same curve, inputs and noise, no jumps
    variance one, variance learned              a curve whose noise grows tenfold along it
    counts squared, counts poisson              counts; the squared error is cut off below
    counts squared exponential                  control: the Poisson arm's exponential output, but
                                                the squared error
    Arms of a group share examples, first weights, batches, optimizer, number of updates, and the
    tuning: each arm and seed trains at every learning rate of one grid and keeps the best on
    validation rows. What is best there: the error (class), the deviance (counts), the
    log-likelihood (variance), the arm's own loss (curve, whose validation rows jump too). The
    cut-off of the counts' squared error is chosen on validation rows as well.

Primary measure: test_error, percent of test images misclassified (class); each other group has its
own: rmse from the true curve, nll, deviance.

Smallest effect that matters: one point; 10 % of an rmse; 0.05 nats.

Pitfalls of naive reproductions, and what is done about them:
    1. One learning rate for two losses: gradients of the squared error are smaller, so that it
       loses by its rate. The grid is wide, and reaches a rate that suits each.
    2. An optimizer that divides by the size of the gradient (Adam) hides a vanishing gradient: the
       classifiers are trained by gradient descent with momentum.
    3. Clean validation data give away which targets are outliers: here validation jumps too.
    4. A squared error with its variance fixed at 1 is a straw man of calibration: the baseline
       learns its one variance.
    5. A cut-off at a tiny number makes the deviance of the squared error as bad as one likes.
    6. The last weights under a constant rate scatter by more than two losses differ: the curves'
       rates fall to zero.
    7. Huber's delta is in units of y; here it is 1.345 deviations of the noise, which one knows
       only where data are generated.

Grids, sizes, rates of the counts and numbers of updates were chosen with seeds 1000 and 1001, which
no scale uses, by validation rows; claims and margins before any run of a scale. One thing changed
after a first run of ten seeds at the quick scale: curves were fitted with a constant learning rate,
and the scatter of its last updates hid what distinguishes the losses (a trial on seeds 1000 to 1009
against the true curve confirmed that this was the cause); since then the rate falls to zero along
a cosine. Claims and margins stayed as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, lower, ratio, sooner
from practicum.labs.lab import Scale, setting
from practicum.labs.practice.losses import drawing
from practicum.labs.practice.losses.learning import train
from practicum.labs.practice.losses.measuring import GRID, first_gradient, measured
from practicum.labs.practice.losses.problems import EDGE, build

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "A loss says how targets scatter: cross-entropy, robust losses, learned variance, counts"
SOURCE = (
    "Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.2; Huber 1964, Robust "
    "estimation of a location parameter; Nix, Weigend 1994, Estimating the mean and variance of "
    "the target probability distribution"
)
YEAR = 1964
DATA = ("digits", "mnist", "fashion-mnist")

LOSSES = (
    "cross-entropy",
    "squared probabilities",
    "squared",
    "absolute",
    "huber",
    "gaussian, one variance",
    "gaussian",
    "poisson",
    "squared, exponential",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: a task, a loss, and the network that both share with the other arms of the task."""

    task: str = setting("class", "the data", choices=("class", "curve", "variance", "counts"))
    loss: str = setting("cross-entropy", "what is minimised", choices=LOSSES)
    data: str = setting("digits", "images of the classification task")
    train_size: int = setting(800, "training examples", unit="examples", low=10)
    validation_size: int = setting(
        400, "examples that choose the learning rate", unit="examples", low=10
    )
    test_size: int = setting(1000, "test examples of a curve", unit="examples", low=20)
    certainty: float = setting(
        0.0, "by how much class 0 is ahead in the first outputs", unit="nats", low=0.0
    )
    noise: float = setting(0.3, "deviation of the noise around the curve", low=0.0)
    contamination: float = setting(0.0, "share of targets that jump", low=0.0, high=0.5)
    jump: float = setting(5.0, "mean height of a jump; it is uniform within half of this", low=0.0)
    delta: float = setting(0.4035, "where Huber's loss becomes straight", low=1e-6)
    floors: tuple[float, ...] = setting(
        (0.01, 0.03, 0.1, 0.3), "cut-offs tried for the squared error of counts"
    )
    hidden: tuple[int, ...] = setting((64,), "units of each hidden layer")
    activation: str = setting("relu", "nonlinearity", choices=("relu", "tanh", "sigmoid"))
    optimizer: str = setting("sgd", "how weights move", choices=("sgd", "adam"))
    momentum: float = setting(0.9, "heavy-ball momentum of sgd", low=0.0, high=0.999)
    rates: tuple[float, ...] = setting((0.03, 0.1, 0.3, 1.0), "learning rates tried")
    schedule: str = setting(
        "constant", "how the learning rate goes on", choices=("constant", "cosine")
    )
    batch_size: int = setting(50, "examples an update", unit="examples", low=1)
    steps: int = setting(300, "updates", unit="updates", low=1)
    points: int = setting(30, "evaluations on the way", low=1)


_CURVE = Setup(
    task="curve",
    loss="squared",
    train_size=300,
    validation_size=150,
    hidden=(32, 32),
    activation="tanh",
    optimizer="adam",
    rates=(0.003, 0.01, 0.03),
    schedule="cosine",
    steps=500,
    points=1,
)
_OUTLIERS = replace(_CURVE, contamination=0.15)
_VARIANCE = replace(_CURVE, task="variance", loss="gaussian")
_COUNTS = replace(_CURVE, task="counts", loss="poisson", train_size=200)

ARMS = {
    "class cross-entropy": Setup(),
    "class squared": Setup(loss="squared probabilities"),
    "wrong cross-entropy": Setup(certainty=8.0),
    "wrong squared": Setup(certainty=8.0, loss="squared probabilities"),
    "outliers squared": _OUTLIERS,
    "outliers absolute": replace(_OUTLIERS, loss="absolute"),
    "outliers huber": replace(_OUTLIERS, loss="huber"),
    "clean squared": _CURVE,
    "clean absolute": replace(_CURVE, loss="absolute"),
    "clean huber": replace(_CURVE, loss="huber"),
    "variance one": replace(_VARIANCE, loss="gaussian, one variance"),
    "variance learned": _VARIANCE,
    "counts squared": replace(_COUNTS, loss="squared"),
    "counts squared exponential": replace(_COUNTS, loss="squared, exponential"),
    "counts poisson": _COUNTS,
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
        "validation_error",
        unit="%",
        better="lower",
        says="validation images misclassified over updates, at the chosen rate",
        diverged=90.0,
    ),
    Measure(
        "first_gradient",
        better="neither",
        says="length of the loss's gradient at the first weights, over all training images",
    ),
    Measure(
        "rmse",
        better="lower",
        says="root of the mean squared distance from the true curve at test inputs",
        diverged=5.0,
    ),
    Measure(
        "nll",
        unit="nats",
        better="lower",
        says="negative log-likelihood of a test target under the predicted normal distribution",
        diverged=5.0,
    ),
    Measure(
        "coverage_gap",
        unit="%",
        better="lower",
        says="distance from 95 % of the share of test targets in the 95 % band, mean of ten strips",
        diverged=95.0,
    ),
    Measure(
        "deviance",
        unit="nats",
        better="lower",
        says="Poisson deviance of a test count from its predicted rate",
        diverged=10.0,
    ),
    Measure("rate", says="the learning rate that validation chose", diverged=0.0),
    Measure("fit", says="the predicted mean over the input"),
    Measure("spread", says="the predicted deviation over the input"),
)

CLAIMS = (
    lower(
        "test_error",
        "class cross-entropy",
        than="class squared",
        by=-1.0,
        matters=1.0,
        sentence="From an ordinary start, cross-entropy at its best rate is not worse than the "
        "squared error at its best by a point.",
    ),
    lower(
        "test_error",
        "wrong cross-entropy",
        than="wrong squared",
        by=1.0,
        matters=1.0,
        sentence="From a confidently wrong start, cross-entropy ends at least one point lower.",
    ),
    sooner(
        "validation_error",
        "wrong cross-entropy",
        than="wrong squared",
        factor=0.5,
        matters=1.5,
        sentence="From a confidently wrong start, cross-entropy needs less than half the updates "
        "for the squared error's last validation error.",
    ),
    ratio(
        "first_gradient",
        "wrong squared",
        to="wrong cross-entropy",
        at_most=0.01,
        sentence="Where it is confidently wrong, the squared error's gradient is under a hundredth "
        "of cross-entropy's.",
    ),
    ratio(
        "rmse",
        "outliers absolute",
        to="outliers squared",
        at_most=0.7,
        matters=1.1,
        sentence="With outliers, the absolute error's distance from the true curve is at most 0.7 "
        "of the squared error's.",
    ),
    ratio(
        "rmse",
        "outliers huber",
        to="outliers squared",
        at_most=0.7,
        matters=1.1,
        sentence="With outliers, the distance of Huber's loss is at most 0.7 of the squared "
        "error's.",
    ),
    ratio(
        "rmse",
        "clean squared",
        to="clean absolute",
        at_most=1.0,
        matters=1.1,
        sentence="With normal noise and no outliers, the squared error is nearer to the true curve "
        "than the absolute error.",
    ),
    ratio(
        "rmse",
        "clean huber",
        to="clean squared",
        at_most=1.1,
        matters=1.1,
        sentence="With normal noise and no outliers, Huber's loss costs less than 10 %.",
    ),
    lower(
        "nll",
        "variance learned",
        than="variance one",
        by=0.1,
        matters=0.05,
        sentence="Where the noise depends on the input, a learned variance wins more than 0.1 nats "
        "a target.",
    ),
    lower(
        "coverage_gap",
        "variance learned",
        than="variance one",
        by=5.0,
        matters=1.0,
        sentence="Its 95 % band is nearer to its promise along the whole curve, by more than 5 "
        "points.",
    ),
    lower(
        "deviance",
        "counts poisson",
        than="counts squared",
        matters=0.05,
        sentence="For counts, the Poisson likelihood predicts with a lower deviance than the "
        "squared error.",
    ),
)

_CLASS = ("class cross-entropy", "class squared", "wrong cross-entropy", "wrong squared")
_FULL = {"train_size": 5000, "validation_size": 2000, "hidden": (128,), "steps": 600}
SCALES = {
    "smoke": Scale(
        seeds=2,
        set={
            "steps": 6,
            "points": 2,
            "train_size": 60,
            "validation_size": 40,
            "test_size": 60,
            "rates": (0.03,),
        },
    ),
    "quick": Scale(seeds=10),
    "full": Scale(
        seeds=20,
        data="mnist",
        set={f"{arm}.{name}": value for arm in _CLASS for name, value in _FULL.items()},
    ),
    "paper": Scale(
        seeds=20,
        data="mnist",
        set={
            f"{arm}.{name}": value
            for arm in _CLASS
            for name, value in {**_FULL, "train_size": 50000, "steps": 10000}.items()
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train at every learning rate; keep for each seed the one that validation prefers."""
    problem = build(setup, seeds, services)
    runs = [train(setup, rate, problem, seeds, services) for rate in setup.rates]
    validation = torch.stack([run.final("validation") for run in runs])  # [rates, seeds]
    best = validation.nan_to_num(nan=torch.inf).argmin(0)  # a diverged rate is never chosen
    chosen = [runs[rate] for rate in best.tolist()]
    rows = [
        measured(setup, problem, run.networks[i]["network"], seed)
        for i, (seed, run) in enumerate(zip(seeds, chosen, strict=True))
    ]
    values = {name: torch.stack([row[name] for row in rows]).double() for name in rows[0]}
    values["rate"] = torch.tensor(setup.rates, dtype=torch.float64)[best]
    steps: dict[str, object] = {
        name: torch.linspace(-EDGE, EDGE, GRID) for name in ("fit", "spread") if name in values
    }
    if setup.task == "class":
        values["validation_error"] = torch.stack(
            [run.curves["validation"][i] for i, run in enumerate(chosen)]
        )
        values["first_gradient"] = torch.stack(
            [first_gradient(setup, problem, seed, services) for seed in seeds]
        )
        steps["validation_error"] = runs[0].steps
    return Measurements(
        values=values,
        diverged=torch.stack([run.diverged for run in runs]).all(0),
        steps=steps,
        weights=tuple(run.weights()[i] for i, run in enumerate(chosen)),
    )


def figures(record: Record) -> dict[str, Figure]:
    """Draw the losses and their influence, the classifiers' curves, and the fitted curves."""
    return {
        "What a loss charges for a residual, and how hard it pulls (its derivative); right, how "
        "hard a classifier's loss pulls at the score of the right class": drawing.shapes(record),
        "Validation error while training, each arm and seed at its own best rate; right, from a "
        "start that says class 0": drawing.races(record),
        "The first seed's curves: truth (black), training targets, fits; left with outliers, right "
        "without": drawing.fits(record),
        "The first seed's 95 % bands: one variance for all inputs, and a learned one; black, the "
        "true band": drawing.bands(record),
    }
