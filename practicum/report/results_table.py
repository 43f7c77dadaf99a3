"""The tables of published verdicts, made from the files under `results/`.

README has a row for every lab, docs/verdicts.md one for every claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from practicum.engine import files
from practicum.errors import PracticumError
from practicum.report import format, published, view

BEGIN, END = "<!-- results -->", "<!-- /results -->"


PAGE = "docs/verdicts.md"


def summary(results: str | Path, *, link: str = PAGE) -> str:
    """Return README's table in Markdown: how many claims of each published lab have which verdict.

    Empty as long as nothing is published.

    Args:
        results: folder of the published results.
        link: the page with every claim, as README's links name it.
    """
    lines = [
        f"| lab | about | {' | '.join(view.WORDS)} | n | data | command |",
        "|---|---|--:|--:|--:|--:|---|---|",
    ]
    total = Counter[str]()
    for path in sorted(Path(results).glob("*.json")):
        body = published.read(path)
        counts = Counter(one["verdict"] for one in body["verdicts"])
        total += counts
        cells = [
            f"[{cell(body['lab'])}]({link}#{path.stem})",
            cell(body["protocol"]["title"]),
            *(str(counts[verdict]) for verdict in view.WORDS),
            str(len(body["protocol"]["seeds"])),
            data(body),
            f"`{cell(body['command'])}`",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if len(lines) == 2:
        return ""
    sums = " | ".join(str(total[verdict]) for verdict in view.WORDS)
    return "\n".join([*lines, f"| **{len(lines) - 2} labs** | | {sums} | | | |"])


def page(results: str | Path, *, link: str = "../results") -> str:
    """Return docs/verdicts.md: every claim of every published lab, whatever its verdict.

    Args:
        results: folder of the published results.
        link: the same folder as the page's links name it.
    """
    sections = [
        "# Every published verdict\n\nWritten by `make results` from the records under `results/`. "
        "How a verdict is made:\n[how-a-verdict-is-made.md](how-a-verdict-is-made.md). "
        "With pictures: [catalogue.html](catalogue.html).\n"
    ]
    for path in sorted(Path(results).glob("*.json")):
        body = published.read(path)
        rows = "\n".join(_row(one) for one in body["verdicts"])
        sections.append(
            f"## {path.stem}\n\n{cell(body['protocol']['title'])}.\n\n"
            f"`{cell(body['command'])}`, data: {data(body)}; [record]({link}/{path.name}).\n\n"
            "| claim | verdict | effect, 95 % interval | n |\n|---|---|---|---|\n"
            f"{rows}\n"
        )
    return "\n".join(sections)


def data(body: Mapping[str, Any]) -> str:
    """Return the names of a published lab's data."""
    return cell(", ".join(body["protocol"]["data"]) or "generated")


def _row(verdict: Mapping[str, Any]) -> str:
    cells = [
        cell(verdict["sentence"]),
        f"**{verdict['verdict']}**" + flags(verdict),
        effect(verdict),
        str(verdict["n"]),
    ]
    return f"| {' | '.join(cells)} |"


def effect(verdict: Mapping[str, Any]) -> str:
    """Return a verdict's effect and interval under the heading `effect, 95 % interval`."""
    return cell(format.effect(verdict) or "—").replace(", 95 % CI", ",")


def flags(verdict: Mapping[str, Any]) -> str:
    """Return what must stand beside the word: skew, diverged trials."""
    said = ["skewed"] if verdict.get("skewed") else []
    if verdict.get("diverged"):
        said.append(f"{verdict['diverged']} diverged")
    return f" ({', '.join(said)})" if said else ""


def cell(text: str) -> str:
    """Return text that can stand in a cell: one line, no bar, no tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def updated(readme: str, results: str | Path) -> str:
    """Return README's text with the table between its two markers made anew.

    Raises:
        PracticumError: the markers are missing, repeated or in the wrong order.
    """
    if (
        readme.count(BEGIN) != 1
        or readme.count(END) != 1
        or readme.index(BEGIN) > readme.index(END)
    ):
        raise PracticumError(f"README needs the line {BEGIN} and, below it, {END}, once each")
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    made = "".join(f"{line}\n" for line in summary(results).splitlines())
    return f"{before}{BEGIN}\n{made}{END}{after}"


def write_tables(readme: str | Path, verdicts: str | Path, results: str | Path) -> bool:
    """Bring README's table and the page of all verdicts up to date; return whether one changed.

    Raises:
        PracticumError: no README, no markers, or a published result is damaged.
    """
    old = _read(readme)
    new = {Path(readme): updated(old, results), Path(verdicts): page(results)}
    changed = {path: text for path, text in new.items() if not _says(path, text)}
    for path, text in changed.items():
        files.write_atomic(path, text.encode())
    return bool(changed)


def is_current(readme: str | Path, verdicts: str | Path, results: str | Path) -> bool:
    """Return whether README's table and the page say what is published; write nothing."""
    old = _read(readme)
    return updated(old, results) == old and _says(Path(verdicts), page(results))


def _says(path: Path, text: str) -> bool:
    return path.exists() and _read(path) == text


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise PracticumError(f"cannot read {path} ({error.strerror or error})") from error
