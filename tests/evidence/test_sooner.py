"""Would catch: a time to a target that is invented for a censored run, a tie that decides, a target
that is read from the wrong side, a diverged run that has reached its target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from practicum import evidence
from practicum.evidence import Claim, Measure, Outcomes, Verdict


def verdict(claim: Claim, arms: Mapping[str, Any], **others: Any) -> Verdict:
    """Judge one claim about the measure it names, given arm -> array."""
    n = len(next(iter(arms.values())))
    values = {arm: {claim.measure: np.asarray(x)} for arm, x in arms.items()}
    measures = [Measure("curve", better="lower"), Measure("gain", better="higher")]
    return evidence.judge([claim], Outcomes(tuple(range(n)), values, **others), measures)[0]


def curve(reach: list[float], points: int = 10) -> np.ndarray:
    """Curves that fall from 1 to 0 at step `reach` (of 1 .. points); inf: never."""
    steps = np.arange(1, points + 1)
    return np.array([np.where(steps >= at, 0.0, 1.0) for at in reach])


def sooner(a: list[float], b: list[float], **options: Any) -> Verdict:
    others = {key: options.pop(key) for key in ("diverged", "steps") if key in options}
    claim = evidence.sooner("curve", "a", than="b", target=0.5, sentence="s", **options)
    return verdict(claim, {"a": curve(a), "b": curve(b)}, **others)


def test_sooner_is_supported_refuted_and_undecided_by_the_sign_test() -> None:
    early, late = [2.0] * 10, [4.0, 5.0] * 5
    found = sooner(early, late)
    assert found.verdict == "supported"
    assert found.p == pytest.approx(stats.binomtest(10, 10, 0.5).pvalue)
    assert found.effect == pytest.approx((2 / 4 + 2 / 5) / 2)
    assert sooner(late, early).verdict == "refuted"
    assert sooner([2.0] * 5 + [6.0] * 5, [4.0] * 10).verdict == "undecided"


def test_the_factor_asks_for_more_than_sooner() -> None:
    assert sooner([2.0] * 10, [7.0] * 10, factor=1 / 3).verdict == "supported"
    assert sooner([4.0] * 10, [7.0] * 10, factor=1 / 3).verdict == "refuted"


def test_a_censored_run_counts_only_where_the_order_is_certain() -> None:
    never = math.inf
    # b never reaches the target: it is later than a for certain
    assert sooner([3.0] * 10, [never] * 10).verdict == "supported"
    assert sooner([never] * 10, [3.0] * 10).verdict == "refuted"
    # one of them at the very last step, the other not: later for certain
    assert sooner([10.0] * 10, [never] * 10).verdict == "supported"
    assert sooner([never] * 10, [10.0] * 10).verdict == "refuted"
    # both never: nothing is known
    found = sooner([never] * 10, [never] * 10)
    assert (found.verdict, found.p, found.low, found.high) == ("undecided", 1.0, 0.0, math.inf)
    # a at 6 of 10, b censored: twice as fast? unknown, b may need 11 or 1000 steps
    assert sooner([6.0] * 10, [never] * 10, factor=0.5).verdict == "undecided"
    assert sooner([5.0] * 10, [never] * 10, factor=0.5).verdict == "supported"


def test_a_budget_put_in_the_place_of_a_censored_time_would_refute_wrongly() -> None:
    """The test of the test: 6/10 taken for the ratio would refute 'at most half the time'."""
    found = sooner([6.0] * 10, [math.inf] * 10, factor=0.5)
    naive = np.full(10, 6 / 10)
    assert (naive > 0.5).all()
    assert found.verdict == "undecided"
    assert found.low == 0.0


def test_the_censored_runs_are_counted_in_the_note() -> None:
    found = sooner([2.0] * 9 + [math.inf], [4.0] * 10)
    assert "1 of 10 of a, 0 of 10 of b" in found.note
    assert "1 of 10 of a, 0 of 10 of b" in found.says


def test_ties_on_the_grid_speak_for_neither_side() -> None:
    found = sooner([4.0] * 10, [4.0] * 10)
    assert (found.verdict, found.effect, found.p) == ("undecided", 1.0, 1.0)
    assert sooner([1.0] * 3, [1.0] * 3, steps={"curve": [0.0, *range(1, 10)]}).effect == 1.0


def test_the_median_interval_is_made_of_order_statistics() -> None:
    found = sooner([1, 2, 3, 4, 5, 6, 7, 8, 9, 10.0], [10.0] * 10)
    assert (found.low, found.high) == pytest.approx((0.2, 0.9))  # the 2nd and the 9th of ten
    assert found.effect == pytest.approx(0.55)


def test_a_target_may_be_what_the_other_arm_ends_with() -> None:
    fast = np.array([[1.0, 0.5, 0.2, 0.1]] * 8)
    slow = np.array([[1.0, 0.8, 0.6, 0.5]] * 8)
    claim = evidence.sooner("curve", "a", than="b", sentence="s")
    assert verdict(claim, {"a": fast, "b": slow}).effect == pytest.approx(2 / 4)


def test_a_rising_measure_is_reached_from_below() -> None:
    claim = evidence.sooner("gain", "a", than="b", target=0.5, sentence="s")
    found = verdict(claim, {"a": 1 - curve([2.0] * 8), "b": 1 - curve([8.0] * 8)})
    assert (found.verdict, found.effect) == ("supported", 0.25)


def test_a_run_that_diverged_has_not_reached_its_target() -> None:
    lost = {"a": np.arange(10) == 0}
    assert sooner([2.0] * 10, [4.0] * 10, diverged=lost).diverged == 1
    lost = {"a": np.ones(10, dtype=bool)}
    assert sooner([2.0] * 10, [4.0] * 10, diverged=lost).verdict == "refuted"
