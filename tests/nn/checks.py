"""What several networks are held to in the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.fit import fit
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services


def lanes_equal_the_loop(
    build: Callable[[], nn.Module],
    loss: Callable[[Any, tuple[Tensor, ...]], Tensor],
    data: tuple[Tensor, ...],
    *,
    batch_size: int,
    steps: int,
) -> None:
    """Train two seeds in the loop and in lanes, in float64; the weights agree, the seeds differ.

    Args:
        build: the network.
        loss: (network, batch) -> scalar.
        data: the examples; sizes that the batch size does not divide give a last, smaller batch.
        batch_size: examples a step.
        steps: how many.
    """
    torch.set_default_dtype(torch.float32)
    loop, lanes = (
        fit(
            build,
            loss=lambda network, batch, noise: loss(network, batch),
            optimizer=Adam(lr=0.01),
            data=data,
            batch_size=batch_size,
            steps=steps,
            seeds=(1, 2),
            services=Services(arithmetic=Arithmetic(path=path, lane_group=2, precision="float64")),
        )
        for path in ("loop", "lanes")
    )
    for ours, theirs in zip(loop.weights(), lanes.weights(), strict=True):
        assert ours.keys() == theirs.keys()
        for name, a in ours.items():
            torch.testing.assert_close(a, theirs[name], rtol=0, atol=1e-9, msg=name)
    first, second = loop.weights()
    assert any(not torch.equal(a, second[name]) for name, a in first.items())


def dropped(run: Callable[[], Tensor], monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return the shapes of what dropout really acts on during a call, in order."""
    found: list[tuple[int, ...]] = []
    dropout = F.dropout

    def noted(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
        if p > 0 and training:
            found.append(tuple(x.shape))
        return dropout(x, p, training)

    with monkeypatch.context() as patch:
        patch.setattr(F, "dropout", noted)
        run()
    return found
