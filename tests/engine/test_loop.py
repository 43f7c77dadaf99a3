"""The engine's loop against the `for` statement that it replaces, bit for bit.

Would catch: a batch in another order, a random number drawn from the wrong stream or drawn once too
often, a forgotten `zero_grad`, a schedule or a clip applied one step early or late, the last small
batch of an epoch weighted wrongly, tied weights untied, batch norm's statistics moved by an
evaluation, an event told in the wrong order, a diverged run whose weights moved or whose table row
is lost. Not here: lanes, workers, CUDA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from practicum.engine.clipping import ClipNorm
from practicum.engine.evaluation import Evaluation
from practicum.engine.events import Event, Moment, describe
from practicum.engine.fit import fit
from practicum.engine.loop import Diverged, loop
from practicum.engine.optimizers import SGD, Adam, AdamW, OptimizerSpec, build
from practicum.engine.schedules import Cosine
from practicum.engine.seeds import streams
from practicum.engine.services import Arithmetic, Services
from practicum.engine.state import State
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Update, gradient_step
from practicum.errors import PracticumError

N, INPUTS, CLASSES, BATCH, STEPS = 23, 6, 3, 8, 17  # 23 = 8 + 8 + 7: every third batch is smaller
_made = torch.Generator().manual_seed(5)
X = torch.randn(N, INPUTS, generator=_made)
Y = torch.randint(CLASSES, (N,), generator=_made)


class TiedAutoencoder(nn.Module):
    """Decodes with the transpose of the matrix that it encodes with."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(INPUTS, 4)
        self.shift = nn.Parameter(torch.zeros(INPUTS))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(self.encoder(x)), self.encoder.weight.T, self.shift)


class TiedEmbedding(nn.Module):
    """Predicts a class from a class; one matrix is both the embedding and the output layer."""

    def __init__(self, *, tied: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, 5)
        self.output = nn.Linear(5, CLASSES, bias=False)
        if tied:
            self.output.weight = self.embedding.weight

    def forward(self, y: Tensor) -> Tensor:
        return self.output(F.dropout(self.embedding(y), 0.3, self.training))


def linear() -> nn.Module:
    return nn.Linear(INPUTS, CLASSES)


def deep() -> nn.Module:
    return nn.Sequential(
        nn.Linear(INPUTS, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.4), nn.Linear(7, CLASSES)
    )


def classify(
    network: Callable[..., Tensor], batch: tuple[Tensor, ...], noise: Any = None
) -> Tensor:
    return F.cross_entropy(network(batch[0]), batch[1])


def reconstruct(
    network: Callable[..., Tensor], batch: tuple[Tensor, ...], noise: Any = None
) -> Tensor:
    return F.mse_loss(network(batch[0]), batch[0])


def predict_next(
    network: Callable[..., Tensor], batch: tuple[Tensor, ...], noise: Any = None
) -> Tensor:
    return F.cross_entropy(network(batch[1]), (batch[1] + 1) % CLASSES)


def clip_to_half(parameters: list[nn.Parameter]) -> None:
    torch.nn.utils.clip_grad_norm_(parameters, 0.5)


@dataclass
class Case:
    """One training, described once for the engine and once for the plain loop."""

    spec: OptimizerSpec
    make: Callable[..., torch.optim.Optimizer]
    build: Callable[[], nn.Module] = deep
    loss: Callable[..., Tensor] = classify
    accumulate: int = 1
    schedule: Callable[[int], float] | None = None
    clip: Callable[[list[nn.Parameter]], None] | None = None


def sgd(parameters: Any, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, fused=fused)


def momentum(parameters: Any, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01, fused=fused)


def nesterov(parameters: Any, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, fused=fused)


def adam(parameters: Any, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.02, fused=fused)


def amsgrad(parameters: Any, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.02, betas=(0.8, 0.9), amsgrad=True, fused=fused)


def adamw(parameters: Any, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.1, fused=fused)


