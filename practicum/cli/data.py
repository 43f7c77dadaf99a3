"""`data`: the data sets, where they are, and how to get them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from practicum.errors import PracticumError

app = typer.Typer(help="List, fetch, locate and check data sets.", no_args_is_help=True)

MOST_FILES = 20  # sets with more are summed up in one line

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Data sets.")]


@app.command("list")
def list_sets(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the data sets: what they are, their size and licence."""
    from practicum import data

    cards = [data.card(name) for name in data.names()]
    if as_json:
        typer.echo(json.dumps([asdict(card) for card in cards], indent=1, ensure_ascii=False))
        return
    width = max(len(card.name) for card in cards)
    for card in cards:
        size = "at hand" if card.always_at_hand else f"{card.bytes / 1e6:.1f} MB"
        typer.echo(f"{card.name:<{width}}  {size:>9}  {card.title} ({card.licence})")


@app.command()
def get(
    names: Annotated[list[str], typer.Argument(metavar="NAME|URL...", help="Data sets, or a URL.")],
    sha256: Annotated[str, typer.Option(help="The SHA-256 of the file at a URL.")] = "",
) -> None:
    """Download data sets of the registry, or any URL whose SHA-256 you give."""
    from practicum import data
    from practicum.data import fetch

    urls = [name for name in names if "://" in name]
    if urls and (len(names) > 1 or not sha256):
        raise PracticumError("give one URL at a time, with its --sha256")
    if sha256 and not urls:
        raise PracticumError("--sha256 belongs to a URL; the registry knows its own checksums")
    for name in names:
        if name in urls:
            with downloading(name) as progress:
                path = fetch.get_url(name, sha256, progress=progress)
            typer.echo(path)
            continue
        with downloading(name) as progress:
            paths = fetch.get(name, progress)
        for path in paths if len(paths) <= MOST_FILES else ():
            typer.echo(path)
        if len(paths) > MOST_FILES:
            typer.echo(f"{name}: {len(paths)} files in {data.where(name)}")


@app.command()
def where(names: Names = None) -> None:
    """Say in which folder data sets lie."""
    from practicum import data

    for name in _names(names):
        if not data.is_path(name) and data.card(name).always_at_hand:
            typer.echo(f"{name}: comes with the installed packages")
            continue
        folder = data.where(name)
        typer.echo(f"{name}: {folder or f'not here; practicum data get {name}'}")


@app.command()
def check(
    names: Names = None,
    sha256: Annotated[str, typer.Option(help="The SHA-256 that an own folder should have.")] = "",
) -> None:
    """Compare every file with its checksum; missing sets are passed over unless named."""
    from practicum import data

    if sha256 and [data.is_path(name) for name in names or ()] != [True]:
        raise PracticumError("--sha256 belongs to one folder or file of your own")
    bad = False
    for name in _names(names):
        own = data.is_path(name)
        if not own and (data.card(name).always_at_hand or not (names or data.where(name))):
            continue
        states = data.check(name, sha256)
        wrong = [state for state in states if state.state != "ok"]
        for state in wrong or states if len(states) <= MOST_FILES else wrong:
            typer.echo(f"{state.state:<8} {state.file}  {state.detail}")
        if not wrong and len(states) > MOST_FILES:
            typer.echo(f"ok       {name}: {len(states)} files")
        bad |= bool(wrong)
    raise typer.Exit(1 if bad else 0)


@contextmanager
def downloading(name: str) -> Iterator[Callable[[int, int], None]]:
    """Within, the function told of (bytes done, bytes in all) draws a bar on a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of or None)


def _names(names: Any) -> list[str]:
    from practicum import data

    for name in names or ():
        data.is_path(name) or data.card(name)  # an unknown name is told before anything is printed
    return list(names or data.names())
