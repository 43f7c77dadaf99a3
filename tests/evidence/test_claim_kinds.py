"""Would catch: a kind that mixes up its directions, supports on the wrong side of a margin, takes
"no difference found" for equivalence, or counts the arms of a seed as independent trials.

Every kind is shown supported, refuted and undecided on outcomes made for it (`sooner` in
test_sooner.py; diverged trials and zero spread in test_hard_cases.py). The statistics behind are
tested in test_intervals.py, the adjustment over claims in test_judge.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from practicum import evidence
from practicum.evidence import Claim, Measure, Outcomes, Verdict

ERROR = Measure("error", unit="%", better="lower", diverged=90.0)
N = 12
NOISE = np.random.default_rng(8).normal(0.0, 0.5, (4, N))


def verdict(claim: Claim, arms: Mapping[str, Any], **others: Any) -> Verdict:
    """Judge one claim about the measure it names, given arm -> array."""
    n = len(next(iter(arms.values())))
    values = {arm: {claim.measure: np.asarray(x)} for arm, x in arms.items()}
    return evidence.judge([claim], Outcomes(tuple(range(n)), values, **others), [ERROR])[0]


def shifted(by: float, base: float = 8.0) -> dict[str, np.ndarray]:
    """Two arms that share their seeds' ups and downs; b is higher by about `by`."""
    common = base + 2 * NOISE[0]
    return {"a": common + NOISE[1] / 5, "b": common + by + NOISE[2] / 5}


# --- lower, higher ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "shift", "expected"),
    [
        (0.0, 1.0, "supported"),
        (0.0, -1.0, "refuted"),
        (0.0, 0.0, "undecided"),
        (0.5, 1.0, "supported"),
        (1.5, 1.0, "refuted"),  # lower, but not by that much
        (1.0, 1.0, "undecided"),
        (-0.5, 0.0, "supported"),  # not higher by half a point: non-inferiority
    ],
)
def test_lower_and_higher_look_at_the_side_of_the_margin(
    by: float, shift: float, expected: str
) -> None:
    arms = shifted(shift)
    arms["b"] += (arms["a"] - arms["b"]).mean() + shift  # exactly the shift
    low = evidence.lower("error", "a", than="b", by=by, sentence="a is lower")
    high = evidence.higher("error", "b", than="a", by=by, sentence="b is higher")
    assert verdict(low, arms).verdict == verdict(high, arms).verdict == expected
    assert verdict(low, arms).effect == pytest.approx(-shift)
    assert verdict(low, arms).unit == "points"  # per cent differ by points


def test_a_difference_has_the_p_and_interval_of_the_paired_t_test() -> None:
    arms = shifted(0.1)
    found = verdict(evidence.lower("error", "a", than="b", by=0.05, sentence="s"), arms)
    peer = stats.ttest_1samp(arms["a"] - arms["b"], -0.05)
    interval = peer.confidence_interval(0.95)
    assert found.p == pytest.approx(peer.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_an_arm_can_be_compared_with_a_number() -> None:
    arms = {"a": 5.0 + NOISE[0]}
    assert verdict(evidence.lower("error", "a", than=7.0, sentence="s"), arms).verdict == (
        "supported"
    )
    assert verdict(evidence.higher("error", "a", than=7.0, sentence="s"), arms).verdict == "refuted"


# --- ratio -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"at_least": 1.5}, "supported"),
        ({"at_most": 1.5}, "refuted"),
        ({"at_least": 2.0}, "undecided"),
        ({"at_least": 1.5, "at_most": 2.5}, "supported"),
        ({"at_least": 2.5, "at_most": 3.0}, "refuted"),
        ({"at_least": 2.0, "at_most": 2.5}, "undecided"),
    ],
)
def test_a_ratio_is_a_geometric_mean_on_its_side_of_the_bounds(
    bounds: dict[str, float], expected: str
) -> None:
    base = np.exp(NOISE[0])
    wobble = NOISE[1] - NOISE[1].mean()
    arms = {"a": 2.0 * base * np.exp(wobble / 5), "b": base}
    found = verdict(evidence.ratio("error", "a", to="b", sentence="s", **bounds), arms)
    assert found.verdict == expected
    assert found.effect == pytest.approx(2.0)
    logs = stats.ttest_1samp(np.log(arms["a"] / arms["b"]), 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(logs.low), math.exp(logs.high)))


def test_a_ratio_with_a_zero_cannot_be_judged_and_says_why() -> None:
    arms = {"a": np.array([1.0, 2.0, 0.0]), "b": np.ones(3)}
    found = verdict(evidence.ratio("error", "a", to="b", at_most=9, sentence="s"), arms)
    assert found.verdict == "undecided"
    assert "not above zero" in found.note
    assert math.isnan(found.effect)


# --- equivalent ------------------------------------------------------------------------------


