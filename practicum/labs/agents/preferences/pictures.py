"""The figures of the lab `preferences`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from practicum.labs import figures as draw
from practicum.labs.agents.preferences.texts import LETTERS
from practicum.learning.autoregressive import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def frontier(record: Record) -> Figure:
    """Draw the true gain against nats; a line joins the mean places of an arm's policies."""
    figure, (ax,) = draw.canvas(height=3.6)
    with draw.style():
        for arm, look in draw.looks(record.arms).items():
            x, y = (np.asarray(record.values(name, arm), float) for name in ("nats", "true"))
            ax.plot(x.ravel(), y.ravel(), linestyle="none", marker=look["marker"], markersize=3,
                    color=look["color"], alpha=0.35)  # fmt: skip
            middle = [np.concatenate([[0.0], _mean(one)]) for one in (x, y)]
            ax.plot(*middle, label=arm, **look)
        ax.axvline(
            record.setups[record.arms[0]]["far"], color=draw.MUTED, linewidth=0.9, linestyle=":"
        )
        ax.set_xlabel("distance from the reference (nats)")
        ax.set_ylabel("gain of true reward (vowels)")
        figure.legend(loc="outside upper left", ncols=3, handlelength=2.6)
    return figure


def trust(record: Record, arm: str) -> Figure:
    """Draw the paid and the true reward while PPO learns at the lowest beta."""
    measures = {"paid (learned)": "reward_path", "true": "true_path"}
    return _together(record, arm, measures, "reward above that of people's texts")


def likelihood(record: Record, arm: str) -> Figure:
    """Draw how far the chosen and the rejected answers moved while DPO learns."""
    measures = {"chosen": "chosen_path", "rejected": "rejected_path"}
    return _together(record, arm, measures, "change of the log-probability (nats)")


def written(record: Record, arms: Sequence[str]) -> Figure:
    """Show answers of the first seed: of the reference, and of each arm's last two policies."""
    figure, axes = draw.canvas(len(arms), 3, height=1.25 * len(arms))
    with draw.style():
        for row, arm in enumerate(arms):
            setup, kept = record.setups[arm], record.weights(arm, record.seeds[0])
            prices = setup["prices"]
            last = len(prices)
            for column, point in enumerate((0, last - 1, last)):
                ax = axes[3 * row + column]
                ax.set_axis_off()
                title = "reference" if not point else f"{arm}, beta {prices[point - 1]:g}"
                ax.set_title(title, loc="left", fontsize=8.5)
                texts = kept.get(f"written{point}", ())
                lines = [_marked(decode(one, LETTERS), setup["prompt"]) for one in texts]
                ax.text(0, 1, "\n".join(lines), va="top", family="monospace", fontsize=7.5,
                        transform=ax.transAxes, parse_math=False)  # fmt: skip
    return figure


def _together(record: Record, arm: str, measures: Mapping[str, str], y_label: str) -> Figure:
    figure, (ax,) = draw.canvas()
    with draw.style():
        for name, look in draw.looks(list(measures)).items():
            steps = record.steps(measures[name])
            mean, half = draw.mean_and_half_width(record.values(measures[name], arm))
            line = {key: look[key] for key in ("color", "linestyle")}
            ax.fill_between(
                steps, mean - half, mean + half, color=look["color"], alpha=0.22, linewidth=0
            )
            ax.plot(steps, mean, label=name, **line)
        ax.axhline(0, color=draw.MUTED, linewidth=0.9, linestyle=":")
        ax.set_xlabel("updates done (%)")
        ax.set_ylabel(y_label)
        figure.legend(loc="outside upper left", ncols=2, handlelength=2.6)
    return figure


def _mean(values: Float[Array, "seeds points"]) -> Float[Array, "there"]:
    mean: Float[Array, "points"] = draw.mean_and_half_width(values)[0]
    return np.asarray(mean[np.isfinite(mean)])


def _marked(text: str, prompt: int) -> str:
    return f"{text[:prompt]}|{text[prompt:]}"
