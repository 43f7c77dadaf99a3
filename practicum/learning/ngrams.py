"""Counting n-grams: predict a token from how often it followed the last few, smoothed.

Source: Kneser, Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995, I:181-184,
in the interpolated form of Chen, Goodman, "An empirical study of smoothing techniques for language
modeling", Computer Speech and Language 13 (1999) 359-394. The numbering is ours.

What is estimated: the distribution of a token w after a context h of k - 1 tokens, k = 1 ... n;
h' is h without its first token.

    c_n(g) = how often the n-gram g stands in the text                                    (1)
    c_k(g) = how many different tokens stand before g, k < n                              (2)
    D_k    = n_1 / (n_1 + 2 n_2),  n_i: number of k-grams g with c_k(g) = i               (3)
    p_k(w | h) = (max(c_k(h w) - D_k, 0) + D_k m_k(h) p_{k-1}(w | h')) / sum_v c_k(h v)   (4)
    p_0(w) = 1 / V                                                                        (5)

with m_k(h) the number of different tokens v that have c_k(h v) > 0. A context that never occurred
leaves p_k = p_{k-1}. Eq. (2) is the idea of the paper: a short context is asked only where the long
one is unknown, so what counts is in how many places a token can stand, not how often it does.

Shapes: n order, V tokens, N length of a text.

Deviations:
    1. Where no k-gram has c_k = 1, Eq. (3) would be 0 and unseen tokens impossible; D_k is then
       1/2.
    2. The beginning of a text has no mark: its first tokens are predicted from shorter contexts.

Known failure sign: a loss that rises with the order: the discounts do not fit the text, or it is
too short for the order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.errors import PracticumError

_SMALL_SAMPLE_DISCOUNT = 0.5


@dataclass(frozen=True)
class _Level:
    """The counts of one k; grams and contexts are numbers in base V, in rising order."""

    grams: Tensor
    counts: Tensor
    contexts: Tensor
    totals: Tensor
    kinds: Tensor
    discount: float


class KneserNey:
    """An n-gram model with interpolated Kneser-Ney smoothing, learned by counting.

    Args:
        tokens: the text to count in.
        order: n.
        vocabulary: V.

    Raises:
        PracticumError: an order below 1, a text shorter than it, tokens outside the vocabulary,
            or so many possible n-grams that they cannot be numbered.
    """

    def __init__(self, tokens: Int[Tensor, "N"], order: int, vocabulary: int) -> None:
        if not 1 <= order <= len(tokens):
            raise PracticumError(f"order {order} does not fit a text of {len(tokens)} tokens")
        if vocabulary**order >= 2**63:
            raise PracticumError(
                f"{vocabulary} tokens in runs of {order} are too many to number; lower the order"
            )
        _check(tokens, vocabulary)
        self.order, self.vocabulary = order, vocabulary
        levels = []
        for k in range(1, order + 1):
            if k == order:
                grams = _grams(tokens, k, vocabulary)  # Eq. (1)
            else:  # each different (k + 1)-gram is one more token before its last k
                grams = torch.unique(_grams(tokens, k + 1, vocabulary)) % vocabulary**k  # Eq. (2)
            levels.append(self._level(*torch.unique(grams, return_counts=True)))
        self.levels = tuple(levels)

    def _level(self, grams: Tensor, counts: Tensor) -> _Level:
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        contexts, place, kinds = torch.unique(
            grams // self.vocabulary, return_inverse=True, return_counts=True
        )
        return _Level(
            grams=grams,
            counts=counts,
            contexts=contexts,
            totals=torch.zeros_like(contexts).index_add_(0, place, counts),
            kinds=kinds,
            discount=once / (once + 2 * twice) if once else _SMALL_SAMPLE_DISCOUNT,  # Eq. (3)
        )

    def probabilities(self, tokens: Int[Tensor, "N"]) -> Float[Tensor, "N"]:
        """Return the probability of every token of a text after those before it.

        Raises:
            PracticumError: tokens outside the vocabulary.
        """
        _check(tokens, self.vocabulary)
        p = torch.full((len(tokens),), 1 / self.vocabulary, dtype=torch.float64)  # Eq. (5)
        for k, level in enumerate(self.levels, start=1):
            if k > len(tokens):
                break
            grams = _grams(tokens, k, self.vocabulary)
            there, context = _find(level.contexts, grams // self.vocabulary)
            seen, gram = _find(level.grams, grams)
            count = torch.where(seen, level.counts[gram], 0)
            rest = level.discount * level.kinds[context]
            above = (count - level.discount).clamp(min=0)
            mixed = (above + rest * p[k - 1 :]) / level.totals[context]  # Eq. (4)
            p[k - 1 :] = torch.where(there, mixed, p[k - 1 :])
        return p

    def losses(self, tokens: Int[Tensor, "N"]) -> Float[Tensor, "N"]:
        """Return minus the logarithm of `probabilities`, in nats."""
        return -self.probabilities(tokens).log()


def _check(tokens: Tensor, vocabulary: int) -> None:
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < vocabulary:
        raise PracticumError(f"tokens must be in 0 ... {vocabulary - 1}")


def _grams(tokens: Tensor, k: int, vocabulary: int) -> Tensor:
    """Return every run of k tokens as a number in base V, its last token the last digit."""
    end = len(tokens) - k + 1
    code = tokens[:end]
    for i in range(1, k):
        code = code * vocabulary + tokens[i : i + end]
    return code


def _find(table: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return whether each number is in a rising table, and where (anywhere if it is not)."""
    place = torch.searchsorted(table, wanted).clamp(max=len(table) - 1)
    return table[place] == wanted, place
