"""Evaluation: an observer that measures the networks at fixed steps and remembers what it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from practicum.engine.events import Event, Moment
from practicum.engine.seeds import generator_states, set_generator_states
from practicum.engine.updates import Networks

Evaluate = Callable[[Networks], Mapping[str, Tensor | float]]


def points(steps: int, every: int | None) -> list[int]:
    """Return the steps after which to evaluate: every so many, and the last."""
    return sorted({*range(every or steps, steps + 1, every or steps), steps})


@contextmanager
def evaluating(networks: Mapping[str, nn.Module]) -> Iterator[None]:
    """Within, the networks are in evaluation mode and no gradient is recorded.

    Each part's own mode comes back after: a frozen part of a network stays frozen.
    """
    before = [(part, part.training) for one in networks.values() for part in one.modules()]
    for network in networks.values():
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in before:
            part.training = training


class Evaluation:
    """Measures at the given steps; between them, averages the training loss.

    Evaluating draws nothing from the noise stream: the generator's state is put back. A run that
    diverges measures NaN, once, so that its measures are known by name even before the first point.

    Attributes:
        history: measure name to one number per point reached.
        context: entered around every evaluation (autocast).
    """

    def __init__(
        self,
        evaluate: Evaluate | None,
        at: list[int],
        context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.evaluate, self.at, self.context = evaluate, frozenset(at), context
        self.history: dict[str, list[float]] = {}
        self._losses: list[float] = []

    def __call__(self, moment: Moment) -> None:
        """Collect the loss of a step; evaluate if the step is one of the points."""
        if moment.event is Event.DIVERGED:
            for name in self._measure(moment):
                self.history.setdefault(name, []).append(float("nan"))
        if moment.event is not Event.STEPPED:
            return
        self._losses.append(float(moment.metrics.get("loss", float("nan"))))
        if moment.state.step in self.at:
            measured = self._measure(moment)
            for name, value in measured.items():
                self.history.setdefault(name, []).append(value)
            moment.tell(Event.EVALUATED, measured)

    def collect(self, losses: Sequence[float]) -> None:
        """Count the losses of several steps at once; lanes hand them over at a point."""
        self._losses += losses

    def _measure(self, moment: Moment) -> dict[str, float]:
        mean = sum(self._losses) / len(self._losses) if self._losses else float("nan")
        measured = {"loss": mean}
        self._losses = []
        if self.evaluate is not None:
            before = generator_states()
            with evaluating(moment.state.networks), self.context():
                found = self.evaluate(moment.state.networks)
            set_generator_states(before)
            measured |= {name: float(value) for name, value in found.items()}
        return measured

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured so far, for a checkpoint."""
        return {"history": self.history, "losses": self._losses}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history, self._losses = saved["history"], saved["losses"]
