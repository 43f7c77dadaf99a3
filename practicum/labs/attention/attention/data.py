"""A small language that is translated word by word, neighbours exchanged.

Every source word has one target word, drawn once. In the answer the words of places 1 and 2 change
places, those of 3 and 4, and so on; a last word without a neighbour stays. So it is known which
source word each target word comes from, and it is not the one at the same place.

Words are numbers from 3 on; 0, 1, 2 are PAD, BEGIN and END. Words are equally likely and
independent: nothing can be guessed, all has to be read.

The dictionary and the pairs are the same for every seed of a run; seeds draw their own training and
validation pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.nn.seq2seq import END, PAD

POOL = 1_000_003  # the seed of the pool, far from those of trials
FIRST = END + 1  # the first word that is not a sign


@dataclass(frozen=True)
class Pairs:
    """Sources and their answers.

    Attributes:
        source: [n, S], PAD beyond the end.
        lengths: [n] words of each source.
        target: [n, S + 1], END after each, then PAD.
    """

    source: Int[Tensor, "n S"]
    lengths: Int[Tensor, "n"]
    target: Int[Tensor, "n T"]


def dictionary(symbols: int) -> Int[Tensor, "symbols"]:
    """Return the target word of each source word."""
    return FIRST + torch.randperm(symbols, generator=streams(POOL).generator("noise"))


def origins(length: int) -> Int[Tensor, "length"]:
    """Return the place of the source word that each target word comes from."""
    at = torch.arange(length) ^ 1
    return torch.where(at < length, at, torch.arange(length))


def draw(n: int, shortest: int, longest: int, symbols: int, g: torch.Generator) -> Pairs:
    """Draw n pairs; every length from the shortest to the longest is equally likely."""
    lengths = torch.randint(shortest, longest + 1, (n,), generator=g)
    words = torch.randint(symbols, (n, longest), generator=g)
    at = torch.arange(longest)
    inside = at < lengths.unsqueeze(1)
    # The neighbour of the last word of an odd length lies beyond the end; it stays where it is.
    neighbour = (at ^ 1).expand(n, -1)
    place = torch.where(neighbour < lengths.unsqueeze(1), neighbour, at)
    target = torch.full((n, longest + 1), PAD)
    translated = dictionary(symbols)[words.gather(1, place.clamp(max=longest - 1))]
    target[:, :-1] = torch.where(inside, translated, PAD)
    target.scatter_(1, lengths.unsqueeze(1), END)
    return Pairs(torch.where(inside, FIRST + words, PAD), lengths, target)
