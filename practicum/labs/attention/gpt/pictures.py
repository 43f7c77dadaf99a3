"""The figure of the lab `gpt` that no other lab has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def ladder(record: Record, networks: Sequence[str]) -> Figure:
    """Draw test loss against parameters; each table of counts is a horizontal line."""
    figure, (ax,) = draw.canvas(height=3.6)
    looks = draw.looks(record.arms)
    with draw.style():
        for arm in networks:
            size = float(record.values("parameters", arm)[0])
            mean, half = draw.mean_and_half_width(record.values("test_loss", arm))
            ax.errorbar(size, mean, yerr=half, capsize=3, markersize=6, label=arm, **looks[arm])
        for arm in record.arms:
            if arm not in networks:
                level = float(np.mean(record.values("test_loss", arm)))
                ax.axhline(level, color=draw.MUTED, linewidth=0.9, linestyle=":")
                ax.annotate(arm, (0.01, level), xycoords=("axes fraction", "data"), va="bottom")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.minorticks_off()
        low, high = ax.get_ylim()
        ticks = [tick for tick in (1, 1.25, 1.5, 2, 2.5, 3, 4) if low <= tick <= high]
        ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.set_xlabel("parameters without embeddings")
        ax.set_ylabel("test loss (nats)")
        figure.legend(loc="outside upper left", ncols=4, handlelength=1.6)
    return figure
