"""BERT: a stack of attention in both directions that says which tokens were hidden.

Paper: Devlin, Chang, Lee, Toutanova, "BERT: pre-training of deep bidirectional transformers for
language understanding", NAACL 2019, arXiv:1810.04805. GELU: Hendrycks, Gimpel, "Gaussian error
linear units (GELUs)", arXiv:1606.08415.

Equations (numbered here; the paper has none), for a token w_t at t in the segment s_t:
    x_t = LayerNorm(W_e[w_t] + W_p[t] + W_s[s_t])            (1) learned embeddings
    x   = LayerNorm(x + Attention(x))                        (2) several heads; each layer
    x   = LayerNorm(x + GELU(x W_1 + b_1) W_2 + b_2)         (3) each layer
    logits = LayerNorm(GELU(x W + b)) W_e^T + c              (4) which token was hidden
    next   = tanh(x_0 W' + b') W'' + b''                     (5) does segment 1 follow segment 0?

GELU(a) is a times the normal distribution function of a.

Shapes: B batch, T time steps, E width, V words.

Deviations:
    1. The parameters have the published shapes, but short names; `theirs` has the published ones.

Weights start normal with standard deviation 0.02.

Cost: 12 E^2 layers multiplications a token, and 2 T E layers for attention; (4) E^2 + V E more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn import published
from practicum.nn.attention import attend
from practicum.nn.positions import check_length
from practicum.nn.recurrent import transformed

# What every published BERT has; a file that says otherwise is another network.
_FIXED: Mapping[str, Any] = {
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
# Our names and the published ones, of what is there once and of what every layer has.
_ONCE: Mapping[str, str] = {
    "words": "bert.embeddings.word_embeddings",
    "positions": "bert.embeddings.position_embeddings",
    "segments": "bert.embeddings.token_type_embeddings",
    "norm": "bert.embeddings.LayerNorm",
    "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm",
    "pooler": "bert.pooler.dense",
    "follows": "cls.seq_relationship",
}
_EACH: Mapping[str, str] = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "joined": "attention.output.dense",
    "norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "last": "output.LayerNorm",
}


def theirs(name: str) -> str:
    """Return the published name of one of our parameters."""
    match name.split("."):
        case ["layers", number, part, kind]:
            return f"bert.encoder.layer.{number}.{_EACH[part]}.{kind}"
        case [part, kind]:
            return f"{_ONCE[part]}.{kind}"
    return "cls.predictions.bias"  # the only one without a part


@dataclass(frozen=True, kw_only=True, slots=True)
class BERTConfig:
    """Sizes of a BERT; the defaults are those of the published base.

    Attributes:
        vocabulary: V.
        positions: the longest sequence.
        segments: kinds of segments.
        width: E.
        layers: layers.
        heads: attention heads.
        hidden: width inside the perceptrons.
        dropout: probability of dropping, after (1), of attention's weights, and in (2) and (3).
        epsilon: added to the variance in LayerNorm.
        next_sentence: whether it has the output (5).
        fused: whether torch's attention kernel may do the work.
    """

    vocabulary: int = 30522
    positions: int = 512
    segments: int = 2
    width: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int = 3072
    dropout: float = 0.1
    epsilon: float = 1e-12
    next_sentence: bool = True
    fused: bool = True


def _dense(inputs: int, outputs: int) -> nn.Linear:
    made = nn.Linear(inputs, outputs)
    nn.init.normal_(made.weight, std=0.02)
    nn.init.zeros_(made.bias)
    return made


class _Layer(nn.Module):
    def __init__(self, config: BERTConfig) -> None:
        super().__init__()
        e = config.width
        self.heads, self.dropout, self.fused = config.heads, config.dropout, config.fused
        self.query, self.key, self.value = _dense(e, e), _dense(e, e), _dense(e, e)
        self.joined, self.norm = _dense(e, e), nn.LayerNorm(e, config.epsilon)
        self.inner, self.outer = _dense(e, config.hidden), _dense(config.hidden, e)
        self.last = nn.LayerNorm(e, config.epsilon)

    def forward(self, x_BTE: Tensor, mask: Tensor | None) -> Tensor:
        """Return one layer's outputs."""
        p = self.dropout if self.training else 0.0
        x = self.norm(x_BTE + F.dropout(self._attention(x_BTE, mask, p), p))  # Eq. (2)
        y: Tensor = self.outer(F.gelu(self.inner(x)))
        out: Tensor = self.last(x + F.dropout(y, p))  # Eq. (3)
        return out

    def _attention(self, x_BTE: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
        b, t, _ = x_BTE.shape
        q, k, v = (
            made(x_BTE).reshape(b, t, self.heads, -1).transpose(1, 2)
            for made in (self.query, self.key, self.value)
        )
        if self.fused and dropout == 0 and not transformed():
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            y, _ = attend(q, k, v, mask, dropout=dropout)
        joined: Tensor = self.joined(y.transpose(1, 2).flatten(2))
        return joined


class BERT(nn.Module):
    """BERT with its outputs.

    Args:
        config: its sizes.

    Raises:
        PracticumError: sizes that do not fit one another.
    """

    def __init__(self, config: BERTConfig) -> None:
        super().__init__()
        if config.heads < 1 or config.width % config.heads:
            raise PracticumError(
                f"width {config.width} cannot be shared by {config.heads} heads alike"
            )
        if config.layers < 1:
            raise PracticumError(f"layers is {config.layers}; BERT needs at least 1")
        if not 0 <= config.dropout < 1:
            raise PracticumError(f"dropout probability {config.dropout} is not in [0, 1)")
        self.config, e = config, config.width
        self.words = nn.Embedding(config.vocabulary, e)
        self.positions = nn.Embedding(config.positions, e)
        self.segments = nn.Embedding(config.segments, e)
        for one in (self.words, self.positions, self.segments):
            nn.init.normal_(one.weight, std=0.02)
        self.norm = nn.LayerNorm(e, config.epsilon)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.transform, self.transform_norm = _dense(e, e), nn.LayerNorm(e, config.epsilon)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary))
        self.pooler = _dense(e, e) if config.next_sentence else None
        self.follows = _dense(e, 2) if config.next_sentence else None

    def encode(
        self,
        tokens: Int[Tensor, "B T"],
        segments: Int[Tensor, "B T"] | None = None,
        mask: Bool[Tensor, "B T"] | Bool[Tensor, "B T T"] | None = None,
    ) -> Float[Tensor, "B T E"]:
        """Return the last layer's outputs.

        Args:
            tokens: at most as many as there are positions.
            segments: of each token; None: all 0.
            mask: True where there is a token, False where there is padding; or [query, key], True
                where a token may look at another; None: all True.

        Raises:
            PracticumError: more tokens than positions.
        """
        t = tokens.shape[1]
        check_length(t, self.config.positions)
        kinds = self.segments.weight[0] if segments is None else self.segments(segments)
        x: Tensor = self.norm(self.words(tokens) + self.positions.weight[:t] + kinds)  # Eq. (1)
        x = F.dropout(x, self.config.dropout, self.training)
        seen = None if mask is None else mask[:, None, None] if mask.ndim == 2 else mask[:, None]
        for layer in self.layers:
            x = layer(x, seen)
        return x

    def hidden_words(self, x: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch V"]:
        """Return the logits (4) from the last layer's outputs (of some positions, if you like)."""
        y = self.transform_norm(F.gelu(self.transform(x)))
        return F.linear(y, self.words.weight, self.bias)  # Eq. (4)

    def next_sentence(self, x: Float[Tensor, "B T E"]) -> Float[Tensor, "B 2"]:
        """Return the logits (5) from the last layer's outputs: it follows, or it does not.

        Raises:
            PracticumError: this network has no such output.
        """
        if self.pooler is None or self.follows is None:
            raise PracticumError("this BERT was built with next_sentence=False: it cannot tell")
        y: Tensor = self.follows(torch.tanh(self.pooler(x[:, 0])))  # Eq. (5)
        return y

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        segments: Int[Tensor, "B T"] | None = None,
        mask: Bool[Tensor, "B T"] | Bool[Tensor, "B T T"] | None = None,
        places: Int[Tensor, "P"] | None = None,
    ) -> Float[Tensor, "B T V"] | Float[Tensor, "P V"]:
        """Return the logits (4) of every position, or of some; the others are as in `encode`.

        Args:
            tokens: as in `encode`.
            segments: as in `encode`.
            mask: as in `encode`.
            places: positions whose logits are wanted, counted through the whole batch: b T + t;
                None: all.
        """
        x = self.encode(tokens, segments, mask)
        return self.hidden_words(x if places is None else x.flatten(0, 1)[places])

    @classmethod
    def load(cls, folder: str | Path) -> BERT:
        """Return the network of a published checkpoint, in evaluation mode.

        It has the output (5) if the file has; its one dropout is the file's of hidden layers.

        Raises:
            PracticumError: the folder has none, or it is of another network.
        """
        folder = Path(folder)
        found = published.read_config(folder, "bert", _FIXED)
        names = published.weight_names(folder)
        number = partial(published.number, folder, found)
        config = BERTConfig(
            vocabulary=number("vocab_size"),
            positions=number("max_position_embeddings"),
            segments=number("type_vocab_size"),
            width=number("hidden_size"),
            layers=number("num_hidden_layers"),
            heads=number("num_attention_heads"),
            hidden=number("intermediate_size"),
            dropout=number("hidden_dropout_prob", 0.1),
            epsilon=number("layer_norm_eps", 1e-12),
            next_sentence={"bert.pooler.dense.weight", "cls.seq_relationship.weight"} <= names,
        )
        network = cls(config)
        ours = {theirs(name): name for name in network.state_dict()}
        # Half of (5) is of no use.
        half = () if config.next_sentence else ("bert.pooler.", "cls.seq_relationship.")
        unneeded = ("bert.embeddings.position_ids", *half)

        def rename(name: str) -> str | None:
            # The first files name the two parts of a LayerNorm so.
            now = name.replace("LayerNorm.gamma", "LayerNorm.weight")
            now = now.replace("LayerNorm.beta", "LayerNorm.bias")
            return None if now.startswith(unneeded) else ours.get(now, now)

        tied = {
            "cls.predictions.decoder.weight": "words.weight",
            "cls.predictions.decoder.bias": "bias",
        }
        published.read_weights(network, folder, rename, tied)
        return network.eval()

    def save(self, folder: str | Path) -> None:
        """Write a checkpoint as published ones are, which `transformers` loads."""
        c = self.config
        sizes = {
            "model_type": "bert",
            "architectures": ["BertForPreTraining" if c.next_sentence else "BertForMaskedLM"],
            "vocab_size": c.vocabulary,
            "max_position_embeddings": c.positions,
            "type_vocab_size": c.segments,
            "hidden_size": c.width,
            "num_hidden_layers": c.layers,
            "num_attention_heads": c.heads,
            "intermediate_size": c.hidden,
            "hidden_dropout_prob": c.dropout,
            "attention_probs_dropout_prob": c.dropout,
            "layer_norm_eps": c.epsilon,
            "pad_token_id": None,
        }
        published.write(self, Path(folder), sizes | dict(_FIXED), theirs)
