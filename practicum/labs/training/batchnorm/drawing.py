"""The figures of the lab `batchnorm` that no other lab has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def loss_against_rate(
    record: Record, pairs: Mapping[str, Sequence[str]], ceiling: float = 4.0
) -> Figure:
    """Draw the last training loss over the grid of rates, one panel for each nonlinearity."""
    figure, axes = draw.canvas(1, len(pairs), height=3.6, sharey=True)
    looks = draw.looks(record.arms)
    rates = np.asarray(record.steps("loss_at_rate"), dtype=float)
    with draw.style():
        for ax, (title, arms) in zip(axes, pairs.items(), strict=True):
            for arm in arms:
                losses = np.asarray(record.values("loss_at_rate", arm), dtype=float)
                losses = np.minimum(np.nan_to_num(losses, nan=ceiling, posinf=ceiling), ceiling)
                ax.plot(rates, losses.T, color=looks[arm]["color"], linewidth=0.5, alpha=0.3)
                ax.plot(rates, np.median(losses, axis=0), label=arm, markersize=4, **looks[arm])
            ax.axhline(
                record.setups[arms[0]]["stable_below"], color=draw.INK, linewidth=0.8, dashes=(4, 3)
            )
            ax.set_xscale("log", base=2)
            ax.set_xticks(rates[::2], [f"{rate:.2g}" for rate in rates[::2]])
            ax.set_yscale("log")
            ax.set_title(title)
            ax.set_xlabel("learning rate")
        axes[0].set_ylabel("training loss / loss of guessing")
        figure.legend(loc="outside upper left", ncols=2, handlelength=2.6)
    return figure


def stable_rates(record: Record) -> Figure:
    """Draw how many seeds have which largest stable rate, one row for each arm."""
    figure, (ax,) = draw.canvas(height=0.9 + 0.45 * len(record.arms))
    with draw.style():
        for row, (arm, look) in enumerate(draw.looks(record.arms).items()):
            values = np.asarray(record.values("largest_stable_rate", arm), dtype=float)
            found, counts = np.unique(values[np.isfinite(values)], return_counts=True)
            for rate, count in zip(found, counts, strict=True):
                ax.scatter(rate, row, s=18 + 22 * count, color=look["color"], alpha=0.75)
                ax.annotate(
                    f"{count}", (rate, row), (0, 11), textcoords="offset points", ha="center",
                    fontsize=8,
                )  # fmt: skip
        rates = np.asarray(record.steps("loss_at_rate"), dtype=float)
        ax.set_xscale("log", base=2)
        ax.set_xticks(rates, [f"{rate:.2g}" for rate in rates])
        ax.set_yticks(range(len(record.arms)), record.arms)
        ax.set_ylim(len(record.arms) - 0.4, -0.7)
        ax.set_xlabel("largest stable learning rate (numbers: seeds)")
    return figure
