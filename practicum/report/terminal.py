"""A finished run on the terminal: title and source, arms, verdicts, and where the report lies.

On a terminal the verdict's word has a colour; everywhere else the same lines are plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from practicum.report import view

if TYPE_CHECKING:
    from practicum.engine.record import Record
    from practicum.labs.lab import Lab

COLOURS = {"supported": "bold green", "refuted": "bold red", "undecided": "bold yellow"}
WIDE = 160  # columns, where nothing says how wide the output is


def summary(record: Record, lab: Lab, *, report: str | None = None) -> RenderableType:
    """Return a finished run as something that rich prints.

    Args:
        record: a run with all its trials and verdicts.
        lab: the lab that was run.
        report: where the report was written, None if it was not.
    """
    head = Table.grid(expand=False, padding=(0, 4))
    head.add_column(overflow="fold")
    head.add_column(overflow="fold", style="dim")
    head.add_row(Text(lab.title, style="bold"), Text(lab.source))
    parts: list[RenderableType] = [head, Padding(arms(record), (0, 0, 0, 2))]
    parts += [Padding(verdict(one), (0, 0, 0, 2)) for one in record.verdicts]
    if report is not None:
        line = Text.assemble(("report     ", "dim"), report, overflow="fold", no_wrap=False)
        parts.append(Padding(line, (0, 0, 0, 2)))
    return Group(*parts)


def show(record: Record, lab: Lab, *, report: str | None = None, to: Console | None = None) -> None:
    """Print a finished run; lines that go into a file or a pipe are not folded at 80 columns."""
    console = to or Console(highlight=False)
    if to is None and not console.is_terminal:
        console = Console(highlight=False, width=WIDE)
    console.print(summary(record, lab, report=report))


def arms(record: Record) -> Table:
    """Return the table of arms: means and half-widths, n, and divergence.

    The primary measure comes first, then what else the claims are about, three in all: the report
    has every measure.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    columns = _columns(record)
    table.add_column("arm", overflow="fold")
    for column in columns:
        table.add_column(column.title, overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    _, lost = view.trials(record)
    if lost:
        table.add_column("diverged", justify="right", no_wrap=True)
    for arm in record.arms:
        row = [Text(arm)]
        for column in columns:
            cell = view.cell(record, column, arm)
            row.append(Text("—" if cell is None else cell.text))
        row.append(Text(str(len(record.seeds))))
        if lost:
            row.append(Text(str(int(record.diverged(arm).sum()))))
        table.add_row(*row)
    return table


def _columns(record: Record) -> list[view.Column]:
    every = view.columns(record)
    claimed = {claim["measure"] for claim in record.protocol["claims"]}
    return [*every[:1], *(one for one in every[1:] if one.name in claimed)][:3]


def verdict(one: Mapping[str, Any]) -> RenderableType:
    """Return one verdict: its word, the evidence, the claim, and what a reader must know."""
    word = view.WORDS[one["verdict"]]
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    line = view.evidence(one) or "nothing could be computed"
    grid.add_row("verdict  ", Text(word, style=COLOURS[one["verdict"]]), Text(line))
    grid.add_row("", "", Text(str(one["sentence"])))
    for remark in view.remarks(one):
        grid.add_row("", "", Text(remark, style="dim"))
    return grid
