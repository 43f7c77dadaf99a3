"""A seed's training and validation examples, drawn alike in every lab that tunes."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.errors import PracticumError


def split(
    train: int, validation: int, *, of: int, seed: int, data: str
) -> tuple[Int[Tensor, "train"], Int[Tensor, "validation"]]:
    """Draw a seed's training and validation examples; every arm with these sizes gets the same.

    Training examples are the first of the seed's shuffle and validation examples its last, so
    neither changes when only the size of the other does.

    Args:
        train: number of training examples.
        validation: number of examples that choose settings.
        of: number of examples that there are.
        seed: whose shuffle.
        data: name of the data set, for the error.

    Raises:
        PracticumError: the data set has fewer examples than the two sizes ask for.
    """
    if train + validation > of:
        raise PracticumError(
            f"train_size {train} and validation_size {validation} ask for more than the {of} "
            f"training examples of {data}"
        )
    shuffled = torch.randperm(of, generator=streams(seed).generator("order"))
    return shuffled[:train], shuffled[of - validation :]
