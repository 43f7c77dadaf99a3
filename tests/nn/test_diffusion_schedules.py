"""Diffusion schedules and steps against loops in float64, Bayes' rule by quadrature, and diffusers.

Would catch: a schedule shifted by a step, a product taken for a beta, a posterior with exchanged
coefficients, noise on the last step, a deviation taken for a variance, skipped steps that use the
betas of single ones, DDIM that draws with eta = 0 or differs from DDPM with eta = 1.
"""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.errors import PracticumError
from practicum.nn.diffusion_schedules import (
    Schedule,
    ddim_encoding_step,
    ddim_step,
    ddpm_step,
    walk_back,
)

T = 12
SHORT = Schedule.linear(T, first=0.02, last=0.4)
BOTH = {"linear": SHORT, "cosine": Schedule.cosine(T)}

PARITY = 'needs diffusers; lifted by `pip install -c constraints.txt -e ".[parity]"`'


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def products(schedule: Schedule) -> list[float]:
    """A at times -1, 0, ..., one factor after the other."""
    kept = [1.0]
    for beta in schedule.betas:
        kept.append(kept[-1] * (1 - beta))
    return kept


# --- schedules


def test_the_linear_schedule_has_equal_steps_between_its_ends() -> None:
    schedule = Schedule.linear(1000)
    np.testing.assert_allclose(schedule.betas, np.linspace(1e-4, 0.02, 1000), rtol=1e-12)
    # The data's share of the last state, which Ho et al. call close to none.
    assert schedule.signal(999) == pytest.approx(np.prod(1 - np.linspace(1e-4, 0.02, 1000)))
    assert schedule.signal(999) < 1e-4


@pytest.mark.parametrize("steps", [1, 2, 50, 1000])
def test_the_cosine_schedule_follows_its_curve_until_it_is_cut(steps: int) -> None:
    schedule = Schedule.cosine(steps)
    curve = [math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(steps + 1)]
    for t in range(steps - 1):
        assert schedule.signal(t) == pytest.approx(curve[t + 1] / curve[0], rel=1e-10)
        assert schedule.betas[t] < 0.999
    assert schedule.betas[-1] == 0.999  # the curve ends at zero
    assert len(schedule.betas) == steps


@pytest.mark.parametrize("name", BOTH)
def test_what_is_kept_is_the_product_and_only_falls(name: str) -> None:
    schedule = BOTH[name]
    kept = [schedule.signal(t) for t in range(-1, T)]
    assert kept == pytest.approx(products(schedule), rel=1e-14)
    assert all(after < before for before, after in itertools.pairwise(kept))


