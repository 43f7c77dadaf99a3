"""What `load` returns: the parts of a data set as tensors, and one checksum of all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from torch import Tensor

from practicum.data.cards import Card
from practicum.data.splits import split_rows
from practicum.errors import PracticumError

Part = tuple[Float[Tensor, "_ *shape"], Shaped[Tensor, "_"]]
"""Inputs (float32) and as many targets: int64 class numbers, or float32 values for a regression.

The number of rows has no name, because parts differ in it; the shape of a row they share.
"""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set in memory.

    The tensors are shared by everyone who loads the set in this process: never change them in
    place.

    Attributes:
        card: what the set is.
        train: all that may be learnt from, the rows that tuning may use included.
        test: what only the final measurement may see.
        validation: a part of its own for tuning where the publisher made one, else None; take it
            out of the training part with `split_validation`.
        sha256: of the entries of all parts, in their stored type, shape and order; a change of the
            data or of the split changes it.
        classes: the names of the classes in the order of their numbers; empty for a regression.
    """

    card: Card
    train: Part
    test: Part
    validation: Part | None = None
    sha256: str
    classes: tuple[str, ...] = ()

    def split_validation(self, size: int) -> Dataset:
        """Return the set with `size` rows moved from train to validation, stratified, fixed.

        The choice is a function of the row numbers only. Class counts are rounded, so that the
        part can differ from `size` by a few rows.

        Raises:
            PracticumError: there is a validation part already, or `size` leaves a part empty.
        """
        x, y = self.train
        if self.validation is not None:
            raise PracticumError(f"{self.card.name} has a validation part already")
        if not 0 < size < len(y):
            raise PracticumError(
                f"cannot take {size} validation rows from the {len(y)} training rows of "
                f"{self.card.name}; give 1 to {len(y) - 1}"
            )
        strata = np.zeros(len(y)) if y.is_floating_point() else y.numpy()
        rest, held = split_rows(f"{self.card.name}/validation", strata, size / len(y))
        if not len(rest) or not len(held):
            raise PracticumError(
                f"{size} validation rows of {self.card.name} leave a part empty; "
                "give a size nearer the middle"
            )
        return replace(
            self,
            train=(x[rest], y[rest]),
            validation=(x[held], y[held]),
            sha256=hashlib.sha256(f"{self.sha256}/validation/{size}".encode()).hexdigest(),
        )

    def standardized(self) -> Dataset:
        """Return the set with every input feature at mean 0 and deviation 1 on the training part.

        Mean and deviation come from the training rows alone and are applied to the other parts, so
        nothing about them leaks. A constant feature becomes 0.
        """
        x = self.train[0].double()
        mean, deviation = x.mean(0), x.std(0, unbiased=False)
        deviation = torch.where(deviation > 0, deviation, 1.0)

        def scaled(part: Part) -> Part:
            return ((part[0].double() - mean) / deviation).float(), part[1]

        return replace(
            self,
            train=scaled(self.train),
            test=scaled(self.test),
            validation=scaled(self.validation) if self.validation else None,
            sha256=hashlib.sha256(f"{self.sha256}/standardized".encode()).hexdigest(),
        )


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of named arrays: names, types, shapes and little-endian bytes."""
    whole = hashlib.sha256()
    for name, array in arrays.items():
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        whole.update(f"{name} {little.dtype.str} {little.shape}\n".encode())
        whole.update(little.data if little.size else b"")
    return whole.hexdigest()


def part(x: NDArray[Any], y: NDArray[Any], scale: float) -> Part:
    """Return stored arrays as tensors: inputs / scale in float32, whole-number targets in int64."""
    inputs = torch.from_numpy(np.array(x, np.float32))
    if scale != 1:
        inputs.div_(scale)  # in float32: stored integers are exact, the quotient is rounded once
    kind = np.int64 if np.issubdtype(y.dtype, np.integer) else np.float32
    return inputs, torch.from_numpy(np.array(y, kind))


def from_arrays(
    card: Card,
    train: tuple[NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any]],
    *,
    scale: float = 1.0,
    classes: tuple[str, ...] = (),
    validation: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> Dataset:
    """Build a data set from its stored arrays, of which the checksum is taken."""
    parts = {"train": train, "test": test}
    if validation is not None:
        parts["validation"] = validation
    stored = {
        f"{name}.{side}": array
        for name, pair in parts.items()
        for side, array in zip("xy", pair, strict=True)
    }
    return Dataset(
        card=card,
        train=part(*train, scale),
        test=part(*test, scale),
        validation=None if validation is None else part(*validation, scale),
        sha256=digest(stored),
        classes=classes,
    )
