"""The figures of the translation lab."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from practicum.labs import figures as draw
from practicum.labs.attention.translation.data import Corpus, corpus, spoken
from practicum.labs.attention.translation.measuring import SHOWN
from practicum.nn.seq2seq import END

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

ATTENTION = "attention"
MAPPED = 2  # test sentences whose attention is drawn
LINE = 78  # characters of a line of text


def figures(record: Record) -> dict[str, Figure]:
    """Draw loss and BLEU by number of sentences, learning, attention, and translations."""
    found = {
        "Test loss by number of sentences, the right words before given (trained: 1, 2)": (
            by_sentences(record, "nll_by_sentences")
        ),
        "BLEU by number of sentences, own words fed back": by_sentences(
            record, "bleu_by_sentences"
        ),
        "Validation loss while training, mean and 95 % interval": draw.curves(
            record, "validation_nll", x_label="updates done (%)", each_seed=False
        ),
        "The first test sentences, translated greedily by the first seed's networks": translations(
            record
        ),
    }
    if ATTENTION in record.arms:
        found["Where attention looked (columns) for each word that it wrote (rows), first seed"] = (
            maps(record)
        )
    return found


def text_of(setup: dict[str, Any]) -> Corpus:
    """Return what an arm read."""
    sizes = setup["pool"], setup["validation_size"], setup["test_size"]
    return corpus(setup["data"], setup["known"], setup["longest"], sizes)


def by_sentences(record: Record, measure: str) -> Figure:
    """Draw a measure at one, two and three sentences, arms side by side with their intervals."""
    figure, (ax,) = draw.canvas()
    sentences = np.asarray(record.steps(measure), dtype=np.float64)
    with draw.style():
        for i, (arm, look) in enumerate(draw.looks(record.arms).items()):
            mean, half = draw.mean_and_half_width(np.asarray(record.values(measure, arm)))
            aside = 0.04 * (i - (len(record.arms) - 1) / 2)
            ax.errorbar(sentences + aside, mean, yerr=half, capsize=3, label=arm, **look)
        ax.set_xticks(sentences, [f"{k:g}" for k in sentences])
        ax.set_xlabel("sentences put one after the other")
        ax.set_ylabel(draw.label(record, measure).replace(" by sentences", ""))
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def translations(record: Record) -> Figure:
    """Write test sentences, their references, and under them what every arm says."""
    text = text_of(record.setups[record.arms[0]])
    said = {arm: record.weights(arm, record.seeds[0])["said"].tolist() for arm in record.arms}
    lines: list[tuple[str, str]] = []
    for i in range(SHOWN):
        shown = [("source", text.texts[1].source[i]), ("reference", text.texts[1].target[i])]
        shown += [(arm, " ".join(spoken(said[arm][i], text.target_words))) for arm in said]
        for name, words in shown:
            given = name in ("source", "reference")
            wrapped = textwrap.wrap(words, LINE - 22) or ["(nothing)"]
            heads = [f"{name:<21}"] + [" " * 21] * (len(wrapped) - 1)
            colour = draw.INK if given else draw.COLOURS[0]
            lines += [(head + part, colour) for head, part in zip(heads, wrapped, strict=True)]
        lines.append(("", draw.INK))
    figure, (ax,) = draw.canvas(height=0.17 * len(lines))
    with draw.style():
        ax.set_axis_off()
        for row, (line, colour) in enumerate(lines):
            ax.text(
                0, 1 - row / len(lines), line, va="top", family="monospace", fontsize=7.0,
                color=colour, transform=ax.transAxes, parse_math=False,
            )  # fmt: skip
    return figure


def maps(record: Record) -> Figure:
    """Draw the attention of the first seed in some test sentences, words on the axes."""
    text = text_of(record.setups[ATTENTION])
    weights = record.weights(ATTENTION, record.seeds[0])
    figure, axes = draw.canvas(1, MAPPED, height=3.4)
    with draw.style():
        for i, ax in enumerate(axes):
            source = text.texts[1].source[i].split()
            numbers = weights["said"][i].tolist()
            ends = numbers.index(END) + 1 if END in numbers else len(numbers)
            words = [text.target_words[one] for one in numbers[:ends]]
            looked = weights["looked"][i, :ends, : len(source)].double().numpy()
            ax.imshow(looked, cmap="Greys", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
            ax.set_xticks(range(len(source)), source, rotation=90, fontsize=7.5, parse_math=False)
            ax.set_yticks(range(len(words)), words, fontsize=7.5, parse_math=False)
            ax.grid(visible=False)
    return figure
