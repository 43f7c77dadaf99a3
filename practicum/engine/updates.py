"""Gradient updates as data, and the step that carries them out in the loop.

An update says which loss moves which optimizer's parameters, and how its gradient is treated:
accumulated over parts of the batch, clipped, its rate scheduled. A step is a sequence of updates,
so two players are two updates. `lanes.py` carries out the same descriptions for many seeds at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from practicum.engine.clipping import Clip
from practicum.engine.loop import Diverged, Step
from practicum.engine.noise import Noise
from practicum.engine.schedules import Schedule
from practicum.engine.state import State

Networks = Mapping[str, Callable[..., Any]]
Batch = tuple[Tensor, ...]
Loss = Callable[[Networks, Batch, Noise], tuple[Tensor, Mapping[str, Tensor]]]


@dataclass(frozen=True, kw_only=True)
class Update:
    """One gradient update.

    Attributes:
        loss: (networks, batch, noise) -> (scalar, further metrics by name).
        optimizer: name of the optimizer whose parameters move.
        accumulate: parts that the batch is cut into; the gradient is the mean over its examples.
        clip: clipping rule, or None.
        schedule: factor on the learning rate, or None.
    """

    loss: Loss
    optimizer: str = "main"
    accumulate: int = 1
    clip: Clip | None = None
    schedule: Schedule | None = None


def parts_of(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch along its examples into so many parts, or fewer where it has too few."""
    if parts == 1:
        return [batch]
    return list(zip(*(one.chunk(parts) for one in batch), strict=True))


def gradient_step(updates: Sequence[Update], rates: Mapping[str, float]) -> Step:
    """Return the step that carries out the updates in order.

    Args:
        updates: what to do, in order.
        rates: the unscheduled learning rate of each optimizer.
    """

    def step(state: State, batch: Batch, noise: Noise) -> tuple[State, dict[str, Any]]:
        metrics: dict[str, Any] = {}
        for update in updates:
            metrics |= _apply(update, state, batch, noise, rates[update.optimizer])
        return state, metrics

    return step


def _apply(update: Update, state: State, batch: Batch, noise: Noise, rate: float) -> dict[str, Any]:
    optimizer = state.optimizers[update.optimizer]
    if update.schedule is not None:
        for group in optimizer.param_groups:
            group["lr"] = rate * update.schedule(state.step)
    optimizer.zero_grad()
    value = 0.0
    metrics: Mapping[str, Tensor] = {}
    for part in parts_of(batch, update.accumulate):
        loss, metrics = update.loss(state.networks, part, noise)
        if update.accumulate > 1:  # by its share: the last batch's parts may differ in size
            loss = loss / (len(batch[0]) / len(part[0]))
        value += loss.item()
        if not math.isfinite(value):
            raise Diverged
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    if update.clip is not None:
        _clip(update, state)
    optimizer.step()
    return {"loss" if update.optimizer == "main" else f"loss/{update.optimizer}": value, **metrics}


def _clip(update: Update, state: State) -> None:
    """Scale the gradients of one optimizer by what its clipping rule says."""
    assert update.clip is not None
    groups = state.optimizers[update.optimizer].param_groups
    gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    memory = f"norms/{update.optimizer}"
    factor, seen = update.clip(norm.reshape(1), state.buffers.get(memory))
    if seen is not None:
        state.buffers[memory] = seen
    torch._foreach_mul_(gradients, factor[0])
