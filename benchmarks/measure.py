"""Measuring a contender: a fresh process, all of it counted, and who else used the machine.

A contender is a function `module:name` that takes plain keyword arguments and returns plain data.
It runs in a process of its own, and everything counts: starting Python, importing, loading data,
building, compiling, warming up, worker processes. Time is that from starting the process to its
end; processor time includes its descendants'; memory is the largest sum, over the process and its
descendants, of what is their own plus their share of what they share (PSS), looked at 5 times a
second.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS_BETWEEN_LOOKS = 0.2
QUIET = 0.1  # cores' worth of other programs' work under which a run counts as undisturbed
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Run:
    """One process: wall-clock and processor seconds, peak memory in MiB, what it returned."""

    wall: float
    processor: float
    memory: float | None
    answer: Any


@dataclass(frozen=True, kw_only=True)
class Floor:
    """A figure that the project promised: `measured` is to be at least, or at most, `bound`."""

    text: str
    bound: float
    measured: float
    at_most: bool = False
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the promise is kept."""
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a benchmark found; one JSON file, one table.

    Attributes:
        name: of the benchmark.
        title: heading of its table.
        what: one paragraph: what was run, on what data.
        columns: headings.
        rows: per contender a name and numbers; a text stays as it is, None is a dash.
        floors: promises and what was measured.
        settings: what decided the work.
        runs: every raw measurement, by contender.
    """

    name: str
    title: str
    what: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    floors: Sequence[Floor] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    runs: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what a file keeps."""
        floors = [{**asdict(one), "reached": one.reached} for one in self.floors]
        return {**asdict(self), "floors": floors}


def about(command: str, others: float | None) -> dict[str, Any]:
    """Return when, where and by what command; `others`: cores' worth of other programs' work."""
    return {
        "command": command,
        "date": date.today().isoformat(),
        "machine": machine(),
        "others": None if others is None else round(others, 2),
    }


def fresh(function: str, arguments: Mapping[str, Any], *, threads: int) -> Run:
    """Run a contender in a process of its own.

    Raises:
        RuntimeError: it failed; its last words are in the message.
    """
    program = [sys.executable, "-m", "benchmarks.measure", function, json.dumps(dict(arguments))]
    environment = os.environ | {
        name: str(threads)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    environment["BENCHMARK_THREADS"] = str(threads)
    began = time.perf_counter()
    child = subprocess.Popen(
        program,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = _Peak(child.pid)
    usage_before = processor_of_children()
    out, err = child.communicate()
    wall = time.perf_counter() - began
    if child.returncode:
        raise RuntimeError(f"{function} ended with {child.returncode}:\n{err[-2000:]}")
    return Run(
        wall=wall,
        processor=processor_of_children() - usage_before,
        memory=peak.mib(),
        answer=json.loads(out.splitlines()[-1]),
    )


def interleaved(
    contenders: Mapping[str, Callable[[], Run]],
    *,
    repeats: int,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, list[Run]]:
    """Run every contender `repeats` times, in turn, each round starting with another one."""
    names = list(contenders)
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for turn in range(repeats):
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            run = contenders[name]()
            runs[name].append(run)
            say(f"round {turn + 1} of {repeats}: {name} {run.wall:.2f} s")
    return runs


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return float(statistics.median(values))


def ratios(these: Sequence[Run], to: Sequence[Run], what: str = "wall") -> list[float]:
    """Return, round by round, how many times as much one contender took as another."""
    return [getattr(a, what) / getattr(b, what) for a, b in zip(these, to, strict=True)]


def spread(values: Sequence[float]) -> str:
    """Return the median with the smallest and the largest value."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def machine() -> dict[str, Any]:
    """Describe where the figures come from."""
    from importlib.metadata import version

    return {
        "processor": _processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "system": platform.system(),
    }


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = {line.split(":")[0].strip(): line.split(":")[-1].strip() for line in lines}
    family = ", ".join(
        f"{key} {named[key]}" for key in ("cpu family", "model") if named.get(key, "").isdigit()
    )
    return f"{named.get('model name', platform.machine())} ({family})"


class Others:
    """How much of the machine other programs used, from /proc/stat less our own."""

    def __init__(self) -> None:
        self.began, self.busy, self.own = time.perf_counter(), _busy(), _own()

    def cores(self) -> float | None:
        """Return cores' worth of work by others since the beginning; None where nobody tells."""
        now = _busy()
        if self.busy is None or now is None:
            return None
        seconds = time.perf_counter() - self.began
        return max(0.0, (now - self.busy - (_own() - self.own)) / seconds)


def _busy() -> float | None:
    """Return the seconds all cores together have been busy since the machine started."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    return time.process_time() + processor_of_children()


def processor_of_children() -> float:
    """Return the processor seconds of all ended children and their descendants."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Peak:
    """Watches the memory of a process and its descendants until it ends."""

    def __init__(self, pid: int) -> None:
        self.pid, self.peak = pid, 0
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while Path(f"/proc/{self.pid}/smaps_rollup").exists():
            now = sum(map(_pss, _family(self.pid)))
            if not now:
                return
            self.peak = max(self.peak, now)
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def mib(self) -> float | None:
        self.thread.join()
        return self.peak / MIB if self.peak else None


def _family(pid: int) -> list[int]:
    found = [pid]
    for one in found:  # grows while it is walked
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:  # it ended just now
                continue
    return found


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it ended just now
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


def main() -> None:
    """Be the process of one contender: call it, print what it returns as JSON."""
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    print(json.dumps(function(**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
