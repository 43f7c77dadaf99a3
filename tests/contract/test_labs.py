"""What every lab promises, generated from the catalogue.

Catches: a lab that does not run, whose catalogue entry says something else than its module, whose
trial lets seeds influence each other or gives other bits the second time or after an interruption,
whose network has a part that learns nothing, whose seeds give other numbers when they are trained
together, whose figures are blank, whose lesson names a command that does not work, has no three
questions, or tells other numbers than the published ones; and an exception that is not needed.
`contracts.py` says what each promise means.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from practicum.labs import catalogue
from practicum.labs.catalogue import Entry
from practicum.report import lesson_results
from tests.contract import contracts
from tests.contract.contracts import Subject

RESULTS = Path(__file__).parents[2] / "results"
ENTRIES = catalogue.entries()
# One lab's contracts share a record and a pass of its trials: `--dist loadgroup` keeps them in one
# process; any other way of spreading the tests is slower and as good.
LABS = [
    pytest.param(entry, id=entry.name, marks=pytest.mark.xdist_group(entry.name))
    for entry in ENTRIES
]


@pytest.fixture(params=LABS, scope="module")
def subject(request: pytest.FixtureRequest, subject_of: Callable[[Entry], Subject]) -> Subject:
    return subject_of(request.param)


@pytest.fixture(params=LABS, scope="module")
def entry(request: pytest.FixtureRequest) -> Entry:
    return request.param


def test_every_lab_can_be_read() -> None:
    assert catalogue.problems() == {}


def test_the_catalogue_tells_the_truth(subject: Subject) -> None:
    contracts.tells_the_truth(subject)


def test_it_runs_to_a_verdict_for_each_claim(subject: Subject) -> None:
    contracts.runs_to_verdicts(subject)


def test_a_seed_gives_the_same_bits_again_and_among_others(subject: Subject) -> None:
    contracts.same_bits(subject)


def test_every_parameter_gets_a_gradient(subject: Subject) -> None:
    contracts.holds("gradients", contracts.gradients, subject)


def test_its_state_survives_an_interruption(subject: Subject) -> None:
    contracts.holds("state", contracts.state_round_trips, subject)


def test_its_lanes_equal_its_loop(subject: Subject) -> None:
    contracts.holds("lanes", contracts.lanes_equal_loop, subject)


def test_its_figures_show_something(subject: Subject) -> None:
    contracts.figures_show_something(subject)


def test_its_lesson_asks_three_questions_whose_commands_run(subject: Subject) -> None:
    contracts.lesson_commands_run(subject)


def test_its_header_says_what_would_refute_it(subject: Subject) -> None:
    contracts.header_says_what_would_refute_it(subject)


def test_what_came_out_in_its_lesson_is_what_was_published(entry: Entry) -> None:
    assert lesson_results.is_current(entry.lesson, RESULTS / f"{entry.name}.json"), (
        f"{entry.lesson} tells other numbers than results/{entry.name}.json; run `make results`"
    )
    assert "## What came out" in entry.lesson.read_text(encoding="utf-8")
