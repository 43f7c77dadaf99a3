"""Losses as negative log-likelihoods, against densities of other libraries and sums written out.

Would catch: a factor of a half, a sign or a constant lost; a sum in place of the mean; a variance
taken for a deviation; Huber's two pieces that do not meet; a deviance that is not zero at the
counts themselves or that fails at a count of zero; a gradient that is not the derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from practicum.errors import PracticumError
from practicum.learning import likelihood

_made = torch.Generator().manual_seed(8)
M, S, Y = (torch.randn(13, generator=_made, dtype=torch.float64) * 2 for _ in range(3))
COUNTS = torch.poisson(M.exp(), generator=_made)
LOGITS = torch.randn(7, 5, generator=_made, dtype=torch.float64) * 2
CLASSES = torch.randint(5, (7,), generator=_made)


def naive_huber(m: float, y: float, delta: float) -> float:
    r = abs(y - m)
    return r * r / 2 if r <= delta else delta * r - delta * delta / 2


NAIVE: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[float, float], float], Tensor]] = {
    "squared": (lambda m: likelihood.squared(m, Y), lambda m, y: (y - m) ** 2 / 2, Y),
    "absolute": (lambda m: likelihood.absolute(m, Y), lambda m, y: abs(y - m), Y),
    "huber": (
        lambda m: likelihood.huber(m, Y, delta=0.7),
        lambda m, y: naive_huber(m, y, 0.7),
        Y,
    ),
    "poisson": (
        lambda z: likelihood.poisson(z, COUNTS),
        lambda z, y: math.exp(z) - y * z,
        COUNTS,
    ),
}


@pytest.mark.parametrize("name", NAIVE)
def test_a_loss_and_its_gradient_equal_the_sums_written_out(name: str) -> None:
    loss, one, targets = NAIVE[name]
    m = M.clone().requires_grad_()
    value = loss(m)
    pairs = list(zip(M.tolist(), targets.tolist(), strict=True))
    assert value.shape == ()
    assert float(value.detach()) == pytest.approx(np.mean([one(*pair) for pair in pairs]))
    (gradient,) = torch.autograd.grad(value, m)
    for i, (at, y) in enumerate(pairs):
        slope = (one(at + 1e-6, y) - one(at - 1e-6, y)) / 2e-6 / len(pairs)
        assert float(gradient[i]) == pytest.approx(slope, abs=1e-8)


def test_the_gaussian_is_scipys_density() -> None:
    expected = -scipy.stats.norm.logpdf(Y.numpy(), M.numpy(), (S / 2).exp().numpy()).mean()
    assert float(likelihood.gaussian(M, S, Y)) == pytest.approx(expected, rel=1e-12)
    # A deviation in place of the variance is another number.
    assert float(likelihood.gaussian(M, S / 2, Y)) != pytest.approx(expected, rel=1e-2)
    fixed = likelihood.gaussian(M, torch.zeros_like(M), Y) - math.log(2 * math.pi) / 2
    assert float(fixed) == pytest.approx(float(likelihood.squared(M, Y)))


def test_the_gaussians_gradient_is_the_one_derived_by_hand() -> None:
    m, s = M.clone().requires_grad_(), S.clone().requires_grad_()
    by_m, by_s = torch.autograd.grad(likelihood.gaussian(m, s, Y), (m, s))
    torch.testing.assert_close(by_m, (M - Y) / S.exp() / 13)
    torch.testing.assert_close(by_s, (1 - (M - Y) ** 2 / S.exp()) / 2 / 13)


def test_poisson_is_scipys_mass_but_for_the_constant() -> None:
    full = -scipy.stats.poisson.logpmf(COUNTS.numpy(), M.exp().numpy())
    constant = scipy.special.gammaln(COUNTS.numpy() + 1)
    assert float(likelihood.poisson(M, COUNTS)) == pytest.approx((full - constant).mean())


def test_the_absolute_error_and_huber_are_likelihoods_too() -> None:
    laplace = -scipy.stats.laplace.logpdf(Y.numpy(), M.numpy()) - math.log(2)
    assert float(likelihood.absolute(M, Y)) == pytest.approx(laplace.mean())
    for delta in (0.3, 1.345, 100.0):
        ours = float(likelihood.huber(M, Y, delta=delta))
        assert ours == pytest.approx(scipy.special.huber(delta, (Y - M).numpy()).mean())
        theirs = torch.nn.functional.huber_loss(M, Y, delta=delta)
        assert ours == pytest.approx(float(theirs))


def test_squared_probabilities_equal_the_sums_written_out() -> None:
    total = 0.0
    for row, label in zip(LOGITS.tolist(), CLASSES.tolist(), strict=True):
        exps = [math.exp(z) for z in row]
        p = [e / sum(exps) for e in exps]
        total += sum((p[k] - (k == label)) ** 2 for k in range(5)) / 2
    assert float(likelihood.squared_probabilities(LOGITS, CLASSES)) == pytest.approx(total / 7)


def test_squared_probabilities_pull_as_the_softmaxs_slope_says() -> None:
    z = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood.squared_probabilities(z, CLASSES), z)
    p = LOGITS.softmax(1)
    apart = p - torch.eye(5, dtype=torch.float64)[CLASSES]
    for i in range(7):
        slope = torch.diag(p[i]) - torch.outer(p[i], p[i])
        torch.testing.assert_close(gradient[i], slope @ apart[i] / 7)


def test_a_confident_mistake_pulls_under_cross_entropy_and_not_under_the_squared_error() -> None:
    wrong = torch.tensor([[-20.0, 0.0]], dtype=torch.float64, requires_grad=True)
    right = torch.tensor([0])
    (squared,) = torch.autograd.grad(likelihood.squared_probabilities(wrong, right), wrong)
    (entropy,) = torch.autograd.grad(torch.nn.functional.cross_entropy(wrong, right), wrong)
    assert float(squared.abs().max()) < 1e-8
    assert float(entropy[0, 0]) == pytest.approx(-1)


@given(st.floats(-1e3, 1e3), st.floats(0.05, 10))
def test_the_influence_of_an_outlier_is_bounded_for_the_robust_losses_only(
    residual: float, delta: float
) -> None:
    def pull(loss: Callable[[Tensor, Tensor], Tensor]) -> float:
        m = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
        target = torch.tensor(residual, dtype=torch.float64)
        return float(torch.autograd.grad(loss(m, target), m)[0])

    assert abs(pull(likelihood.absolute)) <= 1
    assert abs(pull(partial(likelihood.huber, delta=delta))) <= delta * (1 + 1e-12)
    assert pull(likelihood.squared) == pytest.approx(-residual)


def test_the_minimum_of_each_loss_is_the_statistic_it_stands_for() -> None:
    y = torch.tensor([0.0, 1.0, 1.0, 2.0, 40.0], dtype=torch.float64)
    grid = torch.linspace(0, 40, 401, dtype=torch.float64)

    def best(loss: Callable[[Tensor, Tensor], Tensor]) -> float:
        values = torch.stack([loss(m.expand_as(y), y) for m in grid])
        return float(grid[values.argmin()])

    assert best(likelihood.squared) == pytest.approx(8.8, abs=0.06)
    assert best(likelihood.absolute) == pytest.approx(1.0, abs=0.06)
    assert 1.0 < best(partial(likelihood.huber, delta=1.0)) < 1.5
    rates = torch.stack([likelihood.poisson(m.log().expand_as(y), y) for m in grid[1:]])
    assert float(grid[1:][rates.argmin()]) == pytest.approx(8.8, abs=0.06)


def test_the_deviance_is_twice_the_log_likelihood_that_is_missing() -> None:
    rate = (M + 0.3).exp()
    counts = COUNTS.numpy()
    logpmf = scipy.stats.poisson.logpmf
    missing = logpmf(counts, np.maximum(counts, 1e-300)) - logpmf(counts, rate.numpy())
    ours = float(likelihood.poisson_deviance(rate, COUNTS))
    assert ours == pytest.approx(2 * missing.mean())
    counted = torch.tensor([1.0, 4.0])
    assert float(likelihood.poisson_deviance(counted, counted)) == pytest.approx(0, abs=1e-7)
    assert float(likelihood.poisson_deviance(torch.ones(2), torch.zeros(2))) == 2


def test_impossible_arguments_are_told() -> None:
    with pytest.raises(PracticumError, match="delta"):
        likelihood.huber(M, Y, delta=0.0)
    with pytest.raises(PracticumError, match="rates"):
        likelihood.poisson_deviance(torch.zeros(2), torch.ones(2))
    with pytest.raises(PracticumError, match="counts"):
        likelihood.poisson_deviance(torch.ones(2), -torch.ones(2))
