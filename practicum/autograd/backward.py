"""The backward pass: from one number to its gradient with respect to what it came from.

    1. order the graph so that parents stand before their children
    2. find what lies between the inputs asked for and the result; the rest needs no gradient
    3. from the result to the inputs, send each gradient through its node's rules to the parents;
       a parent that was used several times adds up its shares

S. Linnainmaa, "Taylor expansion of the accumulated rounding error", BIT 16(2), 146-160, 1976.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from practicum.autograd.tensor import Array, Tensor
from practicum.errors import PracticumError


def graph(*results: Tensor) -> list[Tensor]:
    """Return every tensor that the results came from, parents before children, each once."""
    order, seen, stack = list[Tensor](), set[int](), [(one, False) for one in reversed(results)]
    while stack:  # no recursion: a long loop makes a graph deeper than Python's stack
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent in reversed(node.parents))
    return order


def operations(*results: Tensor) -> int:
    """Return how many elementary operations on numbers made the results.

    A sum, product, power, comparison or function of one number is one; a product of matrices is
    its multiplications and additions; moving numbers (reshape, transpose, slices) is free.
    """
    return sum(node.cost for node in graph(*results))


def gradients(
    y: Tensor,
    xs: Sequence[Tensor],
    seed: Tensor | Array | None = None,
    *,
    differentiable: bool = False,
) -> list[Tensor]:
    """Return the gradient of y with respect to each of the xs, of their shapes.

    Args:
        y: what is differentiated; one number unless a seed is given.
        xs: with respect to what; leaves or anything on the way.
        seed: [as y] weights of y's entries (the gradient that arrives from behind y).
        differentiable: keep the graph of y behind the gradients, to differentiate them again.

    Raises:
        PracticumError: y is not one number and there is no seed, the seed does not fit, y does not
            depend on an x, or the numbers are complex.
    """
    start, order, asked = _seed(y, seed), graph(y), {id(x) for x in xs}  # 1.
    collected, between = {id(y): start}, set(asked)
    for node in order:  # 2.
        if any(id(parent) in between for parent in node.parents):
            between.add(id(node))
    for node in (one for one in reversed(order) if id(one) in between):  # 3.
        g = collected[id(node)] if id(node) in asked else collected.pop(id(node))
        given = [one if differentiable else one.detached() for one in (node, *node.parents)]
        for parent, rule in zip(node.parents, node.rules, strict=True):
            if id(parent) in between:
                share, before = rule(g, *given), collected.get(id(parent))
                collected[id(parent)] = share if before is None else before + share
    for x in xs:
        if id(x) not in collected:
            hint = "(a gradient is differentiated again only if made with differentiable=True)"
            raise PracticumError(f"the result does not depend on {x} {hint}")
    return [collected[id(x)] for x in xs]


def _seed(y: Tensor, seed: Tensor | Array | None) -> Tensor:
    if np.iscomplexobj(y.value):
        raise PracticumError("complex numbers are for checks by complex step: no gradient")
    if seed is None and y.value.size != 1:
        hint = "take y.sum() or y.mean(), or give a seed of y's shape"
        raise PracticumError(f"a gradient starts from one number, not from {y}: {hint}")
    seed = np.ones_like(y.value) if seed is None else seed
    start = seed if isinstance(seed, Tensor) else Tensor(seed)
    if (start.shape, start.value.dtype) != (y.shape, y.value.dtype):
        raise PracticumError(f"the seed is {start}; expected shape and type of {y}")
    return start
