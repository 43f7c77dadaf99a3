"""The figures of the lab `bert`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from practicum.labs import figures as draw
from practicum.labs.attention.bert.measuring import blanks
from practicum.labs.attention.bert.words import PADDING, Corpus, corpus

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def figures(record: Record) -> dict[str, Figure]:
    """Draw accuracy by labels, the guessing loss, filled blanks and attention."""
    learned = [arm for arm in record.arms if guesses(record.setups[arm])]
    return {
        "Test accuracy by number of labelled sentences, mean and 95 % interval": draw.curves(
            record, "accuracy", x_label="labelled sentences", log_x=True, each_seed=False
        ),
        "Loss of the guesses on validation sentences, mean and 95 % interval; left-to-right is "
        "asked for other words": draw.curves(
            record, "guessing_loss", arms=learned, x_label="updates done (%)", each_seed=False
        ),
        "Blanks in test sentences, filled by the first seed's networks before they learned "
        "classes; best guess first, the right one in capitals": filled(record, learned),
        "Where each head of masked looks in a test sentence: rows look at columns": looks(record),
    }


def guesses(setup: dict[str, Any]) -> bool:
    """Tell whether an arm guesses words."""
    return setup["method"] in ("masked", "left-to-right")


def text_of(setup: dict[str, Any]) -> Corpus:
    """Return the sentences that an arm read."""
    return corpus(setup["data"], setup["vocabulary"], setup["length"], setup["most"])


def filled(record: Record, arms: list[str]) -> Figure:
    """Write test sentences with a blank, and under each what the arms guess."""
    text = text_of(record.setups[arms[0]])
    sentences, at = blanks(text)
    kept = {arm: record.weights(arm, record.seeds[0])["guesses"] for arm in arms}
    lines = []
    for i, (sentence, blank) in enumerate(zip(sentences.tolist(), at.tolist(), strict=True)):
        words = [text.vocabulary[one] for one in sentence if one != PADDING]
        answer, words[blank] = sentence[blank], "____"
        lines.append((" ".join(words[1:]), draw.INK))
        for arm in arms:
            best = [
                text.vocabulary[one].upper() if one == answer else text.vocabulary[one]
                for one in kept[arm][i].tolist()
            ]
            lines.append((f"    {arm:<14} {', '.join(best)}", draw.MUTED))
    figure, (ax,) = draw.canvas(height=0.19 * len(lines) + 0.2)
    with draw.style():
        ax.set_axis_off()
        for row, (line, colour) in enumerate(lines):
            ax.text(
                0, 1 - row / len(lines), line, va="top", family="monospace", fontsize=7.5,
                color=colour, transform=ax.transAxes, parse_math=False,
            )  # fmt: skip
    return figure


def looks(record: Record) -> Figure:
    """Draw the attention of every layer and head of the arm `masked` in one sentence."""
    text = text_of(record.setups["masked"])
    sentence = blanks(text)[0][0].tolist()
    words = [text.vocabulary[one] for one in sentence if one != PADDING]
    maps = np.asarray(record.weights("masked", record.seeds[0])["attention"])
    layers, heads = maps.shape[:2]
    figure, axes = draw.canvas(layers, heads, height=layers * draw.WIDTH / heads * 0.85)
    with draw.style():
        for i, ax in enumerate(axes):
            layer, head = divmod(i, heads)
            ax.imshow(maps[layer, head], cmap="Blues", vmin=0, interpolation="nearest")
            ax.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=8.5)
            ax.set_xticks(range(len(words)), words, rotation=90, fontsize=7, parse_math=False)
            ax.set_yticks(range(len(words)), words, fontsize=7, parse_math=False)
            ax.grid(visible=False)
    return figure
