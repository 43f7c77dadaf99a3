"""RealNVP: an invertible network whose density is known exactly.

Papers: L. Dinh, J. Sohl-Dickstein and S. Bengio, "Density estimation using Real NVP", ICLR 2017,
arXiv:1605.08803. L. Dinh, D. Krueger and Y. Bengio, "NICE: non-linear independent components
estimation", arXiv:1410.8516 (without scales).

Idea: one half of the inputs passes unchanged and decides how the other half is stretched and
shifted. Whatever network decides, the map can be undone, and its Jacobian is triangular. Layers
that alternate the halves reach every input.

Equations (numbered for this file; b is a mask of zeros and ones, * elementwise):
    (1)  y = b * x + (1 - b) * (x * exp(s(b * x)) + t(b * x))      affine coupling
    (2)  log |det dy/dx| = sum over the inputs of (1 - b) * s(b * x)
    (3)  x = b * y + (1 - b) * (y - t(b * y)) * exp(-s(b * y))     its inverse
    (4)  log p(x) = log normal(z; 0, I) + sum over the couplings of Eq. (2),  z the last y

Shapes: B examples, D inputs.

Deviations from the paper:
    1. s and t are the two halves of the output of one `practicum.nn.mlp`; there is no batch
       normalisation, no multi-scale architecture and no convolution.
    2. Masks take every other input (the checkerboard for a vector).
    3. s is r tanh(u) with r learned for every input, which keeps the inverse within float32.

Cost: one multilayer perceptron a coupling, for the map and for its inverse alike.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.mlp import MLP


class Coupling(nn.Module):
    """One affine coupling.

    Args:
        mask: [D] one for the inputs that pass unchanged, zero for the others.
        hidden: hidden units of the network that gives s and t.
        volume_preserving: leave s out (s = 0), as in NICE.

    Raises:
        PracticumError: the mask has other entries, or only one kind.
    """

    mask: Tensor

    def __init__(
        self, mask: Float[Tensor, "D"], hidden: tuple[int, ...], *, volume_preserving: bool = False
    ) -> None:
        super().__init__()
        if set(mask.tolist()) != {0.0, 1.0}:
            raise PracticumError(
                f"the mask {mask.tolist()} does not split the inputs: it needs ones for those that "
                "pass and zeros for those that change"
            )
        self.register_buffer("mask", mask.clone())
        d = len(mask)
        self.network = MLP(d, hidden, d if volume_preserving else 2 * d)
        self.reach = None if volume_preserving else nn.Parameter(torch.ones(d))

    def _scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        changes = 1 - self.mask
        out = self.network(kept)
        if self.reach is None:
            return torch.zeros_like(out), out * changes
        u, t = out.chunk(2, dim=1)
        return self.reach * torch.tanh(u) * changes, t * changes

    def forward(self, x: Float[Tensor, "B D"]) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B"]]:
        """Return y and the logarithm of the determinant."""
        s, t = self._scale_and_shift(x * self.mask)
        return x * s.exp() + t, s.sum(1)  # Eq. (1), Eq. (2): s = t = 0 where b = 1

    def inverse(self, y: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Return the x that forward takes to y."""
        s, t = self._scale_and_shift(y * self.mask)
        x: Tensor = (y - t) * (-s).exp()  # Eq. (3)
        return x


class RealNVP(nn.Module):
    """Couplings with alternating masks between the data and a standard normal distribution.

    Args:
        inputs: D, at least two.
        couplings: how many; with fewer than three not every input depends on every other.
        hidden: hidden units in each coupling's network.
        volume_preserving: no scales, as in NICE.

    Raises:
        PracticumError: fewer than two inputs or one coupling.
    """

    def __init__(
        self,
        inputs: int,
        couplings: int,
        hidden: tuple[int, ...],
        *,
        volume_preserving: bool = False,
    ) -> None:
        super().__init__()
        if inputs < 2 or couplings < 1:
            raise PracticumError(
                f"{couplings} couplings of {inputs} inputs; at least one coupling of two inputs"
            )
        even = (torch.arange(inputs) % 2 == 0).float()
        self.couplings = nn.ModuleList(
            Coupling(even if i % 2 == 0 else 1 - even, hidden, volume_preserving=volume_preserving)
            for i in range(couplings)
        )

    def forward(self, x: Float[Tensor, "B D"]) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B"]]:
        """Return z and log |det dz/dx|."""
        log_det_B = x.new_zeros(len(x))
        for coupling in self.couplings:
            x, one = coupling(x)
            log_det_B = log_det_B + one
        return x, log_det_B

    def inverse(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Return the x that forward takes to z; a standard normal z gives a sample."""
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z)  # type: ignore[operator]  # torch takes a list's items for Any
        return z


def log_density(z: Float[Tensor, "B D"], log_det: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
    """Return log p(x), in nats, from what the network returned for x."""
    log_normal: Tensor = -(z.square() + math.log(2 * math.pi)).sum(1) / 2
    return log_normal + log_det  # Eq. (4)
