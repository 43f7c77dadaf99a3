"""Beam search: keep the best few beginnings of a sequence, and lengthen them word by word.

Paper: Wu et al., "Google's neural machine translation system: bridging the gap between human and
machine translation", arXiv:1609.08144v2, section 7. The idea is older: Graves, "Sequence
transduction with recurrent neural networks", arXiv:1211.3711.

Equations (as numbered in the paper), for a sequence Y of |Y| words, END among them:
    s(Y, X) = log P(Y | X) / lp(Y)                           (14) the score
    lp(Y) = (5 + |Y|)^alpha / (5 + 1)^alpha                  (14) length penalty

Algorithm:
    1. Begin with the one sequence without words.
    2. Lengthen every open sequence in the beam by every word; a sequence that has ended stays.
    3. Keep the K with the best scores (14).
    4. Repeat 2 and 3 until all K have ended, or there are T words.

With K = 1 this is greedy decoding. With K so large that nothing is thrown away it is exact: the
best of all sequences that end within T words or are T words long. In between it is neither, and a
larger K may find a sequence of lower score.

Shapes: B sources, K beams, V words, T words at most.

Deviations:
    1. No coverage penalty: beta = 0 in (14).
    2. The paper also throws away words and hypotheses that are far worse than the best; here only
       the rank counts.
    3. Ended sequences keep their place in the beam; the paper shrinks the beam instead.

With alpha = 0, scores are log-probabilities, and every further word costs: short sequences win.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.errors import PracticumError

S = TypeVar("S")


@dataclass(frozen=True)
class Beams:
    """What a search found, the best first.

    Attributes:
        words: [B, K, T] PAD after END.
        log_probs: [B, K] log P(Y | X), in nats; -inf: there are fewer than K sequences.
        scores: [B, K] s(Y, X).
        lengths: [B, K] |Y|.
    """

    words: Int[Tensor, "B K T"]
    log_probs: Float[Tensor, "B K"]
    scores: Float[Tensor, "B K"]
    lengths: Int[Tensor, "B K"]


def length_penalty(lengths: Int[Tensor, "*shape"], alpha: float) -> Float[Tensor, "*shape"]:
    """Return lp of Eq. (14)."""
    return ((5.0 + lengths.double()) / 6.0) ** alpha


def beam_search(
    step: Callable[[Tensor, S], tuple[Tensor, S]],
    state: S,
    select: Callable[[S, Tensor], S],
    *,
    begin: Int[Tensor, "B"],
    end: int,
    pad: int,
    steps: int,
    size: int,
    alpha: float = 0.0,
) -> Beams:
    """Search for the sequences with the best scores.

    Args:
        step: (last words [N], state of N rows) -> log-probabilities [N, V] and the next state.
        state: the state of B rows before the first word.
        select: (state, rows [N]) -> the state of these rows.
        begin: the word before the first, of each source.
        end: the word that ends a sequence.
        pad: what stands after it.
        steps: T.
        size: K.
        alpha: of the length penalty.

    Raises:
        PracticumError: no step or no beam.
    """
    if size < 1 or steps < 1:
        raise PracticumError(f"beam search with {size} beams and {steps} steps; it needs 1 of each")
    batch, device = len(begin), begin.device
    rows = torch.arange(batch, device=device).unsqueeze(1)
    state = select(state, rows.expand(-1, size).flatten())
    last = begin.unsqueeze(1).expand(-1, size)
    words = last.new_full((batch, size, steps), pad)
    lengths, ended = torch.zeros_like(last), torch.zeros_like(last, dtype=torch.bool)
    total = torch.empty(0)
    for t in range(steps):
        log_p, state = step(last.flatten(), state)
        log_p = log_p.view(batch, size, -1)
        if t == 0:  # all K rows are the one empty sequence: one of them counts
            total = log_p.new_full((batch, size), -torch.inf)
            total[:, 0] = 0.0
        # An ended sequence goes on with `pad` alone, which costs nothing and adds no word.
        stays = torch.full_like(log_p, -torch.inf)
        stays[..., pad] = 0.0
        lengthened = total.unsqueeze(2) + torch.where(ended.unsqueeze(2), stays, log_p)
        counts = torch.where(ended, lengths, t + 1)
        scores = lengthened / length_penalty(counts, alpha).to(log_p.dtype).unsqueeze(2)  # Eq. (14)
        best = scores.flatten(1).topk(size).indices
        kept, last = best // log_p.shape[2], best % log_p.shape[2]
        total = lengthened.flatten(1).gather(1, best)
        lengths, ended = counts.gather(1, kept), ended.gather(1, kept)
        words = words[rows, kept]
        words[..., t] = last
        ended = ended | (last == end)
        state = select(state, (rows * size + kept).flatten())
        if bool(ended.all()):
            break
    scores = total / length_penalty(lengths, alpha).to(total.dtype)
    return Beams(words, total, scores, lengths)
