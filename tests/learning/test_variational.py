"""Variational learning against a model whose evidence is known, and against naive loops.

Would catch: a divergence of the wrong variance, a bound above the evidence, groups of samples that
are averaged on the wrong side of the logarithm, a score-function gradient without its baseline or
with one that looks at its own sample, gradients that leak through a drawn code, a weight of the
divergence that counts evaluations or is shared by lanes.
"""

from __future__ import annotations

import itertools
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, MultivariateNormal, Normal, kl_divergence

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Update
from practicum.errors import PracticumError
from practicum.learning.variational import (
    ESTIMATORS,
    WarmUp,
    active_units,
    estimate,
    grouped,
    log_posterior,
    log_weights,
    variational,
)
from practicum.nn.vae import VAE, divergence, importance_bound, log_bernoulli, log_gaussian

S, B, D, Z = 4, 3, 5, 2
SPREAD = 0.7
GAUSSIAN = partial(log_gaussian, spread=SPREAD)


def log_prob(distribution: Distribution, value: Tensor) -> Tensor:
    return torch.as_tensor(distribution.log_prob(value))


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def drawing(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made() -> VAE:
    torch.manual_seed(0)
    return VAE(D, (4,), Z).double()


class Given:
    """Noise that hands out given normal numbers once."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers

    def normal(self, *shape: int) -> Tensor:
        assert shape == self.numbers.shape
        return self.numbers

    def uniform(self, *shape: int) -> Tensor:
        raise NotImplementedError

    def bernoulli(self, p: float, *shape: int) -> Tensor:
        raise NotImplementedError

    def integers(self, high: int, *shape: int) -> Tensor:
        raise NotImplementedError


def gradients(
    estimator: str, network: VAE, x: Tensor, noise: Tensor, **parts: WarmUp
) -> tuple[float, dict[str, Tensor]]:
    """The loss and every gradient, by the code under test."""
    loss = variational(estimator, samples=len(noise))
    value, _ = loss({"network": network, **parts}, (x,), Given(noise))
    found = torch.autograd.grad(value, list(network.parameters()))
    return value.item(), dict(zip(dict(network.named_parameters()), found, strict=True))


def naive(
    estimator: str,
    network: VAE,
    x: Tensor,
    noise: Tensor,
    *,
    weight: float = 1.0,
    own: bool = False,
) -> tuple[float, dict[str, Tensor]]:
    """The same by loops over examples and samples, with torch.distributions.

    `own` puts a sample's own term into its baseline, which is wrong.
    """
    total = torch.zeros((), dtype=torch.float64)
    prior = Normal(0.0, 1.0)
    for b in range(len(x)):
        m, s = network.encoder(x[b : b + 1])[0].chunk(2)
        q = Normal(m, (s / 2).exp())
        z = [m + (s / 2).exp() * noise[i, b] for i in range(len(noise))]
        if estimator == "score":
            z = [one.detach() for one in z]
        log_p = [log_prob(Bernoulli(logits=network.decoder(one[None])[0]), x[b]).sum() for one in z]
        if estimator == "importance":
            log_w = [
                one + log_prob(prior, code).sum() - log_prob(q, code).sum()
                for one, code in zip(log_p, z, strict=True)
            ]
            total = total - torch.stack(log_w).exp().mean().log()
            continue
        total = total + weight * kl_divergence(q, prior).sum()
        for i, (one, code) in enumerate(zip(log_p, z, strict=True)):
            total = total - one / len(z)
            if estimator == "score":
                others = [log_p[j].item() for j in range(len(z)) if own or j != i]
                log_q = log_prob(q, code).sum()
                total = total - (one.item() - sum(others) / len(others)) * (
                    log_q - log_q.item()
                ) / len(z)
    total = total / len(x)
    found = torch.autograd.grad(total, list(network.parameters()))
    return total.item(), dict(zip(dict(network.named_parameters()), found, strict=True))


def alike(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.allclose(one[name], other[name], rtol=1e-9, atol=1e-11) for name in one)


# --- losses and their gradients


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_loss_and_gradients_equal_the_naive_loops(estimator: str) -> None:
    network, x, noise = made(), (normal(1, B, D) > 0).double(), normal(2, S, B, Z)
    value, ours = gradients(estimator, network, x, noise)
    expected, theirs = naive(estimator, network, x, noise)
    assert value == pytest.approx(expected, rel=1e-12)
    assert alike(ours, theirs)
    for wrong in ESTIMATORS:
        if wrong != estimator:  # each is told from the other two
            assert not alike(ours, naive(wrong, network, x, noise)[1])


def test_a_baseline_with_the_samples_own_term_is_rejected() -> None:
    network, x, noise = made(), (normal(1, B, D) > 0).double(), normal(2, S, B, Z)
    _, ours = gradients("score", network, x, noise)
    assert not alike(ours, naive("score", network, x, noise, own=True)[1])


def test_score_and_reparameterised_gradients_have_one_mean_and_two_variances() -> None:
    network, x = made(), (normal(1, 1, D) > 0).double()
    name = "encoder.layers.1.bias"
    found = {
        estimator: torch.stack(
            [gradients(estimator, network, x, normal(k, 64, 1, Z))[1][name] for k in range(60)]
        )
        for estimator in ("reparameterised", "score")
    }
    error = (found["score"].var(0) / 60).sqrt()
    difference = (found["score"].mean(0) - found["reparameterised"].mean(0)).abs()
    assert bool((difference < 4.5 * error).all())
    assert bool((found["score"].var(0) > 2 * found["reparameterised"].var(0)).all())
    half = found["score"].mean(0) / 2  # a gradient of half the size would be seen
    assert bool(((half - found["reparameterised"].mean(0)).abs() > 4.5 * error).any())


def test_the_weights_of_samples_make_the_bound_of_the_network() -> None:
    network, x, noise = made(), (normal(1, B, D) > 0).double(), normal(2, S, B, Z)
    passed = network(x, noise)
    log_p = log_bernoulli(passed.output, x)
    log_w = log_weights(passed, log_p)
    torch.testing.assert_close(grouped(log_w, S), importance_bound(passed, log_p))
    assert not torch.allclose(grouped(log_w, 1), importance_bound(passed, log_p), atol=1e-3)


def test_log_posterior_equals_that_of_torch() -> None:
    code, m, s = normal(1, S, B, Z), normal(2, B, Z), normal(3, B, Z)
    peer = log_prob(Normal(m, (s / 2).exp()), code).sum(2)
    torch.testing.assert_close(log_posterior(code, m, s), peer)


def divergence_by_draws(seed: int) -> tuple[Tensor, Tensor, float, float]:
    """Return m, s, the mean of log q / p over draws from q, and five of its standard errors."""
    m, s = normal(seed, 1, Z), normal(seed + 1, 1, Z)
    z = m + (s / 2).exp() * normal(seed + 2, 4000, 1, Z)
    ratio = log_posterior(z, m, s) - log_prob(Normal(0.0, 1.0), z).sum(2)
    return m, s, float(ratio.mean()), 5 * float(ratio.std()) / math.sqrt(len(z))


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_the_closed_divergence_equals_a_mean_over_draws(seed: int) -> None:
    m, s, mean, error = divergence_by_draws(seed)
    assert abs(mean - float(divergence(m, s).sum(1))) < error


def test_a_logarithm_of_the_deviation_taken_for_that_of_the_variance_would_be_seen() -> None:
    m, s, mean, error = divergence_by_draws(0)
    wrong = (m.square() + (2 * s).exp() - 2 * s - 1).sum(1) / 2
    assert abs(mean - float(wrong)) > 2 * error


# --- a model whose evidence is known: x = W z + b + r e


def linear(shift: float) -> tuple[VAE, MultivariateNormal, Tensor]:
    """A linear decoder, an encoder off the posterior by a shift, the evidence, KL(q || post)."""
    network = VAE(D, (), Z).double()
    lengths = torch.tensor([1.5, 0.4], dtype=torch.float64)
    w, b = torch.linalg.qr(normal(7, D, Z))[0] * lengths, normal(8, D)
    precision = 1 + lengths**2 / SPREAD**2  # of the posterior: diagonal, because W'W is
    inward = (w / precision / SPREAD**2).T
    with torch.no_grad():
        bias = torch.cat((shift - inward @ b, -precision.log()))
        for layer, weight, offset in (
            (network.decoder.layers[0], w, b),
            (network.encoder.layers[0], torch.cat((inward, torch.zeros(Z, D))), bias),
        ):
            assert isinstance(layer, torch.nn.Linear)
            layer.weight.copy_(weight)
            layer.bias.copy_(offset)
    covariance = w @ w.T + SPREAD**2 * torch.eye(D, dtype=torch.float64)
    gap = (shift**2 * precision).sum() / 2
    return network, MultivariateNormal(b, covariance), gap


def test_with_the_exact_posterior_every_bound_is_the_evidence() -> None:
    network, evidence, _ = linear(0.0)
    x = normal(10, 6, D)
    found = estimate(network, x, drawing(0), sizes=(1, 4), likelihood=GAUSSIAN)
    exact = log_prob(evidence, x)
    for column in found.bounds.T:
        torch.testing.assert_close(column, exact, rtol=1e-10, atol=1e-10)
        assert not torch.allclose(column, found.elbo, atol=0.01)  # no closed form in it
    assert found.divergence.shape == (6, Z)


def test_with_another_posterior_more_samples_close_the_gap() -> None:
    network, evidence, gap = linear(0.5)
    x = normal(10, 6, D)
    found = estimate(network, x, drawing(0), sizes=(1, 10, 20_000), likelihood=GAUSSIAN)
    exact = log_prob(evidence, x)
    torch.testing.assert_close(found.elbo, exact - gap, rtol=0, atol=0.06)
    torch.testing.assert_close(found.bounds[:, 0], exact - gap, rtol=0, atol=0.06)
    torch.testing.assert_close(found.bounds[:, 2], exact, rtol=0, atol=0.06)
    assert bool((found.bounds[:, 1] < exact).all())
    assert float(gap) > 0.5  # so that the two sides of each comparison differ


def test_training_a_linear_model_reaches_the_best_evidence() -> None:
    """Probabilistic principal components have a known best likelihood; the bound must reach it."""
    x = normal(3, 200, D) @ torch.diag(torch.tensor([2.0, 1.5, SPREAD, SPREAD, SPREAD]).double())
    centred = x - x.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    excess = (values[-Z:] - SPREAD**2).clamp(min=0).sqrt()
    w = vectors[:, -Z:] * excess
    best = MultivariateNormal(x.mean(0), w @ w.T + SPREAD**2 * torch.eye(D).double())
    recipe = recipe_of("reparameterised", x, hidden=(), steps=500, rate=0.05, samples=2)
    services = Services(arithmetic=Arithmetic(precision="float64"))
    network = train(recipe, [0], services).networks[0]["network"]
    assert isinstance(network, VAE)
    found = estimate(network, x, drawing(0), sizes=(1, 100), likelihood=GAUSSIAN)
    highest = float(log_prob(best, x).mean())
    assert highest - 0.1 < float(found.elbo.mean()) < highest + 0.02
    assert float(found.bounds[:, 1].mean()) < highest + 0.02
    flat = float(log_prob(Normal(x.mean(0), x.std(0).mean()), x).sum(1).mean())
    assert flat < highest - 0.3  # a model without a code would be seen


# --- bounds by number of samples


@given(st.integers(0, 1000))
def test_more_samples_never_lower_the_bound_and_one_is_the_mean(seed: int) -> None:
    log_w = 3 * normal(seed, 24, B)
    columns = [grouped(log_w, size) for size in (1, 2, 4, 12, 24)]
    torch.testing.assert_close(columns[0], log_w.mean(0))
    torch.testing.assert_close(columns[-1], log_w.exp().mean(0).log())
    for fewer, more in itertools.pairwise(columns):
        assert bool((more >= fewer - 1e-12).all())
    by_hand = [
        math.log(sum(math.exp(log_w[s, 0]) for s in (i, i + 1)) / 2) for i in range(0, 24, 2)
    ]
    assert float(columns[1][0]) == pytest.approx(sum(by_hand) / 12)


def test_an_estimate_does_not_depend_on_how_many_examples_go_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, x = made(), (normal(1, 7, D) > 0).double()
    monkeypatch.setattr("practicum.learning.variational.ROWS", 1)
    first = estimate(network, x[:1], drawing(5), sizes=(1, 4))
    every = estimate(network, x, drawing(5), sizes=(1, 4))
    torch.testing.assert_close(every.bounds[:1], first.bounds)
    torch.testing.assert_close(every.mean, network.encoder(x)[:, :Z].detach())


def test_units_that_say_nothing_are_not_active() -> None:
    mean = torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.1], [0.0, 1.0, 0.0]]).double()
    assert active_units(mean).item() == 1  # variances 0, 4/3, 1/300
    assert active_units(mean, least=0.001).item() == 2


# --- annealing, and lanes


def test_the_weight_rises_with_training_steps_only() -> None:
    warm_up = WarmUp(4)
    assert [warm_up().item() for _ in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    fresh = WarmUp(4)
    fresh()
    fresh.eval()
    assert [fresh().item() for _ in range(3)] == [0.25] * 3


def test_the_weight_scales_the_divergence_and_nothing_else() -> None:
    network, x, noise = made(), (normal(1, B, D) > 0).double(), normal(2, S, B, Z)
    warm_up = WarmUp(4).double()
    warm_up()
    for estimator in ("reparameterised", "score"):
        warm_up.done.fill_(1.0)
        value, ours = gradients(estimator, network, x, noise, warm_up=warm_up)
        expected, theirs = naive(estimator, network, x, noise, weight=0.25)
        assert value == pytest.approx(expected, rel=1e-12)
        assert alike(ours, theirs)
        assert not alike(ours, naive(estimator, network, x, noise)[1])


def recipe_of(
    estimator: str,
    x: Tensor,
    *,
    hidden: tuple[int, ...] = (4,),
    steps: int = 12,
    rate: float = 0.01,
    samples: int = 3,
    warm_up: int | None = None,
) -> Recipe:
    likelihood = GAUSSIAN if not hidden else log_bernoulli
    networks = {"network": lambda: VAE(x.shape[1], hidden, Z)}
    return Recipe(
        networks=networks if warm_up is None else {**networks, "warm_up": lambda: WarmUp(warm_up)},
        optimizers={"main": Trains(spec=Adam(lr=rate), networks=("network",))},
        updates=(Update(loss=variational(estimator, samples=samples, likelihood=likelihood)),),
        data=(x,),
        batch_size=min(50, len(x)),
        steps=steps,
    )


@pytest.mark.parametrize(
    ("estimator", "warm_up"),
    [("reparameterised", None), ("reparameterised", 8), ("score", 8), ("importance", None)],
)
def test_lanes_equal_the_loop(estimator: str, warm_up: int | None) -> None:
    x = (normal(1, 20, D) > 0).double()
    recipe = recipe_of(estimator, x, warm_up=warm_up)

    def run(path: str) -> Trained:
        arithmetic = (
            Arithmetic(precision="float64")
            if path == "loop"
            else Arithmetic(path="lanes", lane_group=2, precision="float64")
        )
        return train(recipe, [0, 1], Services(arithmetic=arithmetic))

    loop, lanes = run("loop").weights(), run("lanes").weights()
    for one, other in zip(loop, lanes, strict=True):
        for name, tensor in one.items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-9, atol=1e-11)
    name = "network.encoder.layers.0.weight"
    assert not torch.allclose(loop[0][name], loop[1][name], atol=1e-3)
    if warm_up is not None:
        assert [one["warm_up.done"].item() for one in lanes] == [12.0, 12.0]


# --- what is refused


def test_bad_settings_are_named() -> None:
    network, x = made(), (normal(1, B, D) > 0).double()
    with pytest.raises(PracticumError, match="estimator"):
        variational("scor")
    with pytest.raises(PracticumError, match="at least 2"):
        variational("score", samples=1)
    with pytest.raises(PracticumError, match="at least one"):
        WarmUp(0)
    with pytest.raises(PracticumError, match="divide"):
        estimate(network, x, drawing(0), sizes=(3, 10))
    with pytest.raises(PracticumError, match="anneal"):
        gradients("importance", network, x, normal(2, S, B, Z), warm_up=WarmUp(3))
    with pytest.raises(PracticumError, match="trains a VAE"):
        variational()({"network": torch.nn.Linear(D, D)}, (x,), Given(normal(2, 1, B, Z)))
