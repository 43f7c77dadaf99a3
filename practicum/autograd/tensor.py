"""Arrays that remember how they were made, and the operations that make them.

Every operation returns a `Tensor` with its value, its parents, and for each parent a rule, called
as rule(g, result, *parents): how the gradient g of the result becomes that parent's share of it,

    share = sum over the result's entries of g * d entry / d parent                     (chain rule)

Rules are themselves written in these operations, so a share has a graph of its own and can be
differentiated again. `practicum.autograd.backward` puts the rules together.

Deviations from torch: exponents are numbers; `@` takes two or more dimensions; nothing is changed
in place; `max` shares its gradient equally among ties, as `torch.amax` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from practicum.errors import PracticumError

Array: TypeAlias = NDArray[Any]
Operand: TypeAlias = "Tensor | Array | float"
Tensors: TypeAlias = "tuple[Tensor, ...]"
Rule: TypeAlias = "Callable[..., Tensor]"
Axis: TypeAlias = "int | tuple[int, ...] | None"


class Tensor:
    """A value with its history: operation, parents, a rule for each parent, operations it cost.

    It holds float64 or float32 (complex128 for checks by complex step), a copy of what is given;
    other types raise PracticumError. The name is for drawings of the graph.
    """

    __slots__ = ("cost", "name", "parents", "rules", "value")
    __array_ufunc__ = None  # NumPy leaves `array + tensor` to the tensor
    parents: Tensors
    rules: tuple[Rule, ...]

    def __init__(self, value: Array | Sequence[Any] | float, name: str = "") -> None:
        self.value = np.array(value)
        if self.value.dtype not in (np.float64, np.float32, np.complex128):
            wrong = f"a tensor holds float64 or float32, not {self.value.dtype}"
            raise PracticumError(f"{wrong}; write 2.0 for 2, or convert with array.astype(float)")
        self.value.setflags(write=False)  # a changed value would make recorded gradients wrong
        self.name, self.parents, self.rules, self.cost = name, (), (), 0

    def detached(self) -> Tensor:
        """Return the same value without its history: a constant."""
        return _made(self.name, self.value, (), (), 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return self.value.shape

    def __repr__(self) -> str:
        return f"Tensor({self.name or 'constant'}, {list(self.shape)}, {self.value.dtype})"

    def __add__(self, other: Operand) -> Tensor:
        return _both("+", np.add, self, other, lambda g, a, b: g, lambda g, a, b: g)

    def __sub__(self, other: Operand) -> Tensor:
        return _both("−", np.subtract, self, other, lambda g, a, b: g, lambda g, a, b: -g)

    def __mul__(self, other: Operand) -> Tensor:
        return _both("×", np.multiply, self, other, lambda g, a, b: g * b, lambda g, a, b: g * a)

    def __matmul__(self, b: Operand) -> Tensor:
        b = _lifted(b, self)
        if min(len(self.shape), len(b.shape)) < 2 or self.shape[-1] != b.shape[-2]:
            raise PracticumError(f"`@` needs [..., m, k] and [..., k, n], not {self} and {b}")
        rules = (lambda g, a, b: g @ _swap(b), lambda g, a, b: _swap(a) @ g)
        made = _both("@", np.matmul, self, b, *rules)
        made.cost *= 2 * b.shape[-2] - 1  # k products and k - 1 sums for each entry
        return made

    def __truediv__(self, other: Operand) -> Tensor:
        return self * _lifted(other, self) ** -1

    def __rsub__(self, other: Operand) -> Tensor:
        return _lifted(other, self) - self

    def __rtruediv__(self, other: Operand) -> Tensor:
        return _lifted(other, self) / self

    def __neg__(self) -> Tensor:
        return _each("−", -self.value, self, lambda g, out, x: -g)

    def __pow__(self, p: float) -> Tensor:
        if not isinstance(p, int | float):
            raise PracticumError("an exponent is a number; for a ** b write exp(b * log(a))")
        before = p - 1 if p else 0  # the derivative of x ** 0 is 0, at 0 as well
        return _each(f"^{p:g}", self.value ** float(p), self, lambda g, out, x: g * (p * x**before))

    def __getitem__(self, key: Any) -> Tensor:
        keys = key if isinstance(key, tuple) else (key,)
        keys = tuple(np.array(k) if isinstance(k, list | np.ndarray) else k for k in keys)
        try:
            value = self.value[keys]
        except IndexError as error:
            raise PracticumError(f"shape {list(self.shape)} has no such entry: {error}") from None
        return _made("[ ]", value, (self,), (lambda g, out, x: scatter(g, keys, x.shape),), 0)

    def _in_place(self, *_: Any) -> NoReturn:
        raise PracticumError(
            "a tensor is never changed in place, the gradients of its graph would be wrong; write "
            "`a = a + b`, and for a parameter's update `w = Tensor(w.value - rate * g.value)`"
        )

    __radd__, __rmul__ = __add__, __mul__
    __setitem__ = __iadd__ = __isub__ = __imul__ = __itruediv__ = __imatmul__ = __ipow__ = _in_place

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the sum over one axis, several, or all."""
        value, kept = _reduced(np.sum, self, axis, keepdims)
        back = (lambda g, out, x: broadcast_to(g.reshape(*kept), x.shape),)
        return _made("sum", value, (self,), back, self.value.size - value.size)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the mean over one axis, several, or all."""
        total = self.sum(axis, keepdims)
        return total * (total.value.size / self.value.size)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the largest entry over axes; ties share its gradient equally."""
        value, kept = _reduced(np.max, self, axis, keepdims)
        top = (self.value == value.reshape(kept)).astype(self.value.real.dtype)
        share = top / top.sum(axis=axis, keepdims=True)
        back = (lambda g, out, x: broadcast_to(g.reshape(*kept), x.shape) * share,)
        return _made("max", value, (self,), back, self.value.size)

    def reshape(self, *shape: int) -> Tensor:
        """Return the same numbers in another shape; one size may be -1."""
        try:
            value = self.value.reshape(shape)
        except ValueError:
            raise PracticumError(f"shape {list(self.shape)} does not fill {list(shape)}") from None
        return _made("reshape", value, (self,), (lambda g, out, x: g.reshape(*x.shape),), 0)

    def transpose(self, *axes: int) -> Tensor:
        """Return the dimensions in another order; without axes, in reverse."""
        order = axes or tuple(range(len(self.shape)))[::-1]
        if sorted(order) != list(range(len(self.shape))):
            raise PracticumError(f"axes {order} are no order of shape {list(self.shape)}")
        back = (lambda g, out, x: g.transpose(*(order.index(i) for i in range(len(order)))),)
        return _made("transpose", self.value.transpose(order), (self,), back, 0)


