"""Running a lab: request, protocol, trials, record, verdicts. The same command continues a run.

The parent alone writes the record. Workers get (module, arm, setup, seeds, arithmetic) and return
plain arrays; whoever computes a trial, its bits are the protocol's.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from practicum.engine import interrupt
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.protocol import request_digest
from practicum.engine.record import Record, find
from practicum.engine.services import Services
from practicum.engine.workers import Task, run_tasks
from practicum.errors import PracticumError, unknown
from practicum.evidence import Outcomes, judge
from practicum.labs import catalogue
from practicum.labs.lab import Lab, load
from practicum.labs.protocol import (
    Request,
    arithmetic_of,
    complete,
    describe,
    may_continue,
    seeds,
    setups,
)

if TYPE_CHECKING:
    from practicum.engine.planner import Plan

SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes:
        done: finished trials, those of earlier calls included.
        of: trials in all.
        fresh: trials finished by this call.
        seconds: since this call began its first trial.
        trial: the arm and seeds that finished last.
    """

    done: int
    of: int
    fresh: int
    seconds: float
    trial: str

    @property
    def seconds_left(self) -> float | None:
        """The expected rest, from this call's own pace; None before the first trial ended."""
        return self.seconds / self.fresh * (self.of - self.done) if self.fresh else None


@dataclass(frozen=True, kw_only=True)
class Listener:
    """What a run tells whoever started it; every part has a silent default."""

    begun: Callable[[Record, bool, tuple[str, ...]], None] = lambda record, resumed, damaged: None
    progress: Callable[[Progress], None] = lambda progress: None
    planning: Callable[[str], None] = lambda text: None
    status: Callable[[str], None] = lambda text: None


def prepare(request: Request) -> tuple[Lab, dict[str, Any]]:
    """Load the lab and describe the request; nothing is written.

    Raises:
        PracticumError: unknown lab, or the request does not fit it.
    """
    lab = load(catalogue.find(request.lab).module)
    _check_device(request.device)
    asked = (request.device, request.precision, request.compile)
    if lab.precision is not None and asked != ("cpu", "float32", False):
        raise PracticumError(
            f"lab {lab.name} computes in {lab.precision} on the CPU, whatever is asked; leave out "
            "--device, --precision and --compile"
        )
    return lab, describe(lab, request)


def run(
    request: Request,
    root: Path,
    *,
    workers: int | None = None,
    fresh: bool = False,
    executor: Executor | None = None,
    listener: Listener | None = None,
    pinned: Callable[[str], Arithmetic | None] = lambda request_sha256: None,
) -> Record:
    """Run a lab to its verdicts, going on from where an unfinished run of it stopped.

    Args:
        request: what to run.
        root: folder of all runs.
        workers: one-thread processes; None: as many as there are cores.
        fresh: begin a new run even if an unfinished or finished one matches.
        executor: does the trials instead of local processes.
        listener: is told what happens.
        pinned: for a request's hash, the arithmetic that its published result was made with.

    Returns:
        The finished record, verdicts written.

    Raises:
        PracticumError: bad request, missing data, a failing trial, a locked or damaged record.
        Interrupted: the run was asked to stop; what is finished is kept.
    """
    listener = listener or Listener()
    lab, description = prepare(request)
    request_sha256 = request_digest(description)
    found = None if fresh else find(root, lab.name, request_sha256, may_continue)
    if found is not None and found.state == "finished":
        listener.begun(found, True, ())
        return found
    if found is None:
        listener.planning("timing a few steps of each way to run")
        chosen = choose(lab, request, description, workers, pinned)
        arithmetic = chosen.arithmetic
        record = Record.create(root, complete(description, arithmetic, chosen.reason))
    else:
        record, arithmetic = found, arithmetic_of(found.protocol)
    with interrupt.listening() as stop, record.lock():
        damaged = record.repair()
        listener.begun(record, found is not None, damaged)
        at_work = workers or default_workers(request)
        _trials(lab, request, record, arithmetic, at_work, executor, listener, stop)
        _complete_events(record)
        judge_record(record, lab)
        stop.check()  # a signal after the last step must not be forgotten before the next lab
    return record


def plan(lab: Lab, request: Request, workers: int) -> Plan:
    """Choose the arithmetic of a new run by timing a few steps (`practicum.engine.planner`)."""
    from practicum.engine.planner import plan as by_timing

    return by_timing(
        lab.trial,
        setups(lab, request),
        seeds(lab, request),
        Services(arithmetic=reference(lab, request), device=request.device),
        workers,
    )


def choose(
    lab: Lab,
    request: Request,
    description: dict[str, Any],
    workers: int | None,
    pinned: Callable[[str], Arithmetic | None] = lambda request_sha256: None,
) -> Plan:
    """Choose how a new run is made: as published, as the reference, or by timing.

    Raises:
        PracticumError: a trial cannot be begun as it is set.
    """
    from practicum.engine.planner import Plan, rehearse

    workers = workers or default_workers(request)
    arithmetic = pinned(request_digest(description))
    why = "the arithmetic of the published result of the same request"
    if arithmetic is None and request.scale == "smoke":
        arithmetic, why = reference(lab, request), "the loop: a smoke run is too short to time"
    if arithmetic is None:
        return plan(lab, request, workers)
    services = Services(arithmetic=reference(lab, request), device=request.device)
    rehearse(lab.trial, setups(lab, request), seeds(lab, request), services)
    return Plan(arithmetic=arithmetic, workers=workers, reason=why)


