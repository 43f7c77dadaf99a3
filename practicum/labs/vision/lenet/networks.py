"""The networks of the lab `lenet`, and how the perceptron gets as many parameters as LeNet-5."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.nn.lenet import LeNet5
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from practicum.labs.vision.lenet.experiment import Setup

BACKGROUND, FOREGROUND = -0.1, 1.175  # the paper's levels: mean near 0, variance near 1


def levels(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Map [0, 1] to the paper's levels."""
    return x * (FOREGROUND - BACKGROUND) + BACKGROUND


class Rearranged(nn.Module):
    """A network that sees the pixels of every image in another order, drawn once.

    The order is drawn after the network is built, so that it begins with the same weights as one
    that sees the pixels in their places.

    Args:
        network: the network.
        pixels: how many pixels an image has.
    """

    order: Tensor

    def __init__(self, network: nn.Module, pixels: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("order", torch.randperm(pixels))

    def forward(self, x: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B K"]:
        """Return the network's answer to the rearranged images."""
        moved = x.flatten(1).index_select(1, self.order)
        logits: Tensor = self.network(moved.view(x.shape))
        return logits


def build(setup: Setup, side: int, classes: int) -> nn.Module:
    """Build an arm's network for images of a side."""
    if setup.network in ("lenet", "modern"):
        network: nn.Module = lenet(setup, side, classes, modern=setup.network == "modern")
    else:
        hidden = (hidden_units(setup, side, classes),) if setup.network == "mlp" else ()
        network = MLP(side * side, hidden, classes)
    return Rearranged(network, side * side) if setup.permute else network


def lenet(setup: Setup, side: int, classes: int, *, modern: bool) -> LeNet5:
    """Build LeNet-5 for images of a side."""
    return LeNet5(
        side,
        classes,
        kernel=setup.kernel,
        padding=setup.padding,
        enlarge=setup.enlarge,
        background=BACKGROUND,
        modern=modern,
    )


def hidden_units(setup: Setup, side: int, classes: int) -> int:
    """Return the width at which a perceptron has as many parameters as LeNet-5, nearly."""
    with torch.device("meta"):  # counting draws no weights
        size = count(lenet(setup, side, classes, modern=False))
    return max(1, round((size - classes) / (side * side + classes + 1)))


def parameters(setup: Setup, side: int, classes: int) -> int:
    """Return how many trainable numbers an arm has."""
    if setup.network == "majority":
        return 0
    with torch.device("meta"):
        return count(build(setup, side, classes))


def count(network: nn.Module) -> int:
    """Return the number of trainable numbers of a network."""
    return sum(one.numel() for one in network.parameters())
