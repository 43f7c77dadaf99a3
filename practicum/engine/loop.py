"""The one loop. Every way of learning is a `step`; the loop only repeats it and says so.

    step(state, batch, noise) -> state, metrics

A step may be gradient descent, a perceptron's rule, one move of a sampling chain, or two players'
moves. Evaluation, checkpoints and progress are observers; schedules, clipping and accumulation
belong to the step (`updates.py`). Only lanes, many seeds in one program, repeat their steps
themselves (`lanes.py`). A call with the same state, source and generators gives the same
bits as the plain `for` statement it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from practicum.engine.events import Event, Moment, Observer
from practicum.engine.noise import GlobalNoise, Noise
from practicum.engine.state import State

Step = Callable[[State, Any, Noise], tuple[State, Mapping[str, Any]]]


class Diverged(Exception):
    """Raised by a step that met a loss that is not finite, before it changes any weight."""


def loop(
    step: Step,
    state: State,
    source: Iterator[Any],
    *,
    steps: int,
    noise: Noise | None = None,
    observers: Sequence[Observer] = (),
    poll: Callable[[], None] | None = None,
) -> State:
    """Repeat a step until the state has counted `steps` of them.

    Args:
        step: the way of learning.
        state: where to start; `state.step` steps count as done.
        source: gives one batch a step; may be endless.
        steps: the step count to stop at.
        noise: what steps draw from; torch's global generator unless given.
        observers: called at every event, in this order.
        poll: called after every step; may raise to interrupt between two steps.

    Returns:
        The state after the last step. `state.counters["diverged"]` is the step at which training
        diverged; it is absent when it did not.

    Raises:
        ValueError: the source ended too early.
    """
    noise = GlobalNoise() if noise is None else noise

    def tell(event: Event, metrics: Mapping[str, Any]) -> None:
        moment = Moment(event, state, metrics, tell)
        for observer in observers:
            observer(moment)

    tell(Event.STARTED, {})
    while state.step < steps and "diverged" not in state.counters:
        try:
            batch = next(source)
        except StopIteration:
            raise ValueError(f"the source ended after step {state.step} of {steps}") from None
        try:
            state, metrics = step(state, batch, noise)
        except Diverged:
            state.counters["diverged"] = state.step
            tell(Event.DIVERGED, {})
            break
        state.counters["step"] = state.step + 1
        tell(Event.STEPPED, metrics)
        if poll is not None:
            try:
                poll()
            except BaseException:
                tell(Event.INTERRUPTED, {})
                raise
    tell(Event.ENDED, {})
    return state
