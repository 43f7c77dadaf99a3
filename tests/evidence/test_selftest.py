"""Would catch: a self-test that cannot fail. It has to pass a sound judge and to reject broken
ones, to give every training a seed of its own, and to count both directions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from practicum.errors import PracticumError
from practicum.evidence import Claim, Measure, Outcomes, Verdict, judge, selftest
from practicum.evidence.selftest import aa, aa_of, collect, power, power_of, size_for


def normal(seeds: Sequence[int]) -> np.ndarray:
    """Stand for a training: one number per seed that depends on the seed only."""
    uniform = np.array([np.random.default_rng(seed).random() for seed in seeds])
    return stats.norm.ppf(uniform)


def draws(pairs: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(pairs, 2, n))


def broken(p_of: Any) -> Any:
    """A judge that reaches its verdict by another test."""

    def judged(
        claims: Sequence[Claim], outcomes: Outcomes, measures: Sequence[Measure]
    ) -> list[Verdict]:
        found = judge(claims, outcomes, measures)[0]
        a, b = (outcomes.values[arm]["number"] for arm in "ab")
        p = p_of(a - b)
        side = "supported" if found.effect < 0 else "refuted"
        return [dataclasses.replace(found, p=p, verdict=side if p <= 0.05 else "undecided")]

    return judged


def z_test(d: np.ndarray) -> float:
    return float(2 * stats.norm.sf(abs(d.mean()) / (d.std(ddof=1) / math.sqrt(d.size))))


def percentile_bootstrap(d: np.ndarray) -> float:
    means = np.random.default_rng(0).choice(d, (400, d.size)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return 1.0 if low <= 0 <= high else 0.0


def sign_test(d: np.ndarray) -> float:
    return float(stats.binomtest(int((d > 0).sum()), d.size, 0.5).pvalue)


def test_every_training_has_a_seed_of_its_own() -> None:
    asked: list[int] = []

    def measure_of(seeds: Sequence[int]) -> np.ndarray:
        asked.extend(seeds)
        return np.array([float(seed) for seed in seeds])

    steps: list[tuple[int, int]] = []
    numbers = collect(
        measure_of, 7, 3, first_seed=100, batch=3, progress=lambda *step: steps.append(step)
    )
    assert asked == list(range(100, 142))
    assert numbers.shape == (7, 2, 3)
    assert numbers[1].tolist() == [[106.0, 107.0, 108.0], [109.0, 110.0, 111.0]]
    assert steps == [(3, 7), (6, 7), (7, 7)]


def test_batches_do_not_change_the_numbers() -> None:
    assert np.array_equal(collect(normal, 5, 2, batch=1), collect(normal, 5, 2, batch=4))


def test_the_same_seeds_in_both_arms_would_never_give_a_verdict() -> None:
    """Why the seeds are disjoint: this check passes any judge at all."""
    numbers = draws(200, 5)
    numbers[:, 1] = numbers[:, 0]
    report = aa_of(numbers)
    assert report.supported == report.refuted == 0


def test_a_sound_judge_passes() -> None:
    report = aa_of(draws(1500, 10, seed=1))
    assert report.passed
    assert report.supported + report.refuted == round(1500 * report.rate)
    assert 0.35 < report.supported / (report.supported + report.refuted) < 0.65
    assert sum(report.tenths) == 1500
    assert stats.chisquare(report.tenths).pvalue > 0.001
    assert 0.09 < report.skewed / 1500 < 0.17  # the false alarms of docs/evidence.md


@pytest.mark.parametrize(("test", "n"), [(z_test, 3), (z_test, 10), (percentile_bootstrap, 5)])
def test_a_broken_judge_fails(test: Any, n: int) -> None:
    report = aa_of(draws(500, n, seed=2), judged_by=broken(test))
    assert not report.passed
    assert report.low > 0.05


def test_a_judge_that_finds_one_direction_only_in_excess_is_noticed() -> None:
    one_sided = broken(lambda d: float(2 * stats.t.cdf(d.mean() / (d.std(ddof=1) / 3.0), 9) / 4))
    report = aa_of(draws(500, 10), judged_by=one_sided)
    assert report.refuted == 0
    assert not report.passed


def test_the_known_effect_is_found_with_the_stated_power() -> None:
    report = power_of(draws(1000, 10, seed=3))
    assert report.passed
    assert abs(report.rate - 0.8) < 0.04
    assert report.effect == pytest.approx(size_for(10) * math.sqrt(2), rel=0.03)


def test_a_judge_that_loses_power_fails() -> None:
    assert not power_of(draws(500, 10), judged_by=broken(sign_test)).passed


def test_a_judge_that_takes_the_effect_for_its_opposite_fails() -> None:
    def reversed_(claims: Any, outcomes: Any, measures: Any) -> list[Verdict]:
        found = judge(claims, outcomes, measures)[0]
        other = {"supported": "refuted", "refuted": "supported"}
        return [dataclasses.replace(found, verdict=other.get(found.verdict, found.verdict))]

    assert not power_of(draws(400, 10), judged_by=reversed_).passed


def test_the_size_that_is_found_with_power_0_8_is_the_tabled_one() -> None:
    # Cohen 1988 and any power table: 0.8 at n = 34 for d = 0.5 (paired, two-sided 5 %).
    assert size_for(34) == pytest.approx(0.4954, abs=1e-3)


def test_the_reports_are_json_and_say_whether_they_passed() -> None:
    both = (aa(normal, 40, 4).to_json(), power(normal, 40, 4).to_json())
    for body in both:
        assert isinstance(body["passed"], bool)
        assert body["pairs"] == 40


@pytest.mark.parametrize(
    "measure_of", [lambda seeds: np.zeros(3), lambda seeds: np.full(len(seeds), np.nan)]
)
def test_trainings_that_give_no_numbers_are_refused(measure_of: Any) -> None:
    with pytest.raises(PracticumError, match="finite numbers, one per seed"):
        aa(measure_of, 2, 2)


def test_the_limit_is_as_sharp_as_the_file_says() -> None:
    allowed = max(
        k for k in range(90, 130) if selftest.share_interval(k, 2000)[1] <= selftest.LIMIT
    )
    assert allowed == 108
    passes = [stats.binom.cdf(allowed, 2000, rate) for rate in (0.05, 0.045, 0.08)]
    assert passes[0] == pytest.approx(0.81, abs=0.005)
    assert passes[1] == pytest.approx(0.97, abs=0.005)
    assert passes[2] < 1e-5
