"""Batches that the networks themselves bring about: play in an environment, chains, dialogues.

Data that exist before training are `Recipe.data`. Where what is learned from depends on the
networks as they are now, `Recipe.experience` makes the batches instead: it may ask the networks to
act, and it keeps environments, replay memories and chains. It always works for several seeds at
once, lanes first; the loop is the case of one lane. What it draws at random comes from the `order`
stream of each seed, so a seed's batches do not depend on which others there are.

An experience that has `state_dict` and `load_state_dict` is part of step checkpoints; a trial with
any other starts again from its seed when it was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from practicum.engine.services import Services
from practicum.engine.source import Resumable
from practicum.engine.updates import Batch

Act = Callable[..., Any]
"""(network's name, *inputs) -> its output: tensors [lanes, B, ...], without gradients."""


@runtime_checkable
class Experience(Protocol):
    """What makes the batches of some seeds."""

    def next(self) -> Batch:
        """Return the next batch, [lanes, batch, ...] each; the shapes are always the same."""
        ...

    def report(self, lane: int) -> Mapping[str, float]:
        """Return what is measured of a seed's experience so far (a mean return); may be empty."""
        ...


Begin = Callable[[Sequence[int], Act], Experience]
"""(seeds, act) -> their experience."""


def acting_alone(networks: Mapping[str, nn.Module], services: Services) -> Act:
    """Return how the networks of one seed act; their tensors have one lane."""

    def act(name: str, *inputs: Tensor) -> Any:
        with torch.no_grad():
            output = networks[name](*(one[0] for one in services.place(*inputs)))
        if isinstance(output, tuple):
            return tuple(one.unsqueeze(0) for one in output)
        return output.unsqueeze(0)

    return act


class Alone:
    """The experience of one seed as the loop's source of batches."""

    def __init__(self, experience: Experience, services: Services) -> None:
        self.experience, self.services = experience, services

    def __iter__(self) -> Alone:
        return self

    def __next__(self) -> Batch:
        return tuple(one[0] for one in self.services.place(*self.experience.next()))

    @property
    def resumable(self) -> bool:
        """Whether a checkpoint can hold it."""
        return isinstance(self.experience, Resumable)

    def state_dict(self) -> dict[str, Any]:
        """Return the experience's state."""
        assert isinstance(self.experience, Resumable)
        return self.experience.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a saved state."""
        assert isinstance(self.experience, Resumable)
        self.experience.load_state_dict(saved)
