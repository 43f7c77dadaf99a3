"""Batches that the networks bring about, networks that follow another, weights to begin with.

The twin is a plain loop that plays, learns and copies weights by hand. Would catch: a network that
acts with old weights; a lane that acts with another lane's; a follower that moves at the wrong
step, the wrong way or with gradients; a report of another seed; a checkpoint without the
environment's state.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.experience import Act
from practicum.engine.following import Follow
from practicum.engine.noise import Noise
from practicum.engine.optimizers import SGD, Adam
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Batch, Networks, Update
from practicum.errors import PracticumError

WALKERS, STEPS_A_BATCH, D = 5, 3, 2
SEEDS = (4, 7, 9)
DISCOUNT = 0.8


class Walk:
    """Some walkers a seed; each is pushed by the policy and by chance, and paid for being near 0.

    Attributes:
        deaf: a broken variant that lets lane 0's networks act for every lane.
    """

    def __init__(self, seeds: Sequence[int], act: Act, deaf: bool = False) -> None:
        self.act, self.deaf = act, deaf
        self.generators = [streams(seed).generator("order") for seed in seeds]
        self.where = self.draw()
        self.paid = [0.0 for _ in seeds]

    def draw(self) -> Tensor:
        return torch.stack(
            [torch.randn(WALKERS, D, generator=one, dtype=torch.float64) for one in self.generators]
        )

    def next(self) -> Batch:
        before, after, pay = [], [], []
        for _ in range(STEPS_A_BATCH):
            push, size = self.act("policy", self.where)
            if self.deaf:
                push, size = push[:1].expand_as(push), size[:1].expand_as(size)
            there = 0.5 * self.where + torch.tanh(push) * size.exp() + 0.3 * self.draw()
            before.append(self.where)
            after.append(there)
            pay.append(-there.square().sum(-1))
            self.where = there
        for lane, one in enumerate(torch.stack(pay).mean((0, 2)).tolist()):
            self.paid[lane] = one
        return torch.cat(before, 1), torch.cat(after, 1), torch.cat(pay, 1)

    def report(self, lane: int) -> Mapping[str, float]:
        return {"pay": self.paid[lane]}


class Kept(Walk):
    """A walk that a checkpoint can hold."""

    def state_dict(self) -> dict[str, Any]:
        draws = [one.get_state() for one in self.generators]
        return {"where": self.where, "draws": draws, "paid": list(self.paid)}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.where, self.paid = saved["where"], list(saved["paid"])
        for one, state in zip(self.generators, saved["draws"], strict=True):
            one.set_state(state)


class Policy(nn.Module):
    """Gives a push and a logarithmic size: two outputs, as actor-critics have."""

    def __init__(self) -> None:
        super().__init__()
        self.push, self.size = nn.Linear(D, D), nn.Linear(D, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.push(x), self.size(x).tanh()


def value() -> nn.Module:
    # No bias before batch norm: its gradient is rounding only, which Adam would make visible.
    return nn.Sequential(nn.Linear(D, 7, bias=False), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 1))


def value_loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
    before, after, pay = batch
    aim = pay + DISCOUNT * networks["target"](after).squeeze(-1)
    return (networks["value"](before).squeeze(-1) - aim).square().mean(), {}


def policy_loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
    push, size = networks["policy"](batch[0])
    there = 0.5 * batch[0] + torch.tanh(push) * size.exp()
    return there.square().sum(-1).mean(), {}


def recipe(**more: Any) -> Recipe:
    settings: dict[str, Any] = {
        "networks": {"policy": Policy, "value": value, "target": value, "average": Policy},
        "optimizers": {
            "main": Trains(spec=Adam(lr=0.02), networks=("value",)),
            "policy": Trains(spec=SGD(lr=0.1), networks=("policy",)),
        },
        "updates": (Update(loss=value_loss), Update(loss=policy_loss, optimizer="policy")),
        "experience": Kept,
        "follows": (
            Follow(follower="target", leader="value", every=3),
            Follow(follower="average", leader="policy", share=0.2),
        ),
        "steps": 10,
        "every": 5,
    }
    return Recipe(**(settings | more))


def services(path: str = "loop", **more: Any) -> Services:
    return Services(arithmetic=Arithmetic(path=path, lane_group=3, precision="float64"), **more)


def by_hand(seed: int, *, late: bool = False) -> tuple[dict[str, nn.Module], list[float]]:
    """Play and learn without the engine; return the networks and the pay of every batch.

    Args:
        seed: the seed.
        late: a broken variant whose target moves one step late.
    """
    with streams(seed).init():
        policy, critic, target, average = Policy(), value(), value(), Policy()
    networks = {"policy": policy, "value": critic, "target": target, "average": average}
    for one in networks.values():
        one.double()
    target.load_state_dict(critic.state_dict())
    average.load_state_dict(policy.state_dict())
    critic_moves = torch.optim.Adam(critic.parameters(), lr=0.02)
    policy_moves = torch.optim.SGD(policy.parameters(), lr=0.1)
    generator, pays = streams(seed).generator("order"), []

    def draw() -> Tensor:
        return torch.randn(WALKERS, D, generator=generator, dtype=torch.float64)

    where = draw()
    for step in range(1, 11):
        rows = []
        for _ in range(STEPS_A_BATCH):
            with torch.no_grad():
                push, size = policy(where)
            there = 0.5 * where + torch.tanh(push) * size.exp() + 0.3 * draw()
            rows.append((where, there, -there.square().sum(-1)))
            where = there
        before, after, pay = (torch.cat(parts) for parts in zip(*rows, strict=True))
        pays.append(float(torch.stack([row[2] for row in rows]).mean()))
        aim = (pay + DISCOUNT * target(after).squeeze(-1)).detach()
        critic_moves.zero_grad()
        (critic(before).squeeze(-1) - aim).square().mean().backward()
        critic_moves.step()
        policy_moves.zero_grad()
        push, size = policy(before)
        (0.5 * before + torch.tanh(push) * size.exp()).square().sum(-1).mean().backward()
        policy_moves.step()
        with torch.no_grad():
            if step % 3 == (1 if late else 0):
                target.load_state_dict(copy.deepcopy(critic.state_dict()))
            for slow, fast in zip(average.parameters(), policy.parameters(), strict=True):
                slow.copy_(0.8 * slow + 0.2 * fast)
    return networks, pays


def furthest(trained: Trained, row: int, networks: Mapping[str, nn.Module]) -> float:
    """Return the largest distance of any tensor of one seed from the twin's."""
    twin = {
        f"{name}.{key}": tensor
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }
    ours = trained.weights()[row]
    assert ours.keys() == twin.keys()
    return max(float((ours[key] - tensor).abs().max()) for key, tensor in twin.items())


