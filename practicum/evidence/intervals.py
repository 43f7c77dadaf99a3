"""Intervals and tests for one number per seed, and for shares of trials.

    half width of the mean    t[n-1, 0.975] * s / sqrt(n)                     (1) Student 1908
    t at a boundary b         t = (mean - b) / (s / sqrt(n))                  (2) Student 1908
    share k of n, low         the p with P(X >= k | n, p) = 0.025             (3) Clopper, Pearson
    share k of n, high        the p with P(X <= k | n, p) = 0.025                 1934
    median                    order statistics k+1 and n-k, the largest k     (4) Thompson 1936
                              with P(X <= k-1 | n, 1/2) <= 0.025

Here s is the standard deviation with n - 1 in the denominator and X is binomial.

Sources: Student, "The probable error of a mean", Biometrika 6 (1908) 1-25. Clopper and Pearson,
"The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26
(1934) 404-413. Thompson, "On confidence ranges for the median and other expectation distributions
for populations of unknown distribution form", Annals of Mathematical Statistics 7 (1936) 122-128.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from practicum.errors import PracticumError

LEVEL = 0.05
"""The level of every test; the intervals are at 1 - LEVEL."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired comparison of two arms: mean difference, 95 % t-interval, two-sided p.

    Attributes:
        effect: mean of a - b.
        low: lower end of the 95 % interval of the mean difference.
        high: upper end.
        p: two-sided p of "the mean difference is zero".
        n: number of pairs.
        skewness: sample skewness of the differences, None below three pairs or without spread.
        skewed: the skewness is beyond what normal differences show; the interval is then too
            optimistic (docs/evidence.md gives the coverage).
    """

    effect: float
    low: float
    high: float
    p: float
    n: int
    skewness: float | None
    skewed: bool


def compare(a: Any, b: Any) -> Comparison:
    """Compare two lists of numbers, one per seed, the same seeds in the same order.

    Raises:
        PracticumError: not two lists of the same length of finite numbers.
    """
    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if left.ndim != 1 or left.shape != right.shape or not left.size:
        raise PracticumError(
            f"compare needs two lists of the same length, not {left.shape} and {right.shape}"
        )
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise PracticumError("compare needs finite numbers: decide first how lost trials count")
    difference = settle(left - right, left, right)
    low, high = mean_interval(difference)
    below, above = t_tests(difference, 0.0)
    skew = skewness(difference)
    return Comparison(
        effect=float(difference.mean()),
        low=low,
        high=high,
        p=min(1.0, 2 * min(below, above)),
        n=difference.size,
        skewness=skew,
        skewed=is_skewed(skew, difference.size),
    )


def half_width(values: Any, axis: int = 0, level: float = LEVEL) -> Float[np.ndarray, "..."]:
    """Return the half width of the t-interval of the mean over `axis`, Eq. (1).

    One value has no spread to speak of: its half width is infinite.
    """
    from scipy.stats import t

    x = np.asarray(values, dtype=float)
    n = x.shape[axis]
    if n < 2:
        return np.full(np.delete(x.shape, axis), np.inf)
    spread = x.std(axis=axis, ddof=1)
    return np.asarray(t.isf(level / 2, n - 1) * spread / math.sqrt(n))  # Eq. (1)


def mean_interval(values: Float[np.ndarray, "seeds"], level: float = LEVEL) -> tuple[float, float]:
    """Return the t-interval of a mean; with one value it is the whole line."""
    half = float(half_width(values, level=level))
    mean = float(np.mean(values))
    return mean - half, mean + half


def t_tests(values: Float[np.ndarray, "seeds"], boundary: float) -> tuple[float, float]:
    """Return the one-sided p of "the mean is below the boundary" and of "it is above".

    A small first number is evidence that the mean lies below.

    Without any spread t would be infinite and p zero. But n equal numbers also come from a coarse
    measure by luck, so p is that of the sign test, 2**-n: the smallest that n trials can give
    without assuming a distribution. On the boundary itself neither side is shown (1, 1), and
    neither is with a single value.
    """
    from scipy.stats import t

    n, mean = values.size, float(np.mean(values))
    if n < 2:
        return 1.0, 1.0
    spread = float(np.std(values, ddof=1))
    if spread == 0.0:
        if math.isclose(mean, boundary, rel_tol=1e-12):  # 0.3 - 0.2 does lie on 0.1
            return 1.0, 1.0
        return (2.0**-n, 1.0) if mean < boundary else (1.0, 2.0**-n)
    statistic = (mean - boundary) / (spread / math.sqrt(n))  # Eq. (2)
    return float(t.cdf(statistic, n - 1)), float(t.sf(statistic, n - 1))


def settle(
    values: Float[np.ndarray, "seeds"], *parts: Float[np.ndarray, "seeds"]
) -> Float[np.ndarray, "seeds"]:
    """Make numbers equal that differ only by the rounding of the arithmetic that made them.

    Subtracting two arms that differ by the same amount in every seed leaves a spread of a few
    units in the last place; taken for real spread, it would make t enormous and arbitrary.
    """
    rounding = 16 * np.finfo(float).eps * max(float(np.max(np.abs(part))) for part in parts)
    if float(np.ptp(values)) <= rounding:
        middle = float(np.median(values))
        return np.full_like(values, 0.0 if abs(middle) <= rounding else middle)
    return values


def share_interval(k: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share, Eq. (3): never covers less than it says."""
    from scipy.stats import binomtest

    interval = binomtest(k, n).proportion_ci(1 - level, method="exact")
    return float(interval.low), float(interval.high)


def share_tests(k: int, n: int, boundary: float) -> tuple[float, float]:
    """Return the exact one-sided p of "the share is below the boundary" and of "it is above"."""
    from scipy.stats import binom

    return float(binom.cdf(k, n, boundary)), float(binom.sf(k - 1, n, boundary))


def median_ranks(n: int, level: float = LEVEL) -> tuple[int, int] | None:
    """Return the places (from 0) in the sorted list that bound the median, Eq. (4).

    None where n is too small: with fewer than six values no interval reaches 95 %.
    """
    from scipy.stats import binom

    k = 0
    while binom.cdf(k, n, 0.5) <= level / 2:
        k += 1
    return None if k == 0 else (k - 1, n - k)


def skewness(values: Float[np.ndarray, "seeds"]) -> float | None:
    """Return the adjusted Fisher-Pearson skewness G1; None where it is not defined."""
    from scipy.stats import skew

    if values.size < 3 or float(np.ptp(values)) == 0.0:
        return None
    return float(skew(values, bias=False))


def skew_limit(n: int) -> float:
    """Return the skewness beyond which differences are flagged: 1.5 standard errors.

    The standard error is that of G1 for n normal values, sqrt(6 n (n-1) / ((n-2) (n+1) (n+3))).
    The factor is a compromise that docs/evidence.md shows in figures: how often normal
    differences are flagged for nothing, and how often skewed ones are found.
    """
    return 1.5 * math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))


def is_skewed(skew: float | None, n: int) -> bool:
    """Return whether a sample skewness is beyond the limit for n values."""
    return skew is not None and abs(skew) > skew_limit(n)
