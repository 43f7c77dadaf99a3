"""A report that needs the network, hides a seed, runs a hostile name, loses a verdict: caught here.

What only a browser can tell (overflow, colours in dark mode) is in tests/soak.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from practicum.engine import files
from practicum.engine.record import Record
from practicum.labs.lab import Lab
from practicum.report import html

LESSON = """# A lesson

Text $x_i$ with <script>alert(1)</script> and ![a picture](https://evil.example/x.png).
See [the paper](https://jmlr.org/x) and [the next one](../next/lesson.md).

$$ y = \\frac{1}{2} x \\tag{3} $$
"""
VOID = {"meta", "link", "img", "br", "hr", "input", "path", "use", "image"}
FETCHES = {"src", "href", "xlink:href", "srcset", "data", "action", "poster", "background"}


class Page(HTMLParser):
    """Every element with its attributes, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        opened = self.open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def fetched(page: Page) -> list[str]:
    """Return every address that a browser would load without being asked."""
    found = []
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            inside = (value or "").startswith(("#", "data:image/png;base64,"))
            if name in FETCHES and not inside and tag != "a":
                found.append(f"{tag} {name}={value}")
    return found


@pytest.fixture(scope="module")
def text(record: Record, lab: Lab, toy: SimpleNamespace) -> str:
    return html.render(record, lab, lesson=LESSON, command=toy.command)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_nothing_is_fetched_and_a_policy_forbids_it(text: str, page: Page) -> None:
    assert fetched(page) == []
    assert not re.search(r"url\(\s*['\"]?(?!#)", text)
    assert "@import" not in text
    policies = [a["content"] for t, a in page.elements if a.get("http-equiv")]
    assert len(policies) == 1
    assert (policies[0] or "").startswith("default-src 'none'")
    links = {a["href"] for t, a in page.elements if t == "a" and a.get("href")}
    assert {link for link in links if not str(link).startswith("#")} == {"https://jmlr.org/x"}


@pytest.mark.parametrize(
    "smuggled",
    [
        '<img src="https://cdn.example/x.png">',
        '<link rel="stylesheet" href="//cdn.example/x.css">',
        '<svg><image xlink:href="http://cdn.example/x.png"/></svg>',
    ],
)
def test_the_check_for_fetches_sees_one(text: str, smuggled: str) -> None:
    assert fetched(Page(text.replace("</main>", smuggled + "</main>")))


def test_every_element_is_closed_where_it_was_opened(page: Page) -> None:
    assert page.open == []


def test_identifiers_are_unique_and_every_reference_finds_its_target(page: Page) -> None:
    ids = Counter(a["id"] for _, a in page.elements if a.get("id"))
    assert [name for name, times in ids.items() if times > 1] == []
    for _, attributes in page.elements:
        for name, value in attributes.items():
            wanted = re.findall(r"url\(#([^)]+)\)", value or "")
            if name in ("href", "xlink:href") and (value or "").startswith("#"):
                wanted.append((value or "")[1:])
            if name == "aria-labelledby":
                wanted.append(value or "")
            assert all(one in ids for one in wanted), (name, value)


def test_hostile_names_are_text(text: str, page: Page, toy: SimpleNamespace) -> None:
    assert not [tag for tag, _ in page.elements if tag == "script"]
    assert not [a for _, a in page.elements for name in a if name.startswith("on")]
    # <b>wide</b> is an arm's name; the page's own <b> hold only labels.
    assert "wide</b>" not in text
    assert page.text.count(" ".join(toy.hostile.split())) >= 4


def test_verdicts_stand_in_sentences_and_words(page: Page, record: Record) -> None:
    for one in record.verdicts:
        for part in ("sentence", "says", "rule"):
            assert " ".join(one[part].split()) in page.text
    assert "✓ SUPPORTED" in page.text
    assert "? UNDECIDED" in page.text
    assert "−1.44 points, 95 % CI −1.49 … −1.38" in page.text


def test_every_seed_of_every_arm_and_measure_is_there(
    text: str, record: Record, toy: SimpleNamespace
) -> None:
    rows = dict(re.findall(r'<tr><th scope="row">(\d+)</th>\n(.*?)</tr>', text, re.DOTALL))
    assert sorted(map(int, rows)) == list(toy.seeds)
    for arm in record.arms:
        for seed in toy.seeds:
            values = toy.values(arm, seed)
            lost = (arm, seed) == ("<b>wide</b>", 3)
            shown = [values["loss"][-1], values["accuracy"]] + [values["test_error"]] * (not lost)
            for value in shown:
                assert f"{value:.6g}" in text, (arm, seed, value)
                assert f'title="{value!r}"' in text


def test_means_intervals_and_divergence_are_in_the_table_of_arms(page: Page) -> None:
    # numpy and scipy on the six known numbers of `plain`, by hand: mean 8.1638, half-width 0.0758
    assert "8.16 % ± 0.08" in page.text
    assert "20 % ± 40 1 diverged" in page.text  # 90 % was declared for a diverged trial
    assert "nan diverged" in page.text
    assert "18 trials , of which 1 diverged" in page.text.replace("trials,", "trials ,")


def test_settings_show_what_varies_and_where_the_paper_differs(text: str) -> None:
    rows = dict(
        re.findall(r'<tr([^>]*)><th scope="row"><code>(\w+)</code>', text)[i][::-1]
        for i in range(3)
    )
    assert "differs" in rows["rate"]
    assert "differs" in rows["width"]
    assert rows["layers"] == ""  # a tuple equals the list that JSON made of it
    assert text.count("differs here") == 2  # rate and width, not layers


def test_the_command_the_hashes_and_the_versions_are_there(
    page: Page, record: Record, toy: SimpleNamespace
) -> None:
    assert toy.command in page.text
    assert record.sha256 in page.text
    assert "ab" * 32 in page.text
    for name, version in record.protocol["versions"].items():
        assert f"{name} {version}" in page.text


def test_the_lesson_is_prose_with_drawn_equations(text: str, page: Page) -> None:
    drawn = [a for t, a in page.elements if t == "svg" and "math" in (a.get("class") or "")]
    assert {a["aria-label"] for a in drawn} >= {"x_i"}
    assert any("frac" in (a["aria-label"] or "") for a in drawn)
    assert "(3)" in page.text
    assert "[a picture]" in page.text


def test_headings_skip_no_level_and_there_is_one_first_heading(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_figures_are_drawn_described_and_take_the_readers_colours(text: str, page: Page) -> None:
    figures = re.findall(r'<svg class="figure".*?</svg>', text, re.DOTALL)
    assert len(figures) == 3
    for one in figures:
        assert one.count("<path") > 20
        assert "currentColor" in one
        assert "#000000" not in one
        assert "#ffffff" not in one
        assert 'aria-label="Figure' in one
        assert "<style" not in one
        assert "<metadata" not in one
    captions = [tag for tag, _ in page.elements if tag == "figcaption"]
    assert len(captions) == 3


def test_the_same_record_gives_the_same_bytes(
    record: Record, lab: Lab, text: str, toy: SimpleNamespace
) -> None:
    assert html.render(record, lab, lesson=LESSON, command=toy.command) == text


def test_without_a_lesson_the_section_and_its_link_are_gone(record: Record, lab: Lab) -> None:
    text = html.render(record, lab, lesson=None, command="x")
    assert "lesson" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL).lower()


def test_a_damaged_trial_is_named_and_not_left_out(
    record: Record, lab: Lab, tmp_path: Path
) -> None:
    copy = shutil.copytree(record.path, tmp_path / "copy")
    path = copy / "trials" / "dropout--2.json"
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.4", 1))
    with pytest.raises(files.Damaged, match=r"dropout--2\.json"):
        html.render(Record.open(copy), lab, lesson=None, command="x")


def test_language_and_viewport_are_declared(page: Page) -> None:
    attributes: dict[str, Any] = dict(page.elements)
    assert attributes["html"]["lang"] == "en"
    names = [a.get("name") for tag, a in page.elements if tag == "meta"]
    assert "viewport" in names
