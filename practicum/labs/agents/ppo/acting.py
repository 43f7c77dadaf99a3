"""Playing, watched: how far the policy moves within an iteration, and play at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.experience import Act
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.updates import Batch
from practicum.learning.environments import Environments, sizes
from practicum.learning.ppo import Details, Rollouts
from practicum.nn.actor_critic import log_probability

FAR = 0.2  # a ratio further from 1 than this counts as far, in every arm


class Watched:
    """The experience of PPO, which also tells how far the policy has moved from the old one."""

    def __init__(self, details: Details, environment: str, seeds: Sequence[int], act: Act) -> None:
        self._rollouts, self._act = Rollouts(details, environment, seeds, act), act
        self._batch: Batch = ()
        self._seen: tuple[Batch, Float[Tensor, "L"]] | None = None

    def next(self) -> Batch:
        """Return the next minibatch."""
        self._batch = self._rollouts.next()
        return self._batch

    def report(self, lane: int) -> Mapping[str, float]:
        """Return the mean return, and the share of the last minibatch with a far ratio, in %."""
        if self._seen is None or self._seen[0] is not self._batch:  # all lanes act at once
            s, a, log_old = self._batch[:3]
            logits, _ = self._act("main", s)
            self._seen = self._batch, far(log_probability(logits, a) - log_old.to(logits))
        return {**self._rollouts.report(lane), "far": float(self._seen[1][lane])}


def far(log_ratio: Float[Tensor, "L B"]) -> Float[Tensor, "L"]:
    """Return the percentage of the samples whose ratio lies outside 1 - FAR and 1 + FAR."""
    return 100 * ((log_ratio.exp() - 1).abs() > FAR).double().mean(1)


def at_random(
    environment: str, seed: int, copies: int, horizon: int, iterations: int, services: Services
) -> Float[Tensor, "iterations"]:
    """Play with actions drawn at random; return the mean return as PPO's experience reports it."""
    environments = Environments(environment, [seed], copies)
    actions = sizes(environment)[1]
    order = streams(seed).order()
    found = []
    for done in range(iterations):
        for _ in range(horizon):
            environments.step(torch.randint(actions, (1, copies), generator=order))
        found.append(environments.mean_return(0))
        services.progress(done + 1, iterations)
        if services.poll is not None:
            services.poll()
    return torch.tensor(found, dtype=torch.float64)