@pytest.fixture(scope="module")
def loop() -> Trained:
    return train(recipe(), SEEDS, services())


def test_the_loop_is_the_plain_one(loop: Trained) -> None:
    for row, seed in enumerate(SEEDS):
        networks, pays = by_hand(seed)
        assert furthest(loop, row, networks) < 1e-12
        assert loop.curves["pay"][row].tolist() == pytest.approx([pays[4], pays[9]], abs=1e-12)


def test_a_target_that_moves_late_is_noticed(loop: Trained) -> None:
    assert furthest(loop, 0, by_hand(SEEDS[0], late=True)[0]) > 1e-3


def test_lanes_live_as_the_loop_does(loop: Trained) -> None:
    lanes = train(recipe(), SEEDS, services("lanes"))
    for row in range(len(SEEDS)):
        assert furthest(lanes, row, loop.networks[row]) < 1e-9
    for name, curve in loop.curves.items():
        torch.testing.assert_close(lanes.curves[name], curve, rtol=0, atol=1e-9)


def test_a_seed_lives_alike_in_any_company() -> None:
    together = train(recipe(), SEEDS, services("lanes"))
    other = train(recipe(), (9, 2), services("lanes"))
    mine, theirs = together.weights()[2], other.weights()[0]
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_lanes_that_share_a_policy_are_noticed(loop: Trained) -> None:
    deaf = replace(recipe(), experience=lambda seeds, act: Walk(seeds, act, deaf=True))
    lanes = train(deaf, SEEDS, services("lanes"))
    assert furthest(lanes, 0, loop.networks[0]) < 1e-9
    assert furthest(lanes, 1, loop.networks[1]) > 1e-3


class Stopped(BaseException):
    """Ctrl-C, as the engine's poll raises it."""


