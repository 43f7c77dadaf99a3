"""The variational autoencoder against torch.distributions and a model whose evidence is known.

Would catch: a deviation taken for a variance, a divergence with the wrong sign or the wrong way
round, noise that does not reach the code or gradients that do not reach the encoder, a likelihood
without its constant, a bound above the evidence, weights of the wrong prior.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from practicum.errors import PracticumError
from practicum.nn.vae import (
    VAE,
    Pass,
    divergence,
    elbo,
    importance_bound,
    log_bernoulli,
    log_gaussian,
)

S, B, D, Z = 4, 3, 5, 2
SPREAD = 0.7


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def made() -> VAE:
    torch.manual_seed(0)
    return VAE(D, (4, 3), Z).double()


# --- one pass


def test_a_pass_equals_the_layers_by_hand() -> None:
    network, x, noise = made(), normal(1, B, D), normal(2, S, B, Z)
    passed = network(x, noise)
    y = x
    for i, layer in enumerate(network.encoder.layers):
        y = y @ layer.weight.T + layer.bias
        y = y.tanh() if i < 2 else y
    mean, log_variance = y[:, :Z], y[:, Z:]
    torch.testing.assert_close(passed.mean, mean)
    torch.testing.assert_close(passed.log_variance, log_variance)
    for s in range(S):
        for b in range(B):
            z = [mean[b, k] + log_variance[b, k].exp().sqrt() * noise[s, b, k] for k in range(Z)]
            torch.testing.assert_close(passed.code[s, b], torch.stack(z))
    y = passed.code
    for i, layer in enumerate(network.decoder.layers):
        y = y @ layer.weight.T + layer.bias
        y = y.tanh() if i < 2 else y
    assert passed.output.shape == (S, B, D)
    torch.testing.assert_close(passed.output, y)


def test_gradients_equal_differences_and_reach_every_parameter() -> None:
    network, x, noise = made(), normal(1, B, D), normal(2, S, B, Z)
    weights = {name: p.detach().clone() for name, p in network.named_parameters()}

    def bound(*values: Tensor) -> Tensor:
        given = dict(zip(weights, values, strict=True))
        passed = torch.func.functional_call(network, given, (x, noise))
        return elbo(passed, log_gaussian(passed.output, x, spread=SPREAD))

    inputs = tuple(w.requires_grad_() for w in weights.values())
    assert torch.autograd.gradcheck(bound, inputs)
    for grad in torch.autograd.grad(bound(*inputs).sum(), inputs):
        assert grad.abs().max() > 0


def test_the_reparameterised_gradient_is_that_of_the_expectation() -> None:
    # E[z^2] = m^2 + exp(s): gradients 2 m and exp(s), for S many draws.
    mean, log_variance = normal(3, 1, 2).requires_grad_(), normal(4, 1, 2).requires_grad_()
    z = mean + (log_variance / 2).exp() * normal(5, 200_000, 1, 2)
    z.square().mean(0).sum().backward()
    torch.testing.assert_close(mean.grad, 2 * mean, rtol=0.02, atol=0.02)
    torch.testing.assert_close(log_variance.grad, log_variance.exp(), rtol=0.02, atol=0.02)


# --- the pieces


@given(st.integers(0, 10_000))
def test_the_divergence_equals_that_of_torch_and_is_never_negative(seed: int) -> None:
    mean, s = normal(seed, B, Z).requires_grad_(), (2 * normal(seed + 1, B, Z)).requires_grad_()
    ours = divergence(mean, s)
    peer = kl_divergence(Normal(mean, (s / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(ours, peer, rtol=1e-10, atol=1e-12)
    assert bool((ours >= 0).all())
    of_peer = torch.autograd.grad(peer.sum(), (mean, s))
    for one, other in zip(torch.autograd.grad(ours.sum(), (mean, s)), of_peer, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    for wrong in (
        kl_divergence(Normal(mean, s.exp()), Normal(0.0, 1.0)),  # variance taken for deviation
        kl_divergence(
            Normal(torch.zeros_like(mean), torch.ones_like(s)), Normal(mean, (s / 2).exp())
        ),
    ):
        assert not torch.allclose(ours, wrong, rtol=1e-3)
    assert not divergence(torch.zeros(1, 2), torch.zeros(1, 2)).any()


def test_likelihoods_equal_those_of_torch() -> None:
    out, x = 3 * normal(0, S, B, D), normal(1, B, D)
    bits = (x > 0).double()
    peer = Bernoulli(logits=out).log_prob(bits.expand(S, -1, -1)).sum(2)
    torch.testing.assert_close(log_bernoulli(out, bits), peer)
    peer = Normal(out, SPREAD).log_prob(x).sum(2)
    torch.testing.assert_close(log_gaussian(out, x, spread=SPREAD), peer)
    far = torch.tensor([[[1000.0, -1000.0]]])
    assert log_bernoulli(far, torch.tensor([[1.0, 0.0]])).item() == 0
    with pytest.raises(PracticumError, match="above 0"):
        log_gaussian(out, x, spread=0.0)


def test_the_bounds_equal_loops_over_samples() -> None:
    network, x = made(), normal(1, B, D)
    passed = network(x, normal(2, S, B, Z))
    log_p = log_gaussian(passed.output, x, spread=SPREAD)
    q = Normal(passed.mean, (passed.log_variance / 2).exp())
    prior = Normal(0.0, 1.0)
    log_w = torch.stack(
        [
            log_p[s] + prior.log_prob(passed.code[s]).sum(1) - q.log_prob(passed.code[s]).sum(1)
            for s in range(S)
        ]
    )
    torch.testing.assert_close(importance_bound(passed, log_p), log_w.exp().mean(0).log())
    expected = log_p.mean(0) - kl_divergence(q, prior).sum(1)
    torch.testing.assert_close(elbo(passed, log_p), expected)


# --- a model whose evidence is known: x = W z + b + r e


def linear() -> tuple[VAE, MultivariateNormal]:
    """A linear decoder with orthogonal columns, and the exact posterior as its encoder."""
    network = VAE(D, (), Z).double()
    turn = torch.linalg.qr(normal(7, D, Z))[0]
    lengths = torch.tensor([1.5, 0.4], dtype=torch.float64)
    w, b = turn * lengths, normal(8, D)
    precision = 1 + lengths**2 / SPREAD**2  # of the posterior: diagonal, because W'W is
    with torch.no_grad():
        network.decoder.layers[0].weight.copy_(w)
        network.decoder.layers[0].bias.copy_(b)
        inward = (w / precision / SPREAD**2).T
        network.encoder.layers[0].weight.copy_(torch.cat((inward, torch.zeros(Z, D))))
        network.encoder.layers[0].bias.copy_(torch.cat((-inward @ b, -precision.log())))
    covariance = w @ w.T + SPREAD**2 * torch.eye(D, dtype=torch.float64)
    return network, MultivariateNormal(b, covariance)


def bounds(network: VAE, x: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        passed = network(x, normal(9, samples, len(x), Z))
        log_p = log_gaussian(passed.output, x, spread=SPREAD)
        return elbo(passed, log_p), importance_bound(passed, log_p)


def test_with_the_exact_posterior_every_single_weight_is_the_evidence() -> None:
    network, evidence = linear()
    x = normal(10, 6, D)
    exact = evidence.log_prob(x)
    _, one = bounds(network, x, 1)
    torch.testing.assert_close(one, exact, rtol=1e-10, atol=1e-10)
    many, _ = bounds(network, x, 40_000)
    torch.testing.assert_close(many, exact, rtol=0, atol=0.05)


def test_with_another_posterior_the_gap_is_the_divergence_and_more_samples_close_it() -> None:
    network, evidence = linear()
    x = normal(10, 6, D)
    exact = evidence.log_prob(x)
    with torch.no_grad():
        right = network.encoder(x)
        network.encoder.layers[0].bias += torch.tensor([0.4, -0.3, 0.5, -0.6])
        q = network.encoder(x)
    gap = kl_divergence(
        Normal(q[:, :Z], (q[:, Z:] / 2).exp()), Normal(right[:, :Z], (right[:, Z:] / 2).exp())
    ).sum(1)
    assert float(gap.min()) > 0.2
    low, tight = bounds(network, x, 40_000)
    torch.testing.assert_close(low, exact - gap, rtol=0, atol=0.06)
    torch.testing.assert_close(tight, exact, rtol=0, atol=0.06)
    # With the divergence added instead of subtracted it would be no bound at all.
    wrong = low + 2 * divergence(q[:, :Z], q[:, Z:]).sum(1)
    assert not torch.allclose(wrong, exact - gap, rtol=0, atol=0.2)


def test_a_collapsed_posterior_pays_nothing() -> None:
    passed = Pass(*(torch.zeros(*shape) for shape in ((1, 2, 3), (1, 2, 4), (2, 4), (2, 4))))
    log_p = log_bernoulli(passed.output, torch.ones(2, 3))
    assert elbo(passed, log_p).tolist() == pytest.approx([-3 * math.log(2)] * 2)


def test_a_code_without_units_is_an_error() -> None:
    with pytest.raises(PracticumError, match="at least one"):
        VAE(4, (3,), 0)


def test_many_seeds_together_equal_each_alone() -> None:
    networks, x, noise = [made() for _ in range(2)], normal(1, B, D), normal(2, 2, S, B, Z)
    with torch.no_grad():
        networks[1].encoder.layers[0].weight += 0.3
    parameters, _ = torch.func.stack_module_state(networks)

    def bound(weights: dict[str, Tensor], noise: Tensor) -> Tensor:
        passed = torch.func.functional_call(networks[0], weights, (x, noise))
        return importance_bound(passed, log_gaussian(passed.output, x, spread=SPREAD))

    together = torch.func.vmap(bound)(parameters, noise)
    for i, network in enumerate(networks):
        weights = dict(network.named_parameters())
        torch.testing.assert_close(together[i], bound(weights, noise[i]))
