"""`make results`: the verdicts at full scale, lab by lab, only where they are stale.

A published result is stale when the protocol that its lab asks for today, arithmetic and versions
aside, is not the one it was made with. An interrupted lab goes on where it stopped. The table in
README.md, docs/verdicts.md, docs/catalogue.html and the section `## What came out` of each lesson
are made anew from whatever is published, and docs/library.md from the files of networks and
regimes. Labs of other packages are left to their owners. Published numbers are those of the
reference arithmetic, the loop (docs/decisions/005).

    python -m practicum.report.results [LAB ...]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from practicum.engine.interrupt import Interrupted
from practicum.engine.protocol import request_digest
from practicum.errors import PracticumError
from practicum.labs import catalogue, runner
from practicum.labs.protocol import Request
from practicum.report import published
from practicum.report.catalogue_page import write_page
from practicum.report.lesson_results import write_lesson
from practicum.report.library_page import write_library
from practicum.report.results_table import PAGE, write_tables

SCALE = "full"
LINES = 20  # progress reports of one lab


def stale(request: Request, path: Path) -> bool:
    """Tell whether a lab's published result is missing, or not what the lab asks for today."""
    if not path.exists():
        return True
    _, description = runner.prepare(request)
    return bool(published.read(path)["protocol"]["request_sha256"] != request_digest(description))


def publish(lab: str, results: Path, runs: Path) -> bool:
    """Bring one lab's published result up to date; return whether it was run.

    Raises:
        PracticumError: the lab's data are missing, or a trial failed.
        Interrupted: the run was asked to stop; the next call goes on.
    """
    request = Request(lab=lab, scale=SCALE)
    path = results / f"{lab}.json"
    if not stale(request, path):
        return False
    began = time.monotonic()

    def say(progress: runner.Progress) -> None:
        if progress.done * LINES // progress.of == (progress.done - 1) * LINES // progress.of:
            return
        left = f", {progress.seconds_left:.0f} s left" if progress.seconds_left else ""
        print(f"  {lab}: {progress.done} of {progress.of} trials{left}", flush=True)

    loaded, _ = runner.prepare(request)
    reference = runner.reference(loaded, request)
    listener = runner.Listener(progress=say)
    record = runner.run(request, runs, listener=listener, pinned=lambda _: reference)
    published.write(path, published.published(record, request.command(), date.today()))
    print(f"  {lab}: published in {path} after {time.monotonic() - began:.0f} s")
    return True


def ours() -> list[catalogue.Entry]:
    """Return the labs whose results are published here: not those of other packages."""
    return [entry for entry in catalogue.entries() if entry.origin == "practicum"]


def write_pages(results: Path) -> None:
    """Bring README's table, the verdicts, every lesson and the catalogue page up to date.

    Raises:
        PracticumError: a page lacks its markers, or a published result is damaged.
    """
    write_tables("README.md", PAGE, results)
    for entry in ours():
        if (results / f"{entry.name}.json").exists():
            write_lesson(entry.lesson, results / f"{entry.name}.json")
    write_page(Path("docs") / "catalogue.html", ours(), results)
    write_library(Path("docs") / "library.md")


def main(labs: Sequence[str]) -> int:
    """Publish the named labs, or all; return the exit code."""
    results = Path("results")
    results.mkdir(exist_ok=True)
    try:
        for lab in labs or [entry.name for entry in ours()]:
            if not publish(lab, results, Path("runs")):
                print(f"  {lab}: up to date")
            write_pages(results)
    except PracticumError as error:
        print(f"practicum: {error}", file=sys.stderr)
        return 2
    except Interrupted:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
