"""How much faster momentum is, and when it is not.

Question: does the heavy ball need a number of steps that grows with the square root of the
condition number where gradient descent needs one that grows with the condition number itself, and
does the advantage outlive noise in the gradient?

What would refute it: an exponent outside 1.00 +- 0.05 for gradient descent or 0.50 +- 0.07 for the
heavy ball; a speed-up outside 0.63 to 0.78 times the square root of the condition number; tuned
momentum that still wins by more than a quarter when the noise is as large as the first gradient.

Arms, and what is held equal:
    descent K          gradient descent on a bowl of condition number K, at its best step
    heavy ball K       momentum on the same bowl, at its best step and momentum
    fixed momentum K   control: momentum 0.9 whatever the bowl, at its best step
    noisy descent      gradient descent with noise added to the gradient, step tuned
    noisy heavy ball   momentum of the deterministic optimum with the same noise, step tuned
    The seed decides directions of the axes, start and noise; all arms share all of them. Curvatures
    are spread evenly on a logarithmic scale from 1/K to 1. Noisy arms get the same number of
    updates, and the same number of candidate steps, chosen on noise that is not used again.

Primary measure: steps until the distance to the minimum is a millionth of what it was.

Smallest effect that matters: 0.05 in an exponent; a quarter of the loss under noise.

Pitfalls of naive reproductions, and what is done about them:
    1. The rate is not the whole story: at the best setting two roots coincide and the error falls
       like t rho^t, so the speed-up stays under the square root; it is claimed as what it is.
    2. Under noise momentum is no longer faster: arms with noise show how much noise that takes.
    3. A momentum that suits one bowl is not best for another: the control keeps it fixed.
    4. Untuned steps decide such comparisons: both methods have their best step, from theory without
       noise and from the same number of candidates with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from practicum.engine.seeds import Streams, streams
from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, ratio, slope
from practicum.labs.lab import Scale, setting
from practicum.labs.training.momentum.bowl import Bowl, noisy_end
from practicum.labs.training.momentum.drawing import loss_over_noise, steps_over_condition
from practicum.learning.momentum import (
    Tuning,
    best_descent,
    best_heavy_ball,
    best_step_for,
    heavy_ball,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Momentum takes the square root of the condition number"
SOURCE = "Polyak 1964; Goh 2017"
YEAR = 1964
DATA = ()
EXCEPTIONS = {"gradients": "The gradient of the bowl is written down, and no network is trained."}
PRECISION = "float64"  # whatever the engine uses

CONDITIONS = (10.0, 100.0, 1000.0, 10000.0)
DESCENT = {f"descent {k:.0f}": k for k in CONDITIONS}
HEAVY = {f"heavy ball {k:.0f}": k for k in CONDITIONS}
NOISY = ("noisy descent", "noisy heavy ball")
FIXED = {f"fixed momentum {k:.0f}": k for k in CONDITIONS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: a bowl, a method, and whether its gradient is noisy."""

    method: str = setting(
        "descent", "the update rule", choices=("descent", "heavy ball", "fixed momentum")
    )
    condition: float = setting(1000.0, "largest by smallest curvature, kappa", low=1.001)
    dimensions: int = setting(50, "parameters", low=2)
    momentum: float = setting(0.9, "beta of the fixed momentum", low=0.0, high=0.999)
    tolerance: float = setting(
        1e-6, "distance at which a run ends, relative to its start", low=1e-12
    )
    noisy: bool = setting(False, "whether noise is added to the gradient")
    noises: tuple[float, ...] = setting(
        (0.0, 0.001, 0.01, 0.1, 1.0),
        "length of the noise in a gradient, the last one is claimed about",
        unit="first gradient",
    )
    steps: int = setting(1000, "steps under noise", low=10)
    candidates: int = setting(12, "candidate steps, each half of the one before", low=1)
    repeats: int = setting(8, "draws of the noise averaged in a trial, for tuning and again", low=1)