COSINE = Cosine(steps=STEPS, warmup=3, floor=0.1)
W = AdamW(lr=0.02, weight_decay=0.1)
CASES = {
    "sgd": Case(SGD(lr=0.1), sgd),
    "momentum": Case(SGD(lr=0.1, momentum=0.9, weight_decay=0.01), momentum),
    "nesterov": Case(SGD(lr=0.1, momentum=0.9, nesterov=True), nesterov),
    "adam": Case(Adam(lr=0.02), adam),
    "amsgrad": Case(Adam(lr=0.02, betas=(0.8, 0.9), amsgrad=True), amsgrad),
    "adamw": Case(W, adamw),
    "tied autoencoder": Case(W, adamw, TiedAutoencoder, reconstruct),
    "tied embedding": Case(W, adamw, TiedEmbedding, predict_next),
    "accumulation": Case(W, adamw, accumulate=2),
    "uneven accumulation": Case(W, adamw, linear, accumulate=3),
    "schedule": Case(W, adamw, schedule=COSINE),
    "clipping": Case(W, adamw, clip=clip_to_half),
    "all at once": Case(W, adamw, deep, classify, 2, COSINE, clip_to_half),
}


def plain(
    case: Case, *, seed: int, fused: bool = True, steps: int = STEPS, batch_size: int = BATCH
) -> tuple[nn.Module, list[float]]:
    """The training loop as anybody would write it; returns the network and every step's loss."""
    s = streams(seed)
    with s.init():
        network = case.build()
    optimizer = case.make(network.parameters(), fused)
    rate = optimizer.param_groups[0]["lr"]
    order, losses = s.order(), []
    with s.noise():
        while len(losses) < steps:
            for index in torch.randperm(N, generator=order).split(batch_size):
                if len(losses) == steps:
                    break
                if case.schedule is not None:
                    optimizer.param_groups[0]["lr"] = rate * case.schedule(len(losses))
                x, y = X[index], Y[index]
                optimizer.zero_grad()
                total = 0.0
                for part in zip(x.chunk(case.accumulate), y.chunk(case.accumulate), strict=True):
                    loss = case.loss(network, part) / (len(x) / len(part[0]))
                    loss.backward()
                    total += loss.item()
                if case.clip is not None:
                    case.clip(list(network.parameters()))
                optimizer.step()
                losses.append(total)
    return network, losses


