"""Interrupted at any instant, the same command goes on and ends with the same bits.

Catches: a trial lost or trusted half-written, a verdict that depends on where a run was killed, a
worker that outlives its parent, a Ctrl-C that loses work or does not say how to go on. Real
processes and real signals; in the suite a few kills, in soak many.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LAB = ["dropout", "--scale", "smoke", "--seeds", "4", "--set", "steps=150"]

IN_LANES = """
import sys
from pathlib import Path
from practicum.engine.arithmetic import Arithmetic
from practicum.labs import runner
from practicum.labs.protocol import Request

request = Request(lab="dropout", scale="smoke", seeds=(0, 1, 2, 3), set={"steps": "150"})
lanes = Arithmetic(path="lanes", lane_group=2)
runner.run(request, Path(sys.argv[1]), workers=int(sys.argv[2]), pinned=lambda sha256: lanes)
"""


def command(runs: Path, workers: int) -> list[str]:
    words = [sys.executable, "-m", "practicum", "run", *LAB, "--runs", str(runs)]
    return [*words, "--workers", str(workers), "--quiet"]


def command_in_lanes(runs: Path, workers: int) -> list[str]:
    return [sys.executable, "-c", IN_LANES, str(runs), str(workers)]


Command = Callable[[Path, int], list[str]]


def start(runs: Path, workers: int, how: Command = command) -> subprocess.Popen[str]:
    return subprocess.Popen(
        how(runs, workers),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def members(group: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except (OSError, ValueError):
                continue
            if int(pgrp) == group and state not in "ZX":
                found.append(int(entry.name))
    return found


def outcome(runs: Path) -> dict[str, Any]:
    """All that must not depend on interruptions: measures, weights, verdicts, by file name."""
    (run,) = (path.parent for path in runs.glob("dropout/*/protocol.json"))
    found: dict[str, Any] = {}
    for path in sorted((run / "trials").glob("*.json")):
        body = json.loads(path.read_text())["body"]
        found[path.name] = {key: body[key] for key in ("values", "steps", "diverged", "weights")}
    for path in sorted((run / "weights").glob("*")):
        found[path.name] = path.read_bytes()
    found["verdicts"] = json.loads((run / "verdict.json").read_text())["body"]["verdicts"]
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], float]:
    return undisturbed_run(tmp_path_factory.mktemp("undisturbed"), command)


def undisturbed_run(runs: Path, how: Command) -> tuple[dict[str, Any], float]:
    """What a run that nobody kills ends with, and its seconds for each trial."""
    began = time.monotonic()
    ended = start(runs, 2, how)
    _, told = ended.communicate(timeout=300)
    assert ended.returncode == 0, told
    found = outcome(runs)
    return found, (time.monotonic() - began) / len(trials(runs))


def trials(runs: Path) -> list[Path]:
    return list(runs.glob("dropout/*/trials/*.json"))


def wait_for(process: subprocess.Popen[str], runs: Path, n: int, seconds: float) -> bool:
    """Wait until n trials are there, or that long; tell whether the process still runs."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and len(trials(runs)) < n and time.monotonic() < deadline:
        time.sleep(0.002)
    return process.poll() is None


def kill_and_go_on(
    runs: Path, kills: int, pace: float, randomness: random.Random, how: Command = command
) -> int:
    """Run the same command again and again, killing it at random moments; then let it end.

    A moment is some time after the start, or after the attempt's first new trial, and never later
    than the next trial: told by what the run has written, kills strike on slow machines and fast.
    """
    killed = 0
    for attempt in range(kills):
        before = len(trials(runs))
        process = start(runs, 1 + attempt % 2, how)
        first = randomness.randrange(2)
        wait_for(process, runs, before + first, 300)
        if wait_for(
            process, runs, before + first + 1, randomness.uniform(0.0, pace if first else 8 * pace)
        ):
            os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers must follow
            killed += 1
            process.communicate()
            deadline = time.monotonic() + 20
            while members(process.pid) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not members(process.pid), "a worker outlived its parent"
        else:
            process.communicate()
    process = start(runs, 2, how)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return killed


def test_killed_eight_times_a_run_ends_with_the_same_bits(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path
) -> None:
    expected, pace = undisturbed
    killed = kill_and_go_on(tmp_path, 8, pace, random.Random(1))
    assert killed == 8, "a run ended before its kill: the moments are badly chosen"
    assert outcome(tmp_path) == expected


def test_killed_in_lanes_a_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    expected, pace = undisturbed_run(tmp_path / "undisturbed", command_in_lanes)
    randomness = random.Random(3)
    killed = kill_and_go_on(tmp_path / "killed", 4, pace, randomness, command_in_lanes)
    assert killed == 4, "a run ended before its kill: the moments are badly chosen"
    assert outcome(tmp_path / "killed") == expected


@pytest.mark.soak
def test_killed_thirty_times_a_run_ends_with_the_same_bits(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path
) -> None:
    expected, pace = undisturbed
    randomness, killed = random.Random(2), 0
    for round_ in range(4):
        runs = tmp_path / str(round_)
        killed += kill_and_go_on(runs, 8, pace, randomness)
        assert outcome(runs) == expected
    assert killed >= 30, "runs ended before their kills: the moments are badly chosen"


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path, workers: int
) -> None:
    expected, _ = undisturbed
    process = start(tmp_path, workers)
    deadline = time.monotonic() + 120
    while not trials(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1, told
    assert "Traceback" not in told
    assert "To go on: practicum run dropout --scale smoke --seeds 4 --set steps=150" in told
    process = start(tmp_path, workers)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert outcome(tmp_path) == expected


def test_a_second_process_on_the_same_record_is_refused(tmp_path: Path) -> None:
    first = start(tmp_path, workers=1)
    deadline = time.monotonic() + 120
    while not trials(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)
    try:
        second = start(tmp_path, workers=1)
        _, told = second.communicate(timeout=120)
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 2, told
    assert str(first.pid) in told
    _, told = first.communicate(timeout=300)
    assert first.returncode == 0, told
