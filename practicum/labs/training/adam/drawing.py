"""The figure of the lab `adam` that no other lab has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def paths(record: Record, kinds: Sequence[str], methods: Sequence[str]) -> Figure:
    """Draw x over the steps, one panel for each kind of sequence, one line for each method."""
    figure, axes = draw.canvas(1, len(kinds), height=3.3, sharey=True)
    steps = np.asarray(record.steps("x"), dtype=float)
    with draw.style():
        for ax, kind in zip(axes, kinds, strict=True):
            for method, look in draw.looks(methods).items():
                values = np.asarray(record.values("x", f"{kind} {method}"), dtype=float)
                mean, half = draw.mean_and_half_width(values)
                ax.plot(steps, values.T, color=look["color"], linewidth=0.4, alpha=0.25)
                ax.fill_between(
                    steps, mean - half, mean + half, color=look["color"], alpha=0.22, linewidth=0
                )
                ax.plot(steps, mean, label=method, color=look["color"], linestyle=look["linestyle"])
            ax.set_title(f"{kind} sequence")
            ax.set_xlabel("step")
            ax.set_ylim(-1.05, 1.05)
            ax.ticklabel_format(axis="x", style="sci", scilimits=(0, 3), useMathText=True)
        axes[0].set_ylabel("x")
        entries = axes[0].get_legend_handles_labels()
        figure.legend(*entries, loc="outside upper left", ncols=len(methods))
    return figure
