"""Three small worlds, and their exact values by dynamic programming.

Source: Sutton and Barto 2018, "Reinforcement learning", examples 6.2 (random walk), 6.6 (cliff
walking) and 6.7 (maximisation bias); chapter 4 for dynamic programming:

    v_pi(s) = sum_a pi(a | s) [r(s, a) + gamma v_pi(s')]                     (1) a linear system
    q(s, a) = r(s, a) + gamma [(1 - eps) max_a' q(s', a') + eps mean_a' q(s', a')]           (2)

Eq. (1) values a policy. Iterating (2) gives the values of the best policy among those that explore
with probability eps; eps = 0 is value iteration. In every world s' follows from s and a.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from practicum.errors import PracticumError

LEFT, RIGHT = 0, 1  # in the random walk and the world with the biased maximum
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left, as in gymnasium
HEIGHT, WIDTH = 4, 12


@dataclass(frozen=True, kw_only=True)
class World:
    """A finite Markov decision process whose steps are certain; only rewards may vary.

    Attributes:
        successor: the state after each action; terminal states lead to themselves.
        reward: mean reward of each action.
        deviation: standard deviation of its reward, normal.
        allowed: which actions a state has.
        start: the state in which every episode begins.
        ends: which states are terminal.
    """

    successor: Int[Array, "S A"]
    reward: Float[Array, "S A"]
    deviation: Float[Array, "S A"]
    allowed: Bool[Array, "S A"]
    start: int
    ends: Bool[Array, "S"]

    def zeros(self) -> Float[Array, "S A"]:
        """Return a table of action values: 0, and minus infinity where there is no action."""
        return np.where(self.allowed, 0.0, -np.inf)


def random_walk(states: int = 5) -> World:
    """Return a row of states with an end on either side; only the step to the right end pays 1.

    State 0 is the left end, `states` + 1 the right one; the walk starts in the middle.
    """
    last = states + 1
    here = np.arange(states + 2)
    successor = np.stack([here - 1, here + 1], 1)
    successor[[0, last]] = [[0, 0], [last, last]]
    reward = np.zeros((states + 2, 2))
    reward[states, RIGHT] = 1.0
    return World(
        successor=successor,
        reward=reward,
        deviation=np.zeros_like(reward),
        allowed=np.ones_like(reward, dtype=bool),
        start=(states + 1) // 2,
        ends=(here == 0) | (here == last),
    )


def cliff() -> World:
    """Return the grid with a cliff along its lower edge, from the start to the goal.

    A step costs 1; a step off the edge costs 100 and leads back to the start. States are numbered
    row by row from the top left.
    """
    start, goal = WIDTH * (HEIGHT - 1), WIDTH * HEIGHT - 1
    successor = np.empty((HEIGHT * WIDTH, len(MOVES)), dtype=int)
    reward = np.full(successor.shape, -1.0)
    for state in range(HEIGHT * WIDTH):
        row, column = divmod(state, WIDTH)
        for action, (down, right) in enumerate(MOVES):
            to = WIDTH * min(max(row + down, 0), HEIGHT - 1) + min(
                max(column + right, 0), WIDTH - 1
            )
            if start < to < goal:
                to, reward[state, action] = start, -100.0
            successor[state, action] = to
    successor[goal], reward[goal] = goal, 0.0
    return World(
        successor=successor,
        reward=reward,
        deviation=np.zeros_like(reward),
        allowed=np.ones_like(reward, dtype=bool),
        start=start,
        ends=np.arange(HEIGHT * WIDTH) == goal,
    )


def biased(actions: int, mean: float = -0.1, deviation: float = 1.0) -> World:
    """Return the world in which left leads to many actions that lose on average.

    State 0: right ends the episode with 0, left leads to state 1 with 0. State 1: every action ends
    it with a normal reward. State 2 is the end.
    """
    shape = (3, max(2, actions))
    successor, allowed = np.full(shape, 2), np.ones(shape, dtype=bool)
    successor[0, LEFT] = 1
    allowed[0, 2:], allowed[1, actions:] = False, False
    reward, spread = np.zeros(shape), np.zeros(shape)
    reward[1], spread[1] = mean, deviation
    return World(
        successor=successor,
        reward=reward,
        deviation=spread,
        allowed=allowed,
        start=0,
        ends=np.array([False, False, True]),
    )


def values_of(world: World, policy: Float[Array, "S A"], gamma: float = 1.0) -> Float[Array, "S"]:
    """Return the exact values of a policy, given as the chances of the actions in each state.

    Raises:
        PracticumError: the policy never ends from somewhere, and nothing is discounted.
    """
    count = len(world.ends)
    steps = np.zeros((count, count))
    for action in range(policy.shape[1]):
        np.add.at(steps, (np.arange(count), world.successor[:, action]), policy[:, action])
    steps[world.ends] = 0.0
    matrix = np.eye(count) - gamma * steps
    if np.linalg.matrix_rank(matrix) < count:
        raise PracticumError("this policy never ends from some state; it has no finite value")
    gained = np.where(world.ends, 0.0, (policy * world.reward).sum(1))
    found: Float[Array, "S"] = np.linalg.solve(matrix, gained)  # Eq. (1)
    return found


def best(
    world: World, epsilon: float = 0.0, gamma: float = 1.0, tolerance: float = 1e-10
) -> Float[Array, "S A"]:
    """Return the exact action values of the best policy that explores with probability epsilon.

    Raises:
        PracticumError: the values did not settle (a world without an end that can be reached).
    """
    q = world.zeros()
    for _ in range(100_000):
        ahead = np.where(world.allowed, q, 0.0).sum(1) / world.allowed.sum(1)
        ahead = (1 - epsilon) * q.max(1) + epsilon * ahead
        new = np.where(world.allowed, world.reward + gamma * ahead[world.successor], -np.inf)
        change = np.abs(np.where(world.allowed, new, 0.0) - np.where(world.allowed, q, 0.0)).max()
        q = new  # Eq. (2)
        if change <= tolerance:
            return q
    raise PracticumError("the values do not settle; can every state reach an end?")
