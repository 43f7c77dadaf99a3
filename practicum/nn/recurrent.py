"""Recurrent layers: one unit applied at every time step, in several layers and both directions.

The units themselves, with their equations, are in rnn.py, lstm.py and gru.py. A unit says how the
state of one time step follows from the state before and from a linear function of the input; this
file does what they share: the weights, the walk through time, layers on top of one another, the
backward direction, sequences of different lengths.

Papers: Elman, "Finding structure in time", Cognitive Science 14 (1990) 179-211; Schuster, Paliwal,
"Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45 (1997)
2673-2681.

Equations (numbered here), for one layer and direction:
    u_t = W_ih x_t + b_ih                                    (1) for all t in one product
    s_t = unit(u_t, s_{t-1}, W_hh, b_hh)                     (2) s_t is (h_t) or (h_t, c_t)
    y_t = [h_t forward, h_t backward]                        (3) input of the next layer

Shapes: B batch, T time steps, D inputs, H hidden units, G numbers of all gates (a multiple of H),
L layers times directions.

Deviations from torch.nn, whose parameters these are, by name, shape and first values:
    1. Batches come first, [B, T, D].
    2. A state is a tuple for every unit: (h,) or (h, c), [L, B, H] each.
    3. Sequences of different lengths are padded and `lengths` says where each ends (torch packs
       them): beyond its end a sequence's state stands still and its output is 0.

Fused kernels: with `fused` the walk through time is torch's own kernel, one call for each layer.
It is used where it is the faster and can be: not inside torch.func transforms such as the lanes
(it cannot be mapped there), not with `lengths`, and not for a unit that torch does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError

State = tuple[Tensor, ...]


@runtime_checkable
class Unit(Protocol):
    """What tells one recurrent network from another: its equations.

    Attributes:
        gates: how many blocks of H rows its weights have.
        states: how many tensors its state has.
    """

    @property
    def gates(self) -> int:
        """Return the number of blocks of H rows in the weights."""

    @property
    def states(self) -> int:
        """Return the number of tensors of the state."""

    def step(self, u_BG: Tensor, state: State, w_GH: Tensor, b_G: Tensor | None) -> State:
        """Return the next state, h first."""

    def kernel(
        self, x_BTD: Tensor, state: State, weights: Sequence[Tensor], bidirectional: bool
    ) -> tuple[Tensor, State] | None:
        """Run one layer through torch's fused kernel; None: torch has none for this unit."""


def uniform(*shape: int, hidden: int) -> nn.Parameter:
    """Return numbers uniform in +-1/sqrt(hidden), as torch's recurrent layers start."""
    bound = hidden**-0.5 if hidden > 0 else 0.0
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


def transformed() -> bool:
    """Tell whether a torch.func transform (vmap, grad, ...) is at work."""
    # torch has no public name for this; its own modules ask in the same way.
    return torch._C._functorch.peek_interpreter_stack() is not None


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise PracticumError(f"{name} is {size}; a recurrent network needs at least 1")


class Cell(nn.Module):
    """One time step of a unit, with the parameters of torch's cell.

    Args:
        unit: its equations.
        inputs: D.
        hidden: H.
        bias: whether (1) and the unit have biases.

    Raises:
        PracticumError: a size below 1.
    """

    def __init__(self, unit: Unit, inputs: int, hidden: int, *, bias: bool = True) -> None:
        super().__init__()
        _check_sizes(inputs=inputs, hidden=hidden)
        self.unit, self.hidden = unit, hidden
        rows = unit.gates * hidden
        self.weight_ih = uniform(rows, inputs, hidden=hidden)
        self.weight_hh = uniform(rows, hidden, hidden=hidden)
        self.bias_ih = uniform(rows, hidden=hidden) if bias else None
        self.bias_hh = uniform(rows, hidden=hidden) if bias else None

    def forward(
        self, x: Float[Tensor, "B D"], state: tuple[Float[Tensor, "B H"], ...] | None = None
    ) -> tuple[Float[Tensor, "B H"], ...]:
        """Return the next state; without one before, it starts from zeros."""
        if state is None:
            state = (x.new_zeros(len(x), self.hidden),) * self.unit.states
        u_BG = F.linear(x, self.weight_ih, self.bias_ih)  # Eq. (1)
        return self.unit.step(u_BG, state, self.weight_hh, self.bias_hh)  # Eq. (2)


