"""Settings, scales and requests: what can be asked of a lab, and how mistakes are told.

Catches: a value that slips through with the wrong type or range, a change that reaches the wrong
arm, a command line that does not say what was asked, seeds read wrongly.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from practicum.errors import PracticumError
from practicum.labs import catalogue
from practicum.labs.lab import Scale, load, replaced, setting, setups_at, validate
from practicum.labs.protocol import Request, describe, read_seeds, seeds_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    count: int = setting(3, "how many", low=1, high=9)
    rate: float = setting(0.5, "how fast", low=0)
    rule: str = setting("plain", "which", choices=("plain", "fancy"))
    on: bool = setting(False, "whether")
    sizes: tuple[int, ...] = setting((4, 5), "how large")
    limit: float | None = setting(None, "at most")
    rates: tuple[float, ...] = setting((0.1, 1.0), "tried", low=0.01)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({"count": "7"}, {"count": 7}),
        ({"rate": "2"}, {"rate": 2.0}),
        ({"rule": "fancy"}, {"rule": "fancy"}),
        ({"on": "yes"}, {"on": True}),
        ({"on": "false"}, {"on": False}),
        ({"sizes": "1,2,3"}, {"sizes": (1, 2, 3)}),
        ({"sizes": ""}, {"sizes": ()}),
        ({"limit": "none"}, {"limit": None}),
        ({"limit": "0.25"}, {"limit": 0.25}),
    ],
)
def test_text_is_read_as_the_fields_type(text: dict[str, str], expected: dict[str, object]) -> None:
    changed = replaced(Setup(), text)
    for name, value in expected.items():
        assert getattr(changed, name) == value
        assert type(getattr(changed, name)) is type(value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"count": 0}, "at least 1"),
        ({"count": 10}, "at most 9"),
        ({"count": 2.0}, "a whole number"),
        ({"count": True}, "a whole number"),
        ({"rate": float("nan")}, "at least 0"),
        ({"rate": "fast"}, "a number"),
        ({"rule": "fanci"}, "did you mean 'fancy'"),
        ({"on": "perhaps"}, "true or false"),
        ({"sizes": "1,x"}, "a whole number"),
        ({"limit": "soon"}, "a number or none"),
        ({"rates": ""}, "at least one number"),
        ({"rates": "0.1,-1"}, "at least 0.01"),
        ({"conut": 3}, "did you mean 'count'"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(values: dict[str, object], says: str) -> None:
    with pytest.raises(PracticumError, match=says):
        replaced(Setup(), values)


def test_defaults_are_checked_like_anything_else() -> None:
    with pytest.raises(PracticumError, match="at most 9"):
        validate(Setup(count=12))


def test_a_change_reaches_the_named_arm_only() -> None:
    lab = load(catalogue.find("dropout").module)
    scale = Scale(seeds=2, set={"steps": 7, "plain.steps": 8})
    setups = setups_at(lab, scale, {"dropout.steps": "9"})
    assert {name: one.steps for name, one in setups.items()} == {
        "plain": 8, "dropout": 9, "small-plain": 7, "small-dropout": 7, "linear": 7,
    }  # fmt: skip


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True))
def test_seeds_are_read_as_they_are_written(seeds: list[int]) -> None:
    assert read_seeds(seeds_text(seeds)) == tuple(seeds)


def test_seeds_known_answers() -> None:
    assert read_seeds("3") == (0, 1, 2)
    assert read_seeds("10-12") == (10, 11, 12)
    assert read_seeds("3,5,8") == (3, 5, 8)
    assert read_seeds("7,") == (7,)


def test_the_command_asks_for_the_same_request() -> None:
    request = Request(
        lab="dropout", scale="smoke", seeds=(4, 6), data="digits", set={"plain.hidden": "3,4"}
    )
    assert shlex.split(request.command()) == [
        "practicum", "run", "dropout", "--scale", "smoke", "--seeds", "4,6", "--data", "digits",
        "--set", "plain.hidden=3,4",
    ]  # fmt: skip


def test_two_ways_to_ask_the_same_are_told_apart_only_by_what_differs() -> None:
    lab = load(catalogue.find("dropout").module)
    as_text = describe(lab, Request(lab="dropout", scale="smoke", set={"steps": "10"}))
    as_number = describe(lab, Request(lab="dropout", scale="smoke", set={"steps": 10}))
    other = describe(lab, Request(lab="dropout", scale="smoke", set={"steps": 11}))
    assert as_text == as_number
    assert other["arms"] != as_text["arms"]
