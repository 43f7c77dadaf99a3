"""Would catch: a wrong degree of freedom, a one-sided quantile, an unpaired or normal test, a wrong
tail of the binomial, a skew limit that does not depend on n, rounding taken for spread.

The peers are scipy and statsmodels, called here directly; the code under test builds its own t.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from practicum.errors import PracticumError
from practicum.evidence import compare, half_width, mean_interval, share_interval
from practicum.evidence.intervals import (
    is_skewed,
    median_ranks,
    settle,
    share_tests,
    skew_limit,
    skewness,
    t_tests,
)

# Student's own data (1908): additional hours of sleep gained with two drugs, ten patients.
SLEEP_A = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SLEEP_B = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_students_sleep_data_give_the_interval_and_p_of_every_textbook() -> None:
    found = compare(SLEEP_B, SLEEP_A)
    assert found.effect == pytest.approx(1.58)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert found.p == pytest.approx(0.002832890, abs=1e-8)
    assert found.n == 10


@pytest.mark.parametrize("n", [2, 3, 7, 40])
def test_compare_agrees_with_scipys_paired_t_test(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=n), rng.normal(0.3, 2.0, size=n)
    peer, found = stats.ttest_rel(a, b), compare(a, b)
    interval = peer.confidence_interval(0.95)
    assert found.p == pytest.approx(peer.pvalue, rel=1e-10)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-10)


def test_one_sided_tests_agree_with_scipys_at_a_boundary_that_is_not_zero() -> None:
    d = np.random.default_rng(3).normal(0.4, 1.0, 13)
    below, above = t_tests(d, 0.25)
    assert below == pytest.approx(stats.ttest_1samp(d, 0.25, alternative="less").pvalue)
    assert above == pytest.approx(stats.ttest_1samp(d, 0.25, alternative="greater").pvalue)


def test_half_widths_of_curves_are_those_of_their_points() -> None:
    curves = np.random.default_rng(5).normal(size=(6, 3, 2))
    found = half_width(curves)
    assert found.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            low, high = DescrStatsW(curves[:, i, j]).tconfint_mean()
            assert found[i, j] == pytest.approx((high - low) / 2)
            assert mean_interval(curves[:, i, j]) == pytest.approx((low, high))


def test_one_seed_has_an_infinite_interval_and_shows_nothing() -> None:
    assert mean_interval(np.array([3.0])) == (-math.inf, math.inf)
    assert t_tests(np.array([3.0]), 0.0) == (1.0, 1.0)
    assert half_width(np.zeros((1, 4))).tolist() == [math.inf] * 4


@pytest.mark.parametrize(("k", "n"), [(0, 5), (3, 10), (10, 10), (53, 60)])
def test_share_intervals_agree_with_statsmodels(k: int, n: int) -> None:
    low, high = proportion_confint(k, n, alpha=0.05, method="beta")
    expected = (0.0 if k == 0 else low, 1.0 if k == n else high)  # nan or the ends, by version
    assert share_interval(k, n) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("k", "n", "bound"), [(0, 5, 0.5), (9, 10, 0.6), (4, 12, 0.9)])
def test_share_tests_agree_with_scipys_exact_test_and_with_their_interval(
    k: int, n: int, bound: float
) -> None:
    below, above = share_tests(k, n, bound)
    assert below == pytest.approx(stats.binomtest(k, n, bound, alternative="less").pvalue)
    assert above == pytest.approx(stats.binomtest(k, n, bound, alternative="greater").pvalue)
    low, high = share_interval(k, n)
    assert (min(below, above) <= 0.025) == (not low <= bound <= high)


def test_median_ranks_are_those_of_the_published_table() -> None:
    # Places from 1 for a 95 % interval of the median, from the cumulative binomial by hand:
    # n = 6: P(X = 0) = 1/64 = 0.0156; n = 10: P(X <= 1) = 11/1024 = 0.0107, P(X <= 2) = 0.0547.
    assert median_ranks(5) is None
    assert median_ranks(6) == (0, 5)
    assert median_ranks(10) == (1, 8)
    assert median_ranks(20) == (5, 14)


@pytest.mark.parametrize("n", [6, 11, 30])
def test_median_ranks_cover_at_least_95_percent_and_one_place_less_would_not(n: int) -> None:
    low, high = median_ranks(n) or (0, 0)
    # the median is missed if at most `low` values lie below it, or above it
    assert 2 * stats.binom.cdf(low, n, 0.5) <= 0.05 < 2 * stats.binom.cdf(low + 1, n, 0.5)
    assert low + high == n - 1


def test_equal_numbers_have_the_p_of_the_sign_test_and_none_on_the_boundary() -> None:
    d = np.full(6, 0.3)
    assert t_tests(d, 0.0) == (1.0, 2.0**-6)
    assert t_tests(d, 0.5) == (2.0**-6, 1.0)
    assert t_tests(d, 0.3) == (1.0, 1.0)
    peer = stats.binomtest(6, 6, 0.5).pvalue
    assert compare(d, np.zeros(6)).p == pytest.approx(peer)


def test_rounding_is_not_taken_for_spread() -> None:
    b = np.random.default_rng(1).uniform(0.0, 1.0, 12)
    a = b + 0.1
    assert np.std(a - b) > 0.0  # what a naive t-test would divide by
    found = compare(a, b)
    assert found.low == found.high == pytest.approx(0.1)
    assert t_tests(settle(a - b, a, b), 0.1) == (1.0, 1.0)


def test_real_spread_is_left_alone_however_small_beside_the_values() -> None:
    b = 1000.0 + np.arange(5.0)
    d = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) * 1e-9
    assert np.array_equal(settle(d, b + d, b), d)


def test_arms_that_agree_but_for_rounding_differ_by_exactly_zero() -> None:
    d = np.array([5.6e-17, 0.0, -5.6e-17])
    one = np.full(3, 0.3)
    assert settle(d, one, one).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("n", [4, 9, 25])
def test_skewness_is_the_adjusted_fisher_pearson_one(n: int) -> None:
    x = np.random.default_rng(n).exponential(size=n)
    m = x - x.mean()
    g1 = (m**3).mean() / (m**2).mean() ** 1.5
    assert skewness(x) == pytest.approx(g1 * math.sqrt(n * (n - 1)) / (n - 2))


def test_skewness_is_not_defined_below_three_values_or_without_spread() -> None:
    assert skewness(np.array([1.0, 2.0])) is None
    assert skewness(np.ones(9)) is None
    assert not is_skewed(None, 9)


def test_the_skew_limit_shrinks_with_n_as_the_standard_error_does() -> None:
    assert skew_limit(10) == pytest.approx(1.5 * 0.6870, abs=1e-4)
    assert skew_limit(20) == pytest.approx(1.5 * 0.5121, abs=1e-4)
    assert is_skewed(-1.1, 10)
    assert not is_skewed(-1.0, 10)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0, 2.0], [1.0], "same length"),
        ([], [], "same length"),
        ([[1.0]], [[2.0]], "same length"),
        ([1.0, math.nan], [1.0, 2.0], "finite"),
    ],
)
def test_compare_refuses_what_is_not_paired_numbers(a: object, b: object, message: str) -> None:
    with pytest.raises(PracticumError, match=message):
        compare(a, b)


def test_the_example_in_the_docs_runs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(block, "docs/evidence.md", "exec"), {})


def test_an_unpaired_or_normal_test_would_be_noticed() -> None:
    """The test of the test: the usual two mistakes give other numbers on the sleep data."""
    d = SLEEP_B - SLEEP_A
    unpaired = stats.ttest_ind(SLEEP_B, SLEEP_A).pvalue
    normal = 2 * stats.norm.sf(d.mean() / (d.std(ddof=1) / math.sqrt(10)))
    biased = 2 * stats.t.sf(d.mean() / (d.std(ddof=0) / math.sqrt(10)), 9)
    for wrong in (unpaired, normal, biased):
        assert abs(wrong - compare(SLEEP_B, SLEEP_A).p) > 1e-4
