"""The Transformer: attention and a small perceptron in turn, each added to what came in.

Papers: Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin, "Attention is all you
need", NeurIPS 2017, arXiv:1706.03762. Pre-norm: Xiong, Yang, He, Zheng, Zheng, Xing, Zhang, Lan,
Wang, Liu, "On layer normalization in the transformer architecture", ICML 2020, arXiv:2002.04745.

Equations (numbered here; the paper's (2) is our (1), attention is in attention.py):
    FFN(x) = f(x W_1 + b_1) W_2 + b_2,  f = max(0, .) or GELU       (1)
    y = LayerNorm(x + Sublayer(x))                                  (2) post-norm, the paper's
    y = x + Sublayer(LayerNorm(x))                                  (3) pre-norm
    encoder layer: self-attention, FFN                              (4)
    decoder layer: causal self-attention, attention to the encoder's output, FFN            (5)
    first input: sqrt(E) embedding(token) + position                (6)

Shapes: B batch, S source tokens, T target tokens, E width, V words of the target's vocabulary.

Deviations:
    1. The layers' parameters are those of torch.nn.TransformerEncoderLayer and -DecoderLayer by
       name and shape.
    2. With pre-norm the encoder and the decoder end with a LayerNorm; without it nothing would
       normalise their last sum.
    3. The paper shares one matrix between both embeddings and the output; `tied` shares the
       target's embedding with the output.
    4. Dropout acts on the attention's weights and inside the perceptron, too, as in torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError, unknown
from practicum.nn.attention import KVCache, MultiHeadAttention, padding_mask
from practicum.nn.positions import Positions

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "gelu": F.gelu}


class EncoderLayer(nn.Module):
    """Self-attention and a perceptron, Eq. (4).

    Args:
        width: E.
        heads: attention heads.
        hidden: width inside the perceptron.
        dropout: probability of dropping, at each place.
        activation: "relu" or "gelu".
        pre_norm: Eq. (3) in place of (2).
        fused: whether torch's attention kernel may do the work.

    Raises:
        PracticumError: no such activation, or a width that the heads cannot share.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        dropout: float = 0.1,
        activation: str = "relu",
        pre_norm: bool = False,
        fused: bool = True,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        self.activation, self.pre_norm, self.dropout = activation, pre_norm, dropout
        self.self_attn = MultiHeadAttention(width, heads, dropout=dropout, fused=fused)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(
        self, x: Float[Tensor, "B S E"], mask: Bool[Tensor, "..."] | None = None
    ) -> Float[Tensor, "B S E"]:
        """Return the outputs; the mask says which inputs each one sees."""
        p = self.dropout if self.training else 0.0
        y = self.self_attn(before(x, self.norm1, self.pre_norm), mask=mask)
        x = after(x, y, self.norm1, self.pre_norm, p)
        y = perceptron(before(x, self.norm2, self.pre_norm), self, p)
        return after(x, y, self.norm2, self.pre_norm, p)


def before(x: Tensor, norm: nn.Module, pre_norm: bool) -> Tensor:
    """Return what a sublayer gets."""
    return norm(x) if pre_norm else x


def after(x: Tensor, y: Tensor, norm: nn.Module, pre_norm: bool, dropout: float) -> Tensor:
    """Return what came in plus what a sublayer made of it, Eq. (3), or its norm, Eq. (2)."""
    x = x + F.dropout(y, dropout)
    return x if pre_norm else norm(x)


def perceptron(x: Tensor, layer: EncoderLayer | DecoderLayer, dropout: float) -> Tensor:
    """Return Eq. (1) with a layer's weights."""
    hidden = ACTIVATIONS[layer.activation](layer.linear1(x))
    y: Tensor = layer.linear2(F.dropout(hidden, dropout))
    return y


class DecoderCache:
    """What a decoder layer has read: its own keys and values, and those of the memory."""

    def __init__(self) -> None:
        self.own, self.memory = KVCache(), KVCache()

    def select(self, rows: Int[Tensor, "B"]) -> None:
        """Keep these rows of the batch, in this order (beams that go on)."""
        for one in (self.own, self.memory):
            one.select(rows)


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to a memory, and a perceptron, Eq. (5).

    The arguments are those of `EncoderLayer`, and so are the errors.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        dropout: float = 0.1,
        activation: str = "relu",
        pre_norm: bool = False,
        fused: bool = True,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        self.activation, self.pre_norm, self.dropout = activation, pre_norm, dropout
        self.self_attn = MultiHeadAttention(width, heads, dropout=dropout, fused=fused)
        self.multihead_attn = MultiHeadAttention(width, heads, dropout=dropout, fused=fused)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(
        self,
        x: Float[Tensor, "B T E"],
        memory: Float[Tensor, "B S E"],
        memory_mask: Bool[Tensor, "..."] | None = None,
        cache: DecoderCache | None = None,
    ) -> Float[Tensor, "B T E"]:
        """Return the outputs; each sees the inputs up to its own, and what the mask shows."""
        own, other = (None, None) if cache is None else (cache.own, cache.memory)
        p = self.dropout if self.training else 0.0
        y = self.self_attn(before(x, self.norm1, self.pre_norm), causal=True, cache=own)
        x = after(x, y, self.norm1, self.pre_norm, p)
        y = before(x, self.norm2, self.pre_norm)
        y = self.multihead_attn(y, memory, mask=memory_mask, cache=other)
        x = after(x, y, self.norm2, self.pre_norm, p)
        y = perceptron(before(x, self.norm3, self.pre_norm), self, p)
        return after(x, y, self.norm3, self.pre_norm, p)


