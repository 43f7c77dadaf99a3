"""The page of networks and ways of learning names every file, and is the committed one."""

from __future__ import annotations

from pathlib import Path

import pytest

from practicum.report.library_page import idea, page

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_up_to_date() -> None:
    committed = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    assert committed == page(), "run `python -m practicum.report.results`, which writes it anew"


def test_every_file_is_named_and_every_link_leads_somewhere() -> None:
    text = page()
    for room in ("nn", "learning"):
        for file in (ROOT / "practicum" / room).glob("*.py"):
            named = f"(../practicum/{room}/{file.name})" in text
            assert named == (not file.name.startswith("_")), file


def test_the_idea_is_the_first_sentence(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text('"""An idea that\ngoes on.\n\nPaper: none.\n"""\n', encoding="utf-8")
    assert idea(file) == "An idea that goes on"
    file.write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no docstring"):
        idea(file)
