"""The autoencoder: a network that has to pass its input through a narrow code.

Papers: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature
323 (1986) 533-536. G. E. Hinton and R. R. Salakhutdinov, "Reducing the dimensionality of data with
neural networks", Science 313 (2006) 504-507 (deep ones).

Equations (numbered for this file):
    (1)  code  = g(x)       a multilayer perceptron that ends in linear units
    (2)  x~    = f(code)    its mirror image: the hidden sizes in reverse
    (3)  error = |x~ - x|^2, the sum over the inputs of one example

Without hidden layers both maps are linear, and the least mean of Eq. (3) is that of principal
component analysis with as many components.

Shapes: B examples, D inputs, Z units of the code.

Deviations from Hinton and Salakhutdinov:
    1. No pretraining layer by layer; the weights start as those of any other network.
    2. The outputs are linear units instead of logistic ones unless the caller squashes them.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.mlp import MLP


class Autoencoder(nn.Module):
    """An encoder and its mirror image.

    Args:
        inputs: D.
        hidden: units of the encoder's hidden layers; the decoder has them in reverse.
        code: Z.
        activation: of the hidden units, as in `practicum.nn.mlp`.

    Raises:
        PracticumError: a code without units, or no such activation.
    """

    def __init__(
        self, inputs: int, hidden: tuple[int, ...], code: int, *, activation: str = "relu"
    ) -> None:
        super().__init__()
        if code < 1:
            raise PracticumError(f"a code of {code} units; it needs at least one")
        self.encoder = MLP(inputs, hidden, code, activation=activation)
        self.decoder = MLP(code, hidden[::-1], inputs, activation=activation)

    def forward(self, x: Float[Tensor, "B *inputs"]) -> Float[Tensor, "B *inputs"]:
        """Return the reconstruction, in the shape of the input."""
        code_BZ = self.encoder(x)  # Eq. (1)
        reconstruction: Tensor = self.decoder(code_BZ).reshape(x.shape)  # Eq. (2)
        return reconstruction


def squared_error(
    reconstruction: Float[Tensor, "B *inputs"], x: Float[Tensor, "B *inputs"]
) -> Float[Tensor, "B"]:
    """Return the squared error of each example, summed over its inputs."""
    return (reconstruction - x).square().flatten(1).sum(1)  # Eq. (3)
