"""Making a lane's bits independent of its position, on a CPU.

Some kernels compute the same numbers in different ways, depending on where they lie in memory.
Elementwise functions that are not exactly rounded (sigmoid, pow, ...) use other code for the last
numbers of a tensor. So does batch norm, which gets all lanes' channels side by side, for the last
channels, and a sum over tensors whose lanes lie side by side in memory. MKL's matrix products look
at how each matrix is aligned. Where the sizes make that matter, and only there, the operands are
padded or copied; sizes that are multiples of 64 numbers cost nothing. The last layer's products,
which have few columns, are turned here as well.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

BLOCK = 64  # numbers; a multiple of what any vector kernel takes at a time
LINE = 64  # bytes; the alignment that matrix kernels look at

aten = torch.ops.aten
# One correctly rounded operation (or none) a number: the same bits from any code.
_EXACT = frozenset(
    {
        aten.add.Tensor,
        aten.add.Scalar,
        aten.sub.Tensor,
        aten.sub.Scalar,
        aten.rsub.Scalar,
        aten.mul.Tensor,
        aten.mul.Scalar,
        aten.div.Tensor,
        aten.div.Scalar,
        aten.neg.default,
        aten.abs.default,
        aten.sqrt.default,
        aten.relu.default,
        aten.threshold_backward.default,
        aten.where.self,
        aten.clamp.default,
        aten.clamp_min.default,
        aten.clamp_max.default,
        aten.maximum.default,
        aten.minimum.default,
        aten.sign.default,
        aten.clone.default,
        aten._to_copy.default,
    }
)
_PRODUCTS = frozenset({aten.bmm.default, aten.baddbmm.default})
_SUMS = frozenset(
    {
        aten.sum.dim_IntList,
        aten.mean.dim,
        aten.var.correction,
        aten.var_mean.correction,
        aten.prod.dim_int,
        aten.linalg_vector_norm.default,
        aten.norm.ScalarOpt_dim,
    }
)


def level(module: fx.GraphModule) -> None:
    """Pad, in a traced program, the operands of what depends on the position in memory."""
    for node in list(module.graph.nodes):
        value = node.meta.get("val")
        if node.target in _CHANNELS:
            if _side_by_side(node.args[0].meta["val"]):
                node.args = (node.target, *node.args)
                node.target = _CHANNELS[node.args[0]]
            continue
        if (
            node.op != "call_function"
            or not isinstance(value, Tensor)
            or value.device.type != "cpu"
        ):
            continue
        if node.target in _SUMS and _lanes_inside(node.args[0].meta["val"]):
            node.args = (node.target, *node.args)
            node.target = level_sum
        elif node.target in _PRODUCTS and (_narrow(value) or _crooked(value, *node.args[-2:])):
            node.args = (node.target, *node.args)
            node.target = level_product
        elif _uneven(node.target) and value.is_floating_point() and value.numel() % BLOCK:
            node.args = (node.target, value.stride(), *node.args)
            node.target = level_elementwise
    module.recompile()


def _uneven(target: Any) -> bool:
    return (
        isinstance(target, torch._ops.OpOverload)
        and torch.Tag.pointwise in target.tags
        and not target._schema.is_mutable
        and target not in _EXACT
    )


def _side_by_side(x: Tensor) -> bool:
    """Return whether the channels are the last axis in memory, and no whole blocks."""
    last = x.dim() == 2 or not x.is_contiguous()
    return x.device.type == "cpu" and last and x.shape[1] % BLOCK != 0


def _crooked(product: Tensor, *factors: Any) -> bool:
    """Return whether the lanes' matrices begin at different places of a cache line."""
    tensors = [product, *(one.meta["val"] for one in factors)]
    return any(one.stride(0) * one.element_size() % LINE for one in tensors)


def _narrow(product: Tensor) -> bool:
    """Return whether a product has so few columns that it is better turned."""
    return product.shape[2] < LINE // product.element_size() <= product.shape[1]


def _lanes_inside(x: Tensor) -> bool:
    """Return whether the first axis is not the outermost in memory."""
    return x.dim() > 1 and not x.is_contiguous() and x.stride(0) < max(x.stride()[1:])


