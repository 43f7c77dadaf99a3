"""The random draws of lanes: recorded once, then made for every lane from its own generator.

A rehearsal of one lane records which draws a loss makes and in which order; before every step the
same draws are made for every lane, row by row, and the mapped program reads them instead of
drawing. A row has the bits that the loop would have drawn: `F.dropout` on a CPU is
`empty_like(x).bernoulli_(1 - p).div_(1 - p)`, the others are torch's own fill functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from practicum.engine.seeds import Streams
from practicum.errors import PracticumError

Kind = Literal[
    "normal", "uniform", "integers", "bernoulli", "dropout", "exponential", "permutation"
]


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One random tensor of one lane.

    Attributes:
        kind: its distribution.
        shape: its shape without lanes.
        stride: its strides in memory; torch fills in the order of memory.
        dtype: its type.
        device: where it is drawn.
        argument: the probability that an element is kept, or (low, high) of integers.
    """

    kind: Kind
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: str
    argument: tuple[float, ...] = ()

    def fill(self, row: Tensor, generator: torch.Generator) -> None:
        """Draw into a tensor of this shape and these strides."""
        match self.kind:
            case "normal":
                row.normal_(generator=generator)
            case "uniform":
                row.uniform_(generator=generator)
            case "integers":
                low, high = self.argument
                row.random_(int(low), int(high), generator=generator)
            case "bernoulli" | "dropout":
                row.bernoulli_(self.argument[0], generator=generator)
            case "exponential":
                row.exponential_(generator=generator)
            case "permutation":
                torch.randperm(len(row), generator=generator, out=row)

    def finish(self, drawn: Tensor) -> None:
        """Do what follows the draw, for all lanes at once."""
        if self.kind == "dropout":
            drawn.div_(self.argument[0])

    def empty(self, *lead: int) -> Tensor:
        """Return memory for this draw, with leading axes outside its own memory."""
        numel = torch.Size(self.shape).numel()
        strides = []
        for size in reversed(lead):
            strides.append(numel)
            numel *= size
        return torch.empty_strided(
            (*lead, *self.shape),
            (*reversed(strides), *self.stride),
            dtype=self.dtype,
            device=self.device,
        )


def toss(rows: Tensor, p: float, generators: Sequence[torch.Generator]) -> None:
    """Fill each lane's row with the bits of its `bernoulli_(p)`, in less than half the time."""
    fast = rows.device.type == "cpu" and _known_coins()
    for row, generator in zip(rows, generators, strict=True):
        if fast:
            _coins(row, p, generator)
        else:
            row.bernoulli_(p, generator=generator)


def _coins(row: Tensor, p: float, generator: torch.Generator) -> None:
    # Torch draws 64 bits for each element, makes a double in [0, 1) of the last 53, and compares it
    # with p, one after the other. Drawn all at once, and compared as integers, they are the same.
    drawn = torch.empty_like(row, dtype=torch.int64).random_(generator=generator)
    torch.lt(drawn.bitwise_and_(2**53 - 1), math.ceil(p * 2**53), out=row)


@cache
def _known_coins() -> bool:
    """Tell whether `bernoulli_` draws as `_coins` does, which on some processors it does not."""
    (one, mine), (other, theirs) = (
        (torch.empty(1000), torch.Generator().manual_seed(1)) for _ in range(2)
    )
    _coins(one, 0.3, mine)
    other.bernoulli_(0.3, generator=theirs)
    return torch.equal(one, other) and torch.equal(mine.get_state(), theirs.get_state())


