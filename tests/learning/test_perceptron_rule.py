"""The perceptron rule: would catch an update with the wrong sign, a mistake not counted at a score
of zero, a bias left out of R or gamma, a margin smaller than the largest one, a pocket or an
average taken over the wrong vectors.

The rule is compared with scikit-learn's Perceptron in the same visiting order and with a naive
loop; the margin with scikit-learn's support vector machine; the bound with a case where it is tight
enough to notice a wrong margin.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Perceptron as Peer
from sklearn.svm import SVC
from torch import Tensor

from practicum.errors import PracticumError
from practicum.learning.perceptron_rule import learn, margin, turned
from practicum.nn.perceptron import augment


def naive(z: list[list[float]], order: list[int], passes: int) -> dict[str, list[float]]:
    """Visit one example after the other, in plain Python."""
    w = [0.0] * len(z[0])
    total = [0.0] * len(z[0])
    best, fewest = w, len(z) + 1
    mistakes, visits = [], 0
    for _ in range(passes):
        mistakes.append(0)
        for i in order:
            if sum(a * b for a, b in zip(w, z[i], strict=True)) <= 0:
                w = [a + b for a, b in zip(w, z[i], strict=True)]
                mistakes[-1] += 1
                errors = sum(sum(a * b for a, b in zip(w, row, strict=True)) <= 0 for row in z)
                if errors < fewest:
                    best, fewest = w, errors
            total = [a + b for a, b in zip(total, w, strict=True)]
            visits += 1
        if mistakes[-1] == 0:
            break
    return {
        "last": w,
        "pocket": best,
        "averaged": [a / visits for a in total],
        "mistakes": [float(m) for m in mistakes],
    }


def whole_numbers(seed: int, n: int = 37, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Draw small whole numbers: every sum is exact, so that order of adding cannot matter."""
    generator = np.random.default_rng(seed)
    x = generator.integers(-4, 5, size=(n, d)).astype(float)
    score = x @ np.arange(1, d + 1) - 2.5
    return x, np.where(score > 0, 1.0, -1.0)


def make(x: np.ndarray, y: np.ndarray) -> Tensor:
    return turned(augment(torch.from_numpy(x)), torch.from_numpy(y))


def in_order(z: Tensor) -> Callable[[], Tensor]:
    return lambda: torch.arange(len(z))


@pytest.mark.parametrize("passes", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_weights_are_those_of_scikit_learn_visiting_in_the_same_order(
    seed: int, passes: int
) -> None:
    x, y = whole_numbers(seed)
    y[::7] *= -1  # keep it from converging, so that every pass counts
    peer = Peer(shuffle=False, max_iter=passes, tol=None, eta0=1.0).fit(x, y)
    ours = learn(make(x, y), in_order(make(x, y)), passes=passes).last
    assert ours[:-1].tolist() == peer.coef_[0].tolist()
    assert float(ours[-1]) == peer.intercept_[0]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("seed", [3, 4])
def test_last_pocket_average_and_mistakes_equal_the_naive_loop(seed: int, flip: bool) -> None:
    x, y = whole_numbers(seed)
    if flip:
        y[::6] *= -1
    z = make(x, y)
    order = np.random.default_rng(seed).permutation(len(z))
    ours = learn(z, lambda: torch.from_numpy(order), passes=9)
    twin = naive(z.tolist(), order.tolist(), passes=9)
    assert ours.last.tolist() == twin["last"]
    assert ours.pocket.tolist() == twin["pocket"]
    assert list(ours.mistakes) == twin["mistakes"]
    torch.testing.assert_close(ours.averaged, torch.tensor(twin["averaged"], dtype=z.dtype))


def test_an_update_with_the_wrong_sign_is_told_apart_from_the_rule() -> None:
    x, y = whole_numbers(0)
    z = make(x, y)
    twin = naive((-z).tolist(), list(range(len(z))), passes=2)
    assert learn(z, in_order(z), passes=2).last.tolist() != twin["last"]


def test_a_new_order_is_asked_for_before_each_pass() -> None:
    x, y = whole_numbers(1)
    y[::5] *= -1
    z, asked = make(x, y), []

    def order() -> Tensor:
        asked.append(len(asked))
        return torch.arange(len(z)).roll(len(asked))

    assert len(learn(z, order, passes=4).mistakes) == len(asked) == 4


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 40), d=st.integers(1, 6))
def test_mistakes_never_exceed_the_bound_on_a_separable_set(seed: int, n: int, d: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, d))
    score = x @ generator.normal(size=d) + generator.normal()
    z = make(x, np.where(score > 0, 1.0, -1.0))
    known = margin(z)
    assert known.separable
    run = learn(z, in_order(z), passes=100_000, most_mistakes=known.bound)
    assert run.converged
    assert sum(run.mistakes) <= known.bound


