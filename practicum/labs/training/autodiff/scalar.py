"""Reverse mode on single numbers: the smallest engine that differentiates, and the slowest.

    value     v = f(a, b); its slopes df/da, df/db are kept with it                       (1)
    backward  a.gradient += df/da * v.gradient, likewise for b, children before parents   (2)

Equation (2) is one product and one sum for each parent, so a product of two numbers costs five
operations in all: itself, two products, two sums. That is the worst case of this engine, and the
reason for the five in the bound on the cost of gradients.

Everything that `practicum.autograd` does with arrays happens here number by number, and each number
is a Python object. `python -m benchmarks autograd` measures what that costs.
"""

from __future__ import annotations

import math


class Value:
    """A number, its parents, and how fast it changes with each of them."""

    __slots__ = ("gradient", "parents", "slopes", "value")

    def __init__(
        self, value: float, parents: tuple[Value, ...] = (), slopes: tuple[float, ...] = ()
    ) -> None:
        self.value, self.parents, self.slopes = value, parents, slopes
        self.gradient = 0.0

    def __add__(self, other: Value) -> Value:
        return Value(self.value + other.value, (self, other), (1.0, 1.0))  # Eq. (1), as below

    def __sub__(self, other: Value) -> Value:
        return Value(self.value - other.value, (self, other), (1.0, -1.0))

    def __mul__(self, other: Value) -> Value:
        return Value(self.value * other.value, (self, other), (other.value, self.value))


def tanh(x: Value) -> Value:
    """Return the hyperbolic tangent."""
    y = math.tanh(x.value)
    return Value(y, (x,), (1.0 - y * y,))


def exp(x: Value) -> Value:
    """Return e to the power of x."""
    y = math.exp(x.value)
    return Value(y, (x,), (y,))


def log(x: Value) -> Value:
    """Return the natural logarithm."""
    return Value(math.log(x.value), (x,), (1.0 / x.value,))


def backward(result: Value) -> int:
    """Add d result / d v to the gradient of every v behind the result; return the operations.

    Counted are two for each parent of each value, and two for the slope of a function of one
    number, which is more than any of them takes.
    """
    counted, result.gradient = 0, 1.0
    for one in reversed(order(result)):
        gradient, parents = one.gradient, one.parents
        for parent, slope in zip(parents, one.slopes, strict=True):
            parent.gradient += slope * gradient  # Eq. (2)
        counted += 4 if parents else 0
    return counted


def order(result: Value) -> list[Value]:
    """Return every value behind the result, parents before children."""
    found: list[Value] = []
    seen: set[Value] = set()
    stack = [(result, False)]
    while stack:
        one, done = stack.pop()
        if done:
            found.append(one)
        elif one not in seen:
            seen.add(one)
            stack.append((one, True))
            stack.extend((parent, False) for parent in one.parents)
    return found
