"""A hidden layer lowers the test error on small images of digits.

CHANGE: this page is the protocol. Say each point for your own claim before the first run, and do
not move claims, margins, seeds or the value of a diverged trial afterwards.

Question
    Does one hidden layer lower the test error of softmax regression on images of digits?

What would refute it
    The network with the hidden layer does not make fewer mistakes on the test images.

Arms and what is held equal
    linear    softmax regression: no hidden layer
    hidden    one hidden layer of rectified units
    At each seed both get the same images in the same order, the same number of updates and the
    same optimizer. Each tries the same learning rates, and validation images choose. Test images
    choose nothing.

Primary measure
    test_error, percent of test images misclassified after the last update.

Smallest effect that matters
    0.5 points.

Pitfalls of naive reproductions
    One learning rate for both: it suits one of them better. Choosing it by test error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.data import load
from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.engine.train import Trained
from practicum.evidence import Measure, lower
from practicum.labs import figures as draw
from practicum.labs.lab import Scale, setting
from practicum.learning.supervised import cross_entropy, error_percent
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

# CHANGE: the claim in a few words, and where it comes from. The catalogue reads these, ARMS, CLAIMS
# and SCALES without running the file, so names and sentences must be literals.
TITLE = "A hidden layer lowers test error on digits"
SOURCE = (
    "Rumelhart, Hinton, Williams 1986, Learning representations by back-propagating errors, "
    "Nature 323:533-536"
)
YEAR = 1986
DATA = ("digits", "mnist", "fashion-mnist")  # the first is the default; () if the lab makes its own

# CHANGE: only if a promise of every lab cannot hold for yours (tests/contract has the list), say
# which one and why: EXCEPTIONS = {"lanes": "reason in one sentence"}


# CHANGE: everything that may differ between arms or scales, each with what it is.
@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    data: str = setting("digits", "data set of the images")
    train_size: int = setting(300, "training images", unit="images", low=10)
    validation_size: int = setting(300, "images that choose the rate", unit="images", low=10)
    hidden: tuple[int, ...] = setting((), "units of each hidden layer")
    rates: tuple[float, ...] = setting((0.03, 0.1, 0.3), "learning rates tried")
    momentum: float = setting(0.9, "heavy-ball momentum", low=0, high=0.999)
    batch_size: int = setting(50, "images an update", unit="images", low=1)
    steps: int = setting(300, "updates", unit="updates", low=1)
    points: int = setting(10, "evaluations on the way", low=1)


# CHANGE: the variants that are compared; everything not named here is held equal.
ARMS = {
    "linear": Setup(),
    "hidden": Setup(hidden=(64,)),
}

# CHANGE: what is measured; the first is the primary one. A diverged trial counts as guessing.
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
        says="validation images misclassified at the chosen rate, by number of updates",
        diverged=90.0,
    ),
)

# CHANGE: falsifiable sentences and the tests that decide them (docs/evidence.md has all kinds).
CLAIMS = (
    lower(
        "test_error",
        "hidden",
        than="linear",
        matters=0.5,
        sentence="A hidden layer lowers the test error.",
    ),
)

# CHANGE: smoke takes a second or two; quick, the default, less than two minutes; full, of which the
# verdict is published, at least ten seeds and a few minutes; paper is the source's own size.
SCALES = {
    "smoke": Scale(seeds=2, set={"steps": 10, "rates": (0.1,), "points": 2}),
    "quick": Scale(seeds=10),
    "full": Scale(seeds=20),
    "paper": Scale(seeds=20, data="mnist", set={"train_size": 50000, "steps": 20000}),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train at every learning rate; keep for each seed the one that validation prefers.

    CHANGE: return every measure with the seeds as its leading axis. A seed's numbers never depend
    on the other seeds of the call; all that is random comes from `streams(seed)`.
    """
    images = load(setup.data)
    data, (x_test, y_test) = services.place(*images.train), services.place(*images.test)
    runs = [train(setup, rate, data, seeds, services) for rate in setup.rates]
    # A diverged training has no final error, and is never chosen.
    last = torch.stack([run.final("validation_error") for run in runs]).nan_to_num(nan=torch.inf)
    chosen = [runs[rate] for rate in last.argmin(0).tolist()]
    errors, curves, weights = [], [], []
    for i, run in enumerate(chosen):
        with torch.no_grad():
            errors.append(error_percent(run.networks[i]["network"].eval()(x_test), y_test))
        curves.append(run.curves["validation_error"][i])
        weights.append(run.weights()[i])
    return Measurements(
        values={"test_error": torch.stack(errors), "validation_error": torch.stack(curves)},
        diverged=torch.stack([run.diverged for run in runs]).all(0),
        steps={"validation_error": runs[0].steps},
        weights=tuple(weights),
    )


def split(setup: Setup, available: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a seed's training and validation images, the same in every arm."""
    shuffled = torch.randperm(available, generator=streams(seed).generator("order"))
    return shuffled[: setup.train_size], shuffled[available - setup.validation_size :]


def train(
    setup: Setup,
    rate: float,
    data: tuple[Tensor, ...],
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train every seed at one learning rate, measuring validation error on the way."""
    x, y = data
    validation = {seed: split(setup, len(x), seed)[1] for seed in seeds}
    return fit(
        lambda: MLP(x[0].numel(), setup.hidden, int(y.max()) + 1),
        loss=cross_entropy,
        optimizer=SGD(lr=rate, momentum=setup.momentum),
        data=(x, y),
        rows=lambda seed: split(setup, len(x), seed)[0],
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=lambda network, seed: {
            "validation_error": error_percent(network(x[validation[seed]]), y[validation[seed]])
        },
        seeds=seeds,
        services=services,
        name=f"rate-{rate}",
    )


def figures(record: Record) -> dict[str, Figure]:
    """Draw the test errors seed by seed, and validation error over the updates.

    CHANGE: two pictures or more; the key is the caption.
    """
    return {
        "Test error of every seed; lines join the arms of one seed": draw.dots(
            record, "test_error"
        ),
        "Validation error while training, mean and 95 % interval": draw.curves(
            record, "validation_error", x_label="updates"
        ),
    }
