"""Sequence to sequence: maximise the likelihood of every word of the answer, given those before.

Papers: teacher forcing: Williams, Zipser, "A learning algorithm for continually running fully
recurrent neural networks", Neural Computation 1 (1989) 270-280. Words fed back while training:
Bengio, Vinyals, Jaitly, Shazeer, "Scheduled sampling for sequence prediction with recurrent neural
networks", NIPS 2015, arXiv:1506.03099.

Equations (numbered here), for a source x and its target y_1 .. y_n = END, padded with PAD:
    J = - (1/N) sum of log p(y_i | x, z_1 .. z_{i-1}) over the N words that are not PAD     (1)
What the decoder is fed as z:
    z_i = y_i                                                (2) teacher forcing
    z_i = w_i, the most likely word at i given z_1 .. z_{i-1}                               (3) free
    z_i = y_i with probability e, else w_i                   (4) between; e = 1: (2), e = 0: (3)

No gradient goes through the choice in (3): w_i is an input like any other.

The measures: perplexity is exp(J) with (2); right words and right sequences are counted with (2) or
with (3), and it must be said which. A sequence is right if every word up to END is.

Shapes: B batch, S source words, T target words, V words of the target.

Known failure signs: PAD counted in J, which then falls far with the length of the padding; good
right words under (2) and hardly a right sequence under (3), since one wrong word leads to places
that training never showed; J near log V for long: the source is not read.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.engine.updates import Batch
from practicum.errors import PracticumError
from practicum.nn.seq2seq import BEGIN, PAD

Network = Callable[..., Tensor]
Loss = Callable[[Network, Batch, Noise], Tensor]


def inputs_of(target: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Return what teacher forcing feeds: BEGIN, and the target but for its last word."""
    return torch.cat((torch.full_like(target[:, :1], BEGIN), target[:, :-1]), 1)


def token_cross_entropy(
    logits: Float[Tensor, "B T V"], target: Int[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Return J of Eq. (1), in nats a word."""
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)


def teacher_forcing(network: Network, batch: Batch, noise: Noise) -> Float[Tensor, ""]:
    """Return J with Eq. (2).

    A batch is (sources [B, S], targets [B, T]) or (sources, targets, source lengths [B]); without
    lengths, all sources are as long as the tensor.
    """
    source, target, *lengths = batch
    logits = network(source, inputs_of(target), *lengths)
    return token_cross_entropy(logits, target)  # Eqs. (1), (2)


def free_running(forced: float = 0.0) -> Loss:
    """Return the loss J with Eq. (4); the batches are those of `teacher_forcing`.

    Args:
        forced: e, the probability that a word of the target is fed.

    Raises:
        PracticumError: e is no probability.
    """
    if not 0 <= forced <= 1:
        raise PracticumError(f"forced is {forced}; a probability lies between 0 and 1")

    def loss(network: Network, batch: Batch, noise: Noise) -> Tensor:
        source, target, *lengths = batch
        given = noise.uniform(*target.shape) < forced
        logits = network(
            source, inputs_of(target), lengths[0] if lengths else None, given
        )  # Eq. (4)
        return token_cross_entropy(logits, target)  # Eq. (1)

    return loss


def right_words(words: Int[Tensor, "B T"], target: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Return the share of the target's words, END among them, that are right, in percent."""
    counts = target != PAD
    return 100 * ((words == target) & counts).sum().double() / counts.sum()


def right_sequences(words: Int[Tensor, "B T"], target: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Return the share of sequences whose every word, END among them, is right, in percent."""
    return 100 * ((words == target) | (target == PAD)).all(1).double().mean()