def level_sum(function: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Sum what has the lanes outermost in memory."""
    result: Tensor = function(x.contiguous(), *args, **kwargs)
    return result


def level_elementwise(function: Any, strides: tuple[int, ...], *args: Any, **kwargs: Any) -> Tensor:
    """Apply an elementwise function to tensors that are filled up to whole blocks.

    Args:
        function: the function.
        strides: what its result must have; views of it follow.
        args: its arguments.
        kwargs: its named arguments.
    """
    shape: tuple[int, ...] = ()
    for one in args:
        if isinstance(one, Tensor):
            shape = torch.broadcast_shapes(shape, one.shape)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    numel = math.prod(shape)

    def fill(one: Any) -> Any:
        if not isinstance(one, Tensor) or one.dim() == 0:
            return one
        return F.pad(one.expand(shape).reshape(-1), (0, -numel % BLOCK))

    result: Tensor = function(*map(fill, args), **kwargs)
    result = result[:numel].view(shape)
    if result.stride() == strides:
        return result
    placed = torch.empty_strided(shape, strides, dtype=result.dtype, device=result.device)
    return placed.copy_(result)


def level_product(function: Any, *args: Any, **kwargs: Any) -> Tensor:
    """Multiply matrices that all begin at the same place of a cache line.

    A product of few columns is computed as A B = (B' A')', which MKL is several times faster with.
    """
    *added, a, b = args
    bias = [one.reshape((1,) * (3 - one.dim()) + tuple(one.shape)) for one in added]
    rows, columns = a.shape[1], b.shape[2]
    numbers = LINE // a.element_size()
    if columns < numbers <= rows:
        turned = level_product(function, *(one.mT for one in (*bias, b, a)), **kwargs)
        return turned.mT.contiguous()
    step = numbers // math.gcd(columns, numbers)
    extra = -rows % step
    if extra:
        a = F.pad(a, (0, 0, 0, extra))
        bias = [one if one.shape[1] == 1 else F.pad(one, (0, 0, 0, extra)) for one in bias]
    result: Tensor = function(*bias, _aligned(a, numbers), _aligned(b, numbers), **kwargs)
    return result[:, :rows].contiguous() if extra else result


def _aligned(one: Tensor, numbers: int) -> Tensor:
    if one.stride(0) % numbers == 0:
        return one
    lanes, rows, columns = one.shape
    memory = one.new_zeros(lanes, rows * columns + -(rows * columns) % numbers)
    inner = (1, rows) if one.stride(1) == 1 and rows > 1 else (columns, 1)
    return memory.as_strided(one.shape, (memory.shape[1], *inner)).copy_(one)


def level_batch_norm(
    function: Any,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    *settings: Any,
) -> tuple[Tensor, ...]:
    """Normalise whole blocks of channels; the running statistics are written back."""
    channels = x.shape[1]
    of_channels = [_whole_blocks(one) for one in (weight, bias, mean, variance)]
    y, *saved = function(_whole_blocks(x, 1), *of_channels, *settings)
    for one, padded in zip((mean, variance), of_channels[2:], strict=True):
        if one is not None and padded is not None:
            one.copy_(padded[:channels])
    return (y[:, :channels].contiguous(), *(one[:channels] for one in saved))


def level_batch_norm_backward(
    function: Any, gradient: Tensor, x: Tensor, *args: Any
) -> tuple[Tensor | None, ...]:
    """Differentiate whole blocks of channels."""
    channels = x.shape[1]
    *of_channels, train, eps, wanted = args
    results = function(
        _whole_blocks(gradient, 1),
        _whole_blocks(x, 1),
        *map(_whole_blocks, of_channels),
        train,
        eps,
        wanted,
    )
    cut = [
        one.narrow(min(1, one.dim() - 1), 0, channels).contiguous() if asked else None
        for one, asked in zip(results, wanted, strict=True)
    ]
    return tuple(cut)


def _whole_blocks(one: Tensor | None, axis: int = 0) -> Tensor | None:
    if one is None:
        return None
    behind = (0, 0) * (one.dim() - axis - 1)
    return F.pad(one, (*behind, 0, -one.shape[axis] % BLOCK))


_CHANNELS = {
    aten.native_batch_norm.default: level_batch_norm,
    aten.native_batch_norm_backward.default: level_batch_norm_backward,
}
