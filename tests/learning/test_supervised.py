"""Cross-entropy and the error rate against sums written out.

Would catch: a sum in place of the mean, base 2 in place of e, a softmax over the wrong axis,
overflow of large logits, an error counted as a share where percent is promised.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from practicum.engine.noise import GlobalNoise
from practicum.learning.supervised import cross_entropy, error_percent

B, K = 7, 4
_made = torch.Generator().manual_seed(6)
Z = torch.randn(B, K, generator=_made, dtype=torch.float64) * 3
Y = torch.randint(K, (B,), generator=_made)


def naive(z: Tensor, y: Tensor, *, base: float = math.e, mean: bool = True) -> float:
    """Eq. (6.29) and (6.12), one number at a time."""
    total = 0.0
    for row, label in zip(z.tolist(), y.tolist(), strict=True):
        p = math.exp(row[label]) / sum(math.exp(one) for one in row)
        total -= math.log(p, base)
    return total / len(y) if mean else total


def loss(z: Tensor, y: Tensor) -> Tensor:
    """The rule with a network that returns the given logits."""
    return cross_entropy(lambda x: x, (z, y), GlobalNoise())


def test_the_loss_equals_the_sums_and_not_those_of_broken_ones() -> None:
    value = loss(Z, Y)
    assert value.shape == ()
    assert float(value) == pytest.approx(naive(Z, Y), rel=1e-12)
    assert float(value) != pytest.approx(naive(Z, Y, base=2), rel=1e-3)
    assert float(value) != pytest.approx(naive(Z, Y, mean=False), rel=1e-3)


def test_its_gradient_is_the_softmax_minus_the_one_of_the_class() -> None:
    z = Z.clone().requires_grad_()
    loss(z, Y).backward()
    assert z.grad is not None
    for i in range(B):
        total = sum(math.exp(one) for one in Z[i].tolist())
        for k in range(K):
            expected = (math.exp(Z[i, k].item()) / total - (k == Y[i].item())) / B
            assert z.grad[i, k].item() == pytest.approx(expected, abs=1e-14)


def test_known_answers() -> None:
    assert float(loss(torch.zeros(3, 10), torch.tensor([0, 4, 9]))) == pytest.approx(math.log(10))
    certain = torch.tensor([[0.0, 1000.0]], dtype=torch.float64)
    assert float(loss(certain, torch.tensor([1]))) == 0
    assert float(loss(certain, torch.tensor([0]))) == 1000  # finite: no overflow


@given(st.floats(-50, 50))
def test_a_constant_added_to_all_logits_of_an_example_changes_nothing(shift: float) -> None:
    assert float(loss(Z + shift, Y)) == pytest.approx(float(loss(Z, Y)), rel=1e-9)


def test_the_error_is_in_percent() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 5.0, 1.0], [0.0, 1.0, 3.0], [9.0, 1.0, 0.0]])
    assert float(error_percent(logits, torch.tensor([0, 1, 2, 0]))) == 0
    assert float(error_percent(logits, torch.tensor([0, 1, 2, 1]))) == 25
    assert float(error_percent(logits, torch.tensor([1, 2, 0, 1]))) == 100
    assert error_percent(logits, torch.tensor([0, 1, 2, 1])).dtype == torch.float64


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_the_error_counts_what_differs(pairs: list[tuple[int, int]]) -> None:
    said, right = (torch.tensor(one) for one in zip(*pairs, strict=True))
    logits = torch.nn.functional.one_hot(said, 3).float()
    expected = 100 * sum(a != b for a, b in pairs) / len(pairs)
    assert float(error_percent(logits, right)) == pytest.approx(expected)
