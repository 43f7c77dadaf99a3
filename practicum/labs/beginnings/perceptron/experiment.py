"""How many mistakes can a perceptron make?

Question: does the perceptron rule never make more than (R / gamma)^2 mistakes on a separable set,
and what does it do on a set that no plane separates?

What would refute it: one separable set with more mistakes than the bound; mistakes growing faster
than the square of 1 / gamma; a run on a certified inseparable set that stops making mistakes.

Arms, and what is held equal:
    margins        five made sets whose margin is known by construction, one run on each
    digits         two classes of the digits, as they are
    last           the same two classes with some training labels flipped; the weights at the end
    pocket         the same examples, flips and order; the best weights met on the way
    averaged       the same examples, flips and order; the mean of the weights over all visits
    least squares  control: the plane of least squares, fitted to the same flipped labels
    majority       control: the commoner label, whatever the image
    The seed decides examples, flips and order of visiting; arms with flips share all three. The
    rule starts from zero and has no step size to tune.

Primary measure: mistakes / bound on each separable set, the worst of the five margins.

Smallest effect that matters: for the bound any excess, it is a theorem; for pocket and averaged
one point of test error.

Pitfalls of naive reproductions, and what is done about them:
    1. The bias belongs into the vector: R and gamma are both computed on (x, 1), as in the rule.
    2. gamma comes from a maximum-margin solver, never from the perceptron's own weights (a margin
       that is too small makes the bound too generous to be violated).
    3. That a set is inseparable is certified by the same solver, not inferred from a slow run.
    4. Two classes of clean digits are separable: a run that goes on there is merely not finished.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from practicum.data import load
from practicum.engine.seeds import Streams, streams
from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError
from practicum.evidence import Measure, bounded, exact, lower, slope
from practicum.labs.lab import Scale, setting
from practicum.learning.perceptron_rule import Learned, learn, margin, turned
from practicum.nn.perceptron import augment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "A perceptron makes at most (R/γ)² mistakes"
SOURCE = "Rosenblatt 1958; Novikoff 1962"
YEAR = 1958
DATA = ("digits",)

ANSWERS = ("last", "pocket", "averaged", "least squares", "majority")
FLIPPED = ANSWERS[:3]


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: which set is learned, and which weights answer afterwards."""

    task: str = setting(
        "flipped",
        "made sets of known margin, two classes, or the classes with flipped labels",
        choices=("margins", "pair", "flipped"),
    )
    answer: str = setting("last", "which weights answer on the test data", choices=ANSWERS)
    data: str = setting("digits", "data set of the two classes")
    pair: tuple[int, ...] = setting((0, 1), "the two classes")
    examples: int = setting(240, "training examples drawn in each repetition", low=2)
    flips: float = setting(0.1, "share of training labels flipped", low=0.0, high=0.5)
    passes: int = setting(50, "passes over a set with flipped labels", low=2)
    margins: tuple[float, ...] = setting((0.2, 0.1, 0.05, 0.02, 0.01), "gamma of the made sets")
    points: int = setting(200, "examples in a made set", low=2)
    features: int = setting(20, "inputs of a made set, all inside the unit ball", low=2)


ARMS = {
    "margins": Setup(task="margins"),
    "digits": Setup(task="pair"),
    "last": Setup(),
    "pocket": Setup(answer="pocket"),
    "averaged": Setup(answer="averaged"),
    "least squares": Setup(answer="least squares"),
    "majority": Setup(answer="majority"),
}

MEASURES = (
    Measure("mistakes/bound", better="lower", says="mistakes divided by (R/γ)², the worst set"),
    Measure("mistakes", better="lower", says="mistakes until a pass without any, by 1/γ"),
    Measure("converged", better="higher", says="1 if the last pass had no mistake, else 0"),
    Measure("margin", better="neither", says="largest γ of the training set, 0 if inseparable"),
    Measure("mistakes in pass", better="lower", says="mistakes in each pass over flipped labels"),
    Measure("last mistakes", better="lower", says="mistakes in the last pass"),
    Measure("length", better="neither", says="|w| after each pass over flipped labels"),
    Measure("test error", unit="%", better="lower", says="wrong answers on clean test examples"),
)

