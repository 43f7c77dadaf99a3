"""The catalogue: read without importing, complete, and clear about what is wrong with a file.

Catches: a lab that cannot be read without torch, a missing part that is not named, two labs of one
name, a topic that does not exist.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from practicum.errors import PracticumError
from practicum.labs import catalogue

GOOD = """
TITLE = "A title"
SOURCE = "Somebody 1999"
YEAR = 1999
DATA = ()
ARMS = {"one": Setup(), "two": Setup(x=1)}
CLAIMS = (lower("m", "one", than="two", sentence="One is lower."),)
SCALES = {"smoke": Scale(seeds=2), "full": Scale(seeds=10)}
"""


def write(tmp_path: Path, text: str, topic: str = "vision") -> Path:
    file = tmp_path / topic / "my_lab" / "experiment.py"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_an_entry_holds_what_the_file_says(tmp_path: Path) -> None:
    entry = catalogue.read(write(tmp_path, GOOD), "a.vision.my_lab.experiment", "other")
    assert (entry.name, entry.topic, entry.year) == ("my-lab", "vision", 1999)
    assert entry.arms == ("one", "two")
    assert entry.claims == ("One is lower.",)
    assert entry.scales == {"smoke": 2, "full": 10}
    assert entry.matches("SOMEBODY")
    assert entry.matches("is lower")
    assert not entry.matches("elsewhere")


@pytest.mark.parametrize("part", ["TITLE", "SOURCE", "YEAR", "DATA", "ARMS", "CLAIMS", "SCALES"])
def test_a_missing_part_is_named(tmp_path: Path, part: str) -> None:
    text = "\n".join(line for line in GOOD.splitlines() if not line.startswith(part))
    with pytest.raises(PracticumError, match=f"lacks {part}"):
        catalogue.read(write(tmp_path, text), "a.b", "other")


@pytest.mark.parametrize("bad", ["TITLE = name()", "ARMS = arms()", "CLAIMS = claims()"])
def test_a_part_that_is_no_literal_is_told(tmp_path: Path, bad: str) -> None:
    with pytest.raises(PracticumError, match="literals"):
        catalogue.read(write(tmp_path, f"{GOOD}\n{bad}\n"), "a.b", "other")


def test_a_topic_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(PracticumError, match="visoin"):
        catalogue.read(write(tmp_path, GOOD, topic="visoin"), "a.b", "other")


def test_listing_and_showing_import_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['practicum', {verb}]\n"
        "from practicum.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {{'torch', 'numpy', 'pandas', 'matplotlib', 'scipy', 'sklearn'}}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    for verb in ("'list'", "'show', 'dropout'", "'data', 'list'"):
        ran = subprocess.run(
            [sys.executable, "-c", code.format(verb=verb)], capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
