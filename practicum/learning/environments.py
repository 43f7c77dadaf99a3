"""Many copies of a gymnasium environment, for several seeds at once.

Every seed has its own copies, seeded from its `order` stream, so what a seed meets does not depend
on which others there are. An episode that ends begins anew in the same step (gymnasium's
`AutoresetMode.SAME_STEP`); the last observation of the old episode is in the transition.

Terminated and truncated are two things. A terminated episode has no future: its last state is worth
nothing more. A truncated one was only cut off by the clock: its last state is worth what it is
worth anywhere else, and a target that sets it to zero teaches the network a false value.

The state of an environment is not saved: an interrupted trial starts again from its seed.

Shapes: L lanes, E copies a lane, D numbers in an observation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.errors import PracticumError, unknown


def sizes(name: str) -> tuple[int, int]:
    """Return how many numbers an observation has, and how many actions there are.

    Raises:
        PracticumError: gymnasium knows no such environment, its observations are no vectors, or its
            actions are not a choice among a few.
    """
    if name not in gymnasium.registry:
        raise unknown("environment", name, gymnasium.registry)
    made = gymnasium.make(name)
    seen, chosen = made.observation_space.shape, made.action_space
    made.close()
    if seen is None or len(seen) != 1:
        raise PracticumError(f"{name} gives observations of shape {seen}; expected a vector")
    if not isinstance(chosen, gymnasium.spaces.Discrete):
        raise PracticumError(f"{name} has actions {chosen}; expected a choice among a few")
    return int(seen[0]), int(chosen.n)


@dataclass(frozen=True, kw_only=True)
class Transition:
    """What one step of all copies brought.

    Attributes:
        reward: the rewards.
        terminated: where the episode came to its end.
        truncated: where it was cut off.
        after: the observation after the action; of an episode that ended here, its last one.
    """

    reward: Float[Tensor, "L E"]
    terminated: Bool[Tensor, "L E"]
    truncated: Bool[Tensor, "L E"]
    after: Float[Tensor, "L E D"]

    @property
    def ended(self) -> Bool[Tensor, "L E"]:
        """Where the next observation belongs to another episode."""
        return self.terminated | self.truncated


class Environments:
    """The copies of some seeds.

    Attributes:
        observations: [L, E, D], what the next actions answer to.
        finished: for each lane, the returns of the last episodes that ended, oldest first.
        steps: steps that each copy has taken.
    """

    def __init__(self, name: str, seeds: Sequence[int], copies: int, *, window: int = 20) -> None:
        """Begin the first episodes.

        Args:
            name: gymnasium's name of the environment, `CartPole-v1`.
            seeds: one for each lane.
            copies: E.
            window: how many finished episodes of a lane are remembered.

        Raises:
            PracticumError: gymnasium knows no such environment, its observations are no vectors,
                or there is no copy.
        """
        if name not in gymnasium.registry:
            raise unknown("environment", name, gymnasium.registry)
        if copies < 1:
            raise PracticumError(f"{copies} copies of {name}; at least one is needed")
        self._vectors = [
            gymnasium.make_vec(
                name,
                num_envs=copies,
                vectorization_mode="sync",
                vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
            )
            for _ in seeds
        ]
        shape = self._vectors[0].single_observation_space.shape
        if shape is None or len(shape) != 1:
            raise PracticumError(f"{name} gives observations of shape {shape}; expected a vector")
        starts = [
            one.reset(seed=streams(seed).number("order"))[0]
            for one, seed in zip(self._vectors, seeds, strict=True)
        ]
        self.observations: Float[Tensor, "L E D"] = _tensor(np.stack(starts))
        self._restarts = [streams(seed).numpy("order") for seed in seeds]
        self.finished = [deque[float](maxlen=window) for _ in seeds]
        self.steps = 0
        self._returns = np.zeros((len(seeds), copies))

    def restart(self) -> None:
        """Begin a new episode in every copy; those under way are forgotten.

        How it begins depends on the seed and the number of restarts only, not on how many episodes
        there were before.
        """
        starts = [
            vector.reset(seed=int(restarts.integers(2**62)))[0]
            for vector, restarts in zip(self._vectors, self._restarts, strict=True)
        ]
        self.observations = _tensor(np.stack(starts))
        self._returns[:] = 0.0

    def step(self, actions: Shaped[Tensor, "L E *A"]) -> Transition:
        """Let every copy take its action; `observations` then has what comes next."""
        reward = np.zeros(self._returns.shape)
        terminated, truncated = np.zeros((2, *reward.shape), dtype=bool)
        now = np.empty(self.observations.shape, dtype=np.float32)
        after = np.empty_like(now)
        for lane, (vector, mine) in enumerate(zip(self._vectors, actions.numpy(), strict=True)):
            seen, reward[lane], terminated[lane], truncated[lane], info = vector.step(mine)
            now[lane] = after[lane] = seen
            if "final_obs" in info:
                for copy in np.flatnonzero(info["_final_obs"]):
                    after[lane, copy] = info["final_obs"][copy]
        self._count(reward, terminated | truncated)
        self.observations = _tensor(now)
        return Transition(
            reward=_tensor(reward),
            terminated=torch.from_numpy(terminated),
            truncated=torch.from_numpy(truncated),
            after=_tensor(after),
        )

    def _count(self, reward: np.ndarray, ended: np.ndarray) -> None:
        self.steps += 1
        self._returns += reward
        for lane, copy in np.argwhere(ended):
            self.finished[lane].append(float(self._returns[lane, copy]))
            self._returns[lane, copy] = 0.0

    def mean_return(self, lane: int) -> float:
        """Return the mean undiscounted return of a lane's last finished episodes.

        While none has ended, it is the mean of what the running ones have brought.
        """
        ended = self.finished[lane]
        return float(np.mean(ended if ended else self._returns[lane]))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
