"""Where batches come from.

Data that fits in memory is indexed as tensors; no loader stands in the way. Any other iterator of
batches is a source too; one that can be resumed has `state_dict` and `load_state_dict`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from practicum.errors import PracticumError


@runtime_checkable
class Resumable(Protocol):
    """A source whose position a checkpoint can hold."""

    def state_dict(self) -> dict[str, Any]:
        """Return the position."""
        ...

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go to a position."""
        ...


class Batches:
    """Endless shuffled batches of tensors in memory: a new permutation every epoch.

    The plain form of what it does:

        while True:
            for index in torch.randperm(n, generator=order).split(batch_size):
                yield tuple(one[index] for one in data)

    Attributes:
        data: tensors with the examples as their first axis.
        rows: which examples to use, [n] indices; all of them when None.
        resumable: a checkpoint can hold its position.
    """

    resumable = True

    def __init__(
        self,
        data: tuple[Tensor, ...],
        batch_size: int,
        order: torch.Generator,
        rows: Int[Tensor, "n"] | None = None,
        *,
        drop_last: bool = False,
    ) -> None:
        n = len(data[0]) if rows is None else len(rows)
        if not 1 <= batch_size <= n:
            raise PracticumError(f"batch size {batch_size} does not fit {n} training examples")
        self.data, self.rows, self.n = data, rows, n
        self.batch_size, self.order = batch_size, order
        self.usable = n - n % batch_size if drop_last else n
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._before = self.order.get_state()  # with the cursor, all that a checkpoint needs
        permutation = torch.randperm(self.n, generator=self.order)
        self.permutation = permutation if self.rows is None else self.rows[permutation]
        self.cursor = 0

    def indices(self) -> Int[Tensor, "batch"]:
        """Return the next batch's indices into the data, and move on."""
        if self.cursor >= self.usable:
            self._begin_epoch()
        index = self.permutation[self.cursor : min(self.cursor + self.batch_size, self.usable)]
        self.cursor += self.batch_size
        return index

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return self

    def __next__(self) -> tuple[Tensor, ...]:
        index = self.indices()
        return tuple(one[index] for one in self.data)

    def state_dict(self) -> dict[str, Any]:
        """Return the position: the generator before this epoch's shuffle, and the cursor."""
        return {"order": self._before, "cursor": self.cursor}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go to a saved position, mid-epoch included."""
        self.order.set_state(saved["order"])
        self._begin_epoch()
        self.cursor = saved["cursor"]
