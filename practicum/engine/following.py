"""Networks that no optimizer moves but that follow another: target networks, averaged weights.

    every so many steps:  follower <- (1 - share) follower + share leader

With share 1 the follower is a copy from time to time (Mnih et al. 2015); with a small share and
every step it is an exponential average (Polyak). It begins as a copy of its leader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from practicum.engine.loop import Step
from practicum.engine.noise import Noise
from practicum.engine.state import State
from practicum.errors import PracticumError


@dataclass(frozen=True, kw_only=True)
class Follow:
    """One network that follows another of the same shape.

    Attributes:
        follower: name of the network that follows.
        leader: name of the network that it follows.
        every: steps between two moves.
        share: part of the way that a move goes, above 0 and at most 1.

    Raises:
        PracticumError: a number is out of its range, or a network follows itself.
    """

    follower: str
    leader: str
    every: int = 1
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.every < 1 or not 0 < self.share <= 1 or self.follower == self.leader:
            raise PracticumError(
                f"{self.follower!r} follows {self.leader!r} every {self.every} steps with share "
                f"{self.share}; every is at least 1, share above 0, at most 1, and the two differ"
            )

    def due(self, done: int) -> bool:
        """Tell whether the follower moves after so many steps."""
        return done % self.every == 0

    @torch.no_grad()
    def move(self, follower: Mapping[str, Tensor], leader: Mapping[str, Tensor]) -> None:
        """Move the follower's tensors towards the leader's of the same names, in place."""
        for name, mine in follower.items():
            if self.share == 1 or not mine.is_floating_point():
                mine.copy_(leader[name])
            else:  # two exact operations: fused, the end of a tensor would round otherwise
                mine.mul_(1 - self.share).add_(leader[name] * self.share)


def start(follows: Sequence[Follow], networks: Mapping[str, nn.Module]) -> None:
    """Make every follower a copy of its leader that needs no gradient."""
    for one in follows:
        networks[one.follower].load_state_dict(networks[one.leader].state_dict())
        networks[one.follower].requires_grad_(False)


def following(step: Step, follows: Sequence[Follow]) -> Step:
    """Return the step after which the followers move."""
    if not follows:
        return step

    def both(state: State, batch: Any, noise: Noise) -> tuple[State, Mapping[str, Any]]:
        state, metrics = step(state, batch, noise)
        for one in follows:
            if one.due(state.step + 1):
                one.move(
                    _tensors(state.networks[one.follower]), _tensors(state.networks[one.leader])
                )
        return state, metrics

    return both


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}
