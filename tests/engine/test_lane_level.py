"""Products of few columns in lanes: would catch a product that is turned and not turned back, a
bias that is added along the wrong axis, factors in the wrong order, and bits that depend on where
a lane lies.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.engine.lane_level import level, level_product
from practicum.engine.lane_tape import record

aten = torch.ops.aten
SIZES = st.sampled_from([1, 2, 3, 7, 8, 10, 15, 16, 17, 33, 64])


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(rows=SIZES, inner=SIZES, columns=SIZES, lanes=st.integers(1, 4), turned=st.booleans())
def test_products_equal_the_plain_ones_and_keep_their_layout(
    rows: int, inner: int, columns: int, lanes: int, turned: bool
) -> None:
    a, b = numbers(lanes, rows, inner, seed=1), numbers(lanes, inner, columns, seed=2)
    if turned:
        a, b = a.mT.contiguous().mT, b.mT.contiguous().mT
    shapes = ((lanes, 1, columns), (lanes, rows, columns), (rows, columns), (1, columns))
    for shape in (None, *shapes, (rows, 1), (columns,), ()):
        bias = () if shape is None else (numbers(*shape),)
        function = aten.baddbmm.default if bias else aten.bmm.default
        ours = level_product(function, *bias, a, b)
        expected = torch.einsum("lrk,lkc->lrc", a.double(), b.double()) + sum(bias)
        torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-4)
        assert ours.is_contiguous()  # views of it follow


@pytest.mark.parametrize("columns", [1, 7, 10, 16])
def test_a_lane_s_product_has_the_same_bits_in_any_position(columns: int) -> None:
    a, b = numbers(5, 37, 29, seed=1), numbers(5, 29, columns, seed=2)
    order = torch.tensor([3, 0, 4, 1, 2])
    ours = level_product(aten.bmm.default, a, b)
    assert torch.equal(ours[order], level_product(aten.bmm.default, a[order], b[order]))


@pytest.mark.parametrize(("rows", "columns", "is_turned"), [(64, 10, True), (64, 16, False)])
def test_a_program_turns_its_products_of_few_columns_also_where_all_are_whole_lines(
    rows: int, columns: int, is_turned: bool
) -> None:
    a, b = numbers(2, rows, 32, seed=1), numbers(2, 32, columns, seed=2)
    module = record(lambda a, b: (torch.bmm(a, b),), [a, b])
    level(module)
    calls = [node for node in module.graph.nodes if node.target is level_product]
    assert len(calls) == is_turned
    torch.testing.assert_close(module(a, b)[0], a @ b)


def test_factors_in_the_wrong_order_would_be_seen() -> None:
    a, b = numbers(2, 16, 15, seed=1), numbers(2, 15, 16, seed=2)
    wrong = level_product(aten.bmm.default, b.mT, a.mT)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(wrong, torch.bmm(a, b))
