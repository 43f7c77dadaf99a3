"""What one threshold unit can do, by going through all of them.

A threshold unit answers 1 where w . x + b > 0. A function of n bits that some unit computes never
mixes directions: the answer rises in inputs of positive weight and falls in the others. Exchanging
0 and 1 in the latter makes it monotone, and turns parity into parity or its opposite. So

    best = max over monotone functions f that a unit computes of max(a, 1 - a),      (1)
    a the share of the 2^n points on which f and parity agree

is the best that any unit does on parity: a finite search, for n up to 5 over at most 7,581
functions. Each function stands for 2^r functions that units compute, r the inputs it depends on,
which gives their number as a check on the search.

Which functions a unit computes is decided by certificates. Weights that give the function are
one. The other, against it, is

    x + y = u + v,   f(x) = f(y) = 1,   f(u) = f(v) = 0:                              (2)
    w . x + b > 0, ..., w . v + b <= 0 cannot all hold, whatever w and b.

For so few bits every function has one of the two; the search stops with an error if it did not.

Why the best is 1/2 + C(n-1, k) / 2^n with k = floor((n-1)/2), for every n:           (3)
Pair the points that differ in input i only. Parity differs within every pair. Where the unit's
answer does not, it agrees with parity on one point of the pair; where it does, on both or on none.
So best <= 1/2 + D_i / 2^n, D_i the number of pairs within which the answer differs, for every i,
hence also with the mean of all D_i. For a monotone answer the sum of all D_i is the sum of (ones
minus zeros) over the points answered 1. The majority makes it largest, n C(n-1, k), and it attains
the bound.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from practicum.errors import PracticumError

MISTAKES = 10_000  # corrections of the weights, far more than units of so few bits need
LARGEST = 5  # there are 7,828,354 monotone functions of six bits


def cases(bits: int) -> Float[Array, "points bits"]:
    """Return all points of zeros and ones, in the order of counting."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=bits)))


def parity(bits: int) -> Bool[Array, "points"]:
    """Return for each point whether its number of ones is odd; two bits make XOR."""
    odd: Bool[Array, "points"] = cases(bits).sum(axis=1) % 2 == 1
    return odd


@cache
def monotone(bits: int) -> Bool[Array, "functions points"]:
    """Return all functions of the bits that never fall when a bit turns from 0 to 1."""
    if bits == 0:
        return np.array([[False], [True]])
    smaller = monotone(bits - 1)
    # A monotone function is a pair of smaller ones, for first bit 0 and 1, the first under the
    # second.
    below = ~(smaller[:, None] & ~smaller[None, :]).any(axis=2)
    zero, one = np.nonzero(below)
    return np.concatenate((smaller[zero], smaller[one]), axis=1)


@cache
def units(bits: int) -> Bool[Array, "functions points"]:
    """Return all monotone functions that some threshold unit computes.

    Each function is decided by a certificate: weights that compute it, or Eq. (2).

    Raises:
        PracticumError: too many bits for a search through all functions.
    """
    if not 1 <= bits <= LARGEST:
        raise PracticumError(f"the search through all units is for 1 to {LARGEST} bits, not {bits}")
    functions = monotone(bits)
    found: Bool[Array, "functions points"] = functions[~contradictory(functions)]
    weights_for(found)
    return found


def contradictory(functions: Bool[Array, "functions points"]) -> Bool[Array, "functions"]:
    """Return which functions have points as in Eq. (2), so that no unit computes them."""
    bits = round(math.log2(functions.shape[1]))
    # In base three the sum of two points has no carries: equal sums have equal codes.
    code = cases(bits) @ 3 ** np.arange(bits)
    sums = (code[:, None] + code[None, :]).astype(int).ravel()
    answered = np.zeros((2, len(functions), 3**bits), dtype=bool)
    for answer, values in enumerate((~functions, functions)):
        both = (values[:, :, None] & values[:, None, :]).reshape(len(values), -1)
        for total in np.unique(sums):
            answered[answer, :, total] = both[:, sums == total].any(axis=1)
    found: Bool[Array, "functions"] = (answered[0] & answered[1]).any(axis=1)  # Eq. (2)
    return found


def weights_for(functions: Bool[Array, "functions points"]) -> Float[Array, "functions i"]:
    """Return weights and bias of a unit for each function, by Rosenblatt's rule.

    Raises:
        PracticumError: the rule did not find them; it does for every function of a unit of so few
            bits.
    """
    x = cases(round(math.log2(functions.shape[1])))
    augmented = np.concatenate((x, np.ones((len(x), 1))), axis=1)
    signs = np.where(functions, 1.0, -1.0)
    weights = np.zeros((len(functions), augmented.shape[1]))
    for _ in range(MISTAKES):
        scores = signs * (weights @ augmented.T)
        worst = scores.argmin(axis=1)
        open_ = np.flatnonzero(scores[np.arange(len(scores)), worst] <= 0)
        if not len(open_):
            return weights
        weights[open_] += signs[open_, worst[open_]][:, None] * augmented[worst[open_]]
    raise PracticumError(f"no weights found for {len(open_)} functions in {MISTAKES} corrections")


def number_computable(bits: int) -> int:
    """Return how many of the 2^(2^bits) functions some threshold unit computes."""
    flipped = np.arange(2**bits)[:, None] ^ (1 << np.arange(bits))  # [points, inputs]
    functions = units(bits)
    depends = (functions[:, flipped] != functions[:, :, None]).any(axis=1)  # [functions, inputs]
    return int((2 ** depends.sum(axis=1)).sum())


def best(bits: int) -> float:
    """Return the largest share of points on which some threshold unit agrees with parity."""
    agree = (units(bits) == parity(bits)).mean(axis=1)
    return float(np.maximum(agree, 1.0 - agree).max())  # Eq. (1)


def best_in_theory(bits: int) -> float:
    """Return the same by Eq. (3), for any number of bits."""
    return float(0.5 + math.comb(bits - 1, (bits - 1) // 2) / 2**bits)  # Eq. (3)
