"""`run`: from a command line to verdicts and a report."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from practicum.errors import PracticumError, unknown

if TYPE_CHECKING:
    from practicum.cli.results import Result
    from practicum.engine.arithmetic import Arithmetic
    from practicum.engine.record import Record
    from practicum.labs.protocol import Request
    from practicum.labs.runner import Progress

RUNS = Path("runs")
PRECISIONS = ("float32", "float64", "bfloat16")
SECONDS_BETWEEN_LINES = 10.0


Labs = Annotated[
    list[str], typer.Argument(metavar="LAB...", help="The labs to run, one after the other.")
]
Scale = Annotated[
    str, typer.Option(help="smoke (seconds), quick (two minutes), full (published), paper.")
]
Seeds = Annotated[str, typer.Option(help="A count (20), a range (10-29) or a list (3,5,8).")]
Data = Annotated[str, typer.Option(help="Data set; `practicum data list` names them.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="[ARM.]FIELD=VALUE", help="Change a setting; repeatable."),
]
Workers = Annotated[int, typer.Option(min=0, help="Worker processes; 0: one for each core.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Precision = Annotated[str, typer.Option(help="float32, float64 or bfloat16.")]
Compile = Annotated[bool, typer.Option("--compile", help="Use torch.compile.")]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Time the ways to run, print the choice, and stop.")
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Begin anew, even if the same run is finished.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunsFolder = Annotated[Path, typer.Option(help="Folder of all runs.")]


def run(
    labs: Labs,
    scale: Scale = "quick",
    seeds: Seeds = "",
    data: Data = "",
    changes: Changes = None,
    workers: Workers = 0,
    device: Device = "cpu",
    precision: Precision = "float32",
    compiled: Compile = False,
    plan: PlanOnly = False,
    fresh: Fresh = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    runs: RunsFolder = RUNS,
) -> None:
    """Run labs to their verdicts. The same command continues an interrupted run."""
    from practicum.labs.protocol import Request, read_seeds

    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if plan and (fresh or as_json):
        raise PracticumError(
            "--plan runs nothing: it prints the choice as text; leave out --fresh and --json"
        )
    requests = [
        Request(
            lab=lab,
            scale=scale,
            seeds=read_seeds(seeds) if seeds else None,
            data=data or None,
            set=read_changes(changes or []),
            device=device,
            precision=precision,
            compile=compiled,
        )
        for lab in labs
    ]
    from practicum.labs.runner import prepare

    for request in requests:  # a mistake in the last one is told before the first one runs
        prepare(request)
    if plan:
        for request in requests:
            show_plan(request, workers or None)
        return
    results = []
    for request in requests:
        results.append(run_one(request, runs, workers or None, fresh, quiet or as_json))
        if not as_json:
            results[-1].print()
    if as_json:
        found = [result.plain() for result in results]
        typer.echo(json.dumps(found if len(found) > 1 else found[0], indent=1, ensure_ascii=False))


def read_changes(texts: list[str]) -> dict[str, str]:
    """Read `field=value` texts.

    Raises:
        PracticumError: a text has no `=`, or a field is given twice.
    """
    changes: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise PracticumError(f"--set {text!r} is not understood; give field=value")
        if name in changes:
            raise PracticumError(f"--set names {name!r} twice")
        changes[name] = value
    return changes


def show_plan(request: Request, workers: int | None) -> None:
    """Time the ways to run a lab, and print the choice and its reason."""
    from practicum.labs import runner

    lab, description = runner.prepare(request)
    trials = len(description["arms"]) * len(description["seeds"])
    typer.echo(f"{lab.name}: {len(description['arms'])} arms, {trials} trials")
    chosen = runner.choose(lab, request, description, workers, pin(request))
    for line in chosen.lines():
        typer.echo(f"  {line}")


def run_one(request: Request, runs: Path, workers: int | None, fresh: bool, quiet: bool) -> Result:
    """Run one lab; return what came out, its report written."""
    from practicum.cli.results import finish
    from practicum.engine.interrupt import Interrupted
    from practicum.labs import runner

    display = Display(quiet)
    try:
        record = runner.run(
            request,
            runs,
            workers=workers,
            fresh=fresh,
            pinned=pin(request),
            listener=runner.Listener(
                begun=display.begun,
                progress=display.progress,
                planning=display.say,
                status=display.status,
            ),
        )
    except (Interrupted, KeyboardInterrupt):
        display.close()
        again = request.command() + runs_option(runs)
        typer.echo(f"interrupted; {display.kept()}. To go on: {again}", err=True)
        raise typer.Exit(1) from None
    finally:
        display.close()
    return finish(record)


def runs_option(runs: Path) -> str:
    """Return what a command needs so that it looks into the same folder of runs."""
    return "" if runs == RUNS else f" --runs {shlex.quote(str(runs))}"


def pin(request: Request) -> Callable[[str], Arithmetic | None]:
    """Return what gives the arithmetic of a published result; only `full` has such."""
    if request.scale != "full":
        return lambda request_sha256: None
    return lambda request_sha256: published_arithmetic(request.lab, request_sha256)


def published_arithmetic(lab: str, request_sha256: str) -> Arithmetic | None:
    """Return the arithmetic of a lab's published result if it answers the same request.

    Published results lie beside the package in a checkout; elsewhere there are none.
    """
    import practicum
    from practicum.labs.protocol import arithmetic_of
    from practicum.report.published import read

    path = Path(practicum.__file__).parents[1] / "results" / f"{lab}.json"
    if not path.exists():
        return None
    protocol = read(path)["protocol"]
    return arithmetic_of(protocol) if protocol["request_sha256"] == request_sha256 else None


class Display:
    """Progress: a bar with the time left on a terminal, plain lines elsewhere, both on stderr."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.record: Record | None = None
        self.last: Progress | None = None
        self._bar: Any = None
        self._task: Any = None
        self._told = 0.0

    def say(self, text: str) -> None:
        """Print a line."""
        if not self.quiet:
            typer.echo(text, err=True)

    def begun(self, record: Record, resumed: bool, damaged: tuple[str, ...]) -> None:
        """Say which run this is."""
        self.record = record
        for message in damaged:
            typer.echo(f"practicum: {message}", err=True)
        done, of = len(record.finished()), len(record.pairs)
        if not resumed:
            self.say(f"{record.lab}: {of} trials, kept in {record.path}")
        elif record.state == "finished":
            self.say(f"{record.lab}: finished before, in {record.path} (--fresh runs it anew)")
            return
        else:
            self.say(f"{record.lab}: going on with {record.path}, {done} of {of} trials are done")
        if not self.quiet and sys.stderr.isatty():
            self._open_bar(record.lab, done, of)

    def _open_bar(self, lab: str, done: int, of: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[status]}", style="dim"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(lab, completed=done, total=of, left="", status="")
        self._bar.start()

    def progress(self, progress: Progress) -> None:
        """Show how far the run is."""
        self.last = progress
        left = f"{clock(progress.seconds_left)} left" if progress.seconds_left else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.done, left=left)
        elif time.monotonic() - self._told > SECONDS_BETWEEN_LINES or progress.done == progress.of:
            self._told = time.monotonic()
            self.say(f"  {progress.done} of {progress.of} trials ({progress.trial}) {left}")

    def status(self, text: str) -> None:
        """Show at which steps the trials under way are."""
        if self._bar is not None:
            self._bar.update(self._task, status=text)

    def kept(self) -> str:
        """Say what an interrupted run has kept."""
        if self.record is None:
            return "nothing had begun"
        done, of = len(self.record.finished()), len(self.record.pairs)
        return f"{done} of {of} trials are done and kept in {self.record.path}"

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def clock(seconds: float) -> str:
    """Write a time as people say it: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def exit_code(error: PracticumError) -> int:
    """Return the exit code of an error: 1 if trials failed, else 2."""
    from practicum.engine.workers import TasksFailed

    return 1 if isinstance(error, TasksFailed) else 2
