"""Stochastic gradient descent where the answer is known: how fast it gets there, where it stops.

Question: on linear and on softmax regression, with the exact optimum at hand, does the excess of
the objective fall like one over the number of updates when steps fall or iterates are averaged,
and does a constant step stall at a floor that is proportional to the step?

What would refute it: an exponent outside -1 +- 0.15 for falling steps or for the average; a
constant step whose excess goes on falling or rising; a floor that does not double, within 15 %,
with the step.

Arms, and what is held equal:
    linear falling             least squares, steps like 1/t
    linear averaged            longer steps, like 1/sqrt(t), and an average of the iterates
    linear constant 1, 2, 4    a constant step, the same doubled, and doubled again
    linear reshuffled          control: steps like 1/t, but batches without replacement
    logistic falling, averaged, constant 1, constant 2
                               the same for softmax regression on images of digits
    All arms of a task minimise the same objective, decay included, on the same examples from the
    same start, with batches of the same size and the same number of updates. Those with
    replacement meet the same batches. The seed draws the examples (linear) and the batches (both).

Primary measure: exponent, the slope of log excess over log updates in the last tenfold of updates.

Smallest effect that matters: 0.15 in an exponent; 15 % in the doubling of a floor.

Pitfalls of naive reproductions, and what is done about them:
    1. Another objective: an optimum without the decay, or with an intercept that is not decayed,
       is never reached. Here the closed form, and L-BFGS with a proof of 1e-10, minimise the same.
    2. A loop over shuffled epochs is not the method of the theorem: batches without replacement are
       not independent, and the excess falls faster. Arms draw with replacement; a control does not.
    3. A 1/t schedule with too small a factor (below 1 / (2 mu)) is slower than 1/t; it must know
       the smallest curvature mu. The average need not.
    4. Before t is large against the condition number, the start is what is measured, not the noise:
       only the last tenfold of updates is fitted. Features are standardised.
    5. Excess is a small difference of large numbers: everything is in float64.

Chosen before the first run, on seeds 1000 and 1001, which no scale uses: batch size, condition
number, decay, number of updates and steps, so that the start is forgotten within the first tenth.
For the falling steps the factor is about 1 / mu, the textbook's. Nothing is chosen by test data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from practicum.engine.services import Measurements, Services
from practicum.engine.train import train
from practicum.evidence import Measure, equivalent, lower, ratio, slope
from practicum.labs.lab import Scale, setting
from practicum.labs.training.sgd.drawing import excess_over_updates, floor_over_step, paths
from practicum.labs.training.sgd.learning import exponent, recipe
from practicum.labs.training.sgd.problems import build

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Falling or averaged steps reach the optimum like 1/t; a constant step stalls"
SOURCE = "Robbins, Monro 1951; Polyak, Juditsky 1992"
YEAR = 1951
DATA = ("digits", "mnist")
PRECISION = "float64"  # the excess is a small difference of two objectives


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: a problem, a schedule of steps, and whether iterates are averaged."""

    task: str = setting("linear", "the problem", choices=("linear", "logistic"))
    data: str = setting("digits", "images of the logistic task")
    examples: int = setting(1000, "training examples of the objective", unit="examples", low=20)
    dimensions: int = setting(20, "features of the linear task", low=2)
    condition: float = setting(5.0, "largest by smallest variance of a feature (linear)", low=1.0)
    noise: float = setting(1.0, "deviation of the noise in the targets (linear)", low=0.0)
    decay: float = setting(0.01, "lambda of the objective, on every weight", low=1e-6)
    deviation: float = setting(0.0, "of the first weights, drawn from a normal", low=0.0)
    step: float = setting(0.2, "the first step, gamma", low=0.0)
    offset: float = setting(25.0, "updates until falling steps have halved", unit="updates", low=1)
    power: float = setting(1.0, "steps fall like t to minus this; 0: constant", low=0.0, high=1.0)
    averaged: bool = setting(False, "measure an average of the iterates")
    emphasis: float = setting(1.0, "the average weights iterate t like t to this", low=0.0)
    replace: bool = setting(True, "batches are drawn with replacement")
    batch_size: int = setting(10, "examples an update", unit="examples", low=1)
    steps: int = setting(4000, "updates", unit="updates", low=2)
    points: int = setting(80, "evaluations on the way", low=2)


_LOGISTIC = Setup(task="logistic", examples=1400, decay=0.1, offset=50.0)

ARMS = {
    "linear falling": Setup(),
    "linear averaged": Setup(averaged=True, power=0.5, offset=50.0),
    "linear constant 1": Setup(power=0.0, step=0.025),
    "linear constant 2": Setup(power=0.0, step=0.05),
    "linear constant 4": Setup(power=0.0, step=0.1),
    "linear reshuffled": Setup(replace=False),
    "logistic falling": _LOGISTIC,
    "logistic averaged": replace(_LOGISTIC, averaged=True, power=0.5),
    "logistic constant 1": replace(_LOGISTIC, power=0.0, step=0.05),
    "logistic constant 2": replace(_LOGISTIC, power=0.0, step=0.1),
}

