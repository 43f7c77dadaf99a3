"""The temporal order task: which of two letters came first, told when the sequence has ended.

Source: Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063v2, section 4.1.1; the task is that of
Hochreiter, Schmidhuber 1997, section 5.6, with relative positions.

A sequence has T symbols, each of six. Four are distractors. At one position in [T/10, 2T/10] and at
one in [4T/10, 5T/10] stands A or B, each with the same chance; the class is the pair (AA, AB, BA,
BB). Nothing after T/2 tells anything, so a network must carry what it saw for T/2 steps or more.

Shapes: B sequences, T time steps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.errors import PracticumError

SYMBOLS, CLASSES = 6, 4
CHANCE_ERROR = 75.0  # percent; all classes are equally frequent


def temporal_order(
    noise: Noise, sequences: int, length: int
) -> tuple[Float[Tensor, "B T 6"], Int[Tensor, "B"]]:
    """Draw sequences, as one-hot symbols, and their classes.

    Args:
        noise: what they are drawn from.
        sequences: B.
        length: T.

    Raises:
        PracticumError: the sequences are shorter than 10 symbols.
    """
    if length < 10:
        raise PracticumError(f"length is {length}; the task needs sequences of 10 symbols or more")
    time = torch.arange(length)
    first, second = noise.integers(2, sequences), noise.integers(2, sequences)
    symbols = 2 + noise.integers(4, sequences, length)
    for letter, (low, high) in ((first, (1, 2)), (second, (4, 5))):
        start, width = low * length // 10, high * length // 10 - low * length // 10 + 1
        position = start + noise.integers(width, sequences)
        here = position.unsqueeze(1) == time.to(position.device)
        symbols = torch.where(here, letter.unsqueeze(1), symbols)
    return F.one_hot(symbols, SYMBOLS).float(), 2 * first + second
