"""Interleaved comparisons: every contender in fresh processes, in turn forwards and backwards.

A contender is a command that prints one line of JSON: seconds, steps (all seeds' together),
accuracy (percent) and peak_mib. A machine is never quite still, so what counts is the ratio of two
runs next to each other (A B ... B A), its median, and its spread; the microseconds beside it only
say where the ratio comes from.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
MISSING = 3  # exit code of a contender whose library is not installed


@dataclass(frozen=True)
class Contender:
    """What is compared: a command, once for each number of threads that may be its best."""

    name: str
    command: Sequence[str]
    threads: tuple[int, ...] = (1, 2)


@dataclass
class Result:
    """What one contender's runs gave."""

    threads: int = 1
    runs: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""

    @property
    def per_step(self) -> list[float]:
        """Microseconds per seed and step, one for each run."""
        return [1e6 * run["seconds"] / run["steps"] for run in self.runs]


def run_once(contender: Contender, threads: int) -> dict[str, Any]:
    """Run a contender in a fresh process.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    done = subprocess.run(
        [*contender.command, "--threads", str(threads)],
        env={**os.environ, **dict.fromkeys(names, str(threads))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == MISSING:
        raise RuntimeError("not installed")
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def compare(contenders: Sequence[Contender], repeats: int) -> dict[str, Result]:
    """Find each contender's best thread count, then run all of them in turn."""
    results: dict[str, Result] = {}
    for one in contenders:
        result = results[one.name] = Result()
        try:
            pilots = {threads: run_once(one, threads)["seconds"] for threads in one.threads}
        except RuntimeError as error:
            result.problem = str(error)
            say(f"{one.name}: skipped, {error}")
            continue
        result.threads = min(pilots, key=lambda threads: pilots[threads])
        say(f"{one.name}: best with {result.threads} thread(s)")
    able = [one for one in contenders if not results[one.name].problem]
    for repeat in range(repeats):
        for one in able if repeat % 2 == 0 else reversed(able):
            results[one.name].runs.append(run_once(one, results[one.name].threads))
        say(f"round {repeat + 1} of {repeats}")
    return results


def ratios(result: Result, ours: Result) -> list[float]:
    """Return how many times as long as ours a contender took, round by round."""
    return [theirs / mine for theirs, mine in zip(result.per_step, ours.per_step, strict=True)]


def table(results: Mapping[str, Result], ours: str, floors: Mapping[str, float]) -> str:
    """Return the comparison as a Markdown table."""
    rows = [
        "| | threads | µs per seed and step | times ours: median (lowest to highest) | floor "
        "| test accuracy | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in results.items():
        if one.problem:
            rows.append(f"| {name} | | skipped: {one.problem} | | | | |")
            continue
        found = ratios(one, results[ours])
        times = "" if name == ours else span(found)
        floor = f"{floors[name]:g}" if name in floors else ""
        accuracy = statistics.median(run["accuracy"] for run in one.runs)
        memory = statistics.median(run["peak_mib"] for run in one.runs)
        rows.append(
            f"| {name} | {one.threads} | {statistics.median(one.per_step):.0f} | {times} | {floor} "
            f"| {accuracy:.1f} % | {memory:.0f} MiB |"
        )
    return "\n".join(rows)


def span(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def write(name: str, results: Mapping[str, Result], ours: str, **more: Any) -> Path:
    """Write every run and the machine to `results/<name>.json`."""
    body = {
        **more,
        "machine": machine(),
        "contenders": {
            key: {
                "threads": one.threads,
                "problem": one.problem,
                "runs": one.runs,
                "ratios": [] if one.problem else ratios(one, results[ours]),
            }
            for key, one in results.items()
        },
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(body, indent=1) + "\n")
    return path


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    import torch

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
    }


def answer(seconds: float, steps: int, accuracy: float) -> None:
    """Print what `run_once` reads."""
    # Of one process; the one with the most memory where a contender has several.
    peaks = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "steps": steps,
                "accuracy": accuracy,
                "peak_mib": max(peaks) / 1024,
            }
        )
    )


def say(text: str) -> None:
    """Tell whoever waits; the table goes to standard output, this does not."""
    print(text, file=sys.stderr, flush=True)
