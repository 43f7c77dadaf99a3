"""The lanes path against the loop, in float64, and against itself, bit for bit.

What could be wrong: a lane reads another's numbers (optimizer, norm, dropout mask, NaN); a draw
comes in another order or from another generator than the loop's; a buffer, a tied weight or an
unused parameter is forgotten; the last, smaller batch of an epoch; a checkpoint that misses a part;
a program that is tidied into another one; something unmappable that is accepted, or refused without
a name.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from practicum.engine import lane_draws, lane_program, lanes, optimizers
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.clipping import AutoClip, ClipNorm
from practicum.engine.fit import fit
from practicum.engine.lane_draws import (
    Draw,
    Drawn,
    LaneGenerators,
    LaneNoise,
    Recorder,
    toss,
)
from practicum.engine.lane_noise import Intercept
from practicum.engine.lane_tape import record
from practicum.engine.lanes import Group, lanes_problem, train_lanes
from practicum.engine.noise import GlobalNoise, Noise
from practicum.engine.schedules import Cosine
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Batch, Networks, Update
from practicum.errors import PracticumError

N, D, K = 50, 6, 4
_G = torch.Generator().manual_seed(1)
X, Y = torch.randn(N, D, generator=_G).double(), torch.randint(K, (N,), generator=_G)


def services(path: str = "loop", group: int = 4, **more: Any) -> Services:
    settings = {"precision": "float64", **more}
    return Services(arithmetic=Arithmetic(path=path, lane_group=group, **settings))


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(D, 11),
        nn.BatchNorm1d(11),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(11, 64),
        nn.Tanh(),
        nn.Linear(64, K),
    )


def cross_entropy(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Any]]:
    x, y = batch
    return F.cross_entropy(networks["net"](x), y), {}


def accuracy(networks: Networks, seed: int) -> Mapping[str, Tensor]:
    x = X.to(next(networks["net"].parameters()))
    return {"accuracy": (networks["net"](x).argmax(1).cpu() == Y).double().mean()}


def recipe(
    build: Callable[[], nn.Module] = network,
    spec: optimizers.OptimizerSpec | None = None,
    loss: Any = cross_entropy,
    update: Mapping[str, Any] | None = None,
    **more: Any,
) -> Recipe:
    settings = {
        "networks": {"net": build},
        "optimizers": {"main": Trains(spec=spec or optimizers.Adam(lr=0.01), networks=("net",))},
        "updates": (Update(loss=loss, **(update or {})),),
        "data": (X, Y),
        "batch_size": 18,  # the last batch of an epoch has 14 examples
        "steps": 9,
        "every": 4,
        "evaluate": accuracy,
    }
    return Recipe(**(settings | more))


def assert_same_training(
    loop: Trained, lane: Trained, loss: float = 1e-12, weights: float = 1e-7
) -> None:
    assert lane.curves.keys() == loop.curves.keys()
    for name, curve in loop.curves.items():
        torch.testing.assert_close(lane.curves[name], curve, rtol=0, atol=loss, equal_nan=True)
    assert torch.equal(lane.diverged, loop.diverged)
    for ours, theirs in zip(lane.weights(), loop.weights(), strict=True):
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            torch.testing.assert_close(
                ours[name], tensor, rtol=0, atol=weights, equal_nan=True, msg=name
            )


def check_against_loop(what: Recipe, seeds: tuple[int, ...] = (3, 4, 5), **settings: Any) -> None:
    loop = train(what, seeds, services("loop", **settings))
    initial = train(replace(what, steps=1), seeds, services("loop", **settings))
    moved = [
        (a[name] - b[name]).abs().max()
        for a, b in zip(loop.weights(), initial.weights(), strict=True)
        for name in a
        if a[name].is_floating_point()
    ]
    assert max(moved) > 1e-3, "nothing was trained: the comparison says nothing"
    assert_same_training(loop, train(what, seeds, services("lanes", **settings)))


def assert_same_bits(one: Trained, other: Trained, rows: Mapping[int, int]) -> None:
    """Check that rows of one training are the rows of another, bit for bit."""
    for mine, theirs in rows.items():
        for name, curve in one.curves.items():
            assert torch.equal(curve[mine], other.curves[name][theirs]), name
        a, b = one.weights()[mine], other.weights()[theirs]
        for name, tensor in a.items():
            assert torch.equal(tensor, b[name]), name


# -- the same numbers as the loop


SPECS = {
    "SGD": optimizers.SGD(lr=0.1),
    "momentum": optimizers.SGD(lr=0.05, momentum=0.9, weight_decay=1e-3),
    "Nesterov": optimizers.SGD(lr=0.05, momentum=0.9, nesterov=True),
    "Adam": optimizers.Adam(lr=0.01),
    "AMSGrad": optimizers.Adam(lr=0.01, amsgrad=True, weight_decay=1e-3),
    "AdamW": optimizers.AdamW(lr=0.01, weight_decay=0.1),
    "NAdam": optimizers.NAdam(lr=0.01),
    "RMSprop": optimizers.RMSprop(lr=0.003, momentum=0.5, centered=True, eps=1e-3),
    "Adagrad": optimizers.Adagrad(lr=0.05, eps=1e-3),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_lanes_agree_with_the_loop_for_every_elementwise_optimizer(
    spec: optimizers.OptimizerSpec,
) -> None:
    check_against_loop(recipe(spec=spec))


def test_every_optimizer_of_the_allow_list_is_tested_here() -> None:
    assert {type(spec).__name__ for spec in SPECS.values()} == set(optimizers.ELEMENTWISE)


def test_running_statistics_of_batch_norm_are_each_lane_s_own() -> None:
    trained = train(recipe(), (3, 4), services("lanes"))
    first, second = (one["net.1.running_mean"] for one in trained.weights())
    assert not torch.equal(first, second)
    assert trained.weights()[0]["net.1.num_batches_tracked"] == 9


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(D, D), nn.Linear(D, K)
        self.again = nn.Linear(D, D)
        self.again.weight = self.inner.weight
        self.idle = nn.Linear(2, 3)  # no loss reaches it: weight decay must not move it either
        self.still = nn.Linear(D, D).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.still(torch.relu(self.again(torch.tanh(self.inner(x))))))


def test_tied_idle_and_frozen_weights() -> None:
    what = recipe(Tied, optimizers.AdamW(lr=0.05, weight_decay=0.1))
    check_against_loop(what)
    initial = lanes.begin(what, 3, services())
    ended = train(what, (3, 4), services("lanes")).networks[0]["net"]
    assert ended.again.weight is ended.inner.weight
    assert torch.equal(ended.idle.weight, initial.networks["net"].idle.weight)


@pytest.mark.parametrize(
    "update",
    [
        {"accumulate": 3},
        {"clip": ClipNorm(norm=0.05)},
        {"clip": AutoClip(percentile=30)},
        {"schedule": Cosine(steps=9, warmup=3)},
        {"accumulate": 2, "clip": AutoClip(percentile=50), "schedule": Cosine(steps=9)},
    ],
    ids=["accumulate", "clip", "AutoClip", "schedule", "all"],
)
def test_accumulation_clipping_and_schedules(update: Mapping[str, Any]) -> None:
    check_against_loop(recipe(update=update))


def test_rows_of_each_seed() -> None:
    def rows(seed: int) -> Tensor:
        return torch.randperm(N, generator=torch.Generator().manual_seed(seed))[:21]

    check_against_loop(recipe(rows=rows, batch_size=8))


def two_players(**update: Any) -> Recipe:
    def generated(networks: Networks, batch: Batch, noise: Noise) -> Tensor:
        return networks["generator"](noise.normal(len(batch[0]), 3).double())

    def critic_loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, Any]:
        real = networks["critic"](batch[0])
        false = networks["critic"](generated(networks, batch, noise).detach())
        return F.softplus(-real).mean() + F.softplus(false).mean(), {"real": real.mean()}

    def generator_loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, Any]:
        return F.softplus(-networks["critic"](generated(networks, batch, noise))).mean(), {}

    return Recipe(
        networks={
            "generator": lambda: nn.Sequential(nn.Linear(3, 7), nn.BatchNorm1d(7), nn.Linear(7, D)),
            "critic": lambda: nn.Sequential(
                nn.Linear(D, 9), nn.LeakyReLU(0.2, inplace=True), nn.Dropout(0.2), nn.Linear(9, 1)
            ),
        },
        optimizers={
            "main": Trains(spec=optimizers.Adam(lr=0.01), networks=("critic",)),
            "generator": Trains(spec=optimizers.SGD(lr=0.1), networks=("generator",)),
        },
        updates=(
            Update(loss=critic_loss, **update),
            Update(loss=generator_loss, optimizer="generator", **update),
        ),
        data=(X,),
        batch_size=18,
        steps=9,
        every=3,
        evaluate=lambda networks, seed: {"critic": networks["critic"](X).mean()},
    )


def test_two_players_with_two_optimizers() -> None:
    check_against_loop(two_players())
    check_against_loop(two_players(accumulate=2, clip=AutoClip(percentile=40)))


def test_a_metric_named_loss_is_what_the_curve_shows() -> None:
    def loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        value, _ = cross_entropy(networks, batch, noise)
        return value, {"loss": value.detach().exp()}

    check_against_loop(recipe(loss=loss, update={"accumulate": 2}))


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 2), nn.Conv2d(4, 5, 2, padding=1)
        self.out = nn.Linear(5, K)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout2d(torch.relu(self.a(x.reshape(-1, 1, 2, 3))), 0.3, self.training)
        x = F.max_pool2d(self.b(x), 2).transpose(1, 3)
        x = F.dropout(x, 0.2, self.training)  # the mask is drawn in the order of memory
        return self.out(x.mean((1, 2)) + 0.1 * torch.randn_like(x.mean((1, 2))))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(2, 12), nn.Linear(4, K)
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x.reshape(-1, 3, 2)).chunk(3, dim=-1)
        mixed = F.dropout((q @ k.transpose(1, 2) / 2).softmax(-1), 0.1, self.training) @ v
        choice = F.gumbel_softmax(mixed, hard=True) if self.training else mixed.softmax(-1)
        return self.out(self.norm(mixed + choice).sum(1))


class Turned(nn.Module):
    """A weight kept the other way round: its product's gradient is viewed in another layout."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(2, 9)), nn.Parameter(torch.zeros(9))
        self.out = nn.Linear(27, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.linear(x.reshape(-1, 3, 2), self.weight.T, self.bias).sin().flatten(1))


