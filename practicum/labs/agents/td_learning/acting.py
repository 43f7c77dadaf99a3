"""What the arms do: predict the random walk, or act in a world and learn from it.

Runs are rows of one table: they learn side by side, and share only the seed's random generator, of
which each draws its own numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from practicum.labs.agents.td_learning.worlds import LEFT, World, best
from practicum.learning import temporal_difference as rules

Walk = tuple[Int[Array, "visits R"], Float[Array, "T R"]]


def walks(
    world: World, policy: Float[Array, "S A"], runs: int, random: np.random.Generator
) -> Walk:
    """Return one episode of every run under a policy: the states, and the rewards between them."""
    states, rewards = [np.full(runs, world.start)], []
    rows = np.cumsum(policy, 1)
    while not world.ends[states[-1]].all():
        here = states[-1]
        action = (random.random(runs)[:, None] >= rows[here]).sum(1)
        rewards.append(world.reward[here, action])
        states.append(world.successor[here, action])
    return np.stack(states), np.stack(rewards)


def predicted(
    method: str,
    episodes: list[Walk],
    alphas: Float[Array, "K"],
    initial: Float[Array, "S"],
) -> Float[Array, "E K R S"]:
    """Return the values after every episode, for every step size and run.

    Args:
        method: "td" or "monte carlo".
        episodes: from `walks`, in order.
        alphas: step sizes; each learns from the same episodes.
        initial: the values before learning.
    """
    runs = episodes[0][0].shape[1]
    values = np.tile(initial, (len(alphas) * runs, 1))
    alpha = np.repeat(alphas, runs)
    history = np.empty((len(episodes), len(alphas), runs, len(initial)))
    for number, (states, rewards) in enumerate(episodes):
        states, rewards = np.tile(states, len(alphas)), np.tile(rewards, len(alphas))
        if method == "td":
            for t, reward in enumerate(rewards):
                rules.td0(values, states[t], reward, states[t + 1], alpha=alpha)
        else:
            rules.monte_carlo(values, states, rewards, alpha=alpha)
        history[number] = values.reshape(history.shape[1:])
    return history


def batch_predicted(
    method: str, episodes: list[Walk], initial: Float[Array, "S"], ends: Bool[Array, "S"]
) -> Float[Array, "E R S"]:
    """Return where a rule ends if all episodes so far are shown over and over, for every run.

    Args:
        method: "batch td" or "batch monte carlo".
        episodes: from `walks`, in order.
        initial: the values before learning.
        ends: which states are terminal; steps there are no part of the batch.
    """
    runs, count = episodes[0][0].shape[1], len(initial)
    steps = np.zeros((len(episodes), runs, count, count))
    gained, total = np.zeros((2, len(episodes), runs, count))
    rows = np.arange(runs)
    for number, (states, rewards) in enumerate(episodes):
        goals = rules.returns(rewards)
        for t, reward in enumerate(rewards):
            on = ~ends[states[t]]
            steps[number, rows[on], states[t][on], states[t + 1][on]] += 1
            gained[number, rows[on], states[t][on]] += reward[on]
            total[number, rows[on], states[t][on]] += goals[t][on]
    steps, gained, total = (np.cumsum(one, axis=0) for one in (steps, gained, total))
    if method == "batch td":
        return rules.certainty_equivalence(steps, gained, initial=initial)
    return rules.mean_return(total, steps.sum(-1), initial=initial)


@dataclass(frozen=True, kw_only=True)
class Acted:
    """What acting and learning left.

    Attributes:
        returns: reward collected in every episode.
        first: the first action of every episode.
        left: the value of the first state's left action after every episode.
        q: the values of the actions at the end; of two tables, their mean.
    """

    returns: Float[Array, "E R"]
    first: Int[Array, "E R"]
    left: Float[Array, "E R"]
    q: Float[Array, "R S A"]


class Learner:
    """A rule with its tables: [1, R, S, A], or [2, R, S, A] for double Q-learning.

    The rule "exact" learns nothing: it acts on the values of the best exploring policy.
    """

    def __init__(
        self, world: World, method: str, runs: int, *, epsilon: float, alpha: float
    ) -> None:
        self.method, self.epsilon, self.alpha = method, epsilon, alpha
        begin = best(world, epsilon) if method == "exact" else world.zeros()
        tables = 2 if method == "double q-learning" else 1
        self.tables = np.tile(begin, (tables, runs, 1, 1))
        self.actions = begin.shape[1]

    @property
    def q(self) -> Float[Array, "R S A"]:
        """The mean of the tables, on which the behaviour is greedy."""
        mean: Float[Array, "R S A"] = self.tables.mean(0)
        return mean

    def act(self, state: Int[Array, "R"], random: np.random.Generator) -> Int[Array, "R"]:
        """Return epsilon-greedy actions."""
        draws = random.random((len(state), self.actions + 1))
        here = self.tables[:, np.arange(len(state)), state].mean(0)
        return rules.choose(here, draws[:, -1] < self.epsilon, draws[:, :-1])

    def learn(
        self,
        state: Int[Array, "R"],
        action: Int[Array, "R"],
        reward: Float[Array, "R"],
        after: Int[Array, "R"],
        following: Int[Array, "R"] | None,
        random: np.random.Generator,
    ) -> None:
        """Change the tables by one step; `following` is the next action, for Sarsa."""
        if self.method == "exact":
            return
        if self.method == "double q-learning":
            self._learn_double(state, action, reward, after, random)
            return
        (q,) = self.tables
        if self.method == "sarsa":
            assert following is not None
            ahead = rules.sarsa(q, after, following)
        elif self.method == "q-learning":
            ahead = rules.q_learning(q, after)
        else:
            ahead = rules.expected_sarsa(q, after, self.epsilon)
        rules.move(q, state, action, reward + ahead, self.alpha)

    def _learn_double(
        self, state: Array, action: Array, reward: Array, after: Array, random: np.random.Generator
    ) -> None:
        """Change one of the two tables, by a coin for every run."""
        draws = random.random((len(state), self.actions + 1))
        coin = (draws[:, -1] < 0.5).astype(int)
        rows = np.arange(len(state))
        mine, other = self.tables[coin, rows], self.tables[1 - coin, rows]
        ahead = rules.double_q_learning(mine, other, after, draws[:, :-1])
        rules.move(mine, state, action, reward + ahead, self.alpha)
        self.tables[coin, rows] = mine


def act_and_learn(
    world: World,
    learner: Learner,
    episodes: int,
    random: np.random.Generator,
    tell: Callable[[int], None],
) -> Acted:
    """Act for a number of episodes, learning at every step; `tell` hears of each that is over."""
    runs = learner.tables.shape[1]
    collected, left = np.zeros((2, episodes, runs))
    first = np.empty((episodes, runs), dtype=int)
    ahead = learner.method == "sarsa"  # Sarsa chooses before it learns, the others after
    for episode in range(episodes):
        state = np.full(runs, world.start)
        action = first[episode] = learner.act(state, random)
        while not world.ends[state].all():
            noise = random.standard_normal(runs) if world.deviation.any() else 0.0
            reward = world.reward[state, action] + world.deviation[state, action] * noise
            after = world.successor[state, action]
            following = learner.act(after, random) if ahead else None
            learner.learn(state, action, reward, after, following, random)
            collected[episode] += reward
            state = after
            action = learner.act(state, random) if following is None else following
        left[episode] = learner.tables[:, :, world.start, LEFT].mean(0)
        tell(episode + 1)
    return Acted(returns=collected, first=first, left=left, q=learner.q)


def greedy_paths(
    world: World, q: Float[Array, "R S A"], limit: int
) -> tuple[Int[Array, "R"], Float[Array, "R S"]]:
    """Follow the best action from the start, without exploring or learning.

    Returns:
        The steps until the end (`limit` where it is not reached), and 1 for each state passed.
    """
    rows, state = np.arange(len(q)), np.full(len(q), world.start)
    steps, passed = np.zeros(len(q), dtype=int), np.zeros(q.shape[:2])
    for _ in range(limit):
        passed[rows, state] = 1.0
        steps += ~world.ends[state]
        state = world.successor[state, q[rows, state].argmax(-1)]
    passed[rows, state] = 1.0
    return np.where(world.ends[state], steps, limit), passed
