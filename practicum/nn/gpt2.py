"""GPT-2: a stack of causal attention and perceptrons that says which token comes next.

Paper: Radford, Wu, Child, Luan, Amodei, Sutskever, "Language models are unsupervised multitask
learners", OpenAI report, 2019. GELU: Hendrycks, Gimpel, "Gaussian error linear units (GELUs)",
arXiv:1606.08415.

Equations (numbered here; the report has none), for a token w_t at the position t:
    x_t = W_e[w_t] + W_p[t]                                  (1) learned embeddings
    x   = x + Attention(LayerNorm(x))                        (2) causal, several heads; each layer
    x   = x + GELU(LayerNorm(x) W_1 + b_1) W_2 + b_2         (3) each layer
    GELU(a) = a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3)))  (4)
    logits  = LayerNorm(x) W_e^T                             (5)

Shapes: B batch, T time steps, E width, N heads, V words.

Deviations:
    1. The parameters have the published names and shapes: matrices are [inputs, outputs], and
       c_attn makes queries, keys and values at once.

Weights start normal with standard deviation 0.02; the last matrix of (2) and (3), which are added
up, with 0.02/sqrt(2 layers).

Cost: 12 E^2 layers + V E multiplications a token, and 2 T E layers for attention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn import published
from practicum.nn.attention import KVCache, attend, causal_mask
from practicum.nn.positions import check_length
from practicum.nn.recurrent import transformed

# What every published GPT-2 has; a file that says otherwise is another network.
_FIXED: Mapping[str, Any] = {
    "activation_function": "gelu_new",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class GPT2Config:
    """Sizes of a GPT-2; the defaults are those of the smallest published one.

    Attributes:
        vocabulary: V.
        positions: the longest sequence.
        width: E.
        layers: layers.
        heads: N.
        hidden: width inside the perceptrons; None: 4 E.
        dropout: probability of dropping, after (1), of attention's weights, and in (2) and (3).
        epsilon: added to the variance in LayerNorm.
        fused: whether torch's attention kernel may do the work.
    """

    vocabulary: int = 50257
    positions: int = 1024
    width: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int | None = None
    dropout: float = 0.1
    epsilon: float = 1e-5
    fused: bool = True


class Affine(nn.Module):
    """x W + b, with the matrix as it is published: [inputs, outputs]."""

    def __init__(self, inputs: int, outputs: int, spread: float = 0.02) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * spread)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "B T I"]) -> Float[Tensor, "B T O"]:
        """Return x W + b."""
        y = torch.addmm(self.bias, x.flatten(0, 1), self.weight)  # one call, faster than two
        return y.view(*x.shape[:2], -1)


class _Attention(nn.Module):
    def __init__(self, config: GPT2Config, spread: float) -> None:
        super().__init__()
        self.heads, self.dropout, self.fused = config.heads, config.dropout, config.fused
        self.c_attn = Affine(config.width, 3 * config.width)
        self.c_proj = Affine(config.width, config.width, spread)

    def forward(self, x_BTE: Tensor, cache: KVCache | None) -> Tensor:
        """Return causal attention of several heads."""
        b, t, _ = x_BTE.shape
        parts = self.c_attn(x_BTE).chunk(3, dim=-1)
        q, k, v = (one.reshape(b, t, self.heads, -1).transpose(1, 2) for one in parts)
        if cache is not None:
            k, v = cache.extend(k, v)
        size, dropout = k.shape[2], self.dropout if self.training else 0.0
        if self.fused and dropout == 0 and not transformed():
            mask = None if t == size else causal_mask(t, size, x_BTE.device)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        else:
            y, _ = attend(q, k, v, causal_mask(t, size, x_BTE.device), dropout=dropout)
        out: Tensor = self.c_proj(y.transpose(1, 2).flatten(2))
        return F.dropout(out, dropout)


class _Perceptron(nn.Module):
    def __init__(self, config: GPT2Config, spread: float) -> None:
        super().__init__()
        hidden = 4 * config.width if config.hidden is None else config.hidden
        self.c_fc = Affine(config.width, hidden)
        self.c_proj = Affine(hidden, config.width, spread)
        self.dropout = config.dropout

    def forward(self, x: Tensor) -> Tensor:
        """Return GELU(x W_1 + b_1) W_2 + b_2."""
        y: Tensor = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))  # Eq. (4)
        return F.dropout(y, self.dropout, self.training)


class _Block(nn.Module):
    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        spread = 0.02 / (2 * config.layers) ** 0.5
        self.ln_1 = nn.LayerNorm(config.width, config.epsilon)
        self.attn = _Attention(config, spread)
        self.ln_2 = nn.LayerNorm(config.width, config.epsilon)
        self.mlp = _Perceptron(config, spread)

    def forward(self, x: Tensor, cache: KVCache | None) -> Tensor:
        """Return one layer's outputs."""
        x = x + self.attn(self.ln_1(x), cache)  # Eq. (2)
        y: Tensor = x + self.mlp(self.ln_2(x))  # Eq. (3)
        return y


