"""The figures of the lab `initialization` that no other lab has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

GUESSING = 90.0


def through_the_layers(record: Record, pairs: Mapping[str, Sequence[str]]) -> Figure:
    """Draw signal (left) and gradient (right) over the layers, a row for each pair of arms."""
    figure, axes = draw.canvas(len(pairs), 2, height=2.7 * len(pairs))
    layers = np.asarray(record.steps("signal"), dtype=float)
    with draw.style():
        for row, (title, arms) in enumerate(pairs.items()):
            for column, measure in enumerate(("signal", "gradient")):
                ax = axes[2 * row + column]
                for arm, look in draw.looks(arms).items():
                    values = np.asarray(record.values(measure, arm), dtype=float)
                    there = np.isfinite(values).all(axis=0)
                    x, values = layers[there], values[:, there]
                    ax.plot(x, values.T, color=look["color"], linewidth=0.4, alpha=0.35)
                    mean = np.exp(np.log(values).mean(axis=0))
                    ax.plot(x, mean, label=arm, markersize=3.5, **look)
                ax.set_yscale("log")
                ax.set_xlabel("hidden layer")
                ax.set_ylabel(f"mean square of {measure}s")
                if column == 0:
                    ax.set_title(title)
                    ax.legend(loc="best", fontsize=8)
    return figure


def learning(record: Record, pairs: Mapping[str, Sequence[str]]) -> Figure:
    """Draw the training error over updates, one panel for each pair of arms."""
    figure, axes = draw.canvas(1, len(pairs), height=3.0, sharey=True)
    steps = np.asarray(record.steps("train_error"), dtype=float)
    with draw.style():
        for ax, (title, arms) in zip(axes, pairs.items(), strict=True):
            for arm, look in draw.looks(arms).items():
                values = np.asarray(record.values("train_error", arm), dtype=float)
                mean, half = draw.mean_and_half_width(values)
                color = look["color"]
                ax.fill_between(
                    steps, mean - half, mean + half, color=color, alpha=0.22, linewidth=0
                )
                ax.plot(steps, mean, label=arm, color=color, linestyle=look["linestyle"])
            ax.axhline(GUESSING, color=draw.MUTED, linewidth=0.8, linestyle=":")
            ax.set_title(title, fontsize=8.5)
            ax.set_xlabel("update")
            ax.set_ylim(0, 100)
            ax.legend(loc="best", fontsize=7.5)
        axes[0].set_ylabel("training error (%)")
    return figure
