"""Torch's random functions inside lanes: each takes its numbers from outside the mapped program.

`Intercept` stands in for dropout, `torch.randn` and their like, so that ordinary modules work in
lanes; what they take is drawn in `lane_draws.py`. A random function that lanes cannot reproduce is
refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from practicum.engine.lane_draws import Draw, Kind, Taker, contiguous
from practicum.errors import PracticumError


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
            stride=contiguous(size),
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
