"""The lab's own picture: nearest words, as words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from practicum.labs import figures as draw
from practicum.labs.sequences.word2vec.measuring import nearest
from practicum.labs.sequences.word2vec.text import Corpus

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

ROWS, NEAREST, LETTERS = 7, 4, 16
_FREQUENT = 400  # words to look at are taken from so many most frequent ones


def looked_at(vectors: Tensor, whole: Corpus) -> UInt8[Tensor, "rows words letters"]:
    """Return some words and their nearest ones, as letters, so that a record can keep them."""
    split = set(whole.twins.flatten().tolist())
    ranks = [i for i in range(min(_FREQUENT, len(whole.words))) if i not in split]
    step = max(1, len(ranks) // ROWS)
    words = torch.tensor(ranks[step - 1 :: step][:ROWS], dtype=torch.long)
    many = min(NEAREST, len(whole.words) - 1)
    rows: Int[Tensor, "rows words"] = torch.cat(
        [words[:, None], nearest(vectors, words, many)], dim=1
    )
    spelt = [
        [list(whole.words[i].encode()[:LETTERS].ljust(LETTERS)) for i in row]
        for row in rows.tolist()
    ]
    return torch.tensor(spelt, dtype=torch.uint8)


def neighbours(record: Record, arms: list[str]) -> Figure:
    """Write words of the first seed and, for each arm, the words nearest to them."""
    seed = record.seeds[0]
    columns = 2
    figure, axes = draw.canvas(-(-len(arms) // columns), columns, height=5.6)
    with draw.style():
        for ax, arm in zip(axes, arms, strict=True):
            ax.set_axis_off()
            ax.set_title(arm, fontsize=9, loc="left")
            for row, words in enumerate(record.weights(arm, seed)["looked_at"]):
                first, *rest = (bytes(one.tolist()).decode().strip() for one in words)
                at = 1 - (row + 0.5) / ROWS
                bold = ax.text(0, at, first, fontsize=8.5, weight="bold", va="bottom")
                plain = ax.text(0, at, " ".join(rest), fontsize=7, va="top", color=draw.MUTED)
                for text in (bold, plain):  # long words must not push the axes away
                    text.set_in_layout(False)
    return figure
