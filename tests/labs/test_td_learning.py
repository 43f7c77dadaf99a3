"""The lab on temporal differences: exact worlds, fair pairs, rules that end where theory says.

Catches: a cliff that is not gymnasium's, exact values that a simulation contradicts, arms that see
other episodes, tuning runs that are measured, seeds that see each other, Q-learning that does not
end at the optimum, a way that is counted wrong.
"""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.agents.td_learning.acting import (
    Learner,
    act_and_learn,
    batch_predicted,
    greedy_paths,
    predicted,
    walks,
)
from practicum.labs.agents.td_learning.experiment import ARMS, Setup, trial
from practicum.labs.agents.td_learning.worlds import (
    LEFT,
    RIGHT,
    World,
    best,
    biased,
    cliff,
    random_walk,
    values_of,
)
from practicum.labs.lab import replaced
from practicum.learning.temporal_difference import policy

EVEN = np.full((7, 2), 0.5)


def test_the_cliff_is_gymnasiums() -> None:
    world, theirs = cliff(), gymnasium.make("CliffWalking-v1").unwrapped.P  # type: ignore[attr-defined]  # of this environment only
    for state in range(47):  # theirs goes on from the goal; an episode never does
        for action in range(4):
            ((chance, after, reward, ends),) = theirs[state][action]
            assert chance == 1.0
            assert world.successor[state, action] == after
            assert world.reward[state, action] == reward
            assert world.ends[after] == ends
    assert world.start == 36


@pytest.mark.parametrize("states", [3, 5, 19])
def test_the_walks_exact_values_are_the_known_ones(states: int) -> None:
    world = random_walk(states)
    values = values_of(world, np.full((states + 2, 2), 0.5))
    assert values[1:-1] == pytest.approx(np.arange(1, states + 1) / (states + 1))
    assert values[[0, -1]].tolist() == [0, 0]


def test_the_cliffs_best_way_costs_thirteen_and_exploring_makes_it_dearer() -> None:
    world = cliff()
    q = best(world)
    assert q[world.start].max() == pytest.approx(-13)
    steps, passed = greedy_paths(world, q[None], 100)
    assert steps.tolist() == [13]
    assert passed[0].nonzero()[0].tolist() == [*range(24, 37), 47]
    short = values_of(world, policy(q, 0.1))[world.start]  # the shortest way, while exploring
    wary = best(world, 0.1)
    assert (policy(wary, 0.1) * wary)[world.start].sum() > short + 5


@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_the_best_exploring_values_are_those_of_their_own_policy(epsilon: float) -> None:
    world = cliff()
    q = best(world, epsilon)
    chances = policy(q, epsilon)
    assert (chances * q).sum(1) == pytest.approx(values_of(world, chances), abs=1e-6)


def test_a_policy_that_never_ends_has_no_value() -> None:
    with pytest.raises(PracticumError, match="never ends"):
        values_of(cliff(), np.tile([1.0, 0, 0, 0], (48, 1)))


def test_exact_values_are_what_acting_collects() -> None:
    world = cliff()
    learner = Learner(world, "exact", 400, epsilon=0.1, alpha=0.5)
    random = np.random.default_rng(1)
    acted = act_and_learn(world, learner, 5, random, lambda done: None)
    q = best(world, 0.1)
    exact = (policy(q, 0.1) * q)[world.start].sum()
    assert acted.returns.mean() == pytest.approx(exact, abs=4 * acted.returns.std() / 45)
    assert np.array_equal(learner.q, np.tile(q, (400, 1, 1)))


def test_left_loses_on_average_and_right_does_not() -> None:
    q = best(biased(10))
    assert q[0, [LEFT, RIGHT]].tolist() == pytest.approx([-0.1, 0.0])
    assert np.isneginf(q[0, 2:]).all()


def corridor(states: int = 5) -> World:
    """A row with a wall on the left and the end on the right; a step costs 1, the first one 3."""
    here = np.arange(states)
    successor = np.stack([np.maximum(here - 1, 0), np.minimum(here + 1, states - 1)], 1)
    successor[-1] = states - 1
    reward = np.full((states, 2), -1.0)
    reward[0], reward[-1] = -3.0, 0.0
    return World(
        successor=successor,
        reward=reward,
        deviation=np.zeros_like(reward),
        allowed=np.ones_like(reward, dtype=bool),
        start=0,
        ends=here == states - 1,
    )


@pytest.mark.parametrize("method", ["q-learning", "double q-learning"])
def test_q_learning_ends_at_the_optimum_where_nothing_is_random(method: str) -> None:
    world = corridor()
    learner = Learner(world, method, 2, epsilon=0.5, alpha=1.0)
    acted = act_and_learn(world, learner, 60, np.random.default_rng(2), lambda done: None)
    assert acted.q == pytest.approx(np.tile(best(world), (2, 1, 1)))
    assert best(world)[:, RIGHT].tolist() == [-6, -3, -2, -1, 0]
    assert greedy_paths(world, acted.q, 100)[0].tolist() == [4, 4]


