"""Counting n-grams: would catch raw counts where continuations belong, discounts of another level,
contexts that are cut at the wrong end, unknown contexts that lose their probability, and any
distribution that does not sum to one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.errors import PracticumError
from practicum.learning import ngrams
from practicum.learning.ngrams import KneserNey

TEXTS = st.lists(st.integers(0, 3), min_size=4, max_size=40)


class Naive:
    """The equations with dictionaries and fractions, one gram after another."""

    def __init__(self, text: list[int], order: int, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.counts: dict[int, dict[tuple[int, ...], int]] = {}
        for k in range(1, order + 1):
            found: dict[tuple[int, ...], int] = defaultdict(int)
            if k == order:
                for t in range(len(text) - k + 1):
                    found[tuple(text[t : t + k])] += 1
            else:
                before: dict[tuple[int, ...], set[int]] = defaultdict(set)
                for t in range(1, len(text) - k + 1):
                    before[tuple(text[t : t + k])].add(text[t - 1])
                found.update({gram: len(tokens) for gram, tokens in before.items()})
            self.counts[k] = dict(found)

    def p(self, token: int, context: tuple[int, ...]) -> Fraction:
        k = len(context) + 1
        lower = Fraction(1, self.vocabulary) if k == 1 else self.p(token, context[1:])
        count = self.counts[k]
        total = sum(c for gram, c in count.items() if gram[:-1] == context)
        if total == 0:
            return lower
        ones = sum(c == 1 for c in count.values())
        twos = sum(c == 2 for c in count.values())
        discount = Fraction(ones, ones + 2 * twos) if ones else Fraction(1, 2)
        kinds = sum(gram[:-1] == context for gram in count)
        here = max(count.get((*context, token), 0) - discount, Fraction(0))
        return (here + discount * kinds * lower) / total


def twin(train: list[int], order: int, vocabulary: int, text: list[int]) -> list[float]:
    """Return the naive probability of each token of a text."""
    naive = Naive(train, order, vocabulary)
    return [
        float(naive.p(token, tuple(text[max(0, t - order + 1) : t])))
        for t, token in enumerate(text)
    ]


@settings(max_examples=60, deadline=None)
@given(train=TEXTS, text=TEXTS, order=st.integers(1, 4))
def test_probabilities_are_those_of_the_equations(
    train: list[int], text: list[int], order: int
) -> None:
    ours = KneserNey(torch.tensor(train), order, 5).probabilities(torch.tensor(text))
    torch.testing.assert_close(ours, torch.tensor(twin(train, order, 5, text)).double())


@settings(max_examples=40, deadline=None)
@given(train=TEXTS, context=TEXTS, order=st.integers(1, 4))
def test_the_chances_of_all_tokens_sum_to_one(
    train: list[int], context: list[int], order: int
) -> None:
    model = KneserNey(torch.tensor(train), order, 5)
    ends = [model.probabilities(torch.tensor([*context, w]))[-1] for w in range(5)]
    assert float(torch.stack(ends).sum()) == pytest.approx(1)
    assert min(ends) > 0


def test_a_token_that_stands_in_one_place_only_is_unlikely_elsewhere() -> None:
    # "San Francisco": 1 is frequent, but only after 0; 2 and 3 stand after many tokens.
    text = torch.tensor([0, 1] * 20 + [2, 3, 4, 2, 4, 3, 2, 2, 3, 3, 4, 4, 2])
    model = KneserNey(text, 2, 6)
    after_unknown = [float(model.probabilities(torch.tensor([5, w]))[-1]) for w in range(6)]
    assert after_unknown[1] < after_unknown[2]
    assert int((text == 1).sum()) > int((text == 2).sum())


def test_raw_counts_in_the_lower_orders_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    train, text = [0, 1, 0, 1, 0, 1, 2, 2, 1, 3, 0, 2], [3, 2, 1, 1, 0]

    class Raw(KneserNey):
        def _level(self, grams: Tensor, counts: Tensor) -> ngrams._Level:
            k = len(str(int(grams.max())))  # of vocabulary 10, k digits
            raw = ngrams._grams(torch.tensor(train), k, 10)
            return super()._level(*torch.unique(raw, return_counts=True))

    expected = torch.tensor(twin(train, 2, 10, text)).double()
    right = KneserNey(torch.tensor(train), 2, 10).probabilities(torch.tensor(text))
    wrong = Raw(torch.tensor(train), 2, 10).probabilities(torch.tensor(text))
    torch.testing.assert_close(right, expected)
    assert not torch.allclose(wrong, expected)


def test_losses_are_in_nats_and_a_text_without_end_of_one_token_becomes_sure() -> None:
    model = KneserNey(torch.zeros(1000, dtype=torch.long), 3, 7)
    losses = model.losses(torch.zeros(50, dtype=torch.long))
    assert float(losses[-1]) < 0.001
    assert float(model.losses(torch.tensor([6]))) > math.log(7)


@pytest.mark.parametrize(
    ("text", "order", "vocabulary", "says"),
    [
        ([0, 1, 2], 0, 3, "order 0"),
        ([0, 1, 2], 4, 3, "order 4"),
        ([0, 1, 3], 2, 3, r"0 \.\.\. 2"),
        ([0, -1, 2], 2, 3, r"0 \.\.\. 2"),
        ([0] * 20, 13, 50, "too many to number"),
    ],
)
def test_what_cannot_be_counted_is_said(
    text: list[int], order: int, vocabulary: int, says: str
) -> None:
    with pytest.raises(PracticumError, match=says):
        KneserNey(torch.tensor(text), order, vocabulary)


def test_a_text_shorter_than_the_order_and_an_empty_one_can_be_read() -> None:
    model = KneserNey(torch.tensor([0, 1, 2, 0, 1]), 4, 3)
    assert len(model.probabilities(torch.tensor([1, 2]))) == 2
    assert len(model.losses(torch.zeros(0, dtype=torch.long))) == 0
