"""The sparse product: would catch a transposed matrix, entries at one place that overwrite each
other instead of adding, a gradient that goes through the untransposed matrix, and lanes that are
laid side by side in the wrong order.
"""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.fit import fit
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.nn.sparse import Sparse


def drawn(seed: int, n: int, m: int, entries: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    at = torch.stack([torch.randint(size, (entries,), generator=generator) for size in (n, m)])
    return at, torch.randn(entries, generator=generator, dtype=torch.float64)


def naive(at: Tensor, values: Tensor, n: int, m: int) -> Tensor:
    dense = torch.zeros(n, m, dtype=torch.float64)
    for i, j, value in zip(*at.tolist(), values.tolist(), strict=True):
        dense[i, j] += value
    return dense


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 6),
    m=st.integers(1, 6),
    k=st.integers(1, 4),
    entries=st.integers(0, 20),
)
def test_the_product_and_its_gradients_equal_the_dense_ones(
    seed: int, n: int, m: int, k: int, entries: int
) -> None:
    at, values = drawn(seed, n, m, entries)
    sparse, dense = Sparse.of(at, values, (n, m)), naive(at, values, n, m)
    assert torch.equal(sparse.dense(), dense) or torch.allclose(sparse.dense(), dense, rtol=1e-14)
    x = torch.randn(m, k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    stored = sparse.values.clone().requires_grad_()
    dense.requires_grad_()
    (sparse.with_values(stored) @ ours).sin().sum().backward()
    (dense @ theirs).sin().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-12)
    assert dense.grad is not None
    rows, columns = sparse.pattern.at
    torch.testing.assert_close(stored.grad, dense.grad[rows, columns], rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 9),
    m=st.integers(1, 9),
    k=st.sampled_from([1, 3, 7, 16, 17, 40]),
    entries=st.integers(0, 40),
)
def test_single_precision_takes_a_path_of_its_own_to_the_same_numbers(
    seed: int, n: int, m: int, k: int, entries: int
) -> None:
    at, values = drawn(seed, n, m, entries)
    dense, lanes = naive(at, values, n, m), 3
    generator = torch.Generator().manual_seed(seed)
    scales = torch.rand(lanes, 1, generator=generator) + 0.5
    x = torch.randn(lanes, m, k, generator=generator)
    sparse = Sparse.of(at, values.float(), (n, m))

    def squares(scale: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        product = sparse.with_values(sparse.values * scale) @ x
        return product.square().sum() / 2, product

    gradients, products = torch.func.vmap(torch.func.grad(squares, argnums=1, has_aux=True))(
        scales, x
    )
    for lane in range(lanes):
        scaled = dense * scales[lane].double()
        expected = scaled @ x[lane].double()
        torch.testing.assert_close(products[lane].double(), expected, rtol=1e-5, atol=1e-4)
        back = scaled.T @ expected
        torch.testing.assert_close(gradients[lane].double(), back, rtol=1e-4, atol=1e-3)
        _, alone = squares(scales[lane], x[lane])
        assert torch.equal(products[lane], alone)  # the bits of the loop


def test_second_derivatives_are_those_of_differences() -> None:
    at, values = drawn(3, 4, 5, 9)
    sparse = Sparse.of(at, values, (4, 5))
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inputs = (sparse.values.requires_grad_(), x.requires_grad_())

    def product(v: Tensor, x: Tensor) -> Tensor:
        return (sparse.with_values(v) @ x).tanh()

    assert torch.autograd.gradcheck(product, inputs)
    assert torch.autograd.gradgradcheck(product, inputs)


def test_an_untransposed_gradient_would_be_seen() -> None:
    at, values = drawn(1, 5, 5, 8)
    sparse, grad = Sparse.of(at, values, (5, 5)), torch.eye(5, dtype=torch.float64)
    x = torch.zeros(5, 5, dtype=torch.float64, requires_grad=True)
    (sparse @ x).backward(grad)
    assert torch.equal(x.grad, sparse.dense().T)
    assert not torch.equal(x.grad, sparse.dense())


@pytest.mark.parametrize("which", ["matrix", "dense", "both"])
def test_lanes_equal_one_product_after_the_other_in_value_and_gradient(which: str) -> None:
    at, values = drawn(5, 4, 6, 11)
    sparse = Sparse.of(at, values, (4, 6))
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(3, 6, 2, dtype=torch.float64, generator=generator)
    v = torch.randn(3, len(sparse.values), dtype=torch.float64, generator=generator)
    v = v if which != "dense" else sparse.values.expand(3, -1)
    x = x if which != "matrix" else x[:1].expand(3, -1, -1)

    def value(v: Tensor, x: Tensor) -> Tensor:
        return (sparse.with_values(v) @ x).sin().sum()

    lanes = (0 if which != "dense" else None, 0 if which != "matrix" else None)
    given = (v if lanes[0] == 0 else v[0], x if lanes[1] == 0 else x[0])
    together = torch.func.vmap(torch.func.grad_and_value(value, argnums=(0, 1)), lanes)(*given)
    for i in range(3):
        alone = torch.func.grad_and_value(value, argnums=(0, 1))(v[i], x[i])
        torch.testing.assert_close(together[1][i], alone[1], rtol=1e-13, atol=1e-13)
        for one, other in zip(together[0], alone[0], strict=True):
            torch.testing.assert_close(one[i], other, rtol=1e-12, atol=1e-13)


def test_the_lanes_of_one_matrix_may_lie_along_any_dimension() -> None:
    at, values = drawn(5, 4, 6, 11)
    sparse = Sparse.of(at, values, (4, 6))
    x = torch.randn(6, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    together = torch.func.vmap(lambda x: sparse @ x, in_dims=2, out_dims=0)(x)
    for lane in range(3):
        assert torch.equal(together[lane], sparse @ x[:, :, lane])


@pytest.mark.parametrize("which", [(0, None, None, 0), (None, 0, 0, None), (0, 0, 0, None)])
def test_lanes_within_lanes_equal_one_product_after_the_other(
    which: tuple[int | None, ...],
) -> None:
    outer_values, outer_x, inner_values, inner_x = which
    at, values = drawn(5, 4, 3, 7)
    sparse, generator = Sparse.of(at, values, (4, 3)), torch.Generator().manual_seed(1)

    def several(shape: tuple[int, ...], outer: int | None, inner: int | None) -> Tensor:
        lanes = [n for n, lane in ((2, outer), (5, inner)) if lane is not None]
        return torch.randn(*lanes, *shape, dtype=torch.float64, generator=generator)

    v = several((len(sparse.values),), outer_values, inner_values)
    x = several((3, 6), outer_x, inner_x)

    def product(v: Tensor, x: Tensor) -> Tensor:
        return sparse.with_values(v) @ x

    vmap = torch.func.vmap
    together = vmap(vmap(product, (inner_values, inner_x)), (outer_values, outer_x))(v, x)
    for i in range(2):
        for j in range(5):
            one = v[i] if outer_values is not None else v
            one = one[j] if inner_values is not None else one
            other = x[i] if outer_x is not None else x
            other = other[j] if inner_x is not None else other
            expected = sparse.with_values(one).dense() @ other
            torch.testing.assert_close(together[i, j], expected, rtol=1e-12, atol=1e-12)


def test_a_dense_matrix_goes_in_and_comes_out() -> None:
    dense = torch.tensor([[0.0, 2.0, 0.0], [-1.0, 0.0, 3.0]])
    sparse = Sparse.of_dense(dense)
    assert sparse.values.tolist() == [2.0, -1.0, 3.0]
    assert sparse.pattern.at.tolist() == [[0, 1, 1], [1, 0, 2]]
    assert torch.equal(sparse.dense(), dense)
    assert sparse.pattern.across.tolist() == [[0, 1, 2], [1, 0, 1]]
    assert sparse.pattern.across[:, sparse.pattern.back].flip(0).tolist() == [[0, 1, 1], [1, 0, 2]]


@pytest.mark.parametrize("at", [[[0], [3]], [[2], [0]], [[-1], [0]]])
def test_an_entry_outside_the_matrix_is_an_error(at: list[list[int]]) -> None:
    with pytest.raises(PracticumError, match=r"outside a matrix of shape \[2, 3\]"):
        Sparse.of(torch.tensor(at), torch.ones(1), (2, 3))


def test_shapes_that_do_not_meet_are_an_error() -> None:
    with pytest.raises(PracticumError, match=r"expected \[3, K\]"):
        Sparse.of_dense(torch.ones(2, 3)) @ torch.ones(2, 4)


def test_values_that_are_trained_are_trained_alike_in_lanes() -> None:
    at, values = drawn(5, 6, 4, 9)
    sparse = Sparse.of(at, values, (6, 4))
    x = torch.randn(10, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.values = nn.Parameter(sparse.values + torch.randn_like(sparse.values))

        def forward(self, x: Tensor) -> Tensor:
            return sparse.with_values(self.values) @ x[0]

    def curves(path: Literal["loop", "lanes"]) -> Tensor:
        run = fit(
            Weighted, loss=lambda net, batch, noise: net(batch[0]).square().sum(),
            optimizer=Adam(lr=0.1), data=(x,), batch_size=1, steps=4, every=1, seeds=[0, 1],
            services=Services(arithmetic=Arithmetic(path=path, precision="float64")),
        )  # fmt: skip
        return run.curves["loss"]

    torch.testing.assert_close(curves("lanes"), curves("loop"), rtol=1e-10, atol=1e-12)


def test_places_of_a_pattern_may_make_a_large_matrix_again() -> None:
    at = torch.tensor([[62_000, 1], [5, 2]])
    first = Sparse.of(at, torch.tensor([2.0, 3.0]), (70_000, 70_000))
    again = Sparse.of(first.pattern.at, first.values, first.shape)
    assert again.pattern.at.tolist() == [[1, 62_000], [2, 5]]
    assert again.values.tolist() == [3.0, 2.0]