class Transformer(nn.Module):
    """Encoder and decoder: from a sequence of tokens to the logits of another's next tokens.

    Args:
        source: words of the source.
        target: V, words of the target.
        width: E.
        heads: attention heads.
        hidden: width inside the perceptrons.
        layers: layers of the encoder, and as many of the decoder.
        length: the longest sequence.
        dropout, activation, pre_norm, fused: as in `EncoderLayer`.
        tied: whether the output's matrix is the target's embedding.
        learned: whether positions are learned, not sinusoids.

    Raises:
        PracticumError: no such activation, or sizes that do not fit one another.
    """

    def __init__(
        self,
        source: int,
        target: int,
        *,
        width: int = 512,
        heads: int = 8,
        hidden: int = 2048,
        layers: int = 6,
        length: int = 256,
        dropout: float = 0.1,
        activation: str = "relu",
        pre_norm: bool = False,
        tied: bool = True,
        learned: bool = False,
        fused: bool = True,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise PracticumError(f"layers is {layers}; a Transformer needs at least 1")
        self.width, self.dropout = width, dropout
        self.source = nn.Embedding(source, width)
        self.target = nn.Embedding(target, width)
        for one in (self.source, self.target):
            nn.init.normal_(one.weight, std=width**-0.5)  # so that (6) starts with variance 1
        self.positions = Positions(length, width, learned=learned)

        def layer(kind: Callable[..., nn.Module]) -> nn.Module:
            return kind(
                width,
                heads,
                hidden,
                dropout=dropout,
                activation=activation,
                pre_norm=pre_norm,
                fused=fused,
            )

        self.encoder = nn.ModuleList(layer(EncoderLayer) for _ in range(layers))
        self.decoder = nn.ModuleList(layer(DecoderLayer) for _ in range(layers))
        self.encoder_norm = nn.LayerNorm(width) if pre_norm else nn.Identity()
        self.decoder_norm = nn.LayerNorm(width) if pre_norm else nn.Identity()
        self.output = nn.Linear(width, target, bias=False)
        if tied:
            self.output.weight = self.target.weight

    def encode(
        self, source: Int[Tensor, "B S"], lengths: Int[Tensor, "B"] | None = None
    ) -> Float[Tensor, "B S E"]:
        """Return the encoder's output; tokens beyond a sequence's length are not seen."""
        mask = None if lengths is None else padding_mask(lengths, source.shape[1])
        x = self._embed(self.source, source, 0)
        for layer in self.encoder:
            x = layer(x, mask)  # Eq. (4)
        y: Tensor = self.encoder_norm(x)
        return y

    def decode(
        self,
        target: Int[Tensor, "B T"],
        memory: Float[Tensor, "B S E"],
        lengths: Int[Tensor, "B"] | None = None,
        caches: list[DecoderCache] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Return the logits of what follows each target token.

        Args:
            target: tokens; with caches, those that follow what was read before.
            memory: the encoder's output.
            lengths: of the source sequences; None: all of the memory.
            caches: from `caches()`.
        """
        mask = None if lengths is None else padding_mask(lengths, memory.shape[1])
        start = 0 if caches is None else caches[0].own.length
        x = self._embed(self.target, target, start)
        for i, layer in enumerate(self.decoder):
            x = layer(x, memory, mask, None if caches is None else caches[i])  # Eq. (5)
        logits: Tensor = self.output(self.decoder_norm(x))
        return logits

    def forward(
        self,
        source: Int[Tensor, "B S"],
        target: Int[Tensor, "B T"],
        lengths: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Return the logits of what follows each target token, given the source."""
        return self.decode(target, self.encode(source, lengths), lengths)

    def caches(self) -> list[DecoderCache]:
        """Return an empty cache for each decoder layer."""
        return [DecoderCache() for _ in self.decoder]

    @torch.no_grad()
    def generate(
        self,
        source: Int[Tensor, "B S"],
        begin: int,
        steps: int,
        lengths: Int[Tensor, "B"] | None = None,
        cached: bool = True,
    ) -> Int[Tensor, "B steps"]:
        """Return the likeliest token after each one, starting after `begin` (greedily)."""
        memory, caches = self.encode(source, lengths), self.caches() if cached else None
        tokens = torch.full((len(source), 1), begin, dtype=torch.int64, device=source.device)
        for _ in range(steps):
            read = tokens[:, -1:] if cached else tokens
            logits = self.decode(read, memory, lengths, caches)
            tokens = torch.cat((tokens, logits[:, -1:].argmax(-1)), dim=1)
        return tokens[:, 1:]

    def _embed(self, table: nn.Module, tokens: Tensor, start: int) -> Tensor:
        x = self.positions(math.sqrt(self.width) * table(tokens), start)  # Eq. (6)
        return F.dropout(x, self.dropout, self.training)
