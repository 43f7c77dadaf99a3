"""The two pictures of the lab `gan`: points over the modes, and rows of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.labs import figures as draw
from practicum.labs.generative.gan.measures import REACH, centres

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def mode_maps(record: Record, arms: Sequence[str]) -> Figure:
    """Draw the points that each arm makes at the record's first seed, over the modes."""
    from matplotlib.patches import Circle

    seed, columns = record.seeds[0], min(2, len(arms))
    rows = -(-len(arms) // columns)
    figure, axes = draw.canvas(rows, columns, height=2.9 * rows, sharex=True, sharey=True)
    with draw.style():
        for ax, (arm, look) in zip(axes, draw.looks(arms).items(), strict=False):
            setup = record.setups[arm]
            x = np.asarray(record.weights(arm, seed)["samples"], dtype=np.float64)
            ax.scatter(x[:, 0], x[:, 1], s=3, color=look["color"], alpha=0.4, linewidths=0)
            for middle in centres(setup["layout"]).tolist():
                ax.add_patch(
                    Circle(
                        tuple(middle),
                        REACH * setup["spread"],
                        fill=False,
                        edgecolor=draw.INK,
                        linewidth=0.7,
                    )
                )
            ax.set_aspect("equal")
            ax.set_xlim(-3, 3)
            ax.set_ylim(-3, 3)
            ax.set_title(arm)
        for ax in axes[len(arms) :]:
            ax.set_axis_off()
    return figure


def image_rows(record: Record, arms: Sequence[str]) -> Figure:
    """Draw the first images of each arm at the record's first seed, one row for each arm."""
    seed = record.seeds[0]
    found = [np.asarray(record.weights(arm, seed)["samples"])[:, 0] for arm in arms]
    columns = len(found[0])
    figure, axes = draw.canvas(len(arms), columns, height=0.56 * len(arms))
    with draw.style():
        for i, ax in enumerate(axes):
            row, column = divmod(i, columns)
            ax.imshow(found[row][column], cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
            for side in ax.spines.values():
                side.set_visible(False)
            if column == 0:
                ax.set_ylabel(arms[row], rotation=0, ha="right", va="center", fontsize=8.5)
    return figure
