"""README's table of published verdicts, made from the files under `results/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from practicum.engine import files
from practicum.errors import PracticumError
from practicum.report import format, published

BEGIN, END = "<!-- results -->", "<!-- /results -->"


def table(results: str | Path, *, link: str = "results") -> str:
    """Return the table in Markdown: every claim of every published lab, whatever its verdict.

    Empty as long as nothing is published.

    Args:
        results: folder of the published results.
        link: the same folder as README's links name it.
    """
    lines = [
        "| lab | claim | verdict | effect, 95 % interval | n | data | command |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted(Path(results).glob("*.json")):
        body = published.read(path)
        lines += [_row(body, one, f"{link}/{path.name}") for one in body["verdicts"]]
    return "\n".join(lines) if len(lines) > 2 else ""


def _row(body: Mapping[str, Any], verdict: Mapping[str, Any], link: str) -> str:
    cells = [
        f"[{cell(body['lab'])}]({link})",
        cell(verdict["sentence"]),
        f"**{verdict['verdict']}**" + flags(verdict),
        effect(verdict),
        str(verdict["n"]),
        cell(", ".join(body["protocol"]["data"]) or "generated"),
        f"`{cell(body['command'])}`",
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
    made = "".join(f"{line}\n" for line in table(results).splitlines())
    return f"{before}{BEGIN}\n{made}{END}{after}"


def write_table(readme: str | Path, results: str | Path) -> bool:
    """Bring README's table up to date; return whether anything changed.

    Raises:
        PracticumError: no README, no markers, or a published result is damaged.
    """
    old = _read(readme)
    new = updated(old, results)
    if new != old:
        files.write_atomic(readme, new.encode())
    return new != old


def is_current(readme: str | Path, results: str | Path) -> bool:
    """Return whether README's table is what the published results say; write nothing."""
    old = _read(readme)
    return updated(old, results) == old


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise PracticumError(f"cannot read {path} ({error.strerror or error})") from error
