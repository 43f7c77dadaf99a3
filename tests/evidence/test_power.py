"""Would catch: a number of seeds from the wrong spread, level or tail; one that a run already had;
a search that stops one short.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from practicum import evidence
from practicum.evidence import Measure, Outcomes, power

ERROR = Measure("error", unit="%")


def judged(claims: list[evidence.Claim], **arms: np.ndarray) -> list[evidence.Verdict]:
    n = len(next(iter(arms.values())))
    values = {arm: {"error": x} for arm, x in arms.items()}
    return evidence.judge(claims, Outcomes(tuple(range(n)), values), [ERROR])


@pytest.mark.parametrize("size", [0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_seeds_for_a_mean_agree_with_statsmodels(size: float, level: float) -> None:
    n = power.seeds_for_mean(size, 1.0, level)
    peer = TTestPower()
    assert peer.power(size, n, level) >= 0.8 - 1e-6
    assert n == 2 or peer.power(size, n - 1, level) < 0.8


def test_the_upper_limit_of_the_spread_is_exceeded_in_one_of_twenty_samples() -> None:
    rng = np.random.default_rng(0)
    limits = [power.upper_spread(rng.normal(size=10)) for _ in range(2000)]
    assert 0.035 <= np.mean(np.array(limits) < 1.0) <= 0.065
    x = rng.normal(size=7)
    expected = math.sqrt(6 * x.var(ddof=1) / stats.chi2.ppf(0.05, 6))
    assert power.upper_spread(x) == pytest.approx(expected)


def test_seeds_for_a_share_reach_their_power_on_both_sides() -> None:
    n = power.trials_for_share(0.5, 0.2)
    for truth, side in ((0.3, "less"), (0.7, "greater")):
        found = sum(
            stats.binom.pmf(k, n, truth)
            for k in range(n + 1)
            if stats.binomtest(k, n, 0.5, alternative=side).pvalue <= 0.025
        )
        assert found >= 0.8
        assert power.share_power(n, truth, 0.5, 0.05) == pytest.approx(found)


@pytest.mark.parametrize("answer", [1, 2, 3, 7, 8, 9, 1000])
def test_the_search_finds_the_smallest_number(answer: int) -> None:
    assert power.smallest(lambda n: n >= answer) == answer
    assert power.smallest(lambda n: n >= answer, first=2) == max(2, answer)


def test_a_search_without_end_ends_at_the_most() -> None:
    assert power.smallest(lambda n: False) == power.MOST
    assert power.trials_for_share(0.5, 0.6) == power.MOST  # no share lies that far away


def test_a_spread_of_zero_needs_the_seeds_of_the_sign_test() -> None:
    assert power.seeds_for_mean(1.0, 0.0) == 6  # 2 * 2**-6 = 0.031
    assert power.seeds_for_mean(1.0, 0.0, level=0.01) == 8


def test_only_an_undecided_claim_with_an_effect_that_matters_names_seeds() -> None:
    rng = np.random.default_rng(1)
    b = rng.normal(size=10)
    a = b + rng.normal(0.0, 1.0, 10)
    with_, without = (
        evidence.lower("error", "a", than="b", matters=m, sentence=f"{m}") for m in (0.5, None)
    )
    undecided = judged([with_], a=a, b=b)[0]
    d = a - b
    limit = math.sqrt(9 * d.var(ddof=1) / stats.chi2.ppf(0.05, 9))
    expected = math.ceil(TTestPower().solve_power(0.5 / limit, alpha=0.05, power=0.8))
    assert undecided.seeds_needed == expected
    assert f"{expected} fresh seeds" in undecided.says
    assert judged([without], a=a, b=b)[0].seeds_needed is None
    decided = judged([with_], a=a - 9, b=b)[0]
    assert (decided.verdict, decided.seeds_needed) == ("supported", None)


def test_more_claims_need_more_seeds() -> None:
    """Otherwise an undecided claim could ask for seeds that its run already had."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 10))
    claims = [
        evidence.lower("error", "a", than="b", matters=1.0, by=k / 1000, sentence=f"{k}")
        for k in range(4)
    ]
    alone, *_ = judged(claims[:1], a=a, b=b)
    together, *_ = judged(claims, a=a, b=b)
    assert alone.seeds_needed is not None
    assert together.seeds_needed is not None
    assert together.seeds_needed > alone.seeds_needed


KINDS = [
    evidence.equivalent("error", "a", to="b", within=0.2, sentence="s"),
    evidence.ratio("error", "a", to="b", at_least=1.0, matters=1.1, sentence="s"),
    evidence.slope("error", over={"a": 0, "b": 1}, at_least=0.0, matters=0.2, sentence="s"),
    evidence.ordered("error", rising=["a", "b"], matters=0.2, sentence="s"),
    evidence.share("error", "a", value_at_most=9, at_least=0.5, matters=0.2, sentence="s"),
    evidence.bounded("error", arms=["a"], at_least=0.0, sentence="s"),
]


@pytest.mark.parametrize("claim", KINDS, ids=lambda claim: claim.kind)
def test_every_kind_that_estimates_says_how_many_seeds_it_needs(claim: evidence.Claim) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(9.0, 1.0, (2, 8))
    found = judged([claim], a=a, b=b)[0]
    assert found.verdict == "undecided"
    assert found.seeds_needed is not None
    assert found.seeds_needed > 8


def test_equivalence_and_order_share_the_misses_among_their_tests() -> None:
    """Two one-sided tests, or k - 1 steps, must all reject: each may miss its part of 20 %."""
    rng = np.random.default_rng(3)
    arms = dict(zip("abc", rng.normal(9.0, 1.0, (3, 8)), strict=True))
    peer = TTestPower()

    def limit(d: np.ndarray) -> float:
        return math.sqrt(7 * d.var(ddof=1) / stats.chi2.ppf(0.05, 7))

    same = evidence.equivalent("error", "a", to="b", within=0.2, sentence="s")
    n = peer.solve_power(0.2 / limit(arms["a"] - arms["b"]), alpha=0.05, power=0.9)
    assert judged([same], **arms)[0].seeds_needed == math.ceil(n)
    order = evidence.ordered("error", rising="abc", matters=0.3, sentence="s")
    found = judged([order], **arms)[0]
    wide = max(limit(arms["b"] - arms["a"]), limit(arms["c"] - arms["b"]))
    n = peer.solve_power(0.3 / wide, alpha=0.05, power=0.9)
    assert (found.verdict, found.seeds_needed) == ("undecided", math.ceil(n))


def test_sooner_says_how_many_seeds_it_needs() -> None:
    rng = np.random.default_rng(5)
    reach = rng.integers(2, 9, (2, 8))
    curves = (np.arange(1, 11) < reach[..., None]).astype(float)
    claim = evidence.sooner("curve", "a", than="b", target=0.5, matters=1.5, sentence="s")
    values = {"a": {"curve": curves[0]}, "b": {"curve": curves[1]}}
    measure = Measure("curve", better="lower")
    found = evidence.judge([claim], Outcomes(tuple(range(8)), values), [measure])[0]
    assert found.verdict == "undecided"
    assert found.seeds_needed is not None
    assert found.seeds_needed > 8
