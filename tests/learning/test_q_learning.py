"""Deep Q-learning: the loss transition by transition, the memory against a list, a solved problem.

Would catch: a target that passes gradients, the future counted after a true end or dropped after a
cut, double Q-learning that asks the wrong network, a memory that forgets the newest, exploration
that never ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.following import Follow
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Update
from practicum.errors import PracticumError
from practicum.learning import q_learning
from practicum.learning.environments import Transition
from practicum.learning.q_learning import Memory, Replay, q_loss
from practicum.nn.q_network import QNetwork

GAMMA = 0.9


class Table(nn.Module):
    """Values that are parameters; the observation is the number of the state."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, s: Tensor) -> Tensor:
        return self.values[s[:, 0].long()]


def problem() -> tuple[dict[str, Table], tuple[Tensor, ...]]:
    made = torch.Generator().manual_seed(5)

    def normal(*size: int) -> Tensor:
        return 2 * torch.randn(*size, generator=made, dtype=torch.float64)

    def states() -> Tensor:
        return torch.randint(6, (11, 1), generator=made).double()

    end = (torch.rand(11, generator=made) < 0.3).double()
    a = torch.randint(4, (11,), generator=made)
    batch = (states(), a, normal(11), states(), end)
    return {"main": Table(normal(6, 4)), "target": Table(normal(6, 4))}, batch


def by_transitions(
    networks: dict[str, Table],
    batch: Sequence[Tensor],
    *,
    double: bool,
    huber: bool,
    turned: bool = False,
) -> Tensor:
    """Write Eq. (3) out; `turned` lets the target choose and the main network judge."""
    main, target = networks["main"].values, networks["target"].values.detach()
    total = torch.zeros((), dtype=torch.float64)
    for s, a, r, after, end in zip(*batch, strict=True):
        next_state = int(after)
        judges, chooses = (main.detach(), target) if turned else (target, main.detach())
        row = list(chooses[next_state] if double else judges[next_state])
        best = judges[next_state][row.index(max(row))]
        y = r if end else r + GAMMA * best
        miss = main[int(s), a] - y
        if huber:
            total = total + (0.5 * miss**2 if abs(miss.item()) < 1 else abs(miss) - 0.5)
        else:
            total = total + miss**2
    return total / len(batch[0])


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("huber", [False, True])
def test_the_loss_transition_by_transition(double: bool, huber: bool) -> None:
    networks, batch = problem()
    ours, metrics = q_loss(
        networks, batch, GlobalNoise(), discount=GAMMA, double=double, huber=huber
    )
    ours.backward()
    gradient = networks["main"].values.grad.clone()
    assert networks["target"].values.grad is None
    networks["main"].zero_grad()
    theirs = by_transitions(networks, batch, double=double, huber=huber)
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-12)
    torch.testing.assert_close(gradient, networks["main"].values.grad, rtol=0, atol=1e-12)
    q = [networks["main"].values[int(s), a].item() for s, a in zip(*batch[:2], strict=True)]
    assert metrics["q"].item() == pytest.approx(sum(q) / len(q))


def test_turned_networks_are_noticed() -> None:
    networks, batch = problem()
    ours = q_loss(networks, batch, GlobalNoise(), discount=GAMMA, double=True)[0]
    turned = by_transitions(networks, batch, double=True, huber=True, turned=True)
    assert abs(ours.item() - turned.item()) > 1e-2


def test_without_a_target_the_main_network_judges() -> None:
    networks, batch = problem()
    ours = q_loss(networks, batch, GlobalNoise(), discount=GAMMA, target="main")[0]
    ours.backward()
    gradient = networks["main"].values.grad.clone()
    networks["main"].zero_grad()
    same = {"main": networks["main"], "target": Table(networks["main"].values.detach().clone())}
    theirs = by_transitions(same, batch, double=False, huber=True)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-12)
    theirs.backward()  # the target is a constant although the same network gives it
    torch.testing.assert_close(gradient, networks["main"].values.grad, rtol=0, atol=1e-12)


class Counting:
    """Observations are (lane, copy, step); ends at every 5th step, is cut at every 7th."""

    made: ClassVar[list[Counting]] = []

    def __init__(self, name: str, seeds: Sequence[int], copies: int) -> None:
        self.copies, self.now = copies, 0
        self.observations = self._where(len(seeds))
        self.taken: list[Tensor] = []
        Counting.made.append(self)

    def _where(self, lanes: int) -> Tensor:
        where = torch.full((lanes, self.copies, 3), float(self.now))
        where[..., 0] = torch.arange(float(lanes)).unsqueeze(1)
        where[..., 1] = torch.arange(float(self.copies))
        return where

    def step(self, actions: Tensor) -> Transition:
        self.taken.append(actions)
        self.now += 1
        self.observations = self._where(len(actions))
        no = torch.zeros(actions.shape, dtype=torch.bool)
        return Transition(
            reward=100.0 * self.observations[..., 0] + self.now,
            terminated=no | (self.now % 5 == 0),
            truncated=no | (self.now % 7 == 0),
            after=self.observations.clone(),
        )

    def mean_return(self, lane: int) -> float:
        return 0.5 * lane


