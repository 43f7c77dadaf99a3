"""The figures of the lab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.labs.figures import COLOURS, INK, MUTED, canvas, mean_and_half_width, style
from practicum.labs.figures import looks as looks_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

NOMINAL = 5.0


def rates(record: Record) -> Figure:
    """Draw one bar for each arm: percent of studies with p < 0.05, and the line at 5 %."""
    arms = list(record.arms)
    rows = np.arange(len(arms))
    means, halves = zip(
        *(mean_and_half_width(record.values("significant", arm)) for arm in arms), strict=True
    )
    tops = np.minimum(np.add(means, np.nan_to_num(halves)), 100.0)  # few seeds: far beyond 100 %
    people = [record.setups[arm]["subjects"] == "people" for arm in arms]
    figure, (ax,) = canvas(height=0.8 + 0.29 * len(arms))
    with style():
        for kind, colour in zip(("people", "networks"), COLOURS, strict=False):
            of_kind = [row for row in rows if people[row] == (kind == "people")]
            ax.barh(of_kind, [means[row] for row in of_kind], color=colour, label=kind, height=0.62)
        bars = (np.minimum(halves, means), tops - means)
        ax.errorbar(means, rows, xerr=bars, linestyle="none", color=INK, capsize=2.5, linewidth=1)
        for row, (mean, top) in enumerate(zip(means, tops, strict=True)):
            ax.text(float(top) + 1.2, row, f"{mean:.1f}", va="center", fontsize=8.5)
        ax.axvline(NOMINAL, color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
        ax.annotate(
            "5 %", (NOMINAL, -0.62), (2, 0), textcoords="offset points", va="bottom", fontsize=8.5
        )
        ax.set_yticks(rows, arms)
        ax.set_ylim(len(arms) - 0.4, -0.7)
        ax.set_xlim(0, 1.12 * max(float(tops.max()), 10.0))
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("studies that report p < 0.05 (%)")
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def p_curves(record: Record, arms: Sequence[str]) -> Figure:
    """Draw the share of significant p-values in each fifth of 0 to 0.05, one line for each arm."""
    middles = np.asarray(record.steps("p-curve"), dtype=float)
    chosen = [arm for arm in arms if arm in record.arms]
    figure, (ax,) = canvas()
    with style():
        ax.axhline(100.0 / len(middles), color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)))
        for arm, look in looks_of(chosen).items():
            mean, half = mean_and_half_width(record.values("p-curve", arm))
            bars = (np.minimum(half, mean), np.minimum(half, 100.0 - mean))  # few seeds: wider
            ax.errorbar(middles, mean, yerr=bars, capsize=2.5, markersize=5, label=arm, **look)
        width = middles[1] - middles[0]
        edges = np.append(middles - width / 2, middles[-1] + width / 2)
        ax.set_xticks(edges, [f"{edge:.2f}" for edge in np.abs(edges)])
        ax.set_ylim(bottom=0)
        ax.set_xlim(edges[0], edges[-1])
        ax.set_xlabel("p")
        ax.set_ylabel("of the significant p (%)")
        figure.legend(loc="outside upper left", ncols=4)
    return figure


def looks(record: Record, arm: str) -> Figure:
    """Draw one study of each batch look by look, and how many were significant by then."""
    at = np.asarray(record.steps("p while peeking"), dtype=float)
    paths = record.values("p while peeking", arm)
    mean, half = mean_and_half_width(record.values("significant so far", arm))
    figure, (left, right) = canvas(1, 2, height=3.0)
    with style():
        ever = [bool((path < 0.05).any()) for path in paths]
        for path, crossed in zip(paths, ever, strict=True):
            colour = COLOURS[1] if crossed else MUTED
            left.plot(at, path, color=colour, linewidth=1.1 if crossed else 0.8, alpha=0.8)
        left.axhline(0.05, color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
        left.set_yscale("log")
        left.set_ylim(min(0.01, float(paths.min())), 1.0)
        left.set_yticks([0.01, 0.05, 0.1, 0.5, 1.0], ["0.01", "0.05", "0.1", "0.5", "1"])
        left.minorticks_off()
        left.set_ylabel("p")
        left.set_title(f"{sum(ever)} of {len(paths)} were below 0.05 once")
        right.fill_between(at, mean - half, mean + half, color=COLOURS[0], alpha=0.3, linewidth=0)
        right.plot(at, mean, color=COLOURS[0])
        right.axhline(NOMINAL, color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
        right.set_ylim(bottom=0)
        right.set_ylabel("significant so far (%)")
        for ax in (left, right):
            ax.set_xlabel("people in each group")
    return figure
