"""PPO against the paper's formulas written sample by sample, and on a problem with a known answer.

Would catch: an advantage that runs over the end of an episode, an end that is taken for a cut or
the other way round, a minimum that is a maximum, minibatches that leave samples out, a detail that
its switch does not switch, running moments of what no action answered to or of returns that run on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.clipping import ClipNorm
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Update
from practicum.errors import PracticumError
from practicum.learning import ppo
from practicum.learning.environments import Transition
from practicum.learning.ppo import Annealing, Details, Rollouts, advantages, ppo_loss
from practicum.nn.actor_critic import ActorCritic

GAMMA, LAMBDA = 0.9, 0.7


def by_sums(reward: Tensor, value: Tensor, future: Tensor, ended: Tensor) -> Tensor:
    """Return the advantages as sums of later differences, until an episode ends."""
    T, E = reward.shape
    found = torch.zeros(T, E, dtype=torch.float64)
    for e in range(E):
        for t in range(T):
            for later in range(t, T):
                delta = reward[later, e] + GAMMA * future[later, e] - value[later, e]
                found[t, e] += (GAMMA * LAMBDA) ** (later - t) * delta
                if ended[later, e]:
                    break
    return found


def played(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    made = torch.Generator().manual_seed(seed)
    reward, value, future = torch.randn(3, 9, 4, generator=made, dtype=torch.float64)
    return reward, value, future, torch.rand(9, 4, generator=made) < 0.25


@given(st.integers(0, 500))
def test_advantages_are_sums_of_differences(seed: int) -> None:
    given = played(seed)
    ours = advantages(*given, discount=GAMMA, trace=LAMBDA)
    torch.testing.assert_close(ours, by_sums(*given), rtol=0, atol=1e-12)


def test_advantages_that_run_over_an_end_are_noticed() -> None:
    reward, value, future, ended = played(0)
    wrong = advantages(reward, value, future, torch.zeros_like(ended), discount=GAMMA, trace=LAMBDA)
    assert (wrong - by_sums(reward, value, future, ended)).abs().max() > 0.1


def test_trace_one_is_the_return_and_trace_zero_one_step() -> None:
    reward, value, _, _ = played(1)
    ended = torch.zeros(9, 4, dtype=torch.bool)
    ended[-1] = True
    future = torch.cat([value[1:], torch.zeros(1, 4, dtype=torch.float64)])
    gains = advantages(reward, value, future, ended, discount=GAMMA, trace=1.0) + value
    powers = GAMMA ** torch.arange(9, dtype=torch.float64)
    assert gains[0, 2].item() == pytest.approx(float((powers * reward[:, 2]).sum()))
    one = advantages(reward, value, future, ended, discount=GAMMA, trace=0.0)
    torch.testing.assert_close(one, reward + GAMMA * future - value)


class Fixed(nn.Module):
    """Logits and values that are parameters; the observation is the number of the row."""

    def __init__(self, logits: Tensor, value: Tensor) -> None:
        super().__init__()
        self.logits, self.values = nn.Parameter(logits), nn.Parameter(value)

    def forward(self, s: Tensor) -> tuple[Tensor, Tensor]:
        rows = s[:, 0].long()
        return self.logits[rows], self.values[rows]


def loss_by_samples(details: Details, network: Fixed, batch: Sequence[Tensor]) -> Tensor:
    """Write Eq. (9) sample by sample, with case distinctions for minimum and maximum."""
    s, a, log_old, A, gain, value_old = batch
    B = len(A)
    if details.normalize_advantages:
        mean = sum(A) / B
        A = (A - mean) / (torch.sqrt(sum((one - mean) ** 2 for one in A) / (B - 1)) + 1e-8)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(B):
        z = network.logits[int(s[i, 0])]
        p = z.exp() / z.exp().sum()
        r = p[a[i]] / log_old[i].exp()
        gained = r * A[i]
        if details.clip is not None:
            if A[i] > 0 and r > 1 + details.clip:
                gained = (1 + details.clip) * A[i]
            if A[i] < 0 and r < 1 - details.clip:
                gained = (1 - details.clip) * A[i]
        v = network.values[int(s[i, 0])]
        miss = (v - gain[i]) ** 2
        if details.value_clip is not None and abs(v - value_old[i]) > details.value_clip:
            edge = value_old[i] + details.value_clip * torch.sign(v - value_old[i]).detach()
            miss = miss if miss > (edge - gain[i]) ** 2 else (edge - gain[i]) ** 2
        H = -(p * p.log()).sum()
        total = total - gained + details.value_share * miss - details.entropy_share * H
    return total / B


def samples(seed: int = 2) -> tuple[Fixed, tuple[Tensor, ...]]:
    made = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=made, dtype=torch.float64)

    network, rows = Fixed(normal(12, 3), normal(12)), torch.arange(12).double().unsqueeze(1)
    a = torch.randint(3, (12,), generator=made)
    log_old = torch.log_softmax(network.logits.detach() + 0.4 * normal(12, 3), 1)
    log_old = log_old.gather(1, a.unsqueeze(1)).squeeze(1)
    value_old = network.values.detach() + 0.3 * normal(12)
    return network, (rows, a, log_old, normal(12), normal(12), value_old)


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"clip": None},
        {"normalize_advantages": False},
        {"value_clip": 0.1},
        {"entropy_share": 0.0, "value_share": 1.3},
    ],
)
def test_the_loss_sample_by_sample(switches: dict[str, Any]) -> None:
    details, (network, batch) = Details(**({"clip": 0.1} | switches)), samples()
    found = []
    for loss in (
        ppo_loss(details, {"main": network}, batch, GlobalNoise())[0],
        loss_by_samples(details, network, batch),
    ):
        network.zero_grad()
        loss.backward()
        found.append((loss.item(), network.logits.grad.clone(), network.values.grad.clone()))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-12)
    for ours, theirs in zip(found[0][1:], found[1][1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"clip": 0.1}, {"clip": None}),
        ({}, {"normalize_advantages": False}),
        ({}, {"value_clip": 0.1}),
        ({}, {"entropy_share": 0.0}),
    ],
)
def test_every_switch_of_the_loss_switches(one: dict[str, Any], other: dict[str, Any]) -> None:
    network, batch = samples()
    a, b = (
        ppo_loss(Details(**which), {"main": network}, batch, GlobalNoise())[0].item()
        for which in (one, other)
    )
    assert abs(a - b) > 1e-4


class Corridor:
    """Pays its step's number; copy 0 truly ends every 3rd step, copy 1 is cut every 4th.

    The observation is (lane, copy, steps so far in the episode).
    """

    def __init__(self, name: str, seeds: Sequence[int], copies: int) -> None:
        assert copies == 2
        self.observations = torch.zeros(len(seeds), 2, 3)
        self.observations[..., 1] = torch.arange(2.0)
        self.observations[..., 0] = torch.arange(float(len(seeds))).unsqueeze(1)
        self.now = 0

    def step(self, actions: Tensor) -> Transition:
        self.now += 1
        after = self.observations.clone()
        after[..., 2] += 1
        ended, cut = torch.zeros(2, len(after), 2, dtype=torch.bool)
        ended[:, 0], cut[:, 1] = self.now % 3 == 0, self.now % 4 == 0
        self.observations = after.clone()
        self.observations[..., 2][ended | cut] = 0
        reward = torch.full((len(after), 2), float(self.now))
        return Transition(reward=reward, terminated=ended, truncated=cut, after=after)

    def mean_return(self, lane: int) -> float:
        return float(lane)


def act(name: str, s: Tensor) -> tuple[Tensor, Tensor]:
    """Judge a state by ten times its lane and copy, plus the steps so far; like all actions."""
    assert name == "main"
    return torch.zeros(*s.shape[:2], 2), 10 * s[..., 0] + 5 * s[..., 1] + s[..., 2]


def gathered(monkeypatch: pytest.MonkeyPatch, **switches: Any) -> tuple[Rollouts, list[Any]]:
    monkeypatch.setattr(ppo, "Environments", Corridor)
    settings = {"copies": 2, "horizon": 6, "epochs": 3, "minibatches": 2, "discount": GAMMA}
    rollouts = Rollouts(Details(**(settings | {"trace": LAMBDA} | switches)), "any", (1, 2), act)
    return rollouts, [rollouts.next() for _ in range(6)]


@pytest.mark.parametrize("T", [6, 12])  # in step 12 one copy ends while the other is cut
def test_what_is_gathered(monkeypatch: pytest.MonkeyPatch, T: int) -> None:
    _, batches = gathered(monkeypatch, horizon=T)
    for lane in range(2):
        for copy in range(2):
            reward = torch.arange(1.0, T + 1).double().unsqueeze(1)
            at = [t % (3, 4)[copy] for t in range(T)]
            value = torch.tensor([10 * lane + 5 * copy + one for one in at]).double().unsqueeze(1)
            future, ended = value.clone() + 1, torch.zeros(T, 1, dtype=torch.bool)
            ended[2::3] = copy == 0
            future[2::3] = 0 if copy == 0 else future[2::3]  # a true end is worth nothing
            if copy == 1:
                ended[3::4] = True  # only cut: the last state keeps its worth
            A = by_sums(reward, value, future, ended)[:, 0]
            first = [one[lane] for one in batches[0]], [one[lane] for one in batches[1]]
            rows = [torch.cat(parts) for parts in zip(*first, strict=True)]
            mine = rows[0][:, 1] == copy
            assert sorted(rows[3][mine].tolist()) == pytest.approx(sorted(A.tolist()), abs=1e-4)
            gain = (A + value[:, 0]).tolist()
            assert sorted(rows[4][mine].tolist()) == pytest.approx(sorted(gain), abs=1e-4)
            assert rows[2].tolist() == pytest.approx([math.log(0.5)] * 2 * T)


def test_without_worth_of_cut_states(monkeypatch: pytest.MonkeyPatch) -> None:
    _, kept = gathered(monkeypatch)
    _, lost = gathered(monkeypatch, bootstrap_cuts=False)
    differ = (kept[0][3] - lost[0][3]).abs() > 0.1
    assert differ.any()
    assert not (differ & (kept[0][0][..., 1] == 0)).any()  # copy 0 is never cut


def test_every_epoch_has_every_sample_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, batches = gathered(monkeypatch)
    for epoch in range(3):
        both = [batches[2 * epoch][4], batches[2 * epoch + 1][4]]
        rows = torch.cat(both, 1).sort(1).values
        assert torch.equal(rows, torch.cat([batches[0][4], batches[1][4]], 1).sort(1).values)
    assert not torch.equal(batches[0][4], batches[2][4])  # another order


def test_rewards_are_limited_and_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    # with gamma 0 the advantage is the reward minus the value
    _, limited = gathered(monkeypatch, discount=0.0, reward_limit=2.0)
    reward = torch.cat([limited[0][4], limited[1][4]], 1)
    assert sorted(reward[0].tolist()) == pytest.approx([1, 1] + [2] * 10)
    _, scaled = gathered(monkeypatch, discount=0.0, scale_rewards=True)
    seen, expected = [], []
    for t in range(1, 7):
        seen += [t, t]
        deviation = torch.tensor(seen).double().std(correction=0)
        expected += [t / math.sqrt(float(deviation) ** 2 + 1e-8)] * 2
    found = torch.cat([scaled[0][4], scaled[1][4]], 1)[0].tolist()
    assert sorted(found) == pytest.approx(sorted(expected), rel=1e-3)


def test_observations_are_normalized(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def watching(name: str, s: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(s)
        return act(name, s)

    monkeypatch.setattr(ppo, "Environments", Corridor)
    details = Details(copies=2, horizon=6, normalize_observations=True, observation_limit=1.2)
    Rollouts(details, "any", (1, 2), watching).next()
    assert seen[0][..., 1].tolist() == [pytest.approx([-1, 1], abs=1e-4)] * 2
    assert max(float(one.abs().max()) for one in seen) == pytest.approx(1.2)


def test_the_return_that_scales_rewards_begins_anew_with_an_episode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def worthless(name: str, s: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(*s.shape[:2], 2), torch.zeros(s.shape[:2])

    monkeypatch.setattr(ppo, "Environments", Corridor)
    details = Details(copies=2, horizon=6, discount=GAMMA, trace=0.0, scale_rewards=True)
    found = Rollouts(details, "any", (1, 2), worthless).next()[4]  # values are 0: A + V is r
    seen, expected, running = [], [], [0.0, 0.0]
    for t in range(1, 7):
        running = [GAMMA * one + t for one in running]
        seen += running
        deviation = float(torch.tensor(seen).double().std(correction=0))
        expected += [t / math.sqrt(deviation**2 + 1e-8)] * 2
        running = [one * (t % (3, 4)[copy] > 0) for copy, one in enumerate(running)]
    assert sorted(found[0].tolist()) == pytest.approx(sorted(expected), rel=1e-3)


def test_moments_are_of_states_that_were_acted_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the last state before a cut nor the one after the last step is learned from."""
    asked: list[Tensor] = []

    def watching(name: str, s: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(s[0])
        return act(name, s)

    monkeypatch.setattr(ppo, "Environments", Corridor)
    details = Details(copies=2, horizon=6, normalize_observations=True)
    Rollouts(details, "any", (1, 2), watching).next()
    seen, expected = torch.empty(0, 3).double(), []

    def normal(first: int, second: int) -> Tensor:
        s = torch.tensor([[0, 0, first], [0, 1, second]]).double()
        return (s - seen.mean(0)) / (seen.var(0, correction=0) + 1e-8).sqrt()

    for t in range(6):
        seen = torch.cat([seen, torch.tensor([[0, 0, t % 3], [0, 1, t % 4]]).double()])
        expected.append(normal(t % 3, t % 4))
        if t == 3:  # copy 1 is cut here: its last state is asked for, not counted
            expected.append(normal(1, 4))
    expected.append(normal(0, 2))
    assert torch.allclose(torch.stack(asked).double(), torch.stack(expected), atol=1e-4)


def test_annealing_falls_in_stairs_to_nearly_zero() -> None:
    rate = Annealing(iterations=4, updates=3)
    assert [rate(step) for step in range(12)] == [1] * 3 + [0.75] * 3 + [0.5] * 3 + [0.25] * 3


def test_minibatches_must_share_the_samples() -> None:
    with pytest.raises(PracticumError, match="cannot share equally"):
        Details(copies=2, horizon=5, minibatches=3)


def learned(path: str, precision: str = "float64", **switches: Any) -> Trained:
    details = replace(Details(horizon=16, copies=4, epochs=4, minibatches=2), **switches)
    recipe = Recipe(
        networks={"main": lambda: ActorCritic(4, 2, hidden=(16,))},
        optimizers={"main": Trains(spec=Adam(lr=0.01, eps=1e-5), networks=("main",))},
        updates=(Update(loss=partial(ppo_loss, details), clip=ClipNorm(norm=0.5)),),
        experience=details.experience("CartPole-v1"),
        steps=12 * details.updates,
        every=3 * details.updates,
    )
    arithmetic = Arithmetic(path=path, lane_group=3, precision=precision)
    return train(recipe, (3, 4, 5), Services(arithmetic=arithmetic))


@pytest.mark.parametrize(
    "switches", [{}, {"normalize_observations": True, "scale_rewards": True, "value_clip": 0.2}]
)
def test_lanes_play_and_learn_as_the_loop_does(switches: dict[str, Any]) -> None:
    loop, lanes = learned("loop", **switches), learned("lanes", **switches)
    for name, curve in loop.curves.items():
        torch.testing.assert_close(lanes.curves[name], curve, rtol=0, atol=1e-7)
    for ours, theirs in zip(lanes.weights(), loop.weights(), strict=True):
        for name in theirs:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-7)
    assert (loop.curves["return"][:, -1] > loop.curves["return"][:, 0]).all()
