"""What a finished run has to show, computed once for the terminal, the report and the tables.

Nothing is decided here: verdicts come from the record as they were judged. A diverged trial counts
in a mean with the value that its measure declared before the run, as it does in the verdict; where
none was declared it is left out of the mean, and the cell says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from practicum.engine.files import Damaged
from practicum.errors import PracticumError
from practicum.report import format

if TYPE_CHECKING:
    from practicum.engine.record import Record

WORDS = {"supported": "SUPPORTED", "refuted": "REFUTED", "undecided": "UNDECIDED"}
PAIRED = ("lower", "higher", "ratio", "equivalent", "ordered", "interaction", "sooner")
ARROWS = {"lower": "lower is better", "higher": "higher is better", "neither": ""}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One measure of the protocol.

    Attributes:
        name: the measure's name.
        unit: its unit.
        better: `lower`, `higher` or `neither`.
        says: its formula or meaning.
        diverged: the value with which a diverged trial counts, None if none was declared.
        curve: whether it is a curve over steps; then its last point stands in the tables.
    """

    name: str
    unit: str
    better: str
    says: str
    diverged: float | None
    curve: bool

    @property
    def title(self) -> str:
        """The measure in words."""
        words = self.name.replace("_", " ")
        return f"{words}, last step" if self.curve else words

    @property
    def direction(self) -> str:
        """Which direction is better, in words; empty if neither is."""
        return ARROWS.get(self.better, "")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One arm's numbers of one measure.

    Attributes:
        values: one number a seed, as measured (nan where nothing was).
        counted: the same, diverged ones as they count: at the declared value, nan without one.
        diverged: which trials diverged.
        mean: over the trials that count.
        half_width: half of the mean's 95 % t-interval.
        n: trials that count.
        unit: unit of the numbers.
    """

    values: Float[Array, "seeds"]
    counted: Float[Array, "seeds"]
    diverged: Bool[Array, "seeds"]
    mean: float
    half_width: float
    n: int
    unit: str

    @property
    def text(self) -> str:
        """Mean and half-width as they are printed."""
        return format.spread(self.mean, self.half_width, self.unit) if self.n else "no number"


def columns(record: Record) -> list[Column]:
    """Return the measures of a run that have a number for each seed, the primary one first."""
    found = []
    for spec in record.protocol["measures"]:
        dimensions = {
            there.ndim
            for arm in record.arms
            if (there := values(record, spec["name"], arm)) is not None
        }
        if dimensions and dimensions <= {1, 2}:
            about = {key: spec.get(key) or "" for key in ("unit", "better", "says")}
            lost = None if spec.get("diverged") is None else float(spec["diverged"])
            found.append(Column(name=spec["name"], diverged=lost, curve=dimensions == {2}, **about))
    return found


def cell(record: Record, column: Column, arm: str) -> Cell | None:
    """Return an arm's numbers of a measure, None where the arm does not measure it."""
    measured = values(record, column.name, arm)
    if measured is None:
        return None
    if measured.ndim == 2:
        measured = measured[:, -1]
    # As in `practicum.evidence`: a number that is not finite is a diverged trial too.
    lost = np.asarray(record.diverged(arm), dtype=bool) | ~np.isfinite(measured)
    counted = np.where(lost, np.nan if column.diverged is None else column.diverged, measured)
    there = counted[np.isfinite(counted)]
    mean, half_width = mean_and_half_width(there)
    return Cell(
        values=measured,
        counted=counted,
        diverged=lost,
        mean=mean,
        half_width=half_width,
        n=there.size,
        unit=column.unit,
    )


def mean_and_half_width(values: Float[Array, "seeds"]) -> tuple[float, float]:
    """Return the mean and the half-width of its 95 % t-interval; nan where there is none."""
    from practicum.evidence import intervals

    if values.size == 0:
        return float("nan"), float("nan")
    half = float(intervals.half_width(values)) if values.size > 1 else float("nan")
    return float(np.mean(values)), half


def values(record: Record, measure: str, arm: str) -> Float[Array, "seeds *shape"] | None:
    """Return an arm's values of a measure, None where the arm does not measure it."""
    try:
        return np.asarray(record.values(measure, arm), dtype=np.float64)
    except Damaged:
        raise
    except PracticumError:  # this arm does not measure it
        return None


def evidence(verdict: Mapping[str, Any]) -> str:
    """Return what a verdict rests on, in one line: effect, interval, n and adjusted p."""
    inside = [f"n = {verdict['n']}"] if verdict.get("n") else []
    if verdict.get("kind") in PAIRED:
        inside.append("paired")
    inside.append(format.p_value(verdict.get("p_adjusted"), "Holm-adjusted p"))
    rest = ", ".join(part for part in inside if part)
    return " ".join(part for part in (format.effect(verdict), f"({rest})" if rest else "") if part)


def remarks(verdict: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before trusting a verdict: notes, divergence, seeds needed."""
    said = [str(verdict["note"])] if verdict.get("note") else []
    if verdict.get("skewed") and not any("skew" in one for one in said):
        said.append("skewed: the interval covers less than 95 %")
    if count := int(verdict.get("diverged") or 0):
        said.append("1 trial diverged" if count == 1 else f"{count} trials diverged")
    if verdict.get("verdict") == "undecided" and verdict.get("seeds_needed"):
        said.append(
            f"about {verdict['seeds_needed']} fresh seeds would show the smallest effect that "
            "matters"
        )
    return said


def trials(record: Record) -> tuple[int, int]:
    """Return the number of trials, and how many of them diverged."""
    lost = sum(int(np.sum(record.diverged(arm))) for arm in record.arms)
    return len(record.arms) * len(record.seeds), lost


def count(number: int, word: str) -> str:
    """Write a count with its word: `1 trial`, `2 trials`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
