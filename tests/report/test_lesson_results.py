"""A lesson that tells other numbers than the published ones, or loses its text: caught here."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from practicum.engine.record import Record
from practicum.errors import PracticumError
from practicum.labs import catalogue
from practicum.report import lesson_results, prose, published

ROOT = Path(__file__).parents[2]
LESSON = (
    "# A lab\n\nBefore.\n\n## What came out\n\n<!-- results -->\n<!-- end -->\n\n## After\n\nx\n"
)


@pytest.fixture
def result(record: Record, toy: SimpleNamespace, tmp_path: Path) -> Path:
    path = tmp_path / "toy.json"
    published.write(path, published.published(record, toy.command, date(2026, 1, 31)))
    return path


def test_the_block_has_every_claim_with_verdict_effect_n_and_p(
    result: Path, toy: SimpleNamespace
) -> None:
    text = lesson_results.filled(LESSON, published.read(result))
    assert text.startswith("# A lab\n\nBefore.\n\n## What came out\n\n<!-- results -->\n\n`")
    assert text.endswith(" |\n\n<!-- end -->\n\n## After\n\nx\n")
    assert f"`{toy.command}` gave this, with 6 seeds in every arm (data: no-such-set):" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    supported, undecided = rows
    assert "| **supported** | −1.44 points, −1.49 … −1.38 | 6 | &lt; 0.001 |" in supported
    assert "**undecided** (1 diverged)" in undecided
    assert "<script>" not in undecided


def test_a_lesson_is_filled_once_and_then_current(result: Path, tmp_path: Path) -> None:
    lesson = tmp_path / "lesson.md"
    lesson.write_text(LESSON)
    assert not lesson_results.is_current(lesson, result)
    assert lesson.read_text() == LESSON  # the check writes nothing
    assert lesson_results.write_lesson(lesson, result)
    assert lesson_results.is_current(lesson, result)
    assert not lesson_results.write_lesson(lesson, result)
    lesson.write_text(lesson.read_text().replace("−1.44", "−2.44"))
    assert not lesson_results.is_current(lesson, result)


def test_without_a_published_result_the_block_is_empty(result: Path, tmp_path: Path) -> None:
    lesson = tmp_path / "lesson.md"
    lesson.write_text(LESSON)
    assert lesson_results.is_current(lesson, tmp_path / "none.json")
    lesson_results.write_lesson(lesson, result)
    assert not lesson_results.is_current(lesson, tmp_path / "none.json")
    lesson_results.write_lesson(lesson, tmp_path / "none.json")
    assert lesson.read_text() == LESSON


@pytest.mark.parametrize(
    "text",
    [
        "# A lab\n",
        "<!-- results -->\n",
        "<!-- end -->\n<!-- results -->\n",
        f"{LESSON}{LESSON}",
        "text <!-- results -->\n<!-- end -->\n",
    ],
)
def test_a_lesson_without_its_two_marker_lines_is_refused(text: str) -> None:
    with pytest.raises(PracticumError, match="## What came out"):
        lesson_results.filled(text, None)


def test_the_report_shows_the_block_and_no_marker(result: Path) -> None:
    html = prose.html(lesson_results.filled(LESSON, published.read(result)))
    assert "<strong>supported</strong>" in html
    assert "<h3>What came out</h3>" in html or "What came out</h" in html
    assert "results --" not in html
    assert html.count("<table>") == 1


def test_the_report_leaves_an_empty_block_out_with_its_heading() -> None:
    html = prose.html(LESSON)
    assert "What came out" not in html
    assert "Before." in html
    assert "After" in html
    assert "--" not in html


def test_every_lab_of_ours_has_a_published_verdict() -> None:
    ours = {entry.name for entry in catalogue.entries() if entry.origin == "practicum"}
    there = {path.stem for path in (ROOT / "results").glob("*.json")}
    missing = sorted(ours - there)
    assert not missing, (
        f"no verdict is published for {', '.join(missing)}; run "
        f"`python -m practicum.report.results {' '.join(missing)}`"
    )
