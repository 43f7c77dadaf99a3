"""Claims about the order of several arms: each one higher (or lower) than the one before.

The quantity is the smallest mean step between neighbours, in the claimed direction, m = min_j d_j.

    low   = min_j (lower 97.5 % limit of step j)                                   (1)
    high  = min_j (upper limit of step j at 1 - 0.025 / (k - 1)),  k arms          (2)
    p     = 2 min( max_j p_j,  (k - 1) min_j q_j )                                 (3)

with p_j and q_j the one-sided paired t-tests of "step j is above / below the margin". The maximum
needs no adjustment for the k - 1 steps: all of them must be shown (intersection-union test, Berger,
"Multiparameter hypothesis testing and acceptance sampling", Technometrics 24 (1982) 295-300). To
refute, one step suffices, so its chance is divided among them (Bonferroni).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from practicum.errors import PracticumError
from practicum.evidence import intervals, power
from practicum.evidence.claims import Claim, Finding, finite, number, positive, undecidable
from practicum.evidence.means import ONE_SEED, SKEWED, ZERO_SPREAD
from practicum.evidence.measures import Measure
from practicum.evidence.outcomes import Outcomes


def ordered(
    measure: str,
    *,
    rising: Sequence[str] = (),
    falling: Sequence[str] = (),
    by: float = 0.0,
    matters: float | None = None,
    sentence: str,
) -> Claim:
    """Claim that the mean of a measure rises (or falls) from each arm to the next.

    Args:
        measure: name of the measure, one number per trial.
        rising: the arms from the lowest to the highest; or
        falling: the arms from the highest to the lowest.
        by: the margin that every step must exceed.
        matters: distance of a step beyond the margin that must not go unseen.
        sentence: the claim in words.

    Raises:
        PracticumError: both or neither of the two lists, fewer than two arms, or bad numbers.
    """
    if bool(rising) == bool(falling):
        raise PracticumError(f"claim {sentence!r}: give the arms as rising or as falling")
    return Ordered(
        measure=measure,
        order=tuple(rising or falling),
        falls=bool(falling),
        by=by,
        matters=matters,
        sentence=sentence,
    )


@dataclass(frozen=True, kw_only=True)
class Ordered(Claim):
    """Every step along a list of arms goes the claimed way."""

    order: tuple[str, ...]
    falls: bool
    by: float
    matters: float | None

    @property
    def kind(self) -> str:
        """The kind, as in the catalogue."""
        return "ordered"

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms in their claimed order."""
        return self.order

    @property
    def rule(self) -> str:
        """How the claim is decided."""
        return (
            f"The {self.quantity()}. Supported if the paired t-test shows every step to be above"
            f" {number(self.by)} (the largest p counts: intersection-union test), refuted if a step"
            " is shown to be below it (Bonferroni over the steps), otherwise undecided; 5 % with"
            " Holm's adjustment over the lab's claims."
        )

    def validate(self) -> None:
        """Raise PracticumError if there is no step or a number makes no sense."""
        finite(self.sentence, by=self.by)
        positive(self.sentence, matters=self.matters)
        if len(self.order) < 2:
            raise PracticumError(f"claim {self.sentence!r}: an order needs two arms")

    def find(self, outcomes: Outcomes, measure: Measure) -> Finding:
        """Look at the steps between neighbours."""
        pairs = [outcomes.numbers(measure, arm) for arm in self.order]
        diverged = sum(int(lost.sum()) for _, lost in pairs)
        n = len(outcomes.seeds)
        values = [value for value, _ in pairs]
        if np.isnan(np.stack(values)).any():
            return undecidable(n, diverged, f"{measure.name} declares no value for diverged trials")
        sign = -1.0 if self.falls else 1.0
        steps = [
            intervals.settle(sign * (after - before), after, before)
            for before, after in itertools.pairwise(values)
        ]
        below, above = zip(*(intervals.t_tests(d, self.by) for d in steps), strict=True)
        p_for, p_against = max(above), min(1.0, len(steps) * min(below))  # Eq. (3)
        each = intervals.LEVEL / len(steps)
        skews = [s for s in map(intervals.skewness, steps) if s is not None]
        skew = max(skews, key=abs, default=None)
        skewed = intervals.is_skewed(skew, n)
        flat = n > 1 and any(float(np.ptp(d)) == 0.0 for d in steps)
        notes = {ZERO_SPREAD: flat, SKEWED: skewed, ONE_SEED: n == 1}
        return Finding(
            effect=min(float(d.mean()) for d in steps),
            low=min(intervals.mean_interval(d)[0] for d in steps),  # Eq. (1)
            high=min(intervals.mean_interval(d, each)[1] for d in steps),  # Eq. (2)
            n=n,
            p=min(1.0, 2 * min(p_for, p_against)),
            favours=None if p_for == p_against else p_for < p_against,
            skewness=skew,
            skewed=skewed,
            diverged=diverged,
            note="; ".join(note for note, holds in notes.items() if holds),
            needs=lambda level: self._needs(steps, level),
        )

    def _needs(self, steps: Sequence[np.ndarray], level: float) -> int | None:
        if self.matters is None or steps[0].size < 2:
            return None
        # Every step must be found: each may miss its share of the 20 %.
        share = 1 - (1 - power.POWER) / len(steps)
        return max(
            power.seeds_for_mean(self.matters, power.upper_spread(d), level, share) for d in steps
        )

    def quantity(self) -> str:
        """Return what the effect is."""
        way = "fall" if self.falls else "rise"
        return f"smallest mean {way} of {self.measure} along {', '.join(self.order)}"

    def unit(self, measure: Measure) -> str:
        """Return the unit of a difference."""
        return measure.difference_unit
