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
from pathlib import Path
from typing import Any

import pytest

LAB = ["dropout", "--scale", "smoke", "--seeds", "3", "--set", "steps=150"]


def command(runs: Path, workers: int) -> list[str]:
    words = [sys.executable, "-m", "practicum", "run", *LAB, "--runs", str(runs)]
    return [*words, "--workers", str(workers), "--quiet"]


def start(runs: Path, workers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(runs, workers),
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
    runs = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    ended = start(runs, workers=2)
    _, told = ended.communicate(timeout=300)
    assert ended.returncode == 0, told
    return outcome(runs), time.monotonic() - began


def kill_and_go_on(runs: Path, kills: int, seconds: float, randomness: random.Random) -> int:
    """Run the same command again and again, killing it at random moments; then let it end."""
    killed = 0
    for attempt in range(kills):
        process = start(runs, workers=1 + attempt % 2)
        try:
            process.communicate(timeout=randomness.uniform(0.3, seconds))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers must follow
            killed += 1
            process.communicate()
            deadline = time.monotonic() + 20
            while members(process.pid) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not members(process.pid), "a worker outlived its parent"
    process = start(runs, workers=2)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return killed


def test_killed_eight_times_a_run_ends_with_the_same_bits(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    killed = kill_and_go_on(tmp_path, 8, seconds, random.Random(1))
    assert killed >= 3, "too few kills struck to prove anything"
    assert outcome(tmp_path) == expected


@pytest.mark.soak
def test_killed_thirty_times_a_run_ends_with_the_same_bits(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    randomness, killed = random.Random(2), 0
    for round_ in range(12):
        runs = tmp_path / str(round_)
        killed += kill_and_go_on(runs, 8, seconds, randomness)
        assert outcome(runs) == expected
        if killed >= 30:
            break
    assert killed >= 30, "too few kills struck to prove what is promised"


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    undisturbed: tuple[dict[str, Any], float], tmp_path: Path, workers: int
) -> None:
    expected, _ = undisturbed
    process = start(tmp_path, workers)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("dropout/*/trials/*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1, told
    assert "Traceback" not in told
    assert "To go on: practicum run dropout --scale smoke --seeds 3 --set steps=150" in told
    process = start(tmp_path, workers)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert outcome(tmp_path) == expected


def test_a_second_process_on_the_same_record_is_refused(tmp_path: Path) -> None:
    first = start(tmp_path, workers=1)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("dropout/*/trials/*.json")) and time.monotonic() < deadline:
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
