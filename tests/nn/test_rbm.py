"""The restricted Boltzmann machine against sums over all its states, in float64.

Would catch: a wrong sign or a lost bias in the energy, a free energy that does not marginalise it,
conditionals of the transposed weights, a partition function summed over the wrong side, a sampler
that draws both sides from the same state or whose stationary distribution is not the model's.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from practicum.errors import PracticumError
from practicum.nn.rbm import ENUMERABLE, RBM, all_states


def made(visible: int, hidden: int, seed: int = 0) -> RBM:
    torch.manual_seed(seed)
    network = RBM(visible, hidden).double()
    with torch.no_grad():
        for p in network.parameters():
            torch.nn.init.normal_(p)
    return network


def bits(units: int) -> list[tuple[int, ...]]:
    return list(itertools.product((0, 1), repeat=units))


def naive_energy(network: RBM, v: tuple[int, ...], h: tuple[int, ...]) -> float:
    w, b, c = (p.tolist() for p in (network.weight, network.visible_bias, network.hidden_bias))
    total = sum(b[i] * v[i] for i in range(len(v))) + sum(c[j] * h[j] for j in range(len(h)))
    total += sum(w[i][j] * v[i] * h[j] for i in range(len(v)) for j in range(len(h)))
    return -total


def table(network: RBM) -> Tensor:
    """p(v, h) for every pair of states, Eq. (2)."""
    visible, hidden = network.weight.shape
    weights = [
        [math.exp(-naive_energy(network, v, h)) for h in bits(hidden)] for v in bits(visible)
    ]
    joint = torch.tensor(weights, dtype=torch.float64)
    return joint / joint.sum()


def exact_gradient(network: RBM, data: Tensor) -> dict[str, Tensor]:
    """Gradient of the mean log-likelihood: averages over the data less averages over the model."""
    joint = table(network)
    visible, hidden = network.weight.shape
    v, h = (torch.tensor(bits(n), dtype=torch.float64) for n in (visible, hidden))
    given = joint / joint.sum(1, keepdim=True)  # p(h | v), from the table alone
    rows = (data @ (2.0 ** torch.arange(visible - 1, -1, -1, dtype=torch.float64))).long()
    seen = torch.bincount(rows, minlength=2**visible).double() / len(data)
    gradient = {}
    for p, sign in ((seen.unsqueeze(1) * given, 1.0), (joint, -1.0)):
        for name, mean in (
            ("weight", v.T @ p @ h),
            ("visible_bias", p.sum(1) @ v),
            ("hidden_bias", p.sum(0) @ h),
        ):
            gradient[name] = gradient.get(name, 0) + sign * mean
    return gradient


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), visible=st.integers(1, 4), hidden=st.integers(1, 4))
def test_energy_free_energy_conditionals_and_likelihood_equal_the_sums(
    seed: int, visible: int, hidden: int
) -> None:
    network, joint = made(visible, hidden, seed), table(made(visible, hidden, seed))
    v, h = all_states(visible, dtype=torch.float64), all_states(hidden, dtype=torch.float64)
    assert v.tolist() == [list(row) for row in bits(visible)]
    pairs = [network.energy(row.expand(len(h), -1), h) for row in v]
    naive = [[naive_energy(network, a, b) for b in bits(hidden)] for a in bits(visible)]
    torch.testing.assert_close(torch.stack(pairs), torch.tensor(naive, dtype=torch.float64))
    z = sum(math.exp(-e) for row in naive for e in row)
    assert network.log_partition().item() == pytest.approx(math.log(z), abs=1e-12)
    torch.testing.assert_close(torch.exp(-network(v)) / z, joint.sum(1))
    torch.testing.assert_close(network.log_likelihood(v).exp(), joint.sum(1))
    torch.testing.assert_close(network.hidden_given(v), (joint / joint.sum(1, True)) @ h)
    torch.testing.assert_close(network.visible_given(h), (joint / joint.sum(0)).T @ v)


def test_a_machine_and_its_mirror_image_have_the_same_partition_function() -> None:
    network, mirror = made(3, 5), made(5, 3)
    with torch.no_grad():
        mirror.weight.copy_(network.weight.T)
        mirror.visible_bias.copy_(network.hidden_bias)
        mirror.hidden_bias.copy_(network.visible_bias)
    assert network.log_partition().item() == pytest.approx(mirror.log_partition().item(), abs=1e-12)


def test_known_machines() -> None:
    network = RBM(3, 2, spread=0.0).double()
    assert network.log_partition().item() == pytest.approx(5 * math.log(2))
    with torch.no_grad():
        network.visible_bias.copy_(torch.tensor([math.log(3), 0.0, -math.log(3)]))
    # Without weights the units are independent coins.
    log_p = network.log_likelihood(torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64))
    assert log_p.item() == pytest.approx(math.log(0.75 * 0.5 * 0.75))


@pytest.mark.parametrize(("visible", "hidden"), [(3, 4), (4, 2)])
def test_the_gradient_of_the_likelihood_is_data_less_model(visible: int, hidden: int) -> None:
    network = made(visible, hidden)
    data = all_states(visible, dtype=torch.float64)[[0, 1, 1, 3, 6]]
    network.log_likelihood(data).mean().backward()
    exact = exact_gradient(network, data)
    for name, p in network.named_parameters():
        torch.testing.assert_close(p.grad, exact[name], rtol=1e-10, atol=1e-12)


# --- the sampler


def transitions(network: RBM) -> Tensor:
    """The probability of every visible state after one sweep from every other, by the rules."""
    visible, hidden = network.weight.shape
    v, h = all_states(visible, dtype=torch.float64), all_states(hidden, dtype=torch.float64)

    def chance(p: Tensor, states: Tensor) -> Tensor:
        on = p.unsqueeze(1)
        return torch.where(states.bool(), on, 1 - on).prod(2)

    return (chance(network.hidden_given(v), h) @ chance(network.visible_given(h), v)).detach()


def test_a_sweep_leaves_the_models_distribution_as_it_is() -> None:
    network = made(4, 3)
    p, sweep = table(network).sum(1), transitions(network)
    torch.testing.assert_close(sweep.sum(1), torch.ones(16, dtype=torch.float64))
    torch.testing.assert_close(p @ sweep, p, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(torch.full_like(p, 1 / 16) @ sweep, p, rtol=1e-2)


def counted(network: RBM, v: Tensor) -> Tensor:
    powers = 2 ** torch.arange(v.shape[1] - 1, -1, -1)
    return torch.bincount((v.long() * powers).sum(1), minlength=2 ** v.shape[1])


@pytest.mark.parametrize("sweeps", [1, 2, 40])
def test_chains_are_distributed_as_the_exact_transitions_say(sweeps: int) -> None:
    network, chains = made(4, 3), 20_000
    generator = torch.Generator().manual_seed(5)
    start = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64).expand(chains, -1)
    ends = network.gibbs(start, sweeps, lambda *shape: torch.rand(shape, generator=generator))
    expected = torch.linalg.matrix_power(transitions(network), sweeps)[0b1001]
    seen = counted(network, ends).numpy()
    assert chisquare(seen, (expected * chains).numpy()).pvalue > 0.01
    # Another number of sweeps, or a machine without its biases, would not pass.
    if sweeps < 40:
        other = torch.linalg.matrix_power(transitions(network), 3 - sweeps)[0b1001]
        assert chisquare(seen, (other * chains).numpy()).pvalue < 1e-6
    else:
        torch.testing.assert_close(expected, table(network).sum(1), rtol=1e-4, atol=0)
        with torch.no_grad():
            network.visible_bias.zero_()
        wrong = table(network).sum(1) * chains
        assert chisquare(seen, wrong.numpy()).pvalue < 1e-6


def test_gibbs_takes_its_numbers_hidden_side_first_and_changes_nothing() -> None:
    network, v = made(4, 3), torch.zeros(5, 4, dtype=torch.float64)
    shapes: list[tuple[int, ...]] = []

    def uniform(*shape: int) -> Tensor:
        shapes.append(shape)
        return torch.full(shape, 0.5)

    end = network.gibbs(v, 2, uniform)
    assert shapes == [(5, 3), (5, 4)] * 2
    assert not v.any()
    assert not end.requires_grad
    by_hand = v
    for _ in range(2):
        h = (network.hidden_given(by_hand) > 0.5).double()
        by_hand = (network.visible_given(h) > 0.5).double()
    assert torch.equal(end, by_hand)


# --- start and wrong input


def test_weights_start_small_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    network = RBM(60, 50)
    assert network.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not network.visible_bias.any()
    assert not network.hidden_bias.any()


def test_a_side_without_units_and_one_with_too_many_are_errors() -> None:
    with pytest.raises(PracticumError, match="at least one"):
        RBM(0, 3)
    with pytest.raises(PracticumError, match=r"2\*\*21 states"):
        RBM(ENUMERABLE + 1, ENUMERABLE + 1).log_partition()
    assert RBM(2, 400).log_partition().isfinite()
    assert RBM(400, 2).log_partition().isfinite()
