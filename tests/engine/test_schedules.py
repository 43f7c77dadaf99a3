"""Learning-rate schedules: known answers, torch's own schedulers, and what must always hold.

Would catch: a schedule one step early or late, a warm-up that begins at zero or never reaches the
full rate, a cosine that rises again after its end, a floor that is not kept.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, StepLR

from practicum.engine.schedules import Cosine, LinearDecay, Schedule, StepDecay


def torch_factors(kind: type[LRScheduler], steps: int, **settings: float) -> list[float]:
    """The factors that a scheduler of torch gives before each of the first steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, factors = kind(optimizer, **settings), []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return factors


def factors(schedule: Schedule, steps: int) -> list[float]:
    return [schedule(step) for step in range(steps)]


def test_cosine_known_answer() -> None:
    root = math.sqrt(0.5)
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, (1 + root) / 2, 0.5, (1 - root) / 2, 0.0, 0.0]
    assert factors(Cosine(steps=8, warmup=4), 10) == pytest.approx(expected, abs=1e-12)
    assert Cosine(steps=8, floor=0.1)(4) == pytest.approx(0.55)
    assert Cosine(steps=8, floor=0.1)(99) == pytest.approx(0.1)


def test_step_and_linear_decay_known_answers() -> None:
    assert factors(StepDecay(every=2, factor=0.5), 6) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert factors(LinearDecay(steps=4), 6) == [1, 0.75, 0.5, 0.25, 0, 0]
    assert LinearDecay(steps=4, floor=0.2)(2) == pytest.approx(0.6)


def test_the_schedules_equal_torchs() -> None:
    cases = [
        (Cosine(steps=9), torch_factors(CosineAnnealingLR, 10, T_max=9)),
        (Cosine(steps=9, floor=0.2), torch_factors(CosineAnnealingLR, 10, T_max=9, eta_min=0.2)),
        (StepDecay(every=3, factor=0.3), torch_factors(StepLR, 10, step_size=3, gamma=0.3)),
        (
            LinearDecay(steps=6, floor=0.25),
            torch_factors(LinearLR, 10, start_factor=1.0, end_factor=0.25, total_iters=6),
        ),
    ]
    for schedule, expected in cases:
        assert factors(schedule, 10) == pytest.approx(expected, abs=1e-12), schedule
        late = [schedule(max(0, step - 1)) for step in range(10)]
        assert late != pytest.approx(expected, abs=1e-3), f"{schedule}, one step late"


SCHEDULES = st.one_of(
    st.builds(
        Cosine,
        steps=st.integers(1, 60),
        warmup=st.integers(0, 60),
        floor=st.floats(0, 1),
    ),
    st.builds(LinearDecay, steps=st.integers(1, 60), floor=st.floats(0, 1)),
    st.builds(StepDecay, every=st.integers(1, 20), factor=st.floats(0, 1)),
)


@given(SCHEDULES)
def test_a_factor_rises_only_in_the_warm_up_stays_in_its_range_and_ends_at_the_floor(
    schedule: Schedule,
) -> None:
    values = factors(schedule, 130)
    warmup = getattr(schedule, "warmup", 0)
    rising, falling = values[:warmup], values[max(0, warmup - 1) :]
    assert rising == sorted(rising)
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(falling))
    assert falling[0] == pytest.approx(1.0)
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in values)
    assert all(value > 0 for value in rising)
    if isinstance(schedule, Cosine | LinearDecay):
        assert values[-1] == pytest.approx(schedule.floor, abs=1e-12)


@given(SCHEDULES, st.integers(0, 200))
def test_a_schedule_has_no_memory(schedule: Schedule, step: int) -> None:
    first = schedule(step)
    schedule(step + 3)
    assert schedule(step) == first
