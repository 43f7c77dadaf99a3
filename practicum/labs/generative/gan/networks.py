"""The players of each arm, and the classifier whose features judge images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from practicum.nn import dcgan, gan
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from practicum.labs.generative.gan.experiment import Setup

Builder = Callable[[], nn.Module]


class Judge(dcgan.Discriminator):
    """DCGAN's discriminator with another slope of its units; slope 0 is the plain ReLU.

    Args:
        side: S.
        width: maps after the input.
        normalize: batch normalisation.
        strided: strided convolutions.
        slope: of a unit below zero.
    """

    def __init__(
        self, side: int, *, width: int, normalize: bool, strided: bool, slope: float
    ) -> None:
        super().__init__(side, 1, width=width, normalize=normalize, strided=strided)
        self.slope = slope

    def features(self, x: Float[Tensor, "B 1 S S"]) -> list[Tensor]:
        """Return the maps after every layer."""
        found = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.leaky_relu(norm(layer(x)), self.slope)
            x = x if self.strided else F.max_pool2d(x, 2)
            found.append(x)
        return found


class Painter(nn.Module):
    """A perceptron that makes images, the generator without a convolution.

    Args:
        code: Z.
        hidden: units of the hidden layers.
        side: S.
    """

    def __init__(self, code: int, hidden: tuple[int, ...], side: int) -> None:
        super().__init__()
        self.body, self.side = MLP(code, hidden, side * side), side

    def forward(self, z: Float[Tensor, "B Z"]) -> Float[Tensor, "B 1 S S"]:
        """Return images with values between -1 and 1."""
        return torch.tanh(self.body(z)).reshape(-1, 1, self.side, self.side)


def players(setup: Setup) -> dict[str, Builder]:
    """Return what builds the generator and the discriminator of an arm."""
    if setup.task == "points":
        return {
            "generator": lambda: MLP(setup.code, setup.hidden, 2),
            "discriminator": lambda: _judge_of_points(setup),
        }
    if setup.network == "dense":
        return {
            "generator": lambda: Painter(setup.code, setup.hidden, setup.side),
            "discriminator": lambda: gan.Discriminator(setup.side**2, setup.hidden),
        }
    return {
        "generator": lambda: dcgan.Generator(
            setup.code,
            setup.side,
            1,
            width=setup.width,
            normalize=setup.normalize,
            strided=setup.strided,
        ),
        "discriminator": lambda: Judge(
            setup.side,
            width=setup.width,
            normalize=setup.normalize,
            strided=setup.strided,
            slope=setup.slope,
        ),
    }


def _judge_of_points(setup: Setup) -> gan.Discriminator:
    judge = gan.Discriminator(2, setup.hidden, closeness=setup.closeness)
    if setup.objective == "wasserstein":  # only differences of its outputs matter: no bias
        judge.head = nn.Linear(judge.head.in_features, 1, bias=False)
    return judge


def features(classifier: nn.Module, x: Float[Tensor, "n 1 S S"]) -> Float[Tensor, "n F"]:
    """Return the last hidden units of a classifier, which is an MLP."""
    assert isinstance(classifier, MLP)
    y = x.flatten(1)
    for layer in classifier.layers[:-1]:
        y = torch.relu(layer(y))
    return y
