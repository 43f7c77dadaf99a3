"""The tables of docs/benchmarks.md, from the files in benchmarks/results.

The page's prose is written by hand; what stands between a pair of markers is written from the
JSON, and a test compares the two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.measure import QUIET, ROOT, Floor, median

PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "benchmarks" / "results"
SECTION = re.compile(r"(<!-- benchmark (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
DISTURBED = "**disturbed, to be measured again**"
UNKNOWN = "What other programs did meanwhile is not known."
NOT_YET = "Not measured yet: `python -m benchmarks {name}`.\n"


def table(result: Mapping[str, Any]) -> str:
    """Return a result as Markdown: what, table, promises, machine."""
    body = _peers(result) if "contenders" in result else _body(result)
    return "\n".join([*body, "", _where(result)]) + "\n"


def _where(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    parts = [
        machine.get("processor"),
        f"{machine['cores']} cores",
        machine.get("system"),
        f"Python {machine['python']}",
        f"torch {machine['torch']}",
    ]
    when = [f"`{result['command']}`", result["date"]] if "command" in result else []
    begin = ", ".join(when) + "; " if when else ""
    if "others" not in result and "load_average" in machine:
        return f"{begin}{', '.join(filter(None, parts))}. {_load(machine)}"
    return f"{begin}{', '.join(filter(None, parts))}. {_others(result.get('others'))}"


def _load(machine: Mapping[str, Any]) -> str:
    """Tell what a program that only knows the load average can tell of others."""
    load, busy = machine["load_average"][1], machine["cores"]
    text = f"Load average over the last five minutes {load:.1f}"
    return f"{text}: {DISTURBED}." if load > busy + QUIET else f"{text}."


def _body(result: Mapping[str, Any]) -> list[str]:
    return [
        result["what"],
        "",
        _row(result["columns"]),
        _row(["---", *["---:"] * (len(result["columns"]) - 1)]),
        *(_row([_cell(one) for one in row]) for row in result["rows"]),
        "",
        *(_floor(one) for one in result["floors"]),
    ]


def _peers(result: Mapping[str, Any]) -> list[str]:
    """Return what `harness.write` kept as its own table, and its promises."""
    found = {
        name: harness.Result(one["threads"], one["runs"], one["problem"])
        for name, one in result["contenders"].items()
    }
    times = {name: one["ratios"] for name, one in result["contenders"].items() if one["ratios"]}
    ours = next(name for name, ratios in times.items() if set(ratios) == {1.0})
    floors = result.get("floors", {})
    kept = [
        _floor(
            asdict(one := Floor(text=f"times the speed of {name}", bound=bound, measured=measured))
            | {"reached": one.reached}
        )
        for name, bound in floors.items()
        if name in times and (measured := median(times[name]))
    ]
    unknown = [
        f"- **Not measured**: {name} ({found[name].problem if name in found else 'not run'})."
        for name in floors
        if name not in times
    ]
    return [harness.table(found, ours, floors), "", *kept, *unknown]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return number(value)


def number(value: float) -> str:
    """Return a number with three digits, or all of them before the point."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.3g}"


def _floor(floor: Mapping[str, Any]) -> str:
    word = "at most" if floor["at_most"] else "at least"
    unit = f" {floor['unit']}" if floor["unit"] else ""
    return (
        f"- **{'Reached' if floor['reached'] else 'MISSED'}**: {floor['text']}: {word} "
        f"{floor['bound']:g}{unit} promised, {floor['measured']:.3g}{unit} measured."
    )


def _others(others: float | None) -> str:
    if others is None:
        return UNKNOWN
    text = f"Other programs used {others:.2f} cores meanwhile"
    return f"{text}." if others <= QUIET else f"{text}: {DISTURBED}."


def saved(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Return every result file's content, by the benchmark's name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


def filled(text: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page with every section between markers written anew.

    Raises:
        ValueError: a result has no place on the page.
    """
    homeless = set(results) - {match.group(2) for match in SECTION.finditer(text)}
    if homeless:
        raise ValueError(
            f"{PAGE.name} has no place for {', '.join(sorted(homeless))}; add "
            "`<!-- benchmark NAME -->` and `<!-- end -->`, each on a line of its own"
        )

    def written(match: re.Match[str]) -> str:
        name = match.group(2)
        found = table(results[name]) if name in results else NOT_YET.format(name=name)
        return f"{match.group(1)}\n{found}\n{match.group(3)}"

    return SECTION.sub(written, text)


def update() -> None:
    """Write the tables of the page from the result files."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), saved()), encoding="utf-8")
