"""The closed list of moments at which the loop tells its observers something.

An observer is called with a `Moment`. It reads; it never writes into the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from practicum.engine.state import State


class Event(Enum):
    """Every event there is; the value says when it happens."""

    STARTED = "before the first step of this call"
    STEPPED = "after every step; metrics are the step's"
    EVALUATED = "after an evaluation; metrics are its measures"
    CHECKPOINTED = "after a checkpoint was written"
    DIVERGED = "a step met a loss that is not finite; no weight was moved by it"
    INTERRUPTED = "the run was asked to stop; the step under way has ended"
    ENDED = "after the last step of this call, also when it diverged"


@dataclass(frozen=True)
class Moment:
    """What an observer sees.

    Attributes:
        event: which event this is.
        state: the training state; read only.
        metrics: numbers or tensors by name, empty for most events.
        tell: passes a further event on to all observers (an evaluation does).
    """

    event: Event
    state: State
    metrics: Mapping[str, Any]
    tell: Callable[[Event, Mapping[str, Any]], None]


Observer = Callable[[Moment], None]


def describe() -> str:
    """Return the list of events as text, one a line."""
    width = max(len(event.name) for event in Event)
    return "\n".join(f"{event.name:<{width}}  {event.value}" for event in Event)
