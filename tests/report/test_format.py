"""A digit that the seeds do not support, a lost sign, a p of 0.000: caught here.

Known answers are worked out by hand from the rule in `practicum/report/format.py`.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from practicum.evidence.claims import number
from practicum.report import format


@pytest.mark.parametrize(
    ("mean", "half_width", "unit", "text"),
    [
        (8.1234, 0.312, "%", "8.1 % ± 0.3"),
        (8.1234, 0.1449, "%", "8.12 % ± 0.14"),
        (8.1234, 0.0961, "%", "8.12 % ± 0.10"),
        (-0.04, 0.3, "points", "0.0 points ± 0.3"),
        (1234.5, 220.0, "steps", "1200 steps ± 200"),
        (1234.5, 3.3, "", "1234 ± 3"),
        (20.0, 37.0, "%", "20 % ± 40"),
        (0.91843, 0.00082, "", "0.9184 ± 0.0008"),
        (0.000021, 0.000004, "", "2.1 × 10⁻⁵ ± 4 × 10⁻⁶"),
        (5.0, 0.0, "", "5 ± 0"),
        (0.2, 2.1e-15, "", "0.2 ± 2 × 10⁻¹⁵"),
        (1e-9, 0.3, "", "0.0 ± 0.3"),
        (5.25, math.nan, "%", "5.25 %"),
        (5.25, math.inf, "%", "5.25 %"),
        (math.nan, math.nan, "", "not a number"),
        (-math.inf, 1.0, "", "−∞ ± 1.0"),
        (12345678.0, 20000.0, "", "1.235 × 10⁷ ± 20000"),
    ],
)
def test_a_mean_is_rounded_where_its_half_width_says(
    mean: float, half_width: float, unit: str, text: str
) -> None:
    assert format.spread(mean, half_width, unit) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "p < 0.001"),
        (0.00099, "p < 0.001"),
        (0.001, "p = 0.001"),
        (0.0123, "p = 0.012"),
        (0.5, "p = 0.50"),
        (None, ""),
    ],
)
def test_p_is_never_written_as_zero(p: float | None, text: str) -> None:
    assert format.p_value(p) == text


def test_an_effect_carries_its_sign_unit_and_interval() -> None:
    verdict = {"kind": "lower", "effect": -1.23, "low": -1.51, "high": -0.92, "unit": "points"}
    assert format.effect(verdict) == "−1.23 points, 95 % CI −1.51 … −0.92"
    better = {"kind": "higher", "effect": 1.23, "low": 0.92, "high": 1.51, "unit": ""}
    assert format.effect(better) == "+1.23, 95 % CI +0.92 … +1.51"
    share = {"kind": "share", "effect": 0.9, "low": 0.55, "high": 0.98, "unit": ""}
    assert format.effect(share) == "0.90, 95 % CI 0.55 … 0.98"


@given(st.floats(-50, 50), st.floats(0.01, 100))
def test_an_effect_is_rounded_as_in_the_verdicts_own_sentence(effect: float, width: float) -> None:
    """Two roundings of one number on one page look like a mistake in one of them."""
    low, high = effect - width / 2, effect + width / 2
    shown = format.effect({"kind": "share", "effect": effect, "low": low, "high": high, "unit": ""})
    says = [number(one, high - low) for one in (effect, low, high)]
    zeros = {f"−{digits}": digits for digits in ("0", "0.0", "0.00", "0.000", "0.0000")}
    says = [zeros.get(one, one) for one in says]  # a rounded zero needs no sign
    assert shown.replace("+", "") == f"{says[0]}, 95 % CI {says[1]} … {says[2]}"


def test_an_exact_value_shows_its_range_and_no_interval() -> None:
    verdict = {"kind": "exact", "effect": 3.0, "low": 3.0, "high": 3.0, "unit": "steps"}
    assert format.effect(verdict) == "3 steps, values 3 … 3"


def test_an_interval_as_wide_as_rounding_errors_shows_no_more_digits_than_an_exact_one() -> None:
    low, high = 0.97393659449251990, 0.97393659449252001
    verdict = {"kind": "slope", "effect": low, "low": low, "high": high, "unit": ""}
    assert format.effect(verdict) == "0.9739, 95 % CI 0.9739 … 0.9739"


def test_an_effect_that_could_not_be_computed_is_empty() -> None:
    assert format.effect({"kind": "lower", "effect": "nan", "low": "nan", "high": "nan"}) == ""
    assert format.effect({"kind": "lower", "effect": None, "low": None, "high": None}) == ""


def test_one_sided_and_endless_intervals_are_written_with_an_infinity_sign() -> None:
    one = {"kind": "sooner", "effect": 10.0, "low": 4.0, "high": "inf", "unit": "steps"}
    assert format.effect(one) == "10 steps, 95 % CI 4 … ∞"
    seed = {"kind": "lower", "effect": -0.5, "low": "-inf", "high": "inf", "unit": ""}
    assert format.effect(seed) == "−0.5"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (12.4, "12 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format.seconds(seconds) == text


def test_settings_are_written_as_people_write_them() -> None:
    assert format.setting((3, 2)) == format.setting([3, 2]) == "3, 2"
    assert format.setting(True) == "yes"
    assert format.setting(None) == "none"
    assert format.setting(0.5) == "0.5"
    assert format.setting(()) == "empty"


@given(
    st.floats(-1e5, 1e5, allow_subnormal=False),
    st.floats(1e-3, 1e4, allow_subnormal=False),
)
def test_what_is_printed_lies_within_half_a_unit_of_the_last_digit(x: float, half: float) -> None:
    decimals = format.places(half)
    assert decimals is not None
    text = format.number(x, decimals).replace(format.MINUS, "-")
    if "10" in text and "×" in text:
        return  # powers of ten are covered by the known answers
    assert abs(float(text) - x) <= 0.5000001 * 10.0**-decimals
    # One or two digits of the half-width survive: it never rounds to nothing.
    assert round(half, decimals) > 0


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_exact_reads_back_as_the_same_float(x: float) -> None:
    assert float(format.exact(x)) == x
