"""Restricted Boltzmann machines: which chains learn the likelihood, and whether features help.

Question
    Does contrastive divergence raise the likelihood, which it does not follow exactly, and do
    chains that persist end higher than chains begun anew at the data? Do the features of such a
    machine beat raw pixels, once no copy of a training picture lies among the test pictures?

What would refute it
    The exact log-likelihood after CD-1 is not a nat above that of independent pixels. PCD's is not
    0.1 nat above CD-1's at the end, or half a nat or more below that of exact gradients. Shifting
    before splitting does not make the features' error look lower. Split first, the features' error
    is lower than raw pixels' by 2 points or more; without shifts, by 1 point or more.

Arms and what is held equal
    cd, pcd, exact          8 hidden units on the 30 bars and stripes of 4 by 4 pixels, which are
                            all in every update; the gradient by chains of one sweep from the data,
                            by chains that persist, or summed over all states
    independent             control: the best machine without hidden units
    features, raw           digits, split first, then shifted by a pixel in each direction; softmax
                            regression on the machine's hidden units, or on the pixels
    features leaky, raw leaky     the same pictures, shifted first, then split
    features still, raw still     split, not shifted
    random features         control: as "features", the weights drawn at random and not trained
    The first three share initial weights and number of updates, and each has a learning rate of its
    own, tuned alike (below). Arms on digits share the seed's pictures; every part has the same size
    with and without the leak. A softmax regression is its objective's optimum (to 1e-5 nats), at
    the decay that validation pictures choose from the same few for every arm. Test pictures choose
    nothing.

Primary measure
    log_likelihood, mean over the patterns, in nats, exact, after the last update. For digits:
    test_error, percent of test pictures misclassified.

Smallest effect that matters
    0.1 nat; half a point of error.

Pitfalls of naive reproductions
    The well-known example of scikit-learn shifts every picture in five ways and splits afterwards,
    so most test pictures have shifted copies among the training pictures. It calls the machine's
    training by its other name, stochastic maximum likelihood: that is PCD, not CD-1. Watching
    errors of reconstruction or pseudo-likelihoods, which may improve while the likelihood falls. A
    baseline whose decay was not chosen with the same care. Comparing features of a shifted set with
    raw pixels of one that is not.
    Learning rates: for each of the first three arms the one with the highest likelihood for seeds
    that no run uses (1000, 1001): at quick among 0.03, 0.1 and 0.3, which gives 0.1 for PCD and
    0.3, the end of the grid, for the others; at full among 0.01, 0.03, 0.1, 0.3 and 1, which gives
    0.1 for CD-1, 0.03 for PCD and 0.3 for exact gradients. Features have the one among the first
    three with the lowest validation error, for seed 1000: 0.3.
    Changed after a first look at seed 1000: there all three had a rate of 0.3, at which PCD ended
    below CD-1, and features had 1000 updates at 0.06, after which they had hardly begun to learn
    (test error 52 %). The rates were then tuned as above, features had 2000 updates, quick 8 seeds
    for 10 and full 8000 updates for 10000, for time, and the title was worded anew. That look had
    shown test errors. Claims and margins were not moved. The first verdict published here had the
    rates of quick at full as well, at which CD-1 and PCD stray at last; every claim came out alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, higher
from practicum.labs import figures as draw
from practicum.labs.generative.rbm.data import Part, Pictures, bars_and_stripes, pictures
from practicum.labs.generative.rbm.drawing import dreams, filters
from practicum.labs.generative.rbm.learning import fantasies, step_of, train_machine
from practicum.labs.lab import Scale, setting
from practicum.learning.supervised import error_percent
from practicum.nn.linear import softmax_optimum, with_constant
from practicum.nn.rbm import RBM

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Which chains learn a likelihood, and what features gain without a leak"
SOURCE = (
    "Hinton 2002, Training products of experts by minimizing contrastive divergence, Neural "
    "Computation 14:1771-1800; Tieleman 2008, Training restricted Boltzmann machines using "
    "approximations to the likelihood gradient, ICML"
)
YEAR = 2008
DATA = ("digits",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    data: str = setting("digits", "data set of the pictures; bars and stripes need none")
    task: str = setting("likelihood", "what is measured", choices=("likelihood", "digits"))
    method: str = setting(
        "pcd",
        "how the machine learns",
        choices=("cd", "pcd", "exact", "independent", "random", "raw"),
    )
    hidden: int = setting(8, "hidden units", low=1)
    side: int = setting(4, "pixels of a side of bars and stripes", unit="pixels", low=2, high=4)
    rate: float = setting(0.3, "learning rate of the machine", low=0)
    sweeps: int = setting(1, "Gibbs sweeps an update", low=1)
    steps: int = setting(2000, "updates of the machine", unit="updates", low=1)
    points: int = setting(15, "evaluations on the way", low=1)
    spread: float = setting(0.01, "standard deviation of the first weights", low=0)
    batch_size: int = setting(20, "pictures an update (digits)", unit="pictures", low=1)
    order: str = setting(
        "split first",
        "when pictures are shifted",
        choices=("split first", "shift first", "no shift"),
    )
    train_size: int = setting(400, "training pictures, before shifting", unit="pictures", low=10)
    validation_size: int = setting(100, "pictures that choose the decay", unit="pictures", low=10)
    decays: tuple[float, ...] = setting(
        (3e-4, 3e-3), "decays of the regression that are tried", low=0
    )


ARMS = {
    "cd": Setup(method="cd"),
    "pcd": Setup(rate=0.1),
    "exact": Setup(method="exact"),
    "independent": Setup(method="independent"),
    "features": Setup(task="digits", hidden=64),
    "raw": Setup(task="digits", method="raw"),
    "features leaky": Setup(task="digits", hidden=64, order="shift first"),
    "raw leaky": Setup(task="digits", method="raw", order="shift first"),
    "features still": Setup(task="digits", hidden=64, order="no shift"),
    "raw still": Setup(task="digits", method="raw", order="no shift"),
    "random features": Setup(task="digits", method="random", hidden=64, spread=0.3),
}

MEASURES = (
    Measure(
        "log_likelihood",
        unit="nats",
        better="higher",
        says="exact, mean over the patterns, after the last update",
        diverged=-16 * math.log(2),
    ),
    Measure(
        "test_error",
        unit="%",
        better="lower",
        says="test pictures misclassified at the decay that validation chose",
        diverged=90.0,
    ),
    Measure("decay", better="neither", says="the decay that validation chose"),
    Measure("likelihood", unit="nats", better="higher", says="the log-likelihood over updates"),
)

CLAIMS = (
    higher(
        "log_likelihood",
        "cd",
        than="independent",
        by=1.0,
        matters=0.1,
        sentence="CD-1 raises the likelihood more than a nat above that of independent pixels.",
    ),
    higher(
        "log_likelihood",
        "pcd",
        than="cd",
        by=0.1,
        matters=0.1,
        sentence="Chains that persist end more than 0.1 nat above chains begun at the data.",
    ),
    higher(
        "log_likelihood",
        "pcd",
        than="exact",
        by=-0.5,
        matters=0.1,
        sentence="They end less than half a nat below exact gradients.",
    ),
    higher(
        "test_error",
        "features",
        than="features leaky",
        matters=0.5,
        sentence="Shifting before splitting makes the features' error look lower than it is.",
    ),
    higher(
        "test_error",
        "features",
        than="raw",
        by=-2.0,
        matters=0.5,
        sentence="Split first, features gain less than 2 points over raw pixels.",
    ),
    higher(
        "test_error",
        "features still",
        than="raw still",
        by=-1.0,
        matters=0.5,
        sentence="On digits that are not shifted they gain less than 1 point.",
    ),
)

SCALES = {
    "smoke": Scale(
        seeds=2,
        set={"steps": 6, "points": 2, "hidden": 4, "train_size": 40, "validation_size": 20},
    ),
    "quick": Scale(seeds=8),
    "full": Scale(
        seeds=10,
        set={
            "steps": 8000,
            "cd.rate": 0.1,
            "pcd.rate": 0.03,
            "train_size": 800,
            "validation_size": 300,
            "decays": (1e-4, 1e-3, 1e-2),
        },
    ),
    "paper": Scale(
        seeds=20,
        set={"steps": 100000, "train_size": 1000, "validation_size": 400, "points": 50},
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train one arm's machine once for every seed, and measure what the arm is about."""
    work = _likelihood if setup.task == "likelihood" else _digits
    found = [work(setup, seed, services) for seed in seeds]
    curve = {"likelihood": _points(setup)} if "likelihood" in found[0][0] else {}
    return Measurements(
        values={
            name: torch.tensor([one[0][name] for one in found], dtype=torch.float64)
            for name in found[0][0]
        },
        diverged=torch.tensor([one[2] for one in found]),
        steps=curve,
        weights=tuple(one[1] for one in found),
    )


