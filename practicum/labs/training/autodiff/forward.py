"""Forward mode: a value and its change along one direction are carried through together.

    (a, a') + (b, b') = (a + b, a' + b')                                                  (1)
    (a, a') (b, b')   = (a b, a' b + a b')          also for products of matrices         (2)
    f(a, a')          = (f(a), f'(a) a')                                                  (3)

One pass gives the derivative along one direction, so a gradient with n entries takes n passes. Both
halves of a dual number are tensors of `practicum.autograd`, which only counts here: nothing goes
backward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from practicum import autograd as ag
from practicum.autograd import Tensor


@dataclass(frozen=True)
class Dual:
    """A value and its tangent, of the same shape; a tangent of None is zero."""

    value: Tensor
    tangent: Tensor | None = None

    def __add__(self, other: Any) -> Dual:
        b = _dual(other)
        return Dual(self.value + b.value, _sum(self.tangent, b.tangent))  # Eq. (1)

    def __sub__(self, other: Any) -> Dual:
        b = _dual(other)
        minus = None if b.tangent is None else -b.tangent
        return Dual(self.value - b.value, _sum(self.tangent, minus))

    def __mul__(self, other: Any) -> Dual:
        return self._product(_dual(other), lambda a, b: a * b)

    def __matmul__(self, other: Any) -> Dual:
        return self._product(_dual(other), lambda a, b: a @ b)

    def _product(self, b: Dual, times: Callable[[Tensor, Tensor], Tensor]) -> Dual:
        left = None if self.tangent is None else times(self.tangent, b.value)
        right = None if b.tangent is None else times(self.value, b.tangent)
        return Dual(times(self.value, b.value), _sum(left, right))  # Eq. (2)

    def __getitem__(self, key: Any) -> Dual:
        return self._moved(lambda x: x[key])

    def reshape(self, *shape: int) -> Dual:
        """Return the same numbers in another shape."""
        return self._moved(lambda x: x.reshape(*shape))

    def mean(self) -> Dual:
        """Return the mean of all entries."""
        return self._moved(lambda x: x.mean())

    def _moved(self, linear: Callable[[Tensor], Tensor]) -> Dual:
        return Dual(linear(self.value), None if self.tangent is None else linear(self.tangent))


def tanh(x: Dual) -> Dual:
    """Return the hyperbolic tangent."""
    y = ag.tanh(x.value)
    return Dual(y, None if x.tangent is None else (1.0 - y * y) * x.tangent)  # Eq. (3)


def derivative(
    program: Callable[[Any], Any], at: NDArray[np.float64], direction: NDArray[np.float64]
) -> tuple[float, int]:
    """Return a program's derivative along a direction [n], and the operations of value and it."""
    result = program(Dual(Tensor(at), Tensor(direction)))
    tangent = result.tangent
    if tangent is None:
        return 0.0, ag.operations(result.value)
    return float(tangent.value), ag.operations(result.value, tangent)


def _dual(x: Any) -> Dual:
    return x if isinstance(x, Dual) else Dual(x if isinstance(x, Tensor) else Tensor(x))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b
