"""Adam and AMSGrad: would catch a missing bias correction, exchanged betas, epsilon under the root,
an AMSGrad that forgets its maximum or that corrects before it compares, and a step counter off by
one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from practicum.errors import PracticumError
from practicum.learning.adam import Moments, Settings, adam, amsgrad, enlargement

RULES: dict[str, Callable[..., Any]] = {"adam": adam, "amsgrad": amsgrad}
STEPS = 60


def gradients(seed: int, shape: tuple[int, ...] = (3, 2)) -> np.ndarray:
    """Return gradients whose size changes over four decades, so that memories differ."""
    generator = np.random.default_rng(seed)
    size = 10.0 ** generator.uniform(-2, 2, (STEPS, 1, 1))
    return size * generator.normal(size=(STEPS, *shape))


def torch_path(found: np.ndarray, chosen: Settings, kept: bool) -> np.ndarray:
    """Return torch's parameters after every step of given gradients, from zero."""
    theta = torch.zeros(found.shape[1:], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam(
        [theta],
        lr=chosen.alpha,
        betas=(chosen.beta1, chosen.beta2),
        eps=chosen.epsilon,
        amsgrad=kept,
    )
    path = []
    for gradient in found:
        theta.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        path.append(theta.detach().numpy().copy())
    return np.array(path)


def our_path(rule: Callable[..., Any], found: np.ndarray, chosen: Settings) -> np.ndarray:
    theta = np.zeros(found.shape[1:])
    moments, path = Moments.zero(theta), []
    for gradient in found:
        theta, moments = rule(theta, moments, gradient, chosen)
        path.append(theta)
    return np.array(path)


CHOICES = (
    Settings(),
    Settings(alpha=0.3, beta1=0.0, beta2=0.9),
    Settings(alpha=0.02, beta1=0.95, beta2=0.99, epsilon=1e-3),
)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("chosen", CHOICES)
def test_the_path_equals_torch_optim_step_for_step(rule: str, chosen: Settings) -> None:
    found = gradients(0)
    peer = torch_path(found, chosen, kept=rule == "amsgrad")
    np.testing.assert_allclose(our_path(RULES[rule], found, chosen), peer, rtol=1e-11, atol=1e-14)


def uncorrected(*arguments: Any) -> Any:
    return adam(*arguments, correct=False)


def epsilon_under_the_root(theta: Any, moments: Moments, g: Any, chosen: Settings) -> Any:
    moments = moments.after(g, chosen)
    m = moments.m / (1 - chosen.beta1**moments.t)
    v = moments.v / (1 - chosen.beta2**moments.t)
    return theta - chosen.alpha * m / np.sqrt(v + chosen.epsilon), moments


def counts_from_two(theta: Any, moments: Moments, g: Any, chosen: Settings) -> Any:
    late = Moments(m=moments.m, v=moments.v, largest=moments.largest, t=moments.t + 1)
    theta, after = adam(theta, late, g, chosen)
    return theta, Moments(m=after.m, v=after.v, largest=after.largest, t=after.t - 1)


def corrects_before_comparing(theta: Any, moments: Moments, g: Any, chosen: Settings) -> Any:
    after = moments.after(g, chosen)
    m = after.m / (1 - chosen.beta1**after.t)
    largest = np.maximum(moments.largest, after.v / (1 - chosen.beta2**after.t))
    theta = theta - chosen.alpha * m / (np.sqrt(largest) + chosen.epsilon)
    return theta, Moments(m=after.m, v=after.v, largest=largest, t=after.t)


@pytest.mark.parametrize(
    ("broken", "kept"),
    [
        (uncorrected, False),
        (epsilon_under_the_root, False),
        (counts_from_two, False),
        (adam, True),  # no maximum
        (amsgrad, False),
        (corrects_before_comparing, True),
    ],
)
def test_a_broken_rule_does_not_follow_torch(broken: Callable[..., Any], kept: bool) -> None:
    found, chosen = gradients(0), CHOICES[2]
    distance = np.abs(our_path(broken, found, chosen) - torch_path(found, chosen, kept)).max()
    assert distance > 1e-5  # parity holds to 1e-11


@pytest.mark.parametrize("rule", RULES.values())
def test_the_first_step_has_length_alpha_whatever_the_gradient(rule: Callable[..., Any]) -> None:
    theta = np.zeros(4)
    after, _ = rule(theta, Moments.zero(theta), np.array([1e-3, -7.0, 1e5, -0.2]), Settings())
    np.testing.assert_allclose(after, 1e-3 * np.array([-1, 1, -1, 1]), rtol=1e-4)


def test_a_step_without_correction_is_larger_by_the_stated_factor() -> None:
    found = gradients(1)
    chosen = Settings(epsilon=0.0)
    right = np.diff(our_path(adam, found, chosen), axis=0)
    wrong = np.diff(our_path(uncorrected, found, chosen), axis=0)
    factors = np.array([enlargement(t, chosen) for t in range(2, STEPS + 1)])
    np.testing.assert_allclose(wrong / right, factors[:, None, None] * np.ones((3, 2)), rtol=1e-6)
    assert enlargement(1, chosen) == pytest.approx(math.sqrt(10))
    assert max(factors) > 6.0
    assert enlargement(10_000, chosen) == pytest.approx(1.0, abs=1e-4)


def test_amsgrad_never_divides_by_less_than_before() -> None:
    moments, chosen = Moments.zero(np.zeros((3, 2))), Settings(beta2=0.9)
    before, fell = moments.largest, False
    for gradient in gradients(2):
        old = moments.v
        moments = moments.after(gradient, chosen)
        assert np.all(moments.largest >= before)
        fell = fell or bool(np.any(moments.v < old))
        before = moments.largest
    assert fell  # what Adam divides by does fall


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
def test_the_scale_of_the_loss_does_not_change_the_path(scale: float, seed: int) -> None:
    found, chosen = gradients(seed), Settings(epsilon=0.0)
    for rule in RULES.values():
        np.testing.assert_allclose(
            our_path(rule, scale * found, chosen), our_path(rule, found, chosen), rtol=1e-9
        )


@pytest.mark.parametrize(
    "wrong", [{"beta1": 1.0}, {"beta2": -0.1}, {"alpha": 0.0}, {"epsilon": -1e-8}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PracticumError, match=next(iter(wrong))):
        Settings(**wrong)
