"""The planner chooses by the timings, and says why. The clock is a fake; no time is asserted.

Catches: a choice of lanes that are not clearly faster, a group that leaves workers idle counted as
if it did not, a trial without steps that is trained to its end or gets lanes, an impossibility of
lanes that is not told, warm-up that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from practicum.engine import planner
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.services import Services
from practicum.errors import PracticumError

Cost = Callable[[Arithmetic, int, int], float]  # (arithmetic, seeds, step) -> seconds of a step


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(planner.time, "perf_counter", fake)
    return fake


def trial_that_costs(clock: Clock, cost: Cost, steps: int = 100) -> planner.Trial:
    def trial(setup: Any, seeds: Sequence[int], services: Services) -> None:
        for step in range(steps):
            clock.now += cost(services.arithmetic, len(seeds), step)
            assert services.probe is not None
            services.probe(step + 1, steps)
            assert services.poll is not None
            services.poll()

    return trial


def choose(clock: Clock, cost: Cost, *, seeds: int = 8, arms: int = 2, workers: int = 2) -> Any:
    trial = trial_that_costs(clock, cost)
    setups = {str(i): object() for i in range(arms)}
    return planner.plan(trial, setups, range(seeds), Services(), workers)


def test_lanes_are_taken_when_they_are_clearly_faster(clock: Clock) -> None:
    plan = choose(clock, lambda a, seeds, step: 1.0 if a.path == "loop" else 0.2 * seeds)
    assert plan.arithmetic.path == "lanes"
    loop, *lanes = plan.timings
    assert loop.total == pytest.approx(2 * 8 * 100 / 2)
    assert {one.way for one in lanes} == {"lanes of 4", "lanes of 8"}
    assert "5.0 times" in plan.reason


def test_five_percent_faster_is_not_enough(clock: Clock) -> None:
    plan = choose(clock, lambda a, seeds, step: 1.0 if a.path == "loop" else 0.95 * seeds)
    assert plan.arithmetic == Arithmetic()
    assert "not clearly faster" in plan.reason


def test_one_group_on_two_workers_is_counted_with_one_of_them_idle(clock: Clock) -> None:
    plan = choose(clock, lambda a, n, s: 1.0 if a.path == "loop" else 0.5 * n, seeds=8, arms=1)
    assert plan.arithmetic.lane_group == 4
    total = {one.way: one.total for one in plan.timings}
    assert total["lanes of 8"] == pytest.approx(2 * total["lanes of 4"])


def test_warm_up_does_not_count(clock: Clock) -> None:
    def cost(arithmetic: Arithmetic, seeds: int, step: int) -> float:
        slow = 1000.0 if step <= planner.WARM_UP else 0.0
        return slow + (1.0 if arithmetic.path == "loop" else 0.1 * seeds)

    assert choose(clock, cost).timings[0].step == pytest.approx(1.0)


def test_a_trial_without_training_steps_is_left_at_once(clock: Clock) -> None:
    calls = []

    def trial(setup: Any, seeds: Sequence[int], services: Services) -> None:
        calls.append(tuple(seeds))
        assert services.poll is not None
        services.poll()
        pytest.fail("the planner let it go on")

    plan = planner.plan(trial, {"a": 1, "b": 2}, range(5), Services(), 2)
    assert plan.arithmetic == Arithmetic()
    assert calls == [(0,), (0,)]  # each arm once, with one seed, and no lanes
    assert "no training steps" in plan.reason


def test_a_control_without_steps_does_not_keep_the_others_from_lanes(clock: Clock) -> None:
    trains = trial_that_costs(clock, lambda a, seeds, step: 1.0 if a.path == "loop" else 0.2)
    controls = []

    def trial(setup: Any, seeds: Sequence[int], services: Services) -> None:
        if setup == "control":
            controls.append(services.arithmetic.path)
        else:
            trains(setup, seeds, services)

    plan = planner.plan(trial, {"a": "control", "b": "trained"}, range(4), Services(), 2)
    assert plan.arithmetic.path == "lanes"
    assert controls == ["loop"]  # it is not computed again for every way
    assert plan.timings[0].total == pytest.approx(4 * 100 / 2)


def test_why_lanes_are_impossible_is_told(clock: Clock) -> None:
    def cost(arithmetic: Arithmetic, seeds: int, step: int) -> float:
        if arithmetic.path == "lanes":
            raise PracticumError("module 'lstm' branches on its data")
        return 1.0

    plan = choose(clock, cost)
    assert plan.arithmetic.path == "loop"
    assert "module 'lstm' branches on its data" in plan.reason


def test_a_trial_that_cannot_begin_is_the_callers_mistake(clock: Clock) -> None:
    def cost(arithmetic: Arithmetic, seeds: int, step: int) -> float:
        raise PracticumError("batch size 9 does not fit")

    with pytest.raises(PracticumError, match="batch size 9"):
        choose(clock, cost)


def test_threads_are_those_of_a_worker_and_put_back(clock: Clock) -> None:
    seen = []

    def cost(arithmetic: Arithmetic, seeds: int, step: int) -> float:
        seen.append(torch.get_num_threads())
        return 1.0

    before = torch.get_num_threads()
    choose(clock, cost)
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_the_plan_says_timings_choice_and_reason(clock: Clock) -> None:
    lines = choose(clock, lambda a, n, s: 1.0 if a.path == "loop" else 0.2 * n).lines()
    assert len(lines) == 5
    assert lines[0].startswith("loop: 1000000 µs a step and seed")
    assert lines[-2].startswith("choice: lanes of")
