"""BLEU: how many runs of words a translation shares with a reference.

Paper: Papineni, Roukos, Ward, Zhu, "BLEU: a method for automatic evaluation of machine
translation", ACL 2002, 311-318. Its equations for p_n, BP and BLEU are (2), (4) and (5) here.

What is measured, for candidates C (the translations of a corpus), each with references R:
    clip(g, C) = min(count of g in C, largest count of g in one R of C)                     (1)
    p_n = sum over C and its n-grams g of clip(g, C) / sum over C of its number of n-grams  (2)
    r = sum over C of the length of the R nearest in length, c = sum over C of its length   (3)
    BP = 1 if c > r, else exp(1 - r/c)                                                      (4)
    BLEU = BP exp(sum over n = 1 ... N of (1/N) log p_n), N = 4                             (5)

Sums over the whole corpus come first, the quotient last: BLEU is not the mean of what its sentences
would have. There is no smoothing: if one p_n is 0, so is BLEU.

Deviations:
    1. Scores are times 100, as they are usually printed.
    2. Words are given; cutting text into words is the caller's. BLEU changes with it, so scores of
       different cutting, lower-casing or references cannot be compared (Post, "A call for clarity
       in reporting BLEU scores", WMT 2018, arXiv:1804.08771).
    3. Of two references equally near in length the shorter counts; the paper does not say.

Known failure signs: 0 on few or short sentences, since no run of four words is right; a score that
rises when sentences get longer only: that is BP; a marker for unknown words in both candidates and
references, which counts as a right word.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from practicum.errors import PracticumError

Words = Sequence[str]


@dataclass(frozen=True)
class Bleu:
    """A corpus' score and what it is made of.

    Attributes:
        score: BLEU, 0 to 100.
        precisions: p_1 ... p_N, 0 to 1; 0 where no candidate is long enough.
        brevity: BP, 0 to 1.
        length: c, words of the candidates.
        reference_length: r.
    """

    score: float
    precisions: tuple[float, ...]
    brevity: float
    length: int
    reference_length: int


def corpus_bleu(
    candidates: Sequence[Words], references: Sequence[Sequence[Words]], order: int = 4
) -> Bleu:
    """Return the BLEU of a corpus.

    Args:
        candidates: a translation of each sentence, as words.
        references: one or more good translations of each sentence, as words.
        order: N, the longest runs counted.

    Raises:
        PracticumError: no sentences, not as many references as candidates, a sentence without
            reference, or an order below 1.

    Source: Papineni et al. 2002.
    """
    if not candidates or len(candidates) != len(references) or not all(references):
        raise PracticumError(
            f"{len(candidates)} candidates and {len(references)} sets of references; BLEU needs a "
            "sentence, and a reference for each"
        )
    if order < 1:
        raise PracticumError(f"order is {order}; BLEU counts runs of 1 word or more")
    right, all_of = [0] * order, [0] * order
    length = reference_length = 0
    for candidate, several in zip(candidates, references, strict=True):
        length += len(candidate)
        nearest = min((len(one) for one in several), key=lambda n: (abs(n - len(candidate)), n))
        reference_length += nearest  # Eq. (3)
        for n in range(1, order + 1):
            counted = ngrams(candidate, n)
            right[n - 1] += clipped(counted, [ngrams(one, n) for one in several])
            all_of[n - 1] += counted.total()
    precisions = tuple(a / b if b else 0.0 for a, b in zip(right, all_of, strict=True))  # Eq. (2)
    brevity = brevity_penalty(length, reference_length)
    score = 0.0
    if all(precisions):
        score = brevity * math.exp(sum(math.log(p) for p in precisions) / order)  # Eq. (5)
    return Bleu(100 * score, precisions, brevity, length, reference_length)


def ngrams(words: Words, n: int) -> Counter[tuple[str, ...]]:
    """Return how often each run of n words occurs."""
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def clipped(
    candidate: Counter[tuple[str, ...]], references: Sequence[Counter[tuple[str, ...]]]
) -> int:
    """Return the runs that count as right: each as often as one reference has it, at most."""
    return sum(
        min(count, max(one[gram] for one in references)) for gram, count in candidate.items()
    )  # Eq. (1)


def brevity_penalty(length: int, reference_length: int) -> float:
    """Return BP, by which candidates shorter than their references are punished; 0 for no words."""
    if length > reference_length:
        return 1.0
    return math.exp(1 - reference_length / length) if length else 0.0  # Eq. (4)
