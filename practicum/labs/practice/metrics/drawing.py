"""The figures of the lab `metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

PARTS = ("bias", "variance", "noise")
HATCHES = ("", "////", "....")


def detector_curves(record: Record, arms: Sequence[str]) -> Figure:
    """Draw the ROC curves and the precision-recall curves side by side."""
    figure, axes = draw.canvas(1, 2, height=3.4)
    looks = draw.looks(arms)
    with draw.style():
        for ax, measure in zip(axes, ("roc", "pr"), strict=True):
            x = np.asarray(record.steps(measure))
            for arm in arms:
                mean, half = draw.mean_and_half_width(record.values(measure, arm))
                line = {key: looks[arm][key] for key in ("color", "linestyle")}
                ax.plot(x, mean, label=arm if measure == "roc" else None, **line)
                ax.fill_between(x, mean - half, mean + half, color=line["color"], alpha=0.2)
            ax.set_xlim(-0.02, 1.02)
            ax.set_ylim(-0.02, 1.02)
            ax.set_aspect("equal")
        axes[0].plot([0, 1], [0, 1], color=draw.MUTED, linewidth=0.9, linestyle=":")
        share = record.setups[arms[0]]["test_share"]
        axes[1].axhline(share, color=draw.INK, linewidth=0.9, linestyle=":")
        axes[0].set_xlabel("false positive rate")
        axes[0].set_ylabel("true positive rate")
        axes[1].set_xlabel("recall")
        axes[1].set_ylabel("precision")
        figure.legend(loc="outside upper left", ncols=4)
    return figure


def by_share(record: Record, arms: Sequence[str]) -> Figure:
    """Draw four measures of one classifier over the share of positives in the test."""
    chosen = sorted(
        (arm for arm in arms if arm in record.arms),
        key=lambda arm: float(record.setups[arm]["test_share"]),
    )
    x = np.array([record.setups[arm]["test_share"] for arm in chosen])
    figure, (ax,) = draw.canvas()
    with draw.style():
        for measure, look in draw.looks(["auc", "recall", "precision", "f1"]).items():
            seeds = np.stack([record.values(measure, arm) for arm in chosen])  # [arms, seeds]
            mean, half = draw.mean_and_half_width(seeds.T)
            ax.errorbar(x, mean, yerr=half, capsize=3, markersize=5, label=measure, **look)
        ax.set_xscale("log")
        ax.set_xticks(x, [f"{one:g}" for one in x])
        ax.minorticks_off()
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("share of positives in the test")
        ax.set_ylabel("measure")
        figure.legend(loc="outside upper left", ncols=4)
    return figure


def reliability_diagrams(record: Record, arms: Sequence[str]) -> Figure:
    """Draw accuracy over confidence, bin by bin, one panel for each arm."""
    chosen = [arm for arm in arms if arm in record.arms]
    figure, axes = draw.canvas(1, len(chosen), height=2.5, sharey=True)
    looks = draw.looks(chosen)
    with draw.style():
        for ax, arm in zip(axes, chosen, strict=True):
            share, right, confidence = (
                np.sum(record.values(f"bin_{one}", arm), axis=0)
                for one in ("share", "right", "confidence")
            )
            there = share > 0
            at, height = confidence[there] / share[there], right[there] / share[there]
            ax.plot([0, 1], [0, 1], color=draw.MUTED, linewidth=0.9, linestyle=":")
            ax.vlines(at, at, height, color=draw.MUTED, linewidth=1.2)
            ax.scatter(
                at,
                height,
                s=6 + 250 * share[there] / share.sum(),
                color=looks[arm]["color"],
                alpha=0.75,
            )
            error = draw.mean_and_half_width(record.values("calibration_error", arm))[0]
            ax.set_title(f"{arm}\nECE {float(error):.1f} %")
            ax.set_aspect("equal")
            ax.set_xlim(-0.03, 1.08)
            ax.set_ylim(-0.03, 1.08)
            ax.set_xlabel("confidence")
        axes[0].set_ylabel("accuracy")
    return figure


def stacked_parts(record: Record, arms: Sequence[str]) -> Figure:
    """Draw bias, variance and noise on top of each other, and the measured error beside them."""
    figure, (ax,) = draw.canvas()
    at, bottom = np.arange(len(arms), dtype=float), np.zeros(len(arms))
    with draw.style():
        for part, hatch, look in zip(PARTS, HATCHES, draw.looks(PARTS).values(), strict=True):
            means = np.array([np.mean(record.values(part, arm)) for arm in arms])
            heights = np.maximum(means, 0.0)  # an estimate of a small square may be below zero
            name = {"bias": "bias²"}.get(part, part)
            ax.bar(
                at, heights, 0.55, bottom, label=name, color=look["color"], alpha=0.6, hatch=hatch
            )
            bottom += heights
        errors = np.stack([record.values("squared_error", arm) for arm in arms])
        mean, half = draw.mean_and_half_width(errors.T)
        ax.errorbar(
            at + 0.36, mean, yerr=half, fmt="o", color=draw.INK, capsize=3, label="squared error"
        )
        ax.set_xticks(at, [f"{record.setups[arm]['degree'] + 1}" for arm in arms])
        ax.set_xlabel("coefficients of the model")
        ax.set_ylabel("squared error")
        ax.grid(visible=False, axis="x")
        figure.legend(loc="outside upper left", ncols=4)
    return figure
