"""Would catch: a diverged trial that is dropped, certainty from a lack of spread, a skew that is
not flagged, a claim that makes no sense and is found out only when its run is over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from practicum import evidence
from practicum.errors import PracticumError
from practicum.evidence import Claim, Measure, Outcomes, Verdict

ERROR = Measure("error", unit="%", better="lower", diverged=90.0)
FIRM = Measure("firm", better="lower")  # declares no value for a diverged trial
N = 12
NOISE = np.random.default_rng(8).normal(0.0, 0.5, (4, N))


def verdict(claim: Claim, arms: Mapping[str, Any], **others: Any) -> Verdict:
    """Judge one claim about the measure it names, given arm -> array."""
    n = len(next(iter(arms.values())))
    values = {arm: {claim.measure: np.asarray(x)} for arm, x in arms.items()}
    measures = [ERROR, FIRM]
    return evidence.judge([claim], Outcomes(tuple(range(n)), values, **others), measures)[0]


def shifted(by: float, base: float = 8.0) -> dict[str, np.ndarray]:
    """Two arms that share their seeds' ups and downs; b is higher by about `by`."""
    common = base + 2 * NOISE[0]
    return {"a": common + NOISE[1] / 5, "b": common + by + NOISE[2] / 5}


def test_a_diverged_trial_counts_with_its_declared_value_and_is_reported() -> None:
    arms = shifted(1.0)
    lost = np.zeros(N, dtype=bool)
    lost[3] = True
    claim = evidence.lower("error", "a", than="b", sentence="s")
    found = verdict(claim, arms, diverged={"a": lost})
    replaced = np.where(lost, 90.0, arms["a"])
    assert found.diverged == 1
    assert found.effect == pytest.approx((replaced - arms["b"]).mean())
    assert found.n == N  # it has not vanished
    assert "1 trial diverged" in found.says


def test_a_number_that_is_not_finite_is_a_diverged_trial() -> None:
    arms = shifted(1.0)
    arms["a"][0], arms["a"][1] = math.nan, math.inf
    found = verdict(evidence.lower("error", "a", than="b", sentence="s"), arms)
    assert found.diverged == 2


ALL_KINDS: list[Claim] = [
    evidence.lower("firm", "a", than="b", sentence="s"),
    evidence.equivalent("firm", "a", to="b", within=9, sentence="s"),
    evidence.ratio("firm", "a", to="b", at_most=9, sentence="s"),
    evidence.slope("firm", over={"a": 1, "b": 2}, at_most=9, sentence="s"),
    evidence.ordered("firm", rising=["a", "b"], sentence="s"),
    evidence.share("firm", "a", value_at_most=99, at_least=0.5, sentence="s"),
    evidence.bounded("firm", arms=["a", "b"], at_most=99, sentence="s"),
    evidence.exact("firm", "a", value=1, tolerance=99, sentence="s"),
]


@pytest.mark.parametrize("claim", ALL_KINDS, ids=lambda claim: claim.kind)
def test_without_a_declared_value_a_diverged_trial_leaves_every_claim_undecided(
    claim: Claim,
) -> None:
    arms = shifted(1.0)
    decided = verdict(claim, arms)
    assert decided.verdict != "undecided" or claim.kind == "bounded"
    lost = {"a": np.arange(N) == 5}
    found = verdict(claim, arms, diverged=lost)
    assert found.verdict == "undecided"
    assert found.diverged == 1
    assert "declares no value for diverged trials" in found.note
    assert "cannot be judged" in found.says


@pytest.mark.parametrize("claim", ALL_KINDS, ids=lambda claim: claim.kind)
def test_a_measure_that_no_trial_has_is_called_that_and_stays_in_the_family(
    claim: Claim,
) -> None:
    arms = shifted(1.0)
    other = evidence.lower("error", "a", than="b", sentence="t")
    values = {arm: {"firm": np.full(N, np.nan), "error": x} for arm, x in arms.items()}
    found, beside = evidence.judge([claim, other], Outcomes(tuple(range(N)), values), [ERROR, FIRM])
    assert found.verdict == "undecided"
    assert found.diverged == 0
    assert found.p == 1
    assert "firm is not measured" in found.note
    assert "cannot be judged" in found.says
    alone = evidence.judge([other], Outcomes(tuple(range(N)), values), [ERROR, FIRM])[0]
    assert beside.p_adjusted == pytest.approx(2 * alone.p_adjusted)
    lost = {
        arm: np.ones(N, dtype=bool) for arm in arms
    }  # all diverged: that is no missing measurement
    gone = evidence.judge([claim], Outcomes(tuple(range(N)), values, lost), [ERROR, FIRM])[0]
    assert "declares no value" in gone.note


def test_a_counterexample_refutes_even_beside_a_diverged_trial() -> None:
    arms = {"a": np.array([1.0, 200.0, 1.0])}
    lost = {"a": np.array([True, False, False])}
    bound = evidence.bounded("firm", arms=["a"], at_most=99, sentence="s")
    assert verdict(bound, arms, diverged=lost).verdict == "refuted"
    value = evidence.exact("firm", "a", value=1, sentence="s")
    assert verdict(value, arms, diverged=lost).verdict == "refuted"


