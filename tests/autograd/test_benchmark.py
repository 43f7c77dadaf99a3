"""The scalar engine and the engine of arrays do the same work in the benchmark.

Would catch: a contender that trains another network, or less of it, than its rival. No time is
asserted.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks import autograd as benchmark
from benchmarks.measure import Run

TINY = {"widths": [64, 5, 4, 10], "batch": 3}


def in_torch(steps: int) -> list[float]:
    x, y = (torch.tensor(one) for one in benchmark.data(TINY["batch"]))
    weights = [torch.tensor(w, requires_grad=True) for w in benchmark.start(TINY["widths"])]
    for _ in range(steps):
        h = torch.tanh(x @ weights[0] + weights[1])
        h = torch.tanh(h @ weights[2] + weights[3]) @ weights[4] + weights[5]
        found = torch.autograd.grad(F.cross_entropy(h, y), weights)
        weights = [
            (w - benchmark.RATE * g).detach().requires_grad_()
            for w, g in zip(weights, found, strict=True)
        ]
    return [v for w in weights for v in w.detach().numpy().ravel()]


def test_both_engines_take_torchs_step() -> None:
    expected = in_torch(1)
    for contender in (benchmark.arrays, benchmark.scalars):
        found = contender(**TINY, steps=1)
        np.testing.assert_allclose(found["weights"], expected, rtol=1e-12, atol=1e-15)
        assert found["seconds"] > 0
    assert not np.allclose(expected, in_torch(2), rtol=1e-6)


def test_engines_that_end_in_other_weights_are_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(function: str, work: object) -> Run:
        weights = [1.0, 2.0 if function == "arrays" else other]
        return Run(wall=1.0, processor=1.0, memory=None, answer={"weights": weights})

    monkeypatch.setattr(benchmark, "once", answer)
    other = 2.0
    assert benchmark.run(quick=True).floors[0].measured == 1.0
    other = 2.1
    with pytest.raises(RuntimeError, match="not the same work"):
        benchmark.run(quick=True)
