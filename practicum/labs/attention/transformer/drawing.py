"""The figures of the lab `transformer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from practicum.labs.figures import COLOURS, canvas, curves, dots, mean_and_half_width, style, tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def losses(record: Record) -> Figure:
    """Draw every seed's test loss."""
    return dots(record, "loss")


def learning(record: Record, arms: Sequence[str]) -> Figure:
    """Draw the validation loss of some arms over updates."""
    shown = [arm for arm in arms if arm in record.arms]
    return curves(record, "validation_loss", arms=shown, x_label="updates", each_seed=False)


def readings(record: Record) -> Figure:
    """Draw where the first seed's last decoder layer looks, a tile for each arm."""
    maps = np.stack([_looks(record, arm).mean(0) for arm in record.arms])
    return tiles(maps, list(record.arms), columns=3, colours="Greys", low=0.0, high=1.0)


def heads(record: Record) -> Figure:
    """Draw where each head of the first arm looks, for the first seed."""
    maps = _looks(record, record.arms[0])
    names = [f"head {number + 1}" for number in range(len(maps))]
    return tiles(maps, names, columns=4, colours="Greys", low=0.0, high=1.0)


def _looks(record: Record, arm: str) -> NDArray[np.float64]:
    """Return the weights that were kept, [heads, target, source]."""
    return np.asarray(record.weights(arm, record.seeds[0])["looks"].double().numpy())


def lengths(record: Record) -> Figure:
    """Draw the loss on trained lengths and on longer sequences, side by side for each arm."""
    figure, (ax,) = canvas(height=0.9 + 0.4 * len(record.arms))
    rows = np.arange(len(record.arms))
    with style():
        for offset, measure, name, colour, marker in (
            (-0.12, "loss", "trained lengths", COLOURS[0], "o"),
            (0.12, "longer_loss", "longer", COLOURS[1], "s"),
        ):
            table = np.stack([record.values(measure, arm) for arm in record.arms], 1)
            mean, half = mean_and_half_width(table)
            ax.errorbar(
                mean, rows + offset, xerr=half, color=colour, marker=marker, linestyle="none",
                capsize=3, label=name,
            )  # fmt: skip
        ax.set_yticks(rows, record.arms)
        ax.invert_yaxis()
        ax.set_xlabel("loss (nats a token)")
        figure.legend(loc="outside upper left", ncols=2)
    return figure