def test_expected_sarsa_ends_at_the_best_exploring_policy_and_not_at_the_optimum() -> None:
    world = corridor()
    learner = Learner(world, "expected sarsa", 2, epsilon=0.5, alpha=1.0)
    acted = act_and_learn(world, learner, 120, np.random.default_rng(3), lambda done: None)
    assert acted.q == pytest.approx(np.tile(best(world, 0.5), (2, 1, 1)), abs=0.05)
    assert best(world, 0.5)[0].max() < best(world)[0].max() - 2


def test_sarsa_learns_the_values_of_what_it_does() -> None:
    world = corridor()
    learner = Learner(world, "sarsa", 100, epsilon=0.5, alpha=0.1)
    acted = act_and_learn(world, learner, 300, np.random.default_rng(3), lambda done: None)
    assert acted.q.mean(0)[:, RIGHT] == pytest.approx(best(world, 0.5)[:, RIGHT], abs=0.3)


def test_prediction_ends_at_the_exact_values() -> None:
    world, random = random_walk(), np.random.default_rng(4)
    exact = values_of(world, EVEN)[1:-1]
    start = np.where(world.ends, 0.0, 0.5)
    episodes = [walks(world, EVEN, 60, random) for _ in range(120)]
    for method in ("td", "monte carlo"):
        values = predicted(method, episodes, np.array([0.3, 0.03]), start)[-1, 1]
        assert values[:, 1:-1].mean(0) == pytest.approx(exact, abs=0.04)
        assert not values[:, [0, -1]].any()
    for method in ("batch td", "batch monte carlo"):
        values = batch_predicted(method, episodes, start, world.ends)[-1]
        assert values[:, 1:-1].mean(0) == pytest.approx(exact, abs=0.03)


def test_each_step_size_learns_as_if_it_were_alone() -> None:
    world, random = random_walk(), np.random.default_rng(5)
    start = np.where(world.ends, 0.0, 0.5)
    episodes = [walks(world, EVEN, 3, random) for _ in range(4)]
    for method in ("td", "monte carlo"):
        both = predicted(method, episodes, np.array([0.1, 0.4]), start)
        alone = predicted(method, episodes, np.array([0.4]), start)
        assert np.array_equal(both[:, 1:], alone)


def test_arms_differ_only_in_the_rule() -> None:
    for world in ("walk", "cliff", "bias"):
        mine = [one for arm, one in ARMS.items() if arm.startswith(world)]
        assert len({str(replaced(one, {"method": "exact"})) for one in mine}) == 1
        assert len({one.method for one in mine}) == len(mine)


def test_the_runs_that_choose_the_step_size_are_not_measured() -> None:
    setup = replaced(ARMS["walk td"], {"runs": 20, "episodes": 15, "rates": (0.02, 0.1, 0.3)})
    free = trial(setup, [3], Services()).values
    only = trial(replaced(setup, {"rates": (float(free["rate"][0]),)}), [3], Services()).values
    assert np.array_equal(free["error_by_episode"], only["error_by_episode"])
    world, random = random_walk(), streams(3).numpy("noise")
    episodes = [walks(world, EVEN, 40, random) for _ in range(15)]
    every = predicted("td", episodes, free["rate"], np.where(world.ends, 0.0, 0.5))
    last = every[-1, 0, 20:, 1:-1]
    assert np.array_equal(last[0], free["last_values"][0])
    exact = values_of(world, EVEN)[1:-1]
    wanted = np.sqrt(((last - exact) ** 2).mean(1)).mean()
    assert free["error_by_episode"][0, -1] == pytest.approx(wanted)


@pytest.mark.parametrize("arm", ["walk batch td", "cliff sarsa", "bias double q-learning"])
def test_a_seed_does_not_see_its_neighbours(arm: str) -> None:
    setup = replaced(ARMS[arm], {"runs": 2, "episodes": 4})
    together, alone = trial(setup, [4, 7], Services()), trial(setup, [7], Services())
    for name, value in alone.values.items():
        assert np.array_equal(together.values[name][1:], value)
        if name == "return_by_episode":
            assert not np.array_equal(together.values[name][0], value[0])


def test_a_way_in_circles_counts_as_the_limit() -> None:
    world = cliff()
    q = np.tile(np.array([0.0, 1.0, 0.0, 0.0]), (1, 48, 1))  # right, always: over the edge
    steps, passed = greedy_paths(world, q, 30)
    assert steps.tolist() == [30]
    assert passed[0].nonzero()[0].tolist() == [36]


def test_a_rule_that_does_not_fit_the_world_is_refused_with_those_that_do() -> None:
    with pytest.raises(PracticumError, match=r"'sarsa' does not learn in world 'walk'.*batch td"):
        trial(Setup(method="sarsa"), [0], Services())
    with pytest.raises(PracticumError, match="sarsa, q-learning"):
        trial(Setup(world="cliff"), [0], Services())
