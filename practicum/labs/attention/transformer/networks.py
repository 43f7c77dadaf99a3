"""The Transformer and what the arms take from it, all with the same first weights.

Vaswani et al. 2017, arXiv:1706.03762: positions, section 3.5; 1/sqrt(d), section 3.2.1; heads,
section 3.2.2. The schedule is its equation (3), here relative to its largest value:

    factor = min(step / warmup, sqrt(warmup / step))                         (3)

Without warm-up the rise is left out: 1 up to `warmup`, then the same fall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from practicum.labs.attention.transformer.tasks import SPECIAL
from practicum.nn.attention import KVCache, MultiHeadAttention
from practicum.nn.positions import Positions
from practicum.nn.transformer import Transformer

if TYPE_CHECKING:
    from practicum.labs.attention.transformer.experiment import Setup


@dataclass(frozen=True, kw_only=True)
class InverseSquareRoot:
    """The paper's schedule, as a factor on the largest rate.

    Attributes:
        warmup: updates until the fall begins.
        rises: whether the rate rises until then; otherwise it is at its largest from the start.
    """

    warmup: int
    rises: bool = True

    def __call__(self, step: int) -> float:
        """Return the factor for the update that follows `step` finished updates."""
        fall = min(1.0, math.sqrt(self.warmup / (step + 1)))
        return min((step + 1) / self.warmup, fall) if self.rises else fall  # Eq. (3)


class Unplaced(nn.Module):
    """No positions: the input as it is."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Return the input."""
        return x


class Unscaled(MultiHeadAttention):
    """Multi-head attention whose scores are not divided by sqrt(d)."""

    def _heads(
        self, x: Tensor, memory: Tensor | None, cache: KVCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = super()._heads(x, memory, cache)
        return q * math.sqrt(q.shape[-1]), k, v  # undoes the division to come


def build(setup: Setup) -> Transformer:
    """Build an arm's network; arms that share a setting's tensors share their first values."""
    words = setup.kinds + SPECIAL
    network = Transformer(
        words,
        words,
        width=setup.width,
        heads=setup.heads,
        hidden=setup.hidden,
        layers=setup.layers,
        length=setup.longest + setup.beyond + 1,
        dropout=setup.dropout,
        pre_norm=setup.norm == "pre",
    )
    if setup.positions == "learned":  # drawn last, so that all else starts as in the other arms
        network.positions = Positions(setup.longest + setup.beyond + 1, setup.width, learned=True)
    elif setup.positions == "none":
        network.positions = Unplaced()  # type: ignore[assignment]  # another kind of module
    if not setup.scaled:
        for layer in (*network.encoder, *network.decoder):
            for name in ("self_attn", "multihead_attn"):
                if hasattr(layer, name):
                    setattr(layer, name, _unscaled(getattr(layer, name)))
    return network


def _unscaled(one: MultiHeadAttention) -> Unscaled:
    """Return the same attention, without the division by sqrt(d)."""
    other = Unscaled(one.width, one.heads, dropout=one.dropout)
    other.load_state_dict(one.state_dict())
    return other


@torch.no_grad()
def reading(network: Transformer, source: Tensor, fed: Tensor, lengths: Tensor) -> Tensor:
    """Return where the last decoder layer looks in the source, [B, N, T, S]."""
    layer: Any = network.decoder[-1]
    seen: dict[str, Any] = {}

    def keep(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.update(arguments=arguments, mask=named["mask"])

    handle = layer.multihead_attn.register_forward_pre_hook(keep, with_kwargs=True)
    network(source, fed, lengths)
    handle.remove()
    weights: Tensor = layer.multihead_attn.attend(*seen["arguments"], mask=seen["mask"])[1]
    return weights
