"""The lab dqn: what its arms share, and that overestimation is measured as its header says.

Would catch: an arm without a target that has one, a "no replay" that remembers, a return that goes
on through an episode's end, states shortly before a cut that count, greedy episodes that explore or
depend on the network's beginning.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError
from practicum.labs.agents.dqn import measuring
from practicum.labs.agents.dqn.experiment import ARMS, Setup, of_returns, recipe, trial
from practicum.labs.agents.dqn.measuring import (
    Played,
    counted,
    first_episode,
    overestimation,
    play,
    returns,
)
from practicum.labs.lab import replaced
from practicum.learning.environments import Transition
from practicum.learning.q_learning import Memory

TINY = {"steps": 40, "points": 2, "start": 64, "episodes": 2, "limit": 30, "horizon": 10}


def tiny(arm: str, **more: Any) -> Measurements:
    return trial(replaced(ARMS[arm], TINY | more), [3, 4], Services())


def same_weights(one: Measurements, other: Measurements) -> bool:
    return all(
        torch.equal(mine[name], theirs[name])
        for mine, theirs in zip(one.weights, other.weights, strict=True)
        for name in mine
        if name.startswith("main")
    )


def test_arms_differ_in_the_named_part_only() -> None:
    for prefix in ("", "acrobot "):
        dqn = ARMS[f"{prefix}dqn"]
        assert replace(ARMS[f"{prefix}no replay"], memory=dqn.memory) == dqn
        assert replace(ARMS[f"{prefix}no target"], target_every=dqn.target_every) == dqn
        assert replace(ARMS[f"{prefix}random"], learns=True) == dqn
        assert ARMS[f"{prefix}no replay"].memory == dqn.batch_size
    assert replace(ARMS["double"], double=False) == ARMS["dqn"]


def test_no_target_is_a_target_that_follows_at_every_update() -> None:
    without = tiny("no target")
    assert same_weights(without, tiny("dqn", target_every=1))
    assert not same_weights(without, tiny("dqn", target_every=7))


def test_double_without_a_target_is_no_target() -> None:
    assert same_weights(tiny("double", target_every=0), tiny("no target"))
    assert not same_weights(tiny("double", target_every=7), tiny("dqn", target_every=7))


def test_a_memory_that_nothing_has_left_is_the_replay_of_the_dqn_arm() -> None:
    assert same_weights(tiny("no replay", memory=400), tiny("dqn"))  # 64 + 160 transitions
    assert not same_weights(tiny("no replay"), tiny("dqn"))


def test_a_recipe_has_a_target_only_where_the_arm_says_so() -> None:
    memory = Memory(actions=2)
    assert set(recipe(ARMS["no target"], memory, Services()).networks) == {"main"}
    (follow,) = recipe(ARMS["dqn"], memory, Services()).follows
    assert (follow.follower, follow.leader, follow.every, follow.share) == (
        "target", "main", 100, 1.0,
    )  # fmt: skip


def test_chance_lasts_as_long_as_it_is_known_to() -> None:
    measured = tiny("random", steps=600, points=3)
    assert 17 < float(measured.values["last"].mean()) < 28  # random actions: 22 steps on average
    assert measured.steps["return"].tolist() == pytest.approx([100 / 3, 200 / 3, 100])


def test_areas_and_last_tenths() -> None:
    curve = torch.arange(40.0).view(2, 20)
    found = of_returns(curve)
    assert found["area"].tolist() == [9.5, 29.5]
    assert found["last"].tolist() == [18.5, 38.5]
    assert of_returns(curve[:, :3])["last"].tolist() == [2.0, 22.0]


class Script:
    """Rewards 1, 2, 3 ...; copy 0 ends truly after 3 steps, copy 1 is cut after 5."""

    def __init__(self, name: str, seeds: tuple[int, ...], copies: int) -> None:
        assert (name, copies) == ("script", 2)
        self.now, self.restarts = 0, 0
        self.actions: list[list[int]] = []
        self.observations = torch.zeros(1, 2, 1)
        made.append(self)

    def restart(self) -> None:
        self.restarts += 1

    def step(self, actions: Tensor) -> Transition:
        self.actions.append(actions[0].tolist())
        self.now += 1
        self.observations = torch.full((1, 2, 1), float(self.now))
        return Transition(
            reward=torch.full((1, 2), float(self.now)),
            terminated=torch.tensor([[self.now == 3, False]]),
            truncated=torch.tensor([[False, self.now == 5]]),
            after=self.observations,
        )


made: list[Script] = []


def scripted(monkeypatch: pytest.MonkeyPatch, limit: int = 50) -> Played:
    monkeypatch.setattr(measuring, "Environments", Script)

    def network(s: Tensor) -> Tensor:  # the second action is the better one from step 2 on
        return torch.cat([10 - s, 7 + s], 1)

    return play(network, "script", 3, episodes=2, limit=limit, services=Services())


def test_greedy_episodes_end_where_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    played = scripted(monkeypatch)
    assert made[-1].restarts == 1
    assert made[-1].actions == [[0, 0], [0, 0], [1, 1], [1, 1], [1, 1]]
    assert played.values[:, 0].tolist() == [10, 9, 9, 10, 11]
    assert played.rewards.T.tolist() == [[1, 2, 3, 0, 0], [1, 2, 3, 4, 5]]
    assert played.lasts.sum(0).tolist() == [3, 5]
    assert played.ended.tolist() == [True, False]
    assert len(scripted(monkeypatch, limit=2).values) == 2


def test_overestimation_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    played = scripted(monkeypatch)
    # Copy 0: G = 1 + (2 + 3/2)/2 = 2.75, 3.5, 3. Copy 1: all five steps; only two have 4 left.
    assert returns(played.rewards, 0.5)[:3, 0].tolist() == [2.75, 3.5, 3.0]
    second = [3.5625, 5.125, 6.25, 6.5, 5.0]
    assert returns(played.rewards, 0.5)[:, 1].tolist() == second
    assert counted(played, 4).T.tolist() == [[True] * 3 + [False] * 2, [True] * 2 + [False] * 3]
    by_hand = [10 - 2.75, 9 - 3.5, 9 - 3.0, 10 - second[0], 9 - second[1]]
    assert overestimation(played, discount=0.5, horizon=4) == pytest.approx(sum(by_hand) / 5)
    cut_off_counted_as_ended = replace(played, ended=torch.tensor([True, True]))
    assert overestimation(cut_off_counted_as_ended, discount=0.5, horizon=4) != pytest.approx(
        sum(by_hand) / 5
    )
    value, follows = first_episode(played, discount=0.5, limit=6)
    assert value[:3].tolist() == [10, 9, 9]
    assert follows[:3].tolist() == [2.75, 3.5, 3.0]
    assert bool(value[3:].isnan().all() and follows[3:].isnan().all())


@settings(max_examples=30, deadline=None)
@given(
    rewards=st.lists(st.floats(-3, 3), min_size=1, max_size=12),
    discount=st.floats(0, 0.99),
)
def test_returns_are_the_sums_that_define_them(rewards: list[float], discount: float) -> None:
    found = returns(torch.tensor(rewards, dtype=torch.float64).unsqueeze(1), discount)
    for t, value in enumerate(found[:, 0].tolist()):
        expected = sum(discount**k * r for k, r in enumerate(rewards[t:]))
        assert value == pytest.approx(expected, abs=1e-9)


def test_every_network_meets_the_same_beginnings() -> None:
    seen: dict[int, list[Tensor]] = {0: [], 1: []}

    def always(action: int, s: Tensor) -> Tensor:
        seen[action].append(s)
        return torch.nn.functional.one_hot(torch.full((len(s),), action), 2).float()

    for action in (0, 1):
        network = partial(always, action)
        play(network, "CartPole-v1", 5, episodes=3, limit=4, services=Services())
    assert torch.equal(seen[0][0], seen[1][0])
    assert not torch.equal(seen[0][1], seen[1][1])


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PracticumError, match="batch of 64"):
        trial(replace(Setup(), memory=32), [0], Services())
    with pytest.raises(PracticumError, match="copies"):
        trial(replace(Setup(), copies=3), [0], Services())
