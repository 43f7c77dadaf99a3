"""Positions against twins with loops and complex numbers.

Would catch: sines and cosines exchanged or not interleaved, a wrong base or exponent, a table that
starts at 1, a rotation the other way for keys than for queries, pairs of the wrong numbers, an
offset that is ignored, learned positions without a gradient.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from practicum.errors import PracticumError
from practicum.nn.positions import Positions, Rotary, sinusoidal

B, N, T, E = 2, 3, 7, 6


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def naive_table(length: int, width: int, first: int = 0, base: float = 10000.0) -> Tensor:
    rows = []
    for t in range(first, first + length):
        row = []
        for j in range(width):
            angle = t / base ** (2 * (j // 2) / width)
            row.append(math.cos(angle) if j % 2 else math.sin(angle))
        rows.append(row)
    return torch.tensor(rows)


def test_the_sinusoids_equal_the_loops_and_not_broken_ones() -> None:
    table = sinusoidal(T, E)
    assert torch.allclose(table, naive_table(T, E), rtol=1e-12, atol=1e-14)
    assert table[0].tolist() == [0, 1] * (E // 2)
    halves = torch.cat((table[:, ::2], table[:, 1::2]), 1)
    for wrong in (naive_table(T, E, first=1), naive_table(T, E, base=1000.0), halves):
        assert not torch.allclose(table, wrong, rtol=1e-3)


def test_a_shift_by_some_positions_is_a_rotation_of_the_sinusoids() -> None:
    table = sinusoidal(40, E)
    for i in range(E // 2):
        pair = torch.view_as_complex(table[:, 2 * i : 2 * i + 2].flip(1).contiguous())
        turns = pair[5:] / pair[:-5]
        assert torch.allclose(turns, turns[0].expand_as(turns))


@pytest.mark.parametrize("learned", [False, True])
def test_positions_are_added_from_where_the_sequence_starts(learned: bool) -> None:
    torch.manual_seed(0)
    positions = Positions(T, E, learned=learned)
    x = torch.randn(B, 3, E, requires_grad=True)
    y = positions(x, 2)
    expected = torch.stack([torch.stack([x[b, t] + positions.weight[2 + t] for t in range(3)])
                            for b in range(B)])  # fmt: skip
    assert torch.equal(y, expected)
    assert not torch.equal(y, positions(x))
    y.sum().backward()
    assert x.grad is not None
    assert (x.grad == 1).all()
    if learned:
        assert positions.weight.grad is not None
        counts = [B if 2 <= t < 5 else 0 for t in range(T)]
        assert positions.weight.grad[:, 0].tolist() == counts
        assert set(positions.state_dict()) == {"weight"}
    else:
        assert torch.equal(positions.weight, sinusoidal(T, E))
        assert not positions.state_dict()


def complex_rotation(x: Tensor, pairs: list[tuple[int, int]], start: int, sign: int = 1) -> Tensor:
    """Multiply each pair, as a complex number, by e^(i t w)."""
    out = x.clone()
    for i, (a, b) in enumerate(pairs):
        for t in range(x.shape[2]):
            turn = cmath.exp(sign * 1j * (start + t) * 10000 ** (-2 * i / E))
            out[:, :, t, a] = x[:, :, t, a] * turn.real - x[:, :, t, b] * turn.imag
            out[:, :, t, b] = x[:, :, t, a] * turn.imag + x[:, :, t, b] * turn.real
    return out


NEIGHBOURS = [(0, 1), (2, 3), (4, 5)]
HALVES = [(0, 3), (1, 4), (2, 5)]


@pytest.mark.parametrize(
    ("pairs", "mine", "other"),
    [("neighbours", NEIGHBOURS, HALVES), ("halves", HALVES, NEIGHBOURS)],
)
def test_rotary_equals_complex_numbers_in_value_and_gradient(
    pairs: str, mine: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    rotary = Rotary(T, E, pairs=pairs)
    x = torch.randn(B, N, 4, E, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for start in (0, 3):
        y = rotary(x, start)
        assert torch.allclose(y, complex_rotation(x, mine, start), rtol=1e-12, atol=1e-13)
        weights = torch.linspace(0, 3, y.numel()).view(y.shape).sin()
        (found,) = torch.autograd.grad((y * weights).sum(), x)
        # Its transpose turns back.
        assert torch.allclose(found, complex_rotation(weights, mine, start, -1), atol=1e-13)
        for wrong in (
            complex_rotation(x, other, start),
            complex_rotation(x, mine, start + 1),
            complex_rotation(x, mine, start, -1),
        ):
            assert not torch.allclose(y, wrong, rtol=1e-3)


@pytest.mark.parametrize("pairs", ["neighbours", "halves"])
def test_rotated_products_depend_on_the_distance_only(pairs: str) -> None:
    rotary = Rotary(50, E, pairs=pairs)
    g = torch.Generator().manual_seed(2)
    q, k = torch.randn(2, 1, 1, 1, E, generator=g)

    def product(at_q: int, at_k: int) -> float:
        return float((rotary(q, at_q) * rotary(k, at_k)).sum())

    assert product(9, 4) == pytest.approx(product(45, 40), rel=1e-12)
    assert product(0, 0) == pytest.approx(float((q * k).sum()), rel=1e-12)
    assert product(9, 4) != pytest.approx(product(4, 9), rel=1e-3)
    assert float(rotary(q, 33).norm()) == pytest.approx(float(q.norm()), rel=1e-12)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(PracticumError, match="cannot be cut into pairs"):
        sinusoidal(4, 5)
    with pytest.raises(PracticumError, match="8 positions, but there are 7"):
        Positions(T, E)(torch.ones(1, 5, E), 3)
    with pytest.raises(PracticumError, match="8 positions, but there are 7"):
        Rotary(T, E)(torch.ones(1, 1, 5, E), 3)
    with pytest.raises(PracticumError, match="width of one head"):
        Rotary(T, E)(torch.ones(1, 1, 5, 4))
    with pytest.raises(PracticumError, match="did you mean 'halves'"):
        Rotary(T, E, pairs="half")
