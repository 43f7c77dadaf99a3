"""What the translation lab measures of a trained network, and what it keeps to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.data.pairs import Part
from practicum.labs.attention.translation.data import spoken
from practicum.learning.bleu import corpus_bleu
from practicum.learning.sequence_to_sequence import inputs_of, token_cross_entropy
from practicum.nn.seq2seq import BEGIN, Seq2Seq
from practicum.nn.transformer import Transformer

SHOWN = 5  # test sentences whose translations are kept


class Placed(NamedTuple):
    """Examples where the network is: sources, targets, lengths of the sources."""

    source: Tensor
    target: Tensor
    lengths: Tensor


@torch.no_grad()
def measures_of(
    network: nn.Module,
    tests: Mapping[int, Placed],
    texts: Mapping[int, Part],
    words: Sequence[str],
    longest: int,
) -> dict[str, Float[Tensor, "..."]]:
    """Return what is measured.

    Args:
        network: the trained one.
        tests: by number of sentences.
        texts: their references as words.
        words: of the target, by number.
        longest: words of the longest sentence; so many, times sentences, are written at most.
    """
    losses, scores = [], []
    for k, one in tests.items():
        logits = network(one.source, inputs_of(one.target), one.lengths)
        losses.append(token_cross_entropy(logits, one.target).double())
        said, _ = translated(network, one.source, one.lengths, k * longest + 1)
        scores.append(bleu(said, texts[k], words))
    nll, score = torch.stack(losses), torch.tensor(scores, dtype=torch.float64)
    return {
        "nll": nll[0],
        "nll_beyond": nll[2],
        "rise": nll[1] - nll[0],
        "rise_beyond": nll[2] - nll[1],
        "bleu": score[0],
        "nll_by_sentences": nll,
        "bleu_by_sentences": score,
    }


def bleu(said: Int[Tensor, "n T"], texts: Part, words: Sequence[str]) -> float:
    """Return the BLEU of translations; an unknown word in them is never right."""
    candidates = [spoken(row, words) for row in said.tolist()]
    return corpus_bleu(candidates, [[one.split()] for one in texts.target]).score


@torch.no_grad()
def translated(
    network: nn.Module, source: Int[Tensor, "n S"], lengths: Int[Tensor, "n"], steps: int
) -> tuple[Int[Tensor, "n T"], Float[Tensor, "n T S"]]:
    """Return the greedy translations and where a recurrent network looked for each word."""
    if isinstance(network, Seq2Seq):
        return network.greedy(source, steps, lengths)
    assert isinstance(network, Transformer)
    said = network.generate(source, BEGIN, steps, lengths)
    return said, torch.zeros(*said.shape, source.shape[1])


def kept(network: nn.Module, test: Placed, longest: int) -> dict[str, Tensor]:
    """Return the translations of a few test sentences, and the attention, both of fixed size."""
    said, looked = translated(network, test.source[:SHOWN], test.lengths[:SHOWN], longest + 1)
    return {"said": said, "looked": looked}