def test_the_bound_is_reached_by_orthogonal_examples_and_broken_by_a_wrong_margin() -> None:
    n = 6
    z = torch.eye(n, dtype=torch.float64)
    known = margin(z)
    assert known.gamma == pytest.approx(1 / np.sqrt(n))
    mistakes = sum(learn(z, in_order(z), passes=3).mistakes)
    assert mistakes == n
    assert mistakes <= known.bound * (1 + 1e-12)
    assert mistakes > (known.radius / (1.1 * known.gamma)) ** 2


def test_leaving_the_bias_out_of_the_radius_breaks_the_bound() -> None:
    # Two points close to the origin: without the constant input R would be tiny.
    z = make(np.array([[0.3], [0.1]]), np.array([1.0, -1.0]))
    known = margin(z)
    mistakes = sum(learn(z, in_order(z), passes=10_000).mistakes)
    assert mistakes <= known.bound
    assert mistakes > (0.3 / known.gamma) ** 2


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_margin_is_that_of_a_support_vector_machine(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(30, 4))
    z = make(x, np.where(x @ np.array([1.0, -2.0, 0.5, 1.0]) > 0.3, 1.0, -1.0))
    known = margin(z)
    # With every example also mirrored through the origin the machine's own bias is zero.
    mirrored = np.concatenate((z.numpy(), -z.numpy()))
    machine = SVC(kernel="linear", C=1e9, tol=1e-8)
    machine.fit(mirrored, np.repeat([1, -1], len(z)))
    assert known.gamma == pytest.approx(1 / np.linalg.norm(machine.coef_), rel=1e-4)
    assert float((z @ known.plane).min()) == pytest.approx(known.gamma)
    # The perceptron's own plane has a smaller margin: using it would make the bound too generous.
    own = learn(z, in_order(z), passes=100_000).last
    assert float((z @ own).min() / own.norm()) < 0.999 * known.gamma


def test_exclusive_or_is_certified_inseparable_and_never_stops_making_mistakes() -> None:
    x = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    z = make(x, np.array([-1.0, 1.0, 1.0, -1.0]))
    known = margin(z)
    assert not known.separable
    assert known.bound == float("inf")
    generator = torch.Generator().manual_seed(0)
    run = learn(z, lambda: torch.randperm(4, generator=generator), passes=200)
    assert min(run.mistakes) >= 1
    assert not run.converged
    assert max(run.norms) < 5.0  # the weights cycle, they do not grow
    assert int((z @ run.pocket <= 0).sum()) == 1  # the best a plane can do on this set


def test_the_run_stops_after_the_pass_that_breaks_the_budget_of_mistakes() -> None:
    x, y = whole_numbers(2)
    y[::4] *= -1
    z = make(x, y)
    run = learn(z, in_order(z), passes=50, most_mistakes=20)
    assert sum(run.mistakes[:-1]) <= 20 < sum(run.mistakes)


@pytest.mark.parametrize(
    "bad", [torch.zeros(0, 3, dtype=torch.float64), torch.tensor([[1.0, float("nan")]])]
)
def test_a_margin_of_nothing_or_of_nan_is_refused(bad: Tensor) -> None:
    with pytest.raises(PracticumError, match="finite"):
        margin(bad)


def test_the_margin_of_an_integer_threshold_function_is_found() -> None:
    """scipy 1.17's non-negative least squares calls this set inseparable."""
    points = list(itertools.product((0.0, 1.0), repeat=5))
    x = torch.tensor([[*point, 1.0] for point in points], dtype=torch.float64)
    w = torch.tensor([2.0, 2.0, 2.0, 0.0, 0.0, -3.0], dtype=torch.float64)
    z = torch.sign(x @ w)[:, None] * x
    assert margin(z).gamma == pytest.approx(float((z @ w).min() / w.norm()), rel=1e-12)
