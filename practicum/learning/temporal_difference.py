"""Temporal-difference learning: correct a guess of the return by a later guess of it.

Source: R. S. Sutton and A. G. Barto, "Reinforcement learning: an introduction", 2nd edition, MIT
Press 2018, chapter 6, whose equation numbers these are. TD(0): R. S. Sutton, "Learning to predict
by the methods of temporal differences", Machine Learning 3:9-44, 1988.

Equations, for a step from S_t by A_t with reward R_{t+1} to S_{t+1}, and the return
G_t = R_{t+1} + gamma R_{t+2} + gamma^2 R_{t+3} + ...:
    (6.1)  V(S_t) <- V(S_t) + alpha [G_t - V(S_t)]                         Monte Carlo, every visit
    (6.2)  V(S_t) <- V(S_t) + alpha [R_{t+1} + gamma V(S_{t+1}) - V(S_t)]  TD(0)
    Q(S_t, A_t) <- Q(S_t, A_t) + alpha [target - Q(S_t, A_t)], where the target is
    (6.7)  R_{t+1} + gamma Q(S_{t+1}, A_{t+1})                             Sarsa
    (6.8)  R_{t+1} + gamma max_a Q(S_{t+1}, a)                             Q-learning
    (6.9)  R_{t+1} + gamma sum_a pi(a | S_{t+1}) Q(S_{t+1}, a)             Expected Sarsa
    (6.10) R_{t+1} + gamma Q_2(S_{t+1}, argmax_a Q_1(S_{t+1}, a))         double Q-learning, for Q_1

Batches (section 6.3): shown the same episodes over and over in small steps, TD(0) ends at the exact
values of the process that makes these episodes likeliest (certainty equivalence), and Monte Carlo
at the mean return that followed each state.

Shapes: R runs, which learn side by side and never see each other; S states, A actions, T steps of
an episode, which visits T + 1 states.
Tables are changed in place. A run whose episode is over stays in a terminal state: its values are
0, so are its rewards, and every rule leaves it alone. An action that a state does not have has the
value minus infinity.

Deviations:
    1. Monte Carlo makes the updates of an episode after its end, from the first visit to the last.

Known failure signs: values that swing to and fro and never settle (alpha is too large for the noise
of the targets); actions tried seldom that are valued too high (the maximum in 6.8 picks the
luckiest estimate; compare 6.10).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from practicum.errors import PracticumError


def td0(
    values: Float[Array, "R S"],
    state: Int[Array, "R"],
    reward: Float[Array, "R"],
    after: Int[Array, "R"],
    *,
    alpha: float | Float[Array, "R"],
    gamma: float = 1.0,
) -> None:
    """Change the values by one step of every run.

    Args:
        values: V, changed in place.
        state: where the step began.
        reward: what it gave.
        after: where it ended.
        alpha: step size, one for all or one for each run.
        gamma: discount.
    """
    rows = np.arange(len(values))
    error = reward + gamma * values[rows, after] - values[rows, state]
    values[rows, state] += alpha * error  # Eq. (6.2)


def monte_carlo(
    values: Float[Array, "R S"],
    states: Int[Array, "visits R"],
    rewards: Float[Array, "T R"],
    *,
    alpha: float | Float[Array, "R"],
    gamma: float = 1.0,
) -> None:
    """Change the values by one whole episode of every run; the arguments are those of `td0`."""
    rows = np.arange(len(values))
    for state, goal in zip(states[:-1], returns(rewards, gamma), strict=True):
        values[rows, state] += alpha * (goal - values[rows, state])  # Eq. (6.1)


def returns(rewards: Float[Array, "T R"], gamma: float = 1.0) -> Float[Array, "T R"]:
    """Return G_t for every step of the episodes."""
    found, later = np.empty_like(rewards), np.zeros(rewards.shape[1])
    for t in range(len(rewards) - 1, -1, -1):
        later = found[t] = rewards[t] + gamma * later
    return found


def certainty_equivalence(
    steps: Float[Array, "*batch S S"],
    rewards: Float[Array, "*batch S"],
    *,
    initial: Float[Array, "S"],
    gamma: float = 1.0,
) -> Float[Array, "*batch S"]:
    """Return where TD(0) ends on a batch of finished episodes.

    Args:
        steps: how often each state was followed by each other one.
        rewards: sum of the rewards of the steps from each state.
        initial: the values before learning; states never left keep them.
        gamma: discount.
    """
    visits = steps.sum(-1)
    seen = visits > 0
    # n(s) V(s) - gamma sum over s' of n(s, s') V(s') = sum of rewards; V(s) = initial if n(s) = 0.
    matrix = np.where(seen, visits, 1.0)[..., None] * np.eye(len(initial)) - gamma * steps
    right = np.where(seen, rewards, initial)
    solved: Float[Array, "*batch S"] = np.linalg.solve(matrix, right[..., None])[..., 0]
    return solved


def mean_return(
    total: Float[Array, "*batch S"],
    visits: Float[Array, "*batch S"],
    *,
    initial: Float[Array, "S"],
) -> Float[Array, "*batch S"]:
    """Return where Monte Carlo ends on a batch: the sum of returns over the number of visits."""
    return np.where(visits > 0, total / np.maximum(visits, 1), initial)


def policy(q: Float[Array, "R A"], epsilon: float) -> Float[Array, "R A"]:
    """Return the epsilon-greedy probabilities; actions that are equally good share theirs.

    With probability epsilon any action is drawn, the best ones included.

    Args:
        q: values of the actions.
        epsilon: share of the steps that explore.
    """
    best = q == q.max(-1, keepdims=True)
    there = np.isfinite(q)
    greedy = best / best.sum(-1, keepdims=True)
    chances: Float[Array, "R A"] = (1 - epsilon) * greedy + epsilon * there / there.sum(
        -1, keepdims=True
    )
    return chances


def choose(
    q: Float[Array, "R A"], exploring: Bool[Array, "R"], ties: Float[Array, "R A"]
) -> Int[Array, "R"]:
    """Return an action of every run: any one if it explores, else one of the best.

    Args:
        q: values of the actions.
        exploring: which runs explore.
        ties: uniform random numbers; the largest decides among the actions in question.
    """
    pool = np.where(exploring[:, None], np.isfinite(q), q == q.max(-1, keepdims=True))
    chosen: Int[Array, "R"] = np.where(pool, ties, -1.0).argmax(-1)
    return chosen


def sarsa(q: Float[Array, "R S A"], after: Int[Array, "R"], action: Int[Array, "R"]) -> Array:
    """Return what Sarsa expects from the state after the step, [R]: the next action's value."""
    there: Array = q[np.arange(len(q)), after, action]  # Eq. (6.7)
    return there


