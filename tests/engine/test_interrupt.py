"""What could be wrong here: a Ctrl-C that tears a step apart, or is lost, or is not heard by
workers when only the parent got it, or is heard twice when the terminal sent it to the whole group;
a second one that does not stop at once; a traceback in the user's face; handlers left behind.

Parents and workers are real processes that get real signals.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from practicum.engine.interrupt import Interrupt, Interrupted, here, listening
from practicum.engine.workers import Task, run_tasks
from tests.engine.processes import DEADLINE, announced, gone, start, wait_for

To = Callable[[subprocess.Popen[str], int], None]


def to_parent(process: subprocess.Popen[str], number: int) -> None:
    os.kill(process.pid, number)


def to_group(process: subprocess.Popen[str], number: int) -> None:
    os.killpg(process.pid, number)


@contextmanager
def parent(chore: str, folder: Path, workers: int) -> Iterator[subprocess.Popen[str]]:
    with start("parent", chore, str(folder), str(workers)) as process:
        try:
            yield process
        finally:
            process.kill()


def every_step_ended(folder: Path) -> bool:
    """Return whether each begun step ended, and none was begun after the last."""
    files = list(folder.glob("*.steps"))
    notes = [path.read_text().splitlines() for path in files]
    return bool(files) and all(one == ["begin", "end"] * (len(one) // 2) for one in notes)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("send", "number"),
    [(to_parent, signal.SIGINT), (to_group, signal.SIGINT), (to_parent, signal.SIGTERM)],
    ids=["INT to the parent", "INT to the group", "TERM to the parent"],
)
def test_a_signal_ends_the_step_and_says_how_to_go_on(
    tmp_path: Path, send: To, number: int, workers: int
) -> None:
    with parent("step_long", tmp_path, workers) as process:
        at_work = announced(tmp_path, workers)
        send(process, number)
        out, err = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0
    assert "done quick 9" in out
    assert "interrupted: stopped as asked; run the same command again to go on" in out
    assert err == ""
    assert every_step_ended(tmp_path)
    wait_for(lambda: all(map(gone, at_work)))


def starting(process: subprocess.Popen[str]) -> bool:
    """Return whether a worker of the process is there, perhaps only just."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return any("spawn_main" in Path(f"/proc/{pid}/cmdline").read_text() for pid in children)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the worker in /proc")
@pytest.mark.parametrize("send", [to_parent, to_group])
@pytest.mark.parametrize("later", [0.0, 0.02, 0.04, 0.06, 0.1])
def test_a_signal_while_workers_are_still_starting_is_neither_lost_nor_ugly(
    tmp_path: Path, send: To, later: float
) -> None:
    with parent("step_long", tmp_path, 2) as process:
        wait_for(lambda: starting(process))
        with suppress(subprocess.TimeoutExpired):
            process.wait(later)  # nowhere else does a worker's start show its stages
        send(process, signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
    assert "interrupted: stopped as asked" in out
    assert err == ""


def test_a_termination_of_the_whole_group_is_no_fault_of_a_worker(tmp_path: Path) -> None:
    with parent("step_long", tmp_path, 2) as process:
        announced(tmp_path, 2)
        to_group(process, signal.SIGTERM)
        out, err = process.communicate(timeout=DEADLINE)
    assert "interrupted: stopped as asked" in out
    assert err == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_stops_what_never_looks_up(tmp_path: Path, workers: int) -> None:
    with parent("sleep_long", tmp_path, workers) as process:
        at_work = announced(tmp_path, workers)
        to_parent(process, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):  # the first one waits for the step's end
            process.wait(0.3)
        end = time.monotonic() + DEADLINE
        while process.poll() is None and time.monotonic() < end:
            # Again and again: on a busy machine two signals may reach the handler as one.
            to_parent(process, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(2)
        out, err = process.communicate(timeout=DEADLINE)
    assert "stopped at once" in out
    assert err == ""
    wait_for(lambda: all(map(gone, at_work)))


def test_what_finishes_after_the_request_is_still_handed_over() -> None:
    stop = Interrupt()
    found: list[int] = []

    def on_done(task: Task, result: int) -> None:
        stop.request()
        found.append(result)

    tasks = [
        Task(name=str(n), function="tests.engine.chores:square", arguments={"number": n})
        for n in range(20)
    ]
    with pytest.raises(Interrupted):
        run_tasks(tasks, on_done=on_done, workers=2, stop=stop)
    assert sorted(found) == [0, 1]  # the second was under way when the first asked to stop


def test_a_task_in_this_process_is_interrupted_at_its_poll() -> None:
    tasks = [
        Task(name="a", function="tests.engine.chores:interrupt_self_and_poll"),
        Task(name="b", function="tests.engine.chores:square", arguments={"number": 1}),
    ]
    with listening() as stop, pytest.raises(Interrupted, match="run the same command again"):
        run_tasks(tasks, on_done=lambda task, result: pytest.fail(task.name))
    assert stop is here()


def test_code_that_catches_every_exception_does_not_swallow_an_interruption() -> None:
    stop = Interrupt()
    stop.check()
    stop.request()
    with pytest.raises(Interrupted), suppress(Exception):
        stop.check()


def test_the_second_signal_raises_and_the_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with listening() as stop:
        assert not stop.requested
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert not here().requested  # work outside of any listening is not stopped by the last one
    with listening() as stop:
        assert not stop.requested  # a new work, a new chance


def test_outside_the_main_thread_the_flag_alone_is_there() -> None:
    found: list[Interrupt] = []

    def work() -> None:
        with listening() as stop:
            found.append(stop)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [here()]
