"""REINFORCE: the estimate against the exact gradient of a problem small enough to enumerate.

Would catch: a biased baseline (one that contains the episode's own gain), a reward to go that looks
back, steps after the end that count, a value that is pushed by the policy's loss.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Update
from practicum.errors import PracticumError
from practicum.learning.policy_gradient import (
    BASELINES,
    Gathering,
    others_mean,
    reinforce_loss,
    returns,
)
from practicum.nn.actor_critic import ActorCritic

# Two states, then the end: state 0 leads to state 1 whatever is done; action 2 in state 0 ends at
# once. REWARD[s][a] is paid. All episodes can be enumerated.
REWARD = torch.tensor([[6.0, 3.0, 5.5], [8.0, 5.0, 4.0]], dtype=torch.float64)
GAMMA = 0.8


class Table(nn.Module):
    """Logits and values that are parameters; the observation is the number of the state."""

    def __init__(self) -> None:
        super().__init__()
        made = torch.Generator().manual_seed(1)
        self.logits = nn.Parameter(torch.randn(2, 3, generator=made, dtype=torch.float64))
        self.values = nn.Parameter(torch.randn(2, generator=made, dtype=torch.float64))

    def forward(self, s: Tensor) -> tuple[Tensor, Tensor]:
        rows = s[:, 0].long()
        return self.logits[rows], self.values[rows]


Episode = tuple[tuple[int, int], ...]  # (state, action) of every step
EPISODES: list[Episode] = [((0, 2),)] + [
    ((0, first), (1, second)) for first in (0, 1) for second in (0, 1, 2)
]


def probability(table: Table, episode: Episode) -> Tensor:
    pi = torch.softmax(table.logits, 1)
    total = torch.ones((), dtype=torch.float64)
    for s, a in episode:
        total = total * pi[s, a]
    return total


def objective(table: Table) -> Tensor:
    """Return J, the mean return, over all episodes."""
    return sum(
        probability(table, one) * sum(GAMMA**t * REWARD[s, a] for t, (s, a) in enumerate(one))
        for one in EPISODES
    )


def batch_of(episodes: Sequence[Episode], to_go: bool) -> tuple[Tensor, ...]:
    E, T = len(episodes), 3  # one step longer than any episode
    s, a = torch.zeros(E, T, 1, dtype=torch.float64), torch.zeros(E, T, dtype=torch.long)
    r, lasted = torch.zeros(2, E, T, dtype=torch.float64)
    for e, episode in enumerate(episodes):
        for t, (state, action) in enumerate(episode):
            s[e, t, 0], a[e, t], r[e, t], lasted[e, t] = state, action, REWARD[state, action], 1
    return s, a, returns(r, GAMMA, to_go=to_go), lasted


def expected_gradient(table: Table, baseline: Any, to_go: bool, *, own: bool = False) -> Tensor:
    """Return the mean of minus the loss's gradient over all pairs of episodes, by probability.

    Args:
        table: the policy.
        baseline: which.
        to_go: which weights.
        own: a broken variant whose mean baseline counts the episode's own gain.
    """
    total = torch.zeros(2, 3, dtype=torch.float64)
    for pair in itertools.product(EPISODES, repeat=2):
        weight = (probability(table, pair[0]) * probability(table, pair[1])).detach()
        batch = batch_of(pair, to_go)
        if own:
            s, a, gains, lasted = batch
            mean = (gains * lasted).sum(0) / lasted.sum(0).clamp(min=1)
            batch, kind = (s, a, gains - mean, lasted), "none"
        else:
            kind = baseline
        table.zero_grad()
        reinforce_loss({"main": table}, batch, GlobalNoise(), baseline=kind)[0].backward()
        total -= weight * table.logits.grad
    return total


def exact(table: Table, to_go: bool) -> Tensor:
    """Return what the estimate aims at: (3) without gamma^t, each gain as if it came first."""
    if not to_go:
        return torch.autograd.grad(objective(table), table.logits)[0]
    pi = torch.softmax(table.logits, 1)
    second = (pi[1] * REWARD[1]).sum()
    goes_on = pi[0, :2].sum().detach()
    first = (pi[0] * REWARD[0]).sum() + GAMMA * pi[0, :2].sum() * second.detach()
    return torch.autograd.grad(first + goes_on * second, table.logits)[0]


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("to_go", [False, True])
def test_the_mean_is_the_exact_gradient(baseline: Any, to_go: bool) -> None:
    table = Table()
    found = expected_gradient(table, baseline, to_go)
    torch.testing.assert_close(found, exact(table, to_go), rtol=0, atol=1e-12)


def test_a_baseline_of_ones_own_is_noticed() -> None:
    table = Table()
    wrong = expected_gradient(table, "mean", True, own=True)
    assert (wrong - exact(table, True)).abs().max() > 0.05


def variance(table: Table, baseline: Any, to_go: bool) -> float:
    mean, square = expected_gradient(table, baseline, to_go), torch.zeros((), dtype=torch.float64)
    for pair in itertools.product(EPISODES, repeat=2):
        weight = (probability(table, pair[0]) * probability(table, pair[1])).detach()
        table.zero_grad()
        loss = reinforce_loss(
            {"main": table}, batch_of(pair, to_go), GlobalNoise(), baseline=baseline
        )[0]
        loss.backward()
        square = square + weight * (-table.logits.grad - mean).square().sum()
    return float(square)


def test_a_perfect_value_lowers_the_variance() -> None:
    table = Table()
    pi = torch.softmax(table.logits.detach(), 1)
    second = (pi[1] * REWARD[1]).sum()
    with torch.no_grad():
        table.values[1] = second
        table.values[0] = (pi[0] * REWARD[0]).sum() + GAMMA * pi[0, :2].sum() * second
    assert variance(table, "value", True) < 0.7 * variance(table, "none", True)


def test_returns_by_hand() -> None:
    r = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 8.0]])
    assert returns(r, 0.5).tolist() == [[3.0, 4.0, 4.0], [2.0, 4.0, 8.0]]
    assert returns(r, 0.5, to_go=False).tolist() == [[3.0] * 3, [2.0] * 3]


def test_the_mean_is_over_the_others_that_lasted() -> None:
    gains = torch.tensor([[1.0, 10.0], [3.0, 20.0], [8.0, 99.0]])
    lasted = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    found = others_mean(gains, lasted)
    assert found[:2].tolist() == [[5.5, 20.0], [4.5, 10.0]]
    assert found[2, 0] == 2


def test_the_value_learns_the_mean_square_only() -> None:
    table = Table()
    batch = batch_of([EPISODES[0], EPISODES[4], EPISODES[6]], True)
    reinforce_loss({"main": table}, batch, GlobalNoise(), baseline="value", value_share=1.0)[
        0
    ].backward()
    s, _, gains, lasted = batch
    steps = int(lasted.sum())
    for state in range(2):
        mine = lasted.bool() & (s[..., 0] == state)
        expected = 2 * (table.values[state].detach() - gains[mine]).sum() / steps
        assert table.values.grad[state].item() == pytest.approx(expected.item(), abs=1e-12)


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(PracticumError, match="value"):
        reinforce_loss({"main": Table()}, batch_of(EPISODES, True), GlobalNoise(), baseline="vlue")


def learned(path: str, baseline: Any) -> Trained:
    recipe = Recipe(
        networks={"main": lambda: ActorCritic(4, 2, hidden=(8,))},
        optimizers={"main": Trains(spec=Adam(lr=0.02), networks=("main",))},
        updates=(Update(loss=partial(reinforce_loss, baseline=baseline)),),
        experience=Gathering(episodes=4, longest=60).experience("CartPole-v1"),
        steps=8,
        every=4,
    )
    arithmetic = Arithmetic(path=path, lane_group=3, precision="float64")
    return train(recipe, (3, 4, 5), Services(arithmetic=arithmetic))


@pytest.mark.parametrize("baseline", ["mean", "value"])
def test_lanes_play_and_learn_as_the_loop_does(baseline: Any) -> None:
    loop, lanes = learned("loop", baseline), learned("lanes", baseline)
    for name, curve in loop.curves.items():
        torch.testing.assert_close(lanes.curves[name], curve, rtol=0, atol=1e-7)
    for ours, theirs in zip(lanes.weights(), loop.weights(), strict=True):
        for name in theirs:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-7)
    assert loop.curves["return"][:, -1].min() > 8
