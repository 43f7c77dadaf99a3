"""The outer-product rule: would catch a diagonal that is not zero, a transposed sum, a scale that
depends on the number of patterns, and rounding in weights that ought to be whole numbers.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from practicum.errors import PracticumError
from practicum.learning.hebbian import outer_product


def naive(patterns: list[list[float]]) -> list[list[float]]:
    n = len(patterns[0])
    return [
        [0.0 if i == j else sum(p[i] * p[j] for p in patterns) for j in range(n)] for i in range(n)
    ]


@pytest.mark.parametrize(("count", "units"), [(1, 4), (3, 7), (9, 5)])
def test_weights_equal_a_triple_loop(count: int, units: int) -> None:
    drawn = np.random.default_rng(count).integers(0, 2, size=(count, units)) * 2.0 - 1.0
    patterns = torch.from_numpy(drawn).float()
    assert outer_product(patterns).tolist() == naive(patterns.tolist())
    kept = outer_product(patterns, keep_diagonal=True)
    assert kept.diagonal().tolist() == [float(count)] * units
    assert kept.tolist() != naive(patterns.tolist())


def test_a_known_case_and_its_mirror_image() -> None:
    pattern = torch.tensor([[1.0, -1.0, 1.0]])
    expected = [[0, -1, 1], [-1, 0, -1], [1, -1, 0]]
    assert outer_product(pattern).tolist() == expected
    assert outer_product(-pattern).tolist() == expected


def test_weights_of_many_patterns_are_whole_numbers_in_single_precision() -> None:
    drawn = np.random.default_rng(0).integers(0, 2, size=(400, 50)) * 2.0 - 1.0
    single = outer_product(torch.from_numpy(drawn).float())
    assert torch.equal(single.double(), outer_product(torch.from_numpy(drawn)))


def test_patterns_of_zeros_and_ones_are_refused() -> None:
    with pytest.raises(PracticumError, match="-1"):
        outer_product(torch.tensor([[0.0, 1.0]]))
