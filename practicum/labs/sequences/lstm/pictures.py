"""The figure of the lab `lstm` that no other lab has: what the networks read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from practicum.engine.noise import GlobalNoise
from practicum.engine.seeds import streams
from practicum.labs import figures as show
from practicum.labs.sequences.lstm.data import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTH = 30


def examples() -> Figure:
    """Draw a sequence of each task, the marked numbers and the telling ones filled."""
    figure, axes = show.canvas(2, 1, height=4.2)
    with streams(0).noise():
        adding = draw(GlobalNoise(), "adding", 1, LENGTH, 1)
        two = draw(GlobalNoise(), "two-sequence", 1, LENGTH, 3)
    with show.style():
        for ax, task, name in ((axes[0], adding, "adding"), (axes[1], two, "two-sequence")):
            numbers = task.x[0, : int(task.last[0]) + 1].numpy()
            time = np.arange(len(numbers))
            tells = numbers[:, 1] == 1 if name == "adding" else time < 3
            ax.vlines(time, 0, numbers[:, 0], color=show.MUTED, linewidth=0.8)
            ax.plot(time, numbers[:, 0], "o", color=show.MUTED, markersize=3)
            ax.plot(time[tells], numbers[tells, 0], "o", color=show.COLOURS[1], markersize=7)
            ax.set_title(f"{name}: the answer is {float(task.target[0]):.2f}")
            ax.set_ylabel("number")
        axes[1].set_xlabel("time step")
    return figure
