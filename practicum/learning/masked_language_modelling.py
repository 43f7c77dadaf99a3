"""Masked language modelling: guess hidden words from the words on both sides.

Paper: Devlin, Chang, Lee, Toutanova, "BERT: pre-training of deep bidirectional transformers for
language understanding", arXiv:1810.04805v2, section 3.1 (task 1) and appendix A.1. The numbering
is ours.

Algorithm, for every token of a batch on its own:
    1. With probability 0.15 it is chosen; special tokens never are.
    2. Of the chosen, 8 of 10 are shown as [MASK], 1 of 10 as a random word, 1 of 10 as they are.
    3. J = - mean over the chosen of log p(token | what is shown)            (1), in nats

Logits are needed only where a token was chosen, so the network is asked for P places (`asked`), the
chosen ones first, in the order of the batch. The rest are not chosen and weigh nothing. If more
than P are chosen, (1) is the mean over the first P of them.

A token that is shown as it is has to be guessed too: the network cannot know which words are what
they seem, so it must form a view of every one.

Shapes: B texts, T tokens, V words, P places.

Deviations:
    1. Every token is chosen on its own; the authors' code chooses 15 % of the words of each text.
    2. Words are hidden anew at every step; the authors' code hides them once, ten ways.

Known failure signs: J that stays at the entropy of single words for thousands of steps (usual for
small networks at first: the words on either side are of no use before the positions are).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.engine.updates import Batch
from practicum.errors import PracticumError


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How words are hidden.

    Attributes:
        mask: number of the token [MASK].
        words: V; random words are drawn from `special` to V - 1.
        special: tokens 0 to `special` - 1 are special: never chosen, never drawn.
        share: of the tokens that are chosen.
        masked: of the chosen, the share shown as [MASK].
        random: of the chosen, the share shown as a random word.

    Raises:
        PracticumError: shares that are no shares, or no word that is not special.
    """

    mask: int
    words: int
    special: int
    share: float = 0.15
    masked: float = 0.8
    random: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or min(self.masked, self.random) < 0:
            raise PracticumError(f"{self} has a share outside 0 to 1")
        if self.masked + self.random > 1:
            raise PracticumError(f"masked {self.masked} and random {self.random} are more than all")
        if not 0 <= self.mask < self.special < self.words:
            raise PracticumError(
                f"[MASK] is token {self.mask} of {self.special} special ones and {self.words} in "
                "all; [MASK] is special, and some words are not"
            )

    def asked(self, tokens: int) -> int:
        """Return P, the places at which a batch of so many tokens is asked for words.

        At most one batch in e^18, 65 million, chooses more (Bernstein's inequality).
        """
        spread = math.sqrt(tokens * self.share * (1 - self.share))
        return min(tokens, math.ceil(tokens * self.share + 6 * spread + 12))

    def hide(
        self, tokens: Int[Tensor, "B T"], noise: Noise
    ) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Return what is shown, and where the chosen tokens are."""
        u, fate = noise.uniform(*tokens.shape), noise.uniform(*tokens.shape)
        word = self.special + noise.integers(self.words - self.special, *tokens.shape)
        chosen = (u < self.share) & (tokens >= self.special)  # step 1
        shown = torch.where(chosen & (fate < self.masked), self.mask, tokens)  # step 2
        drawn = chosen & (fate >= self.masked) & (fate < self.masked + self.random)
        return torch.where(drawn, word, shown), chosen


def masked_loss(
    network: Callable[..., Tensor],
    batch: Batch,
    noise: Noise,
    *,
    masking: Masking,
    padding: int | None = None,
) -> tuple[Float[Tensor, ""], Mapping[str, Tensor]]:
    """Return (1) of a batch (tokens [B, T],), and the share of right guesses as "right".

    A guess is right if no word has a higher logit than the token.

    Args:
        network: tokens, `mask=` (where there is a token) and `places=` (b T + t of the tokens that
            are asked for, [P]) to logits [P, V]; `BERT` is one.
        batch: tokens [B, T], and whatever else; only the first is read.
        noise: chooses.
        masking: how words are hidden.
        padding: number of the padding token; None: there is none.
    """
    tokens = batch[0]
    shown, chosen = masking.hide(tokens, noise)
    there = None if padding is None else tokens != padding
    places = (~chosen).flatten().int().argsort(stable=True)[: masking.asked(tokens.numel())]
    logits, target = network(shown, mask=there, places=places), tokens.flatten()[places]
    each = F.cross_entropy(logits, target, reduction="none")
    weight = chosen.flatten()[places].to(each.dtype)
    count = weight.sum().clamp(min=1)  # a batch in which nothing is hidden teaches nothing
    best = logits.detach().amax(-1)  # many times faster than argmax
    hit = logits.detach().gather(1, target[:, None]).squeeze(1) == best
    return (each * weight).sum() / count, {"right": (hit * weight).sum() / count}  # Eq. (1)
