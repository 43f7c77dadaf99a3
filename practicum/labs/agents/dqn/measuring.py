"""Greedy episodes: what the network promised in every state, and what then came.

    G_t = r_t + gamma G_{t+1},  G = 0 after the episode              (1)
    overestimation = mean of max over a of Q(s_t, a) - G_t           (2)

A state counts in (2) if its episode came to a true end, or if at least `horizon` steps followed
before the clock cut it off. What lies behind a cut is missing from G; where a step brings at most
1, that is less than gamma^horizon / (1 - gamma).

Shapes: T steps, E episodes side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from practicum.engine.services import Services
from practicum.learning.environments import Environments


@dataclass(frozen=True, kw_only=True)
class Played:
    """Some episodes, from their first step to the end of the longest.

    Attributes:
        values: max over a of Q(s_t, a).
        rewards: what each step brought; 0 after an episode's end.
        lasts: where the episode is still going on.
        ended: where it came to a true end, and was not cut off.
    """

    values: Float[Tensor, "T E"]
    rewards: Float[Tensor, "T E"]
    lasts: Bool[Tensor, "T E"]
    ended: Bool[Tensor, "E"]


def play(
    network: Callable[[Tensor], Tensor],
    environment: str,
    seed: int,
    *,
    episodes: int,
    limit: int,
    services: Services,
) -> Played:
    """Play episodes without exploring.

    Args:
        network: observations [E, D] to values [E, A].
        environment: gymnasium's name.
        seed: decides how the episodes begin, whatever the network is.
        episodes: E.
        limit: steps after which an episode counts as cut off.
        services: where and in what precision the network computes.
    """
    world = Environments(environment, (seed,), episodes)
    world.restart()  # other beginnings than in training
    on = torch.ones(episodes, dtype=torch.bool)
    ended = ~on
    values: list[Tensor] = []
    rewards: list[Tensor] = []
    lasts: list[Tensor] = []
    with torch.no_grad():
        while len(values) < limit and bool(on.any()):
            (s,) = services.place(world.observations[0])
            best, action = network(s).max(-1)
            step = world.step(action.cpu().unsqueeze(0))
            values.append(best.cpu().double())
            rewards.append(step.reward[0].double() * on)
            lasts.append(on)
            ended = ended | (on & step.terminated[0])
            on = on & ~step.ended[0]
    return Played(
        values=torch.stack(values),
        rewards=torch.stack(rewards),
        lasts=torch.stack(lasts),
        ended=ended,
    )


def returns(rewards: Float[Tensor, "T E"], discount: float) -> Float[Tensor, "T E"]:
    """Return G of every step."""
    found, after = torch.empty_like(rewards), torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        after = rewards[t] + discount * after  # Eq. (1)
        found[t] = after
    return found


def counted(played: Played, horizon: int) -> Bool[Tensor, "T E"]:
    """Return which states count in Eq. (2)."""
    left = played.lasts.sum(0) - torch.arange(len(played.lasts)).unsqueeze(1)
    return played.lasts & (played.ended | (left >= horizon))


def overestimation(played: Played, *, discount: float, horizon: int) -> float:
    """Return Eq. (2); nan if no state counts."""
    which = counted(played, horizon)
    too_much = played.values - returns(played.rewards, discount)
    return float(too_much[which].mean())


def first_episode(
    played: Played, *, discount: float, limit: int
) -> tuple[Float[Tensor, "limit"], Float[Tensor, "limit"]]:
    """Return values and G along the first episode; nan after its end."""
    length = int(played.lasts[:, 0].sum())
    both = torch.full((2, limit), float("nan"), dtype=torch.float64)
    both[0, :length] = played.values[:length, 0]
    both[1, :length] = returns(played.rewards, discount)[:length, 0]
    return both[0], both[1]