def remembered(monkeypatch: pytest.MonkeyPatch, batches: int, **more: Any) -> tuple[Replay, Any]:
    monkeypatch.setattr(q_learning, "Environments", Counting)
    settings = {"actions": 3, "batch": 8, "size": 12, "start": 8, "copies": 2, "explore": (0, 0)}
    memory = Memory(**(settings | more))

    def act(name: str, s: Tensor) -> Tensor:
        best = (s[..., 2].long() + s[..., 1].long()) % 3
        return torch.nn.functional.one_hot(best, 3).float()

    replay = Replay(memory, "any", (4, 9), act)
    return replay, [replay.next() for _ in range(batches)]


def test_the_memory_keeps_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    _, batches = remembered(monkeypatch, 200)
    for number, batch in enumerate(batches):
        newest = 4 + 1 + number  # steps of each copy so far
        s, a, r, after, end = batch
        assert s.shape == (2, 8, 3)
        assert torch.equal(s[..., 0], torch.tensor([[0.0], [1.0]]).expand(2, 8))
        assert bool((s[..., 2] >= max(0, newest - 6)).all())
        assert bool((s[..., 2] < newest).all())
        torch.testing.assert_close(after[..., 2], s[..., 2] + 1)
        torch.testing.assert_close(r, 100 * s[..., 0] + s[..., 2] + 1)
        assert torch.equal(end.bool(), (s[..., 2].long() + 1) % 5 == 0)  # a cut is no end
        if number >= 6:  # what was tried at random has left the memory
            assert torch.equal(a, (s[..., 2].long() + s[..., 1].long()) % 3)
    ages = torch.cat(
        [4 + number - batch[0][..., 2].flatten() for number, batch in enumerate(batches)]
    )
    counts = torch.bincount(ages.long(), minlength=6)[:6]
    assert counts.min() > 0.8 * counts.max()  # each as likely as any other


def test_more_random_steps_than_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    _, batches = remembered(monkeypatch, 20, start=40)
    for number, batch in enumerate(batches):
        newest = 20 + 1 + number  # steps of each copy so far
        assert bool((batch[0][..., 2] >= newest - 6).all())
        assert bool((batch[0][..., 2] < newest).all())


def test_the_first_actions_are_random_and_so_is_a_share_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remembered(monkeypatch, 400, explore=(0.5, 0.5))
    taken = torch.stack(Counting.made[-1].taken)  # [steps, L, E]
    step = torch.arange(len(taken)).view(-1, 1, 1)
    best = (step + torch.tensor([0, 1])) % 3
    right = (taken == best).double()
    assert right[:4].mean() < 0.9
    assert right[4:].mean().item() == pytest.approx(0.5 + 0.5 / 3, abs=0.06)
    assert not torch.equal(taken[:, 0], taken[:, 1])


def test_exploration_falls_in_a_straight_line() -> None:
    memory = Memory(actions=2, explore=(0.9, 0.1), explore_updates=4)
    assert [memory.epsilon(n) for n in range(6)] == pytest.approx([0.9, 0.7, 0.5, 0.3, 0.1, 0.1])


@pytest.mark.parametrize(
    "numbers", [{"batch": 30, "start": 20}, {"batch": 30, "size": 20}, {"copies": 7}]
)
def test_bad_numbers_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(PracticumError, match=r"memory|multiples"):
        Memory(**({"actions": 2, "batch": 8, "start": 40, "size": 100} | numbers))


def learned(path: str) -> Trained:
    memory = Memory(actions=2, batch=16, start=64, size=500, copies=2, explore_updates=60)
    recipe = Recipe(
        networks={
            "main": lambda: QNetwork(4, 2, hidden=(12,)),
            "target": lambda: QNetwork(4, 2, hidden=(12,)),
        },
        optimizers={"main": Trains(spec=Adam(lr=0.005), networks=("main",))},
        updates=(Update(loss=partial(q_loss, double=True)),),
        follows=(Follow(follower="target", leader="main", every=20),),
        experience=memory.experience("CartPole-v1"),
        steps=150,
        every=50,
    )
    arithmetic = Arithmetic(path=path, lane_group=3, precision="float64")
    return train(recipe, (3, 4, 5), Services(arithmetic=arithmetic))


def test_lanes_play_and_learn_as_the_loop_does() -> None:
    loop, lanes = learned("loop"), learned("lanes")
    for name, curve in loop.curves.items():
        torch.testing.assert_close(lanes.curves[name], curve, rtol=0, atol=1e-8)
    for ours, theirs in zip(lanes.weights(), loop.weights(), strict=True):
        for name in theirs:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-7)
