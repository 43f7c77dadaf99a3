"""What every kind of claim has in common: how it is stated, and what it finds in the outcomes.

A claim says that a quantity lies in a region. One principle decides all kinds that rest on a
sample: look at the interval of the quantity.

    interval wholly inside the region     supported
    interval wholly outside               refuted
    otherwise                             undecided

p is the smallest level at which the interval decides. A verdict is then wrong only if the interval
misses the truth, which happens with probability at most p's level, whatever the truth is; so Holm's
adjustment over the p of all claims of a lab (judge.py) bounds the chance of any wrong verdict.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from practicum.errors import PracticumError, unknown
from practicum.evidence.measures import Measure
from practicum.evidence.outcomes import Outcomes


def _unanswerable(level: float) -> int | None:
    """Return no number of seeds: the claim names no effect that matters."""
    return None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one claim finds before the other claims are taken into account.

    Attributes:
        effect: the estimate; NaN where the outcomes do not allow one.
        low: lower end of its 95 % interval, not adjusted for the other claims.
        high: upper end.
        n: how many independent repetitions stand behind it.
        p: the smallest level at which the interval decides; None where nothing is tested.
        favours: True for the claim, False against it, None for neither.
        skewness: of the numbers per seed, where the interval assumes that they are normal.
        skewed: the skewness is beyond its limit.
        diverged: number of diverged trials among those that the claim looks at.
        note: what a reader must know about this finding.
        needs: from the level of the test to the number of seeds at which `matters` is seen.
    """

    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int
    p: float | None
    favours: bool | None
    skewness: float | None = None
    skewed: bool = False
    diverged: int = 0
    note: str = ""
    needs: Callable[[float], int | None] = _unanswerable


def undecidable(n: int, diverged: int, note: str) -> Finding:
    """Return the finding of a claim that these outcomes do not allow to be judged."""
    return Finding(n=n, p=1.0, favours=None, diverged=diverged, note=note)


@dataclass(frozen=True, kw_only=True)
class Claim(ABC):
    """One falsifiable sentence about one measure, and the test that decides it.

    Attributes:
        measure: name of the measure.
        sentence: the claim in words.
    """

    measure: str
    sentence: str

    def __post_init__(self) -> None:
        if not self.sentence.strip():
            raise PracticumError(f"a claim about {self.measure!r} has no sentence")
        if len(set(self.arms)) != len(self.arms):
            raise PracticumError(
                f"claim {self.sentence!r} compares an arm with itself: {', '.join(self.arms)}"
            )
        self.validate()

    @property
    @abstractmethod
    def kind(self) -> str:
        """The name of the kind, as in the catalogue."""

    @property
    @abstractmethod
    def arms(self) -> tuple[str, ...]:
        """The arms that the claim looks at."""

    @property
    @abstractmethod
    def rule(self) -> str:
        """How the claim is decided, in words; written into the protocol before the run."""

    @abstractmethod
    def validate(self) -> None:
        """Raise PracticumError if the claim's numbers make no sense."""

    @abstractmethod
    def find(self, outcomes: Outcomes, measure: Measure) -> Finding:
        """Look at the outcomes."""

    @abstractmethod
    def quantity(self) -> str:
        """Return what `effect` is, in words."""

    @abstractmethod
    def unit(self, measure: Measure) -> str:
        """Return the unit of `effect`."""

    def check(self, measure: Measure) -> None:  # noqa: B027  (most kinds fit any measure)
        """Raise PracticumError if the claim does not fit its measure; most kinds fit any."""

    def spec(self) -> dict[str, Any]:
        """Return the claim as JSON, for the protocol."""
        return {"kind": self.kind, **_plain(asdict(self)), "rule": self.rule}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def check(claims: Sequence[Claim], arms: Iterable[str], measures: Sequence[Measure]) -> None:
    """Check that claims, arms and measures fit each other.

    Raises:
        PracticumError: a claim names an arm or measure that does not exist (the near one is
            suggested) or does not fit its measure; a measure or a claim is stated twice.
    """
    names = [measure.name for measure in measures]
    for name in names:
        if names.count(name) > 1:
            raise PracticumError(f"two measures are named {name!r}; each needs its own name")
    known, by_name = tuple(arms), dict(zip(names, measures, strict=True))
    for claim in claims:
        if list(claims).count(claim) > 1:
            raise PracticumError(f"claim {claim.sentence!r} is stated twice")
        if claim.measure not in by_name:
            raise unknown("measure", claim.measure, by_name)
        for arm in claim.arms:
            if arm not in known:
                raise unknown("arm", arm, known)
        claim.check(by_name[claim.measure])


def finite(claim: str, **numbers: float | None) -> None:
    """Raise PracticumError if one of the numbers that are given is not finite."""
    for name, value in numbers.items():
        if value is not None and not math.isfinite(value):
            raise PracticumError(f"claim {claim!r}: {name} is {value}; expected a finite number")


def positive(claim: str, **numbers: float | None) -> None:
    """Raise PracticumError if one of the numbers that are given is not above zero."""
    finite(claim, **numbers)
    for name, value in numbers.items():
        if value is not None and value <= 0:
            raise PracticumError(f"claim {claim!r}: {name} is {value}; expected more than zero")


def number(value: float, width: float | None = None) -> str:
    """Return a number as a sentence shows it, with a true minus sign.

    It has three digits, or the decimals that show an interval of some width with two digits.
    """
    if math.isinf(value):
        return "\N{MINUS SIGN}\N{INFINITY}" if value < 0 else "\N{INFINITY}"
    value = value or 0.0  # a negative zero is a zero
    text = f"{value:.3g}"
    if width and math.isfinite(width) and 1e-6 < width < 1e4:
        text = f"{value:.{max(0, 1 - math.floor(math.log10(width)))}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def region(low: float | None, high: float | None) -> str:
    """Return a region of the line in words."""
    if low is None or low == -math.inf:
        return f"below {number(high)}" if high is not None else "anything"
    if high is None or high == math.inf:
        return f"above {number(low)}"
    return f"between {number(low)} and {number(high)}"
