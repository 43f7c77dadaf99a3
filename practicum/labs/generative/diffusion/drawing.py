"""The figures of the lab `diffusion` that no other lab has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from practicum.engine.services import Services
from practicum.labs import figures as draw
from practicum.labs.generative.diffusion import learning, tasks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from practicum.engine.record import Record
    from practicum.labs.generative.diffusion.experiment import Setup

POINTS, ACROSS, PATHS, SHOWN = 600, 6, 40, 6


def steps(record: Record, arms: Sequence[str]) -> Figure:
    """Draw the distance of samples over the number of steps, DDPM and DDIM."""
    figure, (ax,) = draw.canvas()
    lines = [f"{arm}, {sampler}" for arm in arms for sampler in ("ddpm", "ddim")]
    with draw.style():
        for name, look in draw.looks(lines).items():
            arm, sampler = name.split(", ")
            counts = np.asarray(record.steps(sampler), dtype=float)
            values = np.asarray(record.values(sampler, arm), dtype=float)
            mean, half = draw.mean_and_half_width(np.log(values))
            bars = np.stack(
                [np.exp(mean) - np.exp(mean - half), np.exp(mean + half) - np.exp(mean)]
            )
            ax.errorbar(
                counts, np.exp(mean), yerr=bars, capsize=3, markersize=4.5,
                label=f"{arm}, {sampler.upper()}", **look,
            )  # fmt: skip
        floor = np.asarray(record.values("floor", record.arms[0]), dtype=float).mean()
        ax.axhline(floor, color=draw.MUTED, linewidth=1.2)
        ax.set_xscale("log")
        ax.set_yscale("log")
        if arms:
            ax.set_xticks(counts, [f"{count:g}" for count in counts])
            ax.set_xticks([], minor=True)
        ax.set_xlabel("steps from noise to sample")
        ax.set_ylabel("distance from test data")
        figure.legend(loc="outside upper left", ncols=2, handlelength=2.6)
    return figure


def gallery(trained: Mapping[str, tuple[Setup, Mapping[str, Tensor]]], seed: int) -> Figure:
    """Draw data beside samples, one row for each arm."""
    ways = (("all steps, DDPM", None, 1.0), ("DDPM", "few", 1.0), ("DDIM", "few", 0.0))
    figure, axes = draw.canvas(len(trained), 4, height=1.75 * len(trained))
    with draw.style():
        for row, (arm, (setup, weights)) in enumerate(trained.items()):
            held, network = _ready(setup, weights, seed)
            show(axes[4 * row], held, "test data")
            axes[4 * row].set_ylabel(arm)
            for column, (name, few, eta) in enumerate(ways, start=1):
                count = setup.few if few else setup.times
                made = learning.samples(setup, network, held, seed, count=count, eta=eta)
                show(axes[4 * row + column], made, f"{count} steps, {name}" if few else name)
    return figure


def ways(trained: Mapping[str, tuple[Setup, Mapping[str, Tensor]]], seed: int) -> Figure:
    """Draw the states on the way from noise: above with DDPM's noise, below without (DDIM)."""
    setup, weights = next(iter(trained.values()))
    held, network = _ready(setup, weights, seed)
    figure, axes = draw.canvas(2, SHOWN, height=2.5)
    with draw.style():
        for row, (name, eta) in enumerate((("DDPM", 1.0), ("DDIM", 0.0))):
            states: list[Tensor] = []
            last = learning.samples(
                setup, network, held, seed, count=setup.times, eta=eta,
                visit=_keeping(states),
            )  # fmt: skip
            states.append(last)
            marks = np.linspace(0, len(states) - 1, SHOWN).round().astype(int)
            for column, mark in enumerate(marks):
                ax = axes[SHOWN * row + column]
                show(ax, states[mark], f"{mark} steps" if row == 0 else "")
                if held.ndim == 2:
                    paths = torch.stack(states[: mark + 1])[:, :PATHS].numpy()
                    ax.plot(*paths.transpose(2, 0, 1), color=draw.COLOURS[1], linewidth=0.4)
            axes[SHOWN * row].set_ylabel(name)
    return figure


def _keeping(states: list[Tensor]) -> Callable[[int, Tensor], None]:
    return lambda t, x: states.append(x)


def show(ax: Axes, x: Tensor, title: str) -> None:
    """Draw points as dots, images as one mosaic."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.set_title(title, fontsize=7.5, loc="center")
    if x.ndim == 2:
        ax.plot(*x.T.numpy(), ".", color=draw.COLOURS[0], markersize=1.4)
        ax.set_xlim(-3, 3)
        ax.set_ylim(-3, 3)
        ax.set_aspect("equal")
        return
    across = min(ACROSS, int(len(x) ** 0.5))
    first = x[: across**2, 0]
    mosaic = first.reshape(across, across, *first.shape[1:]).permute(0, 2, 1, 3)
    side = across * first.shape[1]
    ax.imshow(mosaic.reshape(side, -1).numpy(), cmap="gray", vmin=-1, vmax=1)


def _ready(setup: Setup, weights: Mapping[str, Tensor], seed: int) -> tuple[Tensor, nn.Module]:
    """Return test examples and the network of a record."""
    task = tasks.build(setup, (seed,), Services())
    held = task.x[task.test[seed]][: POINTS if task.x.ndim == 2 else ACROSS**2]
    return held, learning.restored(setup, task.x.shape[1], weights)
