"""Claims that compare two arms, or an arm with a number: lower, higher, equivalent, ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from practicum.evidence import power
from practicum.evidence.claims import Claim, finite, positive
from practicum.evidence.means import MeanClaim, ends
from practicum.evidence.measures import Measure


def lower(
    measure: str,
    arm: str,
    *,
    than: str | float,
    by: float = 0.0,
    matters: float | None = None,
    sentence: str,
) -> Claim:
    """Claim that the mean of an arm is lower, by more than a margin.

    Args:
        measure: name of the measure, one number per trial.
        arm: the arm that is said to be lower.
        than: the arm, or the fixed number, that it is compared with.
        by: the margin; a negative one claims only "higher by less than that" (non-inferiority).
        matters: distance beyond the margin that must not go unseen, for `seeds_needed`.
        sentence: the claim in words.

    Raises:
        PracticumError: a number makes no sense; the message says which.
    """
    return Difference(
        measure=measure,
        arm=arm,
        than=than,
        direction="lower",
        by=by,
        matters=matters,
        sentence=sentence,
    )


def higher(
    measure: str,
    arm: str,
    *,
    than: str | float,
    by: float = 0.0,
    matters: float | None = None,
    sentence: str,
) -> Claim:
    """Claim that the mean of an arm is higher, by more than a margin; otherwise as `lower`."""
    return Difference(
        measure=measure,
        arm=arm,
        than=than,
        direction="higher",
        by=by,
        matters=matters,
        sentence=sentence,
    )


def equivalent(measure: str, arm: str, *, to: str | float, within: float, sentence: str) -> Claim:
    """Claim that the means of two arms differ by less than `within`.

    Args:
        measure: name of the measure, one number per trial.
        arm: one arm.
        to: the other arm, or a fixed number.
        within: the margin, in the unit of the measure; smaller differences do not matter.
        sentence: the claim in words.

    Raises:
        PracticumError: the margin is not above zero.
    """
    return Equivalent(
        measure=measure, arm=arm, to=to, within=within, matters=within, sentence=sentence
    )


def ratio(
    measure: str,
    arm: str,
    *,
    to: str | float,
    at_least: float | None = None,
    at_most: float | None = None,
    matters: float | None = None,
    sentence: str,
) -> Claim:
    """Claim that the geometric mean of arm / to lies at least, at most, or between two factors.

    Args:
        measure: name of the measure, above zero in every trial.
        arm: the numerator.
        to: the denominator, an arm or a fixed number.
        at_least: the smallest factor that the claim allows.
        at_most: the largest.
        matters: factor (above 1) beyond the bound that must not go unseen.
        sentence: the claim in words.

    Raises:
        PracticumError: no bound is given, or a number makes no sense.
    """
    return Ratio(
        measure=measure,
        arm=arm,
        to=to,
        at_least=at_least,
        at_most=at_most,
        matters=matters,
        sentence=sentence,
    )


def level_of(
    values: Mapping[str, Float[np.ndarray, "seeds"]], name: str | float, log: bool = False
) -> Float[np.ndarray, "seeds"] | float:
    """Return an arm's values, or the number itself where a claim compares with a number."""
    if isinstance(name, str):
        return values[name]
    return math.log(name) if log else float(name)


@dataclass(frozen=True, kw_only=True)
class Difference(MeanClaim):
    """`arm` is lower (or higher) than `than`, by more than `by`."""

    arm: str
    than: str | float
    direction: Literal["lower", "higher"]
    by: float

    @property
    def kind(self) -> str:
        """The kind, as in the catalogue."""
        return self.direction

    @property
    def arms(self) -> tuple[str, ...]:
        """The arm, and what it is compared with."""
        return (self.arm, self.than) if isinstance(self.than, str) else (self.arm,)

    @property
    def bounds(self) -> tuple[float, float]:
        """Below -by, or above by."""
        return (-math.inf, -self.by) if self.direction == "lower" else (self.by, math.inf)

    def validate(self) -> None:
        """Raise PracticumError if a number is not finite."""
        finite(self.sentence, by=self.by)
        super().validate()

    def per_seed(
        self, values: Mapping[str, Float[np.ndarray, "seeds"]]
    ) -> Float[np.ndarray, "seeds"]:
        """Return arm - than."""
        return values[self.arm] - level_of(values, self.than)

    def quantity(self) -> str:
        """Return what is averaged."""
        return f"{self.measure} of {self.arm} minus {_named(self.than)}"

    def unit(self, measure: Measure) -> str:
        """Return the unit of a difference."""
        return measure.difference_unit


