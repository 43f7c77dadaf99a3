"""The self-test of the evidence on real training: thousands of tiny networks, trained in lanes.

`practicum.evidence.selftest` counts the verdicts; this file trains. Every number is the test
cross-entropy of a 64-16-10 network after 60 updates on the digits. Arms of a pair differ only in
their seeds, which are all disjoint, so every verdict about them is a false one.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from practicum.data import load
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.files import write_json
from practicum.engine.fit import fit
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.evidence.selftest import aa_of, collect, power_of
from practicum.learning.supervised import cross_entropy
from practicum.nn.mlp import MLP

SEEDS = 10  # of each arm
PAIRS_AT_ONCE = 25
LANES = 2 * SEEDS * PAIRS_AT_ONCE
STEPS, BATCH, HIDDEN, RATE = 60, 32, 16, 0.01


def measure_of(seeds: Sequence[int]) -> NDArray[np.float64]:
    """Train one tiny network for every seed; return their test cross-entropies, in nats."""
    images = load("digits")
    x_test, y_test = images.test
    trained = fit(
        lambda: MLP(64, (HIDDEN,), 10),
        loss=cross_entropy,
        optimizer=Adam(lr=RATE),
        data=images.train,
        batch_size=BATCH,
        steps=STEPS,
        evaluate=lambda network, seed: {
            "nats": cross_entropy(network, (x_test, y_test), GlobalNoise())
        },
        seeds=seeds,
        services=Services(arithmetic=Arithmetic(path="lanes", lane_group=LANES)),
    )
    return trained.final("nats").numpy()


def evidence(*, pairs: int, out: Path | None, say: Callable[[str], None]) -> bool:
    """Count false verdicts and found effects over pairs of arms; return whether both are right.

    Args:
        pairs: number of pairs.
        out: where to write the record, or None.
        say: prints a line.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)

    def progress(done: int, of: int) -> None:
        if done % (10 * PAIRS_AT_ONCE) == 0 or done == of:
            say(f"  {done} of {of} pairs trained")

    try:
        numbers = collect(measure_of, pairs, SEEDS, batch=PAIRS_AT_ONCE, progress=progress)
    finally:
        torch.set_num_threads(before)
    false, found = aa_of(numbers), power_of(numbers)
    say(
        f"A/A: {false.supported + false.refuted} false verdicts in {false.pairs} pairs of equal "
        f"arms ({100 * false.rate:.2f} %, exact 95 % interval {100 * false.low:.2f} to "
        f"{100 * false.high:.2f} %; {false.supported} supported, {false.refuted} refuted): "
        f"{'passed' if false.passed else 'FAILED'}, the upper end may be {100 * false.limit:.1f} %"
    )
    say(
        f"Power: a difference of {found.effect:.4f} nats was found in {100 * found.rate:.1f} % "
        f"(exact 95 % interval {100 * found.low:.1f} to {100 * found.high:.1f} %), stated "
        f"{100 * found.stated:.0f} %; its opposite in {found.opposite} of {found.pairs}: "
        f"{'passed' if found.passed else 'FAILED'}"
    )
    if out is not None:
        write_json(out, _record(pairs, false.to_json(), found.to_json()))
        say(f"record: {out}")
    return false.passed and found.passed


def _record(pairs: int, false: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    import torch

    return {
        "what": "self-test of the evidence on real training",
        "command": f"practicum selftest --pairs {pairs} --out results/selftest/evidence.json",
        "training": {
            "data": "digits",
            "data_sha256": load("digits").sha256,
            "network": f"64-{HIDDEN}-10, ReLU",
            "optimizer": f"Adam, rate {RATE}",
            "steps": STEPS,
            "batch_size": BATCH,
            "measure": "test cross-entropy, nats",
            "seeds": f"0 to {2 * SEEDS * pairs - 1}, all disjoint",
        },
        "aa": false,
        "power": found,
        "environment": {
            "python": platform.python_version(),
            **Arithmetic(path="lanes", lane_group=LANES).spec(),
            "torch": torch.__version__,
        },
    }
