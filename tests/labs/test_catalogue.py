"""The catalogue: read without importing, complete, and clear about what is wrong with a file.

Catches: a lab that cannot be read without torch, a missing part that is not named, two labs of one
name, a topic that does not exist.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from practicum.errors import PracticumError
from practicum.labs import catalogue, protocol, runner
from practicum.labs.protocol import Request

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


@pytest.mark.parametrize("declared", ["EXCEPTIONS = ", "EXCEPTIONS: dict[str, str] = "])
def test_exceptions_from_contracts_are_read_with_their_reasons(
    tmp_path: Path, declared: str
) -> None:
    file = write(tmp_path, GOOD + declared + '{"lanes": "it sorts"}\n')
    assert catalogue.read(file, "a.b", "other").exceptions == {"lanes": "it sorts"}


def test_without_exceptions_there_are_none(tmp_path: Path) -> None:
    assert catalogue.read(write(tmp_path, GOOD), "a.b", "other").exceptions == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"lane": "it sorts"}', "did you mean 'lanes'"),
        ('{"lanes": " "}', "say in a sentence why"),
        ('{"lanes": 3}', "say in a sentence why"),
        ("{3: 'x'}", "no contract in EXCEPTIONS"),
        ("reasons()", "must be literals"),
        ("['lanes']", "must be literals"),
        ("3", "must be literals"),
    ],
)
def test_a_bad_exception_is_told(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PracticumError, match=says):
        catalogue.read(write(tmp_path, f"{GOOD}\nEXCEPTIONS = {text}\n"), "a.b", "other")


def test_exceptions_are_no_part_of_what_a_published_result_was_asked(tmp_path: Path) -> None:
    """They are told to the tests; a reason that is worded better makes no result stale."""
    hashes = set()
    for number, text in enumerate((GOOD, GOOD + 'EXCEPTIONS = {"lanes": "x"}\n', GOOD + "Y = 1\n")):
        folder = tmp_path / f"lab_{number}"
        folder.mkdir()
        (folder / "experiment.py").write_text(f"{text}\n\ndef trial():\n    pass\n")
        spec = {"__file__": str(folder / "experiment.py")}
        source = compile("def trial():\n    pass\n", spec["__file__"], "exec")
        exec(source, spec)
        hashes.add(protocol.code(SimpleNamespace(trial=spec["trial"])))  # type: ignore[arg-type]
    assert len(hashes) == 2


def test_a_topic_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(PracticumError, match="visoin"):
        catalogue.read(write(tmp_path, GOOD, topic="visoin"), "a.b", "other")


PLUGIN = """
\"\"\"A lab from elsewhere.\"\"\"
from dataclasses import dataclass
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements
from practicum.evidence import Measure, lower
from practicum.labs.lab import Scale, setting

TITLE = "A lab from another package"
SOURCE = "Nobody 2000"
YEAR = 2000
DATA = ()

@dataclass(frozen=True, kw_only=True)
class Setup:
    shift: float = setting(0.0, "what is added")

ARMS = {"one": Setup(), "two": Setup(shift=3.0)}
MEASURES = (Measure("m", better="lower", says="a number"),)
CLAIMS = (lower("m", "one", than="two", sentence="One is lower."),)
SCALES = {
    "smoke": Scale(seeds=3),
    "quick": Scale(seeds=5),
    "full": Scale(seeds=10),
    "paper": Scale(seeds=10),
}

def trial(setup, seeds, services):
    draws = [streams(seed).numpy("noise").normal() + setup.shift for seed in seeds]
    return Measurements(values={"m": draws})

def figures(record):
    return {}
"""


def install(site: Path, name: str, target: str) -> None:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[practicum.labs]\n{name} = {target}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    catalogue._all.cache_clear()
    yield tmp_path
    catalogue._all.cache_clear()


def test_a_lab_of_another_package_is_listed_as_such_and_runs(site: Path) -> None:
    folder = site / "elsewhere" / "society" / "their_lab"
    folder.mkdir(parents=True)
    for each in (folder, folder.parent, folder.parent.parent):
        (each / "__init__.py").write_text("")
    (folder / "experiment.py").write_text(PLUGIN)
    install(site, "elsewhere", "elsewhere.society.their_lab.experiment")
    entry = catalogue.find("their-lab")
    assert (entry.origin, entry.topic) == ("elsewhere", "society")
    record = runner.run(Request(lab="their-lab", scale="smoke"), site / "runs", workers=1)
    assert len(record.verdicts) == 1


@pytest.mark.parametrize("target", ["nowhere.to.be.found", "json", "practicum.nothing.here.either"])
def test_a_broken_lab_of_another_package_harms_no_other(site: Path, target: str) -> None:
    install(site, "broken", target)
    assert "dropout" in {entry.name for entry in catalogue.entries()}
    (problem,) = catalogue.problems().values()
    assert problem
    with pytest.raises(PracticumError):
        catalogue.find("broken")


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
