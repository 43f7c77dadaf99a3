"""Choosing how to run, once, before the protocol is hashed.

The reference is the loop on one thread in worker processes. Lanes give the same numbers to rounding
and may be several times faster for small networks, or slower for large ones. So a few real steps
of every arm are timed either way, on the trial itself; lanes are taken if they are clearly faster.
Resumed and repeated runs read the choice from the protocol and never plan again.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.services import Services
from practicum.errors import PracticumError

WARM_UP, TIMED = 3, 5  # steps
CLEARLY = 0.9  # lanes are taken if they need at most this share of the loop's time
LARGEST_GROUP = 64

Trial = Callable[[Any, Sequence[int], Services], Any]


class _Timed(Exception):
    """Enough steps were timed."""


class _NoSteps(Exception):
    """The trial polled without having made a training step: there is nothing to time."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one way to run would take.

    Attributes:
        way: in words.
        step: seconds a step and seed, the mean over arms.
        total: estimated seconds for the whole run on these workers.
    """

    way: str
    step: float
    total: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The choice, and what it rests on.

    Attributes:
        arithmetic: what the protocol will say.
        workers: processes.
        timings: every way that was timed.
        reason: one sentence.
    """

    arithmetic: Arithmetic
    workers: int
    reason: str
    timings: tuple[Timing, ...] = ()

    def lines(self) -> list[str]:
        """Return the plan as text: timings, choice, reason."""
        rows = [
            f"{one.way}: {1e6 * one.step:.0f} µs a step and seed, about {one.total:.0f} s in all"
            for one in self.timings
        ]
        return [*rows, f"choice: {_words(self.arithmetic)}, {self.workers} workers", self.reason]


@dataclass
class _Stopwatch:
    """Times the steps of a trial, then ends it."""

    marks: list[float] = field(default_factory=list)
    steps: int = 0

    def probe(self, done: int, steps: int) -> None:
        self.steps = steps
        self.marks.append(time.perf_counter())
        if len(self.marks) == WARM_UP + 1 + TIMED:
            raise _Timed

    def poll(self) -> None:
        if not self.marks:
            raise _NoSteps

    @property
    def seconds(self) -> float:
        """The median time of a step."""
        pairs = zip(self.marks[WARM_UP:], self.marks[WARM_UP + 1 :], strict=False)
        return statistics.median(after - before for before, after in pairs)


def plan(
    trial: Trial,
    setups: Mapping[str, Any],
    seeds: Sequence[int],
    services: Services,
    workers: int,
) -> Plan:
    """Time a few steps of every arm in the loop and in lanes, and choose.

    Args:
        trial: the lab's trial.
        setups: the arms.
        seeds: the seeds of the run.
        services: the reference: the arithmetic of the loop, and the device.
        workers: processes that will be used.

    Raises:
        PracticumError: the trial cannot be begun as it is set (a batch larger than the data, ...).
    """
    reference = services.arithmetic
    loop = _time(trial, setups, seeds[:1], services)
    if not loop:
        why = "the loop: this lab's trials have no training steps to time, or very few"
        return Plan(arithmetic=reference, workers=workers, reason=why)
    setups = {arm: setups[arm] for arm in loop}  # controls without training say nothing here
    timings = [_timing("loop", loop, 1, len(seeds), workers)]
    best, chosen, impossible = timings[0], reference, ""
    for group in _groups(len(seeds), workers):
        lanes = replace(reference, path="lanes", lane_group=group)
        try:
            found = _time(trial, setups, seeds[:group], replace(services, arithmetic=lanes))
        except PracticumError as problem:
            impossible = str(problem)
            break
        if found.keys() == loop.keys():
            timings.append(_timing(f"lanes of {group}", found, group, len(seeds), workers))
            if timings[-1].total < min(best.total, CLEARLY * timings[0].total):
                best, chosen = timings[-1], lanes
    ratio = timings[0].total / best.total
    why = (
        f"lanes of {chosen.lane_group}: {ratio:.1f} times as fast as the loop"
        if chosen.path == "lanes"
        else f"the loop, because lanes are impossible: {impossible}"
        if impossible
        else "the loop: lanes are not clearly faster"
    )
    return Plan(arithmetic=chosen, workers=workers, reason=why, timings=tuple(timings))


def rehearse(
    trial: Trial, setups: Mapping[str, Any], seeds: Sequence[int], services: Services
) -> None:
    """Begin every arm's trial with one seed, and leave it at its first step.

    Raises:
        PracticumError: a trial cannot be begun as it is set.
    """

    def leave(*told: Any) -> None:
        raise _NoSteps

    for setup in setups.values():
        with threads_of_a_worker(services.arithmetic.threads), suppress(_NoSteps):
            trial(setup, seeds[:1], replace(services, probe=leave, poll=leave))


def _groups(seeds: int, workers: int) -> list[int]:
    """Group sizes worth timing: all seeds at once, and a group for each worker."""
    sizes = {min(seeds, LARGEST_GROUP), min(-(-seeds // workers), LARGEST_GROUP)}
    return sorted(size for size in sizes if size > 1)


def _time(
    trial: Trial, setups: Mapping[str, Any], seeds: Sequence[int], services: Services
) -> dict[str, tuple[float, int]]:
    """Return (seconds a step, steps) of each arm that has enough steps to time."""
    found = {}
    for arm, setup in setups.items():
        watch = _Stopwatch()
        with threads_of_a_worker(services.arithmetic.threads), suppress(_NoSteps):
            try:
                trial(setup, seeds, replace(services, probe=watch.probe, poll=watch.poll))
            except _Timed:
                found[arm] = (watch.seconds, watch.steps)
    return found


def _timing(
    way: str, arms: Mapping[str, tuple[float, int]], group: int, seeds: int, workers: int
) -> Timing:
    groups = -(-seeds // group)
    tasks = [seconds * steps for seconds, steps in arms.values() for _ in range(groups)]
    busiest = max(sum(tasks) / workers, max(tasks))
    per_seed = statistics.fmean(seconds for seconds, _ in arms.values()) / group
    return Timing(way=way, step=per_seed, total=busiest)


def _words(arithmetic: Arithmetic) -> str:
    return f"lanes of {arithmetic.lane_group}" if arithmetic.path == "lanes" else "loop"


@contextmanager
def threads_of_a_worker(threads: int) -> Iterator[None]:
    """Within, torch uses as many intra-op threads as a worker does."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