SCALES = {
    "smoke": Scale(seeds=2, set={"margins": (0.2, 0.1, 0.05), "passes": 3}),
    "quick": Scale(seeds=10),
    "full": Scale(seeds=20, set={"passes": 100}),
    "paper": Scale(seeds=100, set={"passes": 1000}),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Run one arm once for every seed."""
    run = {"margins": _made_sets, "pair": _two_classes, "flipped": _flipped}[setup.task]
    rows = []
    for done, seed in enumerate(seeds):
        rows.append(run(setup, streams(seed)))
        services.progress(done + 1, len(seeds))
        if services.poll is not None:
            services.poll()
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    steps: dict[str, Any] = {
        name: np.arange(1, setup.passes + 1)
        for name in ("mistakes in pass", "length")
        if name in values
    }
    if setup.task == "margins":
        steps["mistakes"] = 1.0 / np.array(setup.margins)
    return Measurements(values=values, steps=steps)


def planted(gamma: float, points: int, features: int, noise: np.random.Generator) -> Tensor:
    """Draw turned augmented examples in the unit ball whose largest margin is exactly gamma.

    Two of the examples are set so that a convex combination of them is gamma times the unit normal
    of a plane; no plane can then do better than gamma, and this one does not do worse.

    Returns:
        [points, features + 1]

    Raises:
        PracticumError: the margin leaves no room for two classes inside the ball.
    """
    if not 0.0 < gamma <= 0.5:
        raise PracticumError(f"a margin inside the unit ball is in (0, 0.5], not {gamma}")
    bias = noise.uniform(-0.1, 0.1)
    normal = noise.normal(size=features)
    normal *= np.sqrt(1.0 - bias**2) / np.linalg.norm(normal)
    across = noise.normal(size=features)
    across -= (across @ normal) / (normal @ normal) * normal
    across *= 0.2 / np.linalg.norm(across)
    rows = []
    for label in (1.0, -1.0):
        weight = (1.0 + label * gamma * bias) / 2.0  # of this example in the combination
        x = (label * gamma - bias) / (1.0 - bias**2) * normal + label * across / (2.0 * weight)
        rows.append(label * np.append(x, 1.0))
    # A hair more than gamma for the others keeps the margin at gamma despite rounding.
    least = gamma * (1.0 + 1e-9)
    while len(rows) < points:
        x = noise.normal(size=features)
        x *= noise.uniform() ** (1.0 / features) / np.linalg.norm(x)
        score = x @ normal + bias
        if abs(score) >= least:
            rows.append(np.sign(score) * np.append(x, 1.0))
    return torch.from_numpy(np.array(rows)[noise.permutation(points)])


def _made_sets(setup: Setup, random: Streams) -> dict[str, Any]:
    noise, order = random.numpy("noise"), random.order()
    sets = [planted(gamma, setup.points, setup.features, noise) for gamma in setup.margins]
    return _convergence(sets, order)


def _two_classes(setup: Setup, random: Streams) -> dict[str, Any]:
    z, _ = _examples(setup, random)
    row = _convergence([z], random.order())
    del row["mistakes"]  # a curve over margins; there is only one here
    return row


def _convergence(sets: Sequence[Tensor], generator: torch.Generator) -> dict[str, Any]:
    """Run the rule on separable sets until a pass has no mistake, or the bound is broken."""
    shares, counts, gammas, converged = [], [], [], True
    for z in sets:
        known = margin(z)
        run = learn(z, _shuffled(len(z), generator), most_mistakes=known.bound)
        counts.append(float(sum(run.mistakes)))
        shares.append(counts[-1] / known.bound)
        gammas.append(known.gamma)
        converged = converged and run.converged
    return {
        "mistakes/bound": max(shares),
        "mistakes": counts,
        "converged": float(converged),
        "margin": min(gammas),
    }


def _flipped(setup: Setup, random: Streams) -> dict[str, Any]:
    z, test = _examples(setup, random)
    if setup.answer == "majority":
        label = 1.0 if float(z[:, -1].sum()) >= 0 else -1.0  # the last entry of z is the label
        plane = torch.zeros_like(z[0])
        plane[-1] = label
        return {"test error": _error(plane, test)}
    if setup.answer == "least squares":
        # Turned examples have the target 1 whatever their label.
        plane = torch.linalg.lstsq(z, z.new_ones(len(z), 1), driver="gelsd").solution[:, 0]
        return {"test error": _error(plane, test)}
    run = learn(z, _shuffled(len(z), random.order()), passes=setup.passes)
    return {
        "converged": float(run.converged),
        "margin": margin(z).gamma,
        "mistakes in pass": _filled(run, run.mistakes, setup.passes),
        "last mistakes": float(run.mistakes[-1]),
        "length": _filled(run, run.norms, setup.passes),
        "test error": _error(getattr(run, setup.answer), test),
    }


def _filled(run: Learned, curve: Sequence[float], passes: int) -> list[float]:
    """Continue a curve that ended early: a converged run stays what it is."""
    return [float(value) for value in curve] + [float(curve[-1])] * (passes - len(curve))


def _shuffled(n: int, generator: torch.Generator) -> Callable[[], Tensor]:
    """Draw a new order of visiting for each pass; the theorem holds for every order."""
    return lambda: torch.randperm(n, generator=generator)


def _examples(setup: Setup, random: Streams) -> tuple[Tensor, Tensor]:
    """Draw the training examples of one seed and flip labels; the test examples are the set's.

    Returns:
        turned augmented examples, training [n, d+1] and test [m, d+1].
    """
    if len(set(setup.pair)) != 2:
        raise PracticumError(f"setting 'pair' is {setup.pair}; expected two different classes")
    data, noise = load(setup.data), random.numpy("noise")
    train, test = (_turned_pair(part, setup.pair) for part in (data.train, data.test))
    if not len(train) or not len(test):
        raise PracticumError(f"{setup.data} has no class pair {setup.pair}; choose another pair")
    chosen = noise.permutation(len(train))[: setup.examples]
    z = train[torch.from_numpy(chosen)]
    if setup.task == "flipped":
        flipped = noise.permutation(len(z))[: round(setup.flips * len(z))]
        z[torch.from_numpy(flipped)] *= -1.0  # turning z over is flipping its label
    return z, test


def _turned_pair(part: Sequence[Tensor], pair: Sequence[int]) -> Tensor:
    x, y = part[0], part[1]
    chosen = (y == pair[0]) | (y == pair[1])
    flat = x[chosen].flatten(1).double()
    return turned(augment(flat), torch.where(y[chosen] == pair[1], 1.0, -1.0).double())


def _error(plane: Tensor, test: Tensor) -> float:
    return 100.0 * float((test @ plane <= 0).double().mean())
