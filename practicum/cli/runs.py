"""`runs`, `report`, `open` and `compare`: what earlier runs left on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from practicum.cli.running import RUNS
from practicum.errors import PracticumError, unknown

if TYPE_CHECKING:
    from practicum.engine.record import Record

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder, or a lab's name for its newest run.")
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of all runs.")]


def runs(
    lab: Annotated[str, typer.Argument(help="Only runs of this lab.")] = "",
    root: Runs = RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the runs, newest last."""
    from practicum.engine.protocol import folders
    from practicum.engine.record import Record

    names = sorted(one.name for one in root.iterdir() if one.is_dir()) if root.is_dir() else []
    if lab and lab not in names:
        raise unknown("lab with runs", lab, names)
    rows = []
    for path in [path for name in names if lab in ("", name) for path in folders(root, name)]:
        try:
            rows.append(_row(Record.open(path)))
        except PracticumError as damaged:
            typer.echo(f"practicum: {damaged}", err=True)
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    if not rows:
        typer.echo(f"no runs in {root} yet; begin with `practicum run dropout`")
    for row in rows:
        verdicts = ", ".join(row["verdicts"]) or f"{row['done']} of {row['trials']} trials"
        typer.echo(f"{row['path']}  {row['scale']}  {row['state']}  {verdicts}")


def _row(record: Record) -> dict[str, Any]:
    state = record.state
    return {
        "path": str(record.path),
        "lab": record.lab,
        "scale": record.scale,
        "state": state,
        "done": len(record.finished()),
        "trials": len(record.pairs),
        "verdicts": [v["verdict"] for v in record.verdicts] if state == "finished" else [],
        "command": record.protocol.get("command", ""),
    }


def find_run(name: str, root: Path) -> Record:
    """Return the run that a name stands for: its folder, or a lab's newest run.

    Raises:
        PracticumError: there is none.
    """
    from practicum.engine.protocol import folders
    from practicum.engine.record import Record

    if (Path(name) / "protocol.json").is_file():
        return Record.open(name)
    found = folders(root, name) if "/" not in name else []
    if found:
        return Record.open(found[-1])
    known = [one.name for one in root.iterdir()] if root.is_dir() else []
    if known and "/" not in name:
        raise unknown("run or lab with runs", name, known)
    raise PracticumError(f"{name} is no run; `practicum runs` lists them")


def report(run: RunName, root: Runs = RUNS) -> None:
    """Write a run's report again, and print its result."""
    from practicum.cli.results import finish

    finish(find_run(run, root)).print()


def open_report(run: RunName, root: Runs = RUNS) -> None:
    """Open a run's report in the browser."""
    import webbrowser

    from practicum.cli.results import finish

    record = find_run(run, root)
    page = record.path / "report.html"
    if not page.exists():
        finish(record)
    typer.echo(page)
    if not webbrowser.open(page.resolve().as_uri()):
        raise PracticumError(f"no browser could be opened; open {page} yourself")


def compare(first: RunName, second: RunName, root: Runs = RUNS) -> None:
    """Compare two runs: what was asked differently, and whether the numbers agree."""
    from practicum.report.compare import compare as compared

    typer.echo(compared(find_run(first, root), find_run(second, root)))
