"""The report of a run: one HTML file that needs nothing else, now or in ten years.

No script, no font, no picture is fetched: styles are inside, figures and equations are inline SVG,
and a content policy in the head forbids the browser to load anything. The page is
`report.html.j2`, its look `report.css`; what they show comes from `view` and `settings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from practicum.errors import PracticumError
from practicum.report import format, prose, settings, svg, view

if TYPE_CHECKING:
    from practicum.data import Card
    from practicum.engine.record import Record
    from practicum.labs.lab import Lab


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of the page: its SVG, its caption, and its number."""

    number: int
    caption: str
    svg: Markup


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set as the page names it; `card` is None where the set has no card any more."""

    name: str
    sha256: str
    card: Card | None


def render(record: Record, lab: Lab, *, lesson: str | None, command: str) -> str:
    """Return the report as the text of one HTML file.

    Args:
        record: a run with all its trials and verdicts.
        lab: the lab that was run.
        lesson: the lesson in Markdown, None to leave it out.
        command: the exact command that does the run again.
    """
    from jinja2 import Environment, StrictUndefined

    page = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page.globals.update(format=format, view=view)
    columns = view.columns(record)
    count, lost = view.trials(record)
    cells = {(arm, one.name): view.cell(record, one, arm) for arm in record.arms for one in columns}
    return page.from_string(_part("report.html.j2")).render(
        style=Markup(_part("report.css")),
        record=record,
        lab=lab,
        verdicts=record.verdicts,
        columns=columns,
        cells=cells,
        seeds=_seed_tables(record, columns, cells),
        settings=settings.rows(record, lab),
        figures=_figures(record, lab),
        lesson=None if lesson is None else prose.html(lesson),
        command=command,
        trials=count,
        diverged=lost,
        sources=_sources(record),
    )


def _part(name: str) -> str:
    return resources.files("practicum.report").joinpath(name).read_text(encoding="utf-8")


def _figures(record: Record, lab: Lab) -> list[Figure]:
    drawn = lab.figures(record)
    return [
        Figure(
            number=i,
            caption=caption,
            svg=svg.inline(figure, name=f"figure-{i}", alt=f"Figure {i}: {caption}"),
        )
        for i, (caption, figure) in enumerate(drawn.items(), start=1)
    ]


def _seed_tables(
    record: Record,
    columns: Sequence[view.Column],
    cells: Mapping[tuple[str, str], view.Cell | None],
) -> list[dict[str, Any]]:
    """Return for each measure its rows: a seed, its number in every arm, diverged ones marked."""
    tables = []
    for column in columns:
        rows = []
        for i, seed in enumerate(record.seeds):
            found = [cells[arm, column.name] for arm in record.arms]
            rows.append((seed, [_seed_text(one, i) for one in found]))
        tables.append({"column": column, "rows": rows})
    return tables


def _seed_text(cell: view.Cell | None, i: int) -> tuple[str, str]:
    """Return a number as shown and in full; a diverged trial says so in words."""
    if cell is None:
        return "—", ""
    value = float(cell.values[i])
    text = f"{value:.6g}".replace("-", format.MINUS) if np.isfinite(value) else str(value)
    return (f"{text} diverged" if cell.diverged[i] else text), format.exact(value)


def _sources(record: Record) -> list[Source]:
    """Return the data sets of the protocol with what their cards say."""
    found = []
    for name, sha256 in record.protocol["data"].items():
        found.append(Source(name=name, sha256=sha256, card=_card(name)))
    return found


def _card(name: str) -> Card | None:
    from practicum import data

    try:
        return data.card(name)
    except PracticumError:  # a record outlives the registry; its hash still stands
        return None
