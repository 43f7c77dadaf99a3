"""Long short-term memory: a cell that adds to itself, and gates that decide what goes in and out.

Papers: Hochreiter, Schmidhuber, "Long short-term memory", Neural Computation 9 (1997) 1735-1780;
the forget gate: Gers, Schmidhuber, Cummins, "Learning to forget: continual prediction with LSTM",
Neural Computation 12 (2000) 2451-2471.

Equations (numbered here; u_t = W_ih x_t + b_ih is (1) of recurrent.py, its four blocks of H rows
are u_i, u_f, u_g, u_o, and so are those of a_t; s is the logistic function):
    a_t = u_t + W_hh h_{t-1} + b_hh                          (5)
    i_t = s(a_i)                                             (6) input gate
    f_t = s(a_f)                                             (7) forget gate
    g_t = tanh(a_g)                                          (8) what may be written
    o_t = s(a_o)                                             (9) output gate
    c_t = f_t c_{t-1} + i_t g_t                              (10) the cell
    h_t = o_t tanh(c_t)                                      (11)

Shapes: B batch, T time steps, D inputs, H hidden units.

Deviations:
    1. The 1997 network has no forget gate: there f_t = 1. `forget_gate=False` gives that; the
       parameters stay torch's, those of the forget gate are without effect.
    2. The 1997 paper squashes with 4 s(a) - 2 and 2 s(a) - 1 where (8) and (11) have tanh.
    3. The gradient goes back to the first time step; the 1997 paper cuts it off at the gates.

Cost: 4 H (D + H) multiplications a time step of an example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from practicum.nn.recurrent import Cell, Recurrent, State


@dataclass(frozen=True)
class LSTMUnit:
    """The equations (5) to (11), for `Cell` and `Recurrent`.

    Attributes:
        forget_gate: whether the cell can forget (deviation 1).
    """

    forget_gate: bool = True
    gates = 4
    states = 2

    def step(self, u_BG: Tensor, state: State, w_GH: Tensor, b_G: Tensor | None) -> State:
        """Return (h_t, c_t)."""
        h_BH, c_BH = state
        a_BG = u_BG + F.linear(h_BH, w_GH, b_G)  # Eq. (5)
        i, f, g, o = a_BG.chunk(4, dim=-1)
        kept = torch.sigmoid(f) * c_BH if self.forget_gate else c_BH  # Eq. (7)
        c_BH = kept + torch.sigmoid(i) * torch.tanh(g)  # Eqs. (6), (8), (10)
        return torch.sigmoid(o) * torch.tanh(c_BH), c_BH  # Eqs. (9), (11)

    def kernel(
        self, x_BTD: Tensor, state: State, weights: Sequence[Tensor], bidirectional: bool
    ) -> tuple[Tensor, State] | None:
        """Run one layer through torch's fused kernel; it has none without a forget gate."""
        if not self.forget_gate:
            return None
        bias = len(weights) == (8 if bidirectional else 4)
        y, h, c = torch.lstm(x_BTD, state, list(weights), bias, 1, 0.0, False, bidirectional, True)
        return y, (h, c)


def LSTMCell(inputs: int, hidden: int, *, forget_gate: bool = True, bias: bool = True) -> Cell:
    """Return one time step of the LSTM.

    Raises:
        PracticumError: a size below 1.
    """
    return Cell(LSTMUnit(forget_gate), inputs, hidden, bias=bias)


class LSTM(Recurrent):
    """Layers of LSTM; the arguments are those of `Recurrent`.

    Args:
        forget_gate: whether the cell can forget (deviation 1).
        forget_bias: what the two biases of the forget gate add up to at the start; None: as the
            other biases. With 1 and more the cell remembers at first.

    Raises:
        PracticumError: a size below 1, or a probability outside its range.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        forget_gate: bool = True,
        forget_bias: float | None = None,
        layers: int = 1,
        bidirectional: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        fused: bool = True,
    ) -> None:
        super().__init__(
            LSTMUnit(forget_gate),
            inputs,
            hidden,
            layers=layers,
            bidirectional=bidirectional,
            bias=bias,
            dropout=dropout,
            fused=fused,
        )
        if forget_bias is not None:
            with torch.no_grad():
                for name, one in self.named_parameters():
                    if name.startswith("bias"):
                        start = forget_bias if name.startswith("bias_ih") else 0.0
                        one[hidden : 2 * hidden] = start
