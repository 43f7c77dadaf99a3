"""The verdict: what is concluded from one claim, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from practicum.errors import PracticumError, unknown

Decision = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict about one claim.

    Attributes:
        sentence: the claim in words.
        kind: kind of claim ("lower", "share", ...).
        measure: name of the measure.
        arms: the arms that the claim looks at.
        verdict: supported, refuted or undecided.
        effect: the estimate; NaN where the outcomes allow none.
        low: lower end of its 95 % interval, which is not adjusted for the lab's other claims.
        high: upper end.
        unit: unit of effect and interval.
        n: number of seeds.
        p: the smallest level at which the interval decides; None where nothing is tested.
        p_adjusted: p after Holm's adjustment over the lab's claims; the verdict follows it.
        skewed: the numbers per seed are too skewed for the interval to cover 95 %.
        skewness: their sample skewness, None where none is assumed to be small.
        diverged: number of diverged trials among those that the claim looks at.
        seeds_needed: for an undecided claim, the seeds at which `matters` is seen with power 0.8.
        matters: the smallest distance from the claim's boundary that must not go unseen.
        rule: the rule, as it was written before the run.
        note: what a reader must know about this verdict.
        says: the verdict in a sentence.
    """

    sentence: str
    kind: str
    measure: str
    arms: tuple[str, ...]
    verdict: Decision
    effect: float
    low: float
    high: float
    unit: str
    n: int
    p: float | None
    p_adjusted: float | None
    skewed: bool
    skewness: float | None
    diverged: int
    seeds_needed: int | None
    matters: float | None
    rule: str
    note: str
    says: str

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON; numbers that JSON lacks become "nan", "inf" and "-inf"."""
        return {one.name: _out(getattr(self, one.name)) for one in fields(self)}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Verdict:
        """Read a verdict that `to_json` wrote.

        Raises:
            PracticumError: a field is missing, or one is not known.
        """
        names = {one.name for one in fields(cls)}
        for name in body:
            if name not in names:
                raise unknown("field of a verdict", name, names)
        if missing := names - set(body):
            raise PracticumError(f"a verdict lacks {', '.join(sorted(missing))}")
        numbers = {"effect", "low", "high", "p", "p_adjusted", "skewness", "matters"}
        values: dict[str, Any] = dict(body)
        for name in numbers:
            values[name] = None if body[name] is None else float(body[name])
        values["arms"] = tuple(body["arms"])
        return cls(**values)


def _out(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
