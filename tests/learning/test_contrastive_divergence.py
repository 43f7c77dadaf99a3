"""Contrastive divergence: would catch an update uphill instead of downhill, statistics of sampled
instead of likely hidden units, chains that start at the wrong place, are not kept, or are kept
where they should not be, and a gradient whose mean is not that of the exact transitions.
"""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from practicum.engine.loop import Diverged, loop
from practicum.engine.noise import GlobalNoise
from practicum.engine.seeds import streams
from practicum.engine.state import State
from practicum.errors import PracticumError
from practicum.learning.contrastive_divergence import contrastive_divergence, gap
from practicum.nn.rbm import RBM, all_states

V, H = 4, 3
Lists = list[list[float]]


class Given:
    """Uniform numbers that both the step and its twin use."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def normal(self, *shape: int) -> Tensor:
        raise AssertionError(shape)

    def bernoulli(self, p: float, *shape: int) -> Tensor:
        raise AssertionError(shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        raise AssertionError(shape)


def made(rate: float = 0.1) -> State:
    torch.manual_seed(1)
    network = RBM(V, H).double()
    for p in network.parameters():
        nn.init.normal_(p)
    return State({"main": network}, {"main": torch.optim.SGD(network.parameters(), lr=rate)})


def data(rows: int = 6) -> Tensor:
    return (torch.rand(rows, V, generator=torch.Generator().manual_seed(2)) < 0.4).double()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def naive_cd(
    network: RBM, v: Lists, start: Lists, sweeps: int, noise: Given, rate: float
) -> tuple[Lists, list[float], list[float], Lists]:
    """One update with loops over units; returns W, b, c and the chains."""
    w, b, c = (p.tolist() for p in (network.weight, network.visible_bias, network.hidden_bias))

    def hidden(row: list[float]) -> list[float]:
        return [sigmoid(c[j] + sum(row[i] * w[i][j] for i in range(V))) for j in range(H)]

    def visible(row: list[float]) -> list[float]:
        return [sigmoid(b[i] + sum(w[i][j] * row[j] for j in range(H))) for i in range(V)]

    chains = [list(row) for row in start]
    for _ in range(sweeps):
        for units, given in ((H, hidden), (V, visible)):
            drawn = noise.uniform(len(chains), units).tolist()
            chains = [
                [float(u < p) for u, p in zip(us, given(row), strict=True)]
                for us, row in zip(drawn, chains, strict=True)
            ]
    w, b, c = copy.deepcopy((w, b, c))
    for rows, sign in ((v, 1.0), (chains, -1.0)):
        likely = [hidden_of(network)(row) for row in rows]
        for row, p in zip(rows, likely, strict=True):
            for i, j in itertools.product(range(V), range(H)):
                w[i][j] += rate * sign * row[i] * p[j] / len(rows)
            for i in range(V):
                b[i] += rate * sign * row[i] / len(rows)
            for j in range(H):
                c[j] += rate * sign * p[j] / len(rows)
    return w, b, c, chains


def hidden_of(network: RBM):  # type: ignore[no-untyped-def]  # a closure of the twin
    w, c = network.weight.tolist(), network.hidden_bias.tolist()
    return lambda row: [sigmoid(c[j] + sum(row[i] * w[i][j] for i in range(V))) for j in range(H)]


@pytest.mark.parametrize("sweeps", [1, 3])
@pytest.mark.parametrize("persistent", [False, True])
def test_steps_equal_the_loops_with_the_same_numbers(persistent: bool, sweeps: int) -> None:
    state, twin, v = made(), made().networks["main"], data()
    ours, theirs = Given(7), Given(7)
    step = contrastive_divergence(sweeps, chains=5 if persistent else None)
    kept: Lists | None = None
    for _ in range(4):
        state, metrics = step(state, (v,), ours)
        start = v.tolist()
        if persistent:
            start = kept or (theirs.uniform(5, V) < 0.5).double().tolist()
        w, b, c, kept = naive_cd(twin, v.tolist(), start, sweeps, theirs, 0.1)
        with torch.no_grad():
            for p, value in zip(twin.parameters(), (w, b, c), strict=True):
                p.copy_(torch.tensor(value, dtype=torch.float64))
        for one, other in zip(state.networks["main"].parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)
        assert set(metrics) == {"gap"}
    assert ("chains" in state.buffers) == persistent
    if persistent:
        assert state.buffers["chains"].tolist() == kept


def expected(network: RBM, v: Tensor, end: Tensor) -> dict[str, Tensor]:
    """The mean update direction when chains end at visible states with probabilities `end`."""
    states = all_states(V, dtype=torch.float64)
    h, likely = network.hidden_given(v), network.hidden_given(states)
    return {
        "weight": v.T @ h / len(v) - (end.unsqueeze(1) * states).T @ likely,
        "visible_bias": v.mean(0) - end @ states,
        "hidden_bias": h.mean(0) - end @ likely,
    }


def sweep_matrix(network: RBM) -> Tensor:
    v, h = all_states(V, dtype=torch.float64), all_states(H, dtype=torch.float64)

    def chance(p: Tensor, states: Tensor) -> Tensor:
        return torch.where(states.bool(), p.unsqueeze(1), 1 - p.unsqueeze(1)).prod(2)

    return chance(network.hidden_given(v), h) @ chance(network.visible_given(h), v)


def after(network: RBM, v: Tensor, sweeps: int) -> Tensor:
    """Where chains from the data are after so many sweeps, exactly."""
    rows = (v @ torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)).long()
    start = torch.bincount(rows, minlength=16).double() / len(v)
    return start @ torch.linalg.matrix_power(sweep_matrix(network), sweeps)


def mean_direction(sweeps: int, copies: int = 6000) -> dict[str, Tensor]:
    """What the step does on average: each example very often, rate 1."""
    state = made(rate=1.0)
    before = copy.deepcopy(dict(state.networks["main"].named_parameters()))
    contrastive_divergence(sweeps)(state, (data().repeat(copies, 1),), Given(3))
    return {
        name: (p - before[name]).detach() for name, p in state.networks["main"].named_parameters()
    }


@pytest.mark.parametrize("sweeps", [1, 2, 30])
def test_the_mean_step_is_that_of_the_exact_transitions(sweeps: int) -> None:
    network, v = made().networks["main"], data()
    with torch.no_grad():
        exact = expected(network, v, after(network, v, sweeps))
        one_more = expected(network, v, after(network, v, sweeps + 1))
    ours = mean_direction(sweeps)
    error = 0.5 / math.sqrt(6 * 6000)  # of a mean of numbers between 0 and 1, at most
    far = 0.0
    for name, p in network.named_parameters():
        assert p.shape == ours[name].shape
        assert float((ours[name] - exact[name]).abs().max()) < 5 * error
        far = max(far, float((ours[name] - one_more[name]).abs().max()))
    if sweeps == 1:
        assert far > 5 * error  # one sweep more or less would be seen


def test_with_many_sweeps_it_is_the_gradient_of_the_exact_likelihood() -> None:
    network, v = made().networks["main"], data()
    network.log_likelihood(v).mean().backward()
    exact = {name: p.grad for name, p in network.named_parameters()}
    with torch.no_grad():
        many = expected(network, v, after(network, v, 400))
        once = expected(network, v, after(network, v, 1))
    for name, gradient in exact.items():
        torch.testing.assert_close(many[name], gradient, rtol=1e-9, atol=1e-10)
        assert not torch.allclose(once[name], gradient, rtol=1e-2, atol=1e-3)  # CD-1 is biased


def test_the_gap_over_the_models_own_distribution_has_the_likelihoods_gradient() -> None:
    network, v = made().networks["main"], data()
    states = all_states(V, dtype=torch.float64)
    p = network.log_likelihood(states).exp().detach()
    network.log_likelihood(v).mean().backward()
    exact = [one.grad.clone() for one in network.parameters()]
    network.zero_grad()
    (network(v).mean() - p @ network(states)).backward()
    for one, gradient in zip(network.parameters(), exact, strict=True):
        torch.testing.assert_close(one.grad, -gradient, rtol=1e-10, atol=1e-12)
    by_gap = gap(network, v, states[:5])
    assert by_gap.item() == pytest.approx((network(v).mean() - network(states[:5]).mean()).item())


def trained(step, steps: int = 600) -> tuple[float, float]:  # type: ignore[no-untyped-def]  # a Step
    """Exact mean log-likelihood before and after."""
    rows = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]).float()
    with streams(0).init():
        network = RBM(V, 6, spread=0.1)
    state = State({"main": network}, {"main": torch.optim.SGD(network.parameters(), lr=0.5)})
    with torch.no_grad():
        before = network.log_likelihood(rows).mean().item()
    with streams(0).noise():
        loop(step, state, itertools.repeat((rows,)), steps=steps)
    with torch.no_grad():
        return before, network.log_likelihood(rows).mean().item()


@pytest.mark.parametrize("chains", [None, 20])
def test_the_exact_likelihood_rises_in_the_loop_and_falls_uphill(chains: int | None) -> None:
    before, after_training = trained(contrastive_divergence(1, chains=chains))
    assert before == pytest.approx(-4 * math.log(2), abs=0.1)
    assert after_training > before + 0.5
    assert after_training <= -math.log(4) + 1e-6  # the entropy of four equal rows bounds it

    def uphill(state, batch, noise):  # type: ignore[no-untyped-def]  # the sign is wrong
        network = state.networks["main"]
        model = network.gibbs(batch[0], 1, noise.uniform)
        state.optimizers["main"].zero_grad()
        gap(network, model, batch[0]).backward()
        state.optimizers["main"].step()
        return state, {}

    worse_before, worse = trained(uphill, 100)
    assert worse < worse_before - 0.2


def test_persistent_chains_go_on_after_a_checkpoint_as_without_one() -> None:
    step, v = contrastive_divergence(2, chains=3), data().float()
    ends = []
    for stop in (None, 4):
        with streams(3).init():
            network = RBM(V, H)
        state = State({"main": network}, {"main": torch.optim.SGD(network.parameters(), lr=0.1)})
        with streams(3).noise():
            for i in range(9):
                if i == stop:
                    saved = copy.deepcopy(state.state_dict())
                    with streams(4).init():
                        network = RBM(V, H)
                    state = State(
                        {"main": network}, {"main": torch.optim.SGD(network.parameters(), lr=0.1)}
                    )
                    state.load_state_dict(saved)
                state, _ = step(state, (v,), GlobalNoise())
        ends.append(state)
    assert torch.equal(ends[0].buffers["chains"], ends[1].buffers["chains"])
    for one, other in zip(*(end.networks["main"].parameters() for end in ends), strict=True):
        assert torch.equal(one, other)


def test_bad_settings_and_a_network_that_is_no_rbm_are_errors() -> None:
    for sweeps, chains in ((0, None), (1, 0)):
        with pytest.raises(PracticumError, match="at least one"):
            contrastive_divergence(sweeps, chains=chains)
    layer = nn.Linear(V, H)
    state = State({"main": layer}, {"main": torch.optim.SGD(layer.parameters(), lr=0.1)})
    with pytest.raises(PracticumError, match="trains an RBM"):
        contrastive_divergence()(state, (data(),), Given(0))


def test_a_gap_that_is_not_finite_stops_before_any_weight_moves() -> None:
    state = made()
    network = state.networks["main"]
    with torch.no_grad():
        network.weight[0, 0] = math.inf
    kept = network.visible_bias.clone()
    with pytest.raises(Diverged):
        contrastive_divergence()(state, (torch.ones(2, V, dtype=torch.float64),), Given(0))
    assert torch.equal(network.visible_bias, kept)
