"""The networks of the translation lab, all with as many parameters as the one with attention.

Attention's network has `hidden` units. Another recurrent network gets as many units, and the
Transformer perceptrons as wide, as bring it nearest to the same number of parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from practicum.nn.seq2seq import Seq2Seq
from practicum.nn.transformer import Transformer

if TYPE_CHECKING:
    from practicum.labs.attention.translation.experiment import Setup

WIDEST = 1 << 16


def build(setup: Setup, source: int, target: int, length: int) -> nn.Module:
    """Build an arm's network.

    Args:
        setup: the arm.
        source: words of the source.
        target: words of the target.
        length: words of the longest sequence, for the Transformer's positions.
    """

    def sized(size: int) -> nn.Module:
        if setup.network == "transformer":
            return _transformer(setup, source, target, length, size)
        each = 2 * size if setup.two_way else size
        return _recurrent(setup, source, target, setup.reads, setup.two_way, each)

    with torch.device("meta"):  # counting draws no weights
        goal = parameters(_recurrent(setup, source, target, "additive", True, setup.hidden))
    return sized(matched(sized, goal))


def matched(sized: Callable[[int], nn.Module], goal: int) -> int:
    """Return the size at which a network comes nearest to a number of parameters."""

    def count(size: int) -> int:
        with torch.device("meta"):
            return parameters(sized(size))

    low, high = 1, WIDEST
    while low < high:  # the smallest size that reaches the goal
        middle = (low + high) // 2
        low, high = (low, middle) if count(middle) >= goal else (middle + 1, high)
    if low > 1 and goal - count(low - 1) < count(low) - goal:
        low -= 1
    return low


def parameters(network: nn.Module) -> int:
    """Return the number of trainable numbers of a network."""
    return sum(one.numel() for one in network.parameters())


def _recurrent(
    setup: Setup, source: int, target: int, reads: str, two_way: bool, hidden: int
) -> nn.Module:
    return Seq2Seq(
        source,
        target,
        width=setup.width,
        hidden=hidden,
        cell="gru",
        reads=reads,
        bidirectional=two_way,
    )


def _transformer(setup: Setup, source: int, target: int, length: int, hidden: int) -> nn.Module:
    return Transformer(
        source,
        target,
        width=setup.width,
        heads=setup.heads,
        hidden=hidden,
        layers=setup.layers,
        length=length,
        dropout=0.0,
        pre_norm=True,
    )
