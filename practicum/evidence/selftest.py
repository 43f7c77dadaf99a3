"""The self-test of the evidence: arms that do not differ, and an effect that is known.

**A/A.** Two arms that differ only in their seeds, and these are disjoint. (The same seeds would
give two identical arms whose difference is exactly zero: a check that cannot fail.) The claim "a is
lower than b" lies on its boundary, so every verdict, supported or refuted, is false. The share of
false verdicts must be small: the upper end of its exact 95 % interval is at most 6.5 %.

**Power.** The same trainings, with arm a moved by a constant: an effect that is known exactly, in
the noise of real training. Its size is the one that `power.py` says is seen with power 0.8. It must
be found about so often, and never be taken for its opposite in more than 2.5 % of the runs.

This file is the counting. What trains is handed in: `measure_of(seeds)` returns one number per
seed, and may train all of them in lanes. 2,000 pairs of 10 seeds are 40,000 trainings; a network of
64-16-10 units, 60 steps of batch 32 on the digits, and its test cross-entropy (continuous: no ties)
are enough, since what is tested is the statistics and not the network.

How sharp is the limit? With 2,000 pairs it allows 108 false verdicts. A judge at exactly 5 % stays
within with probability 0.81, one at 4.5 % with 0.97, one at 8 % with less than 0.00001.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from practicum.errors import PracticumError
from practicum.evidence.claims import Claim
from practicum.evidence.differences import lower
from practicum.evidence.intervals import LEVEL, share_interval
from practicum.evidence.judge import judge
from practicum.evidence.measures import Measure
from practicum.evidence.outcomes import Outcomes
from practicum.evidence.power import POWER, t_power
from practicum.evidence.verdicts import Verdict

LIMIT = 0.065
POWER_TOLERANCE = 0.05

MeasureOf = Callable[[Sequence[int]], Any]
Judge = Callable[[Sequence[Claim], Outcomes, Sequence[Measure]], list[Verdict]]

MEASURE = Measure("number", better="lower", says="one number per training")
CLAIM = lower("number", "a", than="b", sentence="a is lower than b")


@dataclass(frozen=True, kw_only=True)
class AAReport:
    """How many verdicts arms without a difference got.

    Attributes:
        pairs: number of pairs of arms.
        n: seeds of each arm.
        supported: false verdicts in one direction.
        refuted: false verdicts in the other.
        skewed: pairs whose differences were flagged as skewed.
        rate: share of pairs with a false verdict.
        low: lower end of its exact 95 % interval.
        high: upper end.
        limit: the largest `high` that passes.
        tenths: how many p lie in each tenth between 0 and 1; about equal for a sound test.
    """

    pairs: int
    n: int
    supported: int
    refuted: int
    skewed: int
    rate: float
    low: float
    high: float
    limit: float
    tenths: tuple[int, ...]

    @property
    def passed(self) -> bool:
        """Whether there were few enough false verdicts."""
        return self.high <= self.limit

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {**asdict(self), "tenths": list(self.tenths), "passed": self.passed}


@dataclass(frozen=True, kw_only=True)
class PowerReport:
    """How often an effect that is known was found.

    Attributes:
        pairs: number of pairs of arms.
        n: seeds of each arm.
        effect: the constant by which arm a was moved down.
        spread: standard deviation of the differences per seed.
        stated: the power that the effect should be found with.
        found: pairs in which it was found.
        opposite: pairs in which its opposite was.
        rate: share of pairs in which it was found.
        low: lower end of the exact 95 % interval of the rate.
        high: upper end.
    """

    pairs: int
    n: int
    effect: float
    spread: float
    stated: float
    found: int
    opposite: int
    rate: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        """Whether the power is as stated, within 5 points, and the opposite is rarely found."""
        opposite = share_interval(self.opposite, self.pairs)[1]
        return self.low >= self.stated - POWER_TOLERANCE and opposite <= LEVEL / 2

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {**asdict(self), "passed": self.passed}


def collect(
    measure_of: MeasureOf,
    pairs: int = 2_000,
    n: int = 10,
    *,
    first_seed: int = 0,
    batch: int = 50,
    progress: Callable[[int, int], None] | None = None,
) -> Float[np.ndarray, "pairs 2 n"]:
    """Train every pair, each of its 2 n trainings with a seed of its own.

    Args:
        measure_of: returns one finite number per seed, whatever other seeds are asked for with it.
        pairs: number of pairs of arms.
        n: seeds of each arm.
        first_seed: the seeds are this and the 2 * pairs * n - 1 that follow.
        batch: pairs per call of `measure_of`.
        progress: called with (pairs done, pairs in all).

    Raises:
        PracticumError: `measure_of` does not return one finite number per seed.
    """
    parts = []
    for start in range(0, pairs, batch):
        size = min(batch, pairs - start)
        first = first_seed + 2 * n * start
        seeds = range(first, first + 2 * n * size)
        numbers = np.asarray(measure_of(seeds), dtype=float)
        if numbers.shape != (len(seeds),) or not np.isfinite(numbers).all():
            raise PracticumError(
                f"the self-test needs {len(seeds)} finite numbers, one per seed; it got an array"
                f" of shape {numbers.shape} with {int((~np.isfinite(numbers)).sum())} others"
            )
        parts.append(numbers.reshape(size, 2, n))
        if progress is not None:
            progress(start + size, pairs)
    return np.concatenate(parts)


def aa_of(numbers: Float[np.ndarray, "pairs 2 n"], judged_by: Judge = judge) -> AAReport:
    """Count the false verdicts over pairs of arms that do not differ."""
    pairs, _, n = numbers.shape
    verdicts = [_one(a, b, judged_by) for a, b in numbers]
    supported = sum(v.verdict == "supported" for v in verdicts)
    refuted = sum(v.verdict == "refuted" for v in verdicts)
    low, high = share_interval(supported + refuted, pairs)
    tenths, _ = np.histogram([1.0 if v.p is None else v.p for v in verdicts], 10, (0.0, 1.0))
    return AAReport(
        pairs=pairs,
        n=n,
        supported=supported,
        refuted=refuted,
        skewed=sum(v.skewed for v in verdicts),
        rate=(supported + refuted) / pairs,
        low=low,
        high=high,
        limit=LIMIT,
        tenths=tuple(tenths.tolist()),
    )


def power_of(
    numbers: Float[np.ndarray, "pairs 2 n"], stated: float = POWER, judged_by: Judge = judge
) -> PowerReport:
    """Move arm a by an effect that should be found with the stated power, and count."""
    pairs, _, n = numbers.shape
    spread = float(np.std(numbers[:, 0] - numbers[:, 1], ddof=1))
    effect = spread * size_for(n, stated)
    verdicts = [_one(a - effect, b, judged_by) for a, b in numbers]
    found = sum(v.verdict == "supported" for v in verdicts)
    low, high = share_interval(found, pairs)
    return PowerReport(
        pairs=pairs,
        n=n,
        effect=effect,
        spread=spread,
        stated=stated,
        found=found,
        opposite=sum(v.verdict == "refuted" for v in verdicts),
        rate=found / pairs,
        low=low,
        high=high,
    )


def aa(measure_of: MeasureOf, pairs: int = 2_000, n: int = 10, **options: Any) -> AAReport:
    """Train pairs of arms that differ only in disjoint seeds, and count false verdicts.

    The options are those of `collect`. To count power on the same trainings, call `collect` once
    and hand its numbers to `aa_of` and `power_of`.
    """
    return aa_of(collect(measure_of, pairs, n, **options))


def power(
    measure_of: MeasureOf,
    pairs: int = 2_000,
    n: int = 10,
    *,
    stated: float = POWER,
    **options: Any,
) -> PowerReport:
    """Train pairs of arms, one of them moved by a known effect, and count how often it is found."""
    return power_of(collect(measure_of, pairs, n, **options), stated)


def size_for(n: int, stated: float = POWER, level: float = LEVEL) -> float:
    """Return the effect, in standard deviations, that n seeds show with the stated power."""
    from scipy.optimize import brentq

    return float(brentq(lambda size: t_power(n, size, 1.0, level) - stated, 1e-6, 100.0))


def _one(a: Float[np.ndarray, "n"], b: Float[np.ndarray, "n"], judged_by: Judge) -> Verdict:
    # The seeds of the two arms are different ones; in the outcomes they only number the pairs.
    outcomes = Outcomes(tuple(range(a.size)), {"a": {"number": a}, "b": {"number": b}})
    return judged_by([CLAIM], outcomes, [MEASURE])[0]
