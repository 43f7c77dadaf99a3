"""The gated recurrent unit: one gate mixes the old state with a new one, another clears the way.

Paper: Cho, van Merrienboer, Gulcehre, Bahdanau, Bougares, Schwenk, Bengio, "Learning phrase
representations using RNN encoder-decoder for statistical machine translation", EMNLP 2014,
arXiv:1406.1078v3.

Equations (numbered here; u_t = W_ih x_t + b_ih is (1) of recurrent.py; r, z, n name the three
blocks of H rows of u_t, W_hh and b_hh; s is the logistic function):
    r_t = s(u_r + W_r h_{t-1} + b_r)                         (12) reset gate
    z_t = s(u_z + W_z h_{t-1} + b_z)                         (13) update gate
    n_t = tanh(u_n + W_n (r_t h_{t-1}) + b_n)                (14) reset before the product
    n_t = tanh(u_n + r_t (W_n h_{t-1} + b_n))                (15) reset after it
    h_t = z_t h_{t-1} + (1 - z_t) n_t                        (16)

Shapes: B batch, T time steps, D inputs, H hidden units.

Deviations:
    1. The paper's third version resets before the product (14), its first after it (15), and so
       does torch, since the products of all gates are then one. `reset` chooses; after is usual.
    2. The paper writes no biases; here there are torch's two.

Cost: 3 H (D + H) multiplications a time step of an example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from practicum.errors import unknown
from practicum.nn.recurrent import Cell, Recurrent, State

RESETS = ("after", "before")


@dataclass(frozen=True)
class GRUUnit:
    """The equations (12) to (16), for `Cell` and `Recurrent`.

    Attributes:
        reset: "after" the product (15) or "before" it (14).

    Raises:
        PracticumError: no such placement.
    """

    reset: str = "after"
    gates = 3
    states = 1

    def __post_init__(self) -> None:
        if self.reset not in RESETS:
            raise unknown("placement of the reset gate", self.reset, RESETS)

    def step(self, u_BG: Tensor, state: State, w_GH: Tensor, b_G: Tensor | None) -> State:
        """Return (h_t,)."""
        (h_BH,) = state
        u_r, u_z, u_n = u_BG.chunk(3, dim=-1)
        if self.reset == "after":
            a_r, a_z, a_n = F.linear(h_BH, w_GH, b_G).chunk(3, dim=-1)
            n_BH = torch.tanh(u_n + torch.sigmoid(u_r + a_r) * a_n)  # Eqs. (12), (15)
        else:
            cut = 2 * h_BH.shape[-1]
            b_rz, b_n = (None, None) if b_G is None else (b_G[:cut], b_G[cut:])
            a_r, a_z = F.linear(h_BH, w_GH[:cut], b_rz).chunk(2, dim=-1)
            r_BH = torch.sigmoid(u_r + a_r)  # Eq. (12)
            n_BH = torch.tanh(u_n + F.linear(r_BH * h_BH, w_GH[cut:], b_n))  # Eq. (14)
        z_BH = torch.sigmoid(u_z + a_z)  # Eq. (13)
        return (z_BH * h_BH + (1 - z_BH) * n_BH,)  # Eq. (16)

    def kernel(
        self, x_BTD: Tensor, state: State, weights: Sequence[Tensor], bidirectional: bool
    ) -> tuple[Tensor, State] | None:
        """Run one layer through torch's fused kernel; it has only the reset after the product."""
        if self.reset != "after":
            return None
        bias = len(weights) == (8 if bidirectional else 4)
        y, h = torch.gru(x_BTD, state[0], list(weights), bias, 1, 0.0, False, bidirectional, True)
        return y, (h,)


def GRUCell(inputs: int, hidden: int, *, reset: str = "after", bias: bool = True) -> Cell:
    """Return one time step of the GRU.

    Raises:
        PracticumError: a size below 1, or no such placement of the reset gate.
    """
    return Cell(GRUUnit(reset), inputs, hidden, bias=bias)


class GRU(Recurrent):
    """Layers of GRU; the arguments are those of `Recurrent`.

    Args:
        reset: "after" the product of the hidden state (15) or "before" it (14).

    Raises:
        PracticumError: a size below 1, a probability outside its range, or no such placement.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        reset: str = "after",
        layers: int = 1,
        bidirectional: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        fused: bool = True,
    ) -> None:
        super().__init__(
            GRUUnit(reset),
            inputs,
            hidden,
            layers=layers,
            bidirectional=bidirectional,
            bias=bias,
            dropout=dropout,
            fused=fused,
        )
