"""Claims about a pattern over several arms: a slope over a setting, an interaction of two factors.

    slope of seed i     b_i = sum_a (x_a - mean x) y_ia / sum_a (x_a - mean x)^2      (1)
    interaction         d_i = (both_i - second_i) - (first_i - neither_i)            (2)

Both give one number per seed, so that seeds, not arms, are the repetitions: the residuals around
one line through all points are not independent, because the arms share their seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from practicum.errors import PracticumError
from practicum.evidence.claims import Claim, finite, positive
from practicum.evidence.means import MeanClaim, ends
from practicum.evidence.measures import Measure


def slope(
    measure: str,
    *,
    over: Mapping[str, float],
    setting: str = "x",
    log_x: bool = False,
    log_y: bool = False,
    at_least: float | None = None,
    at_most: float | None = None,
    matters: float | None = None,
    sentence: str,
) -> Claim:
    """Claim that a measure changes with a numeric setting at least, at most, or about so fast.

    Args:
        measure: name of the measure, one number per trial.
        over: the arms and the value of the setting in each.
        setting: the setting's name, for the report.
        log_x: take the natural logarithm of the setting.
        log_y: take the natural logarithm of the measure; with both, the slope is the exponent.
        at_least: the smallest slope that the claim allows.
        at_most: the largest.
        matters: distance beyond the bound that must not go unseen.
        sentence: the claim in words.

    Raises:
        PracticumError: fewer than two different settings, a logarithm of a number that is not
            above zero, or no bound.
    """
    return Slope(
        measure=measure,
        points=tuple((arm, float(x)) for arm, x in over.items()),
        setting=setting,
        log_x=log_x,
        log_y=log_y,
        at_least=at_least,
        at_most=at_most,
        matters=matters,
        sentence=sentence,
    )


def interaction(
    measure: str,
    *,
    neither: str,
    first: str,
    second: str,
    both: str,
    at_least: float | None = None,
    at_most: float | None = None,
    matters: float | None = None,
    sentence: str,
) -> Claim:
    """Claim that what the first factor does changes when the second is present.

    The effect is (both - second) - (first - neither): how much larger the difference that the
    first factor makes is with the second factor than without it.

    Args:
        measure: name of the measure, one number per trial.
        neither: arm without either factor.
        first: arm with the first factor only.
        second: arm with the second factor only.
        both: arm with both.
        at_least: the smallest difference of differences that the claim allows.
        at_most: the largest.
        matters: distance beyond the bound that must not go unseen.
        sentence: the claim in words.

    Raises:
        PracticumError: an arm appears twice, or no bound is given.
    """
    return Interaction(
        measure=measure,
        neither=neither,
        first=first,
        second=second,
        both=both,
        at_least=at_least,
        at_most=at_most,
        matters=matters,
        sentence=sentence,
    )


@dataclass(frozen=True, kw_only=True)
class Slope(MeanClaim):
    """The least-squares slope of the measure over a setting, fitted for each seed."""

    points: tuple[tuple[str, float], ...]
    setting: str
    log_x: bool
    log_y: bool
    at_least: float | None
    at_most: float | None

    @property
    def kind(self) -> str:
        """The kind, as in the catalogue."""
        return "slope"

    @property
    def log(self) -> bool:
        """Whether the measure is taken as its logarithm."""
        return self.log_y

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms along the setting."""
        return tuple(arm for arm, _ in self.points)

    @property
    def bounds(self) -> tuple[float, float]:
        """The claimed range of the slope."""
        return ends(self.at_least, self.at_most)

    def validate(self) -> None:
        """Raise PracticumError if no line can be fitted or no bound is given."""
        settings = {arm: x for arm, x in self.points}
        if len(set(settings.values())) < 2:
            raise PracticumError(f"claim {self.sentence!r}: a slope needs two different settings")
        (positive if self.log_x else finite)(self.sentence, **settings)
        finite(self.sentence, at_least=self.at_least, at_most=self.at_most)
        super().validate()

    def per_seed(
        self, values: Mapping[str, Float[np.ndarray, "seeds"]]
    ) -> Float[np.ndarray, "seeds"]:
        """Return the slope of each seed."""
        x = np.array([value for _, value in self.points])
        x = np.log(x) if self.log_x else x
        x = x - x.mean()
        y = np.stack([values[arm] for arm in self.arms])  # [arms, seeds]
        return np.asarray(x @ y / (x @ x))  # Eq. (1)

    def quantity(self) -> str:
        """Return what is averaged."""
        y = f"log {self.measure}" if self.log_y else self.measure
        return f"slope of {y} over {'log ' if self.log_x else ''}{self.setting}"

    def unit(self, measure: Measure) -> str:
        """Return the unit of the slope; an exponent has none."""
        over = "" if self.log_x else f" per {self.setting}"
        return (("" if self.log_y else measure.difference_unit) + over).strip()


@dataclass(frozen=True, kw_only=True)
class Interaction(MeanClaim):
    """The difference of differences in a 2 x 2 design."""

    neither: str
    first: str
    second: str
    both: str
    at_least: float | None
    at_most: float | None

    @property
    def kind(self) -> str:
        """The kind, as in the catalogue."""
        return "interaction"

    @property
    def arms(self) -> tuple[str, ...]:
        """The four arms."""
        return self.neither, self.first, self.second, self.both

    @property
    def bounds(self) -> tuple[float, float]:
        """The claimed range of the difference of differences."""
        return ends(self.at_least, self.at_most)

    def validate(self) -> None:
        """Raise PracticumError if no bound is given."""
        finite(self.sentence, at_least=self.at_least, at_most=self.at_most)
        super().validate()

    def per_seed(
        self, values: Mapping[str, Float[np.ndarray, "seeds"]]
    ) -> Float[np.ndarray, "seeds"]:
        """Return the difference of differences of each seed."""
        neither, first, second, both = (values[arm] for arm in self.arms)
        return np.asarray((both - second) - (first - neither))  # Eq. (2)

    def quantity(self) -> str:
        """Return what is averaged."""
        return (
            f"{self.measure}, ({self.both} minus {self.second}) minus"
            f" ({self.first} minus {self.neither})"
        )

    def unit(self, measure: Measure) -> str:
        """Return the unit of a difference."""
        return measure.difference_unit
