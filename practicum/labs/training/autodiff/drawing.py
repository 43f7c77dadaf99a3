"""The figures of the lab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.autograd import Tensor, gradients, graph, tanh
from practicum.autograd.drawing import caption, layout
from practicum.labs.figures import (
    COLOURS,
    INK,
    MUTED,
    PAPER,
    canvas,
    looks,
    mean_and_half_width,
    style,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

BOUND = 5.0


def cost_over_inputs(record: Record, families: Mapping[str, Sequence[str]]) -> Figure:
    """Draw the cost over the number of inputs, one line for each family of arms."""
    figure, (ax,) = canvas(height=3.6)
    with style():
        ax.axhline(BOUND, color=MUTED, linewidth=3, alpha=0.4, zorder=0)
        for name, look in looks(list(families)).items():
            arms = [arm for arm in families[name] if arm in record.arms]
            if not arms:
                continue
            x = np.array([record.setups[arm]["inputs"] for arm in arms])
            seeds = np.stack([record.values("cost", arm) for arm in arms])  # [arms, seeds]
            ax.plot(x, seeds, linestyle="none", marker=".", markersize=3, color=look["color"])
            ax.plot(x, mean_and_half_width(seeds.T)[0], label=name, markersize=5, **look)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("inputs n")
        ax.set_ylabel("cost (function values)")
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def error_over_step(record: Record, arms: Sequence[str], exact: Sequence[str]) -> Figure:
    """Draw the error of differences over their step, beside the range of reverse mode's."""
    figure, (ax,) = canvas()
    with style():
        reverse = np.stack([record.values("error", arm) for arm in exact if arm in record.arms])
        least = max(float(reverse.min()), 1e-17)  # an error of zero has no logarithm
        ax.axhspan(
            least, max(float(reverse.max()), 2 * least), color=MUTED, alpha=0.35, linewidth=0
        )
        steps = np.asarray(record.steps("error by step"), dtype=float)
        for arm, look in looks([arm for arm in arms if arm in record.arms]).items():
            logs = np.log10(np.maximum(record.values("error by step", arm), 1e-17))
            mean, half = mean_and_half_width(logs)
            ax.fill_between(
                steps, 10 ** (mean - half), 10 ** (mean + half), color=look["color"], alpha=0.22,
                linewidth=0,
            )  # fmt: skip
            label = arm.replace("differences", "n =")
            ax.plot(steps, 10**mean, label=label, markersize=4, **look)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("step h")
        ax.set_ylabel("error")
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def graph_of() -> Figure:
    """Draw a small graph and that of its gradient: blue, what only the gradient needs."""
    x, w = Tensor(0.5, "x"), Tensor(2.0, "w")
    y = (w * tanh(x)) ** 2
    (dw,) = gradients(y, [w], differentiable=True)
    value, places = {id(node) for node in graph(y)}, layout(y, dw)
    high = [height for _, height in places.values()]
    figure, (ax,) = canvas(height=1.1 + 0.62 * (max(high) - min(high)))
    with style():
        for node, (column, height) in places.items():
            for parent in node.parents:
                a, b = places[parent]
                arrow = {"arrowstyle": "-|>", "color": MUTED, "shrinkA": 15, "shrinkB": 15}
                arrow["connectionstyle"] = f"arc3,rad={0.45 if column - a > 1 else 0.0}"
                ax.annotate("", (column, -height), (a, -b), arrowprops=arrow)
            name = {id(y): f"{caption(node)}\n= y", id(dw): f"{caption(node)}\n= dy/dw"}
            ax.text(
                column, -height, name.get(id(node), caption(node)), ha="center", va="center",
                fontsize=9, color=INK, zorder=4, bbox={
                    "boxstyle": "round,pad=0.35", "facecolor": PAPER, "linewidth": 1.4,
                    "edgecolor": MUTED if id(node) in value else COLOURS[0],
                },
            )  # fmt: skip
        columns = [column for column, _ in places.values()]
        ax.set_xlim(min(columns) - 0.5, max(columns) + 0.6)
        ax.set_ylim(-max(high) - 1.0, -min(high) + 0.6)
        ax.set_axis_off()
    return figure