def test_equivalence_is_supported_refuted_and_undecided() -> None:
    claim = evidence.equivalent("error", "a", to="b", within=0.5, sentence="s")
    assert verdict(claim, shifted(0.1)).verdict == "supported"
    assert verdict(claim, shifted(2.0)).verdict == "refuted"
    assert verdict(claim, shifted(-2.0)).verdict == "refuted"
    wide = {"a": 8 + NOISE[0], "b": 8 + NOISE[1]}
    assert verdict(claim, wide).verdict == "undecided"


def test_equivalence_has_twice_the_p_of_the_two_one_sided_tests_of_statsmodels() -> None:
    arms = shifted(0.2)
    claim = evidence.equivalent("error", "a", to="b", within=0.5, sentence="s")
    peer = ttost_paired(arms["a"], arms["b"], -0.5, 0.5)[0]
    assert 1e-9 < peer < 0.5
    assert verdict(claim, arms).p == pytest.approx(2 * peer)


def test_no_difference_shown_is_not_equivalence() -> None:
    """The mistake that equivalence tests exist for: p > 0.05 in a t-test proves nothing."""
    wide = {"a": 8 + 5 * NOISE[0], "b": 8 + 5 * NOISE[1]}
    assert stats.ttest_rel(wide["a"], wide["b"]).pvalue > 0.05
    claim = evidence.equivalent("error", "a", to="b", within=0.1, sentence="s")
    assert verdict(claim, wide).verdict == "undecided"


# --- bounded, exact --------------------------------------------------------------------------


def test_one_violation_refutes_a_bound_whatever_the_other_trials_do() -> None:
    claim = evidence.bounded("error", arms=["a", "b"], at_most=10.0, sentence="s")
    arms = {"a": np.full(50, 9.0), "b": np.full(50, 9.0)}
    assert verdict(claim, arms).verdict == "supported"
    arms["b"][17] = 10.1
    found = verdict(claim, arms)
    assert (found.verdict, found.p, found.effect) == ("refuted", 0.0, 1 / 50)


def test_a_bound_that_few_seeds_keep_is_undecided_and_counts_the_seeds_it_needs() -> None:
    claim = evidence.bounded("error", arms=["a"], at_least=1.0, rare=0.2, sentence="s")
    found = verdict(claim, {"a": np.full(13, 2.0)})
    assert found.verdict == "undecided"
    assert found.p == pytest.approx(0.8**13)
    assert found.seeds_needed == 14
    assert verdict(claim, {"a": np.full(14, 2.0)}).verdict == "supported"


def test_arms_of_one_seed_are_not_counted_as_independent_trials() -> None:
    claim = evidence.bounded("error", arms=["a", "b"], at_least=1.0, sentence="s")
    found = verdict(claim, {"a": np.full(10, 2.0), "b": np.full(10, 2.0)})
    assert found.n == 10
    assert found.verdict == "undecided"


def test_a_seed_that_violates_a_bound_in_two_arms_counts_once() -> None:
    claim = evidence.bounded("error", arms=["a", "b"], at_least=1.0, sentence="s")
    arms = {"a": np.full(10, 2.0), "b": np.full(10, 2.0)}
    arms["a"][4] = arms["b"][4] = 0.0
    found = verdict(claim, arms)
    assert found.effect == 1 / 10
    assert "2 of 20 trials violate" in found.note


def test_an_exact_value_holds_in_every_trial_or_is_refuted() -> None:
    claim = evidence.exact("error", "a", value=14.0, sentence="s")
    assert verdict(claim, {"a": np.array([14.0])}).verdict == "supported"
    found = verdict(claim, {"a": np.array([14.0, 14.0, 15.0])})
    assert (found.verdict, found.effect, found.low, found.high) == ("refuted", 15.0, 14.0, 15.0)
    assert found.p is None
    assert found.p_adjusted is None
    near = evidence.exact("error", "a", value=14.0, tolerance=0.5, sentence="s")
    assert verdict(near, {"a": np.array([14.4])}).verdict == "supported"


# --- share -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solved", "bound", "expected"),
    [
        (60, {"at_least": 0.9}, "supported"),
        (40, {"at_least": 0.9}, "refuted"),
        (56, {"at_least": 0.9}, "undecided"),
        (10, {"at_most": 0.5}, "supported"),
        (50, {"at_most": 0.5}, "refuted"),
        (30, {"at_most": 0.5}, "undecided"),
    ],
)
def test_a_share_is_compared_with_its_bound_by_the_exact_test(
    solved: int, bound: dict[str, float], expected: str
) -> None:
    values = (np.arange(60) < solved).astype(float)
    claim = evidence.share("error", "a", value_at_least=1.0, sentence="s", **bound)
    found = verdict(claim, {"a": values})
    assert found.verdict == expected
    assert found.effect == solved / 60
    (limit,) = bound.values()
    one_sided = [stats.binomtest(solved, 60, limit, a).pvalue for a in ("less", "greater")]
    assert found.p == pytest.approx(min(1.0, 2 * min(one_sided)))


def test_the_condition_of_a_share_may_have_two_ends() -> None:
    claim = evidence.share(
        "error", "a", value_at_least=1, value_at_most=2, at_least=0.1, sentence="s"
    )
    assert verdict(claim, {"a": np.array([0.0, 1.0, 1.5, 2.0, 3.0])}).effect == 3 / 5


