"""The figure of the lab `mlp` that no other lab has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

UNITS, COLUMNS = 16, 8


def hidden_units(record: Record, learnt: Sequence[str], frozen: str) -> Figure:
    """Draw the incoming weights of the first hidden units as images, one panel for each arm."""
    panels = {"as drawn": images(record, frozen, "network.weight")}
    for arm in learnt:
        title = f"learnt on {record.setups[arm]['data']}"
        panels[title] = images(record, arm, "network.layers.0.weight")
    figure, axes = draw.canvas(len(panels), 1, height=1.75 * len(panels))
    with draw.style():
        for ax, (title, units) in zip(axes, panels.items(), strict=True):
            _panel(ax, mosaic(units, COLUMNS), title)
    return figure


def are_images(record: Record, arms: Sequence[str]) -> bool:
    """Tell whether the inputs of some arms are square pictures; another data set need not be."""
    sizes = [
        record.weights(arm, record.seeds[0])["network.layers.0.weight"].shape[1] for arm in arms
    ]
    return all(round(size**0.5) ** 2 == size for size in sizes)


def images(record: Record, arm: str, name: str) -> NDArray[np.float64]:
    """Return the weights of an arm's first units at the seed that was kept, [units, side, side].

    Each unit is divided by its largest weight: a scale of its own.
    """
    weights = record.weights(arm, record.seeds[0])[name].double().numpy()[:UNITS]
    side = round(weights.shape[1] ** 0.5)
    scaled = weights / np.abs(weights).max(axis=1, keepdims=True)
    return np.asarray(scaled.reshape(-1, side, side))


def mosaic(tiles: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Lay pictures [n, height, width] side by side, row by row, with a gap of nan between them."""
    rows = -(-len(tiles) // columns)
    empty = rows * columns - len(tiles)
    padded = np.pad(tiles, ((0, empty), (0, 1), (0, 1)), constant_values=np.nan)
    height, width = padded.shape[1:]
    laid = padded.reshape(rows, columns, height, width).swapaxes(1, 2)
    return laid.reshape(rows * height, columns * width)[:-1, :-1]


def _panel(ax: Axes, picture: NDArray[np.float64], title: str) -> None:
    ax.imshow(picture, cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
    ax.set_title(title)
    ax.set_axis_off()
