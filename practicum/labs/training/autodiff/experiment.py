"""What a gradient costs, in operations, when it is computed backward and when forward.

Question: does reverse mode give the gradient of a function of n numbers for at most five times the
operations of the function itself, whatever n is, where forward mode needs a number that grows with
n? And is either exact?

What would refute it: one program whose value and gradient cost more than five times its value; a
cost of reverse mode that changes with n (exponent beyond ±0.1); an exponent of forward mode outside
1 ± 0.05; one gradient that differs from the complex step by more than 1e-12 of its largest entry.

Arms, and what is held equal:
    reverse n       the loss of a network with n weights, gradient by reverse mode
    forward n       the same loss, examples and weights, one forward pass for each weight
    differences n   the same again, central differences at the best of all their step sizes
    random n        a program of twelve random operations on n numbers, reverse mode
    picked n        a product of n numbers, each picked out of an array, reverse mode on arrays
    scalar n        the same product and numbers, reverse mode on single numbers
    The seed decides weights, examples, factors, and the random program. Arms of one program and one
    n share all of them.

Primary measure: operations of value and gradient together / operations of the value alone. It is
counted on the graphs, not timed, so that the same seed gives the same number anywhere. A sum,
product, power, comparison or elementary function of one number is one operation; moving numbers is
free. For a network the count depends on the sizes alone, so all seeds agree to the last digit.

Smallest effect that matters: 0.05 in an exponent.

Pitfalls of naive reproductions, and what is done about them:
    1. Seconds measure Python, caches and threads as much as the method. Operations are counted;
       `python -m benchmarks autograd` measures seconds, where they are the question.
    2. The bound is about single operations. An engine whose unit is the array pays n for the
       gradient of one picked entry: arms `picked` and `scalar` show the same product both ways.
    3. Differences cannot check a gradient to rounding: they lose digits to subtraction. The complex
       step subtracts nothing. Differences get the best of their steps, chosen with hindsight.
    4. A forward pass costs the same for every input. Where n is large only some passes are run (the
       setting `passes`) and their mean counts for the others; a test holds the sameness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, bounded, slope
from practicum.labs.lab import Scale, setting
from practicum.labs.training.autodiff import modes, programs
from practicum.labs.training.autodiff.drawing import cost_over_inputs, error_over_step, graph_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "A gradient costs a few function values, whatever the number of inputs"
SOURCE = "Linnainmaa 1976; Baur & Strassen 1983"
YEAR = 1983
DATA = ()
PRECISION = "float64"  # whatever the engine uses
EXCEPTIONS = {
    "gradients": "no network is trained; the gradients themselves are what is measured",
    "state": "no network and no optimizer has a state to keep",
    "lanes": "nothing is trained through the engine, so there are no lanes",
}

SIZES = (10, 100, 1000, 10000, 100000)
REVERSE = {f"reverse {n}": n for n in SIZES}
FORWARD = {f"forward {n}": n for n in SIZES[:4]}
DIFFERENCES = {f"differences {n}": n for n in SIZES[:3]}
RANDOM = {f"random {n}": n for n in SIZES[:4]}
PICKED = {f"picked {n}": n for n in SIZES[:3]}
SCALAR = {f"scalar {n}": n for n in SIZES[:3]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: a program, its number of inputs, and how its gradient is computed."""

    mode: str = setting(
        "reverse",
        "how the gradient is computed",
        choices=("reverse", "forward", "differences", "scalar"),
    )
    program: str = setting(
        "network", "what is differentiated", choices=("network", "random", "product")
    )
    inputs: int = setting(1000, "numbers that the function takes, n", low=2, high=1000000)
    examples: int = setting(8, "examples in the network's loss", low=1)
    passes: int = setting(50, "forward passes that are run; the others cost the same", low=1)
    checks: int = setting(
        12, "entries of the gradient compared with the complex step, all if n is smaller", low=1
    )
    steps: tuple[float, ...] = setting(
        tuple(10.0**-i for i in range(1, 13)), "step sizes h that differences try"
    )


ARMS = {
    "reverse 10": Setup(inputs=10),
    "reverse 100": Setup(inputs=100),
    "reverse 1000": Setup(inputs=1000),
    "reverse 10000": Setup(inputs=10000),
    "reverse 100000": Setup(inputs=100000),
    "forward 10": Setup(mode="forward", inputs=10),
    "forward 100": Setup(mode="forward", inputs=100),
    "forward 1000": Setup(mode="forward", inputs=1000),
    "forward 10000": Setup(mode="forward", inputs=10000),
    "differences 10": Setup(mode="differences", inputs=10),
    "differences 100": Setup(mode="differences", inputs=100),
    "differences 1000": Setup(mode="differences", inputs=1000),
    "random 10": Setup(program="random", inputs=10),
    "random 100": Setup(program="random", inputs=100),
    "random 1000": Setup(program="random", inputs=1000),
    "random 10000": Setup(program="random", inputs=10000),
    "picked 10": Setup(program="product", inputs=10),
    "picked 100": Setup(program="product", inputs=100),
    "picked 1000": Setup(program="product", inputs=1000),
    "scalar 10": Setup(mode="scalar", program="product", inputs=10),
    "scalar 100": Setup(mode="scalar", program="product", inputs=100),
    "scalar 1000": Setup(mode="scalar", program="product", inputs=1000),
}

