"""What labs about characters share: text as numbers, losses of counts, what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.data.loading import load_text
from practicum.engine.seeds import streams
from practicum.errors import PracticumError
from practicum.labs import figures as draw
from practicum.learning import autoregressive
from practicum.learning.ngrams import KneserNey

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

COLUMNS, LINES = 90, 4  # of a network's writing that is shown


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A text in three parts, as numbers of the characters of its alphabet."""

    train: Int[Tensor, "n"]
    validation: Int[Tensor, "v"]
    test: Int[Tensor, "t"]
    characters: str


class Reads(Protocol):
    """The settings of an arm that say what is read."""

    @property
    def data(self) -> str:
        """The text."""

    @property
    def train_size(self) -> int | None:
        """Characters to learn from; None: all."""

    @property
    def held_size(self) -> int | None:
        """Characters of either held-out part; None: all."""

    @property
    def block(self) -> int:
        """Characters of a window."""


def corpus(setup: Reads) -> Corpus:
    """Return an arm's text; its alphabet is that of all parts.

    Raises:
        PracticumError: a part is too short for one window.
    """
    text = load_text(setup.data)
    characters = autoregressive.alphabet(text.train, text.validation, text.test)
    parts = (
        text.train[: setup.train_size],
        text.validation[: setup.held_size],
        text.test[: setup.held_size],
    )
    if min(map(len, parts)) <= setup.block:
        raise PracticumError(
            f"windows of {setup.block} characters do not fit parts of {[len(p) for p in parts]} "
            "characters; lower block, or raise train_size and held_size"
        )
    train, validation, test = (autoregressive.encode(part, characters) for part in parts)
    return Corpus(train=train, validation=validation, test=test, characters=characters)


def window_losses(table: KneserNey, tokens: Int[Tensor, "n"], block: int) -> Float[Tensor, "m T"]:
    """Return a table's losses of the characters that a network is asked for, window by window.

    Like a network, it knows nothing of what stands before a window.
    """
    each = autoregressive.windows(tokens, block, step=block)
    return torch.stack([table.losses(one)[1:] for one in each])


def write(
    network: nn.Module, text: Int[Tensor, "n"], length: int, block: int, seed: int, *, lost: bool
) -> Int[Tensor, "length"]:
    """Let a network write on from the beginning of a text.

    Args:
        network: characters to logits.
        text: its first `block` characters are the prompt.
        length: characters to write.
        block: characters that the network can read.
        seed: whose draws.
        lost: whether training diverged; then nothing is drawn, and all is character 0.
    """
    if lost:
        return torch.zeros(length, dtype=torch.long)
    generator = streams(seed).generator("noise")
    new = autoregressive.sample(network, text[:block], length, context=block, generator=generator)
    return new.cpu()


def written(record: Record, arms: Sequence[str]) -> Figure:
    """Show what the arms' networks of the first seed wrote; it is kept as weight "written"."""
    figure, axes = draw.canvas(len(arms), 1, height=1.05 * len(arms))
    with draw.style():
        for ax, arm in zip(axes, arms, strict=True):
            text = load_text(record.setups[arm]["data"])
            characters = autoregressive.alphabet(text.train, text.validation, text.test)
            tokens = record.weights(arm, record.seeds[0])["written"]
            shown = folded(autoregressive.decode(tokens, characters))
            ax.set_axis_off()
            ax.set_title(arm, loc="left", fontsize=9)
            ax.plot([0, 0], [0, 1], color=draw.INK, linewidth=2, transform=ax.transAxes)
            ax.text(
                0.015, 1, shown, va="top", family="monospace", fontsize=7.5,
                transform=ax.transAxes, parse_math=False,
            )  # fmt: skip
    return figure


def folded(text: str) -> str:
    """Return a text in a few lines of equal length; the ends of its own lines become a sign."""
    line = text.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}")
    cut = [line[at : at + COLUMNS] for at in range(0, len(line), COLUMNS)]
    return "\n".join(cut[:LINES])
