"""The task of mirror symmetry, and how far a network's weights are those of the paper.

Rumelhart, Hinton and Williams describe the weights that their network found (Fig. 1 of the paper):
for each hidden unit, weights at mirrored positions are equal in size and opposite in sign, their
sizes are in the ratio 1 : 2 : 4, and the two hidden units have the same weights with opposite
signs. In numbers, for the weights w_1 .. w_6 of a hidden unit:

    antisymmetry   max_i |w_i + w_(7-i)| / max_i |w_i|                                 (1)
    ratio          sizes s = (|w_i| + |w_(7-i)|) / 2 in rising order, s_2 / s_1, s_3 / s_1
    off            max( |log2(s_2 / s_1) - 1|, |log2(s_3 / s_1) - 2| ), in doublings   (2)
    opposition     cosine between the weights of the two units, -1 in the paper        (3)
"""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

LENGTH = 6
ANTISYMMETRY = 0.1
"""Weights count as antisymmetric up to this, Eq. (1)."""
DOUBLINGS = float(np.log2(1.25))
"""Sizes count as 1 : 2 : 4 up to this, Eq. (2): each ratio within a factor of 1.25."""
OPPOSITION = -0.95
"""Units count as opposite up to this cosine, Eq. (3)."""


def cases() -> tuple[Float[Array, "64 6"], Float[Array, "64 1"]]:
    """Return all patterns of six bits, and 1 for each that is its own mirror image, else 0."""
    x = np.array(list(itertools.product((0.0, 1.0), repeat=LENGTH)))
    symmetric: Float[Array, "64 1"] = (x == x[:, ::-1]).all(axis=1).astype(np.float64)[:, None]
    return x, symmetric


def antisymmetry(weights: Float[Array, "S 6 H"]) -> Float[Array, "S H"]:
    """Return how far each hidden unit's weights are from antisymmetric, Eq. (1)."""
    size = np.abs(weights).max(axis=1)
    off: Float[Array, "S H"] = np.abs(weights + weights[:, ::-1]).max(axis=1) / size  # Eq. (1)
    return off


def ratios(weights: Float[Array, "S 6 H"]) -> Float[Array, "S 2 H"]:
    """Return the middle and the largest size of each unit's weights, the smallest being 1."""
    half = LENGTH // 2
    sizes = np.abs(weights)
    rising = np.sort((sizes[:, :half] + sizes[:, : half - 1 : -1]) / 2, axis=1)
    found: Float[Array, "S 2 H"] = rising[:, 1:] / rising[:, :1]
    return found


def off_ratio(weights: Float[Array, "S 6 H"]) -> Float[Array, "S H"]:
    """Return how far each unit's sizes are from 1 : 2 : 4, Eq. (2), in doublings."""
    wanted = np.array([1.0, 2.0])[:, None]
    off: Float[Array, "S H"] = np.abs(np.log2(ratios(weights)) - wanted).max(axis=1)
    return off


def opposition(weights: Float[Array, "S 6 H"]) -> Float[Array, "S"]:
    """Return the smallest cosine between the weights of two hidden units, Eq. (3); 1 for one."""
    directions = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    cosines = np.einsum("sih,sij->shj", directions, directions)
    smallest: Float[Array, "S"] = cosines.min(axis=(1, 2))
    return smallest
