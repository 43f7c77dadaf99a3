"""Would catch: a verdict that does not follow the adjusted test, an adjustment over the wrong
family, a verdict that depends on the order of seeds or on the units, a name that is not checked,
a record that cannot be read back, an import that drags in half of the scientific stack.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from practicum import evidence
from practicum.errors import PracticumError
from practicum.evidence import Claim, Measure, Outcomes, Verdict
from practicum.evidence.claims import Finding
from practicum.evidence.judge import decide, holm

ERROR = Measure("error", unit="%", better="lower", diverged=90.0)
OPPOSITE = {"supported": "refuted", "refuted": "supported", "undecided": "undecided"}


def outcomes(seeds: int | None = None, **arms: Any) -> Outcomes:
    n = seeds or len(next(iter(arms.values())))
    return Outcomes(tuple(range(n)), {arm: {"error": np.asarray(x)} for arm, x in arms.items()})


def one(claim: Claim, **arms: Any) -> Verdict:
    return evidence.judge([claim], outcomes(**arms), [ERROR])[0]


def lower(by: float = 0.0, arm: str = "a", than: str = "b") -> Claim:
    return evidence.lower("error", arm, than=than, by=by, sentence=f"{arm} < {than} by {by}")


def pairs() -> st.SearchStrategy[tuple[list[float], list[float]]]:
    number = st.integers(-1000, 1000).map(lambda k: k / 8)  # sums and scalings by 2 are exact
    return st.integers(2, 15).flatmap(
        lambda n: st.tuples(*[st.lists(number, min_size=n, max_size=n)] * 2)
    )


# --- Holm ------------------------------------------------------------------------------------


def naive_holm(p: list[float]) -> list[float]:
    """Eq. (1) of judge.py, one claim after the other."""
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_the_adjusted_p_are_holms(p: list[float]) -> None:
    findings = [Finding(n=5, p=value, favours=True) for value in p]
    assert holm(findings) == pytest.approx(naive_holm(p))


@pytest.mark.parametrize("p", [[0.3], [0.01, 0.04, 0.03], [0.5, 0.5, 0.0, 0.02], [0.02] * 5])
def test_the_adjusted_p_are_those_of_statsmodels(p: list[float]) -> None:
    findings = [Finding(n=5, p=value, favours=True) for value in p]
    assert holm(findings) == pytest.approx(list(multipletests(p, method="holm")[1]))


def test_a_claim_without_a_test_neither_gets_nor_costs_an_adjustment() -> None:
    findings = [Finding(n=5, p=p, favours=True) for p in (0.03, None, 0.01)]
    assert holm(findings) == [pytest.approx(0.03), None, pytest.approx(0.02)]


def test_the_verdict_follows_the_adjusted_p_not_the_interval() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(6, 10))
    noise -= noise.mean(axis=1, keepdims=True)
    noise /= noise.std(axis=1, ddof=1, keepdims=True)
    arms = {"b": np.zeros(10)} | {f"a{i}": noise[i] - 0.8 for i in range(6)}
    alone = one(lower(arm="a0"), a0=arms["a0"], b=arms["b"])
    assert alone.verdict == "supported"
    claims = [lower(arm=f"a{i}") for i in range(6)]
    together = evidence.judge(claims, outcomes(**arms), [ERROR])
    assert {v.verdict for v in together} == {"undecided"}
    assert together[0].high == alone.high < 0  # the interval is not adjusted, and is named so
    assert together[0].p_adjusted == pytest.approx(6 * alone.p)


def test_a_family_of_true_boundaries_gets_a_wrong_verdict_in_at_most_5_percent() -> None:
    """And the test of the test: without the adjustment it would be about four times as many."""
    rng = np.random.default_rng(2)
    claims = [lower(arm=f"a{i}") for i in range(5)]
    wrong = naive = 0
    for _ in range(200):
        common = rng.normal(size=8)  # all claims compare with the same arm: they depend
        arms = {f"a{i}": rng.normal(size=8) for i in range(5)} | {"b": common}
        found = evidence.judge(claims, outcomes(**arms), [ERROR])
        wrong += any(v.verdict != "undecided" for v in found)
        naive += any(v.p is not None and v.p <= 0.05 for v in found)
    assert wrong / 200 <= 0.1
    assert naive / 200 >= 0.13


@pytest.mark.parametrize(
    ("favours", "p", "expected"),
    [
        (True, 0.05, "supported"),
        (False, 0.05, "refuted"),
        (True, 0.0501, "undecided"),
        (None, 0.0, "undecided"),
        (True, None, "supported"),
        (None, None, "undecided"),
    ],
)
def test_a_decision_needs_a_direction_and_a_small_p(
    favours: bool | None, p: float | None, expected: str
) -> None:
    assert decide(favours, p) == expected


# --- properties ------------------------------------------------------------------------------


@given(pairs())
def test_swapping_the_arms_swaps_sign_and_verdict(data: tuple[list[float], list[float]]) -> None:
    a, b = data
    there, back = one(lower(), a=a, b=b), one(lower(), a=b, b=a)
    assert back.effect == -there.effect
    assert (back.low, back.high) == (-there.high, -there.low)
    assert back.p == pytest.approx(there.p, abs=1e-12)
    assert back.verdict == OPPOSITE[there.verdict]


@given(pairs(), st.integers(-64, 64))
def test_adding_a_constant_to_both_arms_changes_nothing(
    data: tuple[list[float], list[float]], constant: int
) -> None:
    a, b = np.array(data)
    plain, moved = one(lower(1.0), a=a, b=b), one(lower(1.0), a=a + constant, b=b + constant)
    assert plain.to_json() == moved.to_json()


@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_changes_nothing(
    data: tuple[list[float], list[float]], random: Any
) -> None:
    a, b = np.array(data)
    order = list(range(a.size))
    random.shuffle(order)
    plain, mixed = one(lower(), a=a, b=b), one(lower(), a=a[order], b=b[order])
    assert mixed.verdict == plain.verdict
    assert mixed.effect == pytest.approx(plain.effect)
    assert mixed.p == pytest.approx(plain.p, rel=1e-9, abs=1e-12)


@given(pairs(), st.sampled_from([0.25, 0.5, 2.0, 1024.0]))
def test_another_unit_scales_the_effect_and_leaves_the_verdict(
    data: tuple[list[float], list[float]], scale: float
) -> None:
    a, b = np.array(data)
    plain, scaled = one(lower(1.0), a=a, b=b), one(lower(scale), a=a * scale, b=b * scale)
    assert scaled.effect == plain.effect * scale
    assert scaled.p == pytest.approx(plain.p, rel=1e-12)
    assert scaled.verdict == plain.verdict


@given(pairs(), st.floats(-100, 100))
def test_alone_a_claim_is_decided_exactly_where_its_interval_lies_on_one_side(
    data: tuple[list[float], list[float]], by: float
) -> None:
    found = one(lower(by), a=data[0], b=data[1])
    if found.low == found.high:
        return  # without spread the sign test decides (test_hard_cases.py)
    expected = "undecided"
    if found.high < -by:
        expected = "supported"
    elif found.low > -by:
        expected = "refuted"
    assert found.verdict == expected


@given(pairs(), st.floats(0.1, 100))
def test_alone_equivalence_is_decided_exactly_where_the_interval_is_inside_or_outside(
    data: tuple[list[float], list[float]], within: float
) -> None:
    claim = evidence.equivalent("error", "a", to="b", within=within, sentence="s")
    found = one(claim, a=data[0], b=data[1])
    if found.low == found.high:
        return
    inside = -within < found.low and found.high < within
    outside = found.high < -within or found.low > within
    assert found.verdict == ("supported" if inside else "refuted" if outside else "undecided")


# --- names and shapes ------------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_the_near_one() -> None:
    with pytest.raises(PracticumError, match="did you mean 'plain'"):
        evidence.check([lower(arm="plian")], ["plain", "b"], [ERROR])
    claim = evidence.lower("eror", "a", than="b", sentence="s")
    with pytest.raises(PracticumError, match="did you mean 'error'"):
        evidence.check([claim], ["a", "b"], [ERROR])


def test_claims_and_measures_are_stated_once() -> None:
    with pytest.raises(PracticumError, match="stated twice"):
        evidence.check([lower(), lower()], ["a", "b"], [ERROR])
    with pytest.raises(PracticumError, match="two measures are named"):
        evidence.check([], ["a"], [ERROR, Measure("error")])


def test_sooner_needs_a_better_direction() -> None:
    claim = evidence.sooner("m", "a", than="b", target=1, sentence="s")
    with pytest.raises(PracticumError, match="which direction"):
        evidence.check([claim], ["a", "b"], [Measure("m")])


def test_a_measure_has_a_name_and_a_known_direction() -> None:
    with pytest.raises(PracticumError, match="name"):
        Measure("")
    with pytest.raises((PracticumError, TypeError), match="'lower'"):  # TypeError: jaxtyping's
        Measure("m", better="lowr")  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: outcomes(3, a=[1.0, 2.0]), "does not begin with the 3 seeds"),
        (lambda: Outcomes((1, 1), {}), "different"),
        (lambda: Outcomes((), {}), "at least one"),
        (lambda: Outcomes((0,), {"a": {}}, {"b": [True]}), "no arm named 'b'"),
        (lambda: Outcomes((0,), {"a": {}}, {"a": [True, False]}), "does not begin"),
        (lambda: one(lower(), a=[[1.0, 2.0]], b=[[1.0, 2.0]]), "is a curve"),
    ],
)
def test_outcomes_that_do_not_fit_are_refused(make: Any, message: str) -> None:
    with pytest.raises(PracticumError, match=message):
        make()


def test_a_curve_needs_rising_steps_and_two_dimensions() -> None:
    claim = evidence.sooner("error", "a", than="b", target=1, sentence="s")
    values = {"a": {"error": np.ones((2, 3))}, "b": {"error": np.ones((2, 3))}}
    with pytest.raises(PracticumError, match="rising steps"):
        evidence.judge([claim], Outcomes((0, 1), values, steps={"error": [3, 2, 1]}), [ERROR])
    with pytest.raises(PracticumError, match="needs a curve"):
        one(claim, a=[1.0], b=[1.0])


# --- records ---------------------------------------------------------------------------------


def test_a_verdict_survives_json_with_its_infinities() -> None:
    found = one(lower(), a=[1.0], b=[2.0])
    text = json.dumps(found.to_json(), allow_nan=False)
    assert json.loads(text)["low"] == "-inf"
    assert Verdict.from_json(json.loads(text)) == found


def test_a_verdict_with_a_missing_or_unknown_field_is_refused() -> None:
    body = one(lower(), a=[1.0, 3.0], b=[2.0, 2.5]).to_json()
    with pytest.raises(PracticumError, match="lacks rule"):
        Verdict.from_json({k: v for k, v in body.items() if k != "rule"})
    with pytest.raises(PracticumError, match="did you mean 'effect'"):
        Verdict.from_json({**body, "efect": 1})


def test_claims_are_hashable_data_with_their_rule_in_the_protocol() -> None:
    claim = lower(0.5)
    assert hash(claim) == hash(lower(0.5))
    spec = json.loads(json.dumps(claim.spec(), allow_nan=False))
    assert spec["kind"] == "lower"
    assert spec["by"] == 0.5
    assert "below −0.5" in spec["rule"]
    assert spec["rule"] == one(claim, a=[1.0, 2.0], b=[1.0, 3.0]).rule
    assert spec != lower(0.6).spec()


def test_the_sentence_of_a_verdict_names_numbers_seeds_and_what_it_speaks_about() -> None:
    rng = np.random.default_rng(0)
    b = 8 + rng.normal(size=20)
    found = one(lower(), a=b - 1.25 + rng.normal(0, 0.05, 20), b=b)
    assert found.says.startswith("SUPPORTED: error of a minus that of b is −1.2")
    for part in ("points", "95 % interval −1.", "n = 20 seeds on this data", "p < 0.001"):
        assert part in found.says


def test_importing_the_room_does_not_import_what_only_judging_needs() -> None:
    code = (
        "import sys, practicum.evidence;"
        "heavy = {'scipy', 'statsmodels', 'pandas', 'torch', 'matplotlib'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