def test_zero_spread_gives_a_width_of_zero_and_a_p_that_still_depends_on_n() -> None:
    claim = evidence.lower("error", "a", than="b", sentence="s")
    for n, expected in ((5, "undecided"), (6, "supported")):
        found = verdict(claim, {"a": np.full(n, 0.1), "b": np.full(n, 0.3)})
        assert found.low == found.high == pytest.approx(-0.2)
        assert found.p == 2.0 ** (1 - n)
        assert found.verdict == expected
        assert "no width" in found.note
    same = verdict(claim, {"a": np.ones(20), "b": np.ones(20)})
    assert (same.verdict, same.p, same.effect) == ("undecided", 1.0, 0.0)


def test_two_equal_differences_of_a_coarse_measure_are_not_certainty() -> None:
    """With p = 0 for zero spread, arms that differ by luck alone would get a verdict."""
    rng = np.random.default_rng(0)
    claim = evidence.lower("error", "a", than="b", sentence="s")
    wrong = 0
    for _ in range(200):
        a, b = rng.integers(0, 2, (2, 2)) / 10  # two seeds, errors on ten images
        wrong += verdict(claim, {"a": a, "b": b}).verdict != "undecided"
    assert wrong == 0


def test_one_seed_decides_nothing_that_is_estimated() -> None:
    found = verdict(evidence.lower("error", "a", than="b", sentence="s"), {"a": [1.0], "b": [2.0]})
    assert (found.verdict, found.low, found.high) == ("undecided", -math.inf, math.inf)
    assert "one seed" in found.note


def test_skewed_differences_are_flagged_in_the_verdict() -> None:
    d = np.array([0.1, 0.2, 0.1, 0.15, 0.2, 0.1, 0.12, 0.18, 0.1, 6.0])
    found = verdict(
        evidence.higher("error", "a", than="b", sentence="s"), {"a": 1 + d, "b": np.ones(10)}
    )
    assert found.skewed
    assert found.skewness == pytest.approx(stats.skew(d, bias=False))
    assert "skewed" in found.says
    assert not verdict(evidence.lower("error", "a", than="b", sentence="s"), shifted(1)).skewed


# --- claims that make no sense -----------------------------------------------------------------

BAD: list[tuple[Any, dict[str, Any], str]] = [
    (evidence.lower, dict(arm="a", than="a"), "compares an arm with itself"),
    (evidence.lower, dict(arm="a", than="b", by=math.nan), "finite"),
    (evidence.lower, dict(arm="a", than="b", matters=0.0), "more than zero"),
    (evidence.lower, dict(arm="a", than="b", sentence=" "), "no sentence"),
    (evidence.equivalent, dict(arm="a", to="b", within=0.0), "more than zero"),
    (evidence.ratio, dict(arm="a", to="b"), "at_least or at_most"),
    (evidence.ratio, dict(arm="a", to="b", at_least=-1.0), "more than zero"),
    (evidence.ratio, dict(arm="a", to="b", at_least=2.0, at_most=1.0), "not below"),
    (evidence.ratio, dict(arm="a", to="b", at_least=2.0, matters=0.9), "factor above 1"),
    (evidence.bounded, dict(arms=[], at_most=1.0), "no arm"),
    (evidence.bounded, dict(arms=["a"]), "at_least or at_most"),
    (evidence.bounded, dict(arms=["a"], at_most=1.0, rare=1.0), "rare is a share"),
    (evidence.share, dict(arm="a", at_least=0.5), "value_at_least or value_at_most"),
    (evidence.share, dict(arm="a", value_at_most=1.0), "at_least or at_most"),
    (evidence.share, dict(arm="a", value_at_most=1.0, at_least=1.0), "cannot be tested"),
    (evidence.slope, dict(over={"a": 1.0}, at_most=1.0), "two different settings"),
    (evidence.slope, dict(over={"a": 0.0, "b": 1.0}, log_x=True, at_most=1.0), "more than zero"),
    (evidence.slope, dict(over={"a": 0.0, "b": 1.0}), "at_least or at_most"),
    (evidence.ordered, dict(rising=["a"]), "two arms"),
    (evidence.ordered, dict(), "rising or as falling"),
    (evidence.interaction, dict(neither="a", first="b", second="c", both="d"), "at_least"),
    (evidence.sooner, dict(arm="a", than="b", factor=0.0), "more than zero"),
    (evidence.sooner, dict(arm="a", than="b", matters=1.0), "factor above 1"),
    (evidence.exact, dict(arm="a", value=1.0, tolerance=-1.0), "negative"),
    (evidence.exact, dict(arm="a", value=math.inf), "finite"),
]


@pytest.mark.parametrize(("make", "options", "message"), BAD)
def test_a_claim_that_makes_no_sense_is_refused_when_it_is_stated(
    make: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(PracticumError, match=message):
        make("error", **{"sentence": "s", **options})
