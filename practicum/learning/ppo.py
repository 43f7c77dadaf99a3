"""Proximal policy optimization: improve the policy, but stay near the one that gathered the data.

Paper: Schulman, Wolski, Dhariwal, Radford, Klimov, "Proximal policy optimization algorithms",
arXiv:1707.06347v2. Advantages: Schulman et al., "High-dimensional continuous control using
generalized advantage estimation", arXiv:1506.02438v6. Details of the code that the paper does not
tell: Engstrom et al., "Implementation matters in deep policy gradients", arXiv:2005.12729v1; Huang
et al., "The 37 implementation details of proximal policy optimization", ICLR blog track 2022.

Equations (numbers of the PPO paper):
    r = pi(a | s) / pi_old(a | s)
    (7)   L_clip = mean of min(r A, clip(r, 1 - epsilon, 1 + epsilon) A)
    (9)   maximise L_clip - c1 L_value + c2 H
    (11)  A_t = delta_t + gamma lambda A_{t+1}, until the episode ends
    (12)  delta_t = reward_t + gamma V(s_{t+1}) - V(s_t); V is 0 after a true end, not after a cut

Algorithm, one iteration:
    1. All copies of the environment take T steps with the policy as it is; its log-probabilities
       and values are kept.
    2. Advantages (11), (12); returns are A + V.
    3. K epochs of shuffled minibatches; each is one step of the engine that minimises minus (9).

Every detail of the code is a field of `Details`. Not here: stopping an iteration early when the
policy has moved too far, which would give seeds different numbers of steps.

Known failure signs: entropy falls to 0 early; a ratio far from 1 for most samples (too many epochs
or too high a rate); values that stay far below the returns (the critic does not learn).

Shapes: L lanes, E copies, T steps, B samples of a minibatch, D observation, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from practicum.engine.experience import Act, Begin
from practicum.engine.noise import Noise
from practicum.engine.seeds import streams
from practicum.engine.updates import Batch, Networks
from practicum.errors import PracticumError
from practicum.learning.environments import Environments
from practicum.learning.running_moments import RunningMoments
from practicum.nn.actor_critic import entropy, log_probability, sample


@dataclass(frozen=True, kw_only=True)
class Details:
    """How the experience of PPO is gathered and used; each known detail can be switched off.

    Those of the network (orthogonal weights, tanh, two trunks) are in `ActorCritic`; Adam's epsilon
    is the optimizer's; clipping the whole gradient is the update's `clip`; `Annealing` lets the
    rate fall.

    Attributes:
        discount: gamma.
        trace: lambda of (11); 1 gives Monte Carlo advantages.
        clip: epsilon of (7); None leaves the ratio alone.
        value_clip: let a minibatch move a value by at most this; None does not limit it.
        value_share: c1 of (9).
        entropy_share: c2 of (9), per nat.
        normalize_advantages: mean 0 and deviation 1 within a minibatch.
        bootstrap_cuts: V of the last state counts where an episode was only cut off.
        normalize_observations: running mean 0 and deviation 1, limited to `observation_limit`.
        observation_limit: in deviations.
        scale_rewards: divide by the running deviation of the discounted return.
        reward_limit: limit of a (scaled) reward; None does not limit it.
        copies: E, environments a seed.
        horizon: T, steps of each copy an iteration.
        epochs: K.
        minibatches: parts of an epoch.
    """

    discount: float = 0.99
    trace: float = 0.95
    clip: float | None = 0.2
    value_clip: float | None = None
    value_share: float = 0.5
    entropy_share: float = 0.01
    normalize_advantages: bool = True
    bootstrap_cuts: bool = True
    normalize_observations: bool = False
    observation_limit: float = 10.0
    scale_rewards: bool = False
    reward_limit: float | None = None
    copies: int = 8
    horizon: int = 32
    epochs: int = 20
    minibatches: int = 1

    def __post_init__(self) -> None:
        if self.samples % self.minibatches:
            raise PracticumError(
                f"{self.copies} copies x {self.horizon} steps make {self.samples} samples, which "
                f"{self.minibatches} minibatches cannot share equally"
            )

    @property
    def samples(self) -> int:
        """Environment steps of an iteration, all copies together."""
        return self.copies * self.horizon

    @property
    def updates(self) -> int:
        """Steps of the engine an iteration."""
        return self.epochs * self.minibatches

    def experience(self, environment: str) -> Begin:
        """Return what makes the minibatches, for a `Recipe` with a network called "main"."""
        return partial(Rollouts, self, environment)


@dataclass(frozen=True, kw_only=True)
class Annealing:
    """The rate falls in a straight line to 0, in equal stairs of one iteration."""

    iterations: int
    updates: int

    def __call__(self, step: int) -> float:
        """Return the factor after `step` steps of the engine."""
        return 1 - (step // self.updates) / self.iterations


def advantages(
    reward: Float[Tensor, "T *E"],
    value: Float[Tensor, "T *E"],
    future: Float[Tensor, "T *E"],
    ended: Bool[Tensor, "T *E"],
    *,
    discount: float,
    trace: float,
) -> Float[Tensor, "T *E"]:
    """Return the advantages of (11).

    Args:
        reward: rewards.
        value: V of the states that were acted in.
        future: V of the states that followed; 0 after a true end.
        ended: where the next state belongs to another episode.
        discount: gamma.
        trace: lambda.
    """
    delta = reward + discount * future - value  # Eq. (12)
    carry = discount * trace * (~ended).to(delta.dtype)
    found = torch.empty_like(delta)
    last = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        last = delta[t] + carry[t] * last  # Eq. (11)
        found[t] = last
    return found


class Rollouts:
    """Steps 1 and 2 of the algorithm, and the shuffled minibatches of step 3."""

    def __init__(self, details: Details, environment: str, seeds: Sequence[int], act: Act) -> None:
        self.details, self.act = details, act
        self.environments = Environments(environment, seeds, details.copies)
        self._order = [streams(seed).order() for seed in seeds]
        self._left: list[Tensor] = []  # indices of the minibatches still to come, [L, B] each
        self._samples: Batch = ()
        shape = self.environments.observations.shape
        self._seen = RunningMoments((shape[0], 1, shape[2]))
        self._gains = RunningMoments((shape[0], 1, 1))
        self._gain = torch.zeros(shape[:2], dtype=torch.float64)

    def next(self) -> Batch:
        """Return the next minibatch: s, a, log pi_old, A, return, V_old; lanes first."""
        if not self._left:
            self._samples = self._gather()
            self._left = self._shuffled()
        index = self._left.pop()
        rows = torch.arange(len(index)).unsqueeze(1)
        return tuple(one[rows, index] for one in self._samples)

    def report(self, lane: int) -> Mapping[str, float]:
        """Return the mean return of the lane's last finished episodes."""
        return {"return": self.environments.mean_return(lane)}

    def _shuffled(self) -> list[Tensor]:
        parts, samples = self.details.minibatches, self.details.samples
        epochs = [
            torch.stack([torch.randperm(samples, generator=one) for one in self._order])
            for _ in range(self.details.epochs)
        ]
        return [part for epoch in epochs for part in epoch.chunk(parts, dim=1)]

    def _gather(self) -> Batch:
        details, T = self.details, self.details.horizon
        size = (T, details.copies)
        u = torch.stack([torch.rand(*size, generator=one) for one in self._order], 1)  # [T, L, E]
        kept: dict[str, list[Tensor]] = {}
        for t in range(T):
            s = self._normal(self.environments.observations, learn=True)
            logits, value = self.act("main", s)
            a = sample(logits, u[t].to(logits))
            step = self.environments.step(a)
            future = torch.zeros_like(value)
            if details.bootstrap_cuts and bool(step.truncated.any()):
                _, last = self.act("main", self._normal(step.after, learn=False))
                future = torch.where(step.truncated & ~step.terminated, last, future)
            row = {
                "s": s, "a": a, "log": log_probability(logits, a), "value": value,
                "reward": self._scaled(step.reward, step.ended).to(value),
                "future": future, "ended": step.ended,
            }  # fmt: skip
            for name, one in row.items():
                kept.setdefault(name, []).append(one)
        _, last = self.act("main", self._normal(self.environments.observations, learn=False))
        all_of = {name: torch.stack(rows) for name, rows in kept.items()}
        value, ended = all_of["value"], all_of["ended"]
        following = torch.cat([value[1:], last.unsqueeze(0)])
        A = advantages(
            all_of["reward"], value, torch.where(ended, all_of["future"], following), ended,
            discount=details.discount, trace=details.trace,
        )  # fmt: skip
        samples = (all_of["s"], all_of["a"], all_of["log"], A, A + value, value)
        return tuple(one.transpose(0, 1).flatten(1, 2) for one in samples)

    def _normal(self, s: Tensor, *, learn: bool) -> Tensor:
        if not self.details.normalize_observations:
            return s
        if learn:
            self._seen.add(s)
        limit = self.details.observation_limit
        return self._seen.normal(s).clamp(-limit, limit).to(s.dtype)

    def _scaled(self, reward: Tensor, ended: Tensor) -> Tensor:
        if self.details.scale_rewards:
            self._gain = self._gain * self.details.discount + reward
            self._gains.add(self._gain.unsqueeze(-1))
            reward = reward / self._gains.deviation.squeeze(-1)
            self._gain = self._gain.masked_fill(ended, 0.0)
        limit = self.details.reward_limit
        return reward if limit is None else reward.clamp(-limit, limit)


def ppo_loss(
    details: Details, networks: Networks, batch: Batch, noise: Noise
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return minus Eq. (9) of a minibatch from `Rollouts`; the network is called "main"."""
    s, a, log_old, A, gain, value_old = batch
    logits, value = networks["main"](s)
    if details.normalize_advantages:
        A = (A - A.mean()) / (A.std() + 1e-8)
    r = (log_probability(logits, a) - log_old).exp()
    surrogate = r * A
    if details.clip is not None:
        surrogate = torch.minimum(surrogate, r.clamp(1 - details.clip, 1 + details.clip) * A)
    error = (value - gain).square()
    if details.value_clip is not None:
        near = value_old + (value - value_old).clamp(-details.value_clip, details.value_clip)
        error = torch.maximum(error, (near - gain).square())
    loss = -surrogate.mean() + details.value_share * error.mean()
    pays = details.entropy_share != 0
    H = entropy(logits if pays else logits.detach()).mean()  # where it pays nothing: only watched
    if pays:
        loss = loss - details.entropy_share * H
    return loss, {"entropy": H.detach()}  # Eq. (9); (7) is the surrogate
