"""Training sets whose labels or pixels are randomized, and the images they came from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.data.dataset import Part
from practicum.engine.seeds import streams
from practicum.errors import PracticumError

PIXELS = ("kept", "one shuffle", "own shuffles")


@dataclass(frozen=True, kw_only=True, eq=False)
class Randomized:
    """One seed's images; the labels are drawn once and stay for the whole training.

    Attributes:
        x: [n, pixels] training images, each at mean 0 and deviation 1, pixels shuffled or not.
        y: [n] the labels that are trained on.
        true: [n] the labels that the images really have.
        x_test: [m, pixels] test images, treated like `x`.
        y_test: [m] their true labels.
    """

    x: Float[Tensor, "n pixels"]
    y: Int[Tensor, "n"]
    true: Int[Tensor, "n"]
    x_test: Float[Tensor, "m pixels"]
    y_test: Int[Tensor, "m"]


def randomized(
    train: Part, test: Part, seed: int, *, size: int, corruption: float, pixels: str
) -> Randomized:
    """Draw a seed's training images and randomize them.

    Images, the order in which they would lose their label, the random labels and the shuffles are
    drawn whether they are used or not, so a seed has the same ones at every corruption: what is
    random at a small share is random in the same way at a larger one.

    Args:
        train: all images and labels to draw from.
        test: test images and labels.
        seed: decides all draws.
        size: training images.
        corruption: chance that an image's label is replaced by one drawn from all classes.
        pixels: "kept", "one shuffle" (the same for all images) or "own shuffles".

    Raises:
        PracticumError: there are fewer images than asked for.
    """
    x, y = train[0].flatten(1), train[1]
    if size > len(x):
        raise PracticumError(f"train_size {size} asks for more than the {len(x)} training images")
    # The noise stream: the order stream shuffles the batches, in which these must have no part.
    generator = streams(seed).generator("noise")
    chosen = torch.randperm(len(x), generator=generator)[:size]
    replaced = torch.rand(size, generator=generator) < corruption
    random = torch.randint(int(y.max()) + 1, (size,), generator=generator)
    one = torch.randperm(x.shape[1], generator=generator)
    x, x_test, true = whitened(x[chosen]), whitened(test[0].flatten(1)), y[chosen]
    if pixels == "one shuffle":
        x, x_test = x[:, one], x_test[:, one]
    elif pixels == "own shuffles":
        x, x_test = (_each_shuffled(part, generator) for part in (x, x_test))
    return Randomized(
        x=x, y=torch.where(replaced, random, true), true=true, x_test=x_test, y_test=test[1]
    )


def whitened(x: Float[Tensor, "n pixels"]) -> Float[Tensor, "n pixels"]:
    """Return every image at mean 0 and deviation 1; an image of one grey level becomes 0."""
    centred = x - x.mean(1, keepdim=True)
    deviation = centred.square().mean(1, keepdim=True).sqrt()
    return centred / torch.where(deviation > 0, deviation, 1.0)


def _each_shuffled(
    x: Float[Tensor, "n pixels"], generator: torch.Generator
) -> Float[Tensor, "n pixels"]:
    keys = torch.rand(x.shape, generator=generator)
    return x.gather(1, keys.argsort(1))
