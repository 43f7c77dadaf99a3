"""The figures of the lab `dqn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from practicum.labs.figures import (
    INK,
    MUTED,
    canvas,
    curves,
    dots,
    looks,
    mean_and_half_width,
    style,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def _worlds(record: Record) -> dict[str, list[str]]:
    """Return the arms of each environment."""
    found: dict[str, list[str]] = {}
    for arm in record.arms:
        found.setdefault(str(record.setups[arm]["environment"]), []).append(arm)
    return found


def _learners(record: Record, environment: str | None = None) -> list[str]:
    return [
        arm
        for arm in record.arms
        if record.setups[arm]["learns"] and environment in (None, record.setups[arm]["environment"])
    ]


def curves_of_returns(record: Record) -> Figure:
    """Draw the returns over steps of the environment, a panel for each environment."""
    worlds = _worlds(record)
    figure, axes = canvas(len(worlds), 1, height=3.4 * len(worlds))
    share = record.steps("return") / 100
    with style():
        for ax, (environment, arms) in zip(axes, worlds.items(), strict=True):
            for arm, look in looks(arms).items():
                setup = record.setups[arm]
                steps = setup["start"] + share * setup["steps"] * setup["copies"]
                each = record.values("return", arm)
                mean, half = mean_and_half_width(each)
                ax.plot(steps, each.T, color=look["color"], linewidth=0.5, alpha=0.25)
                ax.fill_between(
                    steps, mean - half, mean + half, color=look["color"], alpha=0.2, linewidth=0
                )
                line = {key: look[key] for key in ("color", "linestyle")}
                ax.plot(steps, mean, label=arm, **line)
            ax.set_title(environment, pad=24)
            ax.legend(loc="lower left", bbox_to_anchor=(0, 0.98), ncols=5, borderpad=0, fontsize=8,
                      columnspacing=1.0, handlelength=1.8)  # fmt: skip
            ax.set_xlabel("steps of the environment")
            ax.set_ylabel("return")
    return figure


def areas(record: Record) -> Figure:
    """Draw every seed's area."""
    return dots(record, "area")


def promises(record: Record) -> Figure:
    """Draw overestimation over training on CartPole."""
    figure = curves(
        record,
        "overestimation_curve",
        arms=_learners(record, "CartPole-v1") or _learners(record),
        x_label="updates done (%)",
        each_seed=False,
    )
    with style():
        ax = figure.axes[0]
        ax.axhline(0.0, color=INK, linewidth=0.8)
        ax.set_ylabel("highest Q minus return")
    return figure


def episodes(record: Record) -> Figure:
    """Draw values along the first seed's greedy episode with the returns that followed."""
    arms = _learners(record)
    rows = -(-len(arms) // 2)
    figure, axes = canvas(max(1, rows), 2, height=1.9 * max(1, rows))
    with style():
        for ax, (arm, look) in zip(axes, looks(arms).items(), strict=False):
            value = record.values("episode_values", arm)[0]
            follows = record.values("episode_returns", arm)[0]
            at = np.arange(len(value))
            ax.fill_between(at, follows, 0.0, color=MUTED, alpha=0.35, linewidth=0)
            ax.plot(at, value, color=look["color"], linewidth=1.3)
            ax.set_title(arm)
        for ax in axes[len(arms) :]:
            ax.set_axis_off()
        for ax in axes[-2:]:
            ax.set_xlabel("step of the episode")
    return figure
