"""How the labs draw: one style, and the four pictures that most labs need.

Every function returns a `matplotlib.figure.Figure` with a constrained layout and never touches
pyplot's state; `practicum.labs.style` has the look. A lab's own pictures begin with `canvas`.

Bands and bars are 95 % t-intervals of the mean over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from practicum.errors import PracticumError, unknown
from practicum.labs.style import COLOURS, INK, MUTED, PAPER, WIDTH, canvas, looks, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

__all__ = [
    "COLOURS", "INK", "MUTED", "PAPER", "WIDTH", "against", "canvas", "curves", "dots", "label",
    "looks", "mean_and_half_width", "style", "tiles",
]  # fmt: skip


def mean_and_half_width(
    values: Float[Array, "seeds *shape"],
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Return the mean over seeds and half the width of its 95 % t-interval.

    Entries that are not finite are left out where they occur; an interval needs two seeds and is
    nan below that.
    """
    from practicum.evidence import half_width

    values = np.asarray(values, dtype=np.float64)
    flat = values.reshape(len(values), -1)
    mean, half = np.full((2, flat.shape[1]), np.nan)
    for i, column in enumerate(flat.T):
        there = column[np.isfinite(column)]
        if there.size:
            mean[i] = there.mean()
        if there.size > 1:
            half[i] = half_width(there)
    return mean.reshape(values.shape[1:]), half.reshape(values.shape[1:])


def curves(
    record: Record,
    measure: str,
    *,
    arms: Sequence[str] | None = None,
    x_label: str = "step",
    log_x: bool = False,
    log_y: bool = False,
    each_seed: bool = True,
) -> Figure:
    """Draw a measure over steps: the arms' means with their bands, and each seed as a thin line."""
    chosen = _arms(record, arms)
    steps = np.asarray(record.steps(measure), dtype=np.float64)
    figure, (ax,) = canvas()
    with style():
        for arm, look in looks(chosen).items():
            values = np.asarray(record.values(measure, arm), dtype=np.float64)
            if values.ndim != 2:
                raise PracticumError(
                    f"measure {measure!r} of arm {arm!r} has shape {values.shape}; "
                    "a curve needs [seeds, steps]; draw a single number with `dots`"
                )
            mean, half = mean_and_half_width(values)
            if each_seed:
                ax.plot(steps, values.T, color=look["color"], linewidth=0.6, alpha=0.3)
            ax.fill_between(
                steps, mean - half, mean + half, color=look["color"], alpha=0.22, linewidth=0
            )
            line = {key: look[key] for key in ("color", "linestyle")}
            ax.plot(steps, mean, label=_with_diverged(record, arm), **line)
        if log_x:
            _log(ax, "x")
        if log_y:
            _log(ax, "y")
        ax.set_xlabel(x_label)
        ax.set_ylabel(label(record, measure))
        _legend(figure, len(chosen))
    return figure


def dots(record: Record, measure: str, *, arms: Sequence[str] | None = None) -> Figure:
    """Draw every seed's value of a measure, one row for each arm, with mean and interval.

    Thin lines join the same seed in neighbouring rows: the comparison is paired. A diverged trial
    stands at the value that its measure declared, as in the verdict.
    """
    chosen = _arms(record, arms)
    rows = np.arange(len(chosen))
    table = np.stack([_counted(record, measure, arm) for arm in chosen])
    if table.ndim != 2:
        raise PracticumError(
            f"measure {measure!r} has shape {table.shape[1:]} for each arm; dots need one number "
            "for each seed; draw a curve with `curves`"
        )
    figure, (ax,) = canvas(height=0.9 + 0.52 * len(chosen))
    with style():
        ax.plot(table, rows, color=MUTED, linewidth=0.5, alpha=0.45, zorder=1)
        for row, look in enumerate(looks(chosen).values()):
            drawn = {"color": look["color"], "marker": look["marker"], "linestyle": "none"}
            ax.plot(table[row], np.full(table.shape[1], row), alpha=0.45, markersize=4, **drawn)
            mean, half = mean_and_half_width(table[row])
            ax.errorbar(
                mean, row + 0.24, xerr=half, capsize=3, markersize=6, elinewidth=1.8,
                markeredgecolor=PAPER, markeredgewidth=0.8, **drawn,
            )  # fmt: skip
        ax.set_yticks(rows, [_with_diverged(record, arm, between="\n") for arm in chosen])
        ax.set_ylim(len(chosen) - 0.4, -0.5)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel(label(record, measure))
    return figure


