"""Normalizing flows: maximise the likelihood that the change of variables gives exactly.

Papers: L. Dinh, J. Sohl-Dickstein and S. Bengio, "Density estimation using Real NVP", ICLR 2017,
arXiv:1605.08803, sections 3.1 and 4.1. L. Theis, A. van den Oord and M. Bethge, "A note on the
evaluation of generative models", ICLR 2016, arXiv:1511.01844 (dequantisation).

Idea: an invertible network f carries data to a normal distribution. The density of the data then
follows from that of z = f(x) and from how much f stretches space at x; no bound, no sampling.

Equations (numbered for this file; K levels an input, D inputs, a the margin):
    (1)  log p(x) = log normal(f(x); 0, I) + log |det df/dx|        change of variables
    (2)  J = - mean over the batch of log p(x), in nats             what is minimised
    (3)  y = (x + u) / K,   u uniform on [0, 1)^D                   x whole numbers, 0 to K - 1
    (4)  log P(x) >= mean over u of log p(x + u)                    Jensen; P the mass of a cell
    (5)  h = logit(a + (1 - 2 a) y),  dh/dx = (1 - 2 a) / (K q (1 - q)),  q = a + (1 - 2 a) y
    (6)  bits = - (log p(h) + sum over inputs of log dh/dx) / (D log 2)

Continuous data are trained by Eq. (2). Whole numbers need Eq. (3) with new u in every step: a
density can be made as high as one likes on a finite set of points, and its likelihood then says
nothing. By Eq. (4), Eq. (6) is an upper bound on the bits that the discrete data cost.

Shapes: B examples, D inputs.

Deviation from Dinh et al.: Eq. (5) has 1 - 2a where the paper has 1 - a, so that q keeps away from
1 as it keeps away from 0.

Known failure signs: J that falls below the entropy of the data (a set of few distinct values that
was not dequantised, or the training set learned by heart: compare with held-out data); threads of
density between separate parts of the data, because f is continuous both ways; an inverse that
does not return the point, because scales have become too large for the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.engine.updates import Batch
from practicum.errors import PracticumError
from practicum.nn.realnvp import log_density

Flow = Callable[..., Any]
"""Takes x, [B, D], to z, [B, D], and the logarithm of the determinant, [B]."""


def negative_log_likelihood(network: Flow, batch: Batch, noise: Noise) -> Float[Tensor, ""]:
    """Return J of a batch whose first part is [B, D] continuous inputs, in nats an example."""
    z, log_det = network(batch[0])
    return -log_density(z, log_det).mean()  # Eq. (1), Eq. (2)


def dequantizing(levels: int, *, margin: float = 0.05) -> Callable[[Flow, Batch, Noise], Tensor]:
    """Return a loss for whole numbers: the bits an input costs, with new noise in every step.

    Args:
        levels: K, how many values an input can have.
        margin: a.

    Raises:
        PracticumError: fewer than two levels, or a margin outside 0 to 1/2.
    """
    _check(levels, margin)

    def loss(network: Flow, batch: Batch, noise: Noise) -> Tensor:
        x = batch[0]
        y = dequantized(x, noise.uniform(*x.shape).to(x.dtype), levels)
        h, stretch = to_logits(y, levels, margin=margin)
        return bits_per_dimension(log_density(*network(h)), stretch, x.shape[1]).mean()

    return loss


def dequantized(
    x: Float[Tensor, "B *data"], uniform: Float[Tensor, "B *data"], levels: int
) -> Float[Tensor, "B *data"]:
    """Return y of Eq. (3), in [0, 1), from whole numbers 0 to levels - 1."""
    return (x + uniform) / levels  # Eq. (3)


def to_logits(
    y: Float[Tensor, "B D"], levels: int, *, margin: float = 0.05
) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B"]]:
    """Return h, and the sum over the inputs of log dh/dx, Eq. (5)."""
    _check(levels, margin)
    q = margin + (1 - 2 * margin) * y
    stretch = math.log((1 - 2 * margin) / levels) - q.log() - (-q).log1p()
    return torch.logit(q), stretch.sum(1)  # Eq. (5)


def from_logits(
    h: Float[Tensor, "B D"], levels: int, *, margin: float = 0.05
) -> Float[Tensor, "B D"]:
    """Return the whole numbers in whose cells h lies; what is outside goes to the nearest."""
    _check(levels, margin)
    y = (h.sigmoid() - margin) / (1 - 2 * margin)  # Eq. (5) undone
    return (y * levels).floor().clamp(0, levels - 1)


def bits_per_dimension(
    log_p: Float[Tensor, "B"], stretch: Float[Tensor, "B"], inputs: int
) -> Float[Tensor, "B"]:
    """Return what each example costs, Eq. (6).

    Args:
        log_p: log p(h), in nats.
        stretch: what `to_logits` returned beside h.
        inputs: D.
    """
    return -(log_p + stretch) / (inputs * math.log(2))  # Eq. (6)


def _check(levels: int, margin: float) -> None:
    if levels < 2 or not 0 < margin < 0.5:
        raise PracticumError(
            f"{levels} levels with a margin of {margin}; give two levels or more, and a margin "
            "above 0 and below 0.5"
        )
