"""Small sequence-to-sequence tasks whose right answer is known.

    reverse     the tokens, last one first: every output has one input to look at, by its position
    sort        the tokens in order: the answer depends on which tokens there are, not on where
    mirror      token i plus token n + 1 - i, modulo V: every output has two inputs to look at

Every answer ends with END. Tokens are drawn evenly and independently, lengths evenly; PAD fills up.

Shapes: B sequences, S source tokens, T = S + 1 target tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from practicum.nn.seq2seq import END, PAD

TASKS = ("reverse", "sort", "mirror")
SPECIAL = 3  # PAD, BEGIN and END come before the tokens


class Sequences(NamedTuple):
    """Sources, the right answers, and the sources' lengths.

    Attributes:
        source: [B, S].
        target: [B, T].
        lengths: [B].
    """

    source: Tensor
    target: Tensor
    lengths: Tensor


def draw(
    task: str,
    count: int,
    lengths: tuple[int, int],
    kinds: int,
    generator: torch.Generator,
) -> Sequences:
    """Draw sequences of a task.

    Args:
        task: one of `TASKS`.
        count: B.
        lengths: the shortest and the longest; S is the longest.
        kinds: V, kinds of tokens.
        generator: what they are drawn from.
    """
    shortest, longest = lengths
    n = torch.randint(shortest, longest + 1, (count,), generator=generator)
    tokens = torch.randint(kinds, (count, longest), generator=generator)
    place = torch.arange(longest).expand(count, -1)
    there = place < n[:, None]
    answer = torch.where(there, _answer(task, tokens, there, n, kinds) + SPECIAL, PAD)
    target = torch.nn.functional.pad(answer, (0, 1), value=PAD)
    target[torch.arange(count), n] = END
    source = torch.where(there, tokens, -SPECIAL) + SPECIAL
    return Sequences(source, target, n)


def unseen(drawn: Sequences, known: Sequences) -> Sequences:
    """Return the sequences whose source is not among those of others."""
    there = set(map(tuple, known.source.tolist()))
    new = torch.tensor([tuple(one) not in there for one in drawn.source.tolist()])
    return Sequences(*(part[new] for part in drawn))


def blanked(sequences: Sequences) -> Sequences:
    """Return the sequences with every source token the same, so that there is nothing to read."""
    return sequences._replace(source=sequences.source.clamp(max=SPECIAL))


def _answer(
    task: str, tokens: Int[Tensor, "B S"], there: Tensor, n: Int[Tensor, "B"], kinds: int
) -> Int[Tensor, "B S"]:
    if task == "sort":
        return torch.where(there, tokens, kinds).sort(1).values
    mirrored = (n[:, None] - 1 - torch.arange(tokens.shape[1])).clamp(min=0)
    other = tokens.gather(1, mirrored)
    return other if task == "reverse" else (tokens + other) % kinds
