"""The plain recurrent network: the state is a nonlinear function of the input and the last state.

Paper: Elman, "Finding structure in time", Cognitive Science 14 (1990) 179-211.

Equation (numbered here; u_t = W_ih x_t + b_ih is (1) of recurrent.py):
    h_t = f(u_t + W_hh h_{t-1} + b_hh),  f = tanh or max(0, .)      (4)

Shapes: B batch, T time steps, D inputs, H hidden units.

Deviations:
    1. Two biases, of which one would do: torch's parameters.
    2. The gradient goes back to the first time step (back-propagation through time).

Cost: D H + H^2 multiplications a time step of an example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from practicum.errors import unknown
from practicum.nn.recurrent import Cell, Recurrent, State

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}


@dataclass(frozen=True)
class RNNUnit:
    """The equation (4), for `Cell` and `Recurrent`.

    Attributes:
        activation: f, "tanh" or "relu".

    Raises:
        PracticumError: no such activation.
    """

    activation: str = "tanh"
    gates = 1
    states = 1

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise unknown("activation", self.activation, ACTIVATIONS)

    def step(self, u_BG: Tensor, state: State, w_GH: Tensor, b_G: Tensor | None) -> State:
        """Return (h_t,)."""
        (h_BH,) = state
        return (ACTIVATIONS[self.activation](u_BG + F.linear(h_BH, w_GH, b_G)),)  # Eq. (4)

    def kernel(
        self, x_BTD: Tensor, state: State, weights: Sequence[Tensor], bidirectional: bool
    ) -> tuple[Tensor, State]:
        """Run one layer through torch's fused kernel."""
        run = torch.rnn_tanh if self.activation == "tanh" else torch.rnn_relu
        bias = len(weights) == (8 if bidirectional else 4)
        y, h = run(x_BTD, state[0], list(weights), bias, 1, 0.0, False, bidirectional, True)
        return y, (h,)


def RNNCell(inputs: int, hidden: int, *, activation: str = "tanh", bias: bool = True) -> Cell:
    """Return one time step of the plain recurrent network.

    Raises:
        PracticumError: a size below 1, or no such activation.
    """
    return Cell(RNNUnit(activation), inputs, hidden, bias=bias)


class RNN(Recurrent):
    """Layers of the plain recurrent network; the arguments are those of `Recurrent`.

    Args:
        activation: "tanh" or "relu".

    Raises:
        PracticumError: a size below 1, a probability outside its range, or no such activation.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        activation: str = "tanh",
        layers: int = 1,
        bidirectional: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        fused: bool = True,
    ) -> None:
        super().__init__(
            RNNUnit(activation),
            inputs,
            hidden,
            layers=layers,
            bidirectional=bidirectional,
            bias=bias,
            dropout=dropout,
            fused=fused,
        )
