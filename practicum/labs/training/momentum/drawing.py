"""The figures of the lab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.labs.figures import canvas, looks, mean_and_half_width, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

EXPONENTS = {"gradient descent": 1.0, "heavy ball": 0.5}


def steps_over_condition(record: Record, families: Mapping[str, Sequence[str]]) -> Figure:
    """Draw the steps needed over the condition number, one line for each family of arms.

    A family named in EXPONENTS gets a grey guide of that slope.
    """
    figure, (ax,) = canvas()
    with style():
        for name, look in looks(list(families)).items():
            arms = [arm for arm in families[name] if arm in record.arms]
            if not arms:
                continue
            x = np.array([record.setups[arm]["condition"] for arm in arms])
            seeds = np.stack([record.values("iterations", arm) for arm in arms])  # [arms, seeds]
            ax.plot(x, seeds, linestyle="none", marker=".", markersize=3, color=look["color"])
            ax.plot(x, mean_and_half_width(seeds.T)[0], label=name, markersize=5, **look)
            if name in EXPONENTS:
                guide = float(np.mean(seeds[0])) * (x / x[0]) ** EXPONENTS[name]
                ax.plot(x, guide, color="#808080", linewidth=3, alpha=0.4, zorder=0)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("condition number κ")
        ax.set_ylabel("iterations (steps)")
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def loss_over_noise(record: Record, arms: Sequence[str]) -> Figure:
    """Draw the loss at the end over the length of the noise."""
    noises = np.asarray(record.steps("loss by noise"), dtype=float)
    positive = noises[noises > 0]
    # Zero has no place on a logarithmic axis: it is drawn a decade left of the weakest noise.
    x = np.where(noises > 0, noises, (positive.min() if len(positive) else 1.0) / 10.0)
    figure, (ax,) = canvas()
    with style():
        for arm, look in looks(arms).items():
            values = np.log10(np.maximum(record.values("loss by noise", arm), 1e-9))
            mean, half = mean_and_half_width(values)
            ax.errorbar(x, mean, yerr=half, capsize=2.5, markersize=4, label=arm, **look)
        ax.set_xscale("log")
        ax.set_xticks(x, ["none" if one == 0 else f"{one:g}" for one in noises])
        ax.minorticks_off()
        ax.set_xlabel("length of the noise (first gradients)")
        ax.set_ylabel("log10 of loss, end / start")
        figure.legend(loc="outside upper left", ncols=2)
    return figure
