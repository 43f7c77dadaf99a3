"""word2vec's tables and scores against sums written out, in float64 and with unequal sizes.

Catches: input and output tables exchanged, a mean over words that are not there, a sum for a mean,
a start that the header does not promise.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from practicum.errors import PracticumError
from practicum.nn.word2vec import Word2Vec

V, D, B, C, K = 11, 5, 3, 4, 2


def network() -> Word2Vec:
    torch.manual_seed(3)
    made = Word2Vec(V, D).double()
    torch.nn.init.normal_(made.input)
    torch.nn.init.normal_(made.output)
    return made


def by_hand(
    table: np.ndarray, asking: np.ndarray, read: list[list[int]], asked: list[list[int]]
) -> np.ndarray:
    scores = np.zeros((len(read), len(asked[0])))
    for b, words in enumerate(read):
        h = sum(table[w] for w in words) / len(words)
        for k, w in enumerate(asked[b]):
            scores[b, k] = sum(asking[w][i] * h[i] for i in range(len(h)))
    return scores


def test_scores_are_products_with_the_mean_of_the_words_that_are_there() -> None:
    made = network()
    there = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 0, 0]]).bool()
    read = torch.randint(V, (B, C))
    asked = torch.randint(V, (B, K))
    lists = [
        [w for w, yes in zip(*rows, strict=True) if yes]
        for rows in zip(read.tolist(), there.tolist(), strict=True)
    ]
    tables = made.input.detach().numpy(), made.output.detach().numpy()

    found = made(read, there, asked).detach().numpy()

    np.testing.assert_allclose(found, by_hand(*tables, lists, asked.tolist()), rtol=1e-12)
    exchanged = by_hand(*tables[::-1], lists, asked.tolist())
    everything = by_hand(*tables, read.tolist(), asked.tolist())
    for broken in (exchanged, everything):
        assert not np.allclose(found, broken)


def test_the_start_is_small_and_the_output_zero() -> None:
    torch.manual_seed(0)
    made = Word2Vec(2000, 8)

    assert not made.output.any()
    assert float(made.input.detach().abs().max()) <= 1 / 16
    assert float(made.input.detach().std()) == pytest.approx(1 / 8 / 12**0.5, rel=0.02)
    read = torch.zeros(1, 1, dtype=torch.long)
    assert float(made(read, read == 0, read).detach()) == 0.0  # every chance is a half


@pytest.mark.parametrize(("vocabulary", "dimension"), [(0, 3), (3, 0)])
def test_a_table_without_entries_is_refused(vocabulary: int, dimension: int) -> None:
    with pytest.raises(PracticumError, match="at least one of each"):
        Word2Vec(vocabulary, dimension)
