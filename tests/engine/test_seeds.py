"""The three random streams of a seed.

Would catch: streams that overlap or influence one another (arms that draw more noise would then
start elsewhere and seeds would not be paired), a derivation that changed (old runs could not be
repeated), seeds that collide, a caller's own random numbers disturbed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Trained

STREAMS = ("initialisation", "order", "noise")
# printf 'practicum/7/order' | sha256sum | cut -c 1-16, halved
KNOWN = {
    (0, "initialisation"): 5135753129023503234,
    (7, "order"): 4868629217538125607,
    (7, "noise"): 7714056242331189924,
}


@pytest.mark.parametrize("seed", [0, 7, 123456])
@pytest.mark.parametrize("stream", STREAMS)
def test_the_derivation_is_that_of_the_sha256sum_program(seed: int, stream: Any) -> None:
    text = f"practicum/{seed}/{stream}"
    ran = subprocess.run(["sha256sum"], input=text, capture_output=True, text=True, check=True)
    assert streams(seed).number(stream) == int(ran.stdout[:16], 16) // 2


@pytest.mark.parametrize(("seed", "stream"), KNOWN)
def test_the_derivation_never_changes(seed: int, stream: Any) -> None:
    assert streams(seed).number(stream) == KNOWN[seed, stream]


def test_no_two_streams_of_many_seeds_collide_even_in_the_32_bits_that_torch_uses() -> None:
    numbers = [streams(seed).number(one) for seed in range(3000) for one in STREAMS]
    assert len({number % 2**32 for number in numbers}) == len(numbers)
    assert all(0 <= number < 2**63 for number in numbers)
    naive = [seed + i for seed in range(3000) for i in range(3)]  # seed, seed + 1, seed + 2
    assert len(set(naive)) < len(naive)


def test_torch_uses_only_32_bits_of_a_seed() -> None:
    """The reason for the test above; if this fails, torch has improved."""
    low, high = (torch.Generator().manual_seed(n) for n in (5, 5 + 2**32))
    assert torch.equal(torch.rand(9, generator=low), torch.rand(9, generator=high))


def test_each_stream_has_numbers_of_its_own() -> None:
    drawn = [
        torch.rand(50, generator=streams(seed).generator(one))  # type: ignore[arg-type]
        for seed in range(20)
        for one in STREAMS
    ]
    correlations = np.corrcoef(torch.stack(drawn).double().numpy())
    np.fill_diagonal(correlations, 0)
    assert np.abs(correlations).max() < 0.7  # 50 numbers: 5 standard errors
    same = [streams(1).numpy(one).random(5) for one in STREAMS]  # type: ignore[arg-type]
    assert not np.allclose(same[0], same[1])
    assert not np.allclose(same[1], same[2])


def test_a_stream_begins_anew_each_time_it_is_asked_for() -> None:
    s = streams(4)
    first = torch.randperm(9, generator=s.order())
    assert torch.equal(first, torch.randperm(9, generator=s.order()))
    assert (s.numpy("noise").random(3) == s.numpy("noise").random(3)).all()
    with s.noise():
        one = torch.rand(3)
    with s.noise():
        assert torch.equal(one, torch.rand(3))
    assert torch.equal(one, torch.rand(3, generator=s.generator("noise")))


def test_within_a_stream_dropout_and_layers_draw_from_it_and_the_callers_numbers_are_kept() -> None:
    torch.manual_seed(99)
    expected = torch.rand(4)
    torch.manual_seed(99)
    with streams(4).init():
        layer = nn.Linear(3, 2)

    def fails() -> None:
        with streams(4).noise():
            torch.rand(7)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert torch.equal(torch.rand(4), expected)
    torch.manual_seed(streams(4).number("initialisation"))
    assert torch.equal(layer.weight, nn.Linear(3, 2).weight)


def test_nested_streams_return_to_the_outer_one() -> None:
    with streams(1).noise():
        whole = torch.rand(6)
    with streams(1).noise():
        first = torch.rand(3)
        with streams(2).init():
            torch.rand(11)
        second = torch.rand(3)
    assert torch.equal(torch.cat([first, second]), whole)


@pytest.mark.parametrize("seed", [-1, -100])
def test_a_negative_seed_is_an_error(seed: int) -> None:
    with pytest.raises(ValueError, match="integer >= 0"):
        streams(seed)


def arm(noisy: int) -> tuple[Trained, list[Tensor], list[Tensor]]:
    """Train with `noisy` extra draws a step; note the first weights and all batches."""
    starts: list[Tensor] = []
    batches: list[Tensor] = []

    def build() -> nn.Module:
        network = nn.Linear(2, 1)
        starts.append(network.weight.detach().clone())
        return network

    def loss(network: Callable[..., Tensor], batch: tuple[Tensor, ...], noise: Any) -> Tensor:
        batches.append(batch[0])
        for _ in range(noisy):
            noise.normal(3)
        return F.dropout(network(batch[0]), 0.5 if noisy else 0.0).square().mean()

    data = (torch.arange(22.0).reshape(11, 2) / 22,)
    trained = fit(
        build,
        loss=loss,
        optimizer=SGD(lr=0.1),
        data=data,
        batch_size=4,
        steps=8,
        seeds=[0, 5],
        services=Services(),
    )
    return trained, starts, batches


def test_arms_that_draw_different_noise_keep_the_same_start_and_the_same_order_of_data() -> None:
    quiet, noisy = arm(0), arm(3)
    assert all(map(torch.equal, quiet[1], noisy[1]))
    assert all(map(torch.equal, quiet[2], noisy[2]))
    assert len(quiet[2]) == 16
    assert not torch.equal(quiet[2][0], quiet[2][8])  # another seed, another order
    assert not torch.equal(quiet[0].final("loss"), noisy[0].final("loss"))
