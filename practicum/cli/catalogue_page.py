"""`catalogue`: all labs with their published verdicts, as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def catalogue(
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("catalogue.html"),
) -> None:
    """Write one page of all labs: claims, verdicts, effects, pictures, commands."""
    import practicum
    from practicum.labs.catalogue import entries
    from practicum.report.catalogue_page import write_page

    # Published results lie beside the package in a checkout; elsewhere there are none.
    results = Path(practicum.__file__).parents[1] / "results"
    write_page(out, entries(), results if results.is_dir() else None)
    typer.echo(out)
