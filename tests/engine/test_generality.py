"""Other ways of learning through the same loop: two players, a rule without gradients, a chain.

Would catch: a loop that quietly assumes one network, one optimizer, a loss or a gradient; updates
of two players that see each other's old values where they should see the new ones; gradients of one
player leaking into the other's; noise that is not what it says it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Perceptron
from torch import Tensor, nn

from practicum.engine.loop import loop
from practicum.engine.noise import Noise
from practicum.engine.optimizers import SGD, Adam
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.state import State
from practicum.engine.train import Recipe, Trains, train
from practicum.engine.updates import Update, gradient_step

# --- two players: min over x, max over y of x y


class Scalar(nn.Module):
    """One number."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def forward(self) -> Tensor:
        return self.value


RATE = 0.1


def players() -> State:
    networks: dict[str, nn.Module] = {"x": Scalar(1.0), "y": Scalar(0.5)}
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.SGD(one.parameters(), lr=RATE) for name, one in networks.items()
    }
    return State(networks=networks, optimizers=optimizers)


def position(state: State) -> tuple[float, float]:
    return state.networks["x"]().item(), state.networks["y"]().item()


def simultaneous(state: State, batch: tuple[()], noise: Noise) -> tuple[State, dict[str, Any]]:
    """Both players move from the same point."""
    x, y = state.networks["x"](), state.networks["y"]()
    (x.grad,), (y.grad,) = torch.autograd.grad(x * y, [x]), torch.autograd.grad(-x * y, [y])
    for optimizer in state.optimizers.values():
        optimizer.step()
    return state, {"game": (x * y).item()}


ALTERNATING = gradient_step(
    [
        Update(loss=lambda nets, batch, noise: (nets["x"]() * nets["y"](), {}), optimizer="x"),
        Update(loss=lambda nets, batch, noise: (-nets["x"]() * nets["y"](), {}), optimizer="y"),
    ],
    {"x": RATE, "y": RATE},
)


def test_simultaneous_players_spiral_out_by_the_known_factor() -> None:
    state = loop(simultaneous, players(), itertools.repeat(()), steps=60)
    x, y = position(state)
    # (x, y) -> (x - r y, y + r x) turns and stretches by sqrt(1 + r^2).
    assert x * x + y * y == pytest.approx(1.25 * (1 + RATE**2) ** 60, rel=1e-12)


def test_alternating_players_stay_on_their_ellipse() -> None:
    state = players()
    x, y = position(state)
    kept = x * x + y * y - RATE * x * y  # what (x, y) -> (x' = x - r y, y + r x') keeps
    far: list[float] = []
    for steps in (20, 60, 200):
        state = loop(ALTERNATING, state, itertools.repeat(()), steps=steps)
        x, y = position(state)
        assert x * x + y * y - RATE * x * y == pytest.approx(kept, rel=1e-12)
        far.append(x * x + y * y)
    assert max(far) < 1.25 * (1 + RATE)


def test_the_two_games_are_told_apart() -> None:
    one = position(loop(simultaneous, players(), itertools.repeat(()), steps=1))
    other = position(loop(ALTERNATING, players(), itertools.repeat(()), steps=1))
    assert one == pytest.approx((1.0 - RATE * 0.5, 0.5 + RATE))
    assert other == pytest.approx((1.0 - RATE * 0.5, 0.5 + RATE * (1.0 - RATE * 0.5)))


