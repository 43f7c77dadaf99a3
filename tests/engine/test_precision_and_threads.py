"""Other arithmetic than the reference: float64, bfloat16 under autocast, two threads.

Would catch: float64 that is float32 somewhere on the way (start, data, optimizer), autocast that
never begins or that computes with weights rounded once at the first step, an engine whose bits at
two threads are not those of a plain loop at two threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.fit import fit
from practicum.engine.optimizers import AdamW
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Trained

Precision = Literal["float32", "float64", "bfloat16"]
STEPS, BATCH = 14, 8
_made = torch.Generator().manual_seed(4)
X, Y = torch.randn(27, 10, generator=_made), torch.randint(4, (27,), generator=_made)


def deep() -> nn.Module:
    return nn.Sequential(
        nn.Linear(10, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, 4)
    )


def wide() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(10, 600), nn.Tanh(), nn.Linear(600, 4))


def classify(network: Callable[..., Tensor], batch: tuple[Tensor, ...], noise: Any) -> Tensor:
    return F.cross_entropy(network(batch[0]), batch[1])


def engine(precision: Precision, build: Callable[[], nn.Module] = deep) -> Trained:
    return fit(
        build,
        loss=classify,
        optimizer=AdamW(lr=0.02),
        data=(X, Y),
        batch_size=BATCH,
        steps=STEPS,
        seeds=[3],
        services=Services(arithmetic=Arithmetic(precision=precision)),
        evaluate=lambda network, seed: {"logit": network(X.to(next(network.parameters())))[0, 0]},
        every=5,
    )


def plain(
    dtype: torch.dtype = torch.float32,
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    outside: Callable[[], AbstractContextManager[Any]] = nullcontext,
    build: Callable[[], nn.Module] = deep,
) -> nn.Module:
    """The loop by hand; `context` is entered for each loss, `outside` once for the whole loop."""
    s = streams(3)
    with s.init():
        network = build()
    network.to(dtype)
    x = X.to(dtype)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02, fused=True)
    order, steps = s.order(), 0
    with s.noise(), outside():
        while steps < STEPS:
            for index in torch.randperm(27, generator=order).split(BATCH)[: STEPS - steps]:
                optimizer.zero_grad()
                with context():
                    loss = F.cross_entropy(network(x[index]), Y[index])
                loss.backward()
                optimizer.step()
                steps += 1
    return network


def same(trained: Trained, network: nn.Module) -> bool:
    ours = trained.networks[0]["network"].state_dict()
    theirs = network.state_dict()
    return all(
        ours[name].dtype == tensor.dtype and torch.equal(ours[name], tensor)
        for name, tensor in theirs.items()
    )


def autocast() -> AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16)


def test_float64_gives_the_bits_of_the_plain_loop_in_float64() -> None:
    trained = engine("float64")
    assert same(trained, plain(torch.float64))
    weight = trained.weights()[0]["network.0.weight"]
    assert weight.dtype == torch.float64
    assert not torch.equal(weight.float().double(), weight)  # no float32 in float64 clothes


def test_float64_starts_where_float32_starts_and_stays_near() -> None:
    double, single = engine("float64").weights()[0], engine("float32").weights()[0]
    # The first bias feeds batch norm, which takes it out again: its gradient is rounding alone.
    for name in sorted(set(double) - {"network.0.bias", "network.1.running_mean"}):
        one, other = single[name].double(), double[name].double()
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3)


def test_bfloat16_gives_the_bits_of_the_plain_autocast_loop() -> None:
    trained = engine("bfloat16")
    assert same(trained, plain(context=autocast))
    assert trained.weights()[0]["network.0.weight"].dtype == torch.float32
    assert not same(trained, plain())


def test_one_autocast_around_the_whole_loop_would_be_noticed() -> None:
    """It keeps the rounded weights of the first step and computes every loss with them."""
    stale = plain(outside=autocast)
    assert not same(engine("bfloat16"), stale)


def test_bfloat16_evaluates_under_autocast_with_the_weights_of_the_moment() -> None:
    trained = engine("bfloat16")
    network = trained.networks[0]["network"].eval()
    with torch.no_grad(), autocast():
        expected = float(network(X)[0, 0])
    assert trained.final("logit").tolist() == [expected]
    curve = trained.curves["logit"][0].tolist()
    assert len(set(curve)) == len(curve)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("build", [deep, wide], ids=["small", "wide"])
def test_at_two_threads_the_bits_are_those_of_the_plain_loop_at_two_threads(
    build: Callable[[], nn.Module], two_threads: None
) -> None:
    assert torch.get_num_threads() == 2
    assert same(engine("float32", build), plain(build=build))


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
def test_the_same_arithmetic_gives_the_same_bits_twice(precision: Precision) -> None:
    one, other = engine(precision).weights()[0], engine(precision).weights()[0]
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_arithmetic_names_everything_that_decides_the_bits() -> None:
    spec = Arithmetic(precision="float64").spec()
    assert spec["precision"] == "float64"
    assert spec["torch"] == torch.__version__
    assert spec["capability"] == torch.backends.cpu.get_cpu_capability()
    assert {"path", "lane_group", "threads", "fused", "compile", "device"} <= set(spec)
    assert Services(arithmetic=Arithmetic(precision="float64")).dtype == torch.float64
    assert Services(arithmetic=Arithmetic(precision="bfloat16")).dtype == torch.float32


def test_placing_changes_the_type_of_floating_tensors_only() -> None:
    x, y = Services(arithmetic=Arithmetic(precision="float64")).place(X, Y)
    assert (x.dtype, y.dtype) == (torch.float64, torch.int64)
