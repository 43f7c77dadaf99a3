"""Generators: what is promised about their geometry holds.

Would catch: a margin that is only a lower bound (the perceptron's bound would look too good),
points outside the unit ball, classes that do not match the clouds, draws that ignore the generator.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.svm import LinearSVC

from practicum.data import blobs, rings, separable, two_moons, xor
from practicum.errors import PracticumError


def largest_margin(x: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Return the largest margin through the origin, from its dual.

    It is the distance d of the convex hull of z_i = y_i x_i from the origin. Non-negative least
    squares of (sum a_i z_i, sum a_i) against (0, 1) leaves the squared residual d²/(1 + d²).
    """
    z = y[:, None] * x
    _, residual = nnls(np.vstack([z.T, np.ones(len(z))]), np.r_[np.zeros(x.shape[1]), 1.0])
    return float(residual / np.sqrt(1 - residual**2))


@given(
    n=st.integers(2, 60),
    dim=st.integers(2, 9),
    margin=st.floats(0.01, 0.95),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_largest_margin_is_exactly_the_one_asked_for(
    n: int, dim: int, margin: float, seed: int
) -> None:
    made = separable(n, dim, margin, np.random.default_rng(seed))

    distances = made.y * (made.x @ made.direction)
    norms = np.linalg.norm(made.x, axis=1)

    assert made.x.shape == (n, dim)
    assert distances.min() == pytest.approx(margin, abs=1e-12)  # nothing separates by less ...
    assert largest_margin(made.x, made.y) == pytest.approx(margin, abs=1e-7)  # ... or by more
    assert np.linalg.norm(made.direction) == pytest.approx(1, abs=1e-12)
    assert norms.max() == pytest.approx(1, abs=1e-12)
    assert set(made.y.tolist()) == {-1, 1}


def test_a_generator_without_the_two_support_points_would_be_noticed() -> None:
    made = separable(30, 4, 0.1, np.random.default_rng(0))

    assert largest_margin(made.x[2:], made.y[2:]) > 0.1 + 1e-3


def test_a_support_vector_machine_finds_the_same_margin() -> None:
    made = separable(80, 5, 0.2, np.random.default_rng(1))

    machine = LinearSVC(C=1e4, loss="hinge", fit_intercept=False, tol=1e-8, max_iter=1_000_000)
    machine.fit(made.x, made.y)

    assert 1 / np.linalg.norm(machine.coef_) == pytest.approx(0.2, rel=1e-3)


def test_both_signs_and_all_directions_occur() -> None:
    made = separable(2000, 3, 0.1, np.random.default_rng(2))

    assert 0.45 < (made.y == 1).mean() < 0.55
    assert (made.x.min(0) < -0.5).all()
    assert (made.x.max(0) > 0.5).all()


@pytest.mark.parametrize(
    ("n", "dim", "margin", "says"),
    [
        (1, 2, 0.1, "at least 2 points"),
        (2, 1, 0.1, "at least 2 dimensions"),
        (9, 2, 0.0, "between 0 and 1"),
        (9, 2, 1.0, "between 0 and 1"),
        (9, 2, float("nan"), "between 0 and 1"),
    ],
)
def test_an_impossible_separable_set_is_refused(n: int, dim: int, margin: float, says: str) -> None:
    with pytest.raises(PracticumError, match=says):
        separable(n, dim, margin, np.random.default_rng(0))


def test_blobs_lie_around_their_centres_with_the_given_deviation() -> None:
    centres = np.array([[0.0, 5.0, 1.0], [7.0, -3.0, 2.0]])

    x, y = blobs(4001, centres, 0.5, np.random.default_rng(3))

    assert np.bincount(y).tolist() == [2001, 2000]
    for number, centre in enumerate(centres):
        assert np.allclose(x[y == number].mean(0), centre, atol=0.05)
        assert np.allclose(x[y == number].std(0), 0.5, atol=0.03)


def test_xor_is_the_product_of_signs_and_no_line_separates_it() -> None:
    x, y = xor(400, 0.1, np.random.default_rng(4))

    assert np.array_equal(y, (x[:, 0] * x[:, 1] < 0).astype(int))
    line = LinearSVC(max_iter=100_000).fit(x, y)
    assert line.score(x, y) < 0.8


def test_moons_without_noise_are_half_circles_facing_each_other() -> None:
    x, y = two_moons(300, 0, np.random.default_rng(5))
    upper, lower = x[y == 0], x[y == 1] - np.array([1, 0.5])

    assert np.allclose(np.linalg.norm(upper, axis=1), 1)
    assert np.allclose(np.linalg.norm(lower, axis=1), 1)
    assert upper[:, 1].min() >= 0 >= lower[:, 1].max()


def test_rings_without_noise_have_their_radii() -> None:
    x, y = rings(101, 0, np.random.default_rng(6))

    assert np.allclose(np.linalg.norm(x, axis=1), np.where(y == 0, 0.5, 1))


@pytest.mark.parametrize("make", [xor, two_moons, rings])
def test_the_generator_alone_decides_the_points(make: object) -> None:
    one, same, other = (
        make(50, 0.2, np.random.default_rng(seed))[0]  # type: ignore[operator]  # each is callable
        for seed in (0, 0, 1)
    )

    assert np.array_equal(one, same)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("make", [xor, two_moons, rings])
@pytest.mark.parametrize(("n", "deviation"), [(0, 0.1), (5, -0.1), (5, float("nan"))])
def test_impossible_clouds_are_refused(make: object, n: int, deviation: float) -> None:
    with pytest.raises(PracticumError):
        make(n, deviation, np.random.default_rng(0))  # type: ignore[operator]  # each is callable
