"""First weights: how large they must be drawn for signals and gradients to survive many layers.

Papers: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks",
AISTATS 2010, PMLR 9:249-256. He, Zhang, Ren, Sun, "Delving deep into rectifiers: surpassing
human-level performance on ImageNet classification", ICCV 2015, arXiv:1502.01852v1, section 2.2.

Equations (Glorot's; n_j units before the weights, n_{j+1} after, U uniform):
    W ~ U[-1/sqrt(n_j), 1/sqrt(n_j)]                         G(1)  "standard"
    n_j Var[W] = 1/3                                         G(15) what that means
    n_j Var[W] = 1        signals keep their variance        G(10)
    n_{j+1} Var[W] = 1    gradients keep theirs              G(11)
    Var[W] = 2 / (n_j + n_{j+1})                             G(12) the compromise
    W ~ U[-sqrt(6/(n_j + n_{j+1})), +the same]               G(16) "normalised"
He's, for rectified units, which let half of the signal through (N normal):
    n_j Var[W] / 2 = 1,   W ~ N(0, 2/n_j)                    H(10)
    under n_j Var[W] = 1 a signal's variance halves in every layer of rectified units
All biases begin at zero.

Shapes: a weight is [n_{j+1}, n_j], as in torch.nn.Linear.

Deviations:
    1. Every scheme exists for both distributions: only the variance enters the derivations. With
       one distribution, two schemes of one seed draw the same numbers in different sizes.
    2. G(1) without zero biases is what torch.nn.Linear does by itself: its biases have the bound
       of G(1) too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import unknown

Variance = Callable[[int, int], float]
"""(units before, units after) -> variance of a weight."""

VARIANCES: dict[str, Variance] = {
    "standard": lambda before, after: 1.0 / (3.0 * before),  # G(1), G(15)
    "glorot": lambda before, after: 2.0 / (before + after),  # G(12)
    "he": lambda before, after: 2.0 / before,  # H(10)
}


def draw_(
    weight: Float[Tensor, "after before"], scheme: str, distribution: str = "uniform"
) -> Float[Tensor, "after before"]:
    """Fill a weight in place from torch's global generator, and return it.

    Args:
        weight: what to fill.
        scheme: "standard", "glorot" or "he".
        distribution: "uniform" or "normal".

    Raises:
        PracticumError: no such scheme or distribution.
    """
    deviation = math.sqrt(variance(weight, scheme))
    if distribution not in ("uniform", "normal"):
        raise unknown("distribution", distribution, ("uniform", "normal"))
    with torch.no_grad():
        if distribution == "normal":
            return weight.normal_(0.0, deviation)  # H(10)
        bound = math.sqrt(3.0) * deviation  # G(1), G(16): a uniform's variance is bound^2 / 3
        return weight.uniform_(-bound, bound)


def variance(weight: Float[Tensor, "after before"], scheme: str) -> float:
    """Return the variance that a scheme gives the entries of a weight.

    Raises:
        PracticumError: no such scheme.
    """
    if scheme not in VARIANCES:
        raise unknown("initialisation", scheme, VARIANCES)
    after, before = weight.shape
    return VARIANCES[scheme](before, after)


def initialize(network: nn.Module, scheme: str, distribution: str = "uniform") -> nn.Module:
    """Draw all linear layers of a network anew, in order, their biases zero; return the network.

    Raises:
        PracticumError: no such scheme or distribution.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            draw_(layer.weight, scheme, distribution)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
