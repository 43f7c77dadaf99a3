"""A small picture of a published measure: every seed a dot, above it the mean and its interval.

Drawn straight from the numbers in `results/`, as SVG with text, so that a page of many labs stays
small, follows the reader's colours, and is the same in every byte wherever it is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from practicum.evidence import half_width
from practicum.labs.style import COLOURS
from practicum.report import format

WIDTH, ROW, LEFT, RIGHT, FOOT = 400, 42, 10, 10, 40
LOG_FROM = 30  # largest over smallest from which the axis is logarithmic
TICKS = 5


@dataclass(frozen=True)
class Axis:
    """The horizontal axis.

    Attributes:
        low: left end.
        high: right end.
        log: whether it is logarithmic.
    """

    low: float
    high: float
    log: bool

    def at(self, value: float) -> float:
        """Return where a value lies, in the picture's units."""
        value, low, high = (
            math.log10(one) if self.log else one for one in (value, self.low, self.high)
        )
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return a few round values between the ends."""
        if self.log:
            exponents = range(
                math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1
            )
            for factors in ((1,), (1, 2, 5)):
                found = [f * 10.0**e for e in exponents for f in factors]
                found = [one for one in found if self.low <= one <= self.high]
                if len(found) >= 3:
                    break
            return found[:: max(1, math.ceil(len(found) / TICKS))]
        rough = (self.high - self.low) / TICKS
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(one * unit for one in (1, 2, 5, 10) if one * unit >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [i * step for i in range(first, last + 1)]


def axis_of(values: Sequence[float], ends: Sequence[float] = ()) -> Axis:
    """Return an axis on which all values lie, with a little room at both ends.

    Args:
        values: the numbers; they decide whether the axis is logarithmic.
        ends: ends of intervals, which are shown too where the axis can show them.
    """
    low, high = min(values), max(values)
    if low > 0 and high / low >= LOG_FROM:
        low, high = min([low, *(one for one in ends if one > 0)]), max([high, *ends])
        room = (high / low) ** 0.04
        return Axis(low / room, high * room, True)
    low, high = min([low, *ends]), max([high, *ends])
    room = 0.04 * (high - low) or 0.04 * abs(high) or 1.0
    return Axis(low - room, high + room, False)


def strips(
    values: Mapping[str, Sequence[float]],
    *,
    title: str,
    diverged: Mapping[str, int] | None = None,
) -> Markup | None:
    """Return the picture as an `<svg>` element; None where there is no finite number to draw.

    Args:
        values: arm to one number a seed; those that are not finite are left out.
        title: the measure with its unit, under the axis.
        diverged: arm to how many of its trials diverged; said beside its name.
    """
    finite = {
        arm: [one for one in map(float, row) if math.isfinite(one)] for arm, row in values.items()
    }
    every = [one for row in finite.values() for one in row]
    if not every:
        return None
    axis = axis_of(every, [end for row in finite.values() for end in _interval(row)])
    height = ROW * len(finite) + FOOT
    rows = [
        _row(arm, row, ROW * i, axis, COLOURS[i % len(COLOURS)], (diverged or {}).get(arm, 0))
        for i, (arm, row) in enumerate(finite.items())
    ]
    said = "; ".join(f"{arm}: {_words(row)}" for arm, row in finite.items())
    opening = Markup(
        '<svg class="strips" role="img" aria-label="{}" viewBox="0 0 {} {}" font-size="12">'
    ).format(f"{title}. {said}", WIDTH, height)
    foot = _foot(axis, height - FOOT, title)
    return opening + Markup("\n").join([Markup(""), *rows, foot, Markup("</svg>")])


def _words(row: Sequence[float]) -> str:
    if not row:
        return "no finite number"
    mean, half = _mean(row)
    return format.spread(mean, half)


def _mean(row: Sequence[float]) -> tuple[float, float]:
    numbers = np.asarray(row, dtype=np.float64)
    return float(numbers.mean()), float(half_width(numbers))


def _interval(row: Sequence[float]) -> tuple[float, ...]:
    """Return the two ends of the mean's interval; empty where one seed has none."""
    if len(row) < 2:
        return ()
    mean, half = _mean(row)
    return mean - half, mean + half


def _row(
    arm: str, row: Sequence[float], top: int, axis: Axis, colour: str, diverged: int
) -> Markup:
    label = arm + (f" ({diverged} diverged)" if diverged else "")
    parts = [Markup('<text x="{}" y="{}">{}</text>').format(LEFT, top + 13, escape(label))]
    line = top + 28
    parts.append(_line(LEFT, WIDTH - RIGHT, line, "currentColor", ' stroke-opacity=".15"'))
    parts += [
        Markup('<circle cx="{:.1f}" cy="{}" r="3" fill="{}" fill-opacity=".4"/>').format(
            axis.at(one), line, colour
        )
        for one in row
    ]
    if ends := [axis.at(max(end, axis.low)) for end in _interval(row)]:  # a log axis ends above 0
        parts.append(_line(ends[0], ends[1], line, colour, ' stroke-width="2.5"'))
    if row:
        parts.append(
            Markup('<path d="M{:.1f} {}v14" stroke="{}" stroke-width="2.5"/>').format(
                axis.at(_mean(row)[0]), line - 7, colour
            )
        )
    return Markup("").join(parts)


def _line(start: float, end: float, y: float, colour: str, more: str) -> Markup:
    return Markup('<path d="M{:.1f} {}H{:.1f}" stroke="{}"{}/>').format(
        start, y, end, colour, Markup(more)
    )


def _foot(axis: Axis, top: int, title: str) -> Markup:
    parts = [_line(LEFT, WIDTH - RIGHT, top + 2, "currentColor", "")]
    for tick in axis.ticks():
        x = axis.at(tick)
        parts.append(
            Markup('<path d="M{:.1f} {}v4" stroke="currentColor"/>').format(x, top + 2)
            + Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                x, top + 18, format.number(tick)
            )
        )
    scale = ", logarithmic" if axis.log else ""
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            WIDTH / 2, top + 34, title + scale
        )
    )
    return Markup("").join(parts)
