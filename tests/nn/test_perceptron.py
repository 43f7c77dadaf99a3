"""The threshold unit: would catch a lost bias, a threshold on the wrong side, or a wrong precision.

A unit whose bias is applied before the constant input, or that answers +1 at a score of exactly
zero (the rule counts zero as a mistake for either label), fails here.
"""

from __future__ import annotations

import pytest
import torch

from practicum.nn.perceptron import Perceptron, augment


def naive_scores(weight: list[float], x: list[list[float]]) -> list[float]:
    return [sum(w * v for w, v in zip(weight, [*row, 1.0], strict=True)) for row in x]


def test_augment_appends_ones_on_the_right_and_keeps_the_precision() -> None:
    x = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    assert augment(x).tolist() == [[0, 1, 2, 1], [3, 4, 5, 1]]
    assert augment(x).dtype == torch.float64
    assert augment(x.float()).dtype == torch.float32


def test_scores_equal_a_double_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    unit = Perceptron(3)
    unit.weight.copy_(torch.randn(4, generator=generator, dtype=torch.float64))
    naive = naive_scores(unit.weight.tolist(), x.tolist())
    torch.testing.assert_close(unit(x), torch.tensor(naive, dtype=torch.float64))


def test_known_weights_compute_conjunction_but_without_the_bias_do_not() -> None:
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    unit = Perceptron(2)
    unit.weight.copy_(torch.tensor([1.0, 1.0, -1.5]))
    assert unit.answer(x).tolist() == [-1, -1, -1, 1]
    unit.weight[-1] = 0.0
    assert unit.answer(x).tolist() != [-1, -1, -1, 1]


def test_a_score_of_zero_is_answered_with_minus_one() -> None:
    assert Perceptron(2).answer(torch.ones(1, 2, dtype=torch.float64)).tolist() == [-1]


def test_weights_travel_with_the_state_but_are_no_parameters() -> None:
    unit, other = Perceptron(3), Perceptron(3)
    unit.weight += 2.0
    other.load_state_dict(unit.state_dict())
    assert torch.equal(other.weight, unit.weight)
    assert not list(unit.parameters())


def test_the_wrong_number_of_features_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        Perceptron(3)(torch.ones(2, 4, dtype=torch.float64))
