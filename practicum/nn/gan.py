"""The networks of a generative adversarial game on vectors, and a look at the whole batch.

Papers: I. Goodfellow et al., "Generative adversarial nets", NIPS 2014, arXiv:1406.2661 (the game).
T. Salimans et al., "Improved techniques for training GANs", NIPS 2016, arXiv:1606.03498, section
3.2 (minibatch discrimination).

Idea: the generator is any network from noise to data; `practicum.nn.mlp` is one. A discriminator
that sees one example at a time cannot tell that all generated ones are alike; with minibatch
discrimination it also sees how close each example is to the others of its batch.

Equations (numbered for this file; f(x_i) the last hidden units of example i):
    (1)  D(x) = sigmoid(logit(x))                      the chance that x is real
    (2)  M_i = f(x_i) T                                R x S numbers an example, T learned
    (3)  c_r(x_i, x_j) = exp(- sum over s of |M_irs - M_jrs|)
    (4)  o_r(x_i) = sum over all j of the batch of c_r(x_i, x_j), i itself included (which adds 1)
    (5)  logit(x_i) = u (f(x_i), o(x_i)) + d

Shapes: B batch, D inputs, H last hidden units, R closeness features, S numbers behind each.

Deviations:
    1. The maxout units of the first paper are the nonlinearities of `practicum.nn.mlp`.
    2. Real and generated examples are to be passed in batches of their own, as the second paper
       does; nothing here mixes them.

Cost: Eq. (3) takes B^2 R S operations.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.mlp import ACTIVATIONS, MLP


class MinibatchDiscrimination(nn.Module):
    """How close each example is to the others of its batch, in R learned senses.

    Args:
        inputs: H.
        features: R.
        size: S.

    Raises:
        PracticumError: no feature, or nothing behind it.
    """

    def __init__(self, inputs: int, features: int, size: int) -> None:
        super().__init__()
        if features < 1 or size < 1:
            raise PracticumError(
                f"{features} closeness features of {size} numbers; at least one of each"
            )
        self.weight = nn.Parameter(torch.empty(inputs, features * size))
        nn.init.normal_(self.weight, std=inputs**-0.5)
        self.features, self.size = features, size

    def forward(self, h_BH: Float[Tensor, "B H"]) -> Float[Tensor, "B R"]:
        """Return the closeness features."""
        m_BRS = (h_BH @ self.weight).reshape(-1, self.features, self.size)  # Eq. (2)
        apart_BBR = (m_BRS.unsqueeze(0) - m_BRS.unsqueeze(1)).abs().sum(3)
        closeness: Tensor = (-apart_BBR).exp().sum(1)  # Eq. (3), Eq. (4)
        return closeness


class Discriminator(nn.Module):
    """A multilayer perceptron with one logit an example, and closeness features if wanted.

    Args:
        inputs: D.
        hidden: units of the hidden layers; at least one layer.
        activation: of the hidden units.
        closeness: R; 0 for a discriminator that sees one example at a time.
        size: S.

    Raises:
        PracticumError: no hidden layer, or no such activation.
    """

    def __init__(
        self,
        inputs: int,
        hidden: tuple[int, ...],
        *,
        activation: str = "relu",
        closeness: int = 0,
        size: int = 4,
    ) -> None:
        super().__init__()
        if not hidden:
            raise PracticumError("a discriminator needs at least one hidden layer")
        self.trunk = MLP(inputs, hidden[:-1], hidden[-1], activation=activation)
        self.head = nn.Linear(hidden[-1] + closeness, 1)
        self.batch = MinibatchDiscrimination(hidden[-1], closeness, size) if closeness else None
        self.activation = activation

    def forward(self, x: Float[Tensor, "B *inputs"]) -> Float[Tensor, "B"]:
        """Return the logits of Eq. (1)."""
        h_BH = ACTIVATIONS[self.activation](self.trunk(x))
        if self.batch is not None:
            h_BH = torch.cat((h_BH, self.batch(h_BH)), dim=1)
        logits: Tensor = self.head(h_BH).squeeze(1)  # Eq. (5)
        return logits
