"""What could be wrong here: a run in worker processes that loses a finished trial, cannot be
continued at once (lock or workers left over), or ends with other bytes after real kills (SIGKILL)
at moments that nobody chose.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from practicum.engine.record import Record, folders
from tests.engine.chores import contents, live_with_workers
from tests.engine.processes import DEADLINE, gone, wait_for


def wait_until_at_work(process: subprocess.Popen[bytes], pids: Path, before: int) -> None:
    wait_for(lambda: len(list(pids.iterdir())) > before or process.poll() is not None)


@pytest.mark.parametrize("kills", [8, pytest.param(30, marks=pytest.mark.soak)])
def test_a_run_in_workers_survives_real_kills_at_random_moments(tmp_path: Path, kills: int) -> None:
    root, pids, alone = tmp_path / "runs", tmp_path / "pids", tmp_path / "alone"
    pids.mkdir()
    live_with_workers(str(alone), 1, str(pids))
    command = [sys.executable, "-m", "tests.engine.chores", "live_with_workers"]
    begun = time.monotonic()
    subprocess.run([*command, str(tmp_path / "timed"), "2", str(pids)], check=True)
    seconds = time.monotonic() - begun
    moments = random.Random(kills)
    struck, saved = 0, set[tuple[str, int]]()
    while struck < kills:
        before = len(list(pids.iterdir()))
        with subprocess.Popen([*command, str(root), "2", str(pids)]) as process:
            if struck % 2:  # every other kill comes when workers are at work for certain
                wait_until_at_work(process, pids, before)
            with suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0, seconds / (1 + struck % 2)))
            process.kill()
        struck += process.returncode == -signal.SIGKILL
        for path in folders(root, "toy"):
            now = Record.open(path).finished()
            assert saved <= now, "a finished trial was lost"
            saved = now
        if process.returncode == 0:  # it was faster than the kills: compare, and begin another
            assert contents(root) == contents(alone)
            shutil.rmtree(root)
            saved.clear()
    subprocess.run([*command, str(root), "2", str(pids)], timeout=DEADLINE, check=True)
    assert contents(root) == contents(alone)
    workers = {int(path.stem) for path in pids.glob("*.pid")} - {os.getpid()}
    assert len(workers) > kills // 2
    wait_for(lambda: all(map(gone, workers)))
