"""Evaluation: an observer that measures the networks at fixed steps and remembers what it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from practicum.engine.events import Event, Moment
from practicum.engine.updates import Networks

Evaluate = Callable[[Networks], Mapping[str, Tensor | float]]


def points(steps: int, every: int | None) -> list[int]:
    """Return the steps after which to evaluate: every so many, and the last."""
    return sorted({*range(every or steps, steps + 1, every or steps), steps})


@contextmanager
def evaluating(networks: Mapping[str, nn.Module]) -> Iterator[None]:
    """Within, the networks are in evaluation mode and no gradient is recorded."""
    before = {name: network.training for name, network in networks.items()}
    for network in networks.values():
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for name, network in networks.items():
            network.train(before[name])


class Evaluation:
    """Measures at the given steps; between them, averages the training loss.

    Evaluating draws nothing from the noise stream: the generator's state is put back.

    Attributes:
        history: measure name to one number per point reached.
    """

    def __init__(self, evaluate: Evaluate | None, at: list[int]) -> None:
        self.evaluate, self.at = evaluate, frozenset(at)
        self.history: dict[str, list[float]] = {}
        self._losses: list[float] = []

    def __call__(self, moment: Moment) -> None:
        """Collect the loss of a step; evaluate if the step is one of the points."""
        if moment.event is not Event.STEPPED:
            return
        self._losses.append(float(moment.metrics.get("loss", float("nan"))))
        if moment.state.step in self.at:
            measured = self._measure(moment)
            for name, value in measured.items():
                self.history.setdefault(name, []).append(value)
            moment.tell(Event.EVALUATED, measured)

    def _measure(self, moment: Moment) -> dict[str, float]:
        measured = {"loss": sum(self._losses) / len(self._losses)}
        self._losses = []
        if self.evaluate is not None:
            before = torch.get_rng_state()
            with evaluating(moment.state.networks):
                found = self.evaluate(moment.state.networks)
            torch.set_rng_state(before)
            measured |= {name: float(value) for name, value in found.items()}
        return measured

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured so far, for a checkpoint."""
        return {"history": self.history, "losses": self._losses}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history, self._losses = saved["history"], saved["losses"]