def default_workers(request: Request) -> int:
    """Return how many processes are used unless told: starting some takes longer than a smoke."""
    return 1 if request.scale == "smoke" else cores()


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def reference(lab: Lab, request: Request) -> Arithmetic:
    """Return the reference arithmetic of a request: the loop, one thread."""
    return Arithmetic(
        precision=lab.precision or request.precision,  # type: ignore[arg-type]  # checked by the command line
        compile=request.compile,
        device=request.device,
    )


def _check_device(device: str) -> None:
    if device not in ("cpu", "cuda"):
        raise unknown("device", device, ("cpu", "cuda"))
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise PracticumError("no CUDA device is available here; use --device cpu")


def _trials(
    lab: Lab,
    request: Request,
    record: Record,
    arithmetic: Arithmetic,
    workers: int,
    executor: Executor | None,
    listener: Listener,
    stop: interrupt.Interrupt,
) -> None:
    done = set(record.finished())
    already, began = len(done), time.monotonic()

    def on_done(task: Task, results: list[dict[str, Any]]) -> None:
        for one in results:
            if (one["arm"], one["seed"]) not in done:
                _keep(record, one)
                done.add((one["arm"], one["seed"]))
        listener.progress(
            Progress(
                done=len(done),
                of=len(record.pairs),
                fresh=len(done) - already,
                seconds=time.monotonic() - began,
                trial=task.name,
            )
        )

    with watching(listener.status) as status:
        run_tasks(
            _tasks(lab, request, record, arithmetic, done, status),
            on_done=on_done,
            workers=workers,
            threads=arithmetic.threads,
            executor=executor,
            stop=stop,
        )


@contextmanager
def watching(tell: Callable[[str], None]) -> Iterator[Path]:
    """Within, what trials write about their steps into this folder is told now and then."""
    ended = threading.Event()

    def watch(folder: Path) -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            texts = [_read(path) for path in sorted(folder.iterdir())]
            tell("; ".join(text for text in texts if text))

    with tempfile.TemporaryDirectory() as folder:
        watcher = threading.Thread(target=watch, args=(Path(folder),), daemon=True)
        watcher.start()
        try:
            yield Path(folder)
        finally:
            ended.set()
            watcher.join()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # its trial has just ended
        return ""


def _tasks(
    lab: Lab,
    request: Request,
    record: Record,
    arithmetic: Arithmetic,
    done: set[tuple[str, int]],
    status: Path,
) -> list[Task]:
    """One task for each arm and group of seeds that is not finished.

    A group whose trials are finished in part is done whole again: its members' bits are those of
    the group.
    """
    size = arithmetic.lane_group if arithmetic.path == "lanes" else 1
    groups = [record.seeds[i : i + size] for i in range(0, len(record.seeds), size)]
    return [
        Task(
            name=f"{arm}, seed {group[0]}" + (f" to {group[-1]}" if len(group) > 1 else ""),
            function="practicum.labs.performing:perform",
            arguments={
                "module": lab.module,
                "arm": arm,
                "setup": setup,
                "seeds": group,
                "arithmetic": arithmetic,
                "checkpoint": record.path / "checkpoints" / arm,
                "keep": record.seeds[0],
                "status": status / f"{i}-{j}",
            },
        )
        for i, group in enumerate(groups)
        for j, (arm, setup) in enumerate(setups(lab, request).items())
        if not all((arm, seed) in done for seed in group)
    ]


def _keep(record: Record, one: dict[str, Any]) -> None:
    from practicum.engine.tensorboard import write_events

    if one["weights"] is not None:
        record.save_weights(one["arm"], one["seed"], one["weights"])
    record.save_trial(
        one["arm"],
        one["seed"],
        values=one["values"],
        steps=one["steps"],
        diverged=one["diverged"],
        weights_digest=one["digest"],
        seconds=one["seconds"],
    )
    folder = record.path / "events" / one["arm"] / f"seed-{one['seed']}"
    write_events(folder, one["values"], one["steps"])


def _complete_events(record: Record) -> None:
    """Write the events of trials whose process died between the trial's file and its events."""
    from practicum.engine.tensorboard import write_events

    for arm, seed in record.pairs:
        folder = record.path / "events" / arm / f"seed-{seed}"
        if not folder.exists():
            write_events(folder, *record.trial(arm, seed))


def judge_record(record: Record, lab: Lab) -> None:
    """Compute the verdicts of a record whose trials are all there, and write them."""
    verdicts = judge(lab.claims, Outcomes(**record.outcomes()), lab.measures)
    record.save_verdicts([one.to_json() for one in verdicts])
