"""Claims that leave no exception: a bound that holds in every trial, a value that is exact.

    a violation     refuted, p = 0                    (1)
    none            p = (1 - rare)^n, n seeds         (2)

"Holds in every trial" is a universal statement. One counterexample refutes it, and no test is
needed. No number of trials proves it; what n seeds without a violation do show is that violations
are rare. So the claim states how rare (`rare`), and p is the chance that n seeds pass although a
share `rare` of all seeds would violate the bound. The seed is the unit, not the trial: trials of
one seed in several arms share their start, and often violate together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from practicum.errors import PracticumError
from practicum.evidence import intervals
from practicum.evidence.claims import Claim, Finding, finite, number, undecidable
from practicum.evidence.measures import Measure
from practicum.evidence.outcomes import Outcomes
from practicum.evidence.shares import condition, within

RARE = 0.2


def bounded(
    measure: str,
    *,
    arms: Sequence[str],
    at_least: float | None = None,
    at_most: float | None = None,
    rare: float = RARE,
    sentence: str,
) -> Claim:
    """Claim that a bound holds in every trial of some arms.

    Args:
        measure: name of the measure, one number per trial.
        arms: the arms whose trials are looked at.
        at_least: the lower bound.
        at_most: the upper bound.
        rare: share of violating seeds that must be excluded for the claim to be supported.
        sentence: the claim in words.

    Raises:
        PracticumError: no arm, no bound, or `rare` is no share.
    """
    return Bounded(
        measure=measure,
        over=tuple(arms),
        at_least=at_least,
        at_most=at_most,
        rare=rare,
        sentence=sentence,
    )


def exact(measure: str, arm: str, *, value: float, tolerance: float = 0.0, sentence: str) -> Claim:
    """Claim that every trial gives one value, for quantities that no seed changes.

    Nothing is estimated here, so there is no p, and Holm's adjustment leaves the claim out.

    Args:
        measure: name of the measure, one number per trial.
        arm: the arm.
        value: the value.
        tolerance: the largest distance from the value that still counts as equal.
        sentence: the claim in words.

    Raises:
        PracticumError: a number is not finite, or the tolerance is negative.
    """
    return Exact(measure=measure, arm=arm, value=value, tolerance=tolerance, sentence=sentence)


@dataclass(frozen=True, kw_only=True)
class Bounded(Claim):
    """A bound holds in every trial."""

    over: tuple[str, ...]
    at_least: float | None
    at_most: float | None
    rare: float

    @property
    def kind(self) -> str:
        """The kind, as in the catalogue."""
        return "bounded"

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms whose trials are looked at."""
        return self.over

    @property
    def rule(self) -> str:
        """How the claim is decided."""
        return (
            f"The {self.quantity()}. Refuted by a single violation. Supported if there is none and"
            f" (1 - {number(self.rare)})^n, the chance of that in n seeds if a share of"
            f" {number(self.rare)} of all seeds violated the bound, is at most 5 % after Holm's"
            " adjustment over the lab's claims; otherwise undecided. The interval is Clopper and"
            " Pearson's for the share of violating seeds."
        )

    def validate(self) -> None:
        """Raise PracticumError if arms or bounds make no sense."""
        finite(self.sentence, at_least=self.at_least, at_most=self.at_most)
        if not self.over:
            raise PracticumError(f"claim {self.sentence!r} names no arm")
        if self.at_least is None and self.at_most is None:
            raise PracticumError(f"claim {self.sentence!r} needs at_least or at_most")
        if not 0 < self.rare < 1:
            raise PracticumError(f"claim {self.sentence!r}: rare is a share, not {self.rare}")

    def find(self, outcomes: Outcomes, measure: Measure) -> Finding:
        """Look for a violation."""
        pairs = [outcomes.numbers(measure, arm) for arm in self.over]
        values = np.stack([value for value, _ in pairs])  # [arms, seeds]
        n, diverged = values.shape[1], sum(int(lost.sum()) for _, lost in pairs)
        known = ~np.isnan(values)
        violates = known & ~within(values, self.at_least, self.at_most)
        if not violates.any() and not known.all():
            return undecidable(n, diverged, f"{measure.name} declares no value for diverged trials")
        k = int(violates.any(axis=0).sum())
        low, high = intervals.share_interval(k, n)
        smallest, largest = number(float(values[known].min())), number(float(values[known].max()))
        return Finding(
            effect=k / n,
            low=low,
            high=high,
            n=n,
            p=0.0 if k else (1 - self.rare) ** n,  # Eq. (1), Eq. (2)
            favours=not k,
            diverged=diverged,
            note=f"{int(violates.sum())} of {values.size} trials violate the bound; the values go"
            f" from {smallest} to {largest}",
            needs=lambda level: math.ceil(math.log(level) / math.log(1 - self.rare)),
        )

    def quantity(self) -> str:
        """Return what the effect is."""
        bound = condition(self.at_least, self.at_most)
        return (
            f"share of seeds that violate the bound: {self.measure} {bound} in every trial of"
            f" {', '.join(self.over)}"
        )

    def unit(self, measure: Measure) -> str:
        """Return the unit: a share has none."""
        return ""


@dataclass(frozen=True, kw_only=True)
class Exact(Claim):
    """Every trial of an arm gives one value."""

    arm: str
    value: float
    tolerance: float

    @property
    def kind(self) -> str:
        """The kind, as in the catalogue."""
        return "exact"

    @property
    def arms(self) -> tuple[str, ...]:
        """The one arm."""
        return (self.arm,)

    @property
    def rule(self) -> str:
        """How the claim is decided."""
        return (
            f"The {self.quantity()}. Supported if it is {self.value:.12g} within"
            f" {self.tolerance:.3g} in every trial, otherwise refuted. Nothing is estimated: no p,"
            " and in place of an interval the smallest and the largest value."
        )

    def validate(self) -> None:
        """Raise PracticumError if value or tolerance make no sense."""
        finite(self.sentence, value=self.value, tolerance=self.tolerance)
        if self.tolerance < 0:
            raise PracticumError(f"claim {self.sentence!r}: the tolerance is negative")

    def find(self, outcomes: Outcomes, measure: Measure) -> Finding:
        """Compare every trial with the value."""
        values, lost = outcomes.numbers(measure, self.arm)
        known, diverged = values[~np.isnan(values)], int(lost.sum())
        wrong = known[np.abs(known - self.value) > self.tolerance]
        if not wrong.size and known.size < values.size:
            note = f"{measure.name} declares no value for diverged trials"
            return Finding(n=values.size, p=None, favours=None, diverged=diverged, note=note)
        return Finding(
            effect=float(known[np.argmax(np.abs(known - self.value))]),
            low=float(known.min()),
            high=float(known.max()),
            n=values.size,
            p=None,
            favours=not wrong.size,
            diverged=diverged,
            note=f"{wrong.size} of {values.size} trials differ from {self.value:.12g}",
        )

    def quantity(self) -> str:
        """Return what the effect is."""
        return f"{self.measure} of {self.arm}"

    def unit(self, measure: Measure) -> str:
        """Return the unit of the measure."""
        return measure.unit