class GPT2(nn.Module):
    """GPT-2 with its output.

    Args:
        config: its sizes.

    Raises:
        PracticumError: sizes that do not fit one another.
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        if config.heads < 1 or config.width % config.heads:
            raise PracticumError(
                f"width {config.width} cannot be shared by {config.heads} heads alike"
            )
        if config.layers < 1:
            raise PracticumError(f"layers is {config.layers}; GPT-2 needs at least 1")
        if not 0 <= config.dropout < 1:
            raise PracticumError(f"dropout probability {config.dropout} is not in [0, 1)")
        self.config = config
        self.wte = nn.Embedding(config.vocabulary, config.width)
        self.wpe = nn.Embedding(config.positions, config.width)
        for one in (self.wte, self.wpe):
            nn.init.normal_(one.weight, std=0.02)
        self.h = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.width, config.epsilon)

    def forward(
        self, tokens: Int[Tensor, "B T"], caches: list[KVCache] | None = None
    ) -> Float[Tensor, "B T V"]:
        """Return the logits of what follows each token.

        Args:
            tokens: with caches, those that follow what was read before.
            caches: from `caches()`, or None.

        Raises:
            PracticumError: more tokens than positions.
        """
        return F.linear(self.hidden(tokens, caches), self.wte.weight)  # Eq. (5)

    def hidden(
        self, tokens: Int[Tensor, "B T"], caches: list[KVCache] | None = None
    ) -> Float[Tensor, "B T E"]:
        """Return what the output, or another head, reads at each token; arguments as above."""
        start = 0 if caches is None else caches[0].length
        end = start + tokens.shape[1]
        check_length(end, self.config.positions)
        x = self.wte(tokens) + self.wpe.weight[start:end]  # Eq. (1)
        x = F.dropout(x, self.config.dropout, self.training)
        for i, block in enumerate(self.h):
            x = block(x, None if caches is None else caches[i])
        normal: Tensor = self.ln_f(x)
        return normal

    def caches(self) -> list[KVCache]:
        """Return an empty cache for each layer."""
        return [KVCache() for _ in self.h]

    @torch.no_grad()
    def generate(
        self,
        tokens: Int[Tensor, "B T"],
        steps: int,
        *,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
        cached: bool = True,
    ) -> Int[Tensor, "B more"]:
        """Return the tokens and those that follow.

        Args:
            tokens: what to go on from.
            steps: how many to add.
            temperature: the logits are divided by it before one is drawn; 0: the likeliest.
            generator: where draws come from; needed with a temperature.
            cached: whether what was read is kept (faster; the same tokens).

        Raises:
            PracticumError: more tokens than positions, or a temperature that cannot be.
        """
        if not 0 <= temperature < float("inf") or (temperature > 0 and generator is None):
            raise PracticumError(
                f"temperature {temperature}: give 0 for the likeliest tokens, or a positive number "
                "and the generator to draw from"
            )
        caches = self.caches() if cached else None
        read = tokens
        for _ in range(steps):
            logits = self(read, caches)[:, -1]
            if temperature == 0:
                new = logits.argmax(-1, keepdim=True)
            else:
                chances = (logits / temperature).softmax(-1)
                new = torch.multinomial(chances, 1, generator=generator)
            tokens = torch.cat((tokens, new), dim=1)
            read = new if cached else tokens
        return tokens

    @classmethod
    def load(cls, folder: str | Path) -> GPT2:
        """Return the network of a published checkpoint, in evaluation mode.

        Its one dropout is the file's of the sums (2) and (3).

        Raises:
            PracticumError: the folder has none, or it is of another network.
        """
        folder = Path(folder)
        found = published.read_config(folder, "gpt2", _FIXED)
        number = partial(published.number, folder, found)
        config = GPT2Config(
            vocabulary=number("vocab_size"),
            positions=number("n_positions"),
            width=number("n_embd"),
            layers=number("n_layer"),
            heads=number("n_head"),
            hidden=None if found.get("n_inner") is None else number("n_inner"),
            dropout=number("resid_pdrop", 0.1),
            epsilon=number("layer_norm_epsilon", 1e-5),
        )
        network = cls(config)
        published.read_weights(network, folder, _ours, {"lm_head.weight": "wte.weight"})
        return network.eval()

    def save(self, folder: str | Path) -> None:
        """Write a checkpoint as published ones are, which `transformers` loads."""
        c = self.config
        sizes = {
            "model_type": "gpt2",
            "architectures": ["GPT2LMHeadModel"],
            "vocab_size": c.vocabulary,
            "n_positions": c.positions,
            "n_embd": c.width,
            "n_layer": c.layers,
            "n_head": c.heads,
            "n_inner": c.hidden,
            "embd_pdrop": c.dropout,
            "attn_pdrop": c.dropout,
            "resid_pdrop": c.dropout,
            "layer_norm_epsilon": c.epsilon,
            "bos_token_id": None,
            "eos_token_id": None,
        }
        published.write(
            self, Path(folder), sizes | dict(_FIXED), lambda name: f"transformer.{name}"
        )


def _ours(name: str) -> str | None:
    """Return our name of a published tensor; None for the masks that old files hold."""
    if name.endswith((".attn.bias", ".attn.masked_bias")):
        return None
    return name.removeprefix("transformer.")