def q_learning(q: Float[Array, "R S A"], after: Int[Array, "R"]) -> Float[Array, "R"]:
    """Return what Q-learning expects from the state after the step: the best action's value."""
    best: Float[Array, "R"] = q[np.arange(len(q)), after].max(-1)  # Eq. (6.8)
    return best


def expected_sarsa(
    q: Float[Array, "R S A"], after: Int[Array, "R"], epsilon: float
) -> Float[Array, "R"]:
    """Return what Expected Sarsa expects from the state after the step: the policy's mean."""
    there = q[np.arange(len(q)), after]
    chances = policy(there, epsilon)
    weighed = np.where(chances > 0, chances, 0.0) * np.where(chances > 0, there, 0.0)
    mean: Float[Array, "R"] = weighed.sum(-1)  # Eq. (6.9)
    return mean


def double_q_learning(
    chooses: Float[Array, "R S A"],
    values: Float[Array, "R S A"],
    after: Int[Array, "R"],
    ties: Float[Array, "R A"],
) -> Float[Array, "R"]:
    """Return what double Q-learning expects: one table's best action, at the other's value.

    Args:
        chooses: Q_1, the table that is to be changed.
        values: Q_2, the other one.
        after: the state after the step.
        ties: as in `choose`.
    """
    rows = np.arange(len(chooses))
    action = choose(chooses[rows, after], np.zeros(len(rows), dtype=bool), ties)
    there: Float[Array, "R"] = values[rows, after, action]  # Eq. (6.10)
    return there


def move(
    q: Float[Array, "R S A"],
    state: Int[Array, "R"],
    action: Int[Array, "R"],
    target: Float[Array, "R"],
    alpha: float,
) -> None:
    """Move the value of every run's action toward its target, in place.

    Raises:
        PracticumError: a target is not a number (an action that the state does not have).
    """
    if not np.isfinite(target).all():
        raise PracticumError("a target is not finite: an action was valued that its state lacks")
    rows = np.arange(len(q))
    q[rows, state, action] += alpha * (target - q[rows, state, action])