@pytest.mark.parametrize("build", [Convolution, Attention, Turned])
def test_other_networks(build: Callable[[], nn.Module]) -> None:
    check_against_loop(recipe(build, optimizers.SGD(lr=0.3)))


def test_bfloat16_agrees_to_its_own_rounding() -> None:
    what = recipe(spec=optimizers.SGD(lr=0.1), data=(X.float(), Y))
    loop = train(what, (3, 4), services("loop", precision="bfloat16"))
    lane = train(what, (3, 4), services("lanes", precision="bfloat16"))
    assert_same_training(
        replace(loop, curves={"loss": loop.curves["loss"]}),
        replace(lane, curves={"loss": lane.curves["loss"]}),
        loss=0.05,
        weights=0.05,
    )


# -- random draws


STRIDED = torch.randn(5, 7, 3, generator=_G).transpose(0, 2)

DRAWS: dict[str, Callable[[Noise], Tensor]] = {
    "F.dropout": lambda noise: F.dropout(torch.ones(33, 7), 0.3),
    "nn.Dropout": lambda noise: nn.Dropout(0.6)(torch.ones(5)),
    "dropout of strided": lambda noise: F.dropout(STRIDED, 0.5),
    "dropout in double": lambda noise: F.dropout(torch.ones(40).double(), 0.5),
    "dropout of all": lambda noise: F.dropout(torch.ones(3), 1.0) + torch.rand(3),
    "dropout1d": lambda noise: F.dropout1d(torch.ones(6, 4), 0.5),
    "dropout2d": lambda noise: nn.Dropout2d(0.5)(torch.ones(3, 4, 2, 5)),
    "dropout3d": lambda noise: F.dropout3d(torch.ones(4, 2, 3, 5), 0.5),
    "torch.randn": lambda noise: torch.randn(3, 20) + torch.randn((20,)),
    "torch.rand": lambda noise: torch.rand(size=(17,)) + torch.rand(17, dtype=torch.float64),
    "torch.randint": lambda noise: torch.randint(2, 9, (30,)) + torch.randint(5, (30,)),
    "torch.randperm": lambda noise: torch.randperm(23),
    "randn_like": lambda noise: torch.randn_like(STRIDED),
    "rand_like": lambda noise: torch.rand_like(STRIDED, dtype=torch.float64),
    "gumbel_softmax": lambda noise: F.gumbel_softmax(STRIDED, tau=0.7, hard=True),
    "noise": lambda noise: torch.cat(
        [
            noise.normal(4, 5).flatten(),
            noise.uniform(7),
            noise.bernoulli(0.3, 20),
            noise.integers(9, 6).float(),
            F.dropout(torch.ones(8), 0.4),
            noise.normal(3),
        ]
    ),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_each_lane_draws_the_bits_that_the_loop_draws(draw: Callable[[Noise], Tensor]) -> None:
    seeds = (8, 0, 5)
    recorder = Recorder()
    with Intercept(recorder):
        draw(LaneNoise(recorder, "cpu"))
    generators = LaneGenerators([streams(seed) for seed in seeds])
    memory = [one.empty(len(seeds)) for one in recorder.draws]
    expected = []
    for seed in seeds:
        with streams(seed).noise():
            expected.append((draw(GlobalNoise()), draw(GlobalNoise())))
    for call in range(2):  # the second call goes on where the first stopped
        generators.fill(recorder.draws, memory)
        for lane in range(len(seeds)):
            taker = Drawn(recorder.draws, [one[lane] for one in memory])
            with Intercept(taker):
                assert torch.equal(draw(LaneNoise(taker, "cpu")), expected[lane][call])


def test_a_mask_shared_by_all_lanes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def shared(self: LaneGenerators, draws: list[Draw], memory: list[Tensor]) -> None:
        for draw, rows in zip(draws, memory, strict=True):
            draw.fill(rows[0], self.of["cpu"][0])
            draw.finish(rows[0])
            rows.copy_(rows[:1].clone().expand_as(rows))

    check_against_loop(recipe())
    monkeypatch.setattr(LaneGenerators, "fill", shared)
    with pytest.raises(AssertionError):
        check_against_loop(recipe())


def test_a_norm_over_all_lanes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed(self: Group, update: Update, gradients: list[Tensor]) -> list[Tensor]:
        norm = torch.stack([one.norm() for one in gradients]).norm()
        factor, _ = update.clip(norm.reshape(1), None)
        return [one * factor for one in gradients]

    what = recipe(update={"clip": ClipNorm(norm=0.05)})
    check_against_loop(what)
    monkeypatch.setattr(Group, "_clipped", mixed)
    with pytest.raises(AssertionError):
        check_against_loop(what)


# -- lanes do not see each other


def check_independence(what: Recipe) -> None:
    """Check that a seed has the same bits in any company and position, at one group size."""
    at = services("lanes", group=4, precision="float32")
    what = replace(what, data=(X.float(), Y))
    reference = train(what, (0, 1, 2, 3), at)
    assert_same_bits(train(what, (2, 9, 1, 7), at), reference, {0: 2, 2: 1})
    # The second group is filled up; the first has other members.
    assert_same_bits(train(what, (8, 3, 5, 6, 0), at), reference, {1: 3, 4: 0})


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_seed_has_the_same_bits_in_any_company_and_position(
    spec: optimizers.OptimizerSpec,
) -> None:
    check_independence(recipe(spec=spec, update={"clip": AutoClip(percentile=40)}))


def chain(*parts: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*(part() for part in parts))


ODD_SIZES = {  # whose numbers lie anywhere in a cache line, and end in the middle of a register
    "batch norm": network,
    "convolution": Convolution,
    "attention": Attention,
    "sigmoid": chain(lambda: nn.Linear(D, 13), nn.Sigmoid, lambda: nn.Linear(13, K)),
    "GELU": chain(
        lambda: nn.Linear(D, 7), nn.GELU, lambda: nn.LayerNorm(7), nn.SiLU, lambda: nn.Linear(7, K)
    ),
    "images": chain(
        lambda: nn.Unflatten(1, (1, 2, 3)),
        lambda: nn.Conv2d(1, 5, 2, padding=1),
        lambda: nn.BatchNorm2d(5),
        nn.ELU,
        lambda: nn.Conv2d(5, 7, 3, padding=1),
        lambda: nn.AdaptiveAvgPool2d(1),
        nn.Flatten,
        nn.Softplus,
        lambda: nn.Linear(7, K),
    ),
    "group norm": chain(
        lambda: nn.Linear(D, 9), lambda: nn.GroupNorm(3, 9), nn.Mish, lambda: nn.Linear(9, K)
    ),
}


def moved_lanes_keep_their_bits(build: Callable[[], nn.Module]) -> bool:
    group = Group(
        recipe(build, data=(X.float(), Y)), range(5), 5, services("lanes", precision="float32")
    )
    order = torch.tensor([2, 0, 3, 1, 4])
    same = True
    for _ in range(3):  # the third batch is the small one
        batch = group.batches.next()
        program = group.program(0, group.updates[0], batch, batch)
        group.noise.fill(program.draws, program.memory)
        given = [
            *group.stacked.tensors,
            *batch,
            *program.memory,
        ]
        here = program.run(*(one.clone() for one in given))
        there = program.run(*(one[order] for one in given))
        same &= all(
            torch.equal(a[order], b) for a, b in zip(here, there, strict=True) if a is not None
        )
    return same


@pytest.mark.parametrize("build", ODD_SIZES.values(), ids=ODD_SIZES)
def test_a_lane_s_bits_do_not_depend_on_its_position(build: Callable[[], nn.Module]) -> None:
    assert moved_lanes_keep_their_bits(build)


def test_the_numbers_are_right_also_where_operands_are_padded() -> None:
    for build in ODD_SIZES.values():
        check_against_loop(recipe(build, optimizers.SGD(lr=0.3)), seeds=(3, 4))


def test_the_check_of_independence_rejects_an_optimizer_that_mixes_lanes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    what = recipe(spec=optimizers.Adafactor(lr=0.05))
    monkeypatch.setattr(lanes, "ELEMENTWISE", (*optimizers.ELEMENTWISE, "Adafactor"))
    with pytest.raises(AssertionError):
        check_independence(what)


def test_an_optimizer_that_mixes_lanes_is_refused_by_name() -> None:
    with pytest.raises(PracticumError, match=r"Adafactor.*not elementwise.*seed by seed"):
        train(recipe(spec=optimizers.Adafactor()), (0, 1), services("lanes"))


def test_the_loop_still_takes_an_optimizer_that_would_mix_lanes() -> None:
    trained = train(recipe(spec=optimizers.Adafactor()), (0,), services("loop"))
    assert trained.curves["loss"].isfinite().all()


def test_a_group_of_one_is_filled_up() -> None:
    what = recipe(data=(X.float(), Y))
    alone = train(what, (3,), services("lanes", group=1, precision="float32"))
    beside = train(what, (5, 3), services("lanes", group=2, precision="float32"))
    assert_same_bits(alone, beside, {0: 1})
    assert alone.diverged.shape == (1,)


def poisoned(bad: int, update: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe in which one seed meets a NaN in its second epoch's share of the data."""
    x = torch.cat([X, torch.full((N, D), float("nan")).double()])
    y = torch.cat([Y, Y])

    def rows(seed: int) -> Tensor:
        index = torch.arange(N)
        if seed == bad:
            index[17] += N
        return index

    return recipe(data=(x, y), rows=rows, update=update)


@pytest.mark.parametrize("update", [{}, {"clip": AutoClip(percentile=40), "accumulate": 2}])
def test_a_lane_full_of_nan_leaves_the_others_bits_alone(update: Mapping[str, Any]) -> None:
    healthy = train(poisoned(-1, update), (0, 1, 2), services("lanes"))
    ill = train(poisoned(1, update), (0, 1, 2), services("lanes"))
    assert ill.diverged.tolist() == [False, True, False]
    assert_same_bits(ill, healthy, {0: 0, 2: 2})


@pytest.mark.parametrize("update", [{}, {"accumulate": 2}])
def test_a_diverged_seed_is_frozen_and_reported_as_in_the_loop(update: Mapping[str, Any]) -> None:
    what = poisoned(1, update)
    loop = train(what, (0, 1, 2), services("loop"))
    assert loop.diverged.tolist() == [False, True, False]
    assert loop.curves["loss"][1].isnan().any()
    assert_same_training(loop, train(what, (0, 1, 2), services("lanes")))


def test_training_stops_when_every_seed_has_diverged() -> None:
    steps: list[int] = []
    what = recipe(data=(X * float("nan"), Y))
    at = replace(services("lanes"), probe=lambda step, of: steps.append(step))
    assert train(what, (0, 1, 2), at).diverged.all()
    assert len(steps) <= 1


# -- what cannot run


class Item(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * x.mean().item()


class Branch(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.mean() > 0 else -super().forward(x)


class Multinomial(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.multinomial(x.exp(), 1)


class Recurrent(nn.LSTM):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # one tensor is enough here
        return super().forward(x.unsqueeze(1))[0].squeeze(1)


class Rebinding(nn.Linear):
    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return super().forward(x)


class OwnTensor(nn.Linear):
    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.mask = torch.rand(D).double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.mask)


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (Item, r"net\.1 \(Item\)"),
        (Branch, r"net\.1 \(Branch\)"),
        (Multinomial, r"net\.1 \(Multinomial\).*multinomial"),
        (Recurrent, r"net\.1 \(Recurrent\)"),
        (Rebinding, r"buffer net\.1\.calls"),
        (OwnTensor, r"net\.1.*'mask' of OwnTensor"),
    ],
)
def test_what_cannot_run_in_lanes_is_named_and_the_loop_trains_it(
    build: Callable[..., nn.Module], named: str
) -> None:
    what = recipe(lambda: nn.Sequential(nn.Tanh(), build(D, D), nn.Linear(D, K)))
    problem = lanes_problem(what, services("lanes"))
    assert problem is not None
    with pytest.raises(PracticumError, match=named) as refused:
        train(what, (0, 1), services("lanes"))
    assert "seed by seed" in str(refused.value)
    assert train(what, (0,), services("loop")).curves["loss"].isfinite().all()


def test_seeds_with_different_numbers_of_examples_are_refused() -> None:
    what = recipe(rows=lambda seed: torch.arange(30 + seed))
    with pytest.raises(PracticumError, match=r"different numbers of training ex.*seed 1: 31"):
        train(what, (0, 1), services("lanes"))


def test_nothing_is_wrong_with_what_can_run() -> None:
    before = torch.get_rng_state()
    assert lanes_problem(recipe(), services("lanes")) is None
    assert lanes_problem(two_players(), services("loop")) is None
    assert torch.equal(torch.get_rng_state(), before)


# -- services


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop_after", [2, 5])
def test_an_interrupted_group_goes_on_with_the_same_bits(tmp_path: Path, stop_after: int) -> None:
    what = poisoned(1, {"clip": AutoClip(percentile=40), "accumulate": 2})
    straight = train(what, (0, 1, 2), services("lanes"))
    calls: list[int] = []

    def poll() -> None:
        calls.append(1)
        if len(calls) == stop_after:
            raise Stop

    at = replace(services("lanes"), checkpoint=tmp_path)
    with pytest.raises(Stop):
        train(what, (0, 1, 2), replace(at, poll=poll))
    assert len(list(tmp_path.glob("training-0-*.pt"))) == 1
    resumed = train(what, (0, 1, 2), replace(at, poll=poll))
    assert len(calls) == what.steps
    for name, curve in straight.curves.items():
        torch.testing.assert_close(resumed.curves[name], curve, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(resumed.diverged, straight.diverged)
    for ours, theirs in zip(resumed.weights(), straight.weights(), strict=True):
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name], tensor, rtol=0, atol=0, equal_nan=True)
    assert not list(tmp_path.iterdir())


def test_every_step_is_probed_polled_and_reported_once_for_the_group() -> None:
    probed: list[int] = []
    polled: list[int] = []
    reported: list[tuple[int, int]] = []
    at = replace(
        services("lanes"),
        probe=lambda step, of: probed.append(step),
        poll=lambda: polled.append(1),
        progress=lambda step, of: reported.append((step, of)),
    )
    train(recipe(), (0, 1, 2), at)
    assert probed == list(range(1, 10))
    assert len(polled) == 9
    assert reported == [(9, 9)]


def test_an_evaluation_that_draws_finds_the_loop_s_random_numbers_and_leaves_them() -> None:
    def noisy(networks: Networks, seed: int) -> Mapping[str, Tensor]:
        return {"drawn": torch.randn(()), "seed": torch.tensor(float(seed))}

    check_against_loop(recipe(evaluate=noisy))


def test_the_caller_s_random_numbers_are_left_alone() -> None:
    before = torch.get_rng_state()
    train_lanes(recipe(), (0, 1), services("lanes"))
    assert torch.equal(torch.get_rng_state(), before)


# -- the program


def test_tidying_changes_the_operations_and_not_the_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def operations(group: Group) -> tuple[int, tuple[Any, ...]]:
        batch = group.batches.next()
        program = group.program(0, group.updates[0], batch, batch)
        group.noise.fill(program.draws, program.memory)
        results = program.run(*group.stacked.tensors, *batch, *program.memory)
        return len(program.run.__self__.graph.nodes), results

    tidied, ours = operations(Group(recipe(), (0, 1, 2), 3, services("lanes")))
    monkeypatch.setattr(lane_program, "tidy", lambda module: None)
    plain, theirs = operations(Group(recipe(), (0, 1, 2), 3, services("lanes")))
    assert tidied < plain
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("exponent", [1, 2, 3, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_a_square_is_a_product_with_the_same_bits(exponent: float, dtype: torch.dtype) -> None:
    x = (100 * torch.rand(1000, generator=torch.Generator().manual_seed(1)) + 1).to(dtype)
    module = record(lambda x: (x**exponent + 1,), [x])
    lane_program.tidy(module)
    left = any(node.target is torch.ops.aten.pow.Tensor_Scalar for node in module.graph.nodes)
    assert left == (exponent != 2 or dtype is torch.int64)
    assert torch.equal(module(x)[0], x**exponent + 1)


@pytest.mark.parametrize("exponent", [1, 2])
def test_a_power_of_what_is_written_to_later_is_that_of_before(exponent: int) -> None:
    def keep(x: Tensor, new: Tensor) -> tuple[Tensor]:
        before = x.view(3) ** exponent
        x.copy_(new)
        return (before,)

    new = torch.zeros(3)
    module = record(keep, [torch.ones(3), new])
    lane_program.tidy(module)
    assert torch.equal(module(torch.full((3,), 5.0), new)[0], torch.full((3,), 5.0**exponent))


def test_what_every_run_computes_alike_is_computed_once() -> None:
    order, scale = torch.tensor([2, 0, 1]), torch.tensor([2.0, 3.0, 5.0])

    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        mask = torch.arange(3) > order - 1
        return torch.where(mask, x[order + 0] * scale.square(), -1.0), torch.arange(3) * 2

    module = record(function, [torch.zeros(3)])
    lane_program.tidy(module)
    names = [str(node.target) for node in module.graph.nodes if node.op == "call_function"]
    assert not any("gt" in name or "add" in name or "sub" in name for name in names)
    for x in (torch.tensor([5.0, 6.0, 7.0]), torch.tensor([-1.0, 0.5, 2.0])):
        found, given = module(x)
        assert torch.equal(found, torch.stack((torch.tensor(-1.0), x[0] * 9, x[1] * 25)))
        assert given.tolist() == [0, 2, 4]
        given.zero_()  # what is given away is new in every run
    scale.add_(1)  # numbers that a loss closes over may change
    assert module(torch.ones(3))[0].tolist() == [-1.0, 16.0, 36.0]


ORDER = torch.arange(K).flip(0)
_PARTS: dict[str, Callable[[], Tensor]] = {
    "split": lambda: torch.cat(torch.arange(K).split(2)[::-1]),
    "unbind": lambda: torch.stack(ORDER.unbind()),
    "sort": lambda: ORDER.sort()[1],
    "number": lambda: torch.arange(int((ORDER + 1).max())),
    "branch": lambda: ORDER if bool((ORDER > 1).any()) else ORDER.flip(0),
    "mean": lambda: torch.var_mean(ORDER.double())[1].long() + torch.zeros(K, dtype=torch.long),
}


@pytest.mark.parametrize("part", _PARTS)
def test_indices_may_be_computed_in_every_way(part: str) -> None:
    def loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Any]]:
        x, y = batch
        return F.cross_entropy(networks["net"](x)[:, _PARTS[part]()] * (1 + ORDER.double()), y), {}

    check_against_loop(recipe(loss=loss))


def test_a_mask_that_changes_between_steps_is_refused() -> None:
    mask = torch.ones(K, dtype=torch.bool)

    def loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Any]]:
        return F.cross_entropy(networks["net"](batch[0]) * mask.double(), batch[1]), {}

    def evaluate(networks: Networks, seed: int) -> dict[str, float]:
        mask[0] = False
        return {}

    with pytest.raises(PracticumError, match=r"tensor of torch\.bool .* changed between two steps"):
        train(recipe(loss=loss, evaluate=evaluate), (3, 4), services("lanes"))


