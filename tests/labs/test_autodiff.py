"""The lab `autodiff`: would catch a mode that gives another gradient, a count that leaves something
out, an accounting that flatters one side, programs or inputs that differ between arms.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from practicum import autograd as ag
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.labs.lab import load, replaced
from practicum.labs.training.autodiff import experiment, forward, modes, programs, scalar
from practicum.labs.training.autodiff.experiment import ARMS, Setup, task, trial

SMOKE = experiment.SCALES["smoke"].set


def everywhere(n: int) -> np.ndarray:
    return np.arange(n)


def test_the_lab_is_whole() -> None:
    lab = load(experiment.__name__)
    assert (lab.name, lab.topic) == ("autodiff", "training")


# --- the programs


@pytest.mark.parametrize("n", [10, 12, 100, 1000, 10000, 100000])
def test_a_network_has_exactly_n_weights(n: int) -> None:
    d, h = programs.sides(n)
    assert d * h + h == n
    assert d >= h - 1
    assert d >= 1


def test_the_networks_loss_is_that_of_torch() -> None:
    n, m = 12, 5
    draw = streams(4).numpy("initialisation")
    one = task(Setup(inputs=n, examples=m), 4)
    d, h = programs.sides(n)
    x, y = (torch.tensor(draw.normal(size=(m, k))) for k in (d, 1))
    w = torch.tensor(one.at, requires_grad=True)
    loss = torch.nn.functional.mse_loss(torch.tanh(x @ w[: d * h].view(d, h)) @ w[d * h :, None], y)
    loss.backward()
    found, _, _ = modes.reverse(one)
    assert float(one.program(ag.Tensor(one.at)).value) == pytest.approx(loss.item(), rel=1e-13)
    np.testing.assert_allclose(found, w.grad, rtol=1e-11)


def test_arms_share_program_and_point() -> None:
    for first, second in (
        ("reverse 100", "forward 100"),
        ("reverse 1000", "differences 1000"),
        ("picked 100", "scalar 100"),
    ):
        one, two = task(ARMS[first], 3), task(ARMS[second], 3)
        assert np.array_equal(one.at, two.at)
        if "picked" not in first:
            x = ag.Tensor(one.at)
            assert one.program(x).value == two.program(x).value
        assert not np.array_equal(one.at, task(ARMS[first], 5).at)


def test_random_programs_are_random_and_use_every_operation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: set[str] = set()
    for table in (programs.UNARY, programs.BINARY):
        for name, function in list(table.items()):

            def spy(*xs: ag.Tensor, name: str = name, function=function) -> ag.Tensor:  # type: ignore[no-untyped-def]  # of either table
                used.add(name)
                return function(*xs)

            monkeypatch.setitem(table, name, spy)  # type: ignore[arg-type]  # of either table
    costs = set()
    for seed in range(20):
        one = task(ARMS["random 10"], seed)
        costs.add(ag.operations(one.program(ag.Tensor(one.at))))
    assert used == set(programs.UNARY) | set(programs.BINARY)
    assert len(costs) > 10


# --- four ways to one gradient


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("program", ["network", "product", "random"])
def test_all_ways_lead_to_the_same_gradient(program: str, seed: int) -> None:
    one = task(Setup(program=program, inputs=30), seed)
    truth = modes.complex_step(one, everywhere(30))
    largest = np.abs(truth).max()
    assert np.abs(modes.reverse(one)[0] - truth).max() < 1e-13 * largest
    assert np.abs(modes.differences(one, everywhere(30), 1e-5) - truth).max() < 1e-6 * largest
    if program == "network":
        assert np.abs(modes.forward(one, everywhere(30))[0] - truth).max() < 1e-13 * largest
    if program == "product":
        assert np.abs(modes.scalar(one)[0] - truth).max() < 1e-13 * largest
        value = np.prod(one.at)
        np.testing.assert_allclose(truth, value / one.at, rtol=1e-12)  # known answer


def test_a_wrong_gradient_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(inputs=100)
    right = trial(setup, (0,), Services()).values["error"][0]
    assert right < 1e-12

    def nearly(one: programs.Task) -> tuple[np.ndarray, int, float]:
        found, value, both = kept(one)
        return found * (1 + 1e-9), value, both

    kept = modes.reverse
    monkeypatch.setattr(modes, "reverse", nearly)
    wrong = trial(setup, (0,), Services()).values["error"][0]
    assert wrong > 1e-12  # differences would have let it pass
    truth = modes.complex_step(task(setup, 0), everywhere(100))
    assert np.abs(modes.differences(task(setup, 0), everywhere(100), 1e-4) - truth).max() > 1e-10


def test_dual_numbers_follow_each_rule() -> None:
    a, da, b = 0.7, 1.0, np.array([[2.0, -1.0]])
    x = forward.Dual(ag.Tensor(a), ag.Tensor(da))
    for made, value, slope in (
        (x + 2.0, a + 2, 1.0),
        (x - x * 3.0, -2 * a, -2.0),
        (x * x, a * a, 2 * a),
        (forward.tanh(x), np.tanh(a), 1 - np.tanh(a) ** 2),
    ):
        assert made.value.value == pytest.approx(value)
        assert made.tangent is not None
        assert made.tangent.value == pytest.approx(slope)
    constant = forward.Dual(ag.Tensor(b))
    assert (constant @ b.T + 1.0).tangent is None
    row = forward.Dual(ag.Tensor(b), ag.Tensor([[1.0, 10.0]]))
    made = (constant @ row.reshape(2, 1))[0].mean()
    assert made.tangent is not None
    assert float(made.tangent.value) == 2.0 - 10.0


# --- the accounting


def test_the_count_of_a_network_is_the_one_on_paper() -> None:
    m, n = 8, 100
    d, h = programs.sides(n)
    one = task(Setup(inputs=n, examples=m), 0)
    # products of matrices, tanh, difference, square, sum over examples, times 1 / m
    value = m * h * (2 * d - 1) + m * h + m * (2 * h - 1) + m + m + (m - 1) + 1
    assert modes.value_operations(one) == value
    # 1 / m, both shares of the square and their sum, error @ v', h' @ error, tanh' (3), x' @ those;
    # the two parts of w meet in one sum
    back = 1 + 3 * m + m * h + h * (2 * m - 1) + 3 * m * h + d * h * (2 * m - 1) + n
    assert modes.reverse(one)[1:] == (value, value + back)


def test_every_operation_alone_keeps_the_bound_of_five() -> None:
    draw = np.random.default_rng(0)
    for shapes in (
        ((1,), (1,)),
        ((4,), (4,)),
        ((3, 4), (1, 4)),
        ((3, 1), (1, 4)),
        ((2, 3, 1), (4,)),
    ):
        for function in (
            lambda a, b: a + b,
            lambda a, b: a - b,
            lambda a, b: a * b,
            lambda a, b: a / (b * b + 1.0),
            lambda a, b: ag.tanh(a) * ag.sigmoid(b),
            lambda a, b: ag.exp(a) ** 2.0 + ag.log(b * b + 1.0),
            lambda a, b: ag.relu(a) + ag.softmax(b),
            lambda a, b: a.reshape(1, -1) * b.reshape(-1, 1),
            lambda a, b: a.reshape(1, -1).transpose() @ b.reshape(1, -1),
        ):
            a, b = (ag.Tensor(draw.normal(size=shape)) for shape in shapes)
            y = function(a, b)
            y = (y * y).sum()
            both = ag.operations(y) + ag.operations(*ag.gradients(y, [a, b]))
            assert both <= 5 * ag.operations(y)


def test_a_forward_pass_costs_the_same_for_every_input() -> None:
    one = task(Setup(inputs=40), 1)
    costs = {forward.derivative(one.program, one.at, direction)[1] for direction in np.eye(40)}
    assert len(costs) == 1
    _, value, both = modes.forward(one, np.array([3, 17]))
    assert both == 40 * costs.pop() > 40 * value


def test_nothing_is_counted_twice_and_nothing_is_left_out() -> None:
    # The backward sweep as a graph that goes on from the value's counts the same operations.
    for program in ("network", "random"):
        one = task(Setup(program=program, inputs=30), 2)
        w = ag.Tensor(one.at)
        value = one.program(w)
        (gradient,) = ag.gradients(value, [w], differentiable=True)
        together = ag.operations(value, gradient)
        assert together == modes.reverse(one)[2]


def test_single_numbers_cost_five_for_each_product() -> None:
    values = [scalar.Value(2.0), scalar.Value(3.0)]
    result = values[0] * values[1]
    assert scalar.backward(result) == 4
    assert [one.gradient for one in values] == [3.0, 2.0]
    x = scalar.Value(0.4)
    y = scalar.log(scalar.exp(scalar.tanh(x) + x) - x * x)
    scalar.backward(y)
    t = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    torch.log(torch.exp(torch.tanh(t) + t) - t * t).backward()
    assert x.gradient == pytest.approx(t.grad.item(), rel=1e-14)


# --- trials


@pytest.mark.parametrize("arm", [name for name in ARMS if not name.endswith("000")])
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    setup = replaced(ARMS[arm], dict(SMOKE))
    together = trial(setup, (4, 1, 7), Services()).values
    alone = trial(setup, (7,), Services()).values
    for name, values in together.items():
        assert np.array_equal(values[2], alone[name][0]), name


def test_differences_are_given_the_best_of_their_steps() -> None:
    found = trial(Setup(mode="differences", inputs=20), (0, 1), Services())
    curves = found.values["error by step"]
    assert curves.shape == (2, 12)
    assert np.array_equal(found.values["error"], curves.min(axis=1))
    assert (curves[:, [0, -1]] > 10 * found.values["error"][:, None]).all()  # both ends are worse
