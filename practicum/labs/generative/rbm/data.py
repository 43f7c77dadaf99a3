"""What the lab `rbm` learns from: bars and stripes, and digits that are shifted by one pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from practicum.data import load
from practicum.engine.seeds import streams
from practicum.labs.splitting import split
from practicum.nn.rbm import all_states

Part = tuple[Float[Tensor, "n V"], Int[Tensor, "n"]]


def bars_and_stripes(side: int) -> Float[Tensor, "patterns V"]:
    """Return every picture whose rows are each full or empty, or whose columns are, once.

    There are 2 * 2**side - 2 of them: all full and all empty are both bars and stripes.
    """
    lines = all_states(side)
    bars = lines.unsqueeze(2).expand(-1, side, side)
    both = torch.cat((bars, bars.transpose(1, 2))).reshape(-1, side * side)
    different: Tensor = torch.unique(both, dim=0)
    return different


def shifted(x: Float[Tensor, "n side side"]) -> Float[Tensor, "five side side"]:
    """Return the images as they are and moved by a pixel up, down, left and right, in this order.

    What leaves the picture is lost, and what enters it is empty.
    """
    wide = F.pad(x, (1, 1, 1, 1))
    side = x.shape[1]
    places = ((1, 1), (2, 1), (0, 1), (1, 2), (1, 0))
    return torch.cat([wide[:, a : a + side, b : b + side] for a, b in places])


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """A seed's pictures as rows of numbers between 0 and 1, with their classes."""

    train: Part
    validation: Part
    test: Part


def pictures(data: str, order: str, *, train: int, validation: int, seed: int) -> Pictures:
    """Draw a seed's pictures.

    Args:
        data: name of the data set; its own test part is the test.
        order: "split first": each part is shifted by itself; "shift first": all are shifted and
            then dealt out to parts of the same sizes, so that a part may have copies of another's
            pictures; "no shift".
        train: pictures to learn from, before shifting.
        validation: pictures that choose the decay, before shifting.
        seed: whose shuffle.
    """
    images = load(data)
    x, y = images.train
    rows = split(train, validation, of=len(y), seed=seed, data=data)
    parts = [(x[mine].flatten(0, -3), y[mine]) for mine in rows]
    parts.append((images.test[0].flatten(0, -3), images.test[1]))
    if order != "no shift":
        parts = [(shifted(one), kind.repeat(5)) for one, kind in parts]
    if order == "shift first":
        parts = _dealt(parts, seed)
    first, second, third = ((one.flatten(1), kind) for one, kind in parts)
    return Pictures(train=first, validation=second, test=third)


def _dealt(parts: list[Part], seed: int) -> list[Part]:
    """Shuffle the pictures of all parts together, and cut parts of the same sizes."""
    sizes = [len(kind) for _, kind in parts]
    generator = streams(seed).generator("order")
    shuffle = torch.split(torch.randperm(sum(sizes), generator=generator), sizes)
    x, y = (torch.cat(one) for one in zip(*parts, strict=True))
    return [(x[mine], y[mine]) for mine in shuffle]
