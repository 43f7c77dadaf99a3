"""Each operation alone: against torch, against complex step, and with input that makes no sense.

Would catch: a rule that is wrong for some shape (every dimension has another size), repeated
indices that overwrite instead of adding up, a stride or padding off by one, a tie rule other than
the stated one, an error that shows up as a wrong number or as NumPy's message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from practicum import autograd as ag
from practicum.autograd import Tensor, gradients
from practicum.errors import PracticumError

STEP = 1e-30  # complex step has no subtraction, so it may be as small as one likes
ROWS, COLUMNS = np.array([[0, 1], [1, 1], [0, 0]]), np.array([2, 2])
LABELS = np.array([1, 3, 3])

# name: (ours, torch's, shapes of the arguments)
CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "add": (lambda a, b: a + b, lambda a, b: a + b, ((2, 3, 4), (3, 1))),
    "subtract": (lambda a, b: a - b, lambda a, b: a - b, ((3, 1), (2, 3, 4))),
    "multiply": (lambda a, b: a * b, lambda a, b: a * b, ((2, 1, 4), (3, 1))),
    "divide": (lambda a, b: a / b, lambda a, b: a / b, ((4,), (2, 3, 1))),
    "divide by a number": (lambda a: a / 3 - 2 / a, lambda a: a / 3 - 2 / a, ((2, 3),)),
    "power": (lambda a: (a * a + 1.0) ** -1.5, lambda a: (a * a + 1.0) ** -1.5, ((2, 3),)),
    "square": (lambda a: a**2, lambda a: a**2, ((2, 3),)),
    "to the nothing": (lambda a: a**0 * a, lambda a: a**0 * a, ((2, 3),)),
    "matmul": (lambda a, b: a @ b, lambda a, b: a @ b, ((2, 3), (3, 4))),
    "matmul batched": (lambda a, b: a @ b, lambda a, b: a @ b, ((5, 1, 2, 3), (6, 3, 4))),
    "matmul one for all": (lambda a, b: a @ b, lambda a, b: a @ b, ((2, 3), (5, 3, 4))),
    "sum": (lambda a: a.sum((0, 2)), lambda a: a.sum((0, 2)), ((2, 3, 4),)),
    "sum keeping": (lambda a: a.sum(-2, True), lambda a: a.sum(-2, True), ((2, 3, 4),)),
    "mean": (lambda a: a.mean(1), lambda a: a.mean(1), ((2, 3, 4),)),
    "mean of all": (lambda a: a.mean(), lambda a: a.mean(), ((2, 3, 4),)),
    "max": (lambda a: a.max(1), lambda a: a.amax(1), ((2, 3, 4),)),
    "max of all": (lambda a: a.max(), lambda a: a.amax(), ((2, 3, 4),)),
    "max keeping": (lambda a: a.max((0, 1), True), lambda a: a.amax((0, 1), True), ((2, 3, 4),)),
    "integer": (lambda a: a[1, :, -1], lambda a: a[1, :, -1], ((2, 3, 4),)),
    "slices": (lambda a: a[:, 1:, ::2], lambda a: a[:, 1:, ::2], ((2, 3, 5),)),
    "ellipsis": (lambda a: a[..., None, 1], lambda a: a[..., None, 1], ((2, 3),)),
    "repeated rows": (lambda a: a[ROWS], lambda a: a[ROWS], ((2, 3),)),
    "repeated pairs": (lambda a: a[ROWS, COLUMNS], lambda a: a[ROWS, COLUMNS], ((2, 3, 4),)),
    "array and slice": (lambda a: a[:, [2, 0, 2]], lambda a: a[:, [2, 0, 2]], ((2, 3, 4),)),
    "reshape": (lambda a: a.reshape(4, -1), lambda a: a.reshape(4, -1), ((2, 3, 4),)),
    "transpose": (lambda a: a.transpose(2, 0, 1), lambda a: a.permute(2, 0, 1), ((2, 3, 4),)),
    "exp": (ag.exp, torch.exp, ((2, 3),)),
    "log": (lambda a: ag.log(a * a + 0.5), lambda a: torch.log(a * a + 0.5), ((2, 3),)),
    "tanh": (ag.tanh, torch.tanh, ((2, 3),)),
    "relu": (ag.relu, torch.relu, ((4, 5),)),
    "sigmoid": (ag.sigmoid, torch.sigmoid, ((2, 3),)),
    "softmax": (lambda a: ag.softmax(a, 1), lambda a: torch.softmax(a, 1), ((2, 3, 4),)),
    "log_softmax": (ag.log_softmax, lambda a: torch.log_softmax(a, -1), ((2, 3, 4),)),
    "cross_entropy": (
        lambda a: ag.cross_entropy(a, LABELS),
        lambda a: F.cross_entropy(a, torch.tensor(LABELS)),
        ((3, 4),),
    ),
    "convolution": (ag.conv2d, F.conv2d, ((2, 3, 7, 6), (4, 3, 3, 2), (4,))),
    "convolution strided": (
        lambda x, w: ag.conv2d(x, w, stride=2, padding=1),
        lambda x, w: F.conv2d(x, w, stride=2, padding=1),
        ((2, 3, 8, 7), (4, 3, 3, 2)),
    ),
    "convolution padded": (
        lambda x, w, b: ag.conv2d(x, w, b, padding=2, stride=3),
        lambda x, w, b: F.conv2d(x, w, b, padding=2, stride=3),
        ((2, 1, 5, 9), (3, 1, 4, 5), (3,)),
    ),
    "max pooling": (
        lambda x: ag.max_pool2d(x, 2),
        lambda x: F.max_pool2d(x, 2),
        ((2, 3, 4, 7),),
    ),
    "max pooling overlapping": (
        lambda x: ag.max_pool2d(x, 3, 2),
        lambda x: F.max_pool2d(x, 3, 2),
        ((2, 3, 7, 5),),
    ),
    "average pooling": (
        lambda x: ag.avg_pool2d(x, 3, 2),
        lambda x: F.avg_pool2d(x, 3, 2),
        ((2, 3, 7, 5),),
    ),
}


def drawn(shapes: tuple[tuple[int, ...], ...]) -> list[Any]:
    generator = np.random.default_rng(8)
    return [generator.normal(size=shape) for shape in shapes]


def deviation(ours: Any, theirs: Any, shapes: tuple[tuple[int, ...], ...]) -> float:
    """Return the largest difference to torch in value, gradients and second gradients."""
    arrays = drawn(shapes)
    xs = [Tensor(one) for one in arrays]
    ts = [torch.tensor(one, requires_grad=True) for one in arrays]
    y, t = ours(*xs), theirs(*ts)
    assert y.shape == tuple(t.shape)
    worst = float(np.abs(y.value - t.detach().numpy()).max())
    seed = np.random.default_rng(9).normal(size=y.shape)
    # The square makes the second gradient of linear operations something else than zero.
    first = gradients(y * y, xs, seed, differentiable=True)
    expected = torch.autograd.grad(t * t, ts, torch.tensor(seed), create_graph=True)
    second = gradients(sum(((g * g).sum() for g in first), Tensor(0.0)), xs)
    along = sum(((g * g).sum() for g in expected), torch.zeros(()))
    pairs = [*zip(first, expected, strict=True)]
    pairs += [*zip(second, torch.autograd.grad(along, ts), strict=True)]
    for mine, other in pairs:
        assert mine.shape == tuple(other.shape)
        scale = 1 + float(other.detach().abs().max())
        worst = max(worst, float(np.abs(mine.value - other.detach().numpy()).max()) / scale)
    return worst


@pytest.mark.parametrize("name", CASES)
def test_value_gradient_and_second_gradient_are_torchs(name: str) -> None:
    assert deviation(*CASES[name]) < 1e-11


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_that_of_complex_step(name: str) -> None:
    ours, _, shapes = CASES[name]
    arrays = drawn(shapes)
    y = ours(*map(Tensor, arrays))
    seed = np.random.default_rng(9).normal(size=y.shape)
    xs = [Tensor(one) for one in arrays]
    for k, g in enumerate(gradients(ours(*xs), xs, seed)):
        for at in list(np.ndindex(g.shape))[:: max(1, g.value.size // 12)]:
            stepped = [one.astype(complex) if i == k else one for i, one in enumerate(arrays)]
            stepped[k][at] += 1j * STEP
            slope = (ours(*map(Tensor, stepped)).value * seed).sum().imag / STEP
            assert g.value[at] == pytest.approx(slope, rel=1e-12, abs=1e-13), (k, at)


BROKEN: dict[str, Callable[..., Any]] = {
    "subtract": lambda a, b: b - a,
    "matmul": lambda a, b: (b.transpose() @ a.transpose()).transpose() * 1.0000001,
    "mean": lambda a: a.sum(1) / 4,
    "max": lambda a: a.max(1) * 0.5 + a[:, 0] * 0.5,
    "repeated rows": lambda a: a[[0, 1, 0]][ROWS] + 0 * a[ROWS[::-1]] + a[ROWS] * 1e-9,
    "softmax": lambda a: ag.softmax(a, 2),
    "convolution": lambda x, w, b: ag.conv2d(x, w[:, :, ::-1], b),
    "convolution strided": lambda x, w: ag.conv2d(x[:, :, 1:], w, stride=2, padding=1)[:, :, :3],
    "max pooling overlapping": lambda x: ag.max_pool2d(x[:, :, 1:, :-1], 2),
    "average pooling": lambda x: ag.avg_pool2d(x, 3, 2) * (9 / 8),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_operation_is_rejected(name: str) -> None:
    _, theirs, shapes = CASES[name]
    try:
        found = deviation(BROKEN[name], theirs, shapes)
    except AssertionError:  # another shape
        return
    assert found > 1e-10


def test_indices_that_overwrite_instead_of_adding_are_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from practicum.autograd import tensor

    def once(x: Tensor, keys: Any, shape: tuple[int, ...]) -> Tensor:
        value = np.zeros(shape)
        value[keys] = x.value
        return Tensor(value)

    monkeypatch.setattr(tensor, "scatter", once)
    x = Tensor(drawn(((2, 3),))[0])
    (g,) = gradients(x[ROWS].sum(), [x])
    assert not np.allclose(g.value, [[3.0] * 3] * 2)


def test_ties_share_the_gradient_of_the_largest_equally() -> None:
    x = Tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    (g,) = gradients(x.max(1).sum(), [x])
    np.testing.assert_allclose(g.value, [[0, 0.5, 0.5], [1 / 3] * 3])
    t = torch.tensor(x.value, requires_grad=True)
    t.amax(1).sum().backward()
    np.testing.assert_allclose(g.value, t.grad)


def test_known_answers_by_hand() -> None:
    x, y = Tensor(3.0, "x"), Tensor(-2.0, "y")
    z = x * x * y + y  # at (3, -2): -20, gradient (2xy, x^2 + 1)
    dx, dy = gradients(z, [x, y], differentiable=True)
    assert (z.value, dx.value, dy.value) == (-20.0, -12.0, 10.0)
    assert [g.value for g in gradients(dx, [x, y])] == [-4.0, 6.0]
    (third,) = gradients(gradients(dx, [x], differentiable=True)[0], [y])
    assert third.value == 2.0
    assert ag.relu(Tensor([0.0])).value == 0.0
    assert gradients(ag.relu(Tensor(0.0)) + (w := Tensor(0.0)) * 5.0, [w])[0].value == 5.0


def test_the_eighth_derivative_is_still_exact() -> None:
    x = Tensor(0.7)
    y = ag.exp(x * 2.0)
    for _ in range(8):
        (y,) = gradients(y, [x], differentiable=True)
    assert float(y.value) == pytest.approx(2.0**8 * np.exp(1.4), rel=1e-13)


def test_values_far_out_do_not_overflow() -> None:
    x = Tensor([[-1000.0, 0.0, 1000.0]])
    for function in (ag.sigmoid, ag.softmax, ag.log_softmax):
        (g,) = gradients(function(x).sum(), [x])
        assert np.isfinite(function(x).value).all()
        assert np.isfinite(g.value).all()


def test_float32_stays_float32() -> None:
    x = Tensor(np.ones((2, 1, 6, 6), np.float32))
    w = Tensor(np.full((3, 1, 2, 2), 0.1, np.float32))
    y = ag.softmax(ag.max_pool2d(ag.relu(ag.conv2d(x, w) / 3 + 1.0), 2).reshape(2, -1)).mean()
    assert y.value.dtype == np.float32
    assert {g.value.dtype for g in gradients((y**2).max(), [x, w])} == {np.dtype(np.float32)}


def test_a_graph_deeper_than_pythons_stack_has_a_gradient() -> None:
    x = Tensor(1.0)
    y = x
    for _ in range(5000):
        y = y * 0.9999
    assert float(gradients(y, [x])[0].value) == pytest.approx(0.9999**5000)


def test_a_value_on_the_way_has_a_gradient_too() -> None:
    x = Tensor([1.0, 2.0])
    h = x * 3.0
    dh, dx = gradients((h * h).sum(), [h, x])
    np.testing.assert_allclose(dh.value, [6.0, 12.0])
    np.testing.assert_allclose(dx.value, [18.0, 36.0])
    assert gradients(x, [x], np.array([4.0, 5.0]))[0].value.tolist() == [4.0, 5.0]


# --- operations are counted


def test_operations_are_counted_as_by_hand() -> None:
    a, b = Tensor(np.ones((2, 3))), Tensor(np.ones((3, 4)))
    assert ag.operations(a @ b) == 2 * 4 * (3 + 2)
    assert ag.operations((a + 1.0).sum()) == 6 + 5
    assert ag.operations(ag.tanh(a.transpose().reshape(6)[1:3])) == 2
    shared = a * a
    assert ag.operations(shared + shared) == 12
    assert ag.operations(shared, shared) == 6
    x = Tensor([1.0, 2.0, 3.0])
    y = (x * x).sum()  # 3 + 2
    (g,) = gradients(y, [x])  # twice g * x, one sum of shares
    assert (ag.operations(y), ag.operations(g)) == (5, 9)


# --- clear errors


def test_errors_say_what_was_wrong_and_what_to_do() -> None:
    a, b = Tensor(np.ones((2, 3))), Tensor(np.ones((4, 5)))
    single = Tensor(np.ones(3, np.float32))
    wrong: dict[str, Callable[[], Any]] = {
        r"cannot broadcast .*\[2, 3\].*\[4, 5\]": lambda: a + b,
        r"needs \[..., m, k\].*\[2, 3\].*\[4, 5\]": lambda: a @ b,
        r"`@` needs": lambda: a @ single,
        r"one number.*\[2, 3\].*sum\(\)": lambda: gradients(a * 2.0, [a]),
        r"expected shape": lambda: gradients(a * 2.0, [a], np.ones(3)),
        r"not int64; write 2.0": lambda: Tensor([1, 2]),
        r"not bool": lambda: a + np.ones((2, 3), bool),
        r"float32.*float64|float64.*float32": lambda: a + single,
        r"in place": lambda: a.__setitem__(0, 1.0),
        r"made with differentiable=True": lambda: gradients(
            gradients((a * a).sum(), [a])[0].sum(), [a]
        ),
        r"does not depend on": lambda: gradients(a.sum(), [b]),
        r"complex step": lambda: gradients(Tensor(1j), [a]),
        r"no such entry": lambda: a[5],
        r"does not fill": lambda: a.reshape(4, -1),
        r"no order": lambda: a.transpose(0, 0),
        r"not reduced so": lambda: a.sum(2),
        r"exponent is a number": lambda: a**a,  # type: ignore[operator]  # what is tested
        r"conv2d needs": lambda: ag.conv2d(a, b),
        r"windows, stride": lambda: ag.max_pool2d(Tensor(np.ones((1, 1, 2, 2))), 3),
    }
    for message, function in wrong.items():
        with pytest.raises((PracticumError, IndexError), match=message):
            function()


def test_nothing_can_be_changed_in_place() -> None:
    source = np.ones(3)
    a = Tensor(source)
    source[0] = 7.0  # the tensor has a copy
    assert a.value.tolist() == [1.0, 1.0, 1.0]
    for value in (a.value, (a * 2.0).value, a.reshape(3, 1).value, a.sum().value):
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 5.0
    for operator in ("+=", "-=", "*=", "/=", "@=", "**="):
        with pytest.raises(PracticumError, match="in place"):
            exec(f"a {operator} 2.0", {"a": a})
    keys = np.array([0, 2])
    picked = (a[keys] * 2.0).sum()
    keys[0] = 1  # the graph has a copy of the index as well
    assert gradients(picked, [a])[0].value.tolist() == [2.0, 0.0, 2.0]


def test_an_array_on_the_left_is_a_constant() -> None:
    x = Tensor([1.0, 2.0])
    y = np.array([3.0, 4.0]) * x + np.array([1.0, 1.0]) - x / np.array([2.0, 4.0])
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(gradients(y.sum(), [x])[0].value, [2.5, 3.75])
