"""Gradient clipping: descriptions that turn a gradient's norm into the factor to scale it with.

Both work on rows: norms [lanes] give factors [lanes], and the loop is the case of one row. What
AutoClip remembers is a buffer of the state, so a checkpoint holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Clip(Protocol):
    """A clipping rule."""

    def __call__(
        self, norms: Float[Tensor, "lanes"], seen: Float[Tensor, "lanes past"] | None
    ) -> tuple[Float[Tensor, "lanes"], Float[Tensor, "lanes now"] | None]:
        """Return the factors, and what to remember."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClipNorm:
    """Scale the gradient to at most a fixed norm (Pascanu et al. 2013, arXiv:1211.5063v2)."""

    norm: float

    def __call__(
        self, norms: Float[Tensor, "lanes"], seen: Float[Tensor, "lanes past"] | None
    ) -> tuple[Float[Tensor, "lanes"], None]:
        """Return min(1, norm / (norms + 1e-6)), as `torch.nn.utils.clip_grad_norm_` computes it."""
        return torch.clamp(self.norm / (norms + 1e-6), max=1.0), None


@dataclass(frozen=True, kw_only=True)
class AutoClip:
    """Clip to the running percentile of all norms so far (Seetharaman et al. 2020).

    Seetharaman, Wichern, Pardo, Le Roux, "AutoClip: Adaptive gradient clipping for source
    separation networks", arXiv:2007.14469. The norm is the global one, over all parameters.

    Attributes:
        percentile: p, 0 to 100; the paper recommends 10.
    """

    percentile: float = 10.0

    def __call__(
        self, norms: Float[Tensor, "lanes"], seen: Float[Tensor, "lanes past"] | None
    ) -> tuple[Float[Tensor, "lanes"], Float[Tensor, "lanes now"]]:
        """Return the factors that bring each norm to its row's percentile, the new one included."""
        now = norms.unsqueeze(1) if seen is None else torch.cat([seen, norms.unsqueeze(1)], dim=1)
        limit = torch.quantile(now, self.percentile / 100, dim=1)
        return torch.clamp(limit / (norms + 1e-6), max=1.0), now
