"""The figure of the lab `lenet` that no other lab has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def advantages(record: Record) -> Figure:
    """Draw how many times as many mistakes the perceptron makes, over the number of images."""
    figure, (ax,) = draw.canvas()
    arms = [arm for arm in ("lenet", "modern", "permuted", "linear") if arm in record.arms]
    looks = draw.looks(record.arms)
    sizes = np.asarray(record.steps("test_error"), dtype=float)
    mlp = np.asarray(record.values("test_error", "mlp"), dtype=float)
    with draw.style():
        for i, arm in enumerate(arms):
            errors = np.asarray(record.values("test_error", arm), dtype=float)
            known = (errors > 0) & (mlp > 0)
            logs = np.log(np.where(known, mlp, np.nan) / np.where(known, errors, 1.0))
            mean, half = draw.mean_and_half_width(logs)
            middle = np.exp(mean)
            bars = np.stack([middle - np.exp(mean - half), np.exp(mean + half) - middle])
            at = sizes * (1 + 0.03 * (i - (len(arms) - 1) / 2))
            ax.errorbar(at, middle, yerr=bars, capsize=3, markersize=5, label=arm, **looks[arm])
        ax.axhline(1.5, color=draw.INK, linewidth=0.9, linestyle="--")
        ax.axhline(1.0, color=draw.INK, linewidth=0.9, linestyle=":")
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
        ax.set_xticks([], minor=True)
        ax.set_xlabel("training images")
        ax.set_ylabel("mistakes of mlp / its own")
        figure.legend(loc="outside upper left", ncols=4, handlelength=2.6)
    return figure
