"""How far generated examples are from real ones: in the plane by counting, for images by features.

Papers: M. Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
equilibrium", NIPS 2017, arXiv:1706.08500 (the Frechet distance of features).

Equations (numbered for this file):
    (1)  n_k = share of the points within `REACH` spreads of centre k and of no nearer one
         misplaced = 1/2 (sum over the K centres of |n_k - 1/K| + 1 - sum of n_k)
    (2)  d^2 = |m - w|^2 + tr(C + W - 2 (C W)^(1/2))    means m, w and covariances C, W of features
    (3)  tr (C W)^(1/2) = sum of the singular values of A B', where C = A'A and W = B'B
    (4)  frechet = d^2 / tr W                            W of the real images

Eq. (1) is the total variation distance of the counts: the smallest share of points that would have
to move for every centre to have its share. Eq. (3) needs no root of a matrix, whose small
eigenvalues lose half their digits. By Eq. (4) a generator that always makes one image of average
features is at 1.

Shapes: n, m examples, K centres, F features.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.errors import unknown

REACH = 3.0
HIT = 0.25
"""A mode counts as hit if it has this share of the points that it should have."""


def centres(layout: str) -> Float[Tensor, "K 2"]:
    """Return the centres of a mixture: "ring", 8 at radius 2, or "grid", 25 at distance 1.

    Raises:
        PracticumError: no such layout.
    """
    if layout == "ring":
        angle = torch.arange(8) * (2 * math.pi / 8)
        return 2 * torch.stack((angle.cos(), angle.sin()), 1)
    if layout == "grid":
        line = torch.arange(-2.0, 3.0)
        return torch.cartesian_prod(line, line)
    raise unknown("layout", layout, ("ring", "grid"))


def shares(
    points: Float[Tensor, "n 2"], middles: Float[Tensor, "K 2"], spread: float
) -> Float[Tensor, "K"]:
    """Return n_k of Eq. (1)."""
    distance, nearest = torch.cdist(points.double(), middles.double()).min(1)
    near = nearest[distance <= REACH * spread]  # a point that is not a number is nowhere
    return near.bincount(minlength=len(middles)).double() / len(points)


def misplaced(found: Float[Tensor, "K"]) -> Float[Tensor, ""]:
    """Return Eq. (1) in percent, from the shares of the centres."""
    wrong = (found - 1 / len(found)).abs().sum() + 1 - found.sum()
    return 100 * wrong / 2


def modes_hit(found: Float[Tensor, "K"]) -> Float[Tensor, ""]:
    """Return how many centres have at least `HIT` of their share."""
    return (found >= HIT / len(found)).sum().double()


def frechet(made: Float[Tensor, "n F"], real: Float[Tensor, "m F"]) -> Float[Tensor, ""]:
    """Return Eq. (4), in float64; nan where a feature is not finite."""
    made, real = made.double(), real.double()
    if not bool(torch.isfinite(made).all()):
        return made.new_tensor(math.nan)
    apart = (made.mean(0) - real.mean(0)).square().sum()
    a, b = _root(made), _root(real)
    total = a.square().sum() + b.square().sum()  # tr C + tr W
    together = torch.linalg.svdvals(a @ b.T).sum()  # Eq. (3)
    distance: Tensor = (apart + total - 2 * together) / b.square().sum()  # Eq. (2), Eq. (4)
    return distance


def _root(features: Float[Tensor, "n F"]) -> Float[Tensor, "r F"]:
    """Return a matrix A with A'A the covariance of the features."""
    centred = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    root: Tensor = torch.linalg.qr(centred, mode="r").R
    return root


def variety(predicted: Float[Tensor, "n classes"]) -> Float[Tensor, ""]:
    """Return how many classes there are among images: exp of the entropy of their shares.

    Args:
        predicted: a classifier's logits; each image counts for its likeliest class.
    """
    share = predicted.argmax(1).bincount(minlength=predicted.shape[1]).double() / len(predicted)
    entropy: Tensor = torch.special.entr(share).sum()
    return entropy.exp()
