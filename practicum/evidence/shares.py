"""Claims about the share of an arm's trials that meet a condition.

    p = 2 min( P(X >= k), P(X <= k) ),   X binomial(n, the claimed share)          (1)

This is the exact test that belongs to the interval of Clopper and Pearson (Biometrika 26 (1934)
404-413). No trial's value is assumed to follow any distribution; only the count matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from practicum.errors import PracticumError
from practicum.evidence import intervals, power
from practicum.evidence.claims import Claim, Finding, finite, number, positive, undecidable
from practicum.evidence.measures import Measure
from practicum.evidence.outcomes import Outcomes


def share(
    measure: str,
    arm: str,
    *,
    value_at_least: float | None = None,
    value_at_most: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    matters: float | None = None,
    sentence: str,
) -> Claim:
    """Claim that at least (or at most) a share of an arm's trials meets a condition.

    Args:
        measure: name of the measure, one number per trial.
        arm: the arm.
        value_at_least: a trial meets the condition if its value is at least this, and
        value_at_most: at most this.
        at_least: the claimed share from below, or
        at_most: from above.
        matters: distance of the share beyond the bound that must not go unseen.
        sentence: the claim in words.

    Raises:
        PracticumError: no condition, not exactly one bound, or a bound that is no share.
    """
    return Share(
        measure=measure,
        arm=arm,
        value_at_least=value_at_least,
        value_at_most=value_at_most,
        at_least=at_least,
        at_most=at_most,
        matters=matters,
        sentence=sentence,
    )


@dataclass(frozen=True, kw_only=True)
class Share(Claim):
    """A share of the trials of one arm meets a condition."""

    arm: str
    value_at_least: float | None
    value_at_most: float | None
    at_least: float | None
    at_most: float | None
    matters: float | None

    @property
    def kind(self) -> str:
        """The kind, as in the catalogue."""
        return "share"

    @property
    def arms(self) -> tuple[str, ...]:
        """The one arm."""
        return (self.arm,)

    @property
    def bound(self) -> float:
        """The claimed share."""
        return self.at_least if self.at_least is not None else float(self.at_most or 0.0)

    @property
    def rule(self) -> str:
        """How the claim is decided."""
        sides = ("below", "above") if self.at_least is None else ("above", "below")
        return (
            f"The {self.quantity()}. Supported if its Clopper-Pearson interval lies wholly"
            f" {sides[0]} {number(self.bound)}, refuted if wholly {sides[1]}, otherwise undecided;"
            " the interval is at 95 %, made wider as Holm's adjustment over the lab's claims asks."
        )

    def validate(self) -> None:
        """Raise PracticumError if condition or bound make no sense."""
        name = self.sentence
        finite(name, value_at_least=self.value_at_least, value_at_most=self.value_at_most)
        positive(name, matters=self.matters)
        if self.value_at_least is None and self.value_at_most is None:
            raise PracticumError(f"claim {name!r} needs value_at_least or value_at_most")
        if (self.at_least is None) == (self.at_most is None):
            raise PracticumError(f"claim {name!r} needs at_least or at_most, not both")
        if not 0 < self.bound < 1:
            raise PracticumError(
                f"claim {name!r}: a share of {self.bound} cannot be tested; expected between 0"
                " and 1 (for 'every trial' use `bounded`)"
            )

    def find(self, outcomes: Outcomes, measure: Measure) -> Finding:
        """Count the trials that meet the condition."""
        values, lost = outcomes.numbers(measure, self.arm)
        n, diverged = values.size, int(lost.sum())
        if np.isnan(values).any():
            return undecidable(n, diverged, f"{measure.name} declares no value for diverged trials")
        k = int(within(values, self.value_at_least, self.value_at_most).sum())
        below, above = intervals.share_tests(k, n, self.bound)
        p_for, p_against = (below, above) if self.at_least is None else (above, below)
        low, high = intervals.share_interval(k, n)
        return Finding(
            effect=k / n,
            low=low,
            high=high,
            n=n,
            p=min(1.0, 2 * min(p_for, p_against)),
            favours=None if p_for == p_against else p_for < p_against,
            diverged=diverged,
            note=f"{k} of {n} trials",
            needs=self._needs,
        )

    def _needs(self, level: float) -> int | None:
        if self.matters is None:
            return None
        return power.trials_for_share(self.bound, self.matters, level)

    def quantity(self) -> str:
        """Return what the effect is."""
        met = condition(self.value_at_least, self.value_at_most)
        return f"share of the trials of {self.arm} with {self.measure} {met}"

    def unit(self, measure: Measure) -> str:
        """Return the unit: a share has none."""
        return ""


def within(
    values: Float[np.ndarray, "*trials"], low: float | None, high: float | None
) -> Bool[np.ndarray, "*trials"]:
    """Return which values lie between two bounds, each of which may be missing."""
    inside = np.ones(values.shape, dtype=bool)
    if low is not None:
        inside &= values >= low
    if high is not None:
        inside &= values <= high
    return inside


def condition(low: float | None, high: float | None) -> str:
    """Return the two bounds in words."""
    if low is None:
        return f"at most {number(float(high or 0.0))}"
    return f"at least {number(low)}" + ("" if high is None else f" and at most {number(high)}")
