"""The figures of the lab `losses`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.labs.figures import INK, MUTED, canvas, looks, mean_and_half_width, style
from practicum.labs.lab import replaced
from practicum.labs.practice.losses.measuring import NOMINAL
from practicum.labs.practice.losses.problems import deviation, draw, truth
from practicum.learning import likelihood

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

LIMITS = (-3.6, 8.5)  # of the pictures' targets
DELTA = 1.0  # of the Huber loss that is drawn, in units of the residual
SHOWN = 150  # training targets that are drawn


def pulls(
    loss: Callable[[Tensor], Tensor], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a loss and its derivative at every point, from the functions that train."""
    at = torch.from_numpy(points).requires_grad_()
    values = torch.stack([loss(one) for one in at])
    (slope,) = torch.autograd.grad(values.sum(), at)
    return values.detach().numpy(), slope.numpy()


def shapes(record: Record) -> Figure:
    """Draw losses of a residual, their derivatives, and what two classifiers' losses pull."""
    zero = torch.zeros((), dtype=torch.float64)
    residual: Mapping[str, Callable[[Tensor], Tensor]] = {
        "squared": lambda r: likelihood.squared(r, zero),
        "absolute": lambda r: likelihood.absolute(r, zero),
        "huber": lambda r: likelihood.huber(r, zero, delta=DELTA),
    }
    right = torch.zeros(1, dtype=torch.long)

    def two_classes(score: Tensor) -> Tensor:
        return torch.stack((score, torch.zeros_like(score)))[None]

    classes: Mapping[str, Callable[[Tensor], Tensor]] = {
        "cross-entropy": lambda z: F.cross_entropy(two_classes(z), right),
        "squared probabilities": lambda z: likelihood.squared_probabilities(two_classes(z), right),
    }
    figure, axes = canvas(1, 3, height=2.9)
    with style():
        points = np.linspace(-4, 4, 201)
        for name, look in _lines(list(residual)).items():
            value, slope = pulls(residual[name], points)
            axes[0].plot(points, value, label=name, **look)
            axes[1].plot(points, slope, **look)
        points = np.linspace(-10, 6, 201)
        for name, look in _lines(list(classes)).items():
            axes[2].plot(points, -pulls(classes[name], points)[1], label=name, **look)
        titles = ("loss", "influence", "pull on the right class")
        labels = ("residual", "residual", "lead of the right class")
        for ax, title, label in zip(axes, titles, labels, strict=True):
            ax.set_title(title)
            ax.set_xlabel(label)
        axes[0].set_ylim(0, 6)
        axes[0].legend(loc="upper center", fontsize=7)
        axes[2].legend(loc="upper right", fontsize=7)
        axes[2].set_ylim(0, 1.35)
    return figure


def races(record: Record) -> Figure:
    """Draw validation error over updates from the ordinary and from the wrong start."""
    panels = {"ordinary start": "class", "confidently wrong start": "wrong"}
    steps = np.asarray(record.steps("validation_error"), dtype=float)
    figure, axes = canvas(1, 2, height=3.2, sharey=True)
    with style():
        for ax, (title, group) in zip(axes, panels.items(), strict=True):
            for name, look in _lines(["cross-entropy", "squared"]).items():
                values = record.values("validation_error", f"{group} {name}")
                mean, half = mean_and_half_width(values)
                ax.plot(steps, values.T, color=look["color"], linewidth=0.5, alpha=0.3)
                ax.fill_between(
                    steps, mean - half, mean + half, color=look["color"], alpha=0.22, linewidth=0
                )
                ax.plot(steps, mean, label=name, **look)
            ax.set_yscale("log")
            ax.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
            ax.set_yticks([], minor=True)
            ax.set_title(title)
            ax.set_xlabel("updates")
        axes[0].set_ylabel("validation error (%)")
        axes[0].legend(loc="upper right")
    return figure


def fits(record: Record) -> Figure:
    """Draw the first seed's fits of the three residual losses, with outliers and without."""
    figure, axes = canvas(1, 2, height=3.4, sharey=True)
    grid = np.asarray(record.steps("fit"), dtype=float)
    with style():
        for ax, group in zip(axes, ("outliers", "clean"), strict=True):
            _targets(ax, record, f"{group} squared")
            ax.plot(grid, truth(torch.from_numpy(grid)).numpy(), color=INK, linewidth=1)
            for name, look in _lines(["squared", "absolute", "huber"]).items():
                ax.plot(grid, record.values("fit", f"{group} {name}")[0], label=name, **look)
            ax.set_title({"outliers": "with outliers", "clean": "without"}[group])
            ax.set_xlabel("input")
            ax.set_ylim(*LIMITS)
        axes[0].set_ylabel("target")
        axes[1].legend(loc="upper left")
    return figure


def bands(record: Record) -> Figure:
    """Draw the first seed's bands of predicted deviation around the predicted mean."""
    figure, axes = canvas(1, 2, height=3.2, sharey=True)
    grid = np.asarray(record.steps("fit"), dtype=float)
    at = torch.from_numpy(grid)
    middle, half = truth(at).numpy(), NOMINAL * deviation(at).numpy()
    arms = ("variance one", "variance learned")
    with style():
        for ax, (arm, look) in zip(axes, looks(arms).items(), strict=True):
            _targets(ax, record, arm)
            fit, wide = record.values("fit", arm)[0], NOMINAL * record.values("spread", arm)[0]
            ax.fill_between(grid, fit - wide, fit + wide, color=look["color"], alpha=0.25)
            ax.plot(grid, fit, color=look["color"])
            for edge in (middle - half, middle + half):
                ax.plot(grid, edge, color=INK, linewidth=0.9)
            ax.set_title({"variance one": "one variance", "variance learned": "learned"}[arm])
            ax.set_xlabel("input")
            ax.set_ylim(-4, 4)
        axes[0].set_ylabel("target")
    return figure


def _lines(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return each name's colour and line style, without a marker."""
    return {
        name: {key: look[key] for key in ("color", "linestyle")}
        for name, look in looks(names).items()
    }


def _targets(ax: Axes, record: Record, arm: str) -> None:
    """Draw training targets of the record's first seed, drawn again from its stream."""
    from practicum.labs.practice.losses.experiment import Setup  # which imports this module

    kept = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in record.setups[arm].items()
    }
    setup = replaced(Setup(), kept)
    test_from = setup.train_size + setup.validation_size
    x, y = draw(setup, test_from + setup.test_size, test_from, streams(record.seeds[0]))
    shown = slice(0, min(SHOWN, setup.train_size))
    ax.plot(
        x[shown, 0].numpy(), y[shown].numpy(), linestyle="none", marker=".", markersize=3,
        color=MUTED, alpha=0.7,
    )  # fmt: skip
