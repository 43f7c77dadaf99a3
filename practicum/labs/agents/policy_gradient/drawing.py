"""The figures of the lab `policy-gradient` that compare estimators at a fixed policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from practicum.labs.agents.policy_gradient.estimating import ESTIMATORS
from practicum.labs.figures import MUTED, canvas, looks, mean_and_half_width, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

POLICIES = {"start": "first weights", "half": "half trained"}


def variances(record: Record) -> Figure:
    """Draw each estimator's variance as a share of that of the whole return."""
    figure, axes = canvas(1, 2, sharey=True, height=2.8)
    with style():
        for ax, (arm, title) in zip(axes, POLICIES.items(), strict=True):
            if arm in record.arms:
                values = np.asarray(record.values("variance", arm), dtype=float)
                _rows(ax, values / values[:, :1])
            ax.set_title(title)
            ax.set_xlabel("variance / that of return")
            ax.set_xlim(left=0)
    return figure


def means(record: Record) -> Figure:
    """Draw the length of each estimator's mean gradient, that of "mean" being 1."""
    figure, axes = canvas(1, 2, sharey=True, height=2.8)
    with style():
        for ax, (arm, title) in zip(axes, POLICIES.items(), strict=True):
            ax.axvline(1.0, color=MUTED, linewidth=1)
            if arm in record.arms:
                _rows(ax, np.asarray(record.values("along", arm), dtype=float))
            ax.set_title(title)
            ax.set_xlabel("mean gradient / that of mean")
    return figure


def _rows(ax: Axes, values: Float[Array, "seeds estimators"]) -> None:
    mean, half = mean_and_half_width(values)
    for row, look in enumerate(looks(list(ESTIMATORS)).values()):
        drawn = {"color": look["color"], "marker": look["marker"], "linestyle": "none"}
        ax.plot(values[:, row], np.full(len(values), row), alpha=0.4, markersize=3, **drawn)
        ax.errorbar(mean[row], row + 0.25, xerr=half[row], capsize=3, markersize=5, **drawn)
    ax.set_yticks(range(len(ESTIMATORS)), list(ESTIMATORS))
    ax.set_ylim(len(ESTIMATORS) - 0.4, -0.5)