def test_a_generator_and_a_discriminator_get_the_bits_of_the_loop_written_by_hand() -> None:
    real = torch.randn(20, 2, generator=torch.Generator().manual_seed(1)) + 3

    def generator() -> nn.Module:
        return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))

    def discriminator() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, 1))

    def judged(nets: Any, batch: Any, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        made = nets["generator"](noise.normal(len(batch[0]), 3)).detach()
        d = nets["discriminator"]
        return F.softplus(-d(batch[0])).mean() + F.softplus(d(made)).mean(), {}

    def fooled(nets: Any, batch: Any, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        made = nets["generator"](noise.normal(len(batch[0]), 3))
        return F.softplus(-nets["discriminator"](made)).mean(), {"spread": made.std().detach()}

    recipe = Recipe(
        networks={"generator": generator, "discriminator": discriminator},
        optimizers={
            "main": Trains(spec=Adam(lr=0.01), networks=("discriminator",)),
            "generator": Trains(spec=SGD(lr=0.1), networks=("generator",)),
        },
        updates=(Update(loss=judged), Update(loss=fooled, optimizer="generator")),
        data=(real,),
        batch_size=6,
        steps=9,
    )
    networks = train(recipe, [4], Services()).networks[0]

    s = streams(4)
    with s.init():
        g, d = generator(), discriminator()
    of_d = torch.optim.Adam(d.parameters(), lr=0.01, fused=True)
    of_g = torch.optim.SGD(g.parameters(), lr=0.1, fused=True)
    order, steps = s.order(), 0
    with s.noise():
        while steps < 9:
            for index in torch.randperm(20, generator=order).split(6)[: 9 - steps]:
                x = real[index]
                of_d.zero_grad()
                made = g(torch.randn(len(x), 3)).detach()
                (F.softplus(-d(x)).mean() + F.softplus(d(made)).mean()).backward()
                of_d.step()
                of_g.zero_grad()
                F.softplus(-d(g(torch.randn(len(x), 3)))).mean().backward()
                of_g.step()
                steps += 1
    for name, expected in (("generator", g), ("discriminator", d)):
        for ours, theirs in zip(networks[name].parameters(), expected.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_an_actor_and_a_critic_learn_the_better_arm_of_a_bandit() -> None:
    means = torch.tensor([0.0, 1.0, 0.2])

    def choose(nets: Any, noise: Noise) -> tuple[Tensor, Tensor]:
        logits = nets["actor"](torch.ones(16, 1))
        gumbel = -torch.log(-torch.log(noise.uniform(16, 3).clamp(1e-6, 1 - 1e-6)))
        action = (logits + gumbel).argmax(1)
        return F.log_softmax(logits, 1)[torch.arange(16), action], means[action] + noise.normal(16)

    def step(state: State, batch: tuple[()], noise: Noise) -> tuple[State, dict[str, Any]]:
        chance, reward = choose(state.networks, noise)
        value = state.networks["critic"](torch.ones(16, 1)).squeeze(1)
        losses = {"actor": -(chance * (reward - value.detach())).mean()}
        losses["critic"] = F.mse_loss(value, reward)
        for name, loss in losses.items():
            state.optimizers[name].zero_grad()
            loss.backward()
            state.optimizers[name].step()
        return state, losses

    with streams(2).init():
        networks = {"actor": nn.Linear(1, 3), "critic": nn.Linear(1, 1)}
    optimizers: dict[str, Any] = {
        name: torch.optim.SGD(one.parameters(), lr=0.1) for name, one in networks.items()
    }
    with streams(2).noise():
        state = loop(step, State({**networks}, optimizers), itertools.repeat(()), steps=300)
    chances = state.networks["actor"](torch.ones(1, 1)).softmax(1)[0]
    assert chances.argmax() == 1
    assert chances[1] > 0.9
    assert state.networks["critic"](torch.ones(1, 1)).item() == pytest.approx(1.0, abs=0.3)


# --- a rule without gradients: Rosenblatt's perceptron


def separable() -> tuple[Tensor, Tensor]:
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    y = torch.sign(x @ torch.tensor([2.0, -1.0], dtype=torch.float64) + 0.3)
    return x + 0.2 * y[:, None] * torch.tensor([2.0, -1.0], dtype=torch.float64), y


def perceptron(state: State, batch: tuple[Tensor, Tensor], noise: Noise) -> tuple[State, Any]:
    """w <- w + y x where y (w . x) <= 0."""
    x, y = batch
    weights = state.buffers["weights"]
    wrong = y * (weights[:-1] @ x + weights[-1]) <= 0
    if wrong:
        weights += y * torch.cat([x, x.new_ones(1)])
    return state, {"wrong": bool(wrong)}


def one_by_one(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return itertools.cycle(list(zip(x, y, strict=True)))


def test_the_perceptron_rule_separates_separable_data() -> None:
    x, y = separable()
    state = State(buffers={"weights": torch.zeros(3, dtype=torch.float64)})
    mistakes: list[bool] = []
    state = loop(
        perceptron,
        state,
        one_by_one(x, y),
        steps=40 * 30,
        observers=[lambda moment: mistakes.append(moment.metrics.get("wrong", False))],
    )
    weights = state.buffers["weights"]
    assert (y * (x @ weights[:-1] + weights[-1]) > 0).all()
    assert not any(mistakes[-40:])
    assert not state.networks
    assert not state.optimizers


@pytest.mark.parametrize("passes", [1, 2, 7])
def test_the_perceptron_rule_equals_scikit_learns_in_the_same_order(passes: int) -> None:
    x, y = separable()
    y = torch.where(torch.arange(40) % 7 == 0, -y, y)  # not separable: it never comes to rest
    state = State(buffers={"weights": torch.zeros(3, dtype=torch.float64)})
    state = loop(perceptron, state, one_by_one(x, y), steps=40 * passes)
    peer = Perceptron(max_iter=passes, tol=None, shuffle=False, penalty=None)
    peer.fit(x.numpy(), y.numpy())
    ours = state.buffers["weights"].numpy()
    np.testing.assert_allclose(ours, [*peer.coef_[0], peer.intercept_[0]], rtol=1e-12)
    backwards = State(buffers={"weights": torch.zeros(3, dtype=torch.float64)})
    loop(perceptron, backwards, one_by_one(x.flip(0), y.flip(0)), steps=40 * passes)
    assert not np.allclose(ours, backwards.buffers["weights"].numpy(), rtol=1e-3)


# --- a sampling chain: Gibbs sampling of an Ising model small enough to sum over

PAIRS = [(0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5)]  # a 2 x 3 grid
BETA, FIELD = 0.5, 0.2


def energy(spins: Tensor) -> Tensor:
    """-sum over pairs of s_i s_j - h sum of s_i, for rows of spins."""
    return -sum(spins[..., i] * spins[..., j] for i, j in PAIRS) - FIELD * spins.sum(-1)


def exact() -> tuple[float, float]:
    """Mean energy and mean magnetisation by summing over all 64 states."""
    states = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=6)), dtype=torch.float64)
    weight = torch.exp(-BETA * energy(states))
    weight = weight / weight.sum()
    return float(weight @ energy(states)), float(weight @ states.mean(1))


def gibbs(factor: float) -> Callable[[State, None, Noise], tuple[State, dict[str, Tensor]]]:
    """One sweep; P(s_i = +1 | rest) = 1 / (1 + exp(-2 beta (sum of neighbours + h)))."""

    def step(state: State, batch: tuple[()], noise: Noise) -> tuple[State, dict[str, Tensor]]:
        spins = state.buffers["spins"]
        uniform = noise.uniform(6, len(spins))
        for site in range(6):
            near = [j if i == site else i for i, j in PAIRS if site in (i, j)]
            up = torch.sigmoid(factor * BETA * (spins[:, near].sum(1) + FIELD))
            spins[:, site] = torch.where(uniform[site] < up, 1.0, -1.0)
        return state, {"energy": energy(spins), "magnetisation": spins.mean(1)}

    return step


def sampled(factor: float) -> dict[str, tuple[float, float]]:
    """Mean and standard error of both quantities over 400 independent chains of 150 sweeps."""
    kept: dict[str, list[Tensor]] = {"energy": [], "magnetisation": []}

    def keep(moment: Any) -> None:
        if moment.metrics and moment.state.step >= 20:  # the first sweeps remember the start
            for name, values in kept.items():
                values.append(moment.metrics[name].clone())

    state = State(buffers={"spins": torch.ones(400, 6)})
    with streams(6).noise():
        loop(gibbs(factor), state, itertools.repeat(()), steps=150, observers=[keep])
    chains = {name: torch.stack(values).mean(0).double() for name, values in kept.items()}
    return {name: (float(m.mean()), float(m.std()) / 20) for name, m in chains.items()}


def test_a_gibbs_chain_finds_the_exact_means_and_a_wrong_one_does_not() -> None:
    answers = dict(zip(("energy", "magnetisation"), exact(), strict=True))
    for name, (mean, error) in sampled(2.0).items():
        assert abs(mean - answers[name]) < 4 * error, name
        assert error < 0.03 * abs(answers[name])  # sharp enough to mean something
    for name, (mean, error) in sampled(1.0).items():  # the factor 2 forgotten
        assert abs(mean - answers[name]) > 8 * error, name


def test_the_noise_has_the_moments_that_its_names_promise() -> None:
    drawn: dict[str, Tensor] = {}

    def step(state: State, batch: tuple[()], noise: Noise) -> tuple[State, dict[str, Any]]:
        drawn["normal"], drawn["uniform"] = noise.normal(100, 101), noise.uniform(100, 101)
        drawn["bernoulli"] = noise.bernoulli(0.3, 100, 101)
        drawn["integers"] = noise.integers(4, 100, 101)
        return state, {}

    with streams(0).noise():
        loop(step, State(), itertools.repeat(()), steps=1)
    assert all(one.shape == (100, 101) for one in drawn.values())
    for name, (mean, spread) in {
        "normal": (0.0, 1.0),
        "uniform": (0.5, 12**-0.5),
        "bernoulli": (0.3, 0.21**0.5),
        "integers": (1.5, 1.25**0.5),
    }.items():
        assert float(drawn[name].double().mean()) == pytest.approx(mean, abs=5 * spread / 100)
        assert float(drawn[name].double().std()) == pytest.approx(spread, rel=0.05)
    assert set(drawn["integers"].unique().tolist()) == {0, 1, 2, 3}
    assert set(drawn["bernoulli"].unique().tolist()) == {0.0, 1.0}
    assert drawn["uniform"].min() >= 0
    assert drawn["uniform"].max() < 1