def test_a_last_layer_may_add_a_tensor_that_all_lanes_share() -> None:
    shared = torch.linspace(-1, 1, 10)

    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(32, 10, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x) + shared

    x, y = torch.randn(64, 32, generator=torch.Generator().manual_seed(1)), torch.arange(64) % 10

    def curves(path: Literal["loop", "lanes"]) -> Tensor:
        run = fit(
            Shifted, loss=lambda net, batch, noise: F.cross_entropy(net(batch[0]), batch[1]),
            optimizer=optimizers.Adam(lr=0.01), data=(x, y), batch_size=64, steps=3, every=1,
            seeds=[0, 1], services=services(path),
        )  # fmt: skip
        return run.curves["loss"]

    torch.testing.assert_close(curves("lanes"), curves("loop"), rtol=1e-5, atol=1e-6)


def test_a_large_weight_s_gradient_needs_no_copy() -> None:
    group = Group(recipe(), (0, 1, 2), 3, services("lanes"))
    alone = [leaf.names for leaf in group.stacked.plan if len(leaf.names) == 1]
    assert alone == [("part0.4.weight",), ("part0.4.bias",), ("part0.6.weight",)]
    assert all(leaf.width % 64 == 0 for leaf in group.stacked.plan)


def test_a_recorded_program_computes_with_new_numbers_and_the_tensors_it_closes_over() -> None:
    outside = torch.tensor([1.0, 2.0])

    def function(x: Tensor) -> tuple[Tensor, None]:
        literal = torch.tensor([3.0, 4.0])
        literal += x  # a literal is a new one in every run
        return literal * outside + torch.zeros(2), None

    program = record(function, [torch.zeros(2)])
    for x in (torch.tensor([5.0, 6.0]), torch.tensor([7.0, -1.0])):
        assert torch.equal(program(x)[0], (torch.tensor([3.0, 4.0]) + x) * outside)
    outside.add_(1)
    assert program(torch.zeros(2))[0].tolist() == [6.0, 12.0]


