"""What the lab differentiates: functions of n numbers with one number as their result.

    network   mean over examples of (tanh(x W) v - y)^2; W and v together are the n inputs     (1)
    product   w_1 w_2 ... w_n, every factor picked out of the array by its index               (2)
    random    twelve operations drawn at random, each on values drawn from those so far        (3)

Each is a function of w [n] that runs on a `Tensor` (of complex numbers, too); the network runs on a
`Dual` as well.

Shapes: n inputs, d features, h hidden units with d h + h = n, m examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from practicum import autograd as ag
from practicum.autograd import Tensor
from practicum.labs.training.autodiff import forward

Array = NDArray[np.float64]
Program = Callable[[Any], Any]
OPERATIONS = 12  # of a random program


@dataclass(frozen=True)
class Task:
    """A program and the point [n] where it is differentiated."""

    program: Program
    at: Array


def sides(n: int) -> tuple[int, int]:
    """Return d and h with d h + h = n, h the largest divisor of n up to its root."""
    h = max(i for i in range(1, math.isqrt(n) + 1) if n % i == 0)
    return n // h - 1, h


def network(n: int, examples: int, draw: np.random.Generator) -> Task:
    """Draw the loss of a network with n weights, Eq. (1)."""
    d, h = sides(n)
    x, y = Tensor(draw.normal(size=(examples, d))), Tensor(draw.normal(size=(examples, 1)))

    def loss(w: Any) -> Any:
        tanh: Any = forward.tanh if isinstance(w, forward.Dual) else ag.tanh
        hidden = tanh(_constant(x, w) @ w[: d * h].reshape(d, h))
        error = hidden @ w[d * h :].reshape(h, 1) - y
        return (error * error).mean()

    scale = np.concatenate([np.full(d * h, d**-0.5), np.full(h, h**-0.5)])
    return Task(loss, draw.normal(size=n) * scale)


def product(n: int, draw: np.random.Generator) -> Task:
    """Draw the factors of a product, Eq. (2); their spread keeps it away from zero and infinity."""

    def program(w: Any) -> Any:
        result = w[0]
        for i in range(1, n):
            result = result * w[i]
        return result

    return Task(program, np.exp(draw.normal(size=n) / math.sqrt(n)))


UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": ag.tanh,
    "sigmoid": ag.sigmoid,
    "relu": ag.relu,
    "exp": lambda x: ag.exp(ag.tanh(x)),
    "log": lambda x: ag.log(x * x + 1.0),
    "root": lambda x: (x * x + 1.0) ** 0.5,
    "softmax": ag.softmax,
    "centred": lambda x: x - x.mean(),
    "largest": lambda x: x * ag.tanh(x.max()),
}
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * ag.tanh(b),
    "/": lambda a, b: a / (b * b + 1.0),
    "@": lambda a, b: ((a.reshape(1, -1) @ b.reshape(-1, 1)) / a.value.size).reshape(1) + a,
}


def random(n: int, draw: np.random.Generator) -> Task:
    """Draw a program, Eq. (3); nothing in it grows fast, so that no seed overflows."""
    names = [str(one) for one in draw.choice([*UNARY, *BINARY], size=OPERATIONS)]
    picks = draw.integers(0, 2**31, size=(OPERATIONS, 2))

    def program(w: Any) -> Any:
        values = [w]
        for name, (i, j) in zip(names, picks, strict=True):
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(UNARY[name](a) if name in UNARY else BINARY[name](a, b))
        return (sum(values[2:], values[1]) * 0.3 + w * w).mean()

    return Task(program, draw.normal(size=n))


def _constant(x: Tensor, like: Any) -> Any:
    return forward.Dual(x) if isinstance(like, forward.Dual) else x