ARMS = {
    "descent 10": Setup(condition=10.0),
    "descent 100": Setup(condition=100.0),
    "descent 1000": Setup(condition=1000.0),
    "descent 10000": Setup(condition=10000.0),
    "heavy ball 10": Setup(method="heavy ball", condition=10.0),
    "heavy ball 100": Setup(method="heavy ball", condition=100.0),
    "heavy ball 1000": Setup(method="heavy ball", condition=1000.0),
    "heavy ball 10000": Setup(method="heavy ball", condition=10000.0),
    "fixed momentum 10": Setup(method="fixed momentum", condition=10.0),
    "fixed momentum 100": Setup(method="fixed momentum", condition=100.0),
    "fixed momentum 1000": Setup(method="fixed momentum", condition=1000.0),
    "fixed momentum 10000": Setup(method="fixed momentum", condition=10000.0),
    "noisy descent": Setup(noisy=True),
    "noisy heavy ball": Setup(noisy=True, method="heavy ball"),
}

MEASURES = (
    Measure(
        "iterations", unit="steps", better="lower", says="steps to a millionth of the distance"
    ),
    Measure(
        "noisy loss", better="lower", says="loss at the end under the strongest noise / at start"
    ),
    Measure(
        "quiet loss", better="lower", says="loss at the end under the weakest noise / at start"
    ),
    Measure("loss by noise", better="lower", says="loss at the end / at start, at each noise"),
    Measure("step by noise", better="neither", says="chosen alpha / (1 - beta), at each noise"),
)

CLAIMS = (
    slope(
        "iterations",
        over=DESCENT,
        setting="condition number",
        log_x=True,
        log_y=True,
        at_least=0.95,
        at_most=1.05,
        matters=0.05,
        sentence="Steps of gradient descent grow like the condition number (exponent 1 ± 0.05).",
    ),
    slope(
        "iterations",
        over=HEAVY,
        setting="condition number",
        log_x=True,
        log_y=True,
        at_least=0.43,
        at_most=0.57,
        matters=0.05,
        sentence="Steps of the heavy ball grow like its square root (exponent 0.5 ± 0.07).",
    ),
    ratio(
        "iterations",
        "descent 10",
        to="heavy ball 10",
        at_least=0.63 * 10.0**0.5,
        at_most=0.78 * 10.0**0.5,
        sentence="At condition number 10 the speed-up is 0.63 to 0.78 times the square root.",
    ),
    ratio(
        "iterations",
        "descent 100",
        to="heavy ball 100",
        at_least=0.63 * 100.0**0.5,
        at_most=0.78 * 100.0**0.5,
        sentence="At condition number 100 the speed-up is 0.63 to 0.78 times the square root.",
    ),
    ratio(
        "iterations",
        "descent 1000",
        to="heavy ball 1000",
        at_least=0.63 * 1000.0**0.5,
        at_most=0.78 * 1000.0**0.5,
        sentence="At condition number 1000 the speed-up is 0.63 to 0.78 times the square root.",
    ),
    ratio(
        "iterations",
        "descent 10000",
        to="heavy ball 10000",
        at_least=0.63 * 10000.0**0.5,
        at_most=0.78 * 10000.0**0.5,
        sentence="At condition number 10000 the speed-up is 0.63 to 0.78 times the square root.",
    ),
    ratio(
        "iterations",
        "fixed momentum 10000",
        to="heavy ball 10000",
        at_least=2.0,
        matters=1.25,
        sentence="With momentum fixed at 0.9 a narrow valley takes at least twice as many steps.",
    ),
    ratio(
        "quiet loss",
        "noisy heavy ball",
        to="noisy descent",
        at_most=0.1,
        matters=1.25,
        sentence="Without noise momentum ends at less than a tenth of the loss.",
    ),
    ratio(
        "noisy loss",
        "noisy heavy ball",
        to="noisy descent",
        at_least=0.8,
        at_most=1.25,
        matters=1.25,
        sentence="With noise as large as the first gradient the advantage is gone (within 25 %).",
    ),
)

