"""Vectors without learning: count neighbours, compare with chance, keep the largest directions.

Source: O. Levy, Y. Goldberg, I. Dagan, "Improving distributional similarity with lessons learned
from word embeddings", Transactions of the ACL 3 (2015) 211-225. The numbering is ours.

    n(w, c) = sum over d = 1 ... C of (C + 1 - d) / C times how often c stands d words from w  (1)
    P(c) is proportional to the sum over w of n(w, c), to the power 3/4                       (2)
    M(w, c) = max(0, log (n(w, c) / (sum over c' of n(w, c') P(c))))                          (3)
    M ~ U S V' with the D largest singular values; the vectors are the rows of U S^{1/2}      (4)

The weights of Eq. (1) are what a window drawn from 1 ... C counts on average, and the power in
Eq. (2) is that of word2vec's noise words: both sides look at the same neighbours.

Deviation: the singular vectors are found by a randomised method (Halko, Martinsson, Tropp 2011,
as in scikit-learn), so they are those of Eq. (4) nearly, not exactly.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor

from practicum.learning.word2vec import POWER

_ROUNDS = 3  # of the randomised method


def neighbours(text: Int[Tensor, "n"], vocabulary: int, most: int) -> sparse.csr_array:
    """Return n(w, c), Eq. (1), [V, V]."""
    words = text.numpy()
    found = sparse.csr_array((vocabulary, vocabulary), dtype=np.float64)
    for d in range(1, min(most, len(words) - 1) + 1):
        weight = np.full(len(words) - d, (most + 1 - d) / most)
        shape = (vocabulary, vocabulary)
        ahead = sparse.coo_array((weight, (words[:-d], words[d:])), shape=shape).tocsr()
        found = found + ahead + ahead.T
    return sparse.csr_array(found)


def positive_information(counts: sparse.csr_array) -> sparse.csr_array:
    """Return M, Eq. (3); a pair that never occurred has 0."""
    entries = counts.tocoo()
    rows, columns = entries.row, entries.col
    of_word = counts.sum(axis=1)
    smoothed = counts.sum(axis=0) ** POWER
    chance = smoothed / smoothed.sum()  # Eq. (2)
    ratio = entries.data / (of_word[rows] * chance[columns])
    positive = np.maximum(np.log(ratio), 0)  # Eq. (3)
    made = sparse.csr_array((positive, (rows, columns)), shape=counts.shape)
    made.eliminate_zeros()
    return made


def counted_vectors(
    text: Int[Tensor, "n"], vocabulary: int, *, most: int, dimension: int, number: int
) -> Float[Tensor, "V D"]:
    """Return the vectors of Eq. (4).

    Args:
        text: numbers of words.
        vocabulary: V.
        most: C.
        dimension: D; what the vocabulary has too few words for is zero.
        number: seed of the randomised method.
    """
    from sklearn.utils.extmath import randomized_svd

    information = positive_information(neighbours(text, vocabulary, most))
    able = min(dimension, vocabulary)
    u, s, _ = randomized_svd(
        sparse.csr_matrix(information), able, n_iter=_ROUNDS, random_state=number % 2**32
    )
    vectors = torch.zeros(vocabulary, dimension)
    vectors[:, :able] = torch.from_numpy(u * np.sqrt(s))  # Eq. (4)
    return vectors
