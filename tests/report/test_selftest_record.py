"""The committed record of the self-test, and the sentences that quote it.

Catches: a README or page whose figures are not those of the record, a record that was edited, a
record that did not pass and is quoted all the same.
"""

from __future__ import annotations

from pathlib import Path

from practicum.engine.files import read_json

ROOT = Path(__file__).parents[2]
RECORD = read_json(ROOT / "results" / "selftest" / "evidence.json")


def test_the_record_passed_at_the_stated_size() -> None:
    aa = RECORD["aa"]
    assert aa["pairs"] == 2000
    assert aa["high"] <= 0.065
    assert aa["passed"]
    assert RECORD["power"]["passed"]


def test_readme_and_page_quote_the_record() -> None:
    aa, power = RECORD["aa"], RECORD["power"]
    count = aa["supported"] + aa["refuted"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"of {aa['pairs']:,} pairs of" in " ".join(readme.split())
    assert f"equal arms, {count} got a verdict" in " ".join(readme.split())
    page = " ".join((ROOT / "docs" / "evidence.md").read_text(encoding="utf-8").split())
    for text in (
        f"{count} false verdicts in 2,000 pairs ({100 * aa['rate']:.2f} %",
        f"{100 * aa['low']:.2f} to {100 * aa['high']:.2f} %",
        f"{aa['supported']} in one direction, {aa['refuted']} in the other",
        f"{100 * power['rate']:.1f} % of the pairs",
        f"{100 * power['low']:.1f} to {100 * power['high']:.1f} %",
    ):
        assert text in page
