"""Random features and least squares behind them: would catch features of another distribution,
a missing factor, a fit that is not the least-norm one, a ridge on another scale, singular values
cut off that should not be, a theory of the risk that simulation does not bear out.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.linalg import lstsq
from sklearn.linear_model import Ridge

from practicum.errors import PracticumError
from practicum.nn.random_features import (
    LeastSquares,
    RandomFeatures,
    first,
    isotropic_risk,
)

SHAPES = [(12, 5), (9, 9), (7, 11), (6, 25)]  # (n, N): under, at and beyond N = n; beyond 2 n


def problem(n: int, features: int, targets: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(n * 100 + features)
    return random.normal(size=(n, features)), random.normal(size=(n, targets))


# --- features


@pytest.mark.parametrize("kind", ["fourier", "relu"])
def test_features_are_those_of_the_equations_written_as_loops(kind: str) -> None:
    layer = RandomFeatures.draw(kind, 4, 6, np.random.default_rng(1), 0.7)
    x = np.random.default_rng(2).normal(size=(5, 4))
    z = layer(x)
    for i in range(5):
        for k in range(6):
            field = sum(layer.directions[k, d] * x[i, d] for d in range(4)) + layer.offsets[k]
            phi = math.sqrt(2) * math.cos(field) if kind == "fourier" else max(field, 0.0)
            assert z[i, k] == pytest.approx(phi / math.sqrt(6), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("width", [0.5, 2.0])
def test_many_fourier_features_approach_the_gaussian_kernel(width: float) -> None:
    x = np.random.default_rng(3).normal(size=(6, 3))
    z = RandomFeatures.draw("fourier", 3, 40_000, np.random.default_rng(4), width)(x)
    squared = np.square(x[:, None] - x[None]).sum(-1)
    np.testing.assert_allclose(z @ z.T, np.exp(-squared / (2 * width**2)), atol=0.03)
    wrong = np.exp(-squared / width**2)  # a width of another convention must not pass
    assert np.abs(z @ z.T - wrong).max() > 0.06


def test_many_relu_features_approach_the_arc_cosine_kernel() -> None:
    inputs = 3
    x = np.random.default_rng(5).normal(size=(5, inputs))
    z = RandomFeatures.draw("relu", inputs, 60_000, np.random.default_rng(6))(x)
    length = np.linalg.norm(x, axis=1)
    cosine = np.clip(x @ x.T / np.outer(length, length), -1, 1)
    angle = np.arccos(cosine)
    # Cho and Saul's kernel of first order, halved, for unit vectors instead of normal ones (1 / D).
    known = np.outer(length, length) * (np.sin(angle) + (np.pi - angle) * cosine)
    known /= 2 * np.pi * inputs
    np.testing.assert_allclose(z @ z.T, known, atol=0.02 * known.max())


def test_directions_and_offsets_have_their_distributions() -> None:
    fourier = RandomFeatures.draw("fourier", 4, 5000, np.random.default_rng(7), 0.5)
    assert stats.kstest(fourier.directions.ravel() * 0.5, "norm").pvalue > 1e-3
    assert stats.kstest(fourier.offsets / (2 * np.pi), "uniform").pvalue > 1e-3
    relu = RandomFeatures.draw("relu", 3, 5000, np.random.default_rng(8), 0.5)
    np.testing.assert_allclose(np.linalg.norm(relu.directions, axis=1), 1.0, rtol=1e-12)
    # A coordinate of a uniform point on the sphere in three dimensions is uniform (Archimedes).
    assert stats.kstest((relu.directions[:, 0] + 1) / 2, "uniform").pvalue > 1e-3


def test_fewer_features_are_the_first_of_more_and_rescaled() -> None:
    layer = RandomFeatures.draw("fourier", 4, 10, np.random.default_rng(9))
    x = np.random.default_rng(10).normal(size=(3, 4))
    responses = layer.responses(x)
    np.testing.assert_array_equal(first(responses, 10), layer(x))
    fewer = RandomFeatures(
        kind="fourier", directions=layer.directions[:4], offsets=layer.offsets[:4]
    )
    np.testing.assert_allclose(first(responses, 4), fewer(x), rtol=1e-14)


# --- fits


@pytest.mark.parametrize(("n", "features"), SHAPES)
def test_the_least_norm_fit_is_that_of_numpy_and_scipy(n: int, features: int) -> None:
    z, y = problem(n, features)
    ours = LeastSquares.of(z).least_norm(y)
    np.testing.assert_allclose(ours, np.linalg.pinv(z) @ y, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ours, np.linalg.lstsq(z, y)[0], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ours, lstsq(z, y)[0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("n", "features"), SHAPES)
@pytest.mark.parametrize("penalty", [1e-3, 0.5])
def test_ridge_is_that_of_scikit_learn_with_n_times_the_penalty(
    n: int, features: int, penalty: float
) -> None:
    z, y = problem(n, features)
    ours = LeastSquares.of(z).ridge(y, penalty)
    peer = Ridge(alpha=n * penalty, fit_intercept=False, solver="cholesky").fit(z, y).coef_.T
    np.testing.assert_allclose(ours, peer, rtol=1e-8, atol=1e-10)
    unscaled = Ridge(alpha=penalty, fit_intercept=False, solver="cholesky").fit(z, y).coef_.T
    assert not np.allclose(ours, unscaled, rtol=1e-4)


@pytest.mark.parametrize(("n", "features"), SHAPES)
def test_the_gradient_of_the_ridge_objective_is_zero_at_its_fit(n: int, features: int) -> None:
    z, y = problem(n, features)
    weights = LeastSquares.of(z).ridge(y, 0.03)
    gradient = 2 * z.T @ (z @ weights - y) / n + 2 * 0.03 * weights
    assert np.abs(gradient).max() < 1e-12


@given(st.integers(2, 8), st.integers(1, 24), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_no_other_fit_is_as_good_and_as_small(
    n: int, features: int, targets: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    z, y = random.normal(size=(n, features)), random.normal(size=(n, targets))
    solver = LeastSquares.of(z)
    weights = solver.least_norm(y)
    if solver.values[-1] < 1e-6 * solver.values[0]:
        return  # so near to losing a rank that the cut-off is a matter of rounding
    residual = z @ weights - y
    assert np.abs(z.T @ residual).max() < 1e-6 * max(1.0, float(np.abs(weights).max()))
    if features > n:
        assert np.abs(residual).max() < 1e-6 * max(1.0, float(np.abs(weights).max()))
    # What does not change the answers is orthogonal to the weights: adding it makes them longer.
    silent = random.normal(size=(features, targets))
    silent -= np.linalg.pinv(z) @ (z @ silent)
    assert abs(float((silent * weights).sum())) < 1e-6 * max(1.0, float(np.linalg.norm(weights)))


@pytest.mark.parametrize(("n", "features"), SHAPES)
def test_a_small_ridge_tends_to_the_least_norm_fit_and_a_large_one_to_zero(
    n: int, features: int
) -> None:
    z, y = problem(n, features)
    solver = LeastSquares.of(z)
    np.testing.assert_allclose(solver.ridge(y, 1e-12), solver.least_norm(y), rtol=1e-5, atol=1e-7)
    assert np.abs(solver.ridge(y, 1e12)).max() < 1e-9


def test_the_cut_off_drops_exactly_the_small_singular_values() -> None:
    left, _ = np.linalg.qr(np.random.default_rng(11).normal(size=(6, 3)))
    right, _ = np.linalg.qr(np.random.default_rng(12).normal(size=(4, 3)))
    z = left @ np.diag([1.0, 1e-5, 1e-9]) @ right.T
    y = np.random.default_rng(13).normal(size=(6, 2))
    solver = LeastSquares.of(z)
    assert [solver.rank(rcond) for rcond in (1e-12, 1e-7, 1e-3)] == [3, 2, 1]
    np.testing.assert_allclose(
        solver.least_norm(y, 1e-7), np.linalg.pinv(z, rcond=1e-7) @ y, rtol=1e-6
    )
    assert np.linalg.norm(solver.least_norm(y, 1e-12)) > 1e3 * np.linalg.norm(
        solver.least_norm(y, 1e-7)
    )


# --- theory of the risk


@pytest.mark.parametrize("gamma", [0.2, 0.5, 0.75, 1.5, 3.0])
def test_the_risk_of_isotropic_regression_is_that_of_simulation(gamma: float) -> None:
    n, signal, noise, random = 120, 1.3, 0.4, np.random.default_rng(14)
    p = round(gamma * n)
    risks = []
    for _ in range(40):
        rule = random.normal(size=(p, 1))
        rule *= math.sqrt(signal) / np.linalg.norm(rule)
        x = random.normal(size=(n, p))
        y = x @ rule + math.sqrt(noise) * random.normal(size=(n, 1))
        risks.append(float(np.square(LeastSquares.of(x).least_norm(y) - rule).sum()))
    standard_error = np.std(risks) / math.sqrt(len(risks))
    mean = float(np.mean(risks))
    # Exact for every n (moments of inverse Wishart matrices), and what Eq. (7), (8) tend to.
    exact = noise * p / (n - p - 1) if p < n else signal * (1 - n / p) + noise * n / (p - n - 1)
    assert abs(mean - exact) < 4 * standard_error
    assert isotropic_risk(gamma, signal, noise) == pytest.approx(exact, rel=0.04)
    assert abs(mean - exact - noise) > 4 * standard_error  # the noise itself is no part of it


def test_the_risk_grows_without_bound_towards_the_threshold() -> None:
    assert isotropic_risk(0.999, 1.0, 0.1) > 50
    assert isotropic_risk(1.001, 1.0, 0.1) > 50
    assert isotropic_risk(1e9, 1.0, 0.1) == pytest.approx(1.0)


# --- bad input


def test_bad_input_is_refused_with_a_reason() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(PracticumError, match="fourier"):
        RandomFeatures.draw("fourrier", 3, 4, random)
    with pytest.raises(PracticumError, match="above 0"):
        RandomFeatures.draw("relu", 3, 0, random)
    layer = RandomFeatures.draw("relu", 3, 4, random)
    with pytest.raises(PracticumError, match="expected"):
        layer(np.zeros((2, 5)))
    with pytest.raises(PracticumError, match="cannot be taken"):
        first(layer.responses(np.zeros((2, 3))), 5)
    with pytest.raises(PracticumError, match="finite"):
        LeastSquares.of(np.full((2, 2), np.nan))
    solver = LeastSquares.of(np.eye(3))
    with pytest.raises(PracticumError, match="least_norm"):
        solver.ridge(np.ones((3, 1)), 0.0)
    with pytest.raises(PracticumError, match="targets"):
        solver.least_norm(np.ones((2, 1)))
    with pytest.raises(PracticumError, match="diverges"):
        isotropic_risk(1.0, 1.0, 1.0)
