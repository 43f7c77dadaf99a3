"""The encoder of the lab `bert` with its two outputs: hidden words, and the class of a sentence."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from practicum.labs.attention.bert.words import PADDING
from practicum.nn.attention import causal_mask
from practicum.nn.bert import BERT, BERTConfig

_PUBLISHED = 768  # the width for which weights begin with standard deviation 0.02


def drawn(config: BERTConfig) -> BERT:
    """Return a BERT whose first weights are as large, for its width, as the published ones.

    Sums over E of products with weights have a variance of E times theirs. At a small E and 0.02,
    attention would begin a hundred times fainter than the word itself.
    """
    network = BERT(config)
    with torch.no_grad():
        for one in network.parameters():
            if one.ndim > 1:
                one.mul_((_PUBLISHED / config.width) ** 0.5)
    return network


class Guesser(nn.Module):
    """BERT, to be pretrained.

    Args:
        config: its sizes.
        causal: whether a word sees only itself and those before it.
    """

    def __init__(self, config: BERTConfig, *, causal: bool) -> None:
        super().__init__()
        self.causal, self.bert = causal, drawn(config)

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"] | None = None,
        places: Int[Tensor, "P"] | None = None,
    ) -> Float[Tensor, "B T V"] | Float[Tensor, "P V"]:
        """Return the logits of every position, or of some; the mask says where there is a word."""
        there = tokens != PADDING if mask is None else mask
        seen = sees(there, causal=self.causal)
        logits: Tensor = self.bert(tokens, mask=seen, places=places)
        return logits


class Classifier(nn.Module):
    """The same encoder, and softmax regression on the mean of its outputs.

    It has no output for hidden words.

    Args:
        config: its sizes.
        classes: number of classes.
        causal: whether a word sees only itself and those before it.
    """

    def __init__(self, config: BERTConfig, classes: int, *, causal: bool) -> None:
        super().__init__()
        self.causal, self.bert = causal, drawn(config)  # drawn whole: its encoder is a Guesser's
        del self.bert.transform, self.bert.transform_norm, self.bert.bias
        self.head = nn.Linear(config.width, classes)

    def forward(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B classes"]:
        """Return the logits of the classes."""
        there = tokens != PADDING
        x = self.bert.encode(tokens, mask=sees(there, causal=self.causal))
        weight = there.to(x.dtype).unsqueeze(-1)
        logits: Tensor = self.head((x * weight).sum(1) / weight.sum(1))
        return logits


def sees(there: Bool[Tensor, "B T"], *, causal: bool) -> Bool[Tensor, "B *T T"]:
    """Return what each word may look at: words, and causally none after it."""
    if not causal:
        return there
    t = there.shape[1]
    return there[:, None] & causal_mask(t, t, there.device)


@torch.no_grad()
def attention(bert: BERT, tokens: Int[Tensor, "T"], *, causal: bool) -> Float[Tensor, "L N T T"]:
    """Return the weights of every layer and head for one sentence without padding."""
    seen: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out[0]}))
        for name, module in bert.named_modules()
        if name.endswith((".query", ".key"))
    ]
    there = torch.ones(1, len(tokens), dtype=torch.bool, device=tokens.device)
    visible = sees(there, causal=causal)
    bert.encode(tokens[None], mask=visible)
    for handle in handles:
        handle.remove()
    found = []
    for layer in range(bert.config.layers):
        q, k = (
            seen[f"layers.{layer}.{part}"].view(len(tokens), bert.config.heads, -1).transpose(0, 1)
            for part in ("query", "key")
        )
        scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
        found.append(scores.masked_fill(~visible[0], -torch.inf).softmax(-1))
    return torch.stack(found)
