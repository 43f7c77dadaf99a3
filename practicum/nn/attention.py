"""Attention: an average of values, weighted by how well each one's key fits a query.

Papers: additive: Bahdanau, Cho, Bengio, "Neural machine translation by jointly learning to align
and translate", ICLR 2015, arXiv:1409.0473. Dot and general: Luong, Pham, Manning, "Effective
approaches to attention-based neural machine translation", EMNLP 2015, arXiv:1508.04025. Scaled dot
and multi-head: Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin, "Attention is
all you need", NeurIPS 2017, arXiv:1706.03762.

Equations (numbered here), for a query q and the pairs (k_j, v_j):
    e_j = v^T tanh(W q + U k_j)                              (1) additive
    e_j = q^T k_j                                            (2) dot
    e_j = q^T W k_j                                          (3) general
    e_j = q^T k_j / sqrt(d)                                  (4) scaled dot, d numbers in q
    a_j = exp(e_j) / sum of exp(e_i) over those seen         (5) weights; 0 for those not seen
    c   = sum_j a_j v_j                                      (6) context
    head_n = attention by (4) to (6) of q W^Q_n, k_j W^K_n, v_j W^V_n                       (7)
    y   = [head_1, ..., head_N] W^O                          (8) multi-head

Shapes: B batch, Q queries, K keys, E width of queries, F width of keys, V width of values, N heads,
d = E / N. A mask is True where a query may see a key, and broadcasts to the scores.

Deviations:
    1. A query that sees nothing has all weights 0 and the context 0, and no gradient goes through
       it; (5) would be 0/0. F.scaled_dot_product_attention does the same.
    2. The linear functions of (7) and (8) have biases, as torch.nn.MultiheadAttention, whose
       parameters they are, by name, shape and first values.

Fused kernel: with `fused`, multi-head attention is F.scaled_dot_product_attention, except inside
torch.func transforms such as the lanes, with dropout of the weights, and where the weights
themselves are asked for.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.positions import Rotary
from practicum.nn.recurrent import transformed


def causal_mask(
    queries: int, keys: int | None = None, device: torch.device | str | None = None
) -> Bool[Tensor, "Q K"]:
    """Return the mask by which each query sees itself and what is before; the last ends flush."""
    keys = queries if keys is None else keys
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def padding_mask(lengths: Int[Tensor, "B"], size: int) -> Bool[Tensor, "B 1 1 K"]:
    """Return the mask that hides what lies beyond each sequence's length, for multi-head scores."""
    return (torch.arange(size, device=lengths.device) < lengths.unsqueeze(1))[:, None, None]


def masked_softmax(
    scores: Float[Tensor, "*batch Q K"], mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "*batch Q K"]:
    """Return the weights (5)."""
    if mask is None:
        return scores.softmax(-1)
    # The lowest number, not -inf: a row without any key would become nan, its gradient too.
    weights = torch.where(mask, scores, torch.finfo(scores.dtype).min).softmax(-1)
    return torch.where(mask, weights, 0.0)


def attend(
    q: Float[Tensor, "*batch Q E"],
    k: Float[Tensor, "*batch K E"],
    v: Float[Tensor, "*batch K V"],
    mask: Bool[Tensor, "..."] | None = None,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
) -> tuple[Float[Tensor, "*batch Q V"], Float[Tensor, "*batch Q K"]]:
    """Return the contexts of dot attention and its weights.

    Args:
        q: queries.
        k: keys.
        v: values.
        mask: which keys each query sees; None: all.
        scale: factor of the scores; None: 1/sqrt(E), Eq. (4); 1: Eq. (2).
        dropout: probability of dropping a weight (of the average; the weights returned are whole).
    """
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    weights = masked_softmax((q * scale) @ k.transpose(-1, -2), mask)  # Eqs. (4), (5)
    return F.dropout(weights, dropout) @ v, weights  # Eq. (6)