LINEAR = tuple(arm for arm in ARMS if arm.startswith("linear"))
LOGISTIC = tuple(arm for arm in ARMS if arm.startswith("logistic"))

MEASURES = (
    Measure(
        "exponent",
        says="slope of log excess over log updates, in the last tenfold of updates",
        diverged=0.0,
    ),
    Measure(
        "floor",
        better="lower",
        says="mean excess of the objective over its minimum in the second half of the run",
        diverged=1e3,
    ),
    Measure(
        "excess",
        better="lower",
        says="objective minus its minimum, over updates (half squared units, or nats)",
        diverged=1e3,
    ),
    Measure("steep", says="distance from the optimum along the steepest direction, over updates"),
    Measure("flat", says="distance from the optimum along the flattest direction, over updates"),
)

CLAIMS = (
    equivalent(
        "exponent",
        "linear falling",
        to=-1.0,
        within=0.15,
        sentence="Linear regression, falling steps: the exponent is within 0.15 of −1.",
    ),
    equivalent(
        "exponent",
        "linear averaged",
        to=-1.0,
        within=0.15,
        sentence="Linear regression, averaged iterates: the exponent is within 0.15 of −1.",
    ),
    equivalent(
        "exponent",
        "logistic falling",
        to=-1.0,
        within=0.15,
        sentence="Softmax regression, falling steps: the exponent is within 0.15 of −1.",
    ),
    equivalent(
        "exponent",
        "logistic averaged",
        to=-1.0,
        within=0.15,
        sentence="Softmax regression, averaged iterates: the exponent is within 0.15 of −1.",
    ),
    equivalent(
        "exponent",
        "linear constant 4",
        to=0.0,
        within=0.15,
        sentence="Linear regression, a constant step stalls: the exponent is within 0.15 of 0.",
    ),
    equivalent(
        "exponent",
        "logistic constant 2",
        to=0.0,
        within=0.15,
        sentence="Softmax regression, a constant step stalls: the exponent is within 0.15 of 0.",
    ),
    ratio(
        "floor",
        "linear constant 2",
        to="linear constant 1",
        at_least=1.7,
        at_most=2.3,
        sentence="Linear regression: twice the step, twice the floor (within 15 %).",
    ),
    ratio(
        "floor",
        "logistic constant 2",
        to="logistic constant 1",
        at_least=1.7,
        at_most=2.3,
        sentence="Softmax regression: twice the step, twice the floor (within 15 %).",
    ),
    slope(
        "floor",
        over={"linear constant 1": 0.025, "linear constant 2": 0.05, "linear constant 4": 0.1},
        setting="step",
        log_x=True,
        log_y=True,
        at_least=0.85,
        at_most=1.15,
        sentence="Linear regression: over three steps the floor is proportional to the step "
        "(exponent 1 ± 0.15).",
    ),
    lower(
        "exponent",
        "linear reshuffled",
        than="linear falling",
        by=0.3,
        matters=0.15,
        sentence="Without replacement the excess falls faster than 1/t, by more than 0.3 in the "
        "exponent.",
    ),
)

SCALES = {
    "smoke": Scale(seeds=2, set={"steps": 20, "points": 10, "examples": 100}),
    "quick": Scale(seeds=10),
    "full": Scale(
        seeds=20,
        data="mnist",
        set={
            "steps": 10000,
            "points": 50,
            "logistic falling.examples": 3000,
            "logistic averaged.examples": 3000,
            "logistic constant 1.examples": 3000,
            "logistic constant 2.examples": 3000,
        },
    ),
    "paper": Scale(seeds=100, data="mnist", set={"steps": 100000, "points": 400}),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train an arm, and compare its objective with the minimum as it goes."""
    problem = build(setup, seeds, services)
    run = train(recipe(setup, problem), seeds, services)
    excess, steps = run.curves["excess"].numpy(), run.steps.double().numpy()
    curves = {name: run.curves[name] for name in ("excess", "steep", "flat") if name in run.curves}
    return Measurements(
        values={
            "exponent": exponent(steps, excess),
            "floor": excess[:, steps > steps[-1] / 2].mean(1),
            **curves,
        },
        diverged=run.diverged,
        steps=dict.fromkeys(curves, run.steps),
        weights=run.weights(),
    )


def figures(record: Record) -> dict[str, Figure]:
    """Draw the excess over updates, the floor over the step, and ways through the bowl."""
    constant = ("linear constant 1", "linear constant 2", "linear constant 4")
    return {
        "Excess of the objective over its minimum: geometric mean over seeds and 95 % interval; "
        "grey, one over the number of updates": excess_over_updates(
            record, {"linear regression": LINEAR, "softmax regression": LOGISTIC}
        ),
        "Where a constant step stalls; grey, proportional to the step": floor_over_step(
            record, {"linear regression": constant, "softmax regression": LOGISTIC[2:]}
        ),
        "One seed after the first tenth of its updates, seen from the optimum (+); later points "
        "are darker": paths(record, ("linear constant 4", "linear falling", "linear averaged")),
    }
