"""A nominal five per cent becomes sixty, with people that are simulated and networks that are not.

Question
    How often does a study of an effect that is not there report p < 0.05 when the researcher may
    choose, after seeing results, what to report? And how often do two groups of runs of one and the
    same training method differ "significantly" when one of them reports its best seeds or its best
    checkpoints, or when runs are added until it works?

What would refute it
    Honest studies are not within one point of 5 %; one of the freedoms adds no more than a point;
    all four of Simmons, Nelson and Simonsohn (2011) together stay under 50 %; peeking after every
    ten people up to a thousand stays under 30 %. Significant p-values under no effect that are not
    flat in honest hands, or that do not pile up just below 0.05 after choosing; under a true effect
    those that do not pile up near zero.

Arms and what is held equal
    honest                 20 people in each of two conditions, one planned t-test
    two-outcomes           also a second outcome (r = 0.5), and the mean of both
    optional-stopping      also after ten more people in each condition
    covariate              also with a coin toss as covariate, and its interaction
    drop-a-condition       also the other pairs of three conditions, and the trend
    all-four               everything that these four allow, combined
    peek                   a t-test after every ten people in each of two groups, up to a thousand
    true-effect            control: honest, but the conditions differ by half a standard deviation
    networks               control: two groups of ten networks from one pool, last test errors
    networks-peek          runs are added one by one, from three to thirty of each method
    best-of-five-seeds     method two reports the best of every five seeds
    best-checkpoint        method two reports each run's lowest test error on the way
    validation-checkpoint  control: method two reports the test error where validation is lowest
    A trial is a batch of studies; its seed decides all people, or all networks and all splits. The
    first six arms see the same people, and the last five the same pools of networks. The method is
    one method: no learning rate is chosen by an arm.

Primary measure
    significant: percent of a trial's studies that report p < 0.05. Where there is no effect, all of
    them are false.

Smallest effect that matters
    One point, beyond the 5 % that everyone pays.

Pitfalls of naive reproductions
    1. One simulated batch has noise of its own: rates have intervals over batches.
    2. The best of many analyses is not what is reported: a researcher stops at the first that
       works. The rate is the same, the distribution of the reported p is not.
    3. Three or five seeds have little power, so a comparison that finds nothing shows nothing.
    4. Runs that share a test set are not independent samples of the task: what is tested here is
       a difference on this test set, and even for that the choices below are not allowed.
    5. Choosing a checkpoint is a part of the method if validation chooses; a control shows it.
    6. In a model with an interaction the coefficient of the condition depends on how the covariate
       is coded. Here it is -1 and 1; the setting `coding` was added after the first run at quick.

Sizes, claims and margins were written before the first run; nothing was tuned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, equivalent, higher, lower
from practicum.labs.lab import Scale
from practicum.labs.practice.experimental_design import drawing
from practicum.labs.practice.experimental_design.batch import MIDDLES, every_look, measured
from practicum.labs.practice.experimental_design.setup import Setup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Freedom to choose turns five per cent of false positives into sixty"
SOURCE = (
    "Simmons, Nelson, Simonsohn 2011, False-positive psychology, Psychological Science 22:1359-1366"
)
YEAR = 2011
DATA = ("digits", "mnist", "fashion-mnist")

ARMS = {
    "honest": Setup(),
    "two-outcomes": Setup(outcomes=True),
    "optional-stopping": Setup(stopping=True),
    "covariate": Setup(covariate=True),
    "drop-a-condition": Setup(conditions=True),
    "all-four": Setup(outcomes=True, stopping=True, covariate=True, conditions=True),
    "peek": Setup(peek=True),
    "true-effect": Setup(effect=0.5),
    "networks": Setup(subjects="networks"),
    "networks-peek": Setup(subjects="networks", peek=True),
    "best-of-five-seeds": Setup(subjects="networks", report="best of five seeds"),
    "best-checkpoint": Setup(subjects="networks", report="best on test"),
    "validation-checkpoint": Setup(subjects="networks", report="best on validation"),
}

MEASURES = (
    Measure(
        "significant",
        unit="%",
        says="studies that report p < 0.05; false positives, but for the arm true-effect",
    ),
    Measure(
        "p-curve slope",
        unit="points a hundredth",
        says="least-squares slope of the p-curve over p; zero if it is flat",
    ),
    Measure(
        "p-curve",
        unit="%",
        says="share of the significant p-values in each fifth of 0 to 0.05, by the fifth's middle",
    ),
    Measure("p while peeking", says="p of the batch's first study at each look, by people"),
    Measure(
        "significant so far",
        unit="%",
        says="studies with p < 0.05 at this look or an earlier one, by people in a group",
    ),
    Measure(
        "significant so far, runs",
        unit="%",
        says="comparisons with p < 0.05 at this look or an earlier one, by runs of a method",
    ),
)

CLAIMS = (
    equivalent(
        "significant",
        "honest",
        to=5.0,
        within=1.0,
        sentence="With one planned test, 5 % of the studies report an effect (within a point).",
    ),
    higher(
        "significant",
        "two-outcomes",
        than="honest",
        by=1.0,
        matters=1.0,
        sentence="A second outcome adds more than a point.",
    ),
    higher(
        "significant",
        "optional-stopping",
        than="honest",
        by=1.0,
        matters=1.0,
        sentence="Ten more people after a first look add more than a point.",
    ),
    higher(
        "significant",
        "covariate",
        than="honest",
        by=1.0,
        matters=1.0,
        sentence="A covariate that means nothing adds more than a point.",
    ),
    higher(
        "significant",
        "drop-a-condition",
        than="honest",
        by=1.0,
        matters=1.0,
        sentence="A condition that may be dropped adds more than a point.",
    ),
    higher(
        "significant",
        "all-four",
        than=50.0,
        matters=1.0,
        sentence="All four freedoms together make more than half of the studies significant.",
    ),
    higher(
        "significant",
        "peek",
        than=30.0,
        matters=1.0,
        sentence="A look after every ten people, up to a thousand, finds an effect in more than "
        "30 % of the studies.",
    ),
    equivalent(
        "significant",
        "networks",
        to=5.0,
        within=1.0,
        sentence="Ten runs against ten of the same method differ in 5 % of the comparisons "
        "(within a point).",
    ),
    higher(
        "significant",
        "networks-peek",
        than="networks",
        by=1.0,
        matters=1.0,
        sentence="Adding runs until it works adds more than a point.",
    ),
    higher(
        "significant",
        "best-of-five-seeds",
        than="networks",
        by=1.0,
        matters=1.0,
        sentence="Reporting the best of five seeds adds more than a point.",
    ),
    higher(
        "significant",
        "best-checkpoint",
        than="networks",
        by=1.0,
        matters=1.0,
        sentence="Reporting the checkpoint that is best on the test images adds more than a point.",
    ),
    equivalent(
        "p-curve slope",
        "honest",
        to=0.0,
        within=2.0,
        sentence="Without an effect and without choice, significant p-values are spread evenly.",
    ),
    lower(
        "p-curve slope",
        "true-effect",
        than=0.0,
        matters=1.0,
        sentence="Under a true effect small p-values are the commoner ones.",
    ),
    higher(
        "p-curve slope",
        "all-four",
        than=0.0,
        matters=1.0,
        sentence="After all four freedoms p-values just below 0.05 are the commoner ones.",
    ),
    higher(
        "p-curve slope",
        "peek",
        than=0.0,
        matters=1.0,
        sentence="After peeking p-values just below 0.05 are the commoner ones.",
    ),
)

_SHORT = {"studies": 60, "peek_last": 100, "steps": 4, "points": 2, "pool": 12, "runs": 4}
SCALES = {
    "smoke": Scale(seeds=2, set={**_SHORT, "best-of-five-seeds.runs": 2}),
    "quick": Scale(seeds=10),
    "full": Scale(
        seeds=10,
        data="mnist",
        set={"studies": 10000, "validation_size": 1000, "test_size": 1000},
    ),
    "paper": Scale(
        seeds=100,
        data="mnist",
        set={"studies": 20000, "steps": 3000, "validation_size": 10000, "test_size": 10000},
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Run one batch of studies for every seed."""
    rows = []
    at: NDArray[np.float64] = np.zeros(0)
    for seed in seeds:
        p, at = every_look(setup, seed, services)
        rows.append(measured(setup, p))
        if setup.subjects == "people":
            services.progress(len(rows), len(seeds))
            if services.poll is not None:
                services.poll()
    steps = {name: at for name in rows[0] if name.startswith(("p while", "significant so"))}
    return Measurements(
        values={name: np.array([row[name] for row in rows]) for name in rows[0]},
        steps={"p-curve": MIDDLES, **steps},
    )


def figures(record: Record) -> dict[str, Figure]:
    """Draw the rates, the p-curves, and what a peeking researcher sees."""
    return {
        "How often a study reports p < 0.05, mean over batches with its 95 % interval; only in "
        "true-effect is there something to find": drawing.rates(record),
        "p-curves: shares of the significant p-values, mean with 95 % interval": (
            drawing.p_curves(record, ("true-effect", "honest", "all-four", "peek"))
        ),
        "Peeking: p of the first study of each batch, look by look (left), and how many studies "
        "have been significant by then (right)": drawing.looks(record, "peek"),
    }
