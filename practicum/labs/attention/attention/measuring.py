"""What the attention lab measures of a trained network, length by length."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.labs.attention.attention.data import origins
from practicum.learning.sequence_to_sequence import (
    inputs_of,
    right_sequences,
    right_words,
    token_cross_entropy,
)
from practicum.nn.seq2seq import Seq2Seq


def lengths_of(shortest: int, longest: int, beyond: int) -> list[int]:
    """Return the lengths that are tested: both ends and the middle of training, and beyond."""
    return sorted({shortest, (shortest + longest) // 2, longest, (longest + beyond) // 2, beyond})


@torch.no_grad()
def measures_of(
    network: Seq2Seq, tests: Mapping[int, tuple[Tensor, ...]], longest: int
) -> dict[str, Float[Tensor, "..."]]:
    """Return what is measured.

    Args:
        network: the trained one.
        tests: sources and targets of each length, in rising order.
        longest: the longest trained length.
    """
    words, sequences, losses = {}, {}, {}
    for length, (source, target) in tests.items():
        logits = network(source, inputs_of(target))
        losses[length] = token_cross_entropy(logits, target).double()
        words[length] = right_words(logits.argmax(-1), target)
        said, _ = network.greedy(source, target.shape[1])
        sequences[length] = right_sequences(said, target)
    weights = attention_of(network, *tests[longest])[:, :-1]  # END is no translation
    most = weights.argmax(-1)
    return {
        "fall": words[min(tests)] - words[longest],
        "nll": losses[longest],
        "right_beyond": words[max(tests)],
        "aligned": 100 * (most == origins(longest).to(most.device)).double().mean(),
        "right_words": torch.stack(list(words.values())),
        "right_sequences": torch.stack(list(sequences.values())),
    }


@torch.no_grad()
def attention_of(network: Seq2Seq, source: Tensor, target: Tensor) -> Float[Tensor, "n T S"]:
    """Return the weights of every target word, the right words before it given."""
    reading, seen = network.start(source), []
    for token in inputs_of(target).unbind(1):
        _, reading, weights = network.step(token, reading)
        seen.append(weights)
    return torch.stack(seen, 1)


def attention_map(network: Seq2Seq, source: Tensor, target: Tensor) -> Float[Tensor, "T S"]:
    """Return the mean over the test pairs of the weights."""
    return attention_of(network, source, target).mean(0)
