"""Tasks in one-thread worker processes that die with their parent.

`concurrent.futures.Executor` is the seam: by default a pool of spawned processes, in the calling
process for one worker, or any other executor that is handed in. Only the parent gets the results
(`on_done`), so the record has one writer. Worker count and order never change a task's bits.
"""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import os
import pickle
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal, NoReturn

from practicum.engine import interrupt
from practicum.engine.interrupt import Interrupt, Interrupted
from practicum.errors import PracticumError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEPT, _FROM_HEAP = 256 * 2**20, 32 * 2**20  # bytes; glibc takes no more than 32 MiB for the second
_SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(frozen=True, kw_only=True)
class Task:
    """One piece of work that any process can do.

    Attributes:
        name: what messages call it, such as "dropout, seed 3".
        function: "module:function", imported where the work is done.
        arguments: its keyword arguments; they and the result must pickle.
    """

    name: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class TasksFailed(PracticumError):
    """Some tasks raised an error, or a worker died; every other result was handed over.

    Attributes:
        failures: task name to what went wrong there.
    """

    def __init__(self, message: str, failures: Mapping[str, str]) -> None:
        super().__init__(message)
        self.failures = dict(failures)


@dataclass(frozen=True)
class _Outcome:
    kind: Literal["done", "failed", "stopped"]
    value: Any = None


def run_tasks(
    tasks: Sequence[Task],
    *,
    on_done: Callable[[Task, Any], None],
    workers: int = 1,
    threads: int = 1,
    executor: Executor | None = None,
    stop: Interrupt | None = None,
) -> None:
    """Do every task; hand each result to `on_done` in this process as it comes.

    Args:
        tasks: what to do; they are started in this order.
        on_done: called with (task, result); what it raises ends the work at once.
        workers: processes at work at a time; one means this process itself.
        threads: intra-op threads of each task; it decides bits, the number of workers does not.
        executor: does the work instead of our own pool, `workers` tasks at a time.
        stop: its request ends the work after the steps in hand; by default this process's flag.

    Raises:
        Interrupted: `stop` was requested; tasks that still finished were handed over.
        TasksFailed: tasks raised errors (after all others ended), or a worker died.
        PracticumError: the number of workers is below one.
    """
    if workers < 1:
        raise PracticumError(f"{workers} workers can do nothing; give 1 or more")
    stop = interrupt.here() if stop is None else stop
    with _thread_environment(threads):
        if executor is not None:
            _Crew(executor, workers, threads, stop, None).work(tasks, on_done)
        elif workers == 1 or len(tasks) < 2:
            _work_here(tasks, on_done, threads, stop)
        else:
            with _pool(min(workers, len(tasks))) as (pool, processes):
                _Crew(pool, workers, threads, stop, processes).work(tasks, on_done)


def _work_here(
    tasks: Sequence[Task], on_done: Callable[[Task, Any], None], threads: int, stop: Interrupt
) -> None:
    failures: dict[str, str] = {}
    for task in tasks:
        stop.check()
        outcome = _perform(task, threads)
        if outcome.kind == "done":
            on_done(task, outcome.value)
        elif outcome.kind == "failed":
            failures[task.name] = outcome.value
    stop.check()
    _raise_failed(failures)


class _Crew:
    """Keeps `workers` tasks under way, so that it is known which they are when a worker dies."""

    def __init__(
        self,
        executor: Executor,
        workers: int,
        threads: int,
        stop: Interrupt,
        processes: Callable[[], list[BaseProcess]] | None,
    ) -> None:
        self.executor, self.workers, self.threads, self.stop = executor, workers, threads, stop
        self.processes = processes
        self.under_way: dict[Future[bytes], Task] = {}
        self.failures: dict[str, str] = {}

    def work(self, tasks: Sequence[Task], on_done: Callable[[Task, Any], None]) -> None:
        waiting = list(reversed(tasks))
        forwarded = False
        while self.under_way or (waiting and not self.stop.requested):
            while waiting and len(self.under_way) < self.workers and not self.stop.requested:
                self._start(waiting.pop())
            if self.stop.requested and not forwarded:
                forwarded = True
                self._forward()
            done = wait(self.under_way, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED).done
            for future in sorted(done, key=list(self.under_way).index):
                self._collect(future, on_done)
        self.stop.check()
        _raise_failed({t.name: self.failures[t.name] for t in tasks if t.name in self.failures})

    def _start(self, task: Task) -> None:
        try:
            packed = pickle.dumps(task)
        except Exception as error:
            self.failures[task.name] = _why(error)
            return
        # A SIGINT during these lines reaches the new process when it can handle it, not before.
        with _held_back(signal.SIGINT):
            try:
                future = self.executor.submit(_perform_packed, packed, self.threads)
            except BrokenProcessPool:
                self._worker_died()
        self.under_way[future] = task

    def _collect(self, future: Future[bytes], on_done: Callable[[Task, Any], None]) -> None:
        try:
            outcome: _Outcome = pickle.loads(future.result())
        except BrokenProcessPool:
            self._worker_died()
        except Exception as error:  # the result cannot be rebuilt here, or the executor's own error
            outcome = _Outcome("failed", _why(error))
        task = self.under_way.pop(future)
        if outcome.kind == "done":
            on_done(task, outcome.value)
        elif outcome.kind == "failed":
            self.failures[task.name] = outcome.value

    def _forward(self) -> None:
        for process in self.processes() if self.processes else ():
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT)

    def _worker_died(self) -> NoReturn:
        self.stop.check()  # a signal to the whole group also kills workers: that is no fault
        names = sorted(task.name for task in self.under_way.values())
        lost = {name: "its worker, or the one beside it, died" for name in names}
        lost.update(self.failures)
        raise TasksFailed(
            "a worker process died (out of memory, or a crash in native code) while under way: "
            f"{'; '.join(names) or 'nothing'}. What was finished before is kept; run the same "
            "command again, with fewer workers if memory was short",
            lost,
        )