def exp(x: Tensor) -> Tensor:
    """Return e to the power of every entry."""
    return _each("exp", np.exp(x.value), x, lambda g, out, x: g * out)


def log(x: Tensor) -> Tensor:
    """Return the natural logarithm of every entry."""
    return _each("log", np.log(x.value), x, lambda g, out, x: g / x)


def tanh(x: Tensor) -> Tensor:
    """Return the hyperbolic tangent of every entry."""
    return _each("tanh", np.tanh(x.value), x, lambda g, out, x: g * (1.0 - out * out))


def sigmoid(x: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x)), written with tanh so that nothing overflows."""
    value = 0.5 * (1.0 + np.tanh(0.5 * x.value))
    return _each("sigmoid", value, x, lambda g, out, x: g * (out * (1.0 - out)))


def relu(x: Tensor) -> Tensor:
    """Return the entries above zero, and zero for the others; its slope at zero is zero."""
    above = (x.value.real > 0).astype(x.value.real.dtype)
    return _each("relu", x.value * above, x, lambda g, out, x: g * above)


def broadcast_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return x repeated along new dimensions and those of size 1."""
    back = (lambda g, out, x: sum_to(g, x.shape),)
    return _made("broadcast", np.broadcast_to(x.value, shape), (x,), back, 0)


def sum_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo a broadcast: add up what belongs to the same entry of a smaller shape."""
    if x.shape == shape:
        return x
    lead = x.value.ndim - len(shape)
    single = (lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1)
    return x.sum(axis=(*range(lead), *single)).reshape(*shape)


def scatter(x: Tensor, keys: tuple[Any, ...], shape: tuple[int, ...]) -> Tensor:
    """Undo an index: zeros of a shape with x added at the keys, where repeated keys add up."""
    back, value, cost = (lambda g, out, x: g[keys],), np.zeros(shape, x.value.dtype), 0
    if any(isinstance(one, np.ndarray) for one in keys):
        place, cost = np.arange(value.size).reshape(shape)[keys], x.value.size
        value += np.bincount(place.ravel(), x.value.ravel(), value.size).reshape(shape)
    else:
        value[keys] = x.value
    return _made("scatter", value, (x,), back, cost)


def _swap(x: Tensor) -> Tensor:
    *lead, i, j = range(x.value.ndim)
    return x.transpose(*lead, j, i)


def _made(name: str, value: Any, parents: Tensors, rules: tuple[Rule, ...], cost: int) -> Tensor:
    made = object.__new__(Tensor)
    made.value = np.asarray(value)
    made.value.setflags(write=False)
    made.name, made.parents, made.rules, made.cost = name, parents, rules, cost
    return made


def _each(name: str, value: Any, x: Tensor, rule: Rule) -> Tensor:
    return _made(name, value, (x,), (rule,), x.value.size)


def _both(name: str, function: Any, a: Tensor, other: Operand, left: Rule, right: Rule) -> Tensor:
    b = _lifted(other, a)
    if a.value.dtype != b.value.dtype and np.float32 in (a.value.dtype, b.value.dtype):
        raise PracticumError(f"`{name}` of {a} and {b}: convert one of them, array.astype(...)")
    try:
        value = np.asarray(function(a.value, b.value))
    except ValueError:
        raise PracticumError(f"`{name}` cannot broadcast {a} and {b}") from None
    to_a: Rule = lambda g, out, a, b: sum_to(left(g, a, b), a.shape)  # noqa: E731  (pairs read best)
    to_b: Rule = lambda g, out, a, b: sum_to(right(g, a, b), b.shape)  # noqa: E731  (likewise)
    return _made(name, value, (a, b), (to_a, to_b), value.size)


def _reduced(function: Any, x: Tensor, axis: Axis, keepdims: bool) -> tuple[Array, tuple[int, ...]]:
    try:
        kept = np.asarray(function(x.value, axis=axis, keepdims=True))
    except ValueError as error:
        raise PracticumError(f"shape {list(x.shape)} is not reduced so: {error}") from None
    return kept if keepdims else np.squeeze(kept, axis), kept.shape


def _lifted(x: Operand, like: Tensor) -> Tensor:
    if isinstance(x, Tensor):
        return x
    return Tensor(np.asarray(x, like.value.dtype) if isinstance(x, int | float) else x)
