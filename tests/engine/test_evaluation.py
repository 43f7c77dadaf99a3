"""Evaluation: when it happens, in which mode, and what it leaves untouched.

Would catch: a point missed or measured twice, a mean loss over the wrong steps, dropout or moving
batch statistics while measuring, a gradient recorded, a frozen part thawed by the way back, a
random number consumed, measures lost when a run diverges.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from practicum.engine.evaluation import Evaluation, evaluating, points
from practicum.engine.events import Event
from practicum.engine.loop import Diverged, loop
from practicum.engine.state import State


@given(st.integers(1, 60), st.one_of(st.none(), st.integers(1, 80)))
def test_points_are_every_so_many_steps_and_always_the_last(steps: int, every: int | None) -> None:
    naive = [t for t in range(1, steps + 1) if t == steps or (every and t % every == 0)]
    assert points(steps, every) == naive


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))


def test_within_an_evaluation_nothing_is_random_nothing_moves_and_no_gradient_is_recorded() -> None:
    net, x = network(), torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with evaluating({"net": net}):
        once, twice = net(x), net(x)
    assert torch.equal(once, twice)
    assert not once.requires_grad
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert net.training
    # The same in training mode fails every one of these: the checks above can see something.
    once, twice = net(x), net(x)
    assert not torch.equal(once, twice)
    assert once.requires_grad
    assert not torch.equal(before["1.running_mean"], net.state_dict()["1.running_mean"])


def test_every_part_gets_its_own_mode_back_also_after_an_error() -> None:
    net = network()
    net[1].eval()  # a frozen batch norm

    def fails() -> None:
        with evaluating({"net": net}):
            assert not any(part.training for part in net.modules())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [part.training for part in net] == [True, False, True, True]
    assert net.training


def stepping(losses: list[float]) -> Any:
    def step(state: State, loss: float, noise: Any) -> tuple[State, dict[str, float]]:
        if math.isnan(loss):
            raise Diverged
        return state, {"loss": loss}

    return step, iter(losses)


def test_the_loss_is_the_mean_since_the_last_point() -> None:
    step, source = stepping([1.0, 2.0, 6.0, 10.0, 20.0])
    evaluation = Evaluation(None, points(5, 3))
    loop(step, State(), source, steps=5, observers=[evaluation])
    assert evaluation.history == {"loss": [3.0, 15.0]}  # not 7.8, the mean since the start


def test_measures_are_kept_in_order_and_told_to_the_observers() -> None:
    told = []
    values = itertools.count(10)
    evaluation = Evaluation(lambda nets: {"seen": torch.tensor(next(values))}, [2, 4])
    step, source = stepping([1.0] * 4)

    def observe(moment: Any) -> None:
        if moment.event is Event.EVALUATED:
            told.append((moment.state.step, dict(moment.metrics)))

    loop(step, State(), source, steps=4, observers=[evaluation, observe])
    assert evaluation.history == {"loss": [1.0, 1.0], "seen": [10.0, 11.0]}
    assert told == [(2, {"loss": 1.0, "seen": 10.0}), (4, {"loss": 1.0, "seen": 11.0})]


def test_an_evaluation_that_draws_leaves_the_generator_where_it_was() -> None:
    evaluation = Evaluation(lambda nets: {"x": torch.rand(7).mean()}, [1])
    step, source = stepping([1.0])
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    loop(step, State(), source, steps=1, observers=[evaluation])
    assert torch.equal(torch.rand(2), expected)
    assert len(evaluation.history["x"]) == 1


@pytest.mark.parametrize("good", [0, 1, 3])
def test_a_diverged_run_has_all_measures_by_name_and_nan_from_there(good: int) -> None:
    step, source = stepping([1.0] * good + [math.nan] * 9)
    evaluation = Evaluation(lambda nets: {"size": 5.0}, points(6, 2))
    told = []
    observe = lambda moment: told.append(moment.event)  # noqa: E731
    loop(step, State(), source, steps=6, observers=[evaluation, observe])
    assert evaluation.history.keys() == {"loss", "size"}
    assert evaluation.history["size"][: good // 2] == [5.0] * (good // 2)
    assert all(math.isnan(value) for value in evaluation.history["size"][good // 2 :])
    assert told.count(Event.EVALUATED) == good // 2


def test_an_evaluation_runs_within_its_context() -> None:
    inside = []

    @contextmanager
    def context() -> Iterator[None]:
        inside.append(True)
        yield
        inside.pop()

    def measure(nets: Any) -> dict[str, float]:
        return {"inside": float(len(inside))}

    evaluation = Evaluation(measure, [1, 2], context)
    step, source = stepping([1.0, 1.0])
    loop(step, State(), source, steps=2, observers=[evaluation])
    assert evaluation.history["inside"] == [1.0, 1.0]
    assert not inside


def test_an_evaluation_goes_on_from_a_saved_one_in_the_middle_of_a_mean() -> None:
    losses = [1.0, 2.0, 6.0, 10.0, 20.0]
    for cut in range(6):
        first, second = Evaluation(None, points(5, 3)), Evaluation(None, points(5, 3))
        step, source = stepping(losses)
        state = loop(step, State(), source, steps=cut, observers=[first])
        second.load_state_dict(first.state_dict())
        loop(step, state, source, steps=5, observers=[second])
        assert second.history == {"loss": [3.0, 15.0]}
