"""A sparse matrix times a dense one, by what is not zero; works in lanes and for gradients.

Numbering of this file, for a matrix M with entries m_e at (i_e, j_e):
    (1)  Y_ik = sum over entries e with i_e = i of m_e X_(j_e, k)        Y = M X
    (2)  dJ/dX = M' dJ/dY                                                M' the transpose
    (3)  dJ/dm_e = sum over k of dJ/dY_(i_e, k) X_(j_e, k)               only where it is asked for

Torch multiplies sparse matrices too, but not inside `torch.func.vmap`, which lanes are made of.
Here the lanes' matrices, which have one pattern, become the blocks of one large matrix (one that
all lanes share is repeated): there is one product, which is what makes many seeds on one graph
cheap.

Shapes: n rows, m columns, E stored entries, K columns of the dense matrix, L lanes.

Cost: E K multiplications.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.errors import PracticumError


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where a matrix has entries: sorted by row, then by column, no place twice.

    Places are numbers of 32 bits, which the product is faster with.

    Attributes:
        at: [2, E] rows and columns.
        across: [2, E] the same of the transpose, sorted its way.
        order: [E] the entries in the order of the transpose.
        back: [E] the entries of the transpose in the order of the matrix.
        starts: [n + 1] the number of entries before each row, and of all.
        starts_across: [m + 1] the same of the transpose.
        shape: (n, m).
    """

    at: Tensor
    across: Tensor
    order: Tensor
    back: Tensor
    starts: Tensor
    starts_across: Tensor
    shape: tuple[int, int]

    @property
    def transposed(self) -> Pattern:
        """The pattern of the transpose."""
        return Pattern(
            at=self.across,
            across=self.at,
            order=self.back,
            back=self.order,
            starts=self.starts_across,
            starts_across=self.starts,
            shape=self.shape[::-1],
        )

    def repeated(self, lanes: int) -> tuple[Int[Tensor, "Ln_1"], Int[Tensor, "LE"]]:
        """Return the starts and columns of a matrix with this pattern in each block."""
        starts, columns = self.starts, self.at[1]
        if lanes == 1:
            return starts, columns
        lane = torch.arange(lanes, dtype=torch.int32, device=starts.device).unsqueeze(1)
        starts = torch.cat(((starts[:-1] + len(columns) * lane).flatten(), starts[-1:] * lanes))
        return starts, (columns + self.shape[1] * lane).flatten()


@dataclass(frozen=True, eq=False)
class Sparse:
    """A sparse matrix: its pattern and the values there.

    Attributes:
        values: [E] one number an entry, in the order of the pattern.
        pattern: where they are.
    """

    values: Tensor
    pattern: Pattern

    @classmethod
    def of(
        cls, at: Int[Tensor, "2 E"], values: Float[Tensor, "E"], shape: tuple[int, int]
    ) -> Sparse:
        """Build a matrix from entries in any order; entries at the same place are added.

        Raises:
            PracticumError: an entry lies outside the matrix.
        """
        limits = torch.tensor(shape, device=at.device).unsqueeze(1)
        if bool(((at < 0) | (at >= limits)).any()):
            raise PracticumError(
                f"entries at rows and columns outside a matrix of shape {list(shape)}; count from 0"
            )
        at = at.long()  # a product of two numbers of 32 bits may need more
        place = at[0] * shape[1] + at[1]
        places, where = torch.unique(place, return_inverse=True)  # sorted by row, then column
        total = values.new_zeros(len(places)).index_add(0, where, values)
        at = torch.stack((places // shape[1], places % shape[1])).int()
        order = torch.argsort(at[1], stable=True)  # by column; rows stay in order within one
        pattern = Pattern(
            at=at,
            across=at.flip(0)[:, order],
            order=order,
            back=torch.argsort(order),
            starts=_starts(at[0], shape[0]),
            starts_across=_starts(at[1], shape[1]),
            shape=shape,
        )
        return cls(total, pattern)

    @classmethod
    def of_dense(cls, dense: Float[Tensor, "n m"]) -> Sparse:
        """Build a matrix from the entries of a dense one that are not zero."""
        at = dense.nonzero().T
        return cls.of(at, dense[at[0], at[1]], (dense.shape[0], dense.shape[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (n, m)."""
        return self.pattern.shape

    def with_values(self, values: Float[Tensor, "E"]) -> Sparse:
        """Return a matrix with other values at the same places."""
        return replace(self, values=values)

    def dense(self) -> Float[Tensor, "n m"]:
        """Return the matrix with its zeros written out."""
        rows, columns = self.pattern.at
        return self.values.new_zeros(self.shape).index_put((rows, columns), self.values)

    def __matmul__(self, x: Float[Tensor, "m K"]) -> Float[Tensor, "n K"]:
        """Return the product with a dense matrix, Eq. (1)."""
        if x.ndim != 2 or x.shape[0] != self.shape[1]:
            raise PracticumError(
                f"a matrix of shape {list(self.shape)} cannot be multiplied with one of shape "
                f"{list(x.shape)}; expected [{self.shape[1]}, K]"
            )
        product: Tensor = _Product.apply(self.values.unsqueeze(0), x.unsqueeze(0), self.pattern)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        return product.squeeze(0)  # whose gradient is a view; that of [0] is a copy


def _starts(rows: Tensor, n: int) -> Tensor:
    count = torch.bincount(rows, minlength=n).cumsum(0)
    return torch.cat((count.new_zeros(1), count)).int()


class _Product(torch.autograd.Function):
    """Eq. (1) for several matrices of one pattern, with its gradient and its rule for lanes.

    values [L, E] and x [L, m, K] give [L, n, K].
    """

    @staticmethod
    def forward(values: Tensor, x: Tensor, pattern: Pattern) -> Tensor:
        # A row of the product is a weighted sum of rows of x, a bag of them: on a CPU, torch adds
        # up bags up to three times as fast as it multiplies with its own sparse matrices.
        starts, columns = pattern.repeated(len(values))
        product: Tensor = torch.embedding_bag(  # Eq. (1)
            x.detach().flatten(0, 1),
            columns,
            starts,
            mode=0,  # a sum
            per_sample_weights=values.detach().flatten(),
            include_last_offset=True,
        )[0]
        return product.view(len(values), pattern.shape[0], x.shape[2])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Pattern], output: Tensor) -> None:
        values, x, ctx.pattern = inputs
        ctx.save_for_backward(values, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        values, x = ctx.saved_tensors
        pattern: Pattern = ctx.pattern
        for_values = for_x = None
        if ctx.needs_input_grad[0]:
            rows, columns = pattern.at
            for_values = (grad[:, rows] * x[:, columns]).sum(2)  # Eq. (3)
        if ctx.needs_input_grad[1]:
            transposed = values.index_select(1, pattern.order)
            for_x = _Product.apply(transposed, grad, pattern.transposed)  # type: ignore[no-untyped-call]  # Eq. (2)
        return for_values, for_x, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None, None], *inputs: Any
    ) -> tuple[Tensor, int]:
        *factors, pattern = inputs
        many: int = info.batch_size
        values, x = (  # what all lanes share is repeated: then each lane lies in one piece
            one.expand(many, *one.shape) if at is None else one.movedim(at, 0)
            for one, at in zip(factors, in_dims, strict=False)
        )
        out = _Product.apply(values.flatten(0, 1), x.flatten(0, 1), pattern)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        return out.unflatten(0, (many, -1)), 0
