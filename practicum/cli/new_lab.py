"""`new-lab`: lay out a lab that runs, to be changed into another one. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new_lab(
    name: Annotated[str, typer.Argument(metavar="TOPIC/NAME", help="Its topic and its name.")],
    package: Annotated[
        str, typer.Option(help="Put it into a package of your own, of this name.")
    ] = "",
    into: Annotated[
        str, typer.Option(help="The package's folder, if it is not to be called like the package.")
    ] = "",
) -> None:
    """Lay out a new lab that runs as it stands, with comments that say what to change."""
    from practicum.labs import layout

    here = Path.cwd()
    made = layout.plan(
        name, here, package=package or None, into=Path(into).expanduser() if into else None
    )
    announced = not (made.root / "pyproject.toml").exists()
    for path in layout.write(made):
        typer.echo(path.relative_to(here) if path.is_relative_to(here) else path)
    root = made.root.relative_to(here) if made.root.is_relative_to(here) else made.root
    typer.echo("\nNext:")
    if not made.ours:
        if not announced:
            typer.echo(f"  add to {root / 'pyproject.toml'}, under its entry points: {made.entry}")
        typer.echo(f"  pip install --no-deps -e {root}")
    typer.echo(f"  practicum run {made.lab} --scale smoke")
    tests = "tests/contract -k" if made.ours else str(root / "tests")
    typer.echo(f"  python -m pytest {tests} {made.lab if made.ours else ''}".rstrip())
    typer.echo("  look for CHANGE in the files above" + (", and in CONTRIBUTING.md" * made.ours))
