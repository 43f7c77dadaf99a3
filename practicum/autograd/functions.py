"""What networks are made of, put together from the operations of `practicum.autograd.tensor`.

Nothing here has a rule of its own, so no gradient can be wrong if its value is right. A convolution
is an index (the windows of the image, picked out with integer arrays) and a matrix product.

Shapes: n images, c channels, h by w pixels, o filters of i by j, p by q windows.
"""

from __future__ import annotations

import numpy as np

from practicum.autograd.tensor import Array, Tensor, exp, log, scatter
from practicum.errors import PracticumError


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return log(exp(x) / sum of exp(x)) along an axis."""
    # Without the largest entry nothing overflows; it cancels, so it may be a constant.
    shifted = x - Tensor(x.value.real.max(axis=axis, keepdims=True))
    return shifted - log(exp(shifted).sum(axis=axis, keepdims=True))


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return exp(x) / sum of exp(x) along an axis."""
    powers = exp(x - Tensor(x.value.real.max(axis=axis, keepdims=True)))
    return powers / powers.sum(axis=axis, keepdims=True)


def cross_entropy(logits: Tensor, labels: Array) -> Tensor:
    """Return the mean of -log softmax of the right class; logits [n, classes], labels int [n]."""
    return -log_softmax(logits)[np.arange(len(labels)), labels].mean()


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0
) -> Tensor:
    """Return [n, o, p, q]: filters [o, c, i, j], not flipped, at windows of x, plus bias [o]."""
    if len(x.shape) != 4 or len(weight.shape) != 4 or x.shape[1] != weight.shape[1]:
        raise PracticumError(f"conv2d needs [n, c, h, w] and [o, c, i, j], not {x} and {weight}")
    o, _, i, j = weight.shape
    seen = windows(x, (i, j), stride, padding)
    n, c, _, _, p, q = seen.shape
    out = (weight.reshape(o, c * i * j) @ seen.reshape(n, c * i * j, p * q)).reshape(n, o, p, q)
    return out if bias is None else out + bias.reshape(o, 1, 1)


def max_pool2d(x: Tensor, size: int, stride: int | None = None) -> Tensor:
    """Return the largest entry of every window, [n, c, p, q]; ties share the gradient equally."""
    return windows(x, (size, size), stride or size).max(axis=(2, 3))


def avg_pool2d(x: Tensor, size: int, stride: int | None = None) -> Tensor:
    """Return the mean of every window, [n, c, p, q]."""
    return windows(x, (size, size), stride or size).mean(axis=(2, 3))


def windows(x: Tensor, size: tuple[int, int], stride: int, padding: int = 0) -> Tensor:
    """Return every window of x [n, c, h, w] as [n, c, i, j, p, q], x surrounded by zeros."""
    (n, c, h, w), (i, j) = x.shape, size
    tall, wide, inner = h + 2 * padding, w + 2 * padding, slice(padding, -padding or None)
    if stride < 1 or padding < 0 or i > tall or j > wide:
        raise PracticumError(f"no {i} by {j} windows, stride {stride}, in {tall} by {wide} pixels")
    x = scatter(x, (..., inner, inner), (n, c, tall, wide)) if padding else x
    rows = np.arange(i)[:, None] + stride * np.arange((tall - i) // stride + 1)  # [i, p]
    columns = np.arange(j)[:, None] + stride * np.arange((wide - j) // stride + 1)  # [j, q]
    return x[:, :, rows[:, None, :, None], columns[None, :, None, :]]
