"""How many seeds it takes to see an effect of a given size.

The spread that a run showed is itself uncertain: from ten seeds it comes out too small by a quarter
or more in one run of six. The number of seeds is therefore computed from the upper confidence limit
of the spread, as Browne ("On the use of a pilot sample for sample size determination", Statistics
in Medicine 14 (1995) 1933-1940) proposes; the level of the limit is 95 %, one-sided, here:

    upper limit of the spread   s * sqrt((n - 1) / chi2[n-1, 0.05])                  (1)
    power of the t-test         P(T > t[n-1, 1 - level/2]),  T noncentral t with     (2)
                                n - 1 degrees and shift  distance / spread * sqrt(n)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

POWER = 0.8
MOST = 1_000_000
"""The largest answer; it stands for "that many or more"."""


def upper_spread(values: Float[np.ndarray, "seeds"]) -> float:
    """Return the 95 % upper confidence limit of the standard deviation, Eq. (1); needs n >= 2."""
    from scipy.stats import chi2

    n = values.size
    return float(np.std(values, ddof=1) * math.sqrt((n - 1) / chi2.ppf(0.05, n - 1)))  # Eq. (1)


def t_power(n: int, distance: float, spread: float, level: float) -> float:
    """Return the chance that n seeds show, on the right side, a mean `distance` from a boundary."""
    from scipy.stats import nct, t

    shift = distance / spread * math.sqrt(n)
    return float(nct.sf(t.isf(level / 2, n - 1), n - 1, shift))  # Eq. (2)


def seeds_for_mean(
    distance: float, spread: float, level: float = 0.05, power: float = POWER
) -> int:
    """Return the seeds at which a mean that lies `distance` beyond the boundary is seen.

    Args:
        distance: from the true mean to the claim's boundary, > 0, in the unit of the spread.
        spread: standard deviation of the numbers per seed; 0 where all seeds agree.
        level: level of the two-sided test.
        power: the chance of seeing it.
    """
    if spread == 0.0:
        return max(2, math.ceil(1 - math.log2(level)))  # 2 * 2**-n <= level, as in `t_tests`
    return smallest(lambda n: t_power(n, distance, spread, level) >= power, first=2)


def trials_for_share(
    boundary: float, distance: float, level: float = 0.05, power: float = POWER
) -> int:
    """Return the trials at which a share `distance` from the boundary is seen, on either side.

    The power of an exact test goes up in a saw; the answer is the first n that reaches it.
    """
    truths = [truth for truth in (boundary - distance, boundary + distance) if 0.0 <= truth <= 1.0]

    def enough(n: int) -> bool:
        return all(share_power(n, truth, boundary, level) >= power for truth in truths)

    return smallest(enough) if truths else MOST


def share_power(n: int, truth: float, boundary: float, level: float) -> float:
    """Return the chance that n trials show on which side of the boundary the true share lies."""
    from scipy.stats import binom

    if truth < boundary:  # by symmetry, count the others
        truth, boundary = 1.0 - truth, 1.0 - boundary
    critical = binom.isf(level / 2, n, boundary)  # P(X > critical) <= level / 2
    return float(binom.sf(critical, n, truth))


def smallest(enough: Callable[[int], bool], first: int = 1) -> int:
    """Return the smallest whole number that is enough, by doubling and then halving; or MOST."""
    high = first
    while not enough(high):
        if high >= MOST:
            return MOST
        high = min(2 * high, MOST)
    low = high // 2 if high > first else first - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
