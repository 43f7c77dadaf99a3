"""word2vec: every word has two vectors, one to be read by and one to be asked for.

Papers: T. Mikolov, K. Chen, G. Corrado, J. Dean, "Efficient estimation of word representations in
vector space", arXiv:1301.3781v3, 2013 (the two models: CBOW in section 3.1, skip-gram in 3.2).
T. Mikolov, I. Sutskever, K. Chen, G. Corrado, J. Dean, "Distributed representations of words and
phrases and their compositionality", arXiv:1310.4546v1, 2013 (vectors and scores, Eq. (2)).

Definition: word w has an input vector v_w and an output vector v'_w. There is no hidden layer and
no nonlinearity. What is read is one word (skip-gram) or several (CBOW); what is asked is how well
another word fits.

Equations (a letter where the papers give the model in words only):
    (a)  h = v_w for skip-gram, h = mean of v_w over the words read for CBOW
    (2)  p(w_O | h) is proportional to exp(v'_{w_O}^T h); the score is the exponent

Shapes: V words, D dimension, B examples, C words read, K words asked.

Deviations:
    1. The papers do not say how vectors begin. Here, as in the authors' program: input vectors are
       uniform in [-1/2, 1/2) / D, output vectors are zero.
    2. The sum in the denominator of Eq. (2) is never taken: see `practicum.learning.word2vec`.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError


class Word2Vec(nn.Module):
    """Two tables of vectors, `input` and `output`, each [V, D].

    Args:
        vocabulary: V.
        dimension: D.

    Raises:
        PracticumError: no word, or no dimension.

    Source: arXiv:1301.3781v3, section 3.
    """

    def __init__(self, vocabulary: int, dimension: int) -> None:
        super().__init__()
        if vocabulary < 1 or dimension < 1:
            raise PracticumError(
                f"word2vec with {vocabulary} words in {dimension} dimensions; at least one of each"
            )
        drawn = (torch.rand(vocabulary, dimension) - 0.5) / dimension
        self.input = nn.Parameter(drawn)
        self.output = nn.Parameter(torch.zeros(vocabulary, dimension))

    def forward(
        self, read: Int[Tensor, "B C"], there: Bool[Tensor, "B C"], asked: Int[Tensor, "B K"]
    ) -> Float[Tensor, "B K"]:
        """Return the score of every word that is asked, given the words that are read.

        Args:
            read: numbers of words; any number where there is none.
            there: which of them count; at least one in a row.
            asked: numbers of words.
        """
        share = there.to(self.input.dtype)
        share = share / share.sum(1, keepdim=True)
        h_BD = torch.einsum("bc,bcd->bd", share, self.input[read])  # Eq. (a)
        scores: Tensor = torch.einsum("bd,bkd->bk", h_BD, self.output[asked])  # Eq. (2)
        return scores
