"""Where the decoders of the scores lab look, and how sharply."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.learning.sequence_to_sequence import inputs_of
from practicum.nn.seq2seq import PAD, Seq2Seq


@torch.no_grad()
def looked(
    network: Seq2Seq, source: Int[Tensor, "n S"], target: Int[Tensor, "n T"], lengths: Tensor
) -> Float[Tensor, "n T S"]:
    """Return the weights of the source words at every target word, the right ones before given.

    Rows beyond the end of a target are 0.
    """
    reading, seen = network.start(source, lengths), []
    for token in inputs_of(target).unbind(1):
        _, reading, weights = network.step(token, reading)
        seen.append(weights)
    return torch.stack(seen, 1) * (target != PAD).unsqueeze(2)


def sharpness(weights: Float[Tensor, "n T S"], target: Int[Tensor, "n T"]) -> Float[Tensor, ""]:
    """Return the largest weight in percent, mean over all words of the targets."""
    return 100 * weights.amax(2)[target != PAD].double().mean()
