"""What the tests of the engine let other processes do; cheap, and free of torch unless named so."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from practicum.engine import interrupt
from practicum.engine.workers import Task, run_tasks
from practicum.errors import PracticumError

PROTOCOL: dict[str, Any] = {
    "format": 1,
    "lab": "toy",
    "title": "Dropout − or not",
    "scale": "smoke",
    "claims": [{"kind": "lower", "arm": "p=0.5"}],
    "measures": [{"name": "error"}, {"name": "loss"}],
    "arms": {"plain": {"p": 0.0}, "p=0.5": {"p": 0.5}},
    "seeds": [0, 1],
    "data": {"digits": "00ff"},
    "arithmetic": {"path": "loop", "threads": 1},
    "versions": {"torch": "2"},
}
WITH_WEIGHTS = ("plain", 0)


def outcome(arm: str, seed: int) -> dict[str, Any]:
    """Return what the toy trial measures: a function of arm and seed alone."""
    error = (seed + 1) / (3 + len(arm))
    return {
        "values": {"error": error, "loss": [error, float("nan"), -float("inf")]},
        "steps": {"loss": [0, 10, 20]},
        "diverged": seed == 1,
        "seconds": 0.25,
    }


def contents(root: Path) -> dict[str, bytes]:
    """Return every file of every run but the lock, which says who ran."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in ("lock", ".lock")
    }


def live(
    root: Path,
    done: Callable[[str, int], None] = lambda arm, seed: None,
    *,
    keep: tuple[str, int] | None = WITH_WEIGHTS,
) -> tuple[str, ...]:
    """Do, or continue, a whole run; `done` hears of each trial once it was saved."""
    from practicum.engine.record import Record, find, request_digest

    record = find(root, "toy", request_digest(PROTOCOL))
    if record is None:
        record = Record.create(root, PROTOCOL, today=date(2026, 1, 31))
    with record.lock():
        said = record.repair()
        finished = record.finished()
        for arm, seed in record.pairs:
            if (arm, seed) in finished:
                continue
            weights = None
            if (arm, seed) == keep:
                import torch

                weights = record.save_weights(arm, seed, {"w": torch.arange(3.0)})
            record.save_trial(arm, seed, **outcome(arm, seed), weights_digest=weights)
            done(arm, seed)
        record.save_verdicts([{"verdict": "supported", "n": len(record.seeds)}])
    return said


def slow_outcome(arm: str, seed: int, folder: str) -> dict[str, Any]:
    announce(folder)
    for _ in range(10):
        time.sleep(0.01)
        interrupt.here().check()
    return outcome(arm, seed)


def live_with_workers(root: str, workers: int, folder: str) -> None:
    """Do, or continue, a run of 12 trials in worker processes."""
    from practicum.engine.record import Record, find, request_digest

    protocol = {**PROTOCOL, "seeds": list(range(6))}
    record = find(root, "toy", request_digest(protocol))
    if record is None:
        record = Record.create(root, protocol, today=date(2026, 1, 31))
    with record.lock():
        said = record.repair()
        assert said == (), said
        finished = record.finished()
        tasks = [
            Task(
                name=f"{arm}, seed {seed}",
                function="tests.engine.chores:slow_outcome",
                arguments={"arm": arm, "seed": seed, "folder": folder},
            )
            for arm, seed in record.pairs
            if (arm, seed) not in finished
        ]

        def on_done(task: Task, result: dict[str, Any]) -> None:
            record.save_trial(task.arguments["arm"], task.arguments["seed"], **result)

        run_tasks(tasks, on_done=on_done, workers=workers)
        record.save_verdicts([{"verdict": "undecided"}])
    print("finished", flush=True)


def live_and_be_killed(root: str, at: int) -> None:
    """Do a run in this process and kill it (SIGKILL) before the k-th change on the disk."""
    from practicum.engine import files
    from tests.engine.faulty_disk import FaultyDisk

    class Deadly(FaultyDisk):
        def die(self) -> NoReturn:
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError("still alive")

    setattr(files, "os", Deadly(at, "die before"))  # noqa: B010  mypy knows no such attribute
    live(Path(root), keep=None)


