"""What arrays are worth: a training step on `practicum.autograd`, and number by number.

Both take the same steps of gradient descent on the same network, images and weights, in float64 on
one thread, and end in the same weights to rounding, which is checked. The scalar engine is that of
the lab `autodiff`: a Python object for each number, with its slopes, no closures. It takes example
after example and adds the gradients up, so that its graph stays in memory. Imports and data are not
timed, nor is the first step on arrays; number by number, a single step is long enough.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from benchmarks.measure import Floor, Result, Run, fresh, interleaved, median, ratios

FLOOR = 2000
WIDTHS, BATCH, RATE = (64, 128, 128, 10), 32, 0.1
QUICK_WIDTHS, QUICK_BATCH = (64, 8, 10), 3
STEPS, SCALAR_STEPS, REPEATS = 200, 1, 5
AGREE = 1e-9  # largest difference of a weight after the same number of steps


def data(batch: int) -> tuple[Any, Any]:
    """Return the first digits, [batch, 64] and their labels."""
    from practicum.data import load

    x, y = load("digits").train
    return x[:batch].double().numpy().reshape(batch, -1), y[:batch].numpy()


def start(widths: list[int]) -> list[Any]:
    """Return weight matrices and biases in turn, always the same."""
    import numpy as np

    draw, weights = np.random.default_rng(0), []
    for into, out in pairwise(widths):
        weights += [draw.normal(size=(into, out)) / into**0.5, np.zeros(out)]
    return weights


def arrays(*, widths: list[int], batch: int, steps: int) -> dict[str, Any]:
    """Train on `practicum.autograd`."""
    from practicum.autograd import Tensor, cross_entropy, gradients, tanh

    x, y = data(batch)
    pixels = Tensor(x)

    def step(weights: list[Any]) -> list[Any]:
        leaves = [Tensor(one) for one in weights]
        h = pixels
        for i in range(0, len(leaves), 2):
            h = h @ leaves[i] + leaves[i + 1]
            h = tanh(h) if i + 2 < len(leaves) else h
        found = gradients(cross_entropy(h, y), leaves)
        return [w - RATE * g.value for w, g in zip(weights, found, strict=True)]

    return timed(step, start(widths), steps)


def scalars(*, widths: list[int], batch: int, steps: int) -> dict[str, Any]:
    """Train number by number."""
    import numpy as np

    from practicum.labs.training.autodiff.scalar import Value, backward, exp, log, tanh

    x, y = data(batch)

    def total(values: list[Any]) -> Any:
        first, *others = values
        for one in others:
            first = first + one
        return first

    def loss(leaves: list[Any], pixels: Any, label: int) -> Any:
        h = [Value(float(one)) for one in pixels]
        for i in range(0, len(leaves), 2):
            matrix, bias = leaves[i], leaves[i + 1]
            sums = [
                total([a * row[j] for a, row in zip(h, matrix, strict=True)]) + bias[j]
                for j in range(len(bias))
            ]
            h = [tanh(one) for one in sums] if i + 2 < len(leaves) else sums
        largest = Value(max(one.value for one in h))
        shifted = [one - largest for one in h]
        return (log(total([exp(one) for one in shifted])) - shifted[label]) * Value(1 / batch)

    def step(weights: list[Any]) -> list[Any]:
        leaves = [
            [[Value(v) for v in row] for row in w] if np.ndim(w) == 2 else [Value(v) for v in w]
            for w in (one.tolist() for one in weights)
        ]
        for pixels, label in zip(x, y, strict=True):
            backward(loss(leaves, pixels, int(label)))
        slopes = [
            np.array(
                [[v.gradient for v in row] for row in w] if i % 2 == 0 else [v.gradient for v in w]
            )
            for i, w in enumerate(leaves)
        ]
        return [w - RATE * g for w, g in zip(weights, slopes, strict=True)]

    return timed(step, start(widths), steps)


def timed(step: Callable[[list[Any]], list[Any]], weights: list[Any], steps: int) -> dict[str, Any]:
    """Take steps; return the seconds of one, and the weights after the first.

    The first is left out of the time if there are more.
    """
    began = time.perf_counter()
    weights = first = step(weights)
    seconds = time.perf_counter() - began
    if steps > 1:
        began = time.perf_counter()
        for _ in range(steps):
            weights = step(weights)
        seconds = (time.perf_counter() - began) / steps
    return {"seconds": seconds, "weights": [v for w in first for v in w.ravel().tolist()]}


def once(function: str, work: dict[str, Any]) -> Run:
    """Run a contender in a process of its own; its time is that of a step."""
    run = fresh(f"benchmarks.autograd:{function}", work, threads=1)
    return Run(
        wall=run.answer["seconds"], processor=run.processor, memory=run.memory, answer=run.answer
    )


def run(*, repeats: int | None = None, quick: bool = False) -> Result:
    """Measure.

    Raises:
        RuntimeError: after a step, the two have different weights.
    """
    repeats = repeats or (1 if quick else REPEATS)
    size = {
        "widths": list(QUICK_WIDTHS if quick else WIDTHS),
        "batch": QUICK_BATCH if quick else BATCH,
    }
    names = {"practicum.autograd, arrays": "arrays", "number by number": "scalars"}
    steps = {"arrays": 5 if quick else STEPS, "scalars": SCALAR_STEPS}
    runs = interleaved(
        {
            name: lambda function=function: once(function, size | {"steps": steps[function]})
            for name, function in names.items()
        },
        repeats=repeats,
    )
    fast, slow = runs.values()
    apart = max(
        abs(a - b)
        for one, other in zip(fast, slow, strict=True)
        for a, b in zip(one.answer["weights"], other.answer["weights"], strict=True)
    )
    if apart > AGREE:
        raise RuntimeError(f"after a step the weights differ by {apart}: not the same work")
    times = ratios(slow, fast)
    layers = "-".join(map(str, size["widths"]))
    return Result(
        name="autograd",
        title="A step of training, by arrays and number by number",
        what=(
            f"Digits, {layers} tanh, batch of {size['batch']}, cross-entropy, gradient descent, "
            f"float64, one thread; forward, backward and update of one step, {steps['arrays']} and "
            f"{SCALAR_STEPS} of them in a process, {repeats} processes each, in turn. The same "
            f"weights to {AGREE:g} after a step."
        ),
        columns=["engine", "milliseconds a step", "time / arrays"],
        rows=[
            [
                name,
                1e3 * median([one.wall for one in found]),
                1
                if found is fast
                else f"{median(times):,.0f} ({min(times):,.0f} to {max(times):,.0f})",
            ]
            for name, found in runs.items()
        ],
        floors=[
            Floor(text="times the speed of a scalar engine", bound=FLOOR, measured=median(times))
        ],
        settings={**size, "steps": steps, "repeats": repeats},
        runs={name: [{"seconds": one.wall} for one in found] for name, found in runs.items()},
    )
