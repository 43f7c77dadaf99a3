"""The figures of the lab `td-learning`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.labs.agents.td_learning.worlds import (
    HEIGHT,
    WIDTH,
    best,
    cliff,
    random_walk,
    values_of,
)
from practicum.labs.figures import INK, MUTED, canvas, curves, looks, mean_and_half_width, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from practicum.engine.record import Record

SMOOTHED = 10  # episodes in one point of the curve of returns


def _of(record: Record, world: str, methods: Sequence[str] | None = None) -> list[str]:
    """Return the arms of a world that the record has."""
    return [
        arm
        for arm in record.arms
        if record.setups[arm]["world"] == world
        and (methods is None or record.setups[arm]["method"] in methods)
    ]


def errors(record: Record) -> Figure:
    """Draw the distance from the exact values over episodes."""
    return curves(
        record,
        "error_by_episode",
        arms=_of(record, "walk"),
        x_label="episodes",
        each_seed=False,
    )


def values(record: Record) -> Figure:
    """Draw the first seed's values of the states, a panel for each rule."""
    arms = _of(record, "walk", ("td", "monte carlo"))
    figure, axes = canvas(1, max(1, len(arms)), sharey=True)
    stages = {"1": "first_values", "10": "early_values", "all": "last_values"}
    with style():
        for ax, arm in zip(axes, arms, strict=False):
            world = random_walk(record.setups[arm]["states"])
            exact = values_of(world, np.full((len(world.ends), 2), 0.5))[~world.ends]
            states = 1 + np.arange(len(exact))
            ax.plot(states, exact, color=INK, linewidth=2.4, label="exact", zorder=0)
            for (name, measure), look in zip(
                stages.items(), looks(list(stages)).values(), strict=True
            ):
                ax.plot(states, record.values(measure, arm)[0], label=name, markersize=4, **look)
            ax.set_title(arm)
            ax.set_xlabel("state")
            ax.set_xticks(states)
        axes[0].set_ylabel("value")
        axes[0].legend(loc="upper left")
    return figure


def returns(record: Record) -> Figure:
    """Draw the reward an episode over episodes, smoothed, with the exact value as a guide."""
    arms = _of(record, "cliff")
    figure, (ax,) = canvas()
    with style():
        for arm, look in looks(arms).items():
            curve = np.asarray(record.values("return_by_episode", arm), dtype=float)
            wide = min(SMOOTHED, curve.shape[1])
            kept = curve[:, : curve.shape[1] // wide * wide]
            mean, half = mean_and_half_width(kept.reshape(len(kept), -1, wide).mean(2))
            at = wide * (1 + np.arange(len(mean)))
            line = {key: look[key] for key in ("color", "linestyle")}
            ax.fill_between(at, mean - half, mean + half, color=look["color"], alpha=0.22, lw=0)
            ax.plot(at, mean, label=arm, **line)
        world = cliff()
        epsilon = float(record.setups[arms[0]]["epsilon"]) if arms else 0.1
        ax.axhline(_exploring_value(epsilon), color=MUTED, linewidth=4, alpha=0.4, zorder=0)
        ax.set_ylim(-100.0, best(world)[world.start].max() + 10)
        ax.set_xlabel("episodes")
        ax.set_ylabel("reward an episode")
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def _exploring_value(epsilon: float) -> float:
    """Return the start's value under the best policy that explores."""
    world = cliff()
    there = best(world, epsilon)[world.start]
    return float((1 - epsilon) * there.max() + epsilon * there.mean())


def ways(record: Record) -> Figure:
    """Draw how many of the runs' greedy ways pass each cell of the cliff, a panel for each arm."""
    arms = _of(record, "cliff")
    figure, axes = canvas(max(1, len(arms)), 1, height=1.5 * max(1, len(arms)))
    with style():
        for ax, arm in zip(axes, arms, strict=False):
            share = record.values("passed", arm).mean(0).reshape(HEIGHT, WIDTH)
            ax.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal")
            ax.add_patch(_edge())
            ax.text(WIDTH / 2 - 0.5, HEIGHT - 1, "cliff", ha="center", va="center", color="white")
            for place, name in ((0, "S"), (WIDTH - 1, "G")):
                ax.text(place, HEIGHT - 1, name, ha="center", va="center", color="#d8480f")
            ax.set_title(arm, pad=3)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.grid(visible=False)
    return figure


def _edge() -> Rectangle:
    from matplotlib import patches  # slow to load: only when a figure is drawn

    return patches.Rectangle((0.5, HEIGHT - 1.5), WIDTH - 2, 1.0, facecolor="#505050")


def lefts(record: Record) -> Figure:
    """Draw the share of runs that choose the losing action over episodes."""
    arms = _of(record, "bias")
    figure = curves(record, "left_by_episode", arms=arms, x_label="episodes", each_seed=False)
    with style():
        least = 50.0 * float(record.setups[arms[0]]["epsilon"]) if arms else 5.0
        figure.axes[0].axhline(least, color=MUTED, linewidth=4, alpha=0.4, zorder=0)
    return figure
