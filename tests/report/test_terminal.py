"""A verdict without its interval, a hidden divergence, escape codes in a pipe: caught here."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from practicum.engine.record import Record
from practicum.labs.lab import Lab
from practicum.report import terminal, view


def printed(record: Record, lab: Lab, **console: Any) -> str:
    file = io.StringIO()
    to = Console(file=file, highlight=False, **console)
    terminal.show(record, lab, report="runs/toy/report.html", to=to)
    return file.getvalue()


def test_the_summary_has_arms_verdicts_and_the_report(record: Record, lab: Lab) -> None:
    lines = [" ".join(line.split()) for line in printed(record, lab, width=160).splitlines()]
    assert lines[1:5] == [
        "arm test error accuracy n diverged",  # no claim is about the loss
        "plain 8.16 % ± 0.08 0.9184 ± 0.0008 6 0",
        "dropout 6.73 % ± 0.12 0.9327 ± 0.0012 6 0",
        "<b>wide</b> 20 % ± 40 0.917 ± 0.003 6 1",
    ]
    assert lines[5] == (
        "verdict SUPPORTED −1.44 points, 95 % CI −1.49 … −1.38 "
        "(n = 6, paired, Holm-adjusted p < 0.001)"
    )
    assert lines[6] == "Dropout lowers the error"
    assert lines[-1] == "report runs/toy/report.html"


def test_names_are_printed_as_they_are_and_never_read_as_markup(
    record: Record, lab: Lab, toy: SimpleNamespace
) -> None:
    assert toy.hostile in printed(record, lab, width=160)


def test_a_pipe_gets_no_escape_codes_and_a_terminal_does(record: Record, lab: Lab) -> None:
    assert "\x1b" not in printed(record, lab, width=120)
    assert "\x1b" in printed(record, lab, width=120, force_terminal=True, color_system="standard")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_narrow_terminals_lose_nothing(record: Record, lab: Lab, width: int) -> None:
    lines = printed(record, lab, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines).replace(" … ", "")  # rich's mark for what it cut off
    text = "".join("".join(lines).split())
    for part in ("SUPPORTED", "UNDECIDED", "Dropoutlowerstheerror"):
        assert part in text


def test_without_a_terminal_lines_are_not_folded(
    record: Record, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.show(record, lab)
    out = capsys.readouterr().out
    assert "−1.44 points, 95 % CI −1.49 … −1.38 (n = 6, paired, Holm-adjusted p < 0.001)" in out
    assert "report" not in out


def test_an_undecided_verdict_says_how_many_seeds_and_a_skewed_one_that_it_is() -> None:
    verdict = {"verdict": "undecided", "seeds_needed": 43, "diverged": 2, "note": ""}
    assert view.remarks(verdict) == [
        "2 trials diverged",
        "about 43 fresh seeds would show the smallest effect that matters",
    ]
    assert "skewed" in view.remarks({"verdict": "supported", "skewed": True})[0]
    noted = {"verdict": "supported", "skewed": True, "note": "the numbers per seed are skewed"}
    assert len(view.remarks(noted)) == 1
