"""How numbers are written, in one place: the terminal, the report and the tables all use this.

The spread decides the digits: the half-width of an interval keeps one significant digit (two if
the first is a 1), and the value is rounded to the same place. A digit that the seeds cannot
support is not printed. The ends of a verdict's interval show its width with two digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MINUS = "−"
_DIFFERENCES = ("lower", "higher", "equivalent", "interaction")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def places(half_width: float) -> int | None:
    """Return the decimal places that a half-width supports (negative: tens, hundreds, ...).

    None where it supports no statement: it is zero, infinite or not a number.
    """
    if not math.isfinite(half_width) or half_width <= 0:
        return None
    return _first_place(half_width)


def _first_place(size: float) -> int:
    """Return the place of the digit to keep: the first one, or the second after a leading 1."""
    digits = f"{size:.1e}"  # rounds 0.096 to 9.6e-02 and 0.0996 to 1.0e-01
    return -int(digits[4:] if digits[3] == "e" else digits.split("e")[1]) + (digits[0] == "1")


def number(value: float, decimals: int | None = None, *, signed: bool = False) -> str:
    """Write a number with so many decimal places; with four significant digits if None.

    Very large and very small numbers are written with a power of ten.
    """
    if not math.isfinite(value):
        if math.isnan(value):
            return "not a number"
        return ("+" if signed and value > 0 else MINUS if value < 0 else "") + "∞"
    size = abs(value)
    if size != 0 and not 1e-4 <= size < 1e6:
        text = _power(size, decimals)
    elif decimals is None:
        text = f"{size:.4g}" if size < 1e4 else f"{size:.0f}"
    else:
        text = f"{round(size, decimals):.{max(decimals, 0)}f}"
    zero = not any(digit in "123456789" for digit in text.split(" ")[0])
    sign = "" if zero else MINUS if value < 0 else "+" if signed else ""
    return sign + text


def _power(size: float, decimals: int | None) -> str:
    exponent = math.floor(math.log10(size))
    digits = 3 if decimals is None else max(0, min(15, exponent + decimals))
    mantissa, power = f"{size:.{digits}e}".split("e")
    if decimals is not None and decimals + exponent < 0:
        return f"{0:.{max(decimals, 0)}f}"  # smaller than the last digit that is written
    return f"{mantissa} × 10{str(int(power)).translate(_SUPERSCRIPT)}"


def spread(mean: float, half_width: float, unit: str = "") -> str:
    """Write a mean and the half-width of its 95 % interval: `8.1 % ± 0.3`."""
    decimals = places(half_width)
    # A spread of rounding errors does not make sixteen digits worth reading.
    tiny = 0 < half_width < 1e-7 * abs(mean)
    text = with_unit(number(mean, None if tiny else decimals), unit)
    if math.isnan(mean) or not math.isfinite(half_width):
        return text
    return f"{text} ± {number(half_width, decimals)}"


def effect(verdict: Mapping[str, Any]) -> str:
    """Write a verdict's effect and interval: `−1.23 points, 95 % CI −1.51 … −0.92`.

    A claim about an exact value has no interval; the smallest and largest value stand there.
    Empty where the verdict has no effect (nothing could be computed).
    """
    value, low, high = (_float(verdict.get(key)) for key in ("effect", "low", "high"))
    if math.isnan(value):
        return ""
    decimals = _interval_places(low, high)
    signed = low < 0 or value < 0 or verdict.get("kind") in _DIFFERENCES
    text = with_unit(number(value, decimals, signed=signed), str(verdict.get("unit") or ""))
    if math.isnan(low) or math.isnan(high) or (math.isinf(low) and math.isinf(high)):
        return text
    ends = [number(end, decimals, signed=signed) for end in (low, high)]
    name = "values" if verdict.get("kind") == "exact" else "95 % CI"
    return f"{text}, {name} {ends[0]} … {ends[1]}"


def _interval_places(low: float, high: float) -> int | None:
    """Return the decimal places that show an interval's width with two digits.

    These are the places of `Verdict.says`, so that a page never rounds one number in two ways.
    """
    width = high - low
    # A width of rounding errors does not make sixteen digits worth reading.
    if not (math.isfinite(width) and width > 1e-12 * max(abs(low), abs(high))):
        return None
    return max(0, 1 - math.floor(math.log10(width)))


def p_value(p: float | None, name: str = "p") -> str:
    """Write a p-value: `p < 0.001`, `p = 0.012`, `p = 0.34`; empty where there is none."""
    value = _float(p)
    if math.isnan(value):
        return ""
    if value < 0.001:
        return f"{name} < 0.001"
    return f"{name} = {value:.3f}" if value < 0.1 else f"{name} = {value:.2f}"


def with_unit(text: str, unit: str) -> str:
    """Put the unit after a number, with a space as the SI prescribes, also before `%`."""
    return f"{text} {unit}" if unit else text


def exact(value: float) -> str:
    """Write a float so that it reads back as the same float."""
    return repr(float(value))


def setting(value: Any) -> str:
    """Write the value of a setting."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(setting(one) for one in value) or "empty"
    return f"{value:g}" if isinstance(value, float) else str(value)


def seconds(value: float) -> str:
    """Write a duration: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _float(value: Any) -> float:
    """Read a number from JSON: null is nan, and nan and inf may come as text."""
    return math.nan if value is None else float(value)
