"""The same code on a CUDA device; skipped, with the reason, where there is none.

Would catch: a tensor left on the CPU, dropout that draws from an unseeded device generator, a
checkpoint that forgets that generator, training on the device that learns something else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.clipping import AutoClip
from practicum.engine.fit import fit
from practicum.engine.optimizers import AdamW
from practicum.engine.schedules import Cosine
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Trained

pytestmark = pytest.mark.gpu
STEPS = 12
_made = torch.Generator().manual_seed(4)
X, Y = torch.randn(27, 10, generator=_made), torch.randint(4, (27,), generator=_made)


class Stopped(BaseException):
    """Ctrl-C."""


def training(
    device: str, *, dropout: float = 0.0, precision: Any = "float64", **services: Any
) -> Trained:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Linear(10, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Dropout(dropout), nn.Linear(12, 4)
        )

    x, y = X.to(device), Y.to(device)
    return fit(
        build,
        loss=lambda network, batch, noise: F.cross_entropy(
            network(batch[0] + 0.1 * noise.normal(*batch[0].shape)), batch[1]
        ),
        optimizer=AdamW(lr=0.02),
        data=(X, Y),
        batch_size=8,
        steps=STEPS,
        seeds=[3, 5],
        services=Services(
            arithmetic=Arithmetic(precision=precision, device=device), device=device, **services
        ),
        evaluate=lambda network, seed: {
            "nats": F.cross_entropy(network(x.to(next(network.parameters()))).double(), y)
        },
        every=5,
        clip=AutoClip(percentile=50.0),
        schedule=Cosine(steps=STEPS),
    )


def same(one: Trained, other: Trained) -> bool:
    return all(
        torch.equal(a[name], b[name])
        for a, b in zip(one.weights(), other.weights(), strict=True)
        for name in a
    )


def test_float64_on_the_device_agrees_with_the_cpu() -> None:
    cpu, cuda = training("cpu"), training("cuda")
    for ours, theirs in zip(cuda.weights(), cpu.weights(), strict=True):
        for name in set(ours) - {"network.0.bias", "network.1.running_mean"}:
            assert ours[name].is_cuda
            torch.testing.assert_close(ours[name].cpu(), theirs[name], rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(cuda.curves["nats"], cpu.curves["nats"], rtol=1e-9, atol=1e-9)
    assert not torch.allclose(cpu.final("nats"), cpu.curves["nats"][:, 0], rtol=1e-3)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.1)])
def test_other_precisions_agree_roughly(precision: str, tolerance: float) -> None:
    cpu, cuda = training("cpu", precision=precision), training("cuda", precision=precision)
    torch.testing.assert_close(
        cuda.curves["nats"], cpu.curves["nats"], rtol=tolerance, atol=tolerance
    )


def test_dropout_on_the_device_draws_from_the_seeds_noise_stream() -> None:
    first = training("cuda", dropout=0.5)
    torch.cuda.manual_seed(1234)
    torch.rand(5, device="cuda")
    assert same(first, training("cuda", dropout=0.5))
    assert not same(first, training("cuda"))


def test_a_stream_gives_the_callers_device_generator_back() -> None:
    torch.cuda.manual_seed(9)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(9)
    with streams(0).noise():
        inside = torch.rand(3, device="cuda")
    assert torch.equal(torch.rand(3, device="cuda"), expected)
    assert not torch.equal(inside, expected)


@pytest.mark.parametrize("polls", [1, 7, 17])
def test_interrupted_on_the_device_it_ends_with_the_same_bits(polls: int, tmp_path: Path) -> None:
    left = [polls]

    def poll() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Stopped

    with pytest.raises(Stopped):
        training("cuda", dropout=0.5, checkpoint=tmp_path, poll=poll)
    torch.cuda.manual_seed(77)
    resumed = training("cuda", dropout=0.5, checkpoint=tmp_path)
    assert same(resumed, training("cuda", dropout=0.5))
