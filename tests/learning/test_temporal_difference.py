"""Each rule of chapter 6 against plain Python on one run at a time, and what batches end at.

Catches: a return that forgets the discount or its order, a maximum where the policy's mean belongs,
a double rule that values with the table that chose, runs that see each other, a terminal state that
learns, ties that the first action wins, a fixed point that is not the rule's.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from practicum.errors import PracticumError
from practicum.learning import temporal_difference as rules

GAMMA, ALPHA = 0.9, 0.3


def journey(
    seed: int, runs: int = 3, states: int = 4, steps: int = 7
) -> tuple[np.ndarray, np.ndarray]:
    """Random states, [steps + 1, runs], that end in state 0 and stay there; rewards, 0 there."""
    random = np.random.default_rng(seed)
    visited = random.integers(1, states, size=(steps + 1, runs))
    ends = random.integers(1, steps + 1, size=runs)
    over = np.arange(steps + 1)[:, None] >= ends
    visited[over] = 0
    rewards = np.where(over[:-1], 0.0, random.normal(size=(steps, runs)))
    return visited, rewards


def table(seed: int, runs: int = 3, states: int = 4, actions: int = 2) -> np.ndarray:
    q = np.random.default_rng(seed).normal(size=(runs, states, actions))
    q[:, 0] = 0.0
    return q


def test_td0_is_the_plain_rule_on_each_run_alone() -> None:
    states, rewards = journey(1)
    values = np.tile([0.0, 0.5, 0.5, 0.5], (3, 1))
    for t in range(len(rewards)):
        rules.td0(values, states[t], rewards[t], states[t + 1], alpha=ALPHA, gamma=GAMMA)
    for run in range(3):
        v = [0.0, 0.5, 0.5, 0.5]
        for t in range(len(rewards)):
            s, after = states[t, run], states[t + 1, run]
            if s != 0:
                v[s] = v[s] + ALPHA * (rewards[t, run] + GAMMA * v[after] - v[s])
        assert values[run].tolist() == pytest.approx(v, abs=1e-12)


def test_monte_carlo_is_the_plain_rule_on_each_run_alone() -> None:
    states, rewards = journey(2)
    values = np.tile([0.0, 0.5, 0.5, 0.5], (3, 1))
    rules.monte_carlo(values, states, rewards, alpha=ALPHA, gamma=GAMMA)
    for run in range(3):
        v = [0.0, 0.5, 0.5, 0.5]
        for t in range(len(rewards)):
            goal = sum(GAMMA**k * one for k, one in enumerate(rewards[t:, run]))
            if states[t, run] != 0:
                v[states[t, run]] += ALPHA * (goal - v[states[t, run]])
        assert values[run].tolist() == pytest.approx(v, abs=1e-12)


def test_the_books_first_episode_changes_one_value_only() -> None:
    # Section 6.2, exercise 6.3: all values 0.5, step size 0.1, an episode that ends on the left.
    values = np.array([[0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0]])
    path = np.array([3, 2, 3, 2, 1, 0])[:, None]
    for here, after in pairwise(path):
        rules.td0(values, here, np.zeros(1), after, alpha=0.1)
    assert values[0].tolist() == pytest.approx([0, 0.45, 0.5, 0.5, 0.5, 0.5, 0])


@pytest.mark.parametrize("method", ["td", "monte carlo"])
def test_batches_shown_over_and_over_end_at_the_closed_forms(method: str) -> None:
    states, rewards = journey(3, runs=40, states=4)
    count, initial = 5, np.array([0.0, 0.5, 0.5, 0.5, 0.7])  # state 4 is never visited
    steps, gained, total = np.zeros((5, 5)), np.zeros(5), np.zeros(5)
    goals = rules.returns(rewards, GAMMA)
    for t in range(len(rewards)):
        for run in range(40):
            here = states[t, run]
            if here:
                steps[here, states[t + 1, run]] += 1
                gained[here] += rewards[t, run]
                total[here] += goals[t, run]
    v = initial.copy()
    for _ in range(4000):  # sums over the batch, applied at once, in small steps
        change = np.zeros(count)
        for here in range(1, 4):
            seen = states[:-1] == here
            goal = goals if method == "monte carlo" else rewards + GAMMA * v[states[1:]]
            change[here] = (goal - v[here])[seen].sum()
        v += 0.01 * change
    if method == "td":
        found = rules.certainty_equivalence(steps, gained, initial=initial, gamma=GAMMA)
    else:
        found = rules.mean_return(total, steps.sum(-1), initial=initial)
    assert found.tolist() == pytest.approx(v.tolist(), abs=1e-6)


def test_the_two_batch_answers_of_the_books_example_differ() -> None:
    # Example 6.4: A 0 B 0 once; B 1 six times; B 0 once. V(B) = 3/4; V(A) = 3/4 or 0.
    steps = np.array([[0.0, 1, 0], [0, 0, 8], [0, 0, 0]])
    initial = np.zeros(3)
    td = rules.certainty_equivalence(steps, np.array([0.0, 6, 0]), initial=initial)
    mc = rules.mean_return(np.array([0.0, 6, 0]), steps.sum(-1), initial=initial)
    assert td.tolist() == pytest.approx([0.75, 0.75, 0])
    assert mc.tolist() == pytest.approx([0, 0.75, 0])


def plain(rule: str, q: np.ndarray, after: int, action: int, epsilon: float) -> float:
    """The value that a rule expects after a step, in plain Python, for one run."""
    there = q[after].tolist()
    if rule == "sarsa":
        return float(there[action])
    if rule == "q-learning":
        return float(max(there))
    real = [one for one in there if one > -np.inf]
    best = [one for one in real if one == max(real)]
    shares = [epsilon / len(real) + (1 - epsilon) / len(best) * (one in best) for one in real]
    return float(np.dot(shares, real))


def ahead(rule: str) -> Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]:
    return {
        "sarsa": lambda q, after, action, epsilon: rules.sarsa(q, after, action),
        "q-learning": lambda q, after, action, epsilon: rules.q_learning(q, after),
        "expected sarsa": lambda q, after, action, epsilon: rules.expected_sarsa(q, after, epsilon),
    }[rule]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["sarsa", "q-learning", "expected sarsa"]))
def test_what_a_rule_expects_is_the_plain_one(seed: int, rule: str) -> None:
    q = np.round(table(seed, runs=5, states=3, actions=4))  # rounded: ties are common
    q[:, 1, 2:] = -np.inf
    random = np.random.default_rng(seed)
    after, action = random.integers(0, 3, 5), random.integers(0, 2, 5)
    found = ahead(rule)(q, after, action, 0.2)
    wanted = [plain(rule, q[i], int(after[i]), int(action[i]), 0.2) for i in range(5)]
    assert found.tolist() == pytest.approx(wanted, abs=1e-12)


def test_the_comparison_tells_the_rules_apart() -> None:
    q, after = table(4), np.array([1, 2, 3])
    action = q[np.arange(3), after].argmin(1)
    for one, other in (("sarsa", "q-learning"), ("q-learning", "expected sarsa")):
        wanted = [plain(one, q[i], int(after[i]), int(action[i]), 0.2) for i in range(3)]
        assert ahead(other)(q, after, action, 0.2).tolist() != pytest.approx(wanted, abs=1e-3)


def test_expected_sarsa_is_the_mean_of_sarsa_over_what_the_behaviour_chooses() -> None:
    q = np.array([[[0.0, 1.0, 1.0, -np.inf]]])
    random, epsilon, draws = np.random.default_rng(5), 0.4, 40_000
    many = np.repeat(q, draws, 0)
    after = np.zeros(draws, dtype=int)
    chosen = rules.choose(many[:, 0], random.random(draws) < epsilon, random.random((draws, 4)))
    shares = np.bincount(chosen, minlength=4) / draws
    assert shares == pytest.approx(rules.policy(q[:, 0], epsilon)[0], abs=0.01)
    assert shares[3] == 0
    mean = rules.sarsa(many, after, chosen).mean()
    assert mean == pytest.approx(rules.expected_sarsa(q, after[:1], epsilon)[0], abs=0.01)


def test_the_double_rule_chooses_with_one_table_and_values_with_the_other() -> None:
    chooses, values = np.array([[[1.0, 2.0]]]), np.array([[[5.0, -3.0]]])
    found = rules.double_q_learning(chooses, values, np.array([0]), np.array([[0.1, 0.2]]))
    assert found.tolist() == [-3.0]  # 5 and 2 are what wrong rules would say


def test_the_double_rule_is_unbiased_where_the_maximum_is_not() -> None:
    random = np.random.default_rng(6)
    noise = random.normal(size=(2, 20_000, 1, 10))
    after = np.zeros(20_000, dtype=int)
    assert rules.q_learning(noise[0], after).mean() == pytest.approx(1.5388, abs=0.03)
    double = rules.double_q_learning(noise[0], noise[1], after, random.random((20_000, 10)))
    assert double.mean() == pytest.approx(0.0, abs=0.03)


def test_a_move_goes_its_share_of_the_way_and_leaves_all_else_alone() -> None:
    q = table(7)
    before = q.copy()
    rules.move(q, np.array([1, 2, 3]), np.array([0, 1, 0]), np.array([2.0, 2.0, 2.0]), ALPHA)
    changed = [(0, 1, 0), (1, 2, 1), (2, 3, 0)]
    for at in changed:
        assert q[at] == pytest.approx(0.7 * before[at] + 0.3 * 2)
        q[at] = before[at]
    assert np.array_equal(q, before)


def test_an_action_that_is_not_there_cannot_be_a_target() -> None:
    with pytest.raises(PracticumError, match="not finite"):
        rules.move(table(8), *(np.zeros(3, dtype=int),) * 2, np.full(3, -np.inf), ALPHA)
