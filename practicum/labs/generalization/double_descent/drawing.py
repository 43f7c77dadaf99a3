"""The figures of the lab: losses, weights and the control over the number of features."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from practicum.labs.figures import INK, MUTED, canvas, looks, mean_and_half_width, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

PANELS = {
    "with wrong labels": {
        "least norm": "wrong labels",
        "ridge": "wrong labels, ridge",
        "least norm, wide kernel": "wide kernel",
    },
    "clean": {"least norm": "clean", "ridge": "clean, ridge"},
}
EDGES = 0.05, 30.0  # of the losses that are shown: the peak is thousands high
AXIS = "features by examples, N / n"


def losses_over_features(record: Record) -> Figure:
    """Draw test and training loss, with and without ridge, in one panel for each kind of labels."""
    figure, axes = canvas(1, len(PANELS), height=3.6, sharey=True)
    with style():
        for ax, (title, fits) in zip(axes, PANELS.items(), strict=True):
            for name, look in looks(list(fits)).items():
                arm = fits[name]
                if arm not in record.arms:
                    continue
                _band(ax, record, "test loss", arm, look, name if ax is axes[0] else None)
                sizes = np.asarray(record.steps("training loss"), dtype=float)
                training = np.exp(_logs(record, "training loss", arm).mean(axis=0))
                ax.plot(sizes, training, color=look["color"], linewidth=0.8, linestyle="--")
            _threshold(ax)
            ax.set_ylim(*EDGES)
            ax.set_title(title)
        axes[0].set_ylabel("squared loss")
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def norms_over_features(record: Record) -> Figure:
    """Draw the length of the weights for every arm that learns from images."""
    figure, (ax,) = canvas()
    arms = [arm for fits in PANELS.values() for arm in fits.values() if arm in record.arms]
    with style():
        for arm, look in looks(arms).items():
            _band(ax, record, "weight norm", arm, look, arm)
        _threshold(ax)
        ax.set_ylabel("length of the weights")
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def teacher_against_theory(record: Record, risk: Callable[[float, float, float], float]) -> Figure:
    """Draw the control's risk seed by seed, and the curve known from theory."""
    figure, (ax,) = canvas()
    arm = "linear teacher"
    with style():
        if arm in record.arms:
            setup = record.setups[arm]
            sizes = np.asarray(record.steps("test loss"), dtype=float)
            fine = np.geomspace(sizes[0], sizes[-1], 400)
            fine = fine[np.abs(np.log(fine)) > 0.02]
            known = [risk(size, setup["signal"], setup["variance"]) for size in fine]
            for side in (fine < 1, fine > 1):
                ax.plot(
                    fine[side], np.array(known)[side], color=INK, linewidth=1.1, linestyle="--",
                    zorder=5, label="theory" if fine[side][0] < 1 else None,
                )  # fmt: skip
            (look,) = looks([arm]).values()
            ax.plot(
                sizes, record.values("test loss", arm).T, color=look["color"], linewidth=0.6,
                alpha=0.25,
            )  # fmt: skip
            _band(ax, record, "test loss", arm, look, "measured")
        _threshold(ax)
        ax.set_ylabel("risk")
        figure.legend(loc="outside upper left", ncols=2)
        ax.set_xlabel("inputs by examples")
    return figure


def _band(
    ax: Axes, record: Record, measure: str, arm: str, look: dict[str, Any], name: str | None
) -> None:
    """Draw the geometric mean of a curve over seeds with its interval."""
    sizes = np.asarray(record.steps(measure), dtype=float)
    mean, half = mean_and_half_width(_logs(record, measure, arm))
    ax.fill_between(
        sizes, np.exp(mean - half), np.exp(mean + half), color=look["color"], alpha=0.22,
        linewidth=0,
    )  # fmt: skip
    ax.plot(sizes, np.exp(mean), label=name, markersize=3, **look)


def _logs(record: Record, measure: str, arm: str) -> Any:
    values = np.asarray(record.values(measure, arm), dtype=float)
    return np.log(np.maximum(values, 1e-30))


def _threshold(ax: Axes) -> None:
    ax.axvline(1.0, color=MUTED, linewidth=1.0, linestyle=":", zorder=0)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ticks = (0.05, 0.2, 1, 4)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel(AXIS)
