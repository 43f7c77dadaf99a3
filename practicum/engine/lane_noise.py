"""Random draws in lanes: made outside the mapped program, each lane from its own generator.

A rehearsal of one lane records which draws a loss makes and in which order; before every step the
same draws are made for every lane, row by row, and the mapped program reads them instead of
drawing. A row has the bits that the loop would have drawn: `F.dropout` on a CPU is
`empty_like(x).bernoulli_(1 - p).div_(1 - p)`, the others are torch's own fill functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

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
            stride=_contiguous(shape),
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


class Intercept(TorchFunctionMode):
    """Within, torch's random functions take their numbers from outside.

    Raises:
        PracticumError: a random function that this cannot do is called; the message names it.
    """

    def __init__(self, taker: Taker) -> None:
        super().__init__()
        self.taker = taker

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Take the place of a random function; call any other as it is."""
        kwargs = dict(kwargs or {})
        if self.taker.drawing:
            return func(*args, **kwargs)
        replacement = _REPLACED.get(func)
        if replacement is not None:
            return replacement(self.taker, *args, **kwargs)
        if func in _REFUSED:
            raise PracticumError(
                f"{_name(func)} draws random numbers in a way that lanes cannot reproduce; draw "
                "through the `noise` argument of the loss, or let the planner run seed by seed"
            )
        return func(*args, **kwargs)


def _name(func: Callable[..., Any]) -> str:
    return f"torch function {getattr(func, '__name__', func)}"


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return torch.empty(shape, device="meta").stride()


def _sizes(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else tuple(sizes)


def _fresh(taker: Taker, kind: Kind, size: tuple[int, ...], **made: Any) -> Tensor:
    argument = made.pop("argument", ())
    dtype = made.pop("dtype", None) or (
        torch.int64 if kind in ("integers", "permutation") else torch.get_default_dtype()
    )
    device = str(made.pop("device", None) or torch.get_default_device())
    if any(value for value in made.values()):  # generator=, out=, requires_grad= ...
        raise PracticumError(
            f"a random function was called with {', '.join(made)}; lanes draw from the seed's own "
            "noise stream only. Leave it out, or let the planner run seed by seed"
        )
    return taker.take(
        Draw(
            kind=kind,
            shape=size,
            stride=_contiguous(size),
            dtype=dtype,
            device=device,
            argument=argument,
        )
    )


def _like(
    taker: Taker,
    kind: Kind,
    x: Tensor,
    *,
    dtype: torch.dtype | None = None,
    device: Any = None,
    argument: tuple[float, ...] = (),
) -> Tensor:
    like = torch.empty_like(x, dtype=dtype, device=device)
    return taker.take(
        Draw(
            kind=kind,
            shape=tuple(like.shape),
            stride=like.stride(),
            dtype=like.dtype,
            device=str(like.device),
            argument=argument,
        )
    )


def _randn(taker: Taker, *sizes: Any, size: Any = None, **made: Any) -> Tensor:
    return _fresh(taker, "normal", _sizes(sizes if size is None else (size,)), **made)


def _rand(taker: Taker, *sizes: Any, size: Any = None, **made: Any) -> Tensor:
    return _fresh(taker, "uniform", _sizes(sizes if size is None else (size,)), **made)


def _randint(taker: Taker, *bounds: Any, size: Any = None, **made: Any) -> Tensor:
    if size is None:
        *bounds, size = bounds  # type: ignore[assignment]  # a list from a tuple
    low, high = bounds if len(bounds) == 2 else (0, *bounds)
    return _fresh(taker, "integers", tuple(size), argument=(low, high), **made)


def _randperm(taker: Taker, n: int, **made: Any) -> Tensor:
    return _fresh(taker, "permutation", (n,), **made)


def _randn_like(taker: Taker, x: Tensor, **made: Any) -> Tensor:
    return _like(taker, "normal", x, **made)


def _rand_like(taker: Taker, x: Tensor, **made: Any) -> Tensor:
    return _like(taker, "uniform", x, **made)


def _scaled(x: Tensor, mask: Tensor, inplace: bool) -> Tensor:
    return x.mul_(mask) if inplace else x * mask


def _dropout(
    taker: Taker, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    _check_probability(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return _scaled(input, torch.zeros((), dtype=input.dtype, device=input.device), inplace)
    return _scaled(input, _like(taker, "dropout", input, argument=(1 - p,)), inplace)


def _channel_dropout(unbatched: int) -> Callable[..., Tensor]:
    def dropout(
        taker: Taker, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        _check_probability(p)
        if not training or p == 0 or input.numel() == 0:
            return input
        x = input.unsqueeze(0) if input.dim() == unbatched else input
        if p == 1:
            mask = torch.zeros((), dtype=x.dtype, device=x.device)
        else:
            size = (*x.shape[:2], *(1,) * (x.dim() - 2))
            made = {"dtype": x.dtype, "device": x.device}
            mask = _fresh(taker, "dropout", size, argument=(1 - p,), **made)
        result = _scaled(x, mask, inplace)
        return result.squeeze(0) if input.dim() == unbatched else result

    return dropout


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _gumbel_softmax(
    taker: Taker,
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
) -> Tensor:
    made = {"dtype": logits.dtype, "device": logits.device}
    gumbels = -_fresh(taker, "exponential", tuple(logits.shape), **made).log()
    soft = ((logits + gumbels) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = torch.zeros_like(soft).scatter(dim, index, 1.0)
    return one_hot - soft.detach() + soft


_REPLACED: dict[Callable[..., Any], Callable[..., Tensor]] = {
    torch.randn: _randn,
    torch.rand: _rand,
    torch.randint: _randint,
    torch.randperm: _randperm,
    torch.randn_like: _randn_like,
    torch.rand_like: _rand_like,
    torch.dropout: lambda taker, input, p, train: _dropout(taker, input, p, train),
    F.dropout: _dropout,
    F.dropout1d: _channel_dropout(2),
    F.dropout2d: _channel_dropout(-1),
    F.dropout3d: _channel_dropout(4),
    F.gumbel_softmax: _gumbel_softmax,
}

# Their numbers depend on a tensor that is only known inside the lane, or go into one in place.
_REFUSED: frozenset[Callable[..., Any]] = frozenset(
    {
        torch.bernoulli,
        torch.multinomial,
        torch.normal,
        torch.poisson,
        torch.binomial,
        torch.randint_like,
        torch.Tensor.bernoulli,
        torch.Tensor.multinomial,
        torch.Tensor.bernoulli_,
        torch.Tensor.normal_,
        torch.Tensor.uniform_,
        torch.Tensor.random_,
        torch.Tensor.exponential_,
        torch.Tensor.geometric_,
        torch.Tensor.cauchy_,
        torch.Tensor.log_normal_,
        F.alpha_dropout,
        F.feature_alpha_dropout,
        torch.alpha_dropout,
        torch.feature_dropout,
        torch.feature_alpha_dropout,
        F.rrelu,
        torch.rrelu,
    }
)


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
            for row, generator in zip(rows.unbind(), self.on(draw.device), strict=True):
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