@pytest.mark.parametrize("path", ["loop", "lanes"])
@pytest.mark.parametrize("kind", [Kept, Walk])
def test_interrupted_it_goes_on_with_the_same_bits(path: str, kind: Any, tmp_path: Path) -> None:
    what, steps = recipe(experience=kind), 0

    def poll() -> None:
        nonlocal steps
        steps += 1
        if steps == 7:
            raise Stopped

    with pytest.raises(Stopped):
        train(what, SEEDS, services(path, checkpoint=tmp_path, poll=poll))
    kept = list(tmp_path.iterdir())
    assert bool(kept) == (kind is Kept)  # nothing is kept of an environment that cannot be
    resumed = train(what, SEEDS, services(path, checkpoint=tmp_path))
    whole = train(what, SEEDS, services(path))
    for ours, theirs in zip(resumed.weights(), whole.weights(), strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    for name, curve in whole.curves.items():
        assert torch.equal(resumed.curves[name], curve)


@pytest.mark.parametrize("path", ["loop", "lanes"])
def test_a_follower_follows_data_as_well(path: str) -> None:
    """One linear unit, one example: the average of its weights can be written down."""
    x = torch.ones(1, 1, dtype=torch.float64)
    what = Recipe(
        networks=dict.fromkeys(("unit", "slow"), lambda: nn.Linear(1, 1, bias=False)),
        optimizers={"main": Trains(spec=SGD(lr=0.5), networks=("unit",))},
        updates=(Update(loss=lambda n, batch, noise: (n["unit"](batch[0]).mean(), {})),),
        follows=(Follow(follower="slow", leader="unit", share=0.25),),
        data=(x,),
        steps=4,
    )
    trained = train(what, (1, 2), services(path))
    for networks in trained.networks:
        end = networks["unit"].weight.item()  # every step took 0.5 away
        slow = start = end + 2.0
        for step in range(1, 5):
            slow = 0.75 * slow + 0.25 * (start - 0.5 * step)
        assert networks["slow"].weight.item() == pytest.approx(slow, abs=1e-12)
        assert not networks["slow"].weight.requires_grad


@pytest.mark.parametrize(
    "numbers", [{"every": 0}, {"share": 0.0}, {"share": 1.1}, {"follower": "value"}]
)
def test_a_follower_out_of_range_is_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(PracticumError, match="follows"):
        Follow(**({"follower": "target", "leader": "value"} | numbers))


def test_data_or_experience() -> None:
    with pytest.raises(PracticumError, match="either from data or from experience"):
        recipe(data=(torch.zeros(3, 1),))
    with pytest.raises(PracticumError, match="either from data or from experience"):
        recipe(experience=None)


@pytest.mark.parametrize("path", ["loop", "lanes"])
def test_a_name_that_is_measured_twice_is_refused(path: str) -> None:
    def evaluate(networks: Any, seed: int) -> dict[str, float]:
        return {"pay": 0.0}

    with pytest.raises(PracticumError, match=r"'pay' is measured .* another name"):
        train(recipe(evaluate=evaluate), SEEDS, services(path))


# --- weights from an earlier training


def tuned(path: str, initial: Any) -> Trained:
    x = torch.linspace(-1, 1, 6, dtype=torch.float64).unsqueeze(1)
    what = Recipe(
        networks={"unit": lambda: nn.Linear(1, 1), "fixed": lambda: nn.Linear(1, 1)},
        optimizers={"main": Trains(spec=SGD(lr=0.1), networks=("unit",))},
        updates=(
            Update(
                loss=lambda n, batch, noise: (
                    (n["unit"](batch[0]) - n["fixed"](batch[0])).square().mean(),
                    {},
                )
            ),
        ),
        data=(x,),
        batch_size=6,
        steps=1,
        initial=initial,
    )
    return train(what, (1, 2), services(path))


@pytest.mark.parametrize("path", ["loop", "lanes"])
def test_a_seed_begins_with_its_own_weights(path: str) -> None:
    """One step of least squares from given weights, by hand; the bias begins as built."""
    plain = tuned(path, None)
    trained = tuned(
        path,
        lambda seed: {
            "unit": {"weight": torch.tensor([[float(seed)]]), "bias": torch.tensor([0.5])},
            "fixed": {"weight": torch.tensor([[10.0 * seed]])},
        },
    )
    spread = float(torch.linspace(-1, 1, 6).square().mean())
    for row, seed in enumerate((1, 2)):
        unit, fixed = trained.networks[row]["unit"], trained.networks[row]["fixed"]
        assert fixed.bias.item() == plain.networks[row]["fixed"].bias.item() != 0
        w = seed - 0.1 * 2 * (seed - 10 * seed) * spread
        assert unit.weight.item() == pytest.approx(w, abs=1e-6)
        b = 0.5 - 0.1 * 2 * (0.5 - fixed.bias.item())
        assert unit.bias.item() == pytest.approx(b, abs=1e-6)


@pytest.mark.parametrize(
    ("initial", "message"),
    [({"unti": {}}, "unit"), ({"unit": {"wieght": torch.zeros(1, 1)}}, "no tensor called wieght")],
)
def test_weights_for_nothing_are_refused(initial: Any, message: str) -> None:
    with pytest.raises(PracticumError, match=message):
        tuned("loop", lambda seed: initial)