def hold_lock(root: str) -> None:
    """Lock the only run, say so, and never let go."""
    from practicum.engine.record import Record, folders

    with Record.open(folders(root, "toy")[0]).lock():
        print("locked", flush=True)
        time.sleep(600)


def square(number: int) -> int:
    return number * number


def page_faults(number: int) -> int:
    """Return how many pages the system had to hand out for asking ten times for 64 MiB."""

    def ask() -> None:
        [bytearray(2**20) for _ in range(64)]

    ask()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        ask()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def crash(text: str) -> None:
    raise ValueError(text)


def complain(text: str) -> None:
    raise PracticumError(text)


def leave() -> None:
    raise SystemExit(0)


def exit_when_others_are_there(folder: str) -> None:
    while not list(Path(folder).glob("*.pid")):
        time.sleep(0.01)
    os._exit(3)


def unpicklable() -> Callable[[], None]:
    return lambda: None


def interrupt_self_and_poll() -> None:
    signal.raise_signal(signal.SIGINT)
    interrupt.here().check()


def long_sums(seed: int) -> dict[str, Any]:
    """Return sums so long that two threads, which add in another order, round them otherwise."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    sums = [torch.randn(1 << 18, generator=generator).sum() for _ in range(16)]
    return {
        "threads": torch.get_num_threads(),
        "variable": os.environ["OMP_NUM_THREADS"],
        "sums": torch.stack(sums),
    }


def announce(folder: str) -> None:
    """Leave this process's id in a folder, whole or not at all."""
    path = Path(folder) / f".{os.getpid()}"
    path.write_text("")
    path.rename(path.with_name(f"{os.getpid()}.pid"))


def sleep_long(folder: str) -> None:
    """Never poll."""
    announce(folder)
    time.sleep(600)


def step_long(folder: str, steps: int = 100_000) -> str:
    """Do short steps and poll after each; note when one begins and when it has ended."""
    announce(folder)
    notes = Path(folder) / f"{os.getpid()}.steps"
    with notes.open("a") as file:
        for _ in range(steps):
            file.write("begin\n")
            file.flush()
            time.sleep(0.005)
            file.write("end\n")
            file.flush()
            interrupt.here().check()
    return "all steps"


def parent(chore: str, folder: str, workers: str) -> None:
    """Run one quick task and then so many long ones, and say on stdout how it ended."""
    tasks = [Task(name="quick", function="tests.engine.chores:square", arguments={"number": 3})]
    tasks += [
        Task(
            name=f"{chore} {i}",
            function=f"tests.engine.chores:{chore}",
            arguments={"folder": folder},
        )
        for i in range(max(2, int(workers)))
    ]

    def on_done(task: Task, result: Any) -> None:
        print("done", task.name, result, flush=True)

    with interrupt.listening() as stop:
        print("listening", flush=True)
        try:
            run_tasks(tasks, on_done=on_done, workers=int(workers), stop=stop)
        except interrupt.Interrupted as error:
            print("interrupted:", error, flush=True)
        except KeyboardInterrupt:
            print("stopped at once", flush=True)


def watched_by_thread_only(folder: str) -> None:
    """Be a worker as on systems without PR_SET_PDEATHSIG."""
    from practicum.engine.workers import _die_with_parent

    threading.Thread(target=_die_with_parent, daemon=True).start()
    sleep_long(folder)


def hold_interpreter(folder: str) -> None:
    """Never let another thread of this process run, as a long call of native code does."""
    announce(folder)
    ctypes.PyDLL(None).sleep(600)


def parent_of(chore: Callable[[str], None], folder: str) -> None:
    context = multiprocessing.get_context("spawn")
    context.Process(target=chore, args=(folder,)).start()
    time.sleep(600)


def parent_of_watched(folder: str) -> None:
    parent_of(watched_by_thread_only, folder)


def parent_of_unwatched(folder: str) -> None:
    parent_of(sleep_long, folder)


if __name__ == "__main__":
    # The functions must be those of the importable module, so that workers find them.
    import tests.engine.chores as chores

    getattr(chores, sys.argv[1])(*(int(one) if one.isdigit() else one for one in sys.argv[2:]))
