"""The lab on vanishing gradients: the error's way back, factor by factor, and the task.

Catches: a factor with the slope of the wrong time step, a transposed W_rec, factors in the wrong
order, a regularizer that differentiates more than W_rec, underflow over long lags; a task whose
letters stand elsewhere or whose class is not their pair; arms that do not share what they should.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.engine.noise import GlobalNoise
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import replaced
from practicum.labs.sequences.vanishing_gradients.backflow import (
    Classifier,
    factors,
    growth,
    log_norms,
    omega,
    spectral_radius,
)
from practicum.labs.sequences.vanishing_gradients.data import temporal_order
from practicum.labs.sequences.vanishing_gradients.experiment import ARMS, Setup, begin, trial

B, T, H = 3, 7, 5
TINY = {
    "length": 12, "hidden": 6, "batch_size": 5, "steps": 4, "points": 2, "test_size": 30
}  # fmt: skip


def drawn(sequences: int, length: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    with streams(seed).noise():
        return temporal_order(GlobalNoise(), sequences, length)


def network(radius: float = 1.3, *, orthogonal: bool = False, hidden: int = H) -> Classifier:
    torch.manual_seed(0)
    return Classifier(6, hidden, 4, radius=radius, orthogonal=orthogonal).double()


def by_autograd(net: Classifier, x: Tensor, y: Tensor) -> Tensor:
    """Return the norms of dE/dx_t, [T, B], by a walk of its own and autograd."""
    weights = dict(net.named_parameters())
    given = weights["rnn.bias_ih_l0"] + weights["rnn.bias_hh_l0"]
    h, received = x.new_zeros(len(x), H), []
    for t in range(x.shape[1]):
        received.append(
            x[:, t] @ weights["rnn.weight_ih_l0"].T + given + h @ weights["rnn.weight_hh_l0"].T
        )
        h = torch.tanh(received[-1])
    loss = F.cross_entropy(net.readout(h), y, reduction="sum")
    return torch.stack([one.norm(dim=1) for one in torch.autograd.grad(loss, received)])


def test_factors_are_the_ratios_of_autograds_gradients() -> None:
    net = network()
    x, y = drawn(B, 12)
    norms = by_autograd(net, x.double(), y)
    found = net(x.double(), y)[1]
    assert found.shape == (11, B)
    torch.testing.assert_close(found, norms[:-1] / norms[1:])
    lags = (norms.flip(0)[1:] / norms[-1]).log10().mean(1)
    torch.testing.assert_close(log_norms(found), lags)


def test_factors_are_those_of_the_product_of_jacobians() -> None:
    torch.manual_seed(1)
    h = torch.tanh(torch.randn(B, T, H, dtype=torch.float64))
    w, end = torch.randn(H, H).double(), torch.randn(B, H).double()
    found = factors(h, w, end)
    for b in range(B):
        error = end[b] * (1 - h[b, -1] ** 2)
        for lag in range(1, T):
            product = torch.eye(H, dtype=torch.float64)
            for i in range(T - 1, T - 1 - lag, -1):  # Eq. (5): from x_{T-1-lag} up to x_{T-1}
                product = product @ w @ torch.diag(1 - h[b, i - 1] ** 2)
            reached = (error @ product).norm() / error.norm()
            torch.testing.assert_close(found[T - 1 - lag :, b].prod(), reached)


def test_a_transposed_matrix_or_a_shifted_slope_is_seen() -> None:
    torch.manual_seed(1)
    h = torch.tanh(torch.randn(B, T, H, dtype=torch.float64))
    w, end = torch.randn(H, H).double(), torch.randn(B, H).double()
    right = factors(h, w, end)
    assert not torch.allclose(right, factors(h, w.T.contiguous(), end))
    assert not torch.allclose(right[:-1], factors(h.roll(1, 1), w, end)[:-1])


def test_omega_differentiates_only_the_immediate_effect_of_the_recurrent_matrix() -> None:
    torch.manual_seed(2)
    h = torch.tanh(torch.randn(B, T, H, dtype=torch.float64))
    w = torch.randn(H, H).double().requires_grad_()
    end = torch.randn(B, H).double()
    (found,) = torch.autograd.grad(omega(factors(h, w, end)), w)

    errors = []  # of x_2 .. x_T, with the matrix as a constant
    error = end * (1 - h[:, -1] ** 2)
    for t in range(T - 2, -1, -1):
        errors.append(error)
        error = (error @ w.detach()) * (1 - h[:, t] ** 2)
    expected = torch.zeros_like(w)
    for t, error in zip(range(T - 2, -1, -1), errors, strict=True):
        for b in range(B):
            slope, e = 1 - h[b, t] ** 2, error[b]
            back = (e @ w.detach()) * slope
            ratio = back.norm() / e.norm()
            outer = torch.outer(e, back * slope) / (back.norm() * e.norm())
            expected += 2 * (ratio - 1) * outer / (B * (T - 1))
    torch.testing.assert_close(found, expected)


def test_an_orthogonal_matrix_without_saturation_keeps_every_length() -> None:
    w = torch.linalg.qr(torch.randn(H, H, dtype=torch.float64)).Q
    found = factors(torch.zeros(B, T, H).double(), w, torch.randn(B, H).double())
    torch.testing.assert_close(found, torch.ones_like(found))
    assert float(omega(found)) < 1e-12


def test_a_long_lag_does_not_underflow() -> None:
    w = 0.5 * torch.eye(H)
    found = factors(torch.zeros(B, 400, H), w, torch.ones(B, H))
    assert float(log_norms(found)[-1]) == pytest.approx(399 * math.log10(0.5), rel=1e-5)
    assert float(growth(found)) == pytest.approx(0.5, rel=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.1, 3.0), st.booleans(), st.integers(2, 9))
def test_first_weights_have_the_radius_that_is_asked_for(
    radius: float, orthogonal: bool, hidden: int
) -> None:
    net = network(radius, orthogonal=orthogonal, hidden=hidden)
    w = net.rnn.weights(0)[1]
    assert spectral_radius(w) == pytest.approx(radius, rel=1e-4)
    if orthogonal:
        torch.testing.assert_close(
            w @ w.T / radius**2, torch.eye(hidden).double(), atol=1e-5, rtol=0
        )


@settings(max_examples=15, deadline=None)
@given(st.integers(10, 80), st.integers(0, 5))
def test_letters_stand_where_they_should_and_their_pair_is_the_class(
    length: int, seed: int
) -> None:
    x, y = drawn(40, length, seed)
    assert torch.equal(x.sum(-1), torch.ones(40, length))
    symbols = x.argmax(-1)
    for row, label in zip(symbols.tolist(), y.tolist(), strict=True):
        places = [t for t, symbol in enumerate(row) if symbol < 2]
        assert len(places) == 2
        assert length // 10 <= places[0] <= 2 * length // 10
        assert 4 * length // 10 <= places[1] <= 5 * length // 10
        assert label == 2 * row[places[0]] + row[places[1]]


def test_classes_are_equally_frequent_and_all_positions_occur() -> None:
    x, y = drawn(4000, 40)
    assert torch.bincount(y, minlength=4).tolist() == pytest.approx([1000] * 4, abs=120)
    letters = (x[..., :2].sum(-1) > 0).sum(0)
    assert letters.nonzero()[:, 0].tolist() == [*range(4, 9), *range(16, 21)]


def test_too_short_sequences_are_refused() -> None:
    with pytest.raises(PracticumError, match="10 symbols"):
        drawn(2, 9)


def test_arms_differ_only_in_what_the_header_says() -> None:
    clip = ARMS["clip"]
    assert replaced(clip, {"clip": 0.0, "rate": ARMS["sgd"].rate}) == ARMS["sgd"]
    assert replaced(clip, {"omega": 1.0, "rate": ARMS["regularized"].rate}) == ARMS["regularized"]
    there = {"orthogonal": True, "radius": 1.0, "rate": ARMS["orthogonal"].rate}
    assert replaced(clip, there) == ARMS["orthogonal"]


def test_sgd_clip_and_regularized_start_alike_and_radii_scale_the_same_numbers() -> None:
    first = [
        begin(replaced(ARMS[arm], TINY), 3, Services()).state_dict()
        for arm in ("sgd", "clip", "regularized", "radius 0.5", "radius 1.5")
    ]
    for other in first[1:3]:
        assert all(torch.equal(first[0][name], other[name]) for name in first[0])
    name = "rnn.weight_hh_l0"
    torch.testing.assert_close(3 * first[3][name], first[4][name])


def test_without_clipping_reach_and_weight_the_arms_are_one_and_the_same() -> None:
    plain = trial(replaced(Setup(), TINY), [4], Services())
    loose = trial(replaced(Setup(clip=1e9), TINY), [4], Services())
    regularized = trial(replaced(Setup(omega=1.0), TINY), [4], Services())
    for name, one in plain.weights[0].items():
        torch.testing.assert_close(one, loose.weights[0][name])
    assert not torch.equal(
        plain.weights[0]["rnn.weight_hh_l0"], regularized.weights[0]["rnn.weight_hh_l0"]
    )


def test_the_regularizer_brings_the_factor_nearer_to_one() -> None:
    much = {**TINY, "steps": 60, "rate": 0.05, "clip": 1.0, "radius": 0.5}
    plain = trial(replaced(Setup(), much), [0, 1], Services())
    held = trial(replaced(Setup(omega=5.0), much), [0, 1], Services())
    for i in range(2):
        assert plain.values["growth"][i] == held.values["growth"][i]
        far = abs(float(plain.values["growth_after"][i]) - 1)
        assert abs(float(held.values["growth_after"][i]) - 1) < far


def test_an_arm_that_does_not_learn_ends_as_it_began() -> None:
    measured = trial(replaced(ARMS["radius 0.9"], TINY), [0], Services())
    assert torch.equal(measured.values["growth"], measured.values["growth_after"])
