"""Random expression graphs, in our engine and in torch, must agree in value and gradient.

Would catch: a wrong backward rule, a share that is dropped or counted twice when a value is used
several times, a broadcast that is not undone, a rule that is right once but not when it is itself
differentiated. The comparison is tried on engines with a broken operation, which it must reject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from practicum import autograd as ag

SHAPES = ((3,), (2, 3), (3, 4), (2, 1, 3), (5, 2, 3))
Step = tuple[str, int, int]


class Ours:
    """The vocabulary of the programs, in our engine."""

    exp, log, tanh, relu, sigmoid = ag.exp, ag.log, ag.tanh, ag.relu, ag.sigmoid
    softmax, log_softmax = ag.softmax, ag.log_softmax

    @staticmethod
    def sum(x: Any, axis: int, keepdims: bool = False) -> Any:
        return x.sum(axis, keepdims)

    @staticmethod
    def mean(x: Any, axis: int) -> Any:
        return x.mean(axis)

    @staticmethod
    def max(x: Any, axis: int) -> Any:
        return x.max(axis)

    @staticmethod
    def transpose(x: Any, axes: Sequence[int]) -> Any:
        return x.transpose(*axes)

    @staticmethod
    def power(x: Any, p: float) -> Any:
        return x**p


class Torch:
    """The same in torch."""

    exp, log, tanh, relu, sigmoid = torch.exp, torch.log, torch.tanh, torch.relu, torch.sigmoid

    @staticmethod
    def softmax(x: Any, axis: int = -1) -> Any:
        return torch.softmax(x, axis)

    @staticmethod
    def log_softmax(x: Any, axis: int = -1) -> Any:
        return torch.log_softmax(x, axis)

    @staticmethod
    def sum(x: Any, axis: int, keepdims: bool = False) -> Any:
        return x.sum(axis, keepdims)

    @staticmethod
    def mean(x: Any, axis: int) -> Any:
        return x.mean(axis)

    @staticmethod
    def max(x: Any, axis: int) -> Any:
        return x.amax(axis)

    @staticmethod
    def transpose(x: Any, axes: Sequence[int]) -> Any:
        return x.permute(*axes)

    @staticmethod
    def power(x: Any, p: float) -> Any:
        return x**p


def positive(x: Any) -> Any:
    return x * x + 1.25


UNARY: dict[str, Callable[[Any, Any], Any]] = {
    "exp": lambda e, x: e.exp(e.tanh(x)),
    "log": lambda e, x: e.log(positive(x)),
    "tanh": lambda e, x: e.tanh(x),
    "relu": lambda e, x: e.relu(x),
    "sigmoid": lambda e, x: e.sigmoid(x),
    "softmax": lambda e, x: e.softmax(x),
    "log_softmax first": lambda e, x: e.log_softmax(x, 0),
    "negative": lambda e, x: -x,
    "root": lambda e, x: e.power(positive(x), 0.5),
    "cube": lambda e, x: e.power(x, 3),
    "number first": lambda e, x: 1.5 - 2.0 / positive(x) + 0.5 * x,
    "sum keeping": lambda e, x: e.sum(x, -1, True),
    "sum": lambda e, x: e.sum(x, 0) if len(x.shape) > 1 else x,
    "mean": lambda e, x: e.mean(x, -1) if len(x.shape) > 1 else x,
    "max": lambda e, x: e.max(x, 0) if len(x.shape) > 1 else x,
    "reverse axes": lambda e, x: e.transpose(x, tuple(range(len(x.shape)))[::-1]),
    "flat": lambda e, x: x.reshape(-1),
    "rows": lambda e, x: x[[0, -1, 0]],
    "slice": lambda e, x: x[..., ::2],
    "new axis": lambda e, x: x[None] if len(x.shape) < 4 else x[0],
    "integer": lambda e, x: x[-1] if len(x.shape) > 1 else x,
}
BINARY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "+": lambda e, a, b: a + b,
    "-": lambda e, a, b: a - b,
    "*": lambda e, a, b: a * b,
    "/": lambda e, a, b: a / positive(b),
    "@": lambda e, a, b: a @ b,
}


def fits(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    if name == "@":
        if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
            return False
        a, b = a[:-2], b[:-2]
    return all(i == j or 1 in (i, j) for i, j in zip(a[::-1], b[::-1], strict=False))


def evaluate(engine: Any, program: Sequence[Step], leaves: Sequence[Any]) -> Any:
    """Run a program; every value may be used again; the last ones are added up with weights."""
    live = list(leaves)
    for name, i, j in program:
        a = live[i % len(live)]
        if name in UNARY:
            live.append(UNARY[name](engine, a))
            continue
        partners = [b for b in live if fits(name, tuple(a.shape), tuple(b.shape))]
        if partners:
            made = BINARY[name](engine, a, partners[j % len(partners)])
            if np.prod(tuple(made.shape)) < 500:
                live.append(made)
    total = 0.0
    for k, one in enumerate(live[-3:]):
        total = total + (engine.tanh(one.reshape(-1) * 0.3) * (0.5 + k)).reshape(-1).sum()
    return total


NAMES = [*UNARY, *BINARY, *BINARY]
PROGRAMS = st.binary(min_size=16, max_size=31)  # drawn at once; hypothesis shrinks them as well


def decoded(drawn: bytes) -> tuple[list[Step], int]:
    """Return the program that some bytes stand for, three bytes a step, and a seed."""
    steps = zip(drawn[1::3], drawn[2::3], drawn[3::3], strict=False)
    return [(NAMES[a % len(NAMES)], b, c) for a, b, c in steps], drawn[0]


def leaves_of(seed: int) -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    return [generator.normal(size=shape) for shape in SHAPES]


def in_torch(
    program: Sequence[Step], arrays: Sequence[Any], order: int
) -> tuple[Any, list[Any], list[Any]]:
    xs = [torch.tensor(one, requires_grad=True) for one in arrays]
    y = evaluate(Torch, program, xs)
    first = torch.autograd.grad(y, xs, create_graph=order > 1, allow_unused=True)
    second: list[Any] = [None] * len(xs)
    if order > 1:
        along = sum(((g * g).sum() for g in first if g is not None), torch.zeros(()))
        second = list(torch.autograd.grad(along, xs, allow_unused=True))
    return y.detach().numpy(), [numbers(g) for g in first], [numbers(g) for g in second]


def numbers(x: Any) -> Any:
    return None if x is None else x.detach().numpy()


def asked(y: Any, xs: Sequence[Any], **flags: Any) -> list[Any]:
    """Return our gradients, None where y does not depend on an x."""
    behind = {id(node) for node in ag.graph(y)}
    found = iter(ag.gradients(y, [x for x in xs if id(x) in behind], **flags))
    return [next(found) if id(x) in behind else None for x in xs]


def in_ours(
    program: Sequence[Step], arrays: Sequence[Any], order: int, engine: Any = Ours
) -> tuple[Any, list[Any], list[Any]]:
    xs = [ag.Tensor(one) for one in arrays]
    y = evaluate(engine, program, xs)
    first = asked(y, xs, differentiable=order > 1)
    second: list[Any] = [None] * len(xs)
    if order > 1:
        along = sum(((g * g).sum() for g in first if g is not None), ag.Tensor(0.0))
        second = asked(along, xs)
    values = [[None if g is None else g.value for g in gs] for gs in (first, second)]
    return y.value, values[0], values[1]


def agree(ours: Any, theirs: Any) -> None:
    """Compare value, gradients, second gradients; no gradient is a gradient of zeros."""
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-10, atol=1e-12)
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        scale = max([1.0, *(float(np.abs(b).max()) for b in other if b is not None)])
        for a, b in zip(mine, other, strict=True):
            if a is not None or b is not None:
                a = np.zeros_like(b) if a is None else a
                b = np.zeros_like(a) if b is None else b
                assert a.shape == b.shape
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11 * scale)


QUICKLY = {"derandomize": True, "deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=1100, **QUICKLY)  # type: ignore[arg-type]  # one table for two tests
@given(PROGRAMS)
def test_value_and_gradient_equal_torchs_on_random_graphs(drawn: bytes) -> None:
    program, seed = decoded(drawn)
    arrays = leaves_of(seed)
    agree(in_ours(program, arrays, 1), in_torch(program, arrays, 1))


@settings(max_examples=300, **QUICKLY)  # type: ignore[arg-type]  # one table for two tests
@given(PROGRAMS)
def test_second_gradients_equal_torchs_on_random_graphs(drawn: bytes) -> None:
    program, seed = decoded(drawn)
    arrays = leaves_of(seed)
    agree(in_ours(program, arrays, 2), in_torch(program, arrays, 2))


def test_the_programs_use_every_operation_and_most_leaves() -> None:
    seen: set[str] = set()
    dependent: list[int] = []

    @settings(max_examples=300, **QUICKLY)  # type: ignore[arg-type]  # one table for two tests
    @given(PROGRAMS)
    def look(drawn: bytes) -> None:
        program, seed = decoded(drawn)
        seen.update(name for name, _, _ in program)
        xs = [ag.Tensor(one) for one in leaves_of(seed)]
        nodes = {id(node) for node in ag.graph(evaluate(Ours, program, xs))}
        dependent.append(sum(id(x) in nodes for x in xs))

    look()
    assert seen == set(UNARY) | set(BINARY)
    assert np.mean(dependent) > 2
    assert max(dependent) == len(SHAPES)


# --- the comparison rejects what is broken


def broken(name: str, rule: Callable[..., Any]) -> Any:
    """Return our engine with another backward rule for one function."""

    def wrong(x: Any, *rest: Any) -> Any:
        made = getattr(Ours, name)(x, *rest)
        made.rules = (rule,)
        return made

    return type("Broken", (Ours,), {name: staticmethod(wrong)})


BROKEN: dict[str, tuple[Any, str, int]] = {
    "tanh without the square": (broken("tanh", lambda g, out, x: g * (1.0 - out)), "tanh", 1),
    "exp of nothing": (broken("exp", lambda g, out, x: g), "exp", 1),
    "sigmoid a quarter": (broken("sigmoid", lambda g, out, x: g * 0.25), "sigmoid", 1),
    "relu lets all through": (broken("relu", lambda g, out, x: g), "relu", 1),
    "log forgets the sign": (
        broken("log", lambda g, out, x: g / (x * x) ** 0.5 * -1.0),
        "log",
        1,
    ),
    "max sends to all": (
        broken("max", lambda g, out, x: g[None] + 0.0 * x),
        "max",
        1,
    ),
    "sum counts twice": (broken("sum", lambda g, out, x: g[None] * 2.0 + 0.0 * x), "sum", 1),
    "second tanh is a constant": (
        broken("tanh", lambda g, out, x: g * (1.0 - out.detached() * out.detached())),
        "tanh",
        2,
    ),
    "second sigmoid is a constant": (
        broken("sigmoid", lambda g, out, x: g * (out * (1.0 - out)).detached()),
        "sigmoid",
        2,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_rejected(name: str) -> None:
    engine, used, order = BROKEN[name]
    program: list[Step] = [(used, 1, 0), ("*", 5, 5)]
    arrays = leaves_of(3)
    agree(in_ours(program, arrays, order), in_torch(program, arrays, order))
    if order == 2:  # its first gradient is right
        agree(in_ours(program, arrays, 1, engine), in_torch(program, arrays, 1))
    with pytest.raises(AssertionError):
        agree(in_ours(program, arrays, order, engine), in_torch(program, arrays, order))
