"""The command line: one small application whose verbs live in the modules beside this one."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from practicum import __version__
from practicum.cli import browse, catalogue_page, data, environment, new_lab, running, runs
from practicum.errors import PracticumError

HELP = """Practicum: a deep-learning course that runs.

Every topic is a lab: a claim from the literature that you can rerun in minutes, with error bars
and an honest verdict. Begin with `practicum list`, then `practicum run dropout`.

Exit codes: 0 done (whatever the verdict), 1 not finished or a check failed, 2 a wrong command or
something missing.
"""

app = typer.Typer(
    name="practicum",
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("list")(browse.list_labs)
app.command("show")(browse.show)
app.command("run")(running.run)
app.command("runs")(runs.runs)
app.command("report")(runs.report)
app.command("open")(runs.open_report)
app.command("compare")(runs.compare)
app.command("catalogue")(catalogue_page.catalogue)
app.command("new-lab")(new_lab.new_lab)
app.add_typer(data.app, name="data")
app.command("selftest")(environment.selftest)
app.command("doctor")(environment.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"practicum {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options that come before the verb."""


app.info.help = HELP


def main() -> None:
    """Run the command line; turn the errors meant for people into a message and an exit code."""
    logging.basicConfig(format="practicum: %(message)s", level=logging.WARNING)
    try:
        app()
    except PracticumError as error:
        typer.echo(f"practicum: {error}", err=True)
        sys.exit(running.exit_code(error))
    except KeyboardInterrupt:
        typer.echo("practicum: stopped at once; what was finished is kept", err=True)
        sys.exit(1)
    except BrokenPipeError:  # `practicum list | head` is no fault
        sys.stderr.close()
        sys.exit(0)
