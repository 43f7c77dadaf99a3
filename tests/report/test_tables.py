"""README's table or the verdicts out of date or hiding one, a result that rounds: caught here."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from practicum.engine import files
from practicum.engine.record import Record
from practicum.errors import PracticumError
from practicum.report import published, results_table

README = f"# Practicum\n\n{results_table.BEGIN}\nold\n{results_table.END}\n\nThe end.\n"


@pytest.fixture
def results(record: Record, toy: SimpleNamespace, tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    body = published.published(record, toy.command, date(2026, 1, 31))
    published.write(folder / "toy.json", body)
    return folder


def test_published_numbers_are_the_trials_own_bits(
    results: Path, record: Record, toy: SimpleNamespace
) -> None:
    body = published.read(results / "toy.json")
    for arm in record.arms:
        for measure in ("test_error", "accuracy"):
            values = np.array(body["values"][arm][measure], dtype=float)
            assert values.tobytes() == record.values(measure, arm).tobytes()
    assert body["values"]["<b>wide</b>"]["test_error"][3] == "nan"
    assert body["diverged"] == {"plain": 0, "dropout": 0, "<b>wide</b>": 1}
    assert body["protocol_sha256"] == record.sha256 == files.digest(body["protocol"])
    assert body["verdicts"] == record.verdicts
    assert body["command"] == toy.command
    assert body["date"] == "2026-01-31"


def test_published_curves_are_means_and_half_widths(results: Path, record: Record) -> None:
    curve = published.read(results / "toy.json")["curves"]["loss"]
    values = record.values("loss", "plain")
    assert curve["steps"] == list(range(0, 90, 10))
    np.testing.assert_allclose(curve["mean"]["plain"], values.mean(axis=0), rtol=1e-15)
    # Student's t with 5 degrees of freedom at 97.5 %, from a printed table: 2.571
    half = 2.5705818 * values.std(axis=0, ddof=1) / np.sqrt(6)
    np.testing.assert_allclose(curve["half_width"]["plain"], half, rtol=1e-6)


@pytest.mark.parametrize("points", [1, 2, 59, 60, 61, 1000])
def test_long_curves_are_thinned_and_keep_both_ends(points: int) -> None:
    kept = published.thinned(points)
    assert len(kept) == min(points, 60)
    assert kept[0] == 0
    assert kept[-1] == points - 1
    assert np.all(np.diff(kept) > 0)


def test_a_published_result_with_another_protocol_is_refused(results: Path) -> None:
    path = results / "toy.json"
    body = published.read(path)
    body["protocol"]["seeds"] = [7]
    published.write(path, body)
    with pytest.raises(PracticumError, match="not the one that its hash names"):
        published.read(path)
    published.write(path, {"lab": "toy"})
    with pytest.raises(PracticumError, match="lacks command, protocol"):
        published.read(path)


def test_the_page_has_a_row_for_every_verdict_and_the_labs_command(
    results: Path, toy: SimpleNamespace
) -> None:
    lines = results_table.page(results).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 1 + 2
    assert all(line.count("|") - line.count("\\|") == 5 for line in rows)
    supported, undecided = rows[1:]
    assert "**supported**" in supported
    assert "−1.44 points, −1.49 … −1.38" in supported
    assert "**undecided** (1 diverged)" in undecided
    assert "<script>" not in undecided  # GitHub would show nothing of it
    assert all(row.endswith("| 6 |") for row in rows[1:])
    assert "## toy" in lines  # what README links to
    assert f"`{toy.command}`, data: no-such-set; [record](../results/toy.json)." in lines


def test_readme_counts_the_verdicts_of_every_lab(results: Path, toy: SimpleNamespace) -> None:
    lines = results_table.summary(results).splitlines()
    assert len(lines) == 2 + 1 + 1
    assert all(line.count("|") - line.count("\\|") == 9 for line in lines)
    assert lines[2].startswith("| [toy](docs/verdicts.md#toy) | ")
    assert lines[2].endswith(f"| 1 | 0 | 1 | 6 | no-such-set | `{toy.command}` |")
    assert lines[3] == "| **1 labs** | | 1 | 0 | 1 | | | |"


@pytest.fixture
def pages(tmp_path: Path) -> tuple[Path, Path]:
    readme = tmp_path / "README.md"
    readme.write_text(README)
    return readme, tmp_path / "verdicts.md"


def test_readme_is_brought_up_to_date_between_its_markers_only(
    results: Path, pages: tuple[Path, Path]
) -> None:
    readme, verdicts = pages
    assert not results_table.is_current(*pages, results)
    assert readme.read_text() == README  # the check writes nothing
    assert not verdicts.exists()
    assert results_table.write_tables(*pages, results)
    assert results_table.is_current(*pages, results)
    assert not results_table.write_tables(*pages, results)
    text = readme.read_text()
    assert text.startswith("# Practicum\n\n<!-- results -->\n| lab |")
    assert text.endswith("|\n<!-- /results -->\n\nThe end.\n")
    assert "old" not in text


@pytest.mark.parametrize(
    ("which", "old", "new"), [(0, "| 1 | 0 | 1 | 6 |", "| 2 | 0 | 0 | 6 |"), (1, "−1.44", "−2.44")]
)
def test_a_hand_edited_number_makes_the_tables_stale(
    results: Path, pages: tuple[Path, Path], which: int, old: str, new: str
) -> None:
    results_table.write_tables(*pages, results)
    text = pages[which].read_text()
    assert old in text
    pages[which].write_text(text.replace(old, new))
    assert not results_table.is_current(*pages, results)


@pytest.mark.parametrize("text", ["", results_table.BEGIN, f"{README}{README}"])
def test_a_readme_without_its_two_markers_is_refused(text: str, results: Path) -> None:
    with pytest.raises(PracticumError, match="README needs the line"):
        results_table.updated(text, results)


def test_without_results_the_table_is_empty_and_its_markers_stay(tmp_path: Path) -> None:
    assert results_table.updated(README, tmp_path) == README.replace("old\n", "")


def test_the_committed_tables_are_what_the_committed_results_say() -> None:
    root = Path(__file__).parents[2]
    assert results_table.is_current(root / "README.md", root / results_table.PAGE, root / "results")