class AdditiveAttention(nn.Module):
    """Bahdanau's attention, Eq. (1).

    Args:
        query_width: E.
        key_width: F.
        hidden: width of the hidden layer.
    """

    def __init__(self, query_width: int, key_width: int, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_width, hidden, bias=False)
        self.key = nn.Linear(key_width, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def project(self, keys: Float[Tensor, "B K F"]) -> Float[Tensor, "B K H"]:
        """Return U k_j; a decoder computes it once for all its steps."""
        projected: Tensor = self.key(keys)
        return projected

    def forward(
        self,
        queries: Float[Tensor, "B Q E"],
        keys: Float[Tensor, "B K F"],
        values: Float[Tensor, "B K V"],
        mask: Bool[Tensor, "..."] | None = None,
        projected: Float[Tensor, "B K H"] | None = None,
    ) -> tuple[Float[Tensor, "B Q V"], Float[Tensor, "B Q K"]]:
        """Return contexts and weights; `projected` is what `project` made of the keys."""
        u_BKH = self.project(keys) if projected is None else projected
        hidden = torch.tanh(self.query(queries).unsqueeze(2) + u_BKH.unsqueeze(1))
        weights = masked_softmax(self.score(hidden).squeeze(-1), mask)  # Eqs. (1), (5)
        return weights @ values, weights  # Eq. (6)


class GeneralAttention(nn.Module):
    """Luong's general attention, Eq. (3).

    Args:
        query_width: E.
        key_width: F.
    """

    def __init__(self, query_width: int, key_width: int) -> None:
        super().__init__()
        self.key = nn.Linear(key_width, query_width, bias=False)

    def forward(
        self,
        queries: Float[Tensor, "B Q E"],
        keys: Float[Tensor, "B K F"],
        values: Float[Tensor, "B K V"],
        mask: Bool[Tensor, "..."] | None = None,
    ) -> tuple[Float[Tensor, "B Q V"], Float[Tensor, "B Q K"]]:
        """Return contexts and weights."""
        return attend(queries, self.key(keys), values, mask, scale=1.0)  # Eq. (3)


class KVCache:
    """The keys and values of what a decoder has read, so that they are computed once.

    Attributes:
        keys: [B, N, K, d], or None before the first.
        values: the same of the values.
    """

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    @property
    def length(self) -> int:
        """Return the number of positions held."""
        return 0 if self.keys is None else self.keys.shape[2]

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add positions at the end; return all."""
        if self.keys is not None and self.values is not None:
            keys = torch.cat((self.keys, keys), dim=2)
            values = torch.cat((self.values, values), dim=2)
        self.keys, self.values = keys, values
        return keys, values

    def select(self, rows: Int[Tensor, "B"]) -> None:
        """Keep these rows of the batch, in this order (beams that go on)."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys[rows], self.values[rows]


class MultiHeadAttention(nn.Module):
    """Multi-head attention of a sequence to itself or to a memory.

    Args:
        width: E, of queries, keys, values and outputs.
        heads: N.
        bias: whether the four linear functions have biases.
        dropout: probability of dropping a weight, while training.
        rotary: turns queries and keys by their positions, or None. With a memory it does nothing:
            what is read in it has no distance from where the reader is.
        fused: whether torch's kernel may do the work (see above); the values are the same.

    Raises:
        PracticumError: the width is not a multiple of the heads.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        bias: bool = True,
        dropout: float = 0.0,
        rotary: Rotary | None = None,
        fused: bool = True,
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise PracticumError(f"width {width} cannot be shared by {heads} heads alike")
        self.width, self.heads, self.dropout, self.fused = width, heads, dropout, fused
        self.rotary = rotary
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width)) if bias else None
        self.out_proj = nn.Linear(width, width, bias=bias)
        nn.init.xavier_uniform_(self.in_proj_weight)  # in the order of torch: the same first values
        if bias:
            nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        x: Float[Tensor, "B Q E"],
        memory: Float[Tensor, "B K E"] | None = None,
        *,
        mask: Bool[Tensor, "..."] | None = None,
        causal: bool = False,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B Q E"]:
        """Return the outputs (8).

        Args:
            x: where the queries come from.
            memory: where keys and values come from; None: x.
            mask: which keys each query sees, broadcastable to [B, N, Q, K]; None: all.
            causal: whether a query sees no key after it, too.
            cache: with memory None, what was read before, which x follows and is added to; with a
                memory, its keys and values once they are computed.
        """
        q, k, v = self._heads(x, memory, cache)
        whole = causal and mask is None and q.shape[2] == k.shape[2]
        if causal and not whole:
            below = causal_mask(q.shape[2], k.shape[2], x.device)
            mask = below if mask is None else mask & below
        dropout = self.dropout if self.training else 0.0
        if self.fused and dropout == 0 and not transformed():
            heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=whole)
        else:
            mask = causal_mask(q.shape[2], None, x.device) if whole else mask
            heads, _ = attend(q, k, v, mask, dropout=dropout)  # Eq. (7)
        return self._join(heads)

    def attend(
        self,
        x: Float[Tensor, "B Q E"],
        memory: Float[Tensor, "B K E"] | None = None,
        *,
        mask: Bool[Tensor, "..."] | None = None,
    ) -> tuple[Float[Tensor, "B Q E"], Float[Tensor, "B N Q K"]]:
        """Return the outputs and every head's weights, without dropout."""
        heads, weights = attend(*self._heads(x, memory, None), mask)
        return self._join(heads), weights

    def _heads(
        self, x: Tensor, memory: Tensor | None, cache: KVCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of all heads, [B, N, Q or K, d]."""
        start = 0 if cache is None else cache.length
        if memory is None:
            parts = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
            q, k, v = (self._split(one) for one in parts)
        else:
            w, b, e = self.in_proj_weight, self.in_proj_bias, self.width
            q = self._split(F.linear(x, w[:e], None if b is None else b[:e]))
            if cache is not None and cache.keys is not None and cache.values is not None:
                return q, cache.keys, cache.values
            both = F.linear(memory, w[e:], None if b is None else b[e:]).chunk(2, dim=-1)
            k, v = (self._split(one) for one in both)
        if self.rotary is not None and memory is None:
            q, k = self.rotary(q, start), self.rotary(k, start)
        if cache is not None:
            k, v = cache.extend(k, v)
        return q, k, v

    def _split(self, x_BTE: Tensor) -> Tensor:
        return x_BTE.reshape(*x_BTE.shape[:2], self.heads, -1).transpose(1, 2)

    def _join(self, heads_BNQd: Tensor) -> Tensor:
        y: Tensor = self.out_proj(heads_BNQd.transpose(1, 2).flatten(2))  # Eq. (8)
        return y