SCALES = {
    "smoke": Scale(seeds=2, set={"tolerance": 1e-2, "steps": 40, "repeats": 2}),
    "quick": Scale(seeds=10),
    "full": Scale(seeds=20, set={"noises": (0.0, 1e-4, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0)}),
    "paper": Scale(seeds=100, set={"noises": (0.0, 1e-4, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0)}),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Run one arm once for every seed."""
    rows: list[dict[str, Any]] = []
    for done, seed in enumerate(seeds):
        bowl = draw(setup, streams(seed))
        rows.append(_noisy(setup, bowl, streams(seed)) if setup.noisy else _quiet(setup, bowl))
        services.progress(done + 1, len(seeds))
        if services.poll is not None:
            services.poll()
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    lost = ~np.isfinite(values["noisy loss" if setup.noisy else "iterations"])
    curves = [name for name in ("loss by noise", "step by noise") if name in values]
    return Measurements(
        values=values, diverged=lost, steps={name: np.array(setup.noises) for name in curves}
    )


def draw(setup: Setup, random: Streams) -> Bowl:
    """Return the bowl of one seed, the same axes and start in every arm."""
    return Bowl.draw(setup.condition, setup.dimensions, random.numpy("initialisation"))


def tuning(setup: Setup) -> Tuning:
    """Return the step and the momentum that are best for the arm's bowl without noise."""
    mu = 1.0 / setup.condition
    if setup.method == "descent":
        return best_descent(mu, 1.0)
    if setup.method == "heavy ball":
        return best_heavy_ball(mu, 1.0)
    return best_step_for(setup.momentum, mu, 1.0)


def _quiet(setup: Setup, bowl: Bowl) -> dict[str, Any]:
    """Count the steps to the tolerance; nan if thirty times the condition number do not suffice."""
    best = tuning(setup)
    w, z = bowl.start, np.zeros_like(bowl.start)
    goal = setup.tolerance**2 * float(w @ w)
    for step in range(1, 1000 + int(30 * setup.condition)):
        w, z = heavy_ball(w, z, bowl.matrix @ w, best)
        if w @ w <= goal:
            return {"iterations": float(step)}
    return {"iterations": float("nan")}


def _noisy(setup: Setup, bowl: Bowl, random: Streams) -> dict[str, Any]:
    """Choose a step for each level of noise, then measure on noise that did not choose."""
    best = tuning(setup)
    candidates = best.alpha * 0.5 ** np.arange(setup.candidates)
    grid = np.broadcast_to(candidates, (len(setup.noises), setup.candidates))
    tuned = _end(setup, bowl, best.beta, grid, random.numpy("order"))
    chosen = candidates[tuned.argmin(axis=1)]
    measured = _end(setup, bowl, best.beta, chosen[:, None], random.numpy("noise"))[:, 0]
    loss = measured / float(bowl.loss(bowl.start))
    return {
        "noisy loss": loss[-1],
        "quiet loss": loss[0],
        "loss by noise": loss,
        "step by noise": chosen / (1.0 - best.beta),
    }


def _end(
    setup: Setup, bowl: Bowl, beta: float, alphas: NDArray[np.float64], noise: np.random.Generator
) -> NDArray[np.float64]:
    noises, steps, repeats = setup.noises, setup.steps, setup.repeats
    return noisy_end(bowl, beta, alphas, noises=noises, steps=steps, repeats=repeats, noise=noise)


def figures(record: Record) -> dict[str, Figure]:
    """Draw steps over the condition number, and the loss over the noise."""
    families = {"gradient descent": DESCENT, "heavy ball": HEAVY, "momentum 0.9": FIXED}
    noisy = [arm for arm in NOISY if arm in record.arms]
    return {
        "Steps to a millionth of the starting distance; grey, exponents 1 and 1/2": (
            steps_over_condition(record, {name: tuple(arms) for name, arms in families.items()})
        ),
        "Loss after the same number of updates, each method with its tuned step (10⁻⁹ or less is "
        "drawn at the lower edge)": loss_over_noise(record, noisy),
    }
