"""Diffusion: would catch a loss at the wrong times or with the wrong weight, a bound that is none,
a sampler that leaves out the noise, adds it at the end, or draws it where DDIM must not, and times
that skip the first or the last.

Data of a normal distribution make everything known: the best guess of the noise is linear in x_t,
the log-likelihood is closed, and each sampler's variance follows by a recursion.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from practicum.engine.noise import GlobalNoise
from practicum.errors import PracticumError
from practicum.learning.diffusion import bound, encode, predicting, sample, spaced, weights
from practicum.nn.diffusion_schedules import Schedule

MEAN, SPREAD = 0.7, 0.5
SHORT = Schedule.linear(20, first=0.01, last=0.5)
FINE = Schedule.linear(300, first=0.0005, last=0.05)


def best(schedule: Schedule) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean of e given x_t, for x_0 normal with MEAN and SPREAD in every coordinate."""

    def guess(x: Tensor, t: Tensor) -> Tensor:
        a = torch.tensor(schedule.kept, dtype=x.dtype)[t][:, None]
        return (1 - a).sqrt() * (x - a.sqrt() * MEAN) / (a * SPREAD**2 + 1 - a)

    return guess


def blind(x: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(x)


def draws(seed: int, n: int, d: int) -> Callable[[int], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda t: torch.randn(n, d, generator=generator, dtype=torch.float64)


def data(n: int, d: int = 1, seed: int = 0) -> Tensor:
    return MEAN + SPREAD * draws(seed, n, d)(0)


# --- losses


class Given:
    """Times 0, 1, 2, ... in turn, and normal numbers that the test knows."""

    def integers(self, high: int, *shape: int) -> Tensor:
        return torch.arange(shape[0]) % high

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def uniform(self, *shape: int) -> Tensor:
        raise AssertionError(shape)

    def bernoulli(self, p: float, *shape: int) -> Tensor:
        raise AssertionError(shape)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_both_losses_equal_the_equations_number_by_number(variance: str) -> None:
    x = data(7, 3)
    e = Given().normal(7, 3)
    simple = weighted = 0.0
    for i in range(7):
        beta, kept = SHORT.betas[i], SHORT.kept[i]
        before = SHORT.kept[i - 1] if i else 1.0
        s2 = beta if variance == "large" or i == 0 else beta * (1 - before) / (1 - kept)
        c = beta**2 / (2 * s2 * (1 - beta) * (1 - kept))
        for d in range(3):
            noisy = math.sqrt(kept) * float(x[i, d]) + math.sqrt(1 - kept) * float(e[i, d])
            miss = (float(e[i, d]) - 0.3 * noisy - i) ** 2
            simple += miss / 21
            weighted += 20 * c * miss / 21

    def network(x: Tensor, t: Tensor) -> Tensor:
        return 0.3 * x + t[:, None]

    found = [
        float(predicting(SHORT, name, variance=variance)(network, (x,), Given()))
        for name in ("simple", "bound")
    ]
    assert found == pytest.approx([simple, weighted])
    assert found[1] != pytest.approx(simple, rel=0.1)


def test_the_weights_are_those_of_the_divergence_between_posterior_and_step() -> None:
    # Eq. (12) against the divergence itself, of two normal distributions with the same variance.
    x, e, guessed = torch.tensor([[0.4]]).double(), torch.tensor([[-1.1]]).double(), 0.2
    c = weights(SHORT, "small")
    for t in range(1, 20):
        noisy = SHORT.noised(x, torch.tensor([t]), e)
        true, v = SHORT.posterior(x, noisy, t, t - 1)
        ours, _ = SHORT.posterior(
            SHORT.start(noisy, torch.full_like(e, guessed), t), noisy, t, t - 1
        )
        divergence = float((true - ours) ** 2) / (2 * v)
        assert float(c[t]) * float((e - guessed) ** 2) == pytest.approx(divergence, rel=1e-9)
    assert bool((weights(SHORT, "large") <= c + 1e-12).all())


def test_the_simple_loss_of_a_blind_network_is_one_and_of_the_best_what_bayes_says() -> None:
    x = data(40_000)
    torch.manual_seed(0)
    noise = GlobalNoise()
    loss = predicting(SHORT)
    assert float(loss(blind, (x,), noise)) == pytest.approx(1, abs=0.02)
    kept = torch.tensor(SHORT.kept)
    left = (kept * SPREAD**2 / (kept * SPREAD**2 + 1 - kept)).mean()  # variance of e given x_t
    assert float(loss(best(SHORT), (x,), noise)) == pytest.approx(float(left), abs=0.02)


# --- the bound


def divergence(mean: float, variance: float, other: float, of_other: float) -> float:
    """KL of two normal distributions of one number."""
    ratio = variance / of_other
    return (ratio - 1 - math.log(ratio) + (mean - other) ** 2 / of_other) / 2


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("betas", [(0.4,), (0.1, 0.3, 0.6)])
def test_the_bound_is_the_sum_of_divergences_written_out(
    betas: tuple[float, ...], variance: str
) -> None:
    schedule, x = Schedule(betas), data(5)
    noise = draws(3, 5, 1)
    shared = [noise(t) for t in range(len(betas))]
    ours = bound(best(schedule), schedule, x, lambda t: shared[t], variance=variance)
    for i in range(5):
        x0, kept = float(x[i]), schedule.kept
        total = divergence(math.sqrt(kept[-1]) * x0, 1 - kept[-1], 0.0, 1.0)
        for t, beta in enumerate(betas):
            a, before = kept[t], kept[t - 1] if t else 1.0
            noisy = math.sqrt(a) * x0 + math.sqrt(1 - a) * float(shared[t][i])
            e = float(
                best(schedule)(torch.tensor([[noisy]], dtype=torch.float64), torch.tensor([t]))
            )
            guess = (noisy - math.sqrt(1 - a) * e) / math.sqrt(a)

            def mean(start: float, a: float = a, b: float = before, x: float = noisy) -> float:
                of_start = math.sqrt(b) * (1 - a / b) / (1 - a)
                return of_start * start + math.sqrt(a / b) * (1 - b) / (1 - a) * x

            if t == 0:
                total += math.log(2 * math.pi * beta) / 2 + (x0 - mean(guess)) ** 2 / (2 * beta)
                continue
            v = beta * (1 - before) / (1 - a)
            s2 = beta if variance == "large" else v
            total += divergence(mean(x0), v, mean(guess), s2)
        assert float(ours[i]) == pytest.approx(total, rel=1e-6)


def test_the_bound_lies_above_the_exact_likelihood_and_is_close_with_fine_steps() -> None:
    n = 6000
    x = data(n, 2)
    exact = 2 * (math.log(2 * math.pi * SPREAD**2) / 2) + float(
        ((x - MEAN) ** 2).sum(1).mean() / (2 * SPREAD**2)
    )
    coarse, fine, bad = (
        float(bound(network, schedule, x, draws(1, n, 2)).mean())
        for network, schedule in ((best(SHORT), SHORT), (best(FINE), FINE), (blind, FINE))
    )
    assert exact < coarse < bad
    assert fine == pytest.approx(exact, abs=0.1)


# --- samplers


@pytest.mark.parametrize("eta", [None, 0.0, 0.5, 1.0])
def test_with_fine_steps_every_sampler_ends_at_the_data(eta: float | None) -> None:
    n = 20_000
    start = draws(5, n, 1)(0)
    x = sample(best(FINE), FINE, start, 300, draws(6, n, 1), eta=eta)
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.03)
    assert float(x.std()) == pytest.approx(SPREAD, abs=0.02)


def test_the_spread_after_few_steps_is_what_the_recursion_says() -> None:
    # Every step is linear in x with known coefficients, so variances follow without sampling.
    n = 100_000
    for eta in (None, 0.0):
        times = spaced(SHORT, 5)
        variance, mean = 1.0, 0.0
        for t, before in zip(times, (*times[1:], -1), strict=True):
            ends = torch.tensor([[0.0], [1.0]]).double()
            guess = best(SHORT)(ends, torch.full((2,), t))
            a, s = SHORT.signal(t), SHORT.signal(before)
            start = (ends - math.sqrt(1 - a) * guess) / math.sqrt(a)
            if eta is None:
                to, v = SHORT.posterior(start, ends, t, before)
            else:
                to, v = math.sqrt(s) * start + math.sqrt(1 - s) * guess, 0.0
            slope = float(to[1] - to[0])
            mean, variance = slope * mean + float(to[0]), slope**2 * variance + v
        x = sample(best(SHORT), SHORT, draws(7, n, 1)(0), 5, draws(8, n, 1), eta=eta)
        assert float(x.mean()) == pytest.approx(mean, abs=0.01)
        assert float(x.var()) == pytest.approx(variance, rel=0.03)


def test_ddpm_without_its_noise_would_be_seen() -> None:
    n = 5000
    still = sample(best(FINE), FINE, draws(5, n, 1)(0), 300, lambda t: torch.zeros(n, 1).double())
    assert float(still.std()) < 0.7 * SPREAD


def test_ddim_without_noise_draws_nothing_and_gives_the_same_twice() -> None:
    def never(t: int) -> Tensor:
        raise AssertionError(t)

    start = draws(9, 50, 2)(0)
    first = sample(best(SHORT), SHORT, start, 5, never, eta=0.0)
    assert torch.equal(first, sample(best(SHORT), SHORT, start, 5, never, eta=0.0))
    one, other = (
        sample(best(SHORT), SHORT, start, 5, draws(seed, 50, 2), eta=1.0) for seed in (1, 2)
    )
    assert not torch.equal(one, other)


def test_ddim_with_all_the_noise_is_ddpm_with_the_small_variance() -> None:
    start = draws(9, 50, 2)(0)
    ddpm = sample(best(SHORT), SHORT, start, 7, draws(1, 50, 2), variance="small")
    torch.testing.assert_close(sample(best(SHORT), SHORT, start, 7, draws(1, 50, 2), eta=1.0), ddpm)
    large = sample(best(SHORT), SHORT, start, 7, draws(1, 50, 2), variance="large")
    assert not torch.allclose(large, ddpm, atol=1e-2)


def test_encoding_leads_to_the_noise_and_back_the_better_the_finer() -> None:
    # Without noise the best network maps normal(MEAN, SPREAD^2) to normal(0, 1) by a straight line.
    x = data(40, 1)
    line = (x - MEAN) / SPREAD
    misses, losses = [], []
    for count in (5, 30, 300):
        far = encode(best(FINE), FINE, x, count)
        again = sample(best(FINE), FINE, far, count, draws(1, 40, 1), eta=0.0)
        misses.append(float((far - line).abs().max()))
        losses.append(float((again - x).square().mean()))
    assert misses[0] > misses[1] > misses[2]
    assert losses[0] > 4 * losses[1] > 16 * losses[2]
    assert misses[2] < 0.1
    assert losses[2] < 1e-3
    wrong = sample(best(FINE), FINE, x, 300, draws(1, 40, 1), eta=0.0)  # data are not noise
    assert float((wrong - line).abs().max()) > 1


def test_the_walk_visits_its_times_from_the_last_to_the_first() -> None:
    seen: list[int] = []
    sample(
        best(SHORT), SHORT, draws(9, 2, 1)(0), 4, draws(1, 2, 1), visit=lambda t, x: seen.append(t)
    )
    assert seen == [19, 13, 6, 0]
    assert spaced(SHORT, 20) == tuple(range(19, -1, -1))
    assert spaced(SHORT, 1) == (19,)
    for count in range(1, 21):
        assert len(set(spaced(SHORT, count))) == count


def test_words_and_numbers_that_make_no_sense_are_errors() -> None:
    with pytest.raises(PracticumError, match="diffusion loss"):
        predicting(SHORT, "squared")
    with pytest.raises(PracticumError, match="variance"):
        weights(SHORT, "middle")
    for count in (0, 21):
        with pytest.raises(PracticumError, match="cannot be taken"):
            spaced(SHORT, count)
