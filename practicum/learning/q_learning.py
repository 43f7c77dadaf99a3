"""Deep Q-learning: learn the value of actions from a memory of what was tried.

Papers: Mnih et al., "Playing Atari with deep reinforcement learning", arXiv:1312.5602v1 (replay);
Mnih et al., "Human-level control through deep reinforcement learning", Nature 518 (2015) 529-533
(target network). Double: van Hasselt, Guez, Silver, "Deep reinforcement learning with double
Q-learning", arXiv:1509.06461v3.

Equations:
    (1)  y = r + gamma max over a' of Q_target(s', a')                   r alone after a true end
    (2)  y = r + gamma Q_target(s', argmax over a' of Q(s', a'))         double
    (3)  L = mean of l(Q(s, a) - y), l the square or Huber's loss with threshold 1

Algorithm, one step of the engine:
    1. Every copy of the environment takes `act_steps` actions: a random one with probability
       epsilon, else the best by Q. The transitions go into the memory; the oldest leave it.
    2. A batch is drawn from the memory, each transition as likely as any other.
    3. One update by (3). The target follows as the recipe's `follows` say.
Before the first step the memory is filled by `start` random actions.

The target network is called "target", the other "main". Without a target network, `Replay` works
with a recipe whose loss is told `target="main"`.

Known failure signs: values above what any return can be (no target, or (1) without (2)); returns
that rise and then fall to those of a random policy (memory too small, rate too high).

Shapes: L lanes, E copies, M transitions in the memory, B batch, D observation, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from practicum.engine.experience import Act, Begin
from practicum.engine.noise import Noise
from practicum.engine.seeds import streams
from practicum.engine.updates import Batch, Networks
from practicum.errors import PracticumError
from practicum.learning.environments import Environments


@dataclass(frozen=True, kw_only=True)
class Memory:
    """How transitions are gathered and drawn.

    Attributes:
        actions: A, how many actions there are.
        batch: B, transitions an update.
        size: M; a memory of `batch` transitions is none to speak of.
        start: transitions by random actions before the first update; the memory keeps the newest.
        copies: E, environments a seed.
        act_steps: steps of every copy an update.
        explore: epsilon at the beginning and in the end.
        explore_updates: updates over which epsilon falls in a straight line.
    """

    actions: int
    batch: int = 64
    size: int = 10_000
    start: int = 1_000
    copies: int = 1
    act_steps: int = 1
    explore: tuple[float, float] = (1.0, 0.05)
    explore_updates: int = 1_000

    def __post_init__(self) -> None:
        if self.batch > min(self.start, self.size):
            raise PracticumError(
                f"a batch of {self.batch}, {self.start} transitions before the first update and a "
                f"memory of {self.size}: the batch must be the smallest"
            )
        if self.start % self.copies or self.size % self.copies:
            raise PracticumError(
                f"start {self.start} and size {self.size} must be multiples of {self.copies} copies"
            )

    def epsilon(self, update: int) -> float:
        """Return the share of random actions before an update (0 is the first)."""
        first, last = self.explore
        return first + (last - first) * min(1.0, update / self.explore_updates)

    def experience(self, environment: str) -> Begin:
        """Return what makes the batches, for a `Recipe` with a network called "main"."""
        return partial(Replay, self, environment)


class Replay:
    """Steps 1 and 2 of the algorithm."""

    def __init__(self, memory: Memory, environment: str, seeds: Sequence[int], act: Act) -> None:
        self.memory, self.act = memory, act
        self.environments = Environments(environment, seeds, memory.copies)
        self._order = [streams(seed).order() for seed in seeds]
        L, _, D = self.environments.observations.shape
        self._kept = (
            torch.zeros(L, memory.size, D),  # s
            torch.zeros(L, memory.size, dtype=torch.long),  # a
            torch.zeros(L, memory.size),  # r
            torch.zeros(L, memory.size, D),  # s'
            torch.zeros(L, memory.size),  # 1 after a true end
        )
        self._stored = self._updates = 0

    def next(self) -> Batch:
        """Return a batch of transitions s, a, r, s', end; lanes first."""
        if self._updates == 0:
            for _ in range(self.memory.start // self.memory.copies):
                self._step(1.0)
        for _ in range(self.memory.act_steps):
            self._step(self.memory.epsilon(self._updates))
        self._updates += 1
        there = min(self._stored, self.memory.size)
        size = (self.memory.batch,)
        index = torch.stack([torch.randint(there, size, generator=one) for one in self._order])
        rows = torch.arange(len(index)).unsqueeze(1)
        return tuple(one[rows, index] for one in self._kept)

    def report(self, lane: int) -> Mapping[str, float]:
        """Return the mean return of the lane's last finished episodes."""
        return {"return": self.environments.mean_return(lane)}

    def _step(self, epsilon: float) -> None:
        s, copies = self.environments.observations, self.memory.copies
        # Two numbers for every copy at every step, so that nothing else depends on epsilon.
        u = torch.stack([torch.rand(2, copies, generator=one) for one in self._order], 1)
        random = (u[1] * self.memory.actions).long()
        explores = u[0] < epsilon
        best = random if bool(explores.all()) else self.act("main", s).argmax(-1)
        a = torch.where(explores, random, best)
        step = self.environments.step(a)
        place = (self._stored % self.memory.size) + torch.arange(copies)
        found = (s, a, step.reward, step.after, step.terminated.float())
        for kept, new in zip(self._kept, found, strict=True):
            kept[:, place] = new
        self._stored += copies


def q_loss(
    networks: Networks,
    batch: Batch,
    noise: Noise,
    *,
    discount: float = 0.99,
    target: str = "target",
    double: bool = False,
    huber: bool = True,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return Eq. (3) of a batch from `Replay`, and the mean of Q(s, a) as "q".

    Args:
        networks: "main" learns; the one named by `target` gives the targets.
        batch: s, a, r, s', end.
        noise: not used.
        discount: gamma.
        target: "target", or "main" for no target network.
        double: Eq. (2) instead of (1).
        huber: Huber's loss instead of the square.
    """
    s, a, r, after, end = batch
    q = networks["main"](s).gather(-1, a.unsqueeze(-1)).squeeze(-1)
    future = networks[target](after).detach()
    if double:
        choice = networks["main"](after).detach().argmax(-1, keepdim=True)
        best = future.gather(-1, choice).squeeze(-1)  # Eq. (2)
    else:
        best = future.amax(-1)  # Eq. (1)
    y = r + discount * (1 - end) * best
    loss = F.smooth_l1_loss(q, y) if huber else F.mse_loss(q, y)  # Eq. (3)
    return loss, {"q": q.mean().detach()}
