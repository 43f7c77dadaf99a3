"""One update's losses and gradients for all lanes, as one traced program.

The loss of one seed is mapped over the lanes (`torch.func.vmap`), its gradient taken outside the
map, and both recorded once for each shape of batch as a list of batched tensor operations: what
vmap, autograd and modules cost is paid once, not every step. A loss must therefore be a pure
function of (networks, batch, noise): it is not called again.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from practicum.engine.lane_draws import Draw, Drawn, LaneNoise, Recorder
from practicum.engine.lane_graph import remeasure, tidy
from practicum.engine.lane_layout import Stacked, Whole
from practicum.engine.lane_level import level
from practicum.engine.lane_noise import Intercept
from practicum.engine.lane_tape import record
from practicum.engine.updates import Batch, Loss
from practicum.errors import PracticumError


@dataclass(frozen=True)
class Rehearsal:
    """What one call of a loss does: its draws in order, and the parameters that it reaches."""

    draws: tuple[Draw, ...]
    used: frozenset[str]


def rehearse(loss: Loss, whole: Whole, batch: Batch, device: str) -> Rehearsal:
    """Call a loss once for one seed, on a copy of its networks, with throwaway random numbers.

    Raises:
        PracticumError: it does what lanes cannot do; the message names the module.
    """
    whole = copy.deepcopy(whole)
    recorder = Recorder()
    buffers = {name: id(buffer) for name, buffer in whole.named_buffers()}
    with _trail(whole) as trail:
        try:
            with torch.enable_grad(), Intercept(recorder):
                value, _ = whole(loss, batch, LaneNoise(recorder, device))
        except PracticumError as error:
            raise PracticumError(f"{trail()}: {error}") from None
        value.backward()
    for name, buffer in whole.named_buffers():
        if buffers.get(name) != id(buffer):
            raise PracticumError(
                f"buffer {whole.public(name)} is replaced by a new tensor in every step, which "
                "lanes cannot follow; write into it (`copy_`), or let it run seed by seed"
            )
    used = frozenset(name for name, one in whole.named_parameters() if one.grad is not None)
    return Rehearsal(tuple(recorder.draws), used)


@dataclass(frozen=True)
class Program:
    """A traced update.

    Attributes:
        run: (stacked tensors, batch, drawn) in one list -> losses, the metric "loss" or None,
            gradients; each with the lanes first.
        moves: the numbers of the leaves whose gradients it returns, in this order.
        draws: what to draw before each run.
        memory: where to draw it, [lanes, *shape] each.
    """

    run: Callable[..., tuple[Any, ...]]
    moves: tuple[int, ...]
    draws: tuple[Draw, ...]
    memory: tuple[Tensor, ...]


def trace(
    loss: Loss,
    whole: Whole,
    stacked: Stacked,
    moves: Sequence[int],
    batch: Batch,
    rehearsal: Rehearsal,
    *,
    over: float = 1.0,
    device: str = "cpu",
    compile: bool = False,
) -> Program:
    """Trace one update for all lanes.

    Args:
        loss: the loss of one seed.
        whole: networks of one seed; only their structure is used.
        stacked: the lanes' tensors.
        moves: which leaves the update moves.
        batch: an example, [lanes, batch, ...] each.
        rehearsal: what the loss does with such a batch.
        over: what the loss is divided by (a part of an accumulated batch).
        device: where the lanes live.
        compile: whether torch.compile makes kernels of the program.

    Raises:
        PracticumError: the loss cannot be mapped over lanes; the message names the module.
    """
    moved, others = tuple(stacked.moved), tuple(stacked.others)
    wanted = [name for i in moves for name in stacked.plan[i].names]
    draws = rehearsal.draws

    def one(tensors: dict[str, Tensor], data: Batch, drawn: Sequence[Tensor]) -> Any:
        taker = Drawn(draws, drawn)
        with Intercept(taker):
            value, metrics = functional_call(
                whole, tensors, (loss, data, LaneNoise(taker, device)), tie_weights=True
            )
        value = value / over if over != 1 else value
        return value, *(torch.as_tensor(metrics[key]) for key in ("loss",) if key in metrics)

    def program(*flat: Tensor) -> tuple[Any, ...]:
        tensors = dict(zip((*moved, *others), flat, strict=False))
        tensors |= {name: tensors[name].detach().requires_grad_() for name in wanted}
        rest = flat[len(tensors) :]
        data, drawn = rest[: len(batch)], rest[len(batch) :]
        with torch.enable_grad():
            mapped = vmap(one, randomness="error")(tensors, data, drawn)
            losses, reported = mapped[0], mapped[1].detach() if mapped[1:] else None
            found = torch.autograd.grad(
                losses.sum(), [tensors[name] for name in wanted], allow_unused=True
            )
        gradients = dict(zip(wanted, found, strict=True))
        rows = [stacked.plan[i].join(gradients, stacked.lanes) for i in moves]
        return (losses.detach(), reported, *rows)

    memory = tuple(draw.empty(stacked.lanes).zero_() for draw in draws)
    others_now = (other.clone() for other in stacked.others.values())  # running statistics move
    example = [*stacked.moved.values(), *others_now, *batch, *memory]
    return Program(_traced(program, whole, example, compile), tuple(moves), draws, memory)


def trace_call(
    name: str, whole: Whole, stacked: Stacked, inputs: Sequence[Tensor]
) -> Callable[..., Any]:
    """Trace one call of one network for all lanes, without gradients.

    Args:
        name: the network's.
        whole: networks of one seed; only their structure is used.
        stacked: the lanes' tensors.
        inputs: an example, [lanes, B, ...] each.

    Returns:
        (stacked tensors, inputs) in one list -> the network's output, lanes first.

    Raises:
        PracticumError: the network cannot be mapped over lanes, or draws random numbers.
    """
    names = (*stacked.moved, *stacked.others)

    def one(tensors: dict[str, Tensor], data: Batch) -> Any:
        return functional_call(whole, tensors, (_call(name), data, None), tie_weights=True)

    several = False

    def program(*flat: Tensor) -> tuple[Any, ...]:
        nonlocal several
        tensors = dict(zip(names, flat, strict=False))
        with torch.no_grad():
            output = vmap(one, randomness="error")(tensors, flat[len(tensors) :])
        several = isinstance(output, tuple)
        return output if several else (output,)

    run = _traced(program, whole, [*stacked.tensors, *inputs])
    return run if several else lambda *flat: run(*flat)[0]


def _call(name: str) -> Callable[..., Any]:
    return lambda networks, inputs, noise: networks[name](*inputs)


def _unchanged(run: Callable[..., Any], folded: Sequence[Tensor]) -> Callable[..., Any]:
    """Return a program that refuses to run once a tensor that it has read once has changed."""
    if not folded:
        return run
    versions = [(one, one._version) for one in folded]

    def checked(*flat: Tensor) -> Any:
        for one, version in versions:
            if one._version != version:
                raise PracticumError(
                    f"a tensor of {one.dtype} that the loss or a network closes over was changed "
                    "between two steps; lanes read whole numbers and truth values once. Hand it "
                    "over with the batch, make it floating-point, or run seed by seed"
                )
        return run(*flat)

    return checked


def _traced(
    program: Callable[..., Any], whole: Whole, example: Sequence[Tensor], compile: bool = False
) -> Callable[..., Any]:
    with _trail(whole) as trail, warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*performance drop.*")
        try:
            module = record(program, example)
        except PracticumError as error:
            raise PracticumError(f"{trail()}: {error}") from None
        except Exception as error:
            said = str(error).strip().split("\n")[0]
            raise PracticumError(
                f"{trail()} cannot run in lanes: {said} It runs seed by seed in workers instead "
                "(the loop path, which the planner chooses)"
            ) from error
    folded = tidy(module)
    remeasure(module, example)
    level(module)
    for node in module.graph.nodes:
        node.meta.clear()  # the recorded tensors
    return _unchanged(torch.compile(module, dynamic=False) if compile else module.forward, folded)


@contextmanager
def _trail(whole: Whole) -> Iterator[Callable[[], str]]:
    """Within, know which part of the networks is at work, for a message that names it."""
    path: list[str] = []
    handles = []

    def enter(name: str) -> Callable[..., None]:
        return lambda module, arguments: path.append(name)

    def leave(module: nn.Module, arguments: Any, result: Any) -> None:
        path.pop()

    for name, module in whole.named_modules():
        handles.append(module.register_forward_pre_hook(enter(name)))
        handles.append(module.register_forward_hook(leave))

    def where() -> str:
        name = path[-1] if path else ""
        kind = type(whole.get_submodule(name)).__name__
        return f"{whole.public(name)} ({kind})" if name else "the loss"

    try:
        yield where
    finally:
        for handle in handles:
            handle.remove()