@dataclass(frozen=True, kw_only=True)
class Equivalent(MeanClaim):
    """`arm` and `to` differ by less than `within`, in either direction."""

    arm: str
    to: str | float
    within: float

    @property
    def kind(self) -> str:
        """The kind, as in the catalogue."""
        return "equivalent"

    @property
    def arms(self) -> tuple[str, ...]:
        """The arm, and what it is compared with."""
        return (self.arm, self.to) if isinstance(self.to, str) else (self.arm,)

    @property
    def bounds(self) -> tuple[float, float]:
        """Between -within and within."""
        return -self.within, self.within

    def validate(self) -> None:
        """Raise PracticumError if the margin is not above zero."""
        positive(self.sentence, within=self.within)
        super().validate()

    def per_seed(
        self, values: Mapping[str, Float[np.ndarray, "seeds"]]
    ) -> Float[np.ndarray, "seeds"]:
        """Return arm - to."""
        return values[self.arm] - level_of(values, self.to)

    def quantity(self) -> str:
        """Return what is averaged."""
        return f"{self.measure} of {self.arm} minus {_named(self.to)}"

    def unit(self, measure: Measure) -> str:
        """Return the unit of a difference."""
        return measure.difference_unit

    def _needs(self, d: Float[np.ndarray, "seeds"], level: float) -> int | None:
        # No difference at all must be found equivalent with power 0.8: both one-sided tests have
        # to reject, so each may miss in half of the 20 %.
        if d.size < 2:
            return None
        share = 1 - (1 - power.POWER) / 2
        return power.seeds_for_mean(self.within, power.upper_spread(d), level, share)


@dataclass(frozen=True, kw_only=True)
class Ratio(MeanClaim):
    """`arm` divided by `to` lies between two factors; the effect is a geometric mean."""

    arm: str
    to: str | float
    at_least: float | None
    at_most: float | None

    @property
    def kind(self) -> str:
        """The kind, as in the catalogue."""
        return "ratio"

    @property
    def log(self) -> bool:
        """A ratio is a difference of logarithms."""
        return True

    @property
    def back(self) -> bool:
        """It is shown as a ratio again."""
        return True

    @property
    def arms(self) -> tuple[str, ...]:
        """The arm, and what it is divided by."""
        return (self.arm, self.to) if isinstance(self.to, str) else (self.arm,)

    @property
    def bounds(self) -> tuple[float, float]:
        """Between the two factors."""
        return ends(self.at_least, self.at_most)

    def validate(self) -> None:
        """Raise PracticumError if a factor is missing or not above zero."""
        positive(self.sentence, at_least=self.at_least, at_most=self.at_most)
        if not isinstance(self.to, str):
            positive(self.sentence, to=self.to)
        super().validate()

    def per_seed(
        self, values: Mapping[str, Float[np.ndarray, "seeds"]]
    ) -> Float[np.ndarray, "seeds"]:
        """Return log arm - log to."""
        return values[self.arm] - level_of(values, self.to, log=True)

    def quantity(self) -> str:
        """Return what is averaged."""
        return f"{self.measure} of {self.arm} divided by {_named(self.to)}"

    def unit(self, measure: Measure) -> str:
        """Return the unit: a ratio has none."""
        return ""


def _named(other: str | float) -> str:
    return f"that of {other}" if isinstance(other, str) else f"{other:g}"
