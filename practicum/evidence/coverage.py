"""How often the intervals cover the truth, and how often a verdict is wrong: by simulation.

    python -m practicum.evidence.coverage

prints the tables of docs/evidence.md. Cases where the interval fails are printed as they are: they
are the reason for the skew flag, and the reason not to trust it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from practicum.evidence.intervals import half_width, median_ranks, share_interval, skew_limit

REPETITIONS = 10_000
SIZES = (5, 10, 20)

Draw = Callable[[np.random.Generator, tuple[int, int]], Float[np.ndarray, "repetitions seeds"]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A distribution of the differences per seed.

    Attributes:
        name: what the differences are like.
        truth: what the interval should cover: the mean, or the centre where there is no mean.
        draw: draws differences of the given shape.
    """

    name: str
    truth: float
    draw: Draw


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Shares of simulated runs.

    Attributes:
        covered: the 95 % t-interval covers the truth.
        flagged: the skewness is beyond its limit.
        covered_unflagged: covered, among the runs that are not flagged.
    """

    covered: float
    flagged: float
    covered_unflagged: float


def _outliers(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(rng.normal(size=shape) + 10.0 * (rng.random(shape) < 0.1))


def _two_sided_outliers(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(_outliers(rng, shape) * rng.choice([-1, 1], shape))


CASES = (
    Case(name="normal", truth=0.0, draw=lambda rng, shape: rng.normal(size=shape)),
    Case(name="t with 3 degrees", truth=0.0, draw=lambda rng, shape: rng.standard_t(3, shape)),
    Case(name="Cauchy", truth=0.0, draw=lambda rng, shape: rng.standard_cauchy(shape)),
    Case(
        name="differences of counts around 2",
        truth=0.0,
        draw=lambda rng, shape: (rng.poisson(2, shape) - rng.poisson(2, shape)).astype(float),
    ),
    Case(name="one in ten 10 sd off, either side", truth=0.0, draw=_two_sided_outliers),
    Case(name="exponential", truth=1.0, draw=lambda rng, shape: rng.exponential(size=shape)),
    Case(
        name="log-normal",
        truth=float(np.exp(0.5)),
        draw=lambda rng, shape: rng.lognormal(size=shape),
    ),
    Case(name="one in ten 10 sd off, one side", truth=1.0, draw=_outliers),
)


def t_coverage(case: Case, n: int, repetitions: int = REPETITIONS, seed: int = 0) -> Coverage:
    """Simulate runs with n seeds whose differences follow a case."""
    from scipy.stats import skew

    d = case.draw(np.random.default_rng([seed, n]), (repetitions, n))
    covered = np.abs(d.mean(axis=1) - case.truth) <= half_width(d, axis=1)
    spread = np.ptp(d, axis=1) > 0  # without spread there is no skewness, and no flag
    flagged = np.zeros(repetitions, dtype=bool)
    flagged[spread] = np.abs(skew(d[spread], axis=1, bias=False)) > skew_limit(n)
    return Coverage(
        covered=float(covered.mean()),
        flagged=float(flagged.mean()),
        covered_unflagged=float(covered[~flagged].mean()),
    )


def share_coverage(n: int, points: int = 999) -> tuple[float, float]:
    """Return the smallest and the mean coverage of Clopper-Pearson, computed exactly.

    Over `points` true shares between 0 and 1: the sum of the binomial probabilities of all counts
    whose interval covers the share.
    """
    from scipy.stats import binom

    truth = np.arange(1, points + 1)[:, None] / (points + 1)
    ends = np.array([share_interval(k, n) for k in range(n + 1)])
    covers = (ends[:, 0] <= truth) & (truth <= ends[:, 1])  # [points, n + 1]
    coverage = (binom.pmf(np.arange(n + 1), n, truth) * covers).sum(axis=1)
    return float(coverage.min()), float(coverage.mean())


def median_coverage(n: int) -> float:
    """Return the coverage of the interval of the median, computed exactly; 1 where it is a line."""
    from scipy.stats import binom

    ranks = median_ranks(n)
    return 1.0 if ranks is None else float(1 - 2 * binom.cdf(ranks[0], n, 0.5))


def tables() -> Iterator[str]:
    """Yield the lines of all tables."""
    from practicum.evidence.boundaries import wrong_verdicts

    yield f"Coverage of the 95 % t-interval, {REPETITIONS:,} repetitions, in per cent:"
    yield ""
    heads = [f"{what} n = {n}" for what in ("covers,", "flagged,", "unflagged,") for n in SIZES]
    yield from _head("differences", *heads)
    for case in CASES:
        found = [t_coverage(case, n) for n in SIZES]
        rows = [[getattr(one, field) for one in found] for field in Coverage.__annotations__]
        yield _row(case.name, *(f"{100 * share:.1f}" for row in rows for share in row))
    yield ""
    yield "Exact coverage of the other intervals, in per cent:"
    yield ""
    yield from _head("n", "share, smallest", "share, mean", "median")
    for n in (5, 10, 20, 60):
        smallest, mean = share_coverage(n)
        values = (smallest, mean, median_coverage(n))
        yield _row(str(n), *(f"{100 * value:.1f}" for value in values))
    yield ""
    yield "Verdicts where the truth lies on the claim's boundary, so that each one is wrong:"
    yield ""
    yield from _head("claim", "n", "runs", "supported", "refuted", "together, %")
    for name, n, runs, supported, refuted in wrong_verdicts():
        rate = f"{100 * (supported + refuted) / runs:.1f}"
        yield _row(name, str(n), f"{runs:,}", str(supported), str(refuted), rate)


def _head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row(*("---" if i == 0 else "---:" for i in range(len(names))))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(tables()))
