"""The lab `experimental-design`.

Would catch: a p-value that is not that of scipy's t-test or of statsmodels' regression, a contrast
of other people than it says, a look at people who have not come yet, an honest rate off five per
cent, a reported p that is the smallest instead of the first, a p-curve with misplaced bins, arms
that study other people or other networks, method two reporting what it should not see.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import integrate, stats

from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import load, setups_at
from practicum.labs.practice.experimental_design import experiment, networks, researcher
from practicum.labs.practice.experimental_design.batch import every_look, p_curve
from practicum.labs.practice.experimental_design.experiment import ARMS, trial
from practicum.labs.practice.experimental_design.least_squares import (
    coefficient_p,
    p_from_sums,
    sums,
    t_test_p,
)
from practicum.labs.practice.experimental_design.networks import Pool, compare, peek_p
from practicum.labs.practice.experimental_design.researcher import (
    Freedom,
    Studies,
    every_p,
    peeking,
    reported,
)

LAB = load(experiment.__name__)
SMOKE = setups_at(LAB, LAB.scales["smoke"], {})
ALL = Freedom(outcomes=True, covariate=True, conditions=True, stopping=True)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def some_studies(studies: int = 6, people: int = 8) -> Studies:
    return Studies.draw(studies, people, 0.5, 0.3, rng(3))


# --- the tests themselves


def test_the_t_test_is_scipys_for_groups_of_different_sizes() -> None:
    first, second = rng().normal(size=(7, 5)), rng(1).normal(0.4, 2.0, size=(7, 9))
    expected = stats.ttest_ind(first, second, axis=1).pvalue
    np.testing.assert_allclose(t_test_p(first, second), expected, rtol=1e-9)
    welch = stats.ttest_ind(first, second, axis=1, equal_var=False).pvalue
    assert not np.allclose(t_test_p(first, second), welch, rtol=1e-3)  # the broken variant
    small = p_from_sums(sums(first), sums(second), np.array(5), np.array(5))  # a wrong size
    assert not np.allclose(small, expected, rtol=1e-3)


def test_two_equal_groups_without_spread_do_not_differ() -> None:
    assert t_test_p(np.full((1, 3), 2.0), np.full((1, 4), 2.0))[0] == 1.0
    assert t_test_p(np.full((1, 3), 2.0), np.full((1, 4), 3.0))[0] == 0.0


def test_a_coefficients_p_is_that_of_statsmodels() -> None:
    x = rng().integers(0, 3, size=(4, 15, 3)) - 1.0
    x[:, :, 0] = 1.0
    y = rng(1).normal(size=(4, 15, 2)) + x[:, :, 2:]
    for column in range(3):
        found = coefficient_p(x, y, column)
        for study in range(4):
            for outcome in range(2):
                fitted = sm.OLS(y[study, :, outcome], x[study]).fit()
                assert found[study, outcome] == pytest.approx(fitted.pvalues[column], rel=1e-8)


def test_a_study_that_cannot_answer_has_p_one_and_harms_no_other() -> None:
    x = np.ones((2, 6, 2))
    x[1, :3, 1] = -1.0  # everyone in the first study is of one group
    y = rng().normal(size=(2, 6, 1))
    found = coefficient_p(x, y, 1)
    assert found[0, 0] == 1.0
    assert found[1, 0] == pytest.approx(stats.ttest_ind(y[1, :3, 0], y[1, 3:, 0]).pvalue)


# --- the researcher


def test_every_analysis_is_the_one_that_its_freedom_names() -> None:
    """All 72 of one study, in order, each written out with statsmodels."""
    data, people = some_studies(2, 8), 5
    found = every_p(data, ALL, people)
    study = 1
    expected = []
    for n in (people, 8):
        y, coin = data.y[study, :, :n], data.coin[study, :, :n]
        for conditions in ((0, 1), (0, 2), (1, 2), (0, 1, 2)):
            outcomes = np.concatenate([y[c] for c in conditions])
            tosses = np.concatenate([coin[c] for c in conditions])
            x = np.repeat(np.linspace(-1.0, 1.0, len(conditions)), n)
            three = [outcomes[:, 0], outcomes[:, 1], outcomes.mean(axis=1)]
            one = np.ones_like(x)
            for columns, asked in (
                ([one, x], 1),
                ([one, x, tosses], 1),
                ([one, x, tosses, x * tosses], 1),
                ([one, x, tosses, x * tosses], 3),
            ):
                design = np.stack(columns, axis=1)
                solvable = np.linalg.matrix_rank(design) == design.shape[1]
                for y_one in three:
                    p = sm.OLS(y_one, design).fit().pvalues[asked] if solvable else 1.0
                    expected.append(p)
    assert found.shape == (2, len(expected)) == (2, 2 * 4 * 3 * 4)
    np.testing.assert_allclose(found[study], expected, rtol=1e-7)


@pytest.mark.parametrize(
    ("freedom", "analyses"),
    [
        (Freedom(), 1),
        (Freedom(outcomes=True), 3),
        (Freedom(stopping=True), 2),
        (Freedom(covariate=True), 4),
        (Freedom(conditions=True), 4),
    ],
)
def test_each_freedom_begins_with_the_planned_test(freedom: Freedom, analyses: int) -> None:
    data = some_studies()
    found = every_p(data, freedom, 5)
    planned = stats.ttest_ind(data.y[:, 0, :5, 0], data.y[:, 1, :5, 0], axis=1).pvalue
    assert found.shape == (6, analyses)
    np.testing.assert_allclose(found[:, 0], planned, rtol=1e-9)


def test_nobody_looks_at_people_who_have_not_come_yet() -> None:
    data = some_studies()
    later = data.y.copy()
    later[:, :, 5:] += rng(9).normal(size=later[:, :, 5:].shape)
    others = dataclasses.replace(data, y=later)
    without = dataclasses.replace(ALL, stopping=False)
    assert np.array_equal(every_p(data, without, 5), every_p(others, without, 5))
    first = every_p(data, without, 5).shape[1]
    with_more = every_p(data, ALL, 5), every_p(others, ALL, 5)
    assert np.array_equal(with_more[0][:, :first], with_more[1][:, :first])
    assert not np.allclose(with_more[0][:, first:], with_more[1][:, first:])


def test_the_coding_of_the_coin_changes_one_test_of_four_only() -> None:
    data = some_studies(40, 12)
    signs = every_p(data, Freedom(covariate=True), 12)
    dummies = every_p(data.dummies(), Freedom(covariate=True), 12)
    for same in (0, 1, 3):
        np.testing.assert_allclose(signs[:, same], dummies[:, same], rtol=1e-6)
    assert not np.allclose(signs[:, 2], dummies[:, 2], rtol=1e-2)


def test_people_are_as_stated() -> None:
    data = Studies.draw(3000, 10, 0.5, 0.7, rng())
    y = data.y.transpose(1, 0, 2, 3).reshape(3, -1, 2)
    np.testing.assert_allclose(y.mean(axis=1), [[0, 0], [0.7, 0.7], [0, 0]], atol=0.03)
    np.testing.assert_allclose(y.std(axis=1), 1.0, atol=0.03)
    assert np.corrcoef(y[0].T)[0, 1] == pytest.approx(0.5, abs=0.02)
    assert set(np.unique(data.coin)) == {-1.0, 1.0}
    assert abs(data.coin.mean()) < 0.01


def test_the_first_significant_p_is_reported_not_the_smallest() -> None:
    p = np.array([[0.3, 0.04, 0.001], [0.02, 0.01, 0.9], [0.4, 0.2, 0.3]])
    assert reported(p).tolist() == [0.04, 0.02, 0.4]
    assert p.min(axis=1).tolist() != reported(p).tolist()


def test_peeking_sees_running_groups() -> None:
    found = peeking(4, 5, 27, rng(2))
    again = rng(2)
    first, second = (again.normal(size=(4, 5, 5)).reshape(4, 25) for _ in range(2))
    assert found.shape == (4, 5)
    for look in range(5):
        n = 5 * (look + 1)
        expected = stats.ttest_ind(first[:, :n], second[:, :n], axis=1).pvalue
        np.testing.assert_allclose(found[:, look], expected, rtol=1e-7)


def test_an_honest_researcher_is_wrong_in_five_studies_of_a_hundred() -> None:
    data = Studies.draw(20000, 20, 0.5, 0.0, rng())
    told = reported(every_p(data, Freedom(), 20))
    wrong = int((told < 0.05).sum())
    assert stats.binomtest(wrong, len(told), 0.05).pvalue > 1e-3
    assert stats.kstest(told, "uniform").pvalue > 1e-3
    one_sided = told / 2  # the broken variant: a test that halves its p
    assert stats.binomtest(int((one_sided < 0.05).sum()), len(told), 0.05).pvalue < 1e-9


def test_two_looks_cost_what_numerical_integration_says() -> None:
    """The chance to be beyond 1.96 after 20 or after 30 people, with known variance: 7.6 %."""

    def inside(z: float) -> float:
        shift, spread = z * np.sqrt(20 / 30), np.sqrt(1 / 3)
        ends = (np.array([-1.96, 1.96]) - shift) / spread
        return float(stats.norm.pdf(z) * np.diff(stats.norm.cdf(ends))[0])

    expected = 1 - integrate.quad(inside, -1.96, 1.96)[0]
    assert expected == pytest.approx(0.076, abs=0.001)
    data = Studies.draw(20000, 30, 0.5, 0.0, rng(1))
    found = (every_p(data, Freedom(stopping=True), 20) < 0.05).any(axis=1).mean()
    assert found == pytest.approx(expected, abs=0.007)  # with an estimated variance


# --- the p-curve


def test_a_p_curve_counts_fifths_and_its_slope_has_the_right_sign() -> None:
    curve, slope = p_curve(np.array([0.001, 0.002, 0.011, 0.049]))
    np.testing.assert_allclose(curve, [50.0, 25.0, 0.0, 0.0, 25.0])
    expected = stats.linregress([0.5, 1.5, 2.5, 3.5, 4.5], curve).slope
    assert slope == pytest.approx(expected)
    assert slope < 0
    assert p_curve(np.array([0.041, 0.042, 0.03]))[1] > 0
    assert np.isnan(p_curve(np.zeros(0))[1])


def test_the_p_curve_of_a_true_effect_is_that_of_the_noncentral_t() -> None:
    curve, _ = p_curve(
        (told := reported(every_p(Studies.draw(8000, 20, 0.5, 0.5, rng()), Freedom(), 20)))[
            told < 0.05
        ]
    )
    shift = 0.5 * np.sqrt(20 / 2)
    edges = stats.t.isf(np.array([0.01, 0.02, 0.03, 0.04, 0.05]) / 2, 38)
    beyond = stats.nct.sf(edges, 38, shift) + stats.nct.cdf(-edges, 38, shift)
    expected = 100 * np.diff(beyond, prepend=0.0) / beyond[-1]
    np.testing.assert_allclose(curve, expected, atol=4.0)


# --- networks


def a_pool(networks_in_it: int = 60) -> Pool:
    """Test errors that a person can check: rows are networks, columns evaluations."""
    test = 5.0 + rng(4).normal(size=(networks_in_it, 4))
    return Pool(test=test, validation=rng(5).normal(size=test.shape), steps=np.arange(4))


def test_an_honest_comparison_of_one_method_is_wrong_in_five_of_a_hundred() -> None:
    rates = [(compare(a_pool(), "every run", 10, 4000, rng(i)) < 0.05).mean() for i in range(3)]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.015)


def test_method_two_reports_what_it_says() -> None:
    pool, studies, runs = a_pool(), 5, 4
    order = rng(8).random((studies, 60)).argsort(axis=1)
    one = pool.test[:, -1][order[:, :runs]]
    best = [
        [min(pool.test[k, -1] for k in row[runs + 5 * i : runs + 5 * i + 5]) for i in range(runs)]
        for row in order
    ]
    on_test = [[min(pool.test[k]) for k in row[runs : 2 * runs]] for row in order]
    on_validation = [
        [pool.test[k, int(np.argmin(pool.validation[k]))] for k in row[runs : 2 * runs]]
        for row in order
    ]
    last = [[pool.test[k, -1] for k in row[runs : 2 * runs]] for row in order]
    for report, two in {
        "every run": last,
        "best of five seeds": best,
        "best on test": on_test,
        "best on validation": on_validation,
    }.items():
        expected = stats.ttest_ind(one, two, axis=1).pvalue
        found = compare(pool, report, runs, studies, rng(8))
        np.testing.assert_allclose(found, expected, rtol=1e-8, err_msg=report)


def test_the_validation_control_does_not_see_the_test_errors() -> None:
    """The checkpoint stays the same when test errors change; the broken one follows them."""
    pool = a_pool()
    moved = dataclasses.replace(pool, test=pool.test[:, ::-1].copy())
    chosen = networks._reported(pool, "best on validation")
    mirrored = networks._reported(moved, "best on validation")
    at = pool.validation.argmin(axis=1)
    rows = np.arange(60)
    assert np.array_equal(chosen, pool.test[rows, at])
    assert np.array_equal(mirrored, moved.test[rows, at])
    assert np.array_equal(networks._reported(moved, "best on test"), pool.test.min(axis=1))


def test_peeking_at_runs_sees_running_groups_of_different_networks() -> None:
    pool = a_pool(16)
    found = peek_p(pool, 3, 8, 5, rng(1))
    order = rng(1).random((5, 16)).argsort(axis=1)
    assert found.shape == (5, 6)
    for look, n in enumerate(range(3, 9)):
        one, two = (pool.test[:, -1][order[:, part : part + n]] for part in (0, 8))
        expected = stats.ttest_ind(one, two, axis=1).pvalue
        np.testing.assert_allclose(found[:, look], expected, rtol=1e-7)


def test_the_best_of_five_is_1_16_standard_deviations_above_the_mean() -> None:
    """The constant of Equation (4) in the lesson."""
    density = lambda z: 5 * z * stats.norm.pdf(z) * stats.norm.cdf(z) ** 4  # noqa: E731  # a formula
    assert integrate.quad(density, -9, 9)[0] == pytest.approx(1.16, abs=0.005)


def test_a_pool_that_is_too_small_is_refused() -> None:
    with pytest.raises(PracticumError, match="need 60 runs, the pool has 59"):
        compare(a_pool(59), "best of five seeds", 10, 3, rng())
    setup = dataclasses.replace(ARMS["networks"], test_size=10**6)
    with pytest.raises(PracticumError, match="test_size"):
        every_look(setup, 0, Services())


# --- what the arms hold equal


def test_simmons_arms_see_the_same_people(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[np.ndarray] = []
    kept = Studies.draw.__func__  # type: ignore[attr-defined]  # the function under the classmethod

    def spy(cls: type[Studies], *arguments: object) -> Studies:
        made: Studies = kept(cls, *arguments)
        drawn.append(made.y)
        return made

    monkeypatch.setattr(Studies, "draw", classmethod(spy))
    arms = ("honest", "two-outcomes", "optional-stopping", "covariate", "all-four")
    for arm in arms:
        every_look(SMOKE[arm], 1, Services())
    assert all(np.array_equal(one, drawn[0]) for one in drawn)
    assert len(drawn) == len(arms)


def test_the_arms_of_a_seed_train_one_pool_and_seeds_share_no_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pools: list[tuple[range, Pool]] = []
    kept = networks.train_pool

    def spy(how: networks.Training, seeds: range, services: Services) -> Pool:
        pools.append((seeds, kept(how, seeds, services)))
        return pools[-1][1]

    monkeypatch.setattr(networks, "train_pool", spy)
    for arm, seed in (("networks", 1), ("best-checkpoint", 1), ("networks-peek", 2)):
        every_look(SMOKE[arm], seed, Services())
    (seeds_1, one), (_, two), (seeds_2, other) = pools
    assert np.array_equal(one.test, two.test)
    assert not np.array_equal(one.test, other.test)
    assert not set(seeds_1) & set(seeds_2)
    assert len({tuple(row) for row in one.test}) > 1  # networks of a pool differ


def test_freedom_raises_the_rate_and_never_lowers_it() -> None:
    rates = {arm: trial(SMOKE[arm], (0,), Services()).values["significant"][0] for arm in SMOKE}
    for arm in ("two-outcomes", "optional-stopping", "covariate", "drop-a-condition"):
        assert rates["honest"] <= rates[arm] <= rates["all-four"]
    assert rates["all-four"] > 30


def test_every_look_of_a_peeking_arm_has_its_place() -> None:
    for arm, at in (("peek", np.arange(10.0, 101.0, 10.0)), ("networks-peek", np.arange(3.0, 7.0))):
        p, looks = every_look(SMOKE[arm], 0, Services())
        assert looks.tolist() == at.tolist()
        assert p.shape == (60, len(at))
    measured = trial(SMOKE["peek"], (0,), Services())
    last = measured.values["significant so far"][0, -1]
    assert last == pytest.approx(measured.values["significant"][0])
    assert (np.diff(measured.values["significant so far"][0]) >= 0).all()


def test_the_streams_are_the_seeds_own() -> None:
    one = researcher.peeking(3, 5, 20, streams(1).numpy("order"))
    assert not np.array_equal(one, researcher.peeking(3, 5, 20, streams(2).numpy("order")))
