"""Every verb does what its help says, on one finished smoke run.

Catches: a verb that fails on the ordinary case, JSON that is no JSON, a report that is not there, a
comparison that misses a changed setting, a display that breaks on a terminal, a command to go on
with that is not the command.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from practicum.cli.running import Display, clock
from practicum.labs.runner import Progress
from tests.cli.conftest import Answer

Practicum = Callable[..., Answer]
RUN = ("run", "momentum", "--scale", "smoke", "--workers", "1")


def test_run_prints_arms_verdicts_and_the_report_and_runs_lists_it(
    practicum: Practicum, tmp_path: Path
) -> None:
    answer = practicum(*RUN)
    assert answer.code == 0, answer.err
    assert "verdict" in answer.out
    (page,) = tmp_path.glob("runs/momentum/*/report.html")
    assert str(page.relative_to(tmp_path)) in "".join(answer.out.split())
    listed = json.loads(practicum("runs", "--json").out)
    assert [one["state"] for one in listed] == ["finished"]
    assert listed[0]["command"] == "practicum run momentum --scale smoke"
    assert "finished" in practicum("runs", "momentum").out

    answer = practicum("report", "momentum")
    assert answer.code == 0
    assert "verdict" in answer.out

    opened: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
        assert practicum("open", "momentum").code == 0
    assert opened == [page.as_uri()]

    changed = practicum(*RUN, "--set", "candidates=5", "--quiet")
    assert changed.code == 0, changed.err
    assert not changed.err
    first, second = (one["path"] for one in json.loads(practicum("runs", "--json").out))
    compared = practicum("compare", first, second)
    assert compared.code == 0
    assert "candidates" in compared.out


def test_one_lab_gives_one_json_document_and_two_give_a_list(practicum: Practicum) -> None:
    one = json.loads(practicum(*RUN, "--json").out)
    assert one["lab"] == "momentum"
    assert {"verdicts", "run", "report", "protocol_sha256"} <= set(one)
    both = json.loads(practicum("run", "momentum", "perceptron", *RUN[2:], "--json").out)
    assert [each["lab"] for each in both] == ["momentum", "perceptron"]


def test_a_damaged_run_hides_no_other(practicum: Practicum, tmp_path: Path) -> None:
    practicum(*RUN, "--quiet")
    practicum(*RUN, "--quiet", "--fresh")
    first, _ = sorted(tmp_path.glob("runs/momentum/*/protocol.json"))
    for path in (first, first.with_name("protocol.copy.json")):
        path.write_text("{")
    answer = practicum("runs", "--json")
    assert len(json.loads(answer.out)) == 1
    assert "protocol" in answer.err


def test_precision_reaches_the_arithmetic(practicum: Practicum, tmp_path: Path) -> None:
    answer = practicum(
        "run", "dropout", "--scale", "smoke", "--seeds", "1", "--precision", "float64", "--quiet"
    )
    assert answer.code == 0, answer.err
    (path,) = tmp_path.glob("runs/dropout/*/protocol.json")
    assert json.loads(path.read_text())["body"]["arithmetic"]["precision"] == "float64"


def test_plan_says_what_run_would_do_and_begins_nothing(
    practicum: Practicum, tmp_path: Path
) -> None:
    answer = practicum("run", "dropout", "--scale", "smoke", "--plan")
    assert answer.code == 0, answer.err
    assert "10 trials" in answer.out
    assert "choice: loop, 1 workers" in answer.out
    assert not list(tmp_path.glob("runs/*"))


def test_list_and_show_tell_and_their_json_parses(practicum: Practicum) -> None:
    names = {one["name"] for one in json.loads(practicum("list", "--json").out)}
    assert {"dropout", "momentum"} <= names
    assert "dropout" in practicum("list", "Srivastava").out
    assert "dropout" not in practicum("list", "--topic", "beginnings").out
    assert json.loads(practicum("show", "dropout", "--json").out)["year"] == 2014
    shown = practicum("show", "dropout").out
    for text in ("Claims", "Settings", "train_size", "practicum run dropout"):
        assert text in shown
    assert practicum("show", "dropout", "--lesson").out.startswith("# Dropout")


def test_the_data_verbs_tell(practicum: Practicum) -> None:
    assert "digits" in practicum("data", "list").out
    assert {"digits", "mnist"} <= {
        one["name"] for one in json.loads(practicum("data", "list", "--json").out)
    }
    assert "comes with" in practicum("data", "where", "digits").out
    assert "practicum data get mnist" in practicum("data", "where", "mnist").out
    assert practicum("data", "check", "digits").code == 0
    missing = practicum("data", "check", "mnist")
    assert (missing.code, missing.out.count("missing")) == (1, 4)


def test_doctor_tells_everything_even_with_a_fault(
    practicum: Practicum, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PRACTICUM_DATA", str(tmp_path / "nowhere"))
    answer = practicum("doctor")
    assert answer.code == 0, answer.err
    for text in ("torch", "2.13", "cores", "device", "FAULT", "extra rl", "C++ compiler"):
        assert text in answer.out


def test_the_shell_completes_verbs() -> None:
    words = {
        "_PRACTICUM_COMPLETE": "complete_bash",
        "COMP_WORDS": "practicum sel",
        "COMP_CWORD": "1",
    }
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "from practicum.cli.main import app; app(prog_name='practicum')",
        ],
        env={**os.environ, **words},
        capture_output=True,
        text=True,
    )
    assert "selftest" in ran.stdout, ran.stderr


def test_the_display_draws_on_a_terminal_and_prints_lines_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Record:
        lab, path, pairs, state = "dropout", tmp_path, (1, 2, 3), "unfinished"

        def finished(self) -> set[int]:
            return set()

    step = Progress(done=1, of=3, fresh=1, seconds=40.0, trial="plain, seed 0")
    for terminal in (False, True):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        display = Display(quiet=False)
        display.begun(Record(), False, ())  # type: ignore[arg-type]  # what it reads of a record
        display.status("plain, seed 1: step 3 of 9")
        display.progress(step)
        display.close()
        told = capsys.readouterr().err
        assert "1 min 20 s left" in told or terminal
        assert "dropout: 3 trials" in told
    quiet = Display(quiet=True)
    quiet.begun(Record(), False, ())  # type: ignore[arg-type]  # what it reads of a record
    quiet.progress(step)
    assert not capsys.readouterr().err


def test_a_time_is_written_as_people_say_it() -> None:
    assert [clock(s) for s in (0.2, 45, 200, 7500)] == ["1 s", "45 s", "3 min 20 s", "2 h 5 min"]


def test_the_command_to_go_on_with_is_the_command(practicum: Practicum, tmp_path: Path) -> None:
    practicum(*RUN, "--quiet", "--runs", "my runs")
    (run,) = (path.parent for path in tmp_path.glob("my runs/momentum/*/protocol.json"))
    (run / "verdict.json").unlink()
    answer = practicum("report", str(run))
    assert answer.code == 2
    told = answer.err.partition("go on with: ")[2].strip()
    again = practicum(*shlex.split(told)[1:], "--quiet")
    assert again.code == 0
    assert (run / "verdict.json").exists()