def against(
    record: Record,
    measure: str,
    setting: str,
    *,
    by: Mapping[str, Sequence[str]] | None = None,
    log_x: bool = False,
    log_y: bool = False,
    x_label: str | None = None,
) -> Figure:
    """Draw a measure against a numeric setting that differs between arms.

    Args:
        record: the run.
        measure: a single number for each seed.
        setting: the field of the setup on the horizontal axis.
        by: name of each line and the arms that belong to it; one line of all arms by default.
        log_x: logarithmic horizontal axis.
        log_y: logarithmic vertical axis.
        x_label: label of the horizontal axis; the setting's name by default.
    """
    groups = {"": record.arms} if by is None else by
    found: set[float] = set()
    figure, (ax,) = canvas()
    with style():
        for name, look in looks(list(groups)).items():
            value = {arm: float(record.setups[arm][setting]) for arm in _arms(record, groups[name])}
            chosen = sorted(value, key=value.__getitem__)
            x = np.array([value[arm] for arm in chosen])
            found.update(value.values())
            seeds = np.stack([_counted(record, measure, arm) for arm in chosen])
            mean, half = mean_and_half_width(seeds.T)
            ax.plot(x, seeds, color=look["color"], linewidth=0.6, alpha=0.25)
            ax.errorbar(x, mean, yerr=half, capsize=3, markersize=5, label=name, **look)
        if log_x:
            _log(ax, "x")
        if log_y:
            _log(ax, "y")
        if log_x and len(found) <= 8:
            ax.set_xticks(sorted(found), [f"{one:g}" for one in sorted(found)])
            ax.set_xticks([], minor=True)
        ax.set_xlabel(setting.replace("_", " ") if x_label is None else x_label)
        ax.set_ylabel(label(record, measure))
        if by is not None:
            _legend(figure, len(groups))
    return figure


def tiles(
    images: Float[Array, "images height width"],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 8,
    colours: str = "gray",
    low: float | None = None,
    high: float | None = None,
) -> Figure:
    """Draw small grey pictures (patterns, filters, digits) in a grid, all on one scale."""
    images = np.asarray(images, dtype=np.float64)
    if images.ndim != 3:
        raise PracticumError(f"tiles need [images, height, width], not shape {images.shape}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    side = WIDTH / columns
    figure, axes = canvas(rows, columns, height=rows * (side + (0.2 if titles else 0.0)))
    low = float(np.nanmin(images)) if low is None else low
    high = float(np.nanmax(images)) if high is None else high
    with style():
        for ax in axes:
            ax.set_axis_off()
        for i, image in enumerate(images):
            axes[i].imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
            if titles is not None:
                axes[i].set_title(titles[i], fontsize=8.5, loc="center")
    return figure


def label(record: Record, measure: str) -> str:
    """Return an axis label: the measure in words, and its unit in brackets."""
    unit = _spec(record, measure).get("unit", "")
    return measure.replace("_", " ") + (f" ({unit})" if unit else "")


def _spec(record: Record, measure: str) -> dict[str, Any]:
    specs = {one["name"]: one for one in record.protocol["measures"]}
    if measure not in specs:
        raise unknown("measure", measure, specs)
    return dict(specs[measure])


def _counted(record: Record, measure: str, arm: str) -> Float[Array, "seeds *shape"]:
    """Return an arm's numbers, those of diverged trials at the value that the measure declared."""
    values = np.asarray(record.values(measure, arm), dtype=np.float64)
    declared = _spec(record, measure).get("diverged")
    if values.ndim != 1 or declared is None:
        return values
    return np.where(record.diverged(arm) | ~np.isfinite(values), float(declared), values)


def _arms(record: Record, arms: Sequence[str] | None) -> list[str]:
    for arm in arms or ():
        if arm not in record.arms:
            raise unknown("arm", arm, record.arms)
    return list(record.arms if arms is None else arms)


def _with_diverged(record: Record, arm: str, between: str = " ") -> str:
    count = int(np.sum(record.diverged(arm)))
    return f"{arm}{between}({count} of {len(record.seeds)} diverged)" if count else arm


def _log(ax: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, its ticks written as plain numbers where those are short."""
    from matplotlib.ticker import LogFormatterSciNotation

    class Plain(LogFormatterSciNotation):
        def __call__(self, x: float, pos: int | None = None) -> str:
            text = super().__call__(x, pos)
            return f"{x:g}" if text and 1e-3 <= x < 1e5 else text

    ax.set_xscale("log") if which == "x" else ax.set_yscale("log")
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_formatter(Plain())
    axis.set_minor_formatter(Plain(labelOnlyBase=False, minor_thresholds=(2, 0.5)))


def _legend(figure: Figure, entries: int) -> None:
    """Put the legend above the axes, where it covers no data."""
    figure.legend(loc="outside upper left", ncols=min(entries, 3), handlelength=2.6)