def test_a_tensor_computed_out_of_the_recorder_s_sight_is_refused() -> None:
    def function(x: Tensor) -> tuple[Tensor]:
        doubled = x * 2
        hidden = torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(doubled))
        return (hidden + 1,)

    with pytest.raises(PracticumError, match="out of sight"):
        record(function, [torch.ones(3)])


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's own, on import
def test_compiled_lanes_agree_with_the_loop() -> None:
    what = recipe()
    loop = train(what, (3, 4, 5), services("loop"))
    assert_same_training(loop, train(what, (3, 4, 5), services("lanes", compile=True)))


@pytest.mark.gpu
def test_lanes_on_a_gpu_agree_with_lanes_on_the_cpu() -> None:
    def loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Any]]:
        x, y = batch
        return F.cross_entropy(networks["net"](x + 0.1 * noise.normal(*x.shape)), y), {}

    def build() -> nn.Module:  # without dropout, which a GPU draws from its own generator
        return nn.Sequential(nn.Linear(D, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, K))

    what = recipe(build, loss=loss, update={"clip": AutoClip(percentile=40)})
    on_cpu = train(what, (0, 1, 2), services("lanes"))
    on_gpu = train(what, (0, 1, 2), replace(services("lanes", device="cuda"), device="cuda"))
    for name, curve in on_cpu.curves.items():
        torch.testing.assert_close(on_gpu.curves[name], curve, rtol=0, atol=1e-6)
    for ours, theirs in zip(on_gpu.weights(), on_cpu.weights(), strict=True):
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name].cpu(), tensor, rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("p", [0.0, 0.1, 1 / 3, 0.5, 1 - 1e-7, 1.0])
@pytest.mark.parametrize("size", [(1,), (17,), (5, 13), (4, 3, 50), (300, 120)])
def test_the_faster_coins_have_torchs_bits(
    dtype: torch.dtype, p: float, size: tuple[int, ...]
) -> None:
    lanes = 3
    for turned in (False, True):  # torch fills in the order of memory
        mine, others = (
            [torch.Generator().manual_seed(lane) for lane in range(lanes)] for _ in range(2)
        )
        ours, theirs = (torch.full((lanes, *size), 7.0, dtype=dtype) for _ in range(2))
        if turned:
            back = (0, *range(len(size), 0, -1))
            ours, theirs = ours.permute(back), theirs.permute(back)
        toss(ours, p, mine)
        for row, generator in zip(theirs, others, strict=True):
            row.bernoulli_(p, generator=generator)
        assert torch.equal(ours, theirs)
        for one, other in zip(mine, others, strict=True):
            assert torch.equal(one.get_state(), other.get_state())


def test_the_faster_coins_are_thrown_wherever_torch_compares_doubles() -> None:
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    coins = torch.empty(999).bernoulli_(0.4, generator=one).bool()
    doubles = torch.empty(999, dtype=torch.float64).uniform_(generator=other)
    assert lane_draws._known_coins() == torch.equal(coins, doubles < 0.4)


def test_coins_that_torch_throws_otherwise_are_left_to_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def other(row: Tensor, p: float, generator: torch.Generator) -> None:
        row.copy_(torch.rand(row.shape, generator=generator) < p)

    monkeypatch.setattr(lane_draws, "_coins", other)
    lane_draws._known_coins.cache_clear()
    try:
        assert not lane_draws._known_coins()
        ours, theirs = torch.empty(2, 50), torch.empty(2, 50)
        toss(ours, 0.4, [torch.Generator().manual_seed(lane) for lane in range(2)])
    finally:
        lane_draws._known_coins.cache_clear()
    for lane, row in enumerate(theirs):
        row.bernoulli_(0.4, generator=torch.Generator().manual_seed(lane))
    assert torch.equal(ours, theirs)
