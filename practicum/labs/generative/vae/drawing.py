"""The figures of the lab `vae` that no other lab has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

COLUMNS = 10


def pictures(record: Record, arm: str, name: str) -> NDArray[np.float64]:
    """Return pictures that were kept of the first seed, [pictures, height, width]."""
    flat = record.weights(arm, record.seeds[0])[name].double().numpy()
    side = round(flat.shape[1] ** 0.5)
    shape = (side, side) if side**2 == flat.shape[1] else (1, flat.shape[1])
    return np.asarray(flat.reshape(-1, *shape))


def mosaic(tiles: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Lay pictures [n, height, width] side by side, row by row; whole rows only."""
    height, width = tiles.shape[1:]
    laid = tiles.reshape(-1, columns, height, width).swapaxes(1, 2)
    return laid.reshape(-1, columns * width)


def samples_of(record: Record, arms: Sequence[str]) -> Figure:
    """Draw test images in one panel, and in the others what each arm draws."""
    panels = {"test images": pictures(record, arms[0], "shown.images")}
    panels |= {arm: pictures(record, arm, "shown.samples") for arm in arms}
    figure, axes = draw.canvas(-(-len(panels) // 2), 2, height=1.0 + 0.55 * len(panels))
    with draw.style():
        for ax in axes:
            ax.set_axis_off()
        for ax, (title, tiles) in zip(axes, panels.items(), strict=False):
            whole = len(tiles) // COLUMNS * COLUMNS
            ax.imshow(mosaic(tiles[:whole], COLUMNS), cmap="gray", vmin=0, vmax=1)
            ax.set_title(title)
    return figure


def latent_walk(record: Record, arm: str) -> Figure:
    """Draw what a grid over a code of two numbers decodes to."""
    tiles = pictures(record, arm, "shown.walk")
    side = round(len(tiles) ** 0.5)
    figure, (ax,) = draw.canvas(height=4.6, width=4.6)
    with draw.style():
        ax.imshow(mosaic(tiles, side), cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[], xlabel="first number", ylabel="second number")
        ax.grid(visible=False)
    return figure


def units(record: Record, arms: Sequence[str]) -> Figure:
    """Draw the divergence of every unit of the code, largest first, with its 95 % interval."""
    figure, (ax,) = draw.canvas()
    at = np.asarray(record.steps("unit_divergence"), dtype=float)
    with draw.style():
        for arm, look in draw.looks(arms).items():
            mean, half = draw.mean_and_half_width(record.values("unit_divergence", arm))
            there = np.isfinite(mean)
            ax.errorbar(
                at[there], mean[there], yerr=half[there], capsize=2, markersize=4, label=arm, **look
            )
        ax.set_xlabel("unit of the code, by rank")
        ax.set_ylabel(draw.label(record, "unit_divergence"))
        ax.set_ylim(bottom=0)
        figure.legend(loc="outside upper left", ncols=3)
    return figure