def engine(case: Case, seeds: list[int], *, fused: bool = True, every: int | None = 1) -> Trained:
    return fit(
        case.build,
        loss=case.loss,
        optimizer=case.spec,
        data=(X, Y),
        batch_size=BATCH,
        steps=STEPS,
        seeds=seeds,
        services=Services(arithmetic=Arithmetic(fused=fused)),
        every=every,
        accumulate=case.accumulate,
        schedule=case.schedule,
        clip=None if case.clip is None else ClipNorm(norm=0.5),
    )


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether all parameters and buffers have the same bits."""
    a, b = one.state_dict(), other.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain"])
@pytest.mark.parametrize("name", CASES)
def test_engine_gives_the_bits_of_the_plain_loop(name: str, fused: bool) -> None:
    trained = engine(CASES[name], [3], fused=fused)
    network, losses = plain(CASES[name], seed=3, fused=fused)
    assert same(trained.networks[0]["network"], network)
    assert trained.curves["loss"][0].tolist() == losses
    assert not trained.diverged.any()


BROKEN = {
    "another optimizer": (Case(W, adam), "adamw"),
    "schedule one step late": (
        Case(W, adamw, schedule=lambda step: COSINE(max(0, step - 1))),
        "schedule",
    ),
    "clip forgotten": (Case(W, adamw), "clipping"),
    "clip of each parameter alone": (
        Case(W, adamw, clip=lambda ps: [clip_to_half([p]) for p in ps] and None),
        "clipping",
    ),
    "weights not tied": (
        Case(W, adamw, lambda: TiedEmbedding(tied=False), predict_next),
        "tied embedding",
    ),
    "no accumulation": (Case(W, adamw), "accumulation"),
    "dropout forgotten": (
        Case(W, adamw, lambda: nn.Sequential(*[m for m in deep() if "Dropout" not in str(m)])),
        "adamw",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plain_loop_does_not_give_these_bits(name: str) -> None:
    wrong, right = BROKEN[name]
    network = plain(wrong, seed=3)[0]
    expected = engine(CASES[right], [3]).networks[0]["network"]
    ours, theirs = list(network.parameters()), list(expected.parameters())
    assert len(ours) != len(theirs) or not all(map(torch.equal, ours, theirs))


def test_another_seed_or_another_batch_size_does_not_give_these_bits() -> None:
    expected = engine(CASES["adamw"], [3]).networks[0]["network"]
    assert not same(plain(CASES["adamw"], seed=4)[0], expected)
    assert not same(plain(CASES["adamw"], seed=3, batch_size=BATCH - 1)[0], expected)


def test_a_seed_does_not_depend_on_which_seeds_run_beside_it() -> None:
    together = engine(CASES["all at once"], [0, 3, 9])
    for i, seed in enumerate([0, 3, 9]):
        network, losses = plain(CASES["all at once"], seed=seed)
        assert same(together.networks[i]["network"], network)
        assert together.curves["loss"][i].tolist() == losses


@pytest.mark.parametrize("accumulate", [1, 2, 3, 5, 30])
def test_accumulation_has_the_gradient_of_the_whole_batch_also_when_the_parts_are_uneven(
    accumulate: int,
) -> None:
    def run(parts: int) -> tuple[Tensor, float]:
        network = nn.Linear(3, 2, bias=False).double()
        nn.init.constant_(network.weight, 0.1)
        state = State({"network": network}, {"main": torch.optim.SGD(network.parameters(), lr=1.0)})
        x = torch.arange(21, dtype=torch.float64).reshape(7, 3).sin()
        y = torch.arange(14, dtype=torch.float64).reshape(7, 2).cos()
        update = Update(
            loss=lambda nets, batch, noise: (F.mse_loss(nets["network"](batch[0]), batch[1]), {}),
            accumulate=parts,
        )
        seen: list[float] = []

        def observe(moment: Moment) -> None:
            if moment.event is Event.STEPPED:
                seen.append(moment.metrics["loss"])

        step = gradient_step([update], {"main": 1.0})
        loop(step, state, iter([(x, y)]), steps=1, observers=[observe])
        return network.weight.detach(), seen[0]

    weight, loss = run(accumulate)
    whole, whole_loss = run(1)
    torch.testing.assert_close(weight, whole, rtol=1e-13, atol=1e-14)
    assert loss == pytest.approx(whole_loss, rel=1e-13)


def test_a_parameter_that_two_networks_share_moves_once() -> None:
    shared = nn.Linear(2, 2, bias=False)

    def loss(nets: Any, batch: Any, noise: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return nets["a"](batch[0]).sum() + nets["b"](batch[0]).sum(), {}

    recipe = Recipe(
        networks={"a": lambda: shared, "b": lambda: shared},
        optimizers={"main": Trains(spec=SGD(lr=1.0), networks=("a", "b"))},
        updates=(Update(loss=loss),),
        data=(torch.ones(1, 2),),
        batch_size=1,
        steps=1,
    )
    before = shared.weight.detach().clone()
    train(recipe, [0], Services())
    torch.testing.assert_close(shared.weight.detach(), before - 2)  # two uses, each with gradient 1


# --- the loop alone


def count(state: State, batch: int, noise: Any) -> tuple[State, dict[str, Any]]:
    """A step without learning: adds the batch to a buffer, with noise."""
    state.buffers["sum"] = state.buffers["sum"] * 2 + batch + noise.normal(2)
    return state, {"batch": batch}


def counted() -> State:
    return State(buffers={"sum": torch.zeros(2)})


def test_a_run_in_two_calls_gives_the_bits_of_one_call() -> None:
    with streams(1).noise():
        whole = loop(count, counted(), cycle(range(5)), steps=12)
    with streams(1).noise():
        source = cycle(range(5))
        state = loop(count, counted(), source, steps=5)
        parts = loop(count, state, source, steps=12)
        again = loop(count, parts, source, steps=12)  # nothing is left to do
    assert torch.equal(whole.buffers["sum"], parts.buffers["sum"])
    assert again.step == parts.step == whole.step == 12


def test_a_source_that_ends_too_early_is_an_error_that_says_where() -> None:
    with pytest.raises(ValueError, match="ended after step 3 of 4"):
        loop(count, counted(), iter(range(3)), steps=4)


def test_a_step_may_return_a_new_state() -> None:
    def replace(state: State, batch: int, noise: Any) -> tuple[State, dict[str, Any]]:
        return State(counters=dict(state.counters), buffers={"last": torch.tensor(batch)}), {}

    first = State()
    last = loop(replace, first, iter(range(4)), steps=4)
    assert (first.step, last.step, int(last.buffers["last"])) == (0, 4, 3)


class Recorder:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def __call__(self, moment: Moment) -> None:
        self.told.append((moment.event.name, moment.state.step))


def test_the_list_of_events_is_closed_and_described_whole() -> None:
    names = [event.name for event in Event]
    closed = "STARTED STEPPED EVALUATED CHECKPOINTED DIVERGED INTERRUPTED ENDED"
    assert " ".join(names) == closed
    lines = describe().splitlines()
    assert [line.split()[0] for line in lines] == names
    assert all(event.value in line for event, line in zip(Event, lines, strict=True))


def test_events_come_in_the_documented_order() -> None:
    recorder = Recorder()
    loop(count, counted(), cycle(range(9)), steps=3, observers=[recorder, Evaluation(None, [2, 3])])
    assert recorder.told == [
        ("STARTED", 0),
        ("STEPPED", 1),
        ("STEPPED", 2),
        ("EVALUATED", 2),
        ("STEPPED", 3),
        ("EVALUATED", 3),
        ("ENDED", 3),
    ]


def test_an_interruption_comes_after_its_step_is_told_and_no_end_is_claimed() -> None:
    recorder, asked = Recorder(), iter([False, True])

    def poll() -> None:
        if next(asked):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop(count, counted(), cycle([1]), steps=9, observers=[recorder], poll=poll)
    assert recorder.told == [("STARTED", 0), ("STEPPED", 1), ("STEPPED", 2), ("INTERRUPTED", 2)]


def test_observers_are_called_in_their_order_with_the_metrics_of_the_step() -> None:
    calls: list[tuple[str, Any]] = []

    def noting(name: str) -> Callable[[Moment], None]:
        return lambda moment: calls.append((name, moment.metrics.get("batch")))

    loop(count, counted(), iter([7]), steps=1, observers=[noting("first"), noting("second")])
    assert calls[2:4] == [("first", 7), ("second", 7)]


# --- divergence


def test_a_diverged_step_is_not_counted_and_ends_the_loop_saying_so() -> None:
    def step(state: State, batch: int, noise: Any) -> tuple[State, dict[str, Any]]:
        if batch == 2:
            raise Diverged
        return state, {}

    recorder = Recorder()
    state = loop(step, State(), iter(range(9)), steps=9, observers=[recorder])
    assert state.counters == {"step": 2, "diverged": 2}
    assert recorder.told[-2:] == [("DIVERGED", 2), ("ENDED", 2)]
    again = loop(step, state, iter(range(9)), steps=9)  # stays where it diverged
    assert again.counters == {"step": 2, "diverged": 2}


def squares(network: Callable[..., Tensor], batch: tuple[Tensor, ...], noise: Any = None) -> Tensor:
    return F.mse_loss(network(batch[0]), batch[0][:, :CLASSES])


def diverge(every: int | None, steps: int = 40) -> Trained:
    return fit(
        linear,
        loss=squares,
        optimizer=SGD(lr=1e4),
        data=(X, Y),
        batch_size=BATCH,
        steps=steps,
        seeds=[3],
        services=Services(),
        every=every,
        evaluate=lambda network, seed: {"size": network(X).abs().max()},
    )


def test_a_huge_rate_diverges_and_the_weights_stay_as_before_the_bad_update() -> None:
    trained = diverge(every=1)
    reached = int(trained.curves["loss"][0].isfinite().sum())
    assert trained.diverged.tolist() == [True]
    assert 0 < reached < 40

    def huge(parameters: Any, fused: bool) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=1e4, fused=fused)

    case = Case(SGD(lr=1e4), huge, linear, squares)
    network, losses = plain(case, seed=3, steps=reached)
    assert same(trained.networks[0]["network"], network)
    assert trained.curves["loss"][0, :reached].tolist() == losses
    assert not torch.isfinite(torch.tensor(plain(case, seed=3, steps=reached + 1)[1][-1]))
    for name in ("loss", "size"):
        assert trained.curves[name][0, reached:].isnan().all()
    assert trained.final("size").isnan().all()


def test_a_seed_that_diverges_before_its_first_evaluation_keeps_its_row() -> None:
    trained = diverge(every=None)
    assert trained.curves.keys() == {"loss", "size"}
    assert trained.curves["size"].shape == (1, 1)
    assert trained.final("size").isnan().all()


def test_a_loss_that_is_not_finite_in_the_very_first_step_is_reported_too() -> None:
    trained = fit(
        linear,
        loss=lambda network, batch, noise: network(batch[0]).sum() * float("nan"),
        optimizer=Adam(),
        data=(X, Y),
        batch_size=BATCH,
        steps=3,
        seeds=[3],
        services=Services(),
        evaluate=lambda network, seed: {"zero": 0.0},
    )
    with streams(3).init():
        start = linear()
    assert trained.diverged.tolist() == [True]
    assert trained.final("zero").isnan().all()
    assert same(trained.networks[0]["network"], start)


def test_a_seed_that_diverges_leaves_its_neighbours_bits_alone() -> None:
    poisoned = torch.cat([X, torch.full((1, INPUTS), float("nan"))])

    def run(seeds: list[int]) -> Trained:
        return fit(
            deep,
            loss=classify,
            optimizer=W,
            data=(poisoned, torch.cat([Y, Y[:1]])),
            batch_size=BATCH,
            steps=STEPS,
            seeds=seeds,
            services=Services(),
            rows=lambda seed: torch.arange(N + 1) if seed == 5 else torch.arange(N),
            every=2,
        )

    trained = run([3, 5, 9])
    assert trained.diverged.tolist() == [False, True, False]
    assert same(trained.networks[0]["network"], plain(CASES["adamw"], seed=3)[0])
    assert same(trained.networks[2]["network"], plain(CASES["adamw"], seed=9)[0])
    assert trained.final("loss").isnan().tolist() == [False, True, False]
    # The bad example was met in the forward pass: no weight has it, batch norm's means may.
    assert all(p.isfinite().all() for p in trained.networks[1]["network"].parameters())


# --- observers and the bits


def peeking(network: Callable[..., Tensor], seed: int) -> dict[str, Any]:
    torch.rand(3)  # an evaluation may draw; the noise stream must not notice
    return {"error": (network(X).argmax(1) != Y).double().mean(), "seed": seed}


@pytest.mark.parametrize("every", [1, 4, None])
def test_evaluating_changes_no_bit_of_the_training(every: int | None) -> None:
    trained = fit(
        deep,
        loss=classify,
        optimizer=W,
        data=(X, Y),
        batch_size=BATCH,
        steps=STEPS,
        seeds=[3],
        services=Services(),
        evaluate=peeking,
        every=every,
    )
    assert same(trained.networks[0]["network"], plain(CASES["adamw"], seed=3)[0])
    assert trained.final("seed").tolist() == [3]


def test_an_observer_that_draws_or_evaluates_in_training_mode_would_be_noticed() -> None:
    def run(observer: Callable[[Moment], None]) -> nn.Module:
        def source() -> Iterator[tuple[Tensor, ...]]:
            while True:
                yield (X, Y)

        with streams(3).init():
            network = deep()
        optimizer = adamw(network.parameters(), fused=True)
        update = Update(loss=lambda nets, batch, noise: (classify(nets["network"], batch), {}))
        with streams(3).noise():
            loop(
                gradient_step([update], {"main": 0.02}),
                State({"network": network}, {"main": optimizer}),
                source(),
                steps=4,
                observers=[observer],
            )
        return network

    def draws(moment: Moment) -> None:
        torch.rand(1)

    def measures_in_training_mode(moment: Moment) -> None:
        with torch.no_grad():
            moment.state.networks["network"](X)

    measure = Evaluation(lambda nets: {"x": torch.rand(1) + nets["network"](X).sum()}, [2])
    quiet = run(lambda moment: None)
    assert same(quiet, run(measure))
    assert not same(quiet, run(draws))
    assert not same(quiet, run(measures_in_training_mode))


@pytest.mark.parametrize("spec", [SGD(lr=-1.0), Adam(lr=float("nan")), AdamW(weight_decay=-0.1)])
def test_numbers_that_torch_refuses_are_a_message(spec: OptimizerSpec) -> None:
    with pytest.raises(PracticumError, match=f"{type(spec).__name__} cannot train .*Invalid"):
        build(spec, [torch.zeros(2, requires_grad=True)])
    with pytest.raises(PracticumError, match="empty parameter list"):
        build(SGD(lr=0.1), [])
