"""Optimizers that `build` makes against torch's own.

Would catch: another update, a learning rate that a step does not see, gradients kept where torch
drops them, a state that a checkpoint does not bring back, hooks that are not called, a step that
is recorded for a gradient, a process that imports torch's compiler although nothing is compiled.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from practicum.engine.optimizers import (
    SGD,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    NAdam,
    OptimizerSpec,
    RMSprop,
    build,
)

SPECS: list[tuple[OptimizerSpec, dict[str, Any]]] = [
    (SGD(lr=0.1, momentum=0.9), {"lr": 0.1, "momentum": 0.9, "fused": True}),
    (Adam(), {"fused": True}),
    (AdamW(weight_decay=0.3), {"weight_decay": 0.3, "fused": True}),
    (NAdam(), {}),
    (RMSprop(lr=0.02), {"lr": 0.02}),
    (Adagrad(), {"fused": True}),
    (Adafactor(), {}),
]
IMPORTS = """
import sys
import torch
from practicum.engine.optimizers import {kind}, build
weight = torch.ones(3, requires_grad=True)
optimizer = {make}
weight.sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""


def walked(optimizer: torch.optim.Optimizer, weights: list[Tensor]) -> list[Tensor]:
    """Five steps with another learning rate from the third one on."""
    for step in range(5):
        if step == 2:
            for group in optimizer.param_groups:
                group["lr"] = 0.007
        optimizer.zero_grad()
        assert all(one.grad is None for one in weights)
        sum((one.square() * (k + 1.3)).sum() for k, one in enumerate(weights)).backward()  # type: ignore[union-attr]
        optimizer.step()
    return weights


def starts() -> list[Tensor]:
    torch.manual_seed(3)
    return [torch.randn(shape, requires_grad=True) for shape in ((3, 4), (5,))]


@pytest.mark.parametrize(("spec", "settings"), SPECS, ids=lambda one: type(one).__name__)
def test_the_bits_are_those_of_torch(spec: OptimizerSpec, settings: dict[str, Any]) -> None:
    kind = getattr(torch.optim, type(spec).__name__)
    mine, theirs = starts(), starts()
    ours = build(spec, mine)
    assert isinstance(ours, kind)
    walked(ours, mine)
    walked(kind(theirs, **settings), theirs)
    assert all(map(torch.equal, mine, theirs))
    other = starts()
    walked(kind(other, **settings | {"lr": 0.5}), other)
    assert not any(map(torch.equal, mine, other))


def test_a_state_comes_back_and_hooks_are_called() -> None:
    first, second = starts(), starts()
    one = build(Adam(), first)
    walked(one, first)
    other = build(Adam(), second)
    with torch.no_grad():
        for a, b in zip(second, first, strict=True):
            a.copy_(b)
    read = pickle.loads(pickle.dumps(one))
    assert type(read) is torch.optim.Adam
    assert str(read.state_dict()) == str(one.state_dict())
    other.load_state_dict(deepcopy(one.state_dict()))  # torch shares the tensors otherwise
    calls: list[str] = []
    other.register_step_post_hook(lambda *_: calls.append("step"))
    walked(other, second)
    assert calls == ["step"] * 5
    assert all(map(torch.equal, second, walked(one, first)))
    assert all(weight.is_leaf and weight.requires_grad for weight in second)


def test_torch_s_compiler_is_not_imported() -> None:
    def imported(kind: str, make: str) -> str:
        program = [sys.executable, "-c", IMPORTS.format(kind=kind, make=make)]
        return subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip()

    for kind in ("SGD", "Adam"):
        assert imported(kind, f"build({kind}(lr=0.1), [weight])") == "False"
    assert imported("Adam", "torch.optim.Adam([weight])") == "True"  # the test would notice
