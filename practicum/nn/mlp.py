"""Multilayer perceptron: layers of weighted sums with an elementwise nonlinearity between them.

Paper: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature
323 (1986) 533-536. Dropout: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a
simple way to prevent neural networks from overfitting", JMLR 15 (2014) 1929-1958, section 4.

Equations (Srivastava's, of layer l; without dropout r is 1):
    r_j ~ Bernoulli(p)                                       which units stay
    y~  = r * y                                              thinned outputs
    z   = W y~ + b                                           weighted sums
    y'  = f(z)                                               outputs of the next layer

Shapes: B batch, D inputs, H hidden units, K outputs.

Deviations:
    1. Kept units are scaled by 1/p while training ("inverted dropout"), so that nothing changes at
       test time; the paper scales the weights by p at test time instead. Both have the same mean.
    2. `dropout` names the probability of dropping, 1 - p, as torch does; the paper's p is the
       probability of keeping.

Cost: D H + (depth - 1) H^2 + H K multiplications an example.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError, unknown

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


class MLP(nn.Module):
    """A multilayer perceptron with optional dropout of inputs and hidden units.

    Args:
        inputs: D, numbers per example after flattening.
        hidden: units of each hidden layer.
        outputs: K.
        activation: "relu", "tanh" or "sigmoid".
        dropout: probability of dropping a hidden unit, 0 <= p < 1.
        input_dropout: probability of dropping an input.

    Raises:
        PracticumError: no such activation, or a probability outside its range.
    """

    def __init__(
        self,
        inputs: int,
        hidden: tuple[int, ...],
        outputs: int,
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        for p in (dropout, input_dropout):
            if not 0 <= p < 1:
                raise PracticumError(f"dropout probability {p} is not in [0, 1)")
        sizes = (inputs, *hidden, outputs)
        self.layers = nn.ModuleList(
            nn.Linear(fan_in, fan_out) for fan_in, fan_out in itertools.pairwise(sizes)
        )
        self.activation = activation
        self.dropout, self.input_dropout = dropout, input_dropout

    def forward(self, x: Float[Tensor, "B *inputs"]) -> Float[Tensor, "B K"]:
        """Return the outputs before any softmax (logits)."""
        f = ACTIVATIONS[self.activation]
        y_BD = x.flatten(1)
        drop = self.input_dropout
        for layer in self.layers[:-1]:
            y_BD = F.dropout(y_BD, drop, self.training)  # y~ = r * y
            y_BD = f(layer(y_BD))  # y' = f(W y~ + b)
            drop = self.dropout
        logits_BK: Tensor = self.layers[-1](F.dropout(y_BD, drop, self.training))
        return logits_BK
