"""REINFORCE: make actions that were followed by more than expected more likely.

Paper: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement
learning", Machine Learning 8 (1992) 229-256. Reward to go and learned baseline: Sutton, McAllester,
Singh, Mansour, "Policy gradient methods for reinforcement learning with function approximation",
NIPS 12, 1999.

Equations, for E episodes of the policy as it is:
    (1)  R = sum over t of gamma^t r_t                         the return of an episode
    (2)  G_t = sum over t' >= t of gamma^(t' - t) r_t'         its reward to go
    (3)  grad J = mean over episodes of sum over t of (G_t - b) grad log pi(a_t | s_t)

R in the place of G_t gives the same mean with more variance: what came before an action does not
depend on it. Any b that does not depend on the action leaves the mean alone too:
    none      b = 0
    mean      b = the mean of G_t at the same t over the other episodes that lasted so long
    value     b = V(s_t), learned by the mean square of G_t - V(s_t)

Algorithm, one step of the engine: play E whole episodes, then one update by (3).

Known failure signs: returns that collapse and stay low (one step too large is not forgiven: the
next episodes come from the bad policy); without a baseline, progress that depends on the seed.

Shapes: L lanes, E episodes, T the longest possible episode, D observation, A actions.

Deviations:
    1. (2) leaves out the factor gamma^t that the gradient of the discounted return has, as nearly
       all programs do. With gamma = 1 there is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.experience import Act, Begin
from practicum.engine.noise import Noise
from practicum.engine.seeds import streams
from practicum.engine.updates import Batch, Networks
from practicum.errors import unknown
from practicum.learning.environments import Environments
from practicum.nn.actor_critic import log_probability, sample

BASELINES = ("none", "mean", "value")


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """How episodes are gathered and weighted.

    Attributes:
        episodes: E, of each seed and update.
        longest: T; an episode is over after so many steps.
        discount: gamma.
        to_go: G_t of (2); otherwise R of (1) for every t.
    """

    episodes: int = 8
    longest: int = 500
    discount: float = 1.0
    to_go: bool = True

    def experience(self, environment: str) -> Begin:
        """Return what makes the batches, for a `Recipe` with a network called "main"."""
        return partial(Episodes, self, environment)


class Episodes:
    """Whole episodes, each played to its end."""

    def __init__(
        self, gathering: Gathering, environment: str, seeds: Sequence[int], act: Act
    ) -> None:
        self.gathering, self.act = gathering, act
        self.environments = Environments(environment, seeds, gathering.episodes)
        self._order = [streams(seed).order() for seed in seeds]
        self._returns = torch.zeros(len(seeds))
        self._first = True

    def next(self) -> Batch:
        """Return s [L, E, T, D], a, R or G, and 1 where the episode lasted; [L, E, T] each."""
        if not self._first:
            self.environments.restart()
        self._first = False
        L, E, D = self.environments.observations.shape
        T = self.gathering.longest
        states, lasted = torch.zeros(L, E, T, D), torch.zeros(L, E, T)
        actions, rewards = torch.zeros(L, E, T, dtype=torch.long), torch.zeros(L, E, T)
        running = torch.ones(L, E)
        # All draws at once: how long other seeds' episodes last must not move this one's.
        u = torch.stack([torch.rand(T, E, generator=one) for one in self._order], 1)
        for t in range(T):
            s = self.environments.observations
            logits, _ = self.act("main", s)
            a = sample(logits, u[t].to(logits))
            step = self.environments.step(a)
            states[:, :, t], actions[:, :, t], lasted[:, :, t] = s, a, running
            rewards[:, :, t] = step.reward * running
            running = running * (~step.ended).float()
            if not bool(running.any()):
                break
        self._returns = rewards.sum(2).mean(1)
        gains = returns(rewards, self.gathering.discount, to_go=self.gathering.to_go)
        return states, actions, gains, lasted

    def report(self, lane: int) -> Mapping[str, float]:
        """Return the mean undiscounted return of the lane's last episodes."""
        return {"return": float(self._returns[lane])}


def returns(
    rewards: Float[Tensor, "*E T"], discount: float, *, to_go: bool = True
) -> Float[Tensor, "*E T"]:
    """Return G_t of Eq. (2) for every t, or R of Eq. (1) in all places."""
    found = torch.empty_like(rewards)
    last = torch.zeros_like(rewards[..., 0])
    for t in range(rewards.shape[-1] - 1, -1, -1):
        last = rewards[..., t] + discount * last  # Eq. (2)
        found[..., t] = last
    return found if to_go else found[..., :1].expand_as(found).clone()  # Eq. (1)


def others_mean(gains: Float[Tensor, "E T"], lasted: Float[Tensor, "E T"]) -> Float[Tensor, "E T"]:
    """Return for each episode and time the mean over the others that lasted; 0 if there are none.

    An episode's own gain is left out: with it the baseline would depend on the action.
    """
    total = (gains * lasted).sum(0) - gains * lasted
    count = lasted.sum(0) - lasted
    return total / count.clamp(min=1)


def reinforce_loss(
    networks: Networks,
    batch: Batch,
    noise: Noise,
    *,
    baseline: str = "none",
    value_share: float = 0.5,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return a loss whose gradient is minus Eq. (3), and the value's loss if it is learned.

    Args:
        networks: "main" is an `ActorCritic`.
        batch: s, a, gains and what lasted, from `Episodes`, without lanes.
        noise: not used.
        baseline: "none", "mean" or "value".
        value_share: weight of the value's mean square.

    Raises:
        PracticumError: no such baseline.
    """
    if baseline not in BASELINES:
        raise unknown("baseline", baseline, BASELINES)
    s, a, gains, lasted = batch
    logits, value = networks["main"](s.flatten(0, 1))
    value = value.view(gains.shape)
    b = torch.zeros_like(gains)
    if baseline == "mean":
        b = others_mean(gains, lasted)
    if baseline == "value":
        b = value.detach()
    log_pi = log_probability(logits.view(*gains.shape, -1), a)
    loss = -((gains - b) * log_pi * lasted).sum() / len(gains)  # Eq. (3)
    if baseline == "value":
        loss = loss + value_share * ((gains - value).square() * lasted).sum() / lasted.sum()
    return loss, {}
