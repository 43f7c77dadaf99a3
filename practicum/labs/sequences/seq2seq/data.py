"""Two tasks that are sequences to sequences: copying words, and adding numbers that are text.

The words are numbers from 3 on; 0, 1, 2 are PAD, BEGIN and END. For sums, the digit d is the word
3 + d and the plus sign the word 13: 47 + 85 = 132 is the source "47+85" and the target "132 END".

The pool of examples is the same for every seed of a run; seeds draw their own training and
validation examples from its first part, and the last part is for testing. a + b and b + a never
both occur, so no test sum is a training sum turned round.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.errors import PracticumError
from practicum.nn.seq2seq import END, PAD

POOL = 1_000_003  # the seed of the pool, far from those of trials
FIRST = END + 1  # the first word that is not a sign
PLUS = FIRST + 10


@dataclass(frozen=True)
class Pairs:
    """Sources and their answers.

    Attributes:
        source: [n, S], all of one length.
        target: [n, T], END after each, then PAD.
        words: number of different words, signs among them.
    """

    source: Int[Tensor, "n S"]
    target: Int[Tensor, "n T"]
    words: int


def copying(n: int, length: int, symbols: int) -> Pairs:
    """Draw n sequences of equally likely words; the answer is the source itself."""
    g = streams(POOL).order()
    source = torch.randint(FIRST, FIRST + symbols, (n, length), generator=g)
    target = torch.cat((source, torch.full((n, 1), END)), 1)
    return Pairs(source, target, FIRST + symbols)


def addition(n: int, digits: int) -> Pairs:
    """Draw n different sums of two numbers with so many digits, the first of them not 0.

    Raises:
        PracticumError: there are not so many sums.
    """
    low, high = 10 ** (digits - 1), 10**digits
    there = (high - low) * (high - low + 1) // 2
    if n > there:
        raise PracticumError(
            f"there are {there} sums of two numbers with {digits} digits, not {n}; take fewer "
            "examples (train_size, validation_size, test_size) or more digits"
        )
    g = streams(POOL).order()
    a, b = _unordered(n, high - low, g)
    turned = torch.rand(n, generator=g) < 0.5
    a, b = low + torch.where(turned, b, a), low + torch.where(turned, a, b)
    plus = torch.full((n, 1), PLUS)
    source = torch.cat((_text(a, digits), plus, _text(b, digits)), 1)
    total = torch.cat((_text(a + b, digits + 1), torch.full((n, 1), END)), 1)
    short = torch.cat((total[:, 1:], torch.full((n, 1), PAD)), 1)  # without the leading 0
    target = torch.where((a + b < high).unsqueeze(1), short, total)
    return Pairs(source, target, PLUS + 1)


def _unordered(n: int, size: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw n different pairs i <= j < size."""
    seen: dict[tuple[int, int], None] = {}
    while len(seen) < n:
        drawn = torch.randint(size, (2 * (n - len(seen)) + 8, 2), generator=g).sort(1).values
        # Equal numbers come up half as often as the others, and here they may.
        seen |= {(int(i), int(j)): None for i, j in drawn.tolist()}
    pairs = torch.tensor(list(seen)[:n])
    return pairs[:, 0], pairs[:, 1]


def _text(numbers: Int[Tensor, "n"], digits: int) -> Int[Tensor, "n digits"]:
    """Return the words of numbers, leading zeros included."""
    powers = 10 ** torch.arange(digits - 1, -1, -1)
    return FIRST + numbers.unsqueeze(1) // powers % 10


def blinded(pairs: Pairs) -> Pairs:
    """Give every answer the source of the next example: what the answers alone can teach."""
    return Pairs(pairs.source.roll(1, 0), pairs.target, pairs.words)


def turned(pairs: Pairs) -> Pairs:
    """Turn every source round; the answers stay."""
    return Pairs(pairs.source.flip(1), pairs.target, pairs.words)
