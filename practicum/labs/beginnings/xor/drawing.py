"""The figures of the lab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from practicum.evidence import share_interval
from practicum.labs.beginnings.xor.linear import best_in_theory
from practicum.labs.figures import COLOURS, INK, MUTED, PAPER, canvas, label, style
from practicum.learning.back_propagation import Weights, outputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

EDGE = 0.4  # how far beyond the unit square the answers are drawn


def solved_by_width(record: Record, arms: Sequence[str], *, beside: Sequence[str]) -> Figure:
    """Draw the share of solved seeds over the hidden units, other arms in grey beside them."""
    figure, (ax,) = canvas()
    with style():
        for group, colour, marker in ((arms, COLOURS[0], "o"), (beside, MUTED, "s")):
            for arm in (one for one in group if one in record.arms):
                solved = record.values("solved", arm)
                low, high = share_interval(int(solved.sum()), len(solved))
                width, mean = record.setups[arm]["hidden"], float(solved.mean())
                error = [[mean - low], [high - mean]]
                ax.errorbar(width, mean, yerr=error, capsize=4, marker=marker, color=colour)
                ax.annotate(
                    f"{arm}\n{int(solved.sum())} of {len(solved)}",
                    (width, low if mean > 0.2 else high),
                    xytext=(0, -26 if mean > 0.2 else 6),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
        ax.set_xscale("log", base=2)
        ax.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        ax.set_xlim(0.7, 11.5)
        ax.set_ylim(-0.05, 1.05)
        ax.set_xlabel("hidden units")
        ax.set_ylabel("share of starts that solve XOR")
    return figure


def rebuilt(weights: Float[Array, "9"]) -> Weights:
    """Return the 2-2-1 network of one seed from its weights in one row."""
    return Weights(hidden=weights[None, :6].reshape(1, 3, 2), output=weights[None, 6:, None])


def regions(record: Record, arm: str) -> Figure:
    """Draw the answers of the first solved and of the first unsolved seed over the plane."""
    solved = record.values("solved", arm) > 0
    chosen = [
        (int(np.flatnonzero(which)[0]), text)
        for which, text in ((solved, "solved"), (~solved, "not solved"))
        if which.any()
    ]
    side = np.linspace(-EDGE, 1 + EDGE, 121)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    figure, axes = canvas(1, len(chosen), height=2.9 if len(chosen) > 1 else 4.4, sharey=True)
    with style():
        for ax, (row, text) in zip(axes, chosen, strict=True):
            network = rebuilt(record.values("weight", arm)[row])
            answers = outputs(network, points)[0, :, 0].reshape(len(side), len(side))
            image = ax.pcolormesh(
                side, side, answers, cmap="PuOr", vmin=0, vmax=1, shading="gouraud", rasterized=True
            )
            ax.contour(side, side, answers, levels=[0.5], colors=INK, linewidths=1.2)
            for hidden in range(2):
                _line(ax, network.hidden[0, :, hidden])
            for corner, filled in (
                ((0, 0), False),
                ((0, 1), True),
                ((1, 0), True),
                ((1, 1), False),
            ):
                face = INK if filled else PAPER
                ax.plot(*corner, marker="o", markersize=9, color=face, markeredgecolor=INK)
            ax.set_aspect("equal")
            ax.grid(visible=False)
            ax.set_xlim(-EDGE, 1 + EDGE)
            ax.set_ylim(-EDGE, 1 + EDGE)
            ax.set_title(f"{text} (seed {record.seeds[row]})")
            ax.set_xlabel("first input")
        axes[0].set_ylabel("second input")
        figure.colorbar(image, ax=axes, label="output", shrink=0.8)
    return figure


def _line(ax: Any, unit: Float[Array, "3"]) -> None:
    """Draw where the total input of a hidden unit is zero."""
    a, b, c = unit
    direction = np.array([-b, a]) / np.hypot(a, b)
    at = -c * np.array([a, b]) / (a * a + b * b)
    ends = at + np.outer((-3.0, 3.0), direction)
    ax.plot(ends[:, 0], ends[:, 1], color=MUTED, linestyle="--", linewidth=1)


def errors_by_seed(record: Record, arm: str) -> Figure:
    """Draw the error of every seed over the sweeps, those that did not solve it in another look."""
    errors, steps = record.values("error", arm), record.steps("error")
    solved = record.values("solved", arm) > 0
    figure, (ax,) = canvas()
    with style():
        looks = ((solved, "solved", COLOURS[0], "-"), (~solved, "not solved", COLOURS[1], "--"))
        for which, text, colour, dash in looks:
            if which.any():
                lines = ax.plot(steps, errors[which].T, color=colour, linestyle=dash)
                for one in lines:
                    one.set(linewidth=0.8, alpha=0.6)
                lines[0].set_label(f"{text} ({int(which.sum())})")
        ax.set_xlabel("sweeps")
        ax.set_ylabel(label(record, "error"))
        ax.set_ylim(bottom=0)
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def best_by_bits(record: Record, arms: Sequence[str]) -> Figure:
    """Draw the best unit over the number of bits: searched, by the formula, and as trained."""
    chosen = [arm for arm in arms if arm in record.arms]
    bits = np.array([record.setups[arm]["bits"] for arm in chosen])
    more = np.arange(bits.min(), 13)
    figure, (ax,) = canvas()
    with style():
        theory = [best_in_theory(n) for n in more]
        ax.plot(more, theory, color=MUTED, linewidth=3, alpha=0.5, label="formula")
        searched = [float(record.values("best unit", arm)[0]) for arm in chosen]
        look: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": COLOURS[0]}
        ax.plot(bits, searched, markersize=8, label="best unit, searched", **look)
        trained = np.stack([record.values("best on the way", arm) for arm in chosen])
        # Seeds would hide each other: their share of cases is drawn with the count of seeds.
        for n, row in zip(bits, trained, strict=True):
            values, counts = np.unique(row, return_counts=True)
            size = 10 + 70 * counts / counts.sum()
            where = np.full(len(values), n + 0.15)
            named = "trained units" if n == bits[0] else None
            ax.scatter(where, values, s=size, marker="D", color=COLOURS[1], label=named)
        ax.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
        ax.set_xlabel("bits n")
        ax.set_ylabel("share of the 2ⁿ cases right")
        ax.set_xticks(more)
        figure.legend(loc="outside upper left", ncols=3)
    return figure