Found = tuple[dict[str, Any], dict[str, Tensor], bool]


def _points(setup: Setup) -> Tensor:
    every = max(1, setup.steps // setup.points)
    return torch.arange(0, setup.steps + 1, every)


def _likelihood(setup: Setup, seed: int, services: Services) -> Found:
    """Learn bars and stripes; measure the exact likelihood."""
    (v,) = services.place(bars_and_stripes(setup.side))
    if setup.method == "independent":
        best = independent(v)
        return {"log_likelihood": best, "likelihood": [best] * len(_points(setup))}, {}, False
    machine, curve, diverged = train_machine(
        v,
        step_of(setup.method, setup.sweeps, len(v)),
        seed,
        services,
        hidden=setup.hidden,
        spread=setup.spread,
        rate=setup.rate,
        batch_size=len(v),
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        measure=lambda machine: float(machine.log_likelihood(v).mean()),
    )
    with torch.no_grad():
        final = float(machine.log_likelihood(v).mean())
    return {"log_likelihood": final, "likelihood": curve}, _kept(machine, seed), diverged


def independent(v: Tensor) -> float:
    """Return the mean log-likelihood of pixels that are independent, each with its own mean."""
    on = v.double().mean(0)
    return float((torch.xlogy(on, on) + torch.xlogy(1 - on, 1 - on)).sum())


def _digits(setup: Setup, seed: int, services: Services) -> Found:
    """Learn features of digits without their classes; measure a softmax regression on them."""
    every = pictures(
        setup.data,
        setup.order,
        train=setup.train_size,
        validation=setup.validation_size,
        seed=seed,
    )
    if setup.method == "raw":
        error, decay = classified(every, None, setup.decays, services)
        return {"test_error": error, "decay": decay}, {}, False
    machine, _, diverged = train_machine(
        every.train[0],
        step_of(setup.method, setup.sweeps, setup.batch_size),
        seed,
        services,
        hidden=setup.hidden,
        spread=setup.spread,
        rate=setup.rate,
        batch_size=setup.batch_size,
        steps=0 if setup.method == "random" else setup.steps,
        every=setup.steps,
        measure=lambda machine: 0.0,
    )
    error, decay = classified(every, machine, setup.decays, services)
    return {"test_error": error, "decay": decay}, _kept(machine, seed), diverged


def _kept(machine: RBM, seed: int) -> dict[str, Tensor]:
    kept = {name: one.detach() for name, one in machine.named_parameters()}
    return {**kept, "fantasies": fantasies(machine, seed, count=20, sweeps=500)}


def classified(
    every: Pictures, machine: RBM | None, decays: Sequence[float], services: Services
) -> tuple[float, float]:
    """Return the test error of a softmax regression, and the decay that validation chose for it.

    Args:
        every: the seed's pictures.
        machine: whose hidden units' chances are the features; None: the pixels are.
        decays: what is tried; of equal ones the largest is kept.
        services: polled between two regressions.
    """
    train, validation, test = (
        _seen(one, machine) for one in (every.train, every.validation, every.test)
    )
    found = []
    for decay in decays:
        if services.poll is not None:
            services.poll()
        classes = int(train[1].max()) + 1
        weight = softmax_optimum(*train, classes, decay, tolerance=1e-5)
        errors = [float(error_percent(x @ weight, y)) for x, y in (validation, test)]
        found.append((errors[0], -decay, errors[1]))
    _, decay, error = min(found)
    return error, -decay


def _seen(part: Part, machine: RBM | None) -> Part:
    x, y = part
    if machine is not None:
        with torch.no_grad():
            x = machine.hidden_given(x.to(machine.weight))
    return with_constant(x.double().cpu()), y


def figures(record: Record) -> dict[str, Figure]:
    """Draw likelihoods, what machines dream, what their units look for, and test errors."""
    machines = ["cd", "pcd", "exact"]
    digits = [arm for arm in record.arms if record.setups[arm]["task"] == "digits"]
    return {
        "Exact log-likelihood of bars and stripes over updates, mean and 95 % interval": (
            draw.curves(record, "likelihood", arms=[*machines, "independent"], x_label="updates")
        ),
        "Fantasies after 500 sweeps from coins; rows: CD-1, PCD, exact gradients": dreams(
            record, machines
        ),
        "What 40 hidden units of digits look for; light is for, dark against": filters(
            record, "features"
        ),
        "Fantasies of digits": dreams(record, ["features"], count=20),
        "Test error of every seed; lines join the arms of one seed": draw.dots(
            record, "test_error", arms=digits
        ),
    }
