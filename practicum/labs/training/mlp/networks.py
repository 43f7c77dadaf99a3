"""The three networks of the lab `mlp`: none, a learnt and a random hidden layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from practicum.labs.training.mlp.experiment import Setup


class RandomFeatures(nn.Module):
    """A perceptron whose hidden layer keeps the weights it was drawn with; only the output learns.

    It is drawn as a whole, so that it begins with the weights of the perceptron that learns all
    of them. What does not learn is a buffer, not a parameter.

    Args:
        inputs: D, numbers per image.
        hidden: H units.
        outputs: K classes.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        features, self.output = MLP(inputs, (hidden,), outputs).layers
        self.register_buffer("weight", features.get_parameter("weight").detach().clone())
        self.register_buffer("bias", features.get_parameter("bias").detach().clone())

    def forward(self, x: Float[Tensor, "B *inputs"]) -> Float[Tensor, "B K"]:
        """Return the logits."""
        features_BH = torch.relu(x.flatten(1) @ self.weight.T + self.bias)
        logits_BK: Tensor = self.output(features_BH)
        return logits_BK


def build(setup: Setup, inputs: int, classes: int) -> nn.Module:
    """Build an arm's network."""
    if setup.network == "frozen":
        return RandomFeatures(inputs, setup.hidden, classes)
    return MLP(inputs, (setup.hidden,) if setup.network == "mlp" else (), classes)
