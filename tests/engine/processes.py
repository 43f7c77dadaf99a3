"""Real processes for the tests of the engine: started, found, waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

DEADLINE = 60.0  # seconds until a test gives up; nothing is concluded from being fast


class Chore(subprocess.Popen[str]):
    """A process that is killed when its test is left, so that a failing test never waits."""

    def __exit__(self, *why: object) -> None:
        if self.poll() is None:
            self.kill()
        super().__exit__(None, None, None)


def start(*words: str) -> Chore:
    """Start a chore in a process group of its own."""
    command = [sys.executable, "-m", "tests.engine.chores", *words]
    pipe = subprocess.PIPE
    return Chore(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def gone(pid: int) -> bool:
    """Return whether a process has ended; one that nobody has reaped yet has ended as well."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not what():
        if time.monotonic() > end:
            pytest.fail("waited in vain")
        time.sleep(0.01)


def announced(folder: Path, number: int) -> list[int]:
    """Wait until so many processes have left their ids in a folder."""
    wait_for(lambda: len(list(folder.glob("*.pid"))) >= number)
    return [int(path.stem) for path in folder.glob("*.pid")]
