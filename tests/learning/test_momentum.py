"""Gradient descent and the heavy ball: would catch a velocity updated after the parameters, a
momentum that scales the gradient (1 - beta), a best step with L and mu exchanged, a rate without
its square root, and a closed form that forgets how the ball starts.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from practicum.errors import PracticumError
from practicum.learning.momentum import (
    Tuning,
    best_descent,
    best_heavy_ball,
    best_step_for,
    descent,
    error_after,
    heavy_ball,
    rate,
)

CURVATURES = np.array([0.05, 0.3, 1.0, 2.0])


def bowl(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a full matrix with known curvatures, its axes, and a start."""
    generator = np.random.default_rng(seed)
    axes = np.linalg.qr(generator.normal(size=(4, 4)))[0]
    return axes @ np.diag(CURVATURES) @ axes.T, axes, generator.normal(size=4)


@pytest.mark.parametrize("tuning", [Tuning(alpha=0.3), Tuning(alpha=0.2, beta=0.8)])
def test_trajectories_equal_torch_optim_step_for_step(tuning: Tuning) -> None:
    matrix, _, start = bowl(0)
    peer = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.SGD([peer], lr=tuning.alpha, momentum=tuning.beta)
    w, z = start, np.zeros(4)
    for _ in range(25):
        optimizer.zero_grad()
        (0.5 * peer @ torch.from_numpy(matrix) @ peer).backward()
        optimizer.step()
        w, z = heavy_ball(w, z, matrix @ w, tuning)
        np.testing.assert_allclose(w, peer.detach().numpy(), rtol=1e-11, atol=1e-13)


def test_goh_and_polyak_write_the_same_method() -> None:
    matrix, _, start = bowl(1)
    tuning = Tuning(alpha=0.3, beta=0.7)
    w, z = start, np.zeros(4)
    now, before = start, start
    for _ in range(30):
        w, z = heavy_ball(w, z, matrix @ w, tuning)
        now, before = now - tuning.alpha * (matrix @ now) + tuning.beta * (now - before), now
        np.testing.assert_allclose(w, now, rtol=1e-11, atol=1e-13)


def test_an_averaged_gradient_is_not_this_momentum() -> None:
    matrix, _, start = bowl(1)
    tuning = Tuning(alpha=0.3, beta=0.7)
    w, z = start, np.zeros(4)
    other, average = start, np.zeros(4)
    for _ in range(3):
        w, z = heavy_ball(w, z, matrix @ w, tuning)
        average = tuning.beta * average + (1 - tuning.beta) * (matrix @ other)
        other = other - tuning.alpha * average
    assert np.abs(w - other).max() > 1e-2


def test_momentum_zero_is_gradient_descent() -> None:
    matrix, _, start = bowl(2)
    w, _ = heavy_ball(start, np.ones(4), matrix @ start, Tuning(alpha=0.1))
    np.testing.assert_array_equal(w, descent(start, matrix @ start, 0.1))


@pytest.mark.parametrize("steps", [0, 1, 2, 17])
@pytest.mark.parametrize("tuning", [Tuning(alpha=0.3), best_heavy_ball(0.05, 2.0)])
def test_the_error_follows_its_closed_form_along_every_axis(tuning: Tuning, steps: int) -> None:
    matrix, axes, start = bowl(3)
    w, z = start, np.zeros(4)
    for _ in range(steps):
        w, z = heavy_ball(w, z, matrix @ w, tuning)
    expected = error_after(tuning, CURVATURES, steps) * (axes.T @ start)
    np.testing.assert_allclose(axes.T @ w, expected, rtol=1e-9, atol=1e-13)
    if tuning.beta == 0.0:
        np.testing.assert_allclose(
            error_after(tuning, CURVATURES, steps), (1 - tuning.alpha * CURVATURES) ** steps
        )


@settings(max_examples=40, deadline=None)
@given(mu=st.floats(0.01, 1.0), kappa=st.floats(1.5, 1e4))
def test_the_best_settings_have_the_rates_of_the_papers(mu: float, kappa: float) -> None:
    ends = (mu, mu * kappa)
    plain = best_descent(*ends)
    for curvature in ends:
        assert rate(plain, curvature) == pytest.approx((kappa - 1) / (kappa + 1), rel=1e-9)
    ball, root = best_heavy_ball(*ends), kappa**0.5
    for curvature in ends:
        # A double root is known to half of the digits only.
        assert rate(ball, curvature) == pytest.approx((root - 1) / (root + 1), abs=1e-6)


@pytest.mark.parametrize("kappa", [5.0, 400.0])
def test_no_other_setting_nearby_is_better(kappa: float) -> None:
    def worst(tuning: Tuning) -> float:
        return max(rate(tuning, curvature) for curvature in np.geomspace(1.0, kappa, 40))

    plain, ball = best_descent(1.0, kappa), best_heavy_ball(1.0, kappa)
    assert worst(ball) < worst(plain)
    for factor in (0.97, 1.03):
        assert worst(Tuning(alpha=plain.alpha * factor)) > worst(plain)
        assert worst(Tuning(alpha=ball.alpha * factor, beta=ball.beta)) > worst(ball)
        other = 1.0 - (1.0 - ball.beta) * factor
        assert worst(Tuning(alpha=ball.alpha, beta=other)) > worst(ball)


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.8, 0.95])
@pytest.mark.parametrize("kappa", [20.0, 300.0])
def test_the_best_step_for_a_given_momentum_is_a_minimum(beta: float, kappa: float) -> None:
    def worst(alpha: float) -> float:
        tuning = Tuning(alpha=alpha, beta=beta)
        return max(rate(tuning, curvature) for curvature in np.geomspace(1.0, kappa, 60))

    chosen = best_step_for(beta, 1.0, kappa).alpha
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1):
        assert worst(chosen) <= worst(chosen * factor) + 1e-6
    if beta == 0.0:
        assert chosen == pytest.approx(best_descent(1.0, kappa).alpha)


def test_beyond_the_limit_of_stability_the_error_grows() -> None:
    for beta in (0.0, 0.5, 0.9):
        limit = 2.0 * (1.0 + beta)  # for curvature 1
        assert rate(Tuning(alpha=0.999 * limit, beta=beta), 1.0) < 1.0
        assert rate(Tuning(alpha=1.001 * limit, beta=beta), 1.0) > 1.0


def test_the_double_root_makes_the_error_fall_like_t_times_the_rate() -> None:
    ball = best_heavy_ball(1e-4, 1.0)
    rho, t = ball.beta**0.5, 3000
    grown = abs(error_after(ball, np.array([1e-4]), t)[0]) / rho**t
    assert grown == pytest.approx(1 + t * (1 - rho), rel=1e-4)
    assert grown > 10.0


@pytest.mark.parametrize(("mu", "largest"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0)])
def test_curvatures_that_make_no_bowl_are_refused(mu: float, largest: float) -> None:
    for best in (best_descent, best_heavy_ball):
        with pytest.raises(PracticumError, match="curvatures"):
            best(mu, largest)


def test_a_momentum_of_one_is_refused() -> None:
    with pytest.raises(PracticumError, match="below 1"):
        best_step_for(1.0, 0.1, 1.0)
