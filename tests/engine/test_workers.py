"""What could be wrong here: workers that outlive their parent, bits that depend on the number of
workers, one failing trial that takes the others with it, a dead worker that hangs the run or is not
named, thread settings that leak, a worker that gives its memory back after every update. Processes
are real; the chores are cheap.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import torch

from practicum.engine.interrupt import Interrupt, Interrupted
from practicum.engine.workers import Task, TasksFailed, run_tasks
from practicum.errors import PracticumError
from tests.engine.processes import DEADLINE, announced, gone, start, wait_for


def chore(name: str, **arguments: Any) -> Task:
    words = [name, *(str(one) for one in arguments.values())]
    return Task(name=" ".join(words), function=f"tests.engine.chores:{name}", arguments=arguments)


def results(tasks: list[Task], **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    home = (os.getpid(), threading.get_ident())

    def on_done(task: Task, result: Any) -> None:
        assert (os.getpid(), threading.get_ident()) == home  # only the parent's own thread writes
        assert task.name not in found
        found[task.name] = result

    run_tasks(tasks, on_done=on_done, **options)
    return found


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_result_arrives_once_in_the_parent_whatever_the_number_of_workers(
    workers: int,
) -> None:
    tasks = [chore("square", number=n) for n in range(7)]
    assert results(tasks, workers=workers) == {f"square {n}": n * n for n in range(7)}
    assert active_children() == []


def test_nothing_to_do_is_done_at_once() -> None:
    assert results([], workers=4) == {}


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(workers: int) -> None:
    with pytest.raises(PracticumError, match=f"{workers} workers can do nothing"):
        results([], workers=workers)


def test_bits_depend_on_the_stated_threads_and_not_on_the_number_of_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    tasks = [chore("long_sums", seed=seed) for seed in range(2)]
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        here, apart, other = (
            results(tasks, workers=workers, threads=threads)
            for workers, threads in [(1, 1), (2, 1), (1, 2)]
        )
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    for name in ("long_sums 0", "long_sums 1"):
        assert here[name]["threads"] == apart[name]["threads"] == 1
        assert here[name]["variable"] == apart[name]["variable"] == "1"
        assert torch.equal(here[name]["sums"], apart[name]["sums"])
        # The test of the test: this chore shows it when other threads are used.
        assert other[name]["threads"] == 2
        assert not torch.equal(here[name]["sums"], other[name]["sums"])
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_task_is_named_with_its_traceback_and_the_others_finish(workers: int) -> None:
    found: dict[str, Any] = {}
    tasks = [chore("square", number=n) for n in range(4)]
    tasks[1:1] = [chore("crash", text="loss is a tomato")]
    tasks[3:3] = [chore("complain", text="momentum is 7")]
    with pytest.raises(TasksFailed, match=r"failed: crash loss is a tomato; complain") as caught:
        run_tasks(tasks, on_done=lambda t, r: found.update({t.name: r}), workers=workers)
    assert found == {f"square {n}": n * n for n in range(4)}
    failures = caught.value.failures
    assert set(failures) == {"crash loss is a tomato", "complain momentum is 7"}
    assert "chores.py" in failures["crash loss is a tomato"]
    assert failures["crash loss is a tomato"].endswith("ValueError: loss is a tomato")
    assert failures["complain momentum is 7"] == "momentum is 7"  # our own error needs no traceback


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_exits_politely_fails_alone(workers: int) -> None:
    tasks = [chore("leave"), chore("square", number=3)]
    with pytest.raises(TasksFailed, match=r"failed: leave\.[\s\S]*SystemExit: 0"):
        results(tasks, workers=workers)


def test_a_result_that_does_not_pickle_fails_its_task_alone() -> None:
    found: dict[str, Any] = {}
    tasks = [chore("unpicklable"), chore("square", number=3)]
    with pytest.raises(TasksFailed, match=r"failed: unpicklable[\s\S]*pickle") as caught:
        run_tasks(tasks, on_done=lambda t, r: found.update({t.name: r}), workers=2)
    assert found == {"square 3": 9}
    assert set(caught.value.failures) == {"unpicklable"}


def test_arguments_that_do_not_pickle_fail_their_task_alone() -> None:
    tasks = [chore("square", number=lambda: 3), chore("square", number=3)]
    with pytest.raises(TasksFailed, match=r"failed: square <function[\s\S]*pickle"):
        results(tasks, workers=2)


def test_a_task_that_cannot_be_imported_is_named() -> None:
    tasks = [Task(name="typo", function="tests.engine.chores:sqare")]
    with pytest.raises(TasksFailed, match=r"failed: typo[\s\S]*sqare"):
        run_tasks(tasks, on_done=print)


def test_a_worker_that_dies_is_reported_with_what_was_under_way(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    tasks = [
        chore("square", number=2),
        chore("square", number=3),
        chore("sleep_long", folder=str(tmp_path)),
        chore("exit_when_others_are_there", folder=str(tmp_path)),
        chore("square", number=4),
    ]
    with pytest.raises(TasksFailed, match=r"a worker process died .*fewer workers") as caught:
        run_tasks(tasks, on_done=lambda t, r: found.update({t.name: r}), workers=2)
    assert found == {"square 2": 4, "square 3": 9}
    assert set(caught.value.failures) == {tasks[2].name, tasks[3].name}
    assert all(name in str(caught.value) for name in caught.value.failures)
    assert "square 4" not in str(caught.value)
    assert all(gone(pid) for pid in announced(tmp_path, 1))


def test_what_on_done_raises_ends_the_work_and_the_workers_at_once(tmp_path: Path) -> None:
    def full(task: Task, result: Any) -> None:
        announced(tmp_path, 1)
        raise PracticumError("disk full")

    tasks = [chore("sleep_long", folder=str(tmp_path)), chore("square", number=1)]
    with pytest.raises(PracticumError, match="disk full"):
        run_tasks(tasks, on_done=full, workers=2)
    wait_for(lambda: all(gone(pid) for pid in announced(tmp_path, 1)))
    assert active_children() == []


def test_another_executor_can_do_the_work_and_stays_open() -> None:
    with ThreadPoolExecutor(2) as threads:
        tasks = [chore("square", number=n) for n in range(5)]
        assert len(results(tasks, workers=2, executor=threads)) == 5
        with pytest.raises(TasksFailed, match="failed: crash x"):
            results([chore("crash", text="x")], executor=threads)
        assert threads.submit(abs, -1).result() == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_after_a_request_to_stop_no_task_is_begun(workers: int) -> None:
    stop, found = Interrupt(), []
    tasks = [chore("square", number=n) for n in range(40)]

    def on_done(task: Task, result: Any) -> None:
        found.append(result)
        if len(found) == 2:
            stop.request()

    with pytest.raises(Interrupted):
        run_tasks(tasks, on_done=on_done, workers=workers, stop=stop)
    assert 2 <= len(found) <= 2 + workers - 1
    assert active_children() == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGABRT])
def test_workers_die_with_their_parent(tmp_path: Path, how: signal.Signals) -> None:
    with start("parent", "sleep_long", str(tmp_path), "2") as parent:
        workers = announced(tmp_path, 2)
        assert not any(map(gone, workers))
        parent.send_signal(how)
        assert parent.wait(DEADLINE) == -how
    wait_for(lambda: all(map(gone, workers)))


@pytest.mark.skipif("glibc" not in platform.libc_ver()[0], reason="only glibc can be told so")
def test_workers_keep_freed_memory_for_the_next_update_and_other_processes_do_not() -> None:
    tasks = [chore("page_faults", number=n) for n in range(2)]
    kept = results(tasks, workers=2)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as plain:
        returned = results(tasks, executor=plain)
    assert max(kept.values()) < 100 < min(returned.values())


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux only")
def test_a_worker_busy_in_native_code_dies_with_its_parent(tmp_path: Path) -> None:
    with start("parent", "hold_interpreter", str(tmp_path), "2") as parent:
        workers = announced(tmp_path, 2)
        parent.kill()
    wait_for(lambda: all(map(gone, workers)))


def test_where_the_kernel_does_not_end_orphans_a_thread_does(tmp_path: Path) -> None:
    with start("parent_of_watched", str(tmp_path)) as parent:
        workers = announced(tmp_path, 1)
        parent.kill()
    wait_for(lambda: all(map(gone, workers)))


def test_a_process_without_that_thread_outlives_its_parent(tmp_path: Path) -> None:
    """The test of the tests above: they would notice."""
    with start("parent_of_unwatched", str(tmp_path)) as parent:
        (orphan,) = announced(tmp_path, 1)
        parent.kill()
    try:
        wait_for(lambda: Path(f"/proc/{orphan}").exists() and parent.poll() is not None)
        assert not gone(orphan)
    finally:
        os.kill(orphan, signal.SIGKILL)
