"""What every lab promises, generated from the catalogue.

Catches: a lab that does not run, whose catalogue entry says something else than its module, whose
trial lets seeds influence each other or gives other bits the second time, whose figures are blank,
whose lesson names a command that does not work or has no three questions.
"""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from practicum.engine.record import Record
from practicum.engine.services import Services
from practicum.labs import catalogue, performing, runner
from practicum.labs.catalogue import Entry
from practicum.labs.lab import load, setups_at
from practicum.labs.protocol import Request

ENTRIES = catalogue.entries()
LABS = pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
COMMAND = re.compile(r"^\$ (practicum .*)$", re.MULTILINE)


def smoke(entry: Entry, root: Path) -> Record:
    return runner.run(Request(lab=entry.name, scale="smoke"), root, workers=1)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    root = tmp_path_factory.mktemp("runs")
    return {entry.name: smoke(entry, root) for entry in ENTRIES}


def test_every_lab_can_be_read() -> None:
    assert catalogue.problems() == {}


@LABS
def test_the_catalogue_tells_the_truth(entry: Entry) -> None:
    lab = load(entry.module)
    assert (entry.name, entry.topic, entry.title) == (lab.name, lab.topic, lab.title)
    assert (entry.source, entry.year, entry.data) == (lab.source, lab.year, lab.data)
    assert entry.arms == tuple(lab.arms)
    assert entry.claims == tuple(claim.sentence for claim in lab.claims)
    assert entry.scales == {name: scale.seeds for name, scale in lab.scales.items()}
    assert lab.scales["full"].seeds >= 10


@LABS
def test_it_runs_to_a_verdict_for_each_claim(entry: Entry, records: dict[str, Record]) -> None:
    verdicts = records[entry.name].verdicts
    assert [one["sentence"] for one in verdicts] == list(entry.claims)
    assert {one["verdict"] for one in verdicts} <= {"supported", "refuted", "undecided"}


@LABS
def test_a_seed_alone_gives_the_bits_it_gives_among_others(
    entry: Entry, records: dict[str, Record]
) -> None:
    lab = load(entry.module)
    record = records[entry.name]
    last = record.seeds[-1]
    for arm, setup in setups_at(lab, lab.scales["smoke"], {}).items():
        (alone,) = performing.split(lab.trial(setup, [last], Services()), [last], keep=-1)
        for name, value in alone["values"].items():
            among = record.values(name, arm)[-1]
            assert np.array_equal(np.asarray(value, float), among, equal_nan=True), (arm, name)
        assert alone["digest"] == record.weights_digest(arm, last), arm


@LABS
def test_its_figures_show_something(entry: Entry, records: dict[str, Record]) -> None:
    from matplotlib.image import imread

    figures = load(entry.module).figures(records[entry.name])
    assert figures
    for caption, figure in figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=50)
        buffer.seek(0)
        image = imread(buffer)
        assert caption
        assert (image[..., :3] < 0.5).any(axis=-1).mean() > 0.002, f"{caption}: blank"


@LABS
def test_its_lesson_asks_three_questions_whose_commands_run(entry: Entry, tmp_path: Path) -> None:
    text = entry.lesson.read_text(encoding="utf-8")
    commands = COMMAND.findall(text)
    assert len(commands) >= 3
    lab = load(entry.module)
    for command in commands:
        words = shlex.split(command)
        assert words[1] in ("run", "show", "open", "list", "data", "compare"), command
        if words[1] != "run" or "--data" in words:
            continue
        assert words[2] == entry.name
        changes = dict(
            words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--set"
        )
        request = Request(lab=entry.name, scale="smoke", set=changes, seeds=(0, 1))
        record = runner.run(request, tmp_path, workers=1)
        assert len(record.verdicts) == len(lab.claims)


@LABS
def test_its_header_says_what_would_refute_it(entry: Entry) -> None:
    header = load(entry.module).header
    for part in ("Question", "refute", "Arms", "Primary measure", "Smallest effect", "Pitfalls"):
        assert part in header, f"the header lacks {part!r}"