# --- slope -----------------------------------------------------------------------------------


def test_a_slope_is_the_mean_of_the_slopes_that_numpy_fits_to_each_seed() -> None:
    over = {"a": 1.0, "b": 2.0, "c": 5.0}
    arms = {arm: 3 + 2 * x + NOISE[i] for i, (arm, x) in enumerate(over.items())}
    fits = [np.polyfit(list(over.values()), [arms[arm][i] for arm in over], 1)[0] for i in range(N)]
    peer = stats.ttest_1samp(fits, 1.5)
    found = verdict(evidence.slope("error", over=over, at_least=1.5, sentence="s"), arms)
    assert found.effect == pytest.approx(np.mean(fits))
    assert found.p == pytest.approx(peer.pvalue)
    assert found.verdict == "supported"


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"at_least": 0.45, "at_most": 0.55}, "supported"),
        ({"at_least": 0.9, "at_most": 1.1}, "refuted"),
        ({"at_most": 0.5}, "undecided"),
    ],
)
def test_a_log_log_slope_is_an_exponent(bounds: dict[str, float], expected: str) -> None:
    over = {"k10": 10.0, "k100": 100.0, "k1000": 1000.0}
    wobble = NOISE - NOISE.mean(axis=1, keepdims=True)
    arms = {arm: 7 * x**0.5 * np.exp(wobble[i] / 20) for i, (arm, x) in enumerate(over.items())}
    claim = evidence.slope(
        "error", over=over, setting="kappa", log_x=True, log_y=True, sentence="s", **bounds
    )
    found = verdict(claim, arms)
    assert found.verdict == expected
    assert found.effect == pytest.approx(0.5)
    assert found.unit == ""


# --- ordered ---------------------------------------------------------------------------------


def test_an_order_needs_every_step_and_falls_with_one() -> None:
    claim = evidence.ordered("error", rising=["a", "b", "c"], sentence="s")
    common = 8 + NOISE[0]
    arms = {"a": common, "b": common + 1 + NOISE[1] / 5, "c": common + 2 + NOISE[2] / 5}
    assert verdict(claim, arms).verdict == "supported"
    tie = arms | {"c": arms["b"] + NOISE[3] / 5}
    assert verdict(claim, tie).verdict == "undecided"
    wrong = arms | {"c": common + NOISE[2] / 5}
    assert verdict(claim, wrong).verdict == "refuted"
    falling = evidence.ordered("error", falling=["c", "b", "a"], sentence="s")
    assert verdict(falling, arms).effect == pytest.approx(verdict(claim, arms).effect)


def test_an_order_has_the_largest_p_of_its_steps_and_its_interval_agrees() -> None:
    common = 8 + NOISE[0]
    arms = {"a": common, "b": common + 1 + NOISE[1], "c": common + 1.5 + NOISE[2]}
    found = verdict(evidence.ordered("error", rising=["a", "b", "c"], sentence="s"), arms)
    steps = [arms["b"] - arms["a"], arms["c"] - arms["b"]]
    one_sided = [stats.ttest_1samp(d, 0, alternative="greater").pvalue for d in steps]
    assert found.p == pytest.approx(min(1.0, 2 * max(one_sided)))
    assert found.low == pytest.approx(
        min(stats.ttest_1samp(d, 0).confidence_interval(0.95).low for d in steps)
    )
    assert found.high == pytest.approx(
        min(stats.ttest_1samp(d, 0).confidence_interval(1 - 0.05 / 2).high for d in steps)
    )
    assert (found.verdict == "supported") == (found.low > 0)


def test_refuting_an_order_pays_for_having_several_steps() -> None:
    rng = np.random.default_rng(0)
    arms = {name: rng.normal(size=N) for name in "abcdef"}
    found = verdict(evidence.ordered("error", rising="abcdef", sentence="s"), arms)
    steps = [arms[y] - arms[x] for x, y in zip("abcde", "bcdef", strict=True)]
    worst = min(stats.ttest_1samp(d, 0, alternative="less").pvalue for d in steps)
    assert found.p == pytest.approx(min(1.0, 2 * 5 * worst))


# --- interaction -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("both", "expected"), [(9.0, "supported"), (5.0, "refuted"), (7.0, "undecided")]
)
def test_an_interaction_is_the_difference_of_differences(both: float, expected: str) -> None:
    level = {"none": 4.0, "x": 5.0, "y": 6.0, "xy": both}  # 7 is what adding up would give
    wobble = NOISE - NOISE.mean(axis=1, keepdims=True)
    arms = {name: value + wobble[i] for i, (name, value) in enumerate(level.items())}
    claim = evidence.interaction(
        "error", neither="none", first="x", second="y", both="xy", at_least=0.0, sentence="s"
    )
    found = verdict(claim, arms)
    d = (arms["xy"] - arms["y"]) - (arms["x"] - arms["none"])
    assert found.effect == pytest.approx(both - 7.0)
    assert found.p == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    assert found.verdict == expected
