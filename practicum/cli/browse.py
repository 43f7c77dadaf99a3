"""`list` and `show`: what labs there are, and what one of them says. Neither imports torch."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from practicum.errors import PracticumError
from practicum.labs import catalogue


def list_labs(
    text: Annotated[
        str, typer.Argument(help="Only labs with this text in name, topic, title, source or claim.")
    ] = "",
    topic: Annotated[str, typer.Option(help="Only labs of this topic.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the labs, by topic."""
    if topic and topic not in catalogue.TOPICS:
        from practicum.errors import unknown

        raise unknown("topic", topic, catalogue.TOPICS)
    found = [
        entry for entry in catalogue.entries() if entry.matches(text) and topic in ("", entry.topic)
    ]
    if as_json:
        typer.echo(json.dumps([entry.plain() for entry in found], indent=1, ensure_ascii=False))
        return
    if not found:
        raise PracticumError(f"no lab has {text!r} in it; `practicum list` shows them all")
    width = max(len(entry.name) for entry in found)
    shown = ""
    for entry in found:
        if entry.topic != shown:
            typer.echo(("\n" if shown else "") + entry.topic)
            shown = entry.topic
        origin = "" if entry.origin == "practicum" else f"  [{entry.origin}]"
        typer.echo(f"  {entry.name:<{width}}  {entry.title} ({entry.year}){origin}")
    for name, problem in catalogue.problems().items():
        typer.echo(f"practicum: lab {name} cannot be read: {problem}", err=True)
    typer.echo("\n`practicum show LAB` tells more; `practicum run LAB` runs it.")


def show(
    lab: Annotated[str, typer.Argument(metavar="LAB", help="The lab's name.")],
    lesson: Annotated[bool, typer.Option("--lesson", help="Print the whole lesson.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a lab: its claims, arms, settings, scales and data."""
    entry = catalogue.find(lab)
    if as_json:
        typer.echo(json.dumps(entry.plain(), indent=1, ensure_ascii=False))
        return
    if lesson:
        typer.echo(entry.lesson.read_text(encoding="utf-8"))
        return
    from practicum.labs.describe import describe

    typer.echo(describe(entry))
