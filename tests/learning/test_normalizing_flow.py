"""Normalizing flows: would catch a likelihood without its determinant or with the wrong sign, bits
that forget the stretch of the logits or the number of levels, dequantisation that reuses or skips
its noise, and an optimum that is not the maximum likelihood.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from practicum.engine.fit import fit
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.learning.normalizing_flow import (
    bits_per_dimension,
    dequantized,
    dequantizing,
    from_logits,
    negative_log_likelihood,
    to_logits,
)
from practicum.nn.realnvp import RealNVP

B, D, K = 7, 3, 5


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Affine(nn.Module):
    """z = (x - m) exp(-s): the simplest flow, whose best m and s are known."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(inputs))
        self.s = nn.Parameter(torch.zeros(inputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (x - self.m) * (-self.s).exp(), -self.s.sum().expand(len(x))


class Given:
    """Hands out uniform numbers that the test knows, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def uniform(self, *shape: int) -> Tensor:
        self.asked += 1
        return torch.rand(shape, generator=torch.Generator().manual_seed(self.asked)).double()

    def normal(self, *shape: int) -> Tensor:
        raise AssertionError(shape)

    def bernoulli(self, p: float, *shape: int) -> Tensor:
        raise AssertionError(shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        raise AssertionError(shape)


# --- the likelihood


def test_the_loss_of_an_affine_flow_is_scipys_normal_density() -> None:
    flow = Affine(D).double()
    with torch.no_grad():
        flow.m.copy_(normal(1, D))
        flow.s.copy_(normal(2, D))
    x = normal(3, B, D)
    with torch.no_grad():
        loss = float(negative_log_likelihood(flow, (x,), GlobalNoise()))
        density = scipy.stats.norm.logpdf(x.numpy(), flow.m.numpy(), flow.s.exp().numpy())
        without = -np.sum(scipy.stats.norm.logpdf(flow(x)[0].numpy()), 1).mean()
    assert loss == pytest.approx(-np.sum(density, 1).mean())
    assert loss != pytest.approx(without, abs=1e-2)  # the determinant left out


def test_gradients_equal_differences() -> None:
    flow, x = RealNVP(D, 2, (4,)).double(), normal(4, B, D)
    weights = {name: p.detach().clone().requires_grad_() for name, p in flow.named_parameters()}

    def loss(*values: Tensor) -> Tensor:
        def called(x: Tensor) -> tuple[Tensor, Tensor]:
            out: tuple[Tensor, Tensor] = torch.func.functional_call(
                flow, dict(zip(weights, values, strict=True)), (x,)
            )
            return out

        return negative_log_likelihood(called, (x,), GlobalNoise())

    assert torch.autograd.gradcheck(loss, tuple(weights.values()))


def test_training_ends_at_the_maximum_likelihood() -> None:
    x = 3 + 0.5 * torch.randn(200, 2, generator=torch.Generator().manual_seed(5))
    run = fit(
        lambda: Affine(2), loss=negative_log_likelihood, optimizer=Adam(lr=0.1), data=(x,),
        batch_size=200, steps=300, seeds=[0], services=Services(),
    )  # fmt: skip
    flow = run.networks[0]["network"]
    assert isinstance(flow, Affine)
    torch.testing.assert_close(flow.m.detach(), x.mean(0), atol=1e-3, rtol=0)
    deviation = x.std(0, unbiased=False)
    torch.testing.assert_close(flow.s.detach().exp(), deviation, atol=1e-3, rtol=0)


# --- whole numbers


def test_the_stretch_is_autograds_derivative_by_x() -> None:
    x = torch.randint(K, (B, D), generator=torch.Generator().manual_seed(6)).double()
    u = Given().uniform(B, D)
    x.requires_grad_()
    h, stretch = to_logits(dequantized(x, u, K), K, margin=0.1)
    (slope,) = torch.autograd.grad(h.sum(), x)
    torch.testing.assert_close(stretch, slope.log().sum(1))
    for row, ours in zip((x + u).tolist(), h.tolist(), strict=True):
        q = [0.1 + 0.8 * v / K for v in row]
        assert ours == pytest.approx([math.log(p / (1 - p)) for p in q])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 256), st.floats(0.01, 0.3), st.integers(0, 1000))
def test_the_way_back_finds_the_level_again(levels: int, margin: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(levels, (B, D), generator=generator).double()
    u = 0.01 + 0.98 * torch.rand(B, D, generator=generator, dtype=torch.float64)
    h, _ = to_logits(dequantized(x, u, levels), levels, margin=margin)
    assert torch.equal(from_logits(h, levels, margin=margin), x)
    assert from_logits(torch.tensor([[-99.0, 99.0]]), levels).tolist() == [[0.0, levels - 1.0]]


def test_a_density_that_is_flat_over_the_levels_costs_the_bits_of_a_fair_die() -> None:
    x = torch.randint(K, (B, D), generator=torch.Generator().manual_seed(7)).double()
    margin = 0.05
    h, stretch = to_logits(dequantized(x, Given().uniform(B, D), K), K, margin=margin)
    flat = (h.sigmoid() * (-h).sigmoid() / (1 - 2 * margin)).log().sum(1)  # y uniform, seen from h
    bits = bits_per_dimension(flat, stretch, D)
    torch.testing.assert_close(bits, torch.full((B,), math.log2(K), dtype=torch.float64))
    assert not torch.allclose(bits_per_dimension(flat, 0 * stretch, D), bits, atol=0.1)


def test_the_bits_are_an_upper_bound_on_those_of_the_mass_in_each_cell() -> None:
    # One input, h normal: the mass of a level's cell is a difference of the normal's distribution.
    margin, u = 0.05, (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    law = scipy.stats.norm(0.3, 1.7)
    for level in range(K):
        x = torch.full((4000, 1), float(level), dtype=torch.float64)
        h, stretch = to_logits(dequantized(x, u[:, None], K), K, margin=margin)
        mean_bits = float(bits_per_dimension(torch.tensor(law.logpdf(h[:, 0])), stretch, 1).mean())
        ends = torch.tensor([[level / K], [(level + 1) / K]], dtype=torch.float64)
        low, high = law.cdf(to_logits(ends, K, margin=margin)[0][:, 0])
        exact = -math.log2(high - low)
        assert exact < mean_bits < exact + 0.2


def test_every_step_draws_new_noise_and_the_loss_is_the_mean_of_the_bits() -> None:
    flow, noise = Affine(D).double(), Given()
    x = torch.randint(K, (B, D), generator=torch.Generator().manual_seed(8)).double()
    loss = dequantizing(K, margin=0.1)
    first, second = loss(flow, (x,), noise), loss(flow, (x,), noise)
    assert noise.asked == 2
    assert not torch.equal(first, second)
    total = 0.0
    for row, shift in zip(x.tolist(), Given().uniform(B, D).tolist(), strict=True):
        for v, u in zip(row, shift, strict=True):
            q = 0.1 + 0.8 * (v + u) / K
            z = math.log(q / (1 - q))
            log_p = -(z**2 + math.log(2 * math.pi)) / 2
            total -= (log_p + math.log(0.8 / K / (q * (1 - q)))) / math.log(2)
    assert float(first.detach()) == pytest.approx(total / (B * D))


def test_without_dequantisation_the_loss_of_whole_numbers_has_no_floor() -> None:
    flow, x = Affine(1).double(), torch.full((B, 1), 2.0, dtype=torch.float64)
    with torch.no_grad():
        flow.m.fill_(2.0)
        flow.s.fill_(-9.0)
        assert float(negative_log_likelihood(flow, (x,), GlobalNoise())) < -7
        flow.m.zero_()  # no density beats the bits of a die that always shows the same: none
        for s in (-9.0, -3.0, -1.0, 0.0):
            flow.s.fill_(s)
            assert float(dequantizing(K)(flow, (x,), Given())) > 0


@pytest.mark.parametrize(("levels", "margin"), [(1, 0.05), (K, 0.0), (K, 0.5)])
def test_levels_and_margins_that_make_no_sense_are_errors(levels: int, margin: float) -> None:
    with pytest.raises(PracticumError, match="two levels or more"):
        dequantizing(levels, margin=margin)
    with pytest.raises(PracticumError, match="two levels or more"):
        to_logits(torch.zeros(1, 1), levels, margin=margin)
