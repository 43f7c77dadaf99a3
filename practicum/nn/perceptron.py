"""The perceptron: one threshold unit on top of fixed features.

Papers: F. Rosenblatt, "The perceptron: a probabilistic model for information storage and
organization in the brain", Psychological Review 65(6), 386-408, 1958.
A. B. J. Novikoff, "On convergence proofs on perceptrons", Symposium on the Mathematical Theory of
Automata 12, 615-622, 1962 (the vector form used here).

Idea: a weighted sum of the inputs is compared with a threshold. The threshold is written as one
more weight, on an input that is always 1, so that the unit is a plane through the origin of the
augmented space and everything said about it (length R, margin gamma) is said in that space.

Equations (numbered for this file and for `practicum.learning.perceptron_rule`):
    (1)  x^ = (x, 1)                       augmented input
    (2)  o(x) = sign(w . x^), sign(0) = -1

Shapes: n examples, d features; the weight vector has d + 1 entries, the bias last.

Deviations from the papers:
    1. Rosenblatt's sensory and association layers are left out: they are fixed, so the features
       given here stand for the activity of his association units.
    2. Answers are +1 and -1 instead of two competing response units.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


def augment(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d+1"]:
    """Append the constant input 1 that carries the bias."""
    return torch.cat((x, x.new_ones(len(x), 1)), dim=1)  # Eq. (1)


class Perceptron(nn.Module):
    """One threshold unit; its weights are a buffer because no gradient ever reaches them.

    Args:
        features: number of inputs d, without the constant one.
        dtype: precision of the weights.
    """

    weight: Tensor

    def __init__(self, features: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(features + 1, dtype=dtype))

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Return the weighted sums w . x^ before the threshold."""
        scores: Tensor = augment(x) @ self.weight
        return scores

    def answer(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Return +1 or -1 for each example."""
        scores: Tensor = self(x)
        return torch.where(scores > 0, 1.0, -1.0).to(scores.dtype)  # Eq. (2)
