"""The figures of the lab `sgd`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from practicum.labs.figures import MUTED, canvas, looks, mean_and_half_width, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

SMALLEST = 1e-12  # an excess is drawn at least here: below, it is rounding


def _there(record: Record, arms: Sequence[str]) -> list[str]:
    return [arm for arm in arms if arm in record.arms]


def excess_over_updates(record: Record, panels: Mapping[str, Sequence[str]]) -> Figure:
    """Draw the excess over updates, a panel for each task, with a grey guide like 1/t.

    Means and intervals are those of the logarithm, so that a curve is a geometric mean.
    """
    shown = {title: arms for title, names in panels.items() if (arms := _there(record, names))}
    figure, axes = canvas(1, len(shown), height=3.9, sharey=True)
    steps = np.asarray(record.steps("excess"), dtype=float)
    with style():
        for ax, (title, arms) in zip(axes, shown.items(), strict=True):
            for arm, look in looks(arms).items():
                values = np.log10(np.maximum(record.values("excess", arm), SMALLEST))
                mean, half = mean_and_half_width(values)
                line = {key: look[key] for key in ("color", "linestyle")}
                ax.fill_between(
                    steps, 10 ** (mean - half), 10 ** (mean + half), color=look["color"],
                    alpha=0.22, linewidth=0,
                )  # fmt: skip
                ax.plot(steps, 10**mean, label=arm.split(" ", 1)[1], **line)
            ends = np.maximum(record.values("excess", arms[0])[:, -1], SMALLEST)
            guide = float(np.exp(np.log(ends).mean())) * steps[-1] / steps
            ax.plot(steps, guide, color=MUTED, linewidth=4, alpha=0.35, zorder=0)
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_title(title, pad=4)
            ax.set_xlabel("updates")
            ax.legend(loc="lower left", fontsize=7.5)
        axes[0].set_ylabel("excess over the minimum")
    return figure


def floor_over_step(record: Record, families: Mapping[str, Sequence[str]]) -> Figure:
    """Draw the floor of constant steps over the step, with grey guides proportional to it."""
    figure, (ax,) = canvas()
    with style():
        for name, look in looks(list(families)).items():
            arms = _there(record, families[name])
            if not arms:
                continue
            x = np.array([record.setups[arm]["step"] for arm in arms])
            seeds = np.stack([record.values("floor", arm) for arm in arms])  # [arms, seeds]
            ax.plot(x, seeds, linestyle="none", marker=".", markersize=3, color=look["color"])
            ax.plot(x, mean_and_half_width(seeds.T)[0], label=name, markersize=5, **look)
            guide = float(np.mean(seeds[0])) * x / x[0]
            ax.plot(x, guide, color=MUTED, linewidth=3, alpha=0.4, zorder=0)
        ax.set_xscale("log")
        ax.set_yscale("log")
        steps = sorted(
            {
                record.setups[arm]["step"]
                for arms in families.values()
                for arm in _there(record, arms)
            }
        )
        ax.set_xticks(steps, [f"{one:g}" for one in steps])
        ax.set_xticks([], minor=True)
        ax.set_xlabel("constant step γ")
        ax.set_ylabel("mean excess, second half of the run")
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def paths(record: Record, arms: Sequence[str]) -> Figure:
    """Draw one seed's way through the bowl, in its flattest and its steepest direction."""
    shown = _there(record, arms)
    figure, axes = canvas(1, len(shown), height=2.5, sharex=True, sharey=True)
    reach = max(float(np.abs(_late(record, arm)).max()) for arm in shown)
    with style():
        for ax, (arm, look) in zip(axes, looks(shown).items(), strict=True):
            flat, steep = _late(record, arm)
            shade = np.linspace(0.15, 1.0, len(flat)).tolist()
            ax.plot(flat, steep, color=look["color"], linewidth=0.7, alpha=0.5)
            ax.scatter(flat, steep, s=12, color=look["color"], alpha=shade, linewidths=0)
            ax.plot(0, 0, marker="+", markersize=12, color=MUTED, markeredgewidth=2)
            ax.set_title(arm.split(" ", 1)[1])
            ax.set_xlabel("flattest direction")
            ax.set_xlim(-1.1 * reach, 1.1 * reach)
            ax.set_ylim(-1.1 * reach, 1.1 * reach)
            ax.set_box_aspect(1)
        axes[0].set_ylabel("steepest direction")
    return figure


def _late(record: Record, arm: str) -> NDArray[np.float64]:
    """Return the first seed's distance from the optimum after the first tenth, [2, points]."""
    steps = np.asarray(record.steps("flat"), dtype=float)
    way = np.stack([record.values(name, arm)[0] for name in ("flat", "steep")])
    return way[:, steps >= min(steps[-1] / 10, steps[-2])]
