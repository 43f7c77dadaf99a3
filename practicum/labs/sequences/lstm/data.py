"""Two tasks with a long time lag: one that needs a memory, and one that needs luck only.

Source: Hochreiter, Schmidhuber 1997, "Long short-term memory", Neural Computation 9:1735-1780,
experiments 4 (adding) and 3 (two-sequence problem). Lengths are drawn from T .. T + T/10; sequences
are padded with zeros, and `last` says where each ends. A network that reads forward has not seen
the padding when it answers there.

Shapes: B sequences, L = T + T/10 time steps, D numbers a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.errors import PracticumError

SHORTEST = 22  # so that every one of the first ten pairs is among the first T/2 - 1
TASKS = ("adding", "two-sequence")
INPUTS = {"adding": 2, "two-sequence": 1}
TOLERANCE = {"adding": 0.04, "two-sequence": 0.1}  # largest error of an answer that is right
NEEDED = {"adding": 99.0, "two-sequence": 100.0}  # percent of right answers that ends the count
SPREAD = math.sqrt(0.2)  # of the noise that follows the signal in the two-sequence problem


@dataclass(frozen=True)
class Sequences:
    """A batch: what is read, when it ends, and what the answer should be.

    Attributes:
        x: [B, L, D].
        last: [B] index of the last time step.
        target: [B] between 0 and 1.
    """

    x: Float[Tensor, "B L D"]
    last: Int[Tensor, "B"]
    target: Float[Tensor, "B"]


def draw(noise: Noise, task: str, sequences: int, length: int, informative: int) -> Sequences:
    """Draw sequences of a task.

    Args:
        noise: what they are drawn from.
        task: "adding" or "two-sequence".
        sequences: B.
        length: T.
        informative: numbers at the beginning that tell the class ("two-sequence").

    Raises:
        PracticumError: the sequences are too short for the task.
    """
    if length < SHORTEST:
        raise PracticumError(f"length is {length}; the tasks need sequences of {SHORTEST} or more")
    if informative > length:
        raise PracticumError(f"informative is {informative}, more than the length {length}")
    if task == "adding":
        return adding(noise, sequences, length)
    return two_sequence(noise, sequences, length, informative)


def adding(noise: Noise, sequences: int, length: int) -> Sequences:
    """Draw pairs (number, marker); the answer is 0.5 + (X1 + X2) / 4, of the two marked numbers.

    Numbers are uniform in [-1, 1]. One of the first ten pairs is marked with 1, then one of the
    first T/2 - 1 others. The first and the last pair are marked with -1; where a 1 would stand on
    the first pair, its number counts as zero.
    """
    time, last = _ends(noise, sequences, length)
    numbers = 2 * noise.uniform(sequences, length + length // 10) - 1
    first = noise.integers(10, sequences)
    second = noise.integers(length // 2 - 1, sequences)
    second = second + (second >= first)  # the first pair that is marked is left out
    marked = (time == first[:, None]) | (time == second[:, None])
    target = 0.5 + torch.where(marked & (time > 0), numbers, 0.0).sum(1) / 4
    edge = (time == 0) | (time == last[:, None])
    markers = torch.where(edge, -1.0, marked.float())
    there = time <= last[:, None]
    x = torch.stack([torch.where(there, numbers, 0.0), torch.where(there, markers, 0.0)], dim=-1)
    return Sequences(x, last, target)


def two_sequence(noise: Noise, sequences: int, length: int, informative: int) -> Sequences:
    """Draw sequences that begin with 1 (answer 1) or -1 (answer 0); the rest is noise.

    The noise is normal with mean 0 and variance 0.2.
    """
    time, last = _ends(noise, sequences, length)
    target = noise.integers(2, sequences)
    rest = SPREAD * noise.normal(sequences, length + length // 10)
    x = torch.where(time < informative, (2.0 * target - 1.0)[:, None], rest)
    return Sequences(
        torch.where(time <= last[:, None], x, 0.0)[..., None], last, target.to(x.dtype)
    )


def _ends(noise: Noise, sequences: int, length: int) -> tuple[Tensor, Tensor]:
    """Return the time steps [L] and the last step of each sequence [B]."""
    last = length - 1 + noise.integers(length // 10 + 1, sequences)
    return torch.arange(length + length // 10, device=last.device), last