MEASURES = (
    Measure(
        "cost",
        unit="function values",
        better="lower",
        says="operations of value and gradient together / operations of the value",
    ),
    Measure(
        "error",
        better="lower",
        says="largest difference to the complex step / largest entry of the gradient",
    ),
    Measure("operations", better="neither", says="operations of the value alone"),
    Measure("error by step", better="lower", says="error of central differences at each h"),
)

CLAIMS = (
    bounded(
        "cost",
        arms=(*REVERSE, *RANDOM, *SCALAR),
        at_most=5.0,
        sentence="By reverse mode, value and gradient never cost more than five function values.",
    ),
    slope(
        "cost",
        over=REVERSE,
        setting="inputs",
        log_x=True,
        log_y=True,
        at_least=-0.1,
        at_most=0.1,
        matters=0.05,
        sentence="The cost of reverse mode does not depend on the number of inputs (±0.1).",
    ),
    slope(
        "cost",
        over=FORWARD,
        setting="inputs",
        log_x=True,
        log_y=True,
        at_least=0.95,
        at_most=1.05,
        matters=0.05,
        sentence="The cost of forward mode grows like the number of inputs (exponent 1 ± 0.05).",
    ),
    slope(
        "cost",
        over=PICKED,
        setting="inputs",
        log_x=True,
        log_y=True,
        at_least=0.8,
        matters=0.05,
        sentence="Where entries are picked one by one, reverse mode on arrays loses the bound too.",
    ),
    bounded(
        "error",
        arms=(*REVERSE, *FORWARD, *RANDOM, *PICKED, *SCALAR),
        at_most=1e-12,
        sentence="Reverse and forward mode agree with the complex step to 1e-12.",
    ),
    bounded(
        "error",
        arms=tuple(DIFFERENCES),
        at_least=1e-12,
        sentence="Central differences never come that close, even at the best step size.",
    ),
)

SCALES = {
    "smoke": Scale(seeds=2, set={"examples": 2, "passes": 2, "checks": 2}),
    "quick": Scale(seeds=20),
    "full": Scale(seeds=30, set={"examples": 32, "passes": 200, "checks": 50}),
    "paper": Scale(seeds=100, set={"examples": 32, "passes": 1000, "checks": 200}),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Differentiate one arm's program once for every seed."""
    rows: list[dict[str, Any]] = []
    for done, seed in enumerate(seeds):
        rows.append(measured(setup, seed))
        services.progress(done + 1, len(seeds))
        if services.poll is not None:
            services.poll()
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    curves = [name for name in ("error by step",) if name in values]
    return Measurements(
        values=values,
        diverged=~np.isfinite(values["error"]),
        steps={name: np.array(setup.steps) for name in curves},
    )


def task(setup: Setup, seed: int) -> programs.Task:
    """Return the program of one seed and the point where it is differentiated."""
    draw = streams(seed).numpy("initialisation")
    if setup.program == "network":
        return programs.network(setup.inputs, setup.examples, draw)
    if setup.program == "product":
        return programs.product(setup.inputs, draw)
    return programs.random(setup.inputs, draw)


def measured(setup: Setup, seed: int) -> dict[str, Any]:
    """Return the measures of one seed."""
    one, order = task(setup, seed), streams(seed).numpy("order").permutation(setup.inputs)
    checked = order[: setup.checks]
    truth = modes.complex_step(one, checked)
    largest = float(np.abs(truth).max())
    if setup.mode == "differences":
        found = np.stack(
            [modes.differences(one, checked, h) for h in setup.steps]
        )  # [steps, checks]
        errors = np.abs(found - truth).max(axis=1) / largest
        value = modes.value_operations(one)
        more = {"error by step": errors}
        return {"cost": 2.0 * setup.inputs, "error": errors.min(), "operations": value} | more
    if setup.mode == "forward":
        found, value, both = modes.forward(one, order[: max(setup.passes, setup.checks)])
        found = found[: setup.checks]
    else:
        sweep = modes.scalar if setup.mode == "scalar" else modes.reverse
        found, value, both = sweep(one)
        found = found[checked]
    error = float(np.abs(found - truth).max()) / largest
    return {"cost": both / value, "error": error, "operations": value}


def figures(record: Record) -> dict[str, Figure]:
    """Draw cost over inputs, a small graph with its gradient, and what step sizes do."""
    families = {
        "reverse": REVERSE,
        "forward": FORWARD,
        "differences": DIFFERENCES,
        "random programs": RANDOM,
        "picked entries": PICKED,
        "single numbers": SCALAR,
    }
    return {
        "Value and gradient, in function values, over the number of inputs; grey, the bound of 5": (
            cost_over_inputs(record, {name: tuple(arms) for name, arms in families.items()})
        ),
        "The graph of (w tanh(x))² and, to its right, that of its derivative with respect to w": (
            graph_of()
        ),
        "Error of central differences over their step; grey, the range of reverse mode's": (
            error_over_step(record, tuple(DIFFERENCES), tuple(REVERSE))
        ),
    }
