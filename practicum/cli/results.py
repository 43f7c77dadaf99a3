"""What is done with a finished record: the report is written, the result printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from practicum.cli.running import runs_option
from practicum.engine.files import write_atomic
from practicum.engine.record import Record
from practicum.errors import PracticumError
from practicum.labs import catalogue
from practicum.labs.lab import Lab, load


@dataclass(frozen=True)
class Result:
    """A finished run, ready to be shown."""

    record: Record
    lab: Lab
    page: Path

    def plain(self) -> dict[str, Any]:
        """Return the result as JSON can hold it."""
        return {
            "lab": self.record.lab,
            "scale": self.record.scale,
            "run": str(self.record.path),
            "report": str(self.page),
            "protocol_sha256": self.record.sha256,
            "verdicts": self.record.verdicts,
        }

    def print(self) -> None:
        """Print arms, verdicts and where the report is."""
        from practicum.report.terminal import show

        show(self.record, self.lab, report=str(self.page))


def finish(record: Record) -> Result:
    """Write the report of a finished record.

    Raises:
        PracticumError: the run is not finished.
    """
    from practicum.report.html import render

    if record.state != "finished":
        raise PracticumError(
            f"{record.path} is not finished; go on with: {record.protocol['command']}"
            + runs_option(record.path.parents[1])
        )
    entry = catalogue.find(record.lab)
    lab = load(entry.module)
    lesson = entry.lesson.read_text(encoding="utf-8") if entry.lesson.exists() else None
    page = record.path / "report.html"
    text = render(record, lab, lesson=lesson, command=record.protocol["command"])
    write_atomic(page, text.encode())
    return Result(record, lab, page)
