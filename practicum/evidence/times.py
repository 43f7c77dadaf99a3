"""Claims about time to a target: one arm reaches it sooner than another.

A run that has not reached the target within its budget T is censored: its time is only known to be
longer than T. No number is put in its place. The ratio of the two times of a seed, r = t_arm /
t_than, is then only known to lie in a range [L, U]:

    both reached               L = U = t_arm / t_than
    only `than` is censored    L = 0,            U = t_arm / T   (not reached: r < U)          (1)
    only `arm` is censored     L = T / t_than    (r > L),        U = infinity
    both are censored          L = 0,            U = infinity

The quantity is the median of r. The sign test needs only to know on which side of the claimed
factor f each seed lies, and counts every seed that leaves this open against either verdict:

    p = 2 min( P(X >= #{U < f}), P(X >= #{L > f}) ),   X binomial(n, 1/2)                      (2)
    low, high = order statistics of the L and of the U (intervals.py, Eq. (4))                 (3)

Sources: Arbuthnott, "An argument for Divine Providence", Phil. Trans. 27 (1710) 186-190, for the
sign test; Thompson 1936 for the interval. A diverged run counts as censored, even if it touched the
target before it diverged. Times are steps of evaluations: between two of them nothing is known, so
an equal step counts as a tie, which also speaks against either verdict at f = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from practicum.errors import PracticumError
from practicum.evidence import intervals, power
from practicum.evidence.claims import Claim, Finding, finite, number, positive
from practicum.evidence.measures import Measure
from practicum.evidence.outcomes import Outcomes


def sooner(
    measure: str,
    arm: str,
    *,
    than: str,
    target: float | None = None,
    factor: float = 1.0,
    matters: float | None = None,
    sentence: str,
) -> Claim:
    """Claim that an arm reaches a target value of a curve in less time than another.

    Args:
        measure: name of a measure that is a curve and whose better direction is lower or higher.
        arm: the arm that is said to be sooner.
        than: the arm that it is compared with.
        target: the value to reach; None takes, in every seed, the last value of `than`.
        factor: the arm needs less than this times the other's time (1/3: three times as fast).
        matters: factor (above 1) beyond the claimed one that must not go unseen.
        sentence: the claim in words.

    Raises:
        PracticumError: a number makes no sense.
    """
    return Sooner(
        measure=measure,
        arm=arm,
        than=than,
        target=target,
        factor=factor,
        matters=matters,
        sentence=sentence,
    )


@dataclass(frozen=True, kw_only=True)
class Sooner(Claim):
    """The median ratio of two times to a target lies below a factor."""

    arm: str
    than: str
    target: float | None
    factor: float
    matters: float | None

    @property
    def kind(self) -> str:
        """The kind, as in the catalogue."""
        return "sooner"

    @property
    def arms(self) -> tuple[str, ...]:
        """The two arms."""
        return self.arm, self.than

    @property
    def rule(self) -> str:
        """How the claim is decided."""
        return (
            f"The {self.quantity()}. Supported if the sign test shows it to be below"
            f" {number(self.factor)}, refuted if above, otherwise undecided; two-sided, 5 % with"
            " Holm's adjustment over the lab's claims. A run that has not reached the target at"
            " the end of its budget, or diverged, is censored: its seed counts for a verdict only"
            " if its order is certain."
        )

    def validate(self) -> None:
        """Raise PracticumError if a number makes no sense."""
        finite(self.sentence, target=self.target)
        positive(self.sentence, factor=self.factor, matters=self.matters)
        if self.matters is not None and self.matters <= 1:
            raise PracticumError(f"claim {self.sentence!r}: matters is a factor above 1")

    def check(self, measure: Measure) -> None:
        """Raise PracticumError if the measure has no better direction."""
        if measure.better == "neither":
            raise PracticumError(
                f"claim {self.sentence!r} needs to know which direction of {measure.name!r} is"
                " better; its measure says neither"
            )

    def find(self, outcomes: Outcomes, measure: Measure) -> Finding:
        """Look at the ratio of the two times of every seed."""
        mine, steps, lost = outcomes.curves(measure, self.arm)
        other, _, lost_other = outcomes.curves(measure, self.than)
        target = other[:, -1:] if self.target is None else np.full((len(mine), 1), self.target)
        downwards = measure.better == "lower"
        t_arm = np.where(lost, math.inf, times(mine, steps, target, downwards))
        t_than = np.where(lost_other, math.inf, times(other, steps, target, downwards))
        least, most, shown = ratios(t_arm, t_than, float(steps[-1]))
        n, budget = shown.size, float(steps[-1])
        _, p_for = intervals.share_tests(int((most < self.factor).sum()), n, 0.5)  # Eq. (2)
        _, p_against = intervals.share_tests(int((least > self.factor).sum()), n, 0.5)
        ranks = intervals.median_ranks(n)
        censored = [int(np.isinf(t).sum()) for t in (t_arm, t_than)]
        return Finding(
            effect=float(np.median(shown)),
            low=float(np.sort(least)[ranks[0]]) if ranks else 0.0,  # Eq. (3)
            high=float(np.sort(most)[ranks[1]]) if ranks else math.inf,
            n=n,
            p=min(1.0, 2 * min(p_for, p_against)),
            favours=None if p_for == p_against else p_for < p_against,
            diverged=int(lost.sum() + lost_other.sum()),
            note=f"target not reached by step {number(budget)} (censored): {censored[0]} of {n} of"
            f" {self.arm}, {censored[1]} of {n} of {self.than}",
            needs=lambda level: self._needs(shown, level),
        )

    def _needs(self, shown: Float[np.ndarray, "seeds"], level: float) -> int | None:
        """Return the seeds for which the sign test sees `matters` if log r is normal."""
        from scipy.stats import norm

        usable = shown[(shown > 0) & np.isfinite(shown)]
        if self.matters is None or usable.size < 2:
            return None
        spread = power.upper_spread(np.log(usable))
        beyond = norm.cdf(math.log(self.matters) / spread) - 0.5 if spread else 0.5
        return power.trials_for_share(0.5, float(beyond), level)

    def quantity(self) -> str:
        """Return what the effect is."""
        goal = f"the last value of {self.than}" if self.target is None else number(self.target)
        return (
            f"median over seeds of the time of {self.arm} until {self.measure} reaches {goal},"
            f" divided by that of {self.than}"
        )

    def unit(self, measure: Measure) -> str:
        """Return the unit: a ratio has none."""
        return ""


def times(
    curves: Float[np.ndarray, "seeds points"],
    steps: Float[np.ndarray, "points"],
    target: Float[np.ndarray, "seeds 1"],
    downwards: bool,
) -> Float[np.ndarray, "seeds"]:
    """Return the first step at which each curve has reached its target, or infinity."""
    reached = curves <= target if downwards else curves >= target  # NaN has reached nothing
    return np.where(reached.any(axis=1), steps[reached.argmax(axis=1)], math.inf)


def ratios(
    t_arm: Float[np.ndarray, "seeds"], t_than: Float[np.ndarray, "seeds"], budget: float
) -> tuple[Float[np.ndarray, "seeds"], Float[np.ndarray, "seeds"], Float[np.ndarray, "seeds"]]:
    """Return the range of each seed's ratio, Eq. (1), and the ratio with times cut at the budget.

    A seed in which both reach the target at step 0 has the ratio 1.
    """
    cut, cut_than = np.minimum(t_arm, budget), np.minimum(t_than, budget)
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = np.where(cut == cut_than, 1.0, cut / cut_than)
    # A strict inequality is the next number of the arithmetic: r < U is r <= nextafter(U, 0).
    least = np.where(np.isinf(t_than), 0.0, shown)
    least = np.where(np.isinf(t_arm) & ~np.isinf(t_than), np.nextafter(shown, math.inf), least)
    most = np.where(np.isinf(t_arm), math.inf, shown)
    most = np.where(np.isinf(t_than) & ~np.isinf(t_arm), np.nextafter(shown, 0.0), most)
    return least, most, shown
