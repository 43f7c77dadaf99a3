"""The figures of the lab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from practicum.labs.figures import COLOURS, INK, MUTED, canvas, looks, style
from practicum.labs.training.backprop.symmetry import LENGTH, ratios

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


UNITS = 2  # hidden units of the networks whose weights are drawn


def _hidden(record: Record, arm: str) -> Float[Array, "S 7 2"]:
    """Return the weights into the hidden units of every seed; the bias is the last row."""
    numbers = record.values("weight", arm)[:, : UNITS * (LENGTH + 1)]
    hidden: Float[Array, "S 7 2"] = numbers.reshape(len(numbers), LENGTH + 1, UNITS)
    return hidden


def hidden_units(record: Record, arm: str) -> Figure:
    """Draw the weights into each hidden unit, for the first seed of each kind."""
    kinds = {
        "as in the paper": record.values("as in the paper", arm) > 0,
        "another way": record.values("another way", arm) > 0,
        "not solved": record.values("solved", arm) == 0,
    }
    chosen = [(int(np.argmax(which)), text) for text, which in kinds.items() if which.any()]
    weights = _hidden(record, arm)
    figure, axes = canvas(len(chosen), UNITS, height=0.3 + 1.9 * len(chosen))
    with style():
        for i, (row, text) in enumerate(chosen):
            limit = 1.25 * np.abs(weights[row]).max()
            for unit in range(UNITS):
                ax, numbers = axes[i * UNITS + unit], weights[row, :, unit]
                colours = [COLOURS[0] if w > 0 else COLOURS[1] for w in numbers[:LENGTH]]
                places = np.arange(1, LENGTH + 2)
                ax.bar(places, numbers, color=[*colours, MUTED], width=0.7)
                for place, w in zip(places, numbers, strict=True):
                    up = "bottom" if w > 0 else "top"
                    ax.text(float(place), float(w), f"{w:.1f}", ha="center", va=up, fontsize=7.5)
                ax.axhline(0, color=INK, linewidth=0.8)
                ax.axvline((LENGTH + 1) / 2, color=INK, linewidth=0.8, linestyle=":")
                ax.set_ylim(-limit, limit)
                ax.set_xticks(places, [*map(str, range(1, LENGTH + 1)), "bias"])
                ax.set_title(f"{text} (seed {record.seeds[row]}), unit {unit + 1}", fontsize=9)
                if unit == 0:
                    ax.set_ylabel("weight")
    return figure


def ratio_dots(record: Record, arms: Sequence[str]) -> Figure:
    """Draw middle and largest size of each hidden unit's weights, the smallest being 1."""
    figure, (ax,) = canvas(height=3.6)
    with style():
        for arm in (one for one in arms if one in record.arms):
            sizes = ratios(_hidden(record, arm)[:, :LENGTH])  # [S, 2, H]
            solved = record.values("solved", arm) > 0
            shuffled = arm != arms[0]
            colour = COLOURS[1 if shuffled else 0]
            for which, text, filled in ((~solved, "not solved", False), (solved, "solved", True)):
                if which.any():
                    middle, large = np.moveaxis(sizes[which], 1, 0)
                    ax.plot(
                        middle.ravel(),
                        large.ravel(),
                        linestyle="none",
                        marker="s" if shuffled else "o",
                        markersize=7 if filled else 3.5,
                        color=colour,
                        markerfacecolor=colour if filled else "none",
                        alpha=0.9 if filled else 0.5,
                        label=f"{arm}, {text} ({int(which.sum())})",
                    )
        for middle, large in ((2, 4), (1.5, 2)):
            ax.plot(middle, large, marker="+", markersize=20, color=INK, zorder=5)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.set_xlim(0.9, 16)
        ax.set_ylim(0.9, 32)
        ax.set_xlabel("middle size / smallest size")
        ax.set_ylabel("largest size / smallest size")
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def solved_over_sweeps(record: Record) -> Figure:
    """Draw the share of seeds that have every pattern right, over the sweeps."""
    steps = record.steps("patterns wrong")
    figure, (ax,) = canvas()
    with style():
        for arm, look in looks(list(record.arms)).items():
            share = (record.values("patterns wrong", arm) == 0).mean(axis=0)
            ax.plot(steps, share, label=arm, color=look["color"], linestyle=look["linestyle"])
        paper = record.setups[next(iter(record.arms))]["quick"]
        if paper <= steps[-1]:
            ax.axvline(paper, color=MUTED, linestyle=":", linewidth=1.5)
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlabel("sweeps")
        ax.set_ylabel("share of starts, all 64 right")
        figure.legend(loc="outside upper left", ncols=3)
    return figure
