"""A page that hides a verdict, draws other numbers than the published ones, or loads something.

Also catches: a lab left out, hostile text that becomes markup, a committed page out of date.
"""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
import xml.etree.ElementTree as ElementTree
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from practicum.engine.record import Record
from practicum.labs import catalogue
from practicum.labs.catalogue import Entry
from practicum.report import catalogue_page, published, strips

ROOT = Path(__file__).parents[2]


@pytest.fixture
def results(record: Record, toy: SimpleNamespace, tmp_path: Path) -> Path:
    body = published.published(record, toy.command, date(2026, 1, 31))
    published.write(tmp_path / "toy.json", body)
    return tmp_path


@pytest.fixture
def entries(toy: SimpleNamespace) -> list[Entry]:
    """The published toy lab, one without a result, and one of another package."""
    ours = Entry(
        name="toy",
        topic="practice",
        title=f"A toy {toy.hostile}",
        source="Somebody 1999",
        year=1999,
        data=(),
        arms=("plain", "dropout"),
        claims=("One.", "Two."),
        scales={"full": 10},
        module="practicum.labs.practice.toy.experiment",
        origin="practicum",
        path=Path("nowhere"),
    )
    new = dataclasses.replace(ours, name="new", topic="vision", claims=("Not tried yet.",))
    theirs = dataclasses.replace(ours, name="toy", topic="vision", origin="their-labs")
    return [ours, new, theirs]


@pytest.fixture
def page(entries: list[Entry], results: Path) -> str:
    return catalogue_page.render(entries, results)


def test_every_claim_stands_there_with_verdict_effect_and_command(
    page: str, toy: SimpleNamespace
) -> None:
    assert page.count('<li class="supported">') == page.count('<li class="undecided">') == 1
    assert "✓ SUPPORTED" in page
    assert "? UNDECIDED" in page
    assert "−1.44 points, 95 % CI −1.49 … −1.38 (n = 6, paired, Holm-adjusted p &lt; 0.001)" in page
    assert "1 trial diverged" in page
    assert f"<code>{toy.command}</code>" in page
    assert "✓ 1 SUPPORTED" in page
    assert "✕ 0 REFUTED" in page


def test_a_lab_without_a_published_result_says_so(page: str) -> None:
    new = page[page.index('id="lab-new"') :]
    assert "Not tried yet." in new
    assert "No verdict is published here yet." in new
    assert "<code>practicum run new</code>" in new


def test_a_lab_of_another_package_is_marked_and_gets_no_result_of_ours(page: str) -> None:
    theirs = page[page.index("from the package their-labs") :]
    assert "this lab comes from another package" in theirs
    assert "SUPPORTED" not in theirs


def test_nothing_in_the_page_runs_or_loads(page: str) -> None:
    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: set[str] = set()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.add(tag)
            for name, value in attrs:
                assert not name.startswith("on")
                if name in ("src", "href"):
                    assert (value or "").startswith("#")

    reader = Reader()
    reader.feed(page)
    assert not reader.tags & {"script", "img", "link", "iframe", "b"}
    assert "default-src 'none'" in page
    assert "url(" not in page


def test_without_results_every_lab_is_still_there(entries: list[Entry]) -> None:
    page = catalogue_page.render(entries, None)
    assert page.count('<article class="lab"') == 3
    assert page.count("No verdict is published here yet") == 3
    assert catalogue_page.render([], None)


def test_the_picture_is_the_measure_of_the_first_claim(page: str) -> None:
    svg = page[page.index("<svg") : page.index("</svg>")]
    assert "dropout" in svg
    assert ">test error (%)" in svg or ">test error" in svg
    assert svg.count("<circle") >= 12


def drawn(svg: str) -> list[tuple[str, list[float]]]:
    """Read (arm, places of the dots) of a picture."""
    rows: list[tuple[str, list[float]]] = []
    for one in ElementTree.fromstring(svg).iter():
        if one.tag == "text" and one.get("text-anchor") is None:
            rows.append((one.text or "", []))
        if one.tag == "circle":
            rows[-1][1].append(float(one.attrib["cx"]))
    return rows


@pytest.mark.parametrize("log", [False, True])
def test_dots_lie_where_the_numbers_are(log: bool) -> None:
    values = {"a": [1.0, 2.0, 4.0], "b": [3.0, 1.5, 100.0 if log else 5.0]}
    svg = strips.strips(values, title="t")
    assert svg is not None
    assert ("logarithmic" in svg) is log
    scale = np.log if log else np.asarray
    numbers = np.concatenate([scale(row) for row in values.values()])
    places = np.concatenate([row for _, row in drawn(str(svg))])
    slope, middle = np.polyfit(numbers, places, 1)
    assert slope > 0
    np.testing.assert_allclose(slope * numbers + middle, places, atol=0.1)
    assert places.min() >= strips.LEFT
    assert places.max() <= strips.WIDTH - strips.RIGHT


def test_the_bar_is_the_mean_and_its_interval() -> None:
    svg = str(strips.strips({"a": [1.0, 2.0, 3.0, 6.0]}, title="t"))
    ((low, high),) = re.findall(r'd="M([\d.]+) 28H([\d.]+)" stroke="#', svg)
    (mean,) = re.findall(r'd="M([\d.]+) 21v14"', svg)
    half = 3.182446 * np.std([1, 2, 3, 6], ddof=1) / 2  # Student's t, 3 degrees of freedom
    axis = strips.axis_of([1.0, 2.0, 3.0, 6.0], [3 - half, 3 + half])
    assert float(mean) == pytest.approx(axis.at(3.0), abs=0.06)
    assert float(low) == pytest.approx(axis.at(3.0 - half), abs=0.06)
    assert float(high) == pytest.approx(axis.at(3.0 + half), abs=0.06)


@pytest.mark.parametrize(
    "row",
    [[0.0, 0.0], [5.0], [-1.0, 2.0], [1e-9, 1e9], [1e30, 2e30], [math.nan, 1.0], [0.3, 0.3000001]],
)
def test_hard_numbers_are_drawn_with_a_few_ticks(row: list[float]) -> None:
    svg = strips.strips({"<b>": row, "empty": [math.nan]}, title="a < b")
    assert svg is not None
    ElementTree.fromstring(str(svg))
    finite = [one for one in row if math.isfinite(one)]
    axis = strips.axis_of(finite, [min(finite) - 1, max(finite) + 1])
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= strips.TICKS + 2
    assert all(axis.low <= one <= axis.high for one in ticks)
    assert "nan" not in svg


def test_without_a_finite_number_there_is_no_picture() -> None:
    assert strips.strips({"a": [math.nan, math.inf]}, title="t") is None


def test_a_changed_number_makes_the_page_stale(entries: list[Entry], results: Path) -> None:
    file = results / "page" / "catalogue.html"
    catalogue_page.write_page(file, entries, results)
    assert catalogue_page.is_current(file, entries, results)
    file.write_text(file.read_text().replace("−1.44", "−2.44"))
    assert not catalogue_page.is_current(file, entries, results)
    shutil.rmtree(file.parent)
    assert not catalogue_page.is_current(file, entries, results)


def test_the_committed_page_is_what_labs_and_results_say() -> None:
    ours = [entry for entry in catalogue.entries() if entry.origin == "practicum"]
    assert catalogue_page.is_current(ROOT / "docs" / "catalogue.html", ours, ROOT / "results"), (
        "docs/catalogue.html is out of date; run `make results`"
    )
