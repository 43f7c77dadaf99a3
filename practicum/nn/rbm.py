"""The restricted Boltzmann machine: visible and hidden bits with an energy, and no ties within.

Papers: P. Smolensky, "Information processing in dynamical systems: foundations of harmony theory",
in Rumelhart and McClelland, "Parallel Distributed Processing" 1, MIT Press 1986, chapter 6 (the
machine). G. E. Hinton, "Training products of experts by minimizing contrastive divergence", Neural
Computation 14, 1771-1800, 2002. G. E. Hinton, "A practical guide to training restricted Boltzmann
machines", UTML TR 2010-003, 2010 (the initial weights).

Idea: given one side, the units of the other side are independent, so both conditionals are exact
and cheap; what is hard is the sum Z over all states, which is written out here for small machines.

Equations (numbered for this file and for `practicum.learning.contrastive_divergence`):
    (1)  E(v, h) = - b v - c h - v W h                          energy, v and h of zeros and ones
    (2)  p(v, h) = exp(-E(v, h)) / Z,   Z = sum over all v, h of exp(-E(v, h))
    (3)  p(h_j = 1 | v) = sigmoid(c_j + sum over i of v_i W_ij)
    (4)  p(v_i = 1 | h) = sigmoid(b_i + sum over j of W_ij h_j)
    (5)  F(v) = - b v - sum over j of log(1 + exp(c_j + sum over i of v_i W_ij))
         free energy: p(v) = exp(-F(v)) / Z
    (6)  log p(v) = - F(v) - log Z                              in nats
    (7)  Z = sum over v of exp(-F(v)), or the like over h, whichever side has fewer units

Shapes: B examples, V visible units, H hidden units.

Cost: V H an example for each of (1), (3)-(5); 2**min(V, H) V H for (7).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError

ENUMERABLE = 20
"""Most units of the smaller side for which Eq. (7) is summed: about a million states."""


def all_states(units: int, *, dtype: torch.dtype = torch.float32) -> Float[Tensor, "states units"]:
    """Return every row of zeros and ones, in the order of counting.

    Raises:
        PracticumError: there are too many units to write all states out.
    """
    if units > ENUMERABLE:
        raise PracticumError(
            f"{units} units have 2**{units} states; at most {ENUMERABLE} units can be written out. "
            "Use a machine with a smaller visible or hidden side"
        )
    powers = 2 ** torch.arange(units - 1, -1, -1)
    return ((torch.arange(2**units).unsqueeze(1) & powers) > 0).to(dtype)


class RBM(nn.Module):
    """A restricted Boltzmann machine of bits.

    Args:
        visible: V.
        hidden: H.
        spread: standard deviation of the initial weights; biases start at zero.

    Raises:
        PracticumError: a side without units.
    """

    def __init__(self, visible: int, hidden: int, *, spread: float = 0.01) -> None:
        super().__init__()
        if visible < 1 or hidden < 1:
            raise PracticumError(
                f"{visible} visible and {hidden} hidden units; each side needs at least one"
            )
        self.weight = nn.Parameter(spread * torch.randn(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    def forward(self, v: Float[Tensor, "B V"]) -> Float[Tensor, "B"]:
        """Return the free energy of each row; 0 <= v <= 1."""
        fields = self.hidden_bias + v @ self.weight
        return -(v @ self.visible_bias) - F.softplus(fields).sum(1)  # Eq. (5)

    def energy(self, v: Float[Tensor, "B V"], h: Float[Tensor, "B H"]) -> Float[Tensor, "B"]:
        """Return the energy of each pair of rows."""
        ties = ((v @ self.weight) * h).sum(1)
        return -(v @ self.visible_bias) - h @ self.hidden_bias - ties  # Eq. (1)

    def hidden_given(self, v: Float[Tensor, "B V"]) -> Float[Tensor, "B H"]:
        """Return the probability that each hidden unit is on."""
        return torch.sigmoid(self.hidden_bias + v @ self.weight)  # Eq. (3)

    def visible_given(self, h: Float[Tensor, "B H"]) -> Float[Tensor, "B V"]:
        """Return the probability that each visible unit is on."""
        return torch.sigmoid(self.visible_bias + h @ self.weight.T)  # Eq. (4)

    @torch.no_grad()
    def gibbs(
        self, v: Float[Tensor, "B V"], sweeps: int, uniform: Callable[..., Tensor]
    ) -> Float[Tensor, "B V"]:
        """Walk each row: hidden bits given visible ones, then visible bits given those.

        Args:
            v: where the chains start; not changed.
            sweeps: how often both sides are drawn, the hidden one first.
            uniform: draws from [0, 1) for a shape, as `noise.uniform` does.

        Returns:
            The visible bits that were drawn last.
        """
        for _ in range(sweeps):
            p_BH = self.hidden_given(v)
            h_BH = (uniform(*p_BH.shape) < p_BH).to(p_BH.dtype)
            p_BV = self.visible_given(h_BH)
            v = (uniform(*p_BV.shape) < p_BV).to(p_BV.dtype)
        return v

    def log_partition(self) -> Float[Tensor, ""]:
        """Return log Z, exactly and with its gradient.

        Raises:
            PracticumError: both sides are too large to sum over.
        """
        visible, hidden = self.weight.shape
        if visible <= hidden:
            states = all_states(visible).to(self.weight)
            return torch.logsumexp(-self(states), 0)  # Eq. (7)
        h = all_states(hidden).to(self.weight)
        fields = self.visible_bias + h @ self.weight.T
        return torch.logsumexp(h @ self.hidden_bias + F.softplus(fields).sum(1), 0)  # Eq. (7)

    def log_likelihood(self, v: Float[Tensor, "B V"]) -> Float[Tensor, "B"]:
        """Return the exact log-probability of each row, in nats.

        Raises:
            PracticumError: both sides are too large to sum over.
        """
        log_p: Tensor = -self(v) - self.log_partition()  # Eq. (6)
        return log_p
