"""Claims about the mean of one number per seed: what differences, ratios and slopes share.

Every kind here turns the arms' values of one seed into one number d, so that what the arms of a
seed share (initialisation, data order, split) cancels, and asks where the mean of d lies.

    one boundary b      p = 2 min(P(T <= t), P(T >= t)),  t = (mean d - b) / (s / sqrt(n))   (1)
    two boundaries      inside:  twice the larger one of the two one-sided p                 (2)
                        outside: twice the smaller one of the two outward p

Eq. (1) is Student's paired t-test (1908). The inside of Eq. (2) is the two one-sided tests of
Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for assessing
the equivalence of average bioavailability", J. Pharmacokinetics and Biopharmaceutics 15 (1987)
657-680.

Deviation: Schuirmann tests each side at 5 %, which goes with a 90 % interval. Here each side has
2.5 %, so that the 95 % interval that is printed and the verdict agree, as for every other kind.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from practicum.errors import PracticumError
from practicum.evidence import intervals, power
from practicum.evidence.claims import Claim, Finding, positive, region, undecidable
from practicum.evidence.measures import Measure
from practicum.evidence.outcomes import Outcomes

ZERO_SPREAD = "all seeds agree: the interval has no width, and p is the sign test's, 2^(1-n)"
SKEWED = "the numbers per seed are skewed: such intervals cover less than 95 %"
ONE_SEED = "one seed has no spread: nothing can be decided"


@dataclass(frozen=True, kw_only=True)
class MeanClaim(Claim):
    """A claim that the mean of one number per seed lies in a region.

    Attributes:
        matters: distance beyond the claim's boundary that must not go unseen, in the unit of the
            effect (for a ratio: a factor above 1); `seeds_needed` is computed for it.
    """

    matters: float | None = None

    @abstractmethod
    def per_seed(
        self, values: Mapping[str, Float[np.ndarray, "seeds"]]
    ) -> Float[np.ndarray, "seeds"]:
        """Return d, one number per seed, from the arms' values (logs where `log` is true)."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """The claimed region of the effect; an end may be infinite."""

    @property
    def log(self) -> bool:
        """Whether the values are taken as natural logarithms."""
        return False

    @property
    def back(self) -> bool:
        """Whether effect and interval are transformed back from the logarithm."""
        return False

    @property
    def rule(self) -> str:
        """How the claim is decided."""
        mean = "geometric mean" if self.back else "mean"
        return (
            f"One number per seed: {self.quantity()}. Supported if the t-interval of its {mean}"
            f" lies wholly {region(*self.bounds)}, refuted if wholly outside, otherwise undecided;"
            " the interval is at 95 %, made wider as Holm's adjustment over the lab's claims asks."
        )

    def validate(self) -> None:
        """Raise PracticumError if `matters` or the bounds make no sense."""
        positive(self.sentence, matters=self.matters)
        if self.back and self.matters is not None and self.matters <= 1:
            raise PracticumError(f"claim {self.sentence!r}: matters is a factor above 1")
        low, high = self.bounds
        if low == -math.inf and high == math.inf:
            raise PracticumError(f"claim {self.sentence!r} needs at_least or at_most")
        if not low < high:
            raise PracticumError(f"claim {self.sentence!r}: {low} is not below {high}")

    def find(self, outcomes: Outcomes, measure: Measure) -> Finding:
        """Look at the mean over the seeds."""
        pairs = {arm: outcomes.numbers(measure, arm) for arm in self.arms}
        values = {arm: value for arm, (value, _) in pairs.items()}
        diverged = sum(int(lost.sum()) for _, lost in pairs.values())
        n = len(outcomes.seeds)
        stacked = np.stack(list(values.values()))
        if np.isnan(stacked).any():
            return undecidable(n, diverged, f"{measure.name} declares no value for diverged trials")
        if self.log and (stacked <= 0).any():
            return undecidable(n, diverged, f"{measure.name} is not above zero in every trial")
        values = {arm: np.log(x) for arm, x in values.items()} if self.log else values
        d = intervals.settle(self.per_seed(values), *values.values())
        return self._of_numbers(d, diverged)

    def _of_numbers(self, d: Float[np.ndarray, "seeds"], diverged: int) -> Finding:
        low, high = self.bounds
        if self.back:
            low, high = (math.log(end) if end > 0 else end for end in self.bounds)
        p_for, p_against = region_tests(d, low, high)
        skew = intervals.skewness(d)
        skewed = intervals.is_skewed(skew, d.size)
        flat = d.size > 1 and float(np.ptp(d)) == 0.0
        notes = {ZERO_SPREAD: flat, SKEWED: skewed, ONE_SEED: d.size == 1}
        shown = [float(np.mean(d)), *intervals.mean_interval(d)]
        if self.back:
            shown = [float(np.exp(one)) for one in shown]
        return Finding(
            effect=shown[0],
            low=shown[1],
            high=shown[2],
            n=d.size,
            p=min(1.0, 2 * min(p_for, p_against)),
            favours=None if p_for == p_against else p_for < p_against,
            skewness=skew,
            skewed=skewed,
            diverged=diverged,
            note="; ".join(note for note, holds in notes.items() if holds),
            needs=lambda level: self._needs(d, level),
        )

    def _needs(self, d: Float[np.ndarray, "seeds"], level: float) -> int | None:
        if self.matters is None or d.size < 2:
            return None
        distance = math.log(self.matters) if self.back else self.matters
        return power.seeds_for_mean(distance, power.upper_spread(d), level)


def region_tests(d: Float[np.ndarray, "seeds"], low: float, high: float) -> tuple[float, float]:
    """Return the one-sided p for "the mean is in the region" and for "it is outside", Eq. (2)."""
    inside, outside = [], []
    for boundary, lower_end in ((low, True), (high, False)):
        if math.isfinite(boundary):
            below, above = intervals.t_tests(d, boundary)
            inside.append(above if lower_end else below)
            outside.append(below if lower_end else above)
    return max(inside), min(outside)


def ends(at_least: float | None, at_most: float | None) -> tuple[float, float]:
    """Return the region between two bounds, each of which may be missing."""
    return (
        -math.inf if at_least is None else float(at_least),
        math.inf if at_most is None else float(at_most),
    )