@runtime_checkable
class Taker(Protocol):
    """Where a draw comes from: made now (rehearsal), or made before the step (lanes).

    Attributes:
        drawing: whether it is drawing just now, with torch's own functions.
    """

    drawing: bool

    def take(self, draw: Draw) -> Tensor:
        """Return the tensor of the next draw."""
        ...


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a contiguous tensor."""
    return torch.empty(shape, device="meta").stride()


class Recorder:
    """Makes every draw now, from a throwaway generator, and remembers what it was."""

    def __init__(self) -> None:
        self.drawing = False
        self.draws: list[Draw] = []
        self.generators: dict[str, torch.Generator] = {}

    def take(self, draw: Draw) -> Tensor:
        """Draw, and remember."""
        self.draws.append(draw)
        self.drawing = True
        row = draw.empty()
        draw.fill(row, self.generators.setdefault(draw.device, torch.Generator(draw.device)))
        draw.finish(row)
        self.drawing = False
        return row


class Drawn:
    """Hands out tensors that were drawn before, in the order of the rehearsal."""

    def __init__(self, draws: Sequence[Draw], tensors: Sequence[Tensor]) -> None:
        self.draws, self.tensors, self.next = draws, tensors, 0
        self.drawing = False

    def take(self, draw: Draw) -> Tensor:
        """Return the next tensor.

        Raises:
            PracticumError: the rehearsal drew something else here.
        """
        at, self.next = self.next, self.next + 1
        expected = self.draws[at] if at < len(self.draws) else None
        # A lane's tensors may lie in memory in another order, or have another type under autocast;
        # the rehearsal's are the loop's.
        if expected is None or expected != replace(
            draw, stride=expected.stride, dtype=expected.dtype
        ):
            raise PracticumError(
                f"draw {at + 1} of a step is {draw.kind} {draw.shape} in one call of the loss and "
                f"{'missing' if expected is None else expected} in another; in lanes every step "
                "must draw the same. Seeds that draw differently run seed by seed in workers"
            )
        return self.tensors[at].to(draw.dtype)


class LaneNoise:
    """The `noise` argument of a loss, taking its draws from outside; shapes are one lane's."""

    def __init__(self, taker: Taker, device: str) -> None:
        self.taker, self.device = taker, device

    def _take(self, kind: Kind, shape: tuple[int, ...], *argument: float) -> Tensor:
        dtype = torch.int64 if kind == "integers" else torch.get_default_dtype()
        draw = Draw(
            kind=kind,
            shape=shape,
            stride=contiguous(shape),
            dtype=dtype,
            device="cpu",  # as in the loop: the same numbers on every device
            argument=argument,
        )
        return self.taker.take(draw).to(self.device)

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution."""
        return self._take("normal", shape)

    def uniform(self, *shape: int) -> Tensor:
        """Draw uniformly from [0, 1)."""
        return self._take("uniform", shape)

    def bernoulli(self, p: float, *shape: int) -> Tensor:
        """Draw 1.0 with probability p, else 0.0."""
        return self._take("bernoulli", shape, p)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Draw integers uniformly from 0 .. high - 1."""
        return self._take("integers", shape, 0, high)


class LaneGenerators:
    """Every lane's noise stream, on each device where a loss draws."""

    def __init__(self, streams: Sequence[Streams]) -> None:
        self.streams = tuple(streams)
        self.of: dict[str, list[torch.Generator]] = {
            "cpu": [one.generator("noise") for one in self.streams]
        }

    def on(self, device: str) -> list[torch.Generator]:
        """Return the lanes' generators on a device."""
        if device not in self.of:
            self.of[device] = [
                torch.Generator(device).manual_seed(one.number("noise")) for one in self.streams
            ]
        return self.of[device]

    def fill(self, draws: Sequence[Draw], memory: Sequence[Tensor]) -> None:
        """Make a step's draws for every lane, each [lanes, *shape]."""
        for draw, rows in zip(draws, memory, strict=True):
            generators = self.on(draw.device)
            if draw.kind in ("bernoulli", "dropout"):
                toss(rows, draw.argument[0], generators)
            else:
                for row, generator in zip(rows, generators, strict=True):
                    draw.fill(row, generator)
            draw.finish(rows)

    def states(self, lane: int) -> dict[str, Tensor]:
        """Return the states of one lane's generators, as `set_generator_states` takes them."""
        return {
            torch.device(device).type: generators[lane].get_state()
            for device, generators in self.of.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return every generator's state."""
        return {
            device: [one.get_state() for one in generators]
            for device, generators in self.of.items()
        }

    def load_state_dict(self, saved: Mapping[str, Sequence[Tensor]]) -> None:
        """Set every generator's state."""
        for device, states in saved.items():
            for generator, state in zip(self.on(device), states, strict=True):
                generator.set_state(state)
