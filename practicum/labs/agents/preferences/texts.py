"""What is written about, what is good, and who says which of two answers is better.

Texts have 27 characters: small letters, and a blank for whatever lies between words.

    r*(y)     = - |vowels of y - T/2|                                                  (1)
    p(y > y') = (1 - flips) sigma(s (r*(y) - r*(y'))) + flips sigma(s (r*(y') - r*(y)))  (2)

(2) is the choice of Bradley and Terry with the strength s, of which a share is turned round.

Shapes: B texts, P characters of a prompt, T of an answer, S = P + T.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from practicum.data.loading import load_text
from practicum.errors import PracticumError
from practicum.learning.autoregressive import encode, windows

LETTERS = " abcdefghijklmnopqrstuvwxyz"
VOWELS = "aeiou"
PROMPTS = 4000  # at most so many of the training text


@dataclass(frozen=True, kw_only=True)
class Texts:
    """A text in small letters, cut into prompts.

    Attributes:
        train: its training part.
        prompts: [n, P] beginnings in the training part.
        held: [m, P] beginnings in the test part.
        usual: mean r* of the training text itself.
        people: [n, S] pieces of the training text.
    """

    train: Int[Tensor, "n"]
    prompts: Int[Tensor, "n P"]
    held: Int[Tensor, "m P"]
    people: Int[Tensor, "n S"]
    usual: float


def plain(text: str) -> str:
    """Return a text in small letters, with one blank for all that is between words."""
    return re.sub("[^a-z]+", " ", text.lower())


def texts(name: str, prompt: int, length: int, fresh: int) -> Texts:
    """Read a text.

    Args:
        name: of the data set.
        prompt: P.
        length: T.
        fresh: m.

    Raises:
        PracticumError: the text has too few places for so many prompts.
    """
    data = load_text(name)
    train = encode(plain(data.train), LETTERS)
    pieces = windows(train, prompt + length - 1, step=prompt + length)[:PROMPTS]
    held = windows(encode(plain(data.test), LETTERS), prompt - 1, step=prompt + length)
    if len(held) < fresh:
        raise PracticumError(
            f"{name} has {len(held)} held-out prompts; lower `fresh`, which is {fresh}"
        )
    usual = float(taste(pieces, prompt).mean())
    return Texts(
        train=train, prompts=pieces[:, :prompt], held=held[:fresh], people=pieces, usual=usual
    )


def vowels(text: Int[Tensor, "*B S"], prompt: int) -> Int[Tensor, "*B"]:
    """Return how many vowels each answer has."""
    wanted = torch.tensor([LETTERS.index(one) for one in VOWELS], device=text.device)
    return torch.isin(text[..., prompt:], wanted).sum(-1)


def taste(text: Int[Tensor, "*B S"], prompt: int) -> Float[Tensor, "*B"]:
    """Return r* of each text, Eq. (1)."""
    length = text.shape[-1] - prompt
    return -(vowels(text, prompt) - length // 2).abs().double()


def prefers_first(
    first: Float[Tensor, "B"],
    second: Float[Tensor, "B"],
    u: Float[Tensor, "B"],
    *,
    strength: float,
    flips: float,
) -> Bool[Tensor, "B"]:
    """Return whether the first answer is called better, Eq. (2).

    Args:
        first: r* of the first answers.
        second: r* of the second answers.
        u: uniform numbers in [0, 1).
        strength: s.
        flips: share of choices that are turned round.
    """
    chance = torch.sigmoid(strength * (first - second).to(u))
    return u < (1 - flips) * chance + flips * (1 - chance)