class Recurrent(nn.Module):
    """Layers of a unit, with the parameters of torch's RNN, LSTM and GRU.

    Args:
        unit: its equations.
        inputs: D.
        hidden: H of each direction.
        layers: layers on top of one another.
        bidirectional: whether each layer also runs from the end to the beginning.
        bias: whether there are biases.
        dropout: probability of dropping a number between two layers, while training.
        fused: whether torch's kernel may do the work (see above); the values are the same.

    Raises:
        PracticumError: a size below 1, or a probability outside its range.
    """

    def __init__(
        self,
        unit: Unit,
        inputs: int,
        hidden: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        fused: bool = True,
    ) -> None:
        super().__init__()
        _check_sizes(inputs=inputs, hidden=hidden, layers=layers)
        if not 0 <= dropout < 1:
            raise PracticumError(f"dropout probability {dropout} is not in [0, 1)")
        self.unit, self.hidden, self.layers = unit, hidden, layers
        self.bias, self.dropout, self.fused = bias, dropout, fused
        self.directions = 2 if bidirectional else 1
        rows = unit.gates * hidden
        for layer in range(layers):
            width = inputs if layer == 0 else hidden * self.directions
            for end in ("", "_reverse")[: self.directions]:
                # In the order of torch, so that one seed gives the same first values.
                setattr(self, f"weight_ih_l{layer}{end}", uniform(rows, width, hidden=hidden))
                setattr(self, f"weight_hh_l{layer}{end}", uniform(rows, hidden, hidden=hidden))
                if bias:
                    setattr(self, f"bias_ih_l{layer}{end}", uniform(rows, hidden=hidden))
                    setattr(self, f"bias_hh_l{layer}{end}", uniform(rows, hidden=hidden))

    def weights(self, layer: int) -> list[Tensor]:
        """Return W_ih, W_hh and, if there are any, b_ih and b_hh of each direction of a layer."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if self.bias else 2]
        ends = ("", "_reverse")[: self.directions]
        return [getattr(self, f"{name}_l{layer}{end}") for end in ends for name in names]

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        state: tuple[Float[Tensor, "L B H"], ...] | None = None,
        lengths: Int[Tensor, "B"] | None = None,
    ) -> tuple[Float[Tensor, "B T Y"], tuple[Float[Tensor, "L B H"], ...]]:
        """Return the outputs of the last layer and every layer's last state.

        Args:
            x: the inputs; at least one time step.
            state: where to start; None: zeros. A layer's backward state follows its forward one.
            lengths: time steps of each sequence; None: all of them.

        Raises:
            PracticumError: no time step.
        """
        if x.shape[1] == 0:
            raise PracticumError("the sequences have no time step; a recurrent network needs one")
        if state is None:
            zeros = x.new_zeros(self.layers * self.directions, len(x), self.hidden)
            state = (zeros,) * self.unit.states
        y_BTY, ends = x, []
        for layer in range(self.layers):
            if layer > 0:
                y_BTY = F.dropout(y_BTY, self.dropout, self.training)
            at = slice(layer * self.directions, (layer + 1) * self.directions)
            y_BTY, end = self._layer(layer, y_BTY, tuple(s[at] for s in state), lengths)
            ends.append(end)
        return y_BTY, tuple(torch.cat(parts) for parts in zip(*ends, strict=True))

    def _layer(
        self, layer: int, x_BTD: Tensor, state: State, lengths: Tensor | None
    ) -> tuple[Tensor, State]:
        """Run one layer in its directions; states are [directions, B, H]."""
        weights = self.weights(layer)
        if self.fused and lengths is None and not transformed():
            found = self.unit.kernel(x_BTD, state, weights, self.directions == 2)
            if found is not None:
                return found
        each = len(weights) // self.directions
        outputs, ends = [], []
        for direction in range(self.directions):
            mine = weights[direction * each : (direction + 1) * each]
            start = tuple(s[direction] for s in state)
            y_TBH, end = self._walk(x_BTD, start, mine, lengths, backward=direction == 1)
            outputs.append(y_TBH)
            ends.append(end)
        stacked = tuple(torch.stack(parts) for parts in zip(*ends, strict=True))
        # Time outermost in memory, as the kernels leave it: dropout draws in that order.
        return torch.cat(outputs, dim=-1).transpose(0, 1), stacked  # Eq. (3)

    def _walk(
        self,
        x_BTD: Tensor,
        state: State,
        weights: Sequence[Tensor],
        lengths: Tensor | None,
        *,
        backward: bool,
    ) -> tuple[Tensor, State]:
        """Run one direction of one layer by the unit's equations; outputs are [T, B, H]."""
        w_ih, w_hh = weights[:2]
        b_ih, b_hh = weights[2:] if self.bias else (None, None)
        u_BTG = F.linear(x_BTD, w_ih, b_ih)  # Eq. (1)
        steps = list(enumerate(u_BTG.unbind(1)))
        outputs = []
        for t, u_BG in reversed(steps) if backward else steps:
            after = self.unit.step(u_BG, state, w_hh, b_hh)  # Eq. (2)
            if lengths is None:
                output, state = after[0], after
            else:
                here = (t < lengths).unsqueeze(1)
                state = tuple(torch.where(here, a, b) for a, b in zip(after, state, strict=True))
                output = torch.where(here, after[0], 0.0)
            outputs.append(output)
        if backward:
            outputs.reverse()
        return torch.stack(outputs), state
