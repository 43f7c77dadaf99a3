"""How soon the command line answers: `practicum list` and what of it is Python itself."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.measure import (
    ROOT,
    Floor,
    Result,
    Run,
    interleaved,
    median,
    processor_of_children,
    ratios,
    spread,
)

FLOOR = 0.25  # seconds, as a person experiences it
REPEATS, QUICK = 15, 3


def programs() -> dict[str, list[str]]:
    """Return what is timed; the installed script if there is one, else the module."""
    script = Path(sys.executable).with_name("practicum")
    practicum = [str(script)] if script.exists() else [sys.executable, "-m", "practicum"]
    return {
        "practicum list": [*practicum, "list"],
        "practicum --help": [*practicum, "--help"],
        'python -c "import practicum.cli.main"': [
            sys.executable, "-c", "import practicum.cli.main",
        ],
        'python -c "import practicum"': [sys.executable, "-c", "import practicum"],
        'python -c "pass"': [sys.executable, "-c", "pass"],
    }  # fmt: skip


def once(program: list[str]) -> Run:
    """Run a program to its end."""
    before = processor_of_children()
    began = time.perf_counter()
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if ended.returncode:
        raise RuntimeError(f"{' '.join(program)} ended with {ended.returncode}:\n{ended.stderr}")
    processor = processor_of_children() - before
    return Run(wall=wall, processor=processor, memory=None, answer=None)


def run(*, repeats: int | None = None, quick: bool = False) -> Result:
    """Measure."""
    repeats = repeats or (QUICK if quick else REPEATS)
    contenders = {name: partial(once, program) for name, program in programs().items()}
    interleaved(contenders, repeats=1)  # so that none pays for bytecode and cold files
    runs = interleaved(contenders, repeats=repeats)
    python = runs['python -c "pass"']
    return Result(
        name="startup",
        title="From the return key to the answer",
        what=f"Fresh processes, files in the system's cache, medians of {repeats} runs in turn.",
        columns=["program", "milliseconds", "processor milliseconds", "time / bare Python"],
        rows=[
            [
                name,
                1e3 * median([one.wall for one in found]),
                1e3 * median([one.processor for one in found]),
                spread(ratios(found, python)),
            ]
            for name, found in runs.items()
        ],
        floors=[
            Floor(
                text="`practicum list` answers in a quarter of a second",
                bound=FLOOR,
                measured=median([one.wall for one in runs["practicum list"]]),
                at_most=True,
                unit="s",
            )
        ],
        settings={"repeats": repeats},
        runs={
            name: [{"wall": one.wall, "processor": one.processor} for one in found]
            for name, found in runs.items()
        },
    )