@given(st.integers(1, 40), st.integers(1, 40))
def test_times_are_equally_apart_and_end_at_the_first(steps: int, count: int) -> None:
    schedule = Schedule.linear(steps)
    if count > steps:
        with pytest.raises(PracticumError, match="cannot be taken"):
            schedule.times(count)
        return
    times = schedule.times(count)
    assert len(times) == count
    assert times[-1] == 0
    assert times[0] < steps
    apart = {a - b for a, b in itertools.pairwise(times)}
    assert apart <= {steps // count}


# --- the way to noise


@pytest.mark.parametrize("name", BOTH)
def test_many_steps_at_once_are_single_ones_after_the_other(name: str) -> None:
    schedule = BOTH[name]
    x = normal(0, T, 2, 3).requires_grad_()
    noise = normal(1, T, 2, 3).requires_grad_()
    out = schedule.noised(x, torch.arange(T), noise)
    out.sum().backward()
    factor, variance = 1.0, 0.0
    for t, beta in enumerate(schedule.betas):
        factor, variance = factor * math.sqrt(1 - beta), variance * (1 - beta) + beta
        by_hand = factor * x[t] + math.sqrt(variance) * noise[t]
        torch.testing.assert_close(out[t], by_hand, rtol=1e-10, atol=1e-12)
        assert x.grad[t].unique().item() == pytest.approx(factor, rel=1e-12)
        assert noise.grad[t].unique().item() == pytest.approx(math.sqrt(variance), rel=1e-10)
    shuffled = torch.tensor([3, 3, 0])
    again = schedule.noised(x[:3].float(), shuffled, noise[:3].float())
    assert again.dtype == torch.float32
    for i, t in enumerate(shuffled.tolist()):
        expected = schedule.noised(x[i : i + 1], torch.tensor([t]), noise[i : i + 1])[0]
        torch.testing.assert_close(again[i].double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", BOTH)
def test_the_data_are_found_again_from_the_noise(name: str) -> None:
    x, noise = normal(0, 4, 3), normal(1, 4, 3)
    for t in range(T):
        there = BOTH[name].noised(x, torch.full((4,), t), noise)
        torch.testing.assert_close(BOTH[name].start(there, noise, t), x, rtol=1e-8, atol=1e-8)
    clipped = BOTH[name].start(there, noise, T - 1, clip=0.5)
    torch.testing.assert_close(clipped, x.clamp(-0.5, 0.5), rtol=1e-8, atol=1e-8)


# --- one step back


@settings(max_examples=30)
@given(
    name=st.sampled_from(sorted(BOTH)),
    t=st.integers(1, T - 2),
    back=st.integers(1, T),
    x_0=st.floats(-1.5, 1.5),
    x_t=st.floats(-1.5, 1.5),
)
def test_the_posterior_is_bayes_rule_by_quadrature(
    name: str, t: int, back: int, x_0: float, x_t: float
) -> None:
    schedule, before = BOTH[name], max(0, t - back)
    kept = products(schedule)
    of_s, of_t = kept[before + 1], kept[t + 1]
    x_s = np.linspace(-9, 9, 20_001)
    likelihood = (x_t - math.sqrt(of_t / of_s) * x_s) ** 2 / (1 - of_t / of_s)
    prior = (x_s - math.sqrt(of_s) * x_0) ** 2 / (1 - of_s)
    weight = np.exp(-(likelihood + prior - (likelihood + prior).min()) / 2)
    weight /= weight.sum()
    mean = float(weight @ x_s)
    variance = float(weight @ (x_s - mean) ** 2)
    one = torch.ones(1, dtype=torch.float64)
    ours, of_ours = schedule.posterior(x_0 * one, x_t * one, t, before)
    assert ours.item() == pytest.approx(mean, abs=1e-7)
    assert of_ours == pytest.approx(variance, rel=1e-6)


def test_a_posterior_with_exchanged_coefficients_would_be_seen() -> None:
    one = torch.ones(1, dtype=torch.float64)
    weights = [SHORT.posterior(a * one, (1 - a) * one, 2, 1)[0].item() for a in (0, 1)]
    assert abs(weights[0] - weights[1]) > 0.1


def test_a_posterior_on_the_data_is_the_data() -> None:
    x_0, x = normal(0, 2, 3), normal(1, 2, 3)
    for t in (0, 5):
        mean, variance = SHORT.posterior(x_0, x, t, -1)
        assert variance == 0
        torch.testing.assert_close(mean, x_0)


def naive_ddpm(
    schedule: Schedule, x: Tensor, e: Tensor, t: int, s: int, z: Tensor, large: bool
) -> Tensor:
    """Diffusers' formulas, one number at a time."""
    kept = products(schedule)
    prod_t, prod_s = kept[t + 1], kept[s + 1]
    alpha = prod_t / prod_s
    beta = 1 - alpha
    rows = []
    for x_i, e_i, z_i in zip(*(one.flatten().tolist() for one in (x, e, z)), strict=True):
        start = (x_i - (1 - prod_t) ** 0.5 * e_i) / prod_t**0.5
        mean = prod_s**0.5 * beta / (1 - prod_t) * start
        mean += alpha**0.5 * (1 - prod_s) / (1 - prod_t) * x_i
        variance = beta if large else (1 - prod_s) / (1 - prod_t) * beta
        rows.append(mean + (variance**0.5 * z_i if s >= 0 else 0.0))
    return torch.tensor(rows, dtype=torch.float64).reshape(x.shape)


def naive_ddim(
    schedule: Schedule, x: Tensor, e: Tensor, t: int, s: int, z: Tensor, eta: float
) -> Tensor:
    """Diffusers' formulas, one number at a time."""
    kept = products(schedule)
    prod_t, prod_s = kept[t + 1], kept[s + 1]
    sigma = eta * ((1 - prod_s) / (1 - prod_t)) ** 0.5 * (1 - prod_t / prod_s) ** 0.5
    rows = []
    for x_i, e_i, z_i in zip(*(one.flatten().tolist() for one in (x, e, z)), strict=True):
        start = (x_i - (1 - prod_t) ** 0.5 * e_i) / prod_t**0.5
        rows.append(prod_s**0.5 * start + (1 - prod_s - sigma**2) ** 0.5 * e_i + sigma * z_i)
    return torch.tensor(rows, dtype=torch.float64).reshape(x.shape)


STEPS = [(0, -1), (1, 0), (7, 6), (11, 10), (11, 4), (6, -1)]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(("t", "s"), STEPS)
def test_steps_equal_the_published_formulas(name: str, t: int, s: int) -> None:
    schedule = BOTH[name]
    x, e, z = normal(0, 2, 3, 2), normal(1, 2, 3, 2), normal(2, 2, 3, 2)
    for variance in ("small", "large"):
        ours = ddpm_step(schedule, x, e, t, s, z, variance=variance)
        twin = naive_ddpm(schedule, x, e, t, s, z, variance == "large")
        torch.testing.assert_close(ours, twin, rtol=1e-9, atol=1e-9)
        if s >= 0:
            other = naive_ddpm(schedule, x, e, t, s, z, variance != "large")
            assert not torch.allclose(ours, other, rtol=1e-3)
    for eta in (0.0, 0.4, 1.0):
        ours = ddim_step(schedule, x, e, t, s, z, eta=eta)
        twin = naive_ddim(schedule, x, e, t, s, z, eta)
        torch.testing.assert_close(ours, twin, rtol=1e-9, atol=1e-9)
        if s >= 0:
            other = naive_ddim(schedule, x, e, t, s, z, eta / 2 + 0.3)
            assert not torch.allclose(ours, other, rtol=1e-3)


@pytest.mark.parametrize(("t", "s"), STEPS)
def test_steps_are_differentiable_by_what_the_network_predicts(t: int, s: int) -> None:
    x, e, z = normal(0, 2, 3), normal(1, 2, 3), normal(2, 2, 3)
    inputs = (x.requires_grad_(), e.requires_grad_())
    assert torch.autograd.gradcheck(lambda x, e: ddpm_step(SHORT, x, e, t, s, z), inputs)
    assert torch.autograd.gradcheck(lambda x, e: ddim_step(SHORT, x, e, t, s, z, eta=0.5), inputs)


def test_the_mean_of_a_single_step_is_that_of_the_other_form_in_ho_et_al() -> None:
    x, e = normal(0, 2, 3), normal(1, 2, 3)
    for t in range(1, T):
        beta, kept = SHORT.betas[t], SHORT.signal(t)
        other = (x - beta / math.sqrt(1 - kept) * e) / math.sqrt(1 - beta)
        ours = ddpm_step(SHORT, x, e, t, t - 1, torch.zeros_like(x))
        torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-10)


def test_ddim_draws_nothing_at_eta_zero_and_is_ddpm_at_eta_one() -> None:
    x, e, z = normal(0, 2, 3), normal(1, 2, 3), normal(2, 2, 3)
    before = torch.get_rng_state()
    for t, s in STEPS:
        still = ddim_step(SHORT, x, e, t, s)
        assert torch.equal(still, ddim_step(SHORT, x, e, t, s, z, eta=0.0))
        one = ddim_step(SHORT, x, e, t, s, z, eta=1.0)
        torch.testing.assert_close(one, ddpm_step(SHORT, x, e, t, s, z), rtol=1e-9, atol=1e-9)
        assert s < 0 or not torch.allclose(one, still)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_size_of_the_predicted_data_can_be_bounded() -> None:
    x, e, z = 3 * normal(0, 2, 3), normal(1, 2, 3), normal(2, 2, 3)
    for step in (ddpm_step, ddim_step):
        free, bounded = (step(SHORT, x, e, 5, -1, z, clip=clip) for clip in (None, 0.8))
        assert float(free.abs().max()) > 0.8
        torch.testing.assert_close(bounded, free.clamp(-0.8, 0.8))


# --- walking back


@pytest.mark.parametrize("count", [1, 3, T])
def test_with_the_true_noise_ddim_walks_back_to_the_data_in_any_number_of_steps(count: int) -> None:
    x, noise = normal(0, 4, 3), normal(1, 4, 3)
    times = SHORT.times(count)
    there = SHORT.noised(x, torch.full((4,), times[0]), noise)
    back = walk_back(
        lambda x, e, t, s: ddim_step(SHORT, x, e, t, s), lambda x, t: noise, there, times
    )
    torch.testing.assert_close(back, x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("way", [(-1, 2), (0, 1), (1, T - 1)])
def test_the_encoding_step_is_undone_by_the_step_back_with_the_same_noise(
    way: tuple[int, int],
) -> None:
    t, after = way
    x, noise = normal(0, 4, 3), normal(1, 4, 3)
    up = ddim_encoding_step(SHORT, x, noise, t, after)
    torch.testing.assert_close(ddim_step(SHORT, up, noise, after, t), x, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(up, x, atol=1e-2)
    with pytest.raises(PracticumError, match="earlier"):
        ddim_encoding_step(SHORT, x, noise, after, t)


def walked(count: int, kind: str) -> tuple[float, float]:
    """Mean and deviation after walking back from noise to normal(0.7, 0.5^2).

    The best prediction of the noise is known, E[e | x_t] = sqrt(1 - A) (x - sqrt(A) 0.7) /
    (A 0.25 + 1 - A), so that the steps alone are tested.
    """
    schedule = Schedule.linear(1000)
    generator = torch.Generator().manual_seed(0)

    def draw() -> Tensor:
        return torch.randn(4000, 1, generator=generator, dtype=torch.float64)

    def predict(x: Tensor, t: int) -> Tensor:
        kept = schedule.signal(t)
        return math.sqrt(1 - kept) * (x - math.sqrt(kept) * 0.7) / (kept * 0.25 + 1 - kept)

    def step(x: Tensor, e: Tensor, t: int, s: int) -> Tensor:
        if kind == "ddim":
            return ddim_step(schedule, x, e, t, s)
        return ddpm_step(schedule, x, e, t, s, draw(), variance=kind)

    x = walk_back(step, predict, draw(), schedule.times(count))
    return x.mean().item(), x.std().item()


def test_walking_back_ends_in_the_datas_distribution() -> None:
    for count, kind in ((1000, "small"), (1000, "large"), (100, "ddim"), (1000, "ddim")):
        mean, deviation = walked(count, kind)
        assert mean == pytest.approx(0.7, abs=0.04)
        assert deviation == pytest.approx(0.5, abs=0.03)
    # Few steps with the large variance leave noise behind, as Song et al. report.
    assert walked(10, "large")[1] > 1.15 * walked(10, "ddim")[1]


# --- the peer


@pytest.mark.parametrize("schedule", ["linear", "squaredcos_cap_v2"])
def test_schedules_times_and_steps_equal_those_of_diffusers(schedule: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says while it loads is its own affair
        peer = pytest.importorskip("diffusers", reason=PARITY)
    ours = Schedule.linear(1000) if schedule == "linear" else Schedule.cosine(1000)
    options = {"beta_schedule": schedule, "clip_sample": False}
    ddpm, ddim = peer.DDPMScheduler(**options), peer.DDIMScheduler(**options, set_alpha_to_one=True)
    large = peer.DDPMScheduler(**options, variance_type="fixed_large")
    np.testing.assert_allclose(ddpm.betas.numpy(), ours.betas, rtol=1e-4)
    x, e = normal(0, 2, 3).float(), normal(1, 2, 3).float()
    for count in (1000, 50, 7):
        for scheduler in (ddpm, ddim, large):
            scheduler.set_timesteps(count)
            assert tuple(scheduler.timesteps.tolist()) == ours.times(count)
        times = (*ours.times(count), -1)
        for i in (count // 2, count - 2, count - 1):
            t, s = times[i], times[i + 1]
            for scheduler, variance in ((ddpm, "small"), (large, "large")):
                theirs = scheduler.step(e, t, x, generator=torch.Generator().manual_seed(4))
                z = torch.randn(2, 3, generator=torch.Generator().manual_seed(4))
                mine = ddpm_step(ours, x, e, t, s, z, variance=variance)
                torch.testing.assert_close(mine, theirs.prev_sample, rtol=1e-3, atol=2e-3)
            for eta in (0.0, 0.5, 1.0):
                z = normal(3, 2, 3).float()
                noise = {"variance_noise": z} if eta else {}
                theirs = ddim.step(e, t, x, eta=eta, **noise)
                mine = ddim_step(ours, x, e, t, s, z, eta=eta)
                torch.testing.assert_close(mine, theirs.prev_sample, rtol=1e-3, atol=2e-3)
    t = torch.tensor([0, 731])
    torch.testing.assert_close(ours.noised(x, t, e), ddpm.add_noise(x, e, t), rtol=1e-4, atol=1e-4)


# --- wrong input


@pytest.mark.parametrize("betas", [(), (0.1, 1.0), (0.0,), (float("nan"),)])
def test_betas_outside_their_range_are_an_error(betas: tuple[float, ...]) -> None:
    with pytest.raises(PracticumError, match="between 0 and 1"):
        Schedule(betas)


def test_times_that_do_not_exist_or_go_the_wrong_way_are_errors() -> None:
    x = normal(0, 1, 2)
    for t in (T, -2):
        with pytest.raises(PracticumError, match="is not among -1 to 11"):
            SHORT.signal(t)
    for t, s in ((3, 3), (3, 5)):
        with pytest.raises(PracticumError, match="leads to an earlier one"):
            ddim_step(SHORT, x, x, t, s)
        with pytest.raises(PracticumError, match="leads to an earlier one"):
            ddpm_step(SHORT, x, x, t, s, x)


def test_an_unknown_variance_and_an_eta_without_noise_are_errors() -> None:
    x = normal(0, 1, 2)
    with pytest.raises(PracticumError, match="did you mean 'small'"):
        ddpm_step(SHORT, x, x, 3, 2, x, variance="smal")
    for eta, noise in ((0.5, None), (1.5, x), (-0.1, x)):
        with pytest.raises(PracticumError, match="from 0 to 1"):
            ddim_step(SHORT, x, x, 3, 2, noise, eta=eta)
