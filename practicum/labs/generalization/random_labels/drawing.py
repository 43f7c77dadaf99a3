"""The picture of the lab: what is learnt and what is only remembered, over the corruption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.labs.figures import MUTED, canvas, looks, mean_and_half_width, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def accuracy_over_corruption(record: Record, arms: Sequence[str]) -> Figure:
    """Draw training and test accuracy over the share of labels that were drawn at random."""
    chosen = [arm for arm in arms if arm in record.arms]
    x = np.array([100 * record.setups[arm]["corruption"] for arm in chosen])
    figure, (ax,) = canvas()
    with style():
        for measure, look in looks(["training accuracy", "test accuracy"]).items():
            seeds = np.stack([record.values(measure, arm) for arm in chosen])  # [arms, seeds]
            mean, half = mean_and_half_width(seeds.T)
            ax.plot(x, seeds, color=look["color"], linewidth=0.6, alpha=0.25)
            ax.errorbar(x, mean, yerr=half, capsize=3, markersize=5, label=measure, **look)
        ax.axhline(10, color=MUTED, linewidth=1.2, linestyle=":", label="chance")
        ax.set_xlabel("labels drawn at random (%)")
        ax.set_ylabel("accuracy (%)")
        ax.set_ylim(0, 104)
        figure.legend(loc="outside upper left", ncols=3)
    return figure