def _raise_failed(failures: Mapping[str, str]) -> None:
    if not failures:
        return
    texts = "\n".join(f"--- {name}\n{text}" for name, text in failures.items())
    raise TasksFailed(
        f"failed: {'; '.join(failures)}. The others are finished and kept; mend the cause and run "
        f"the same command again.\n{texts}",
        failures,
    )


def _why(error: BaseException) -> str:
    if isinstance(error, PracticumError):
        return str(error)
    return "".join(traceback.format_exception(error)).rstrip()


def _perform(task: Task, threads: int) -> _Outcome:
    """Do one task in whatever process this is; errors come back as text, which always pickles."""
    try:
        module, _, name = task.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        with _math_threads(threads):
            return _Outcome("done", function(**task.arguments))
    except Interrupted:
        return _Outcome("stopped")
    except (Exception, SystemExit) as error:
        return _Outcome("failed", _why(error))


def _perform_packed(packed: bytes, threads: int) -> bytes:
    """Do a pickled task and pickle its outcome, whatever the executor.

    By plain pickle: torch teaches that of `multiprocessing` to share memory instead of sending
    bits, and shared memory goes with the worker.
    """
    outcome = _perform(pickle.loads(packed), threads)
    try:
        return pickle.dumps(outcome)
    except Exception as error:
        return pickle.dumps(_Outcome("failed", _why(error)))


@contextmanager
def _pool(workers: int) -> Iterator[tuple[Executor, Callable[[], list[BaseProcess]]]]:
    others = set(multiprocessing.active_children())

    def processes() -> list[BaseProcess]:
        return [one for one in multiprocessing.active_children() if one not in others]

    pool = ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=prepare_worker,
        initargs=(os.getpid(),),
    )
    try:
        yield pool, processes
    except BaseException:
        for process in processes():
            process.kill()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def prepare_worker(parent: int) -> None:
    """Make this process a worker.

    It dies with its parent, lets Ctrl-C end the step, and keeps memory that it freed.

    Args:
        parent: process id of the parent.
    """
    threading.Thread(target=_die_with_parent, name="watch parent", daemon=True).start()
    if sys.platform == "linux":  # at once, also while native code holds the interpreter
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before this line
        os._exit(1)
    _keep_freed_memory()
    interrupt.listen_in_worker()


def _keep_freed_memory() -> None:
    """Let this process keep up to 256 MiB that it freed: the next update asks for them again.

    Otherwise glibc gives memory back to the system as soon as a few MiB at the end of its heap are
    free, and the system clears every page that it hands out anew. That can happen in every update,
    and be a fifth of its time. Tensors larger than 32 MiB go back at once all the same. Other C
    libraries are left as they are.
    """
    if "glibc" in platform.libc_ver()[0]:
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _FROM_HEAP)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _held_back(number: signal.Signals) -> Iterator[None]:
    """Within, a signal to this thread waits; processes started here inherit that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _thread_environment(threads: int) -> Iterator[None]:
    """Within, libraries that are loaded here or in new processes start with so many threads."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _math_threads(threads: int) -> Iterator[None]:
    """Within, libraries that are already loaded use so many threads."""
    with ExitStack() as stack:
        if "numpy" in sys.modules:
            from threadpoolctl import threadpool_limits

            stack.enter_context(threadpool_limits(threads, user_api="blas"))
        if "torch" in sys.modules:
            import torch

            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(threads)
        yield
