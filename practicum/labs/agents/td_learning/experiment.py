"""Guesses that learn from guesses: three small worlds whose exact values are known.

Question
    Does TD(0) predict better than Monte Carlo from the same experience? Does Sarsa collect more
    while it learns, and Q-learning find the shorter way? Does double Q-learning avoid the error
    that the maximum of noisy values makes?

What would refute it
    Monte Carlo at its best step size predicts the random walk as well, step by step or in batches.
    Sarsa's returns on the cliff are no better, or its greedy way is as short. Double Q-learning
    chooses the losing action as often.

Arms and what is held equal
    walk ...    prediction on the random walk of five states (example 6.2). TD and Monte Carlo see
                the same episodes and try the same step sizes; half of the runs choose the size, the
                other half are measured. The batch arms have no step size: they are where either
                rule ends if the episodes so far are shown over and over (section 6.3), on the
                episodes of the measured half.
    cliff ...   control on the cliff (example 6.6): same step size, exploration and episodes. No arm
                is tuned: the claims are about what a rule aims at. `cliff exact` is the control: it
                acts on the values of the best exploring policy, from dynamic programming.
    bias ...    the world with a losing action whose reward is noisy (example 6.7), the same.
    The exact values come from dynamic programming (worlds.py).

Primary measure
    walk: error, root mean square over states, mean over episodes and runs. cliff: online_return,
    reward an episode while learning, over the last fifth of the episodes; greedy_steps. bias: left,
    percent of all episodes in which the losing action was chosen.

Smallest effect that matters
    0.01 in error; 5 in return; 1 step; 5 points of left choices; 0.05 in the value of left.

Pitfalls of naive reproductions
    1. One step size for both rules: Monte Carlo's targets are noisier and want a smaller one.
    2. Judging Sarsa and Q-learning by one number: one is better while learning, the other after.
    3. Ties decided by the first index: on the cliff "up" then wins every tie, and in the biased
       world a double rule would pick the same action again and again. Ties are drawn here.
    4. A seed here averages over many runs, which share nothing but the seed; seeds are what the
       intervals are about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array

from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError
from practicum.evidence import Measure, higher, lower
from practicum.labs.agents.td_learning import drawing
from practicum.labs.agents.td_learning.acting import (
    Learner,
    act_and_learn,
    batch_predicted,
    greedy_paths,
    predicted,
    walks,
)
from practicum.labs.agents.td_learning.worlds import (
    LEFT,
    World,
    biased,
    cliff,
    random_walk,
    values_of,
)
from practicum.labs.lab import Scale, setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "TD(0) out-predicts Monte Carlo; Sarsa is safe, Q-learning short, its maximum biased"
SOURCE = (
    "Sutton 1988, Learning to predict by the methods of temporal differences, Machine Learning "
    "3:9-44; Sutton, Barto 2018, Reinforcement learning, 2nd edition, MIT Press, chapter 6"
)
YEAR = 1988
DATA = ()
EXCEPTIONS = {"gradients": "Values stand in tables and move by chapter 6's rules: no gradient."}
PRECISION = "float64"  # whatever the engine uses: the tables are NumPy's

METHODS = {
    "walk": ("td", "monte carlo", "batch td", "batch monte carlo"),
    "cliff": ("sarsa", "q-learning", "expected sarsa", "double q-learning", "exact"),
    "bias": ("sarsa", "q-learning", "expected sarsa", "double q-learning", "exact"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: a world, and the rule that learns in it."""

    world: str = setting("walk", "where it learns", choices=("walk", "cliff", "bias"))
    method: str = setting(
        "td", "the rule", choices=tuple(dict.fromkeys(METHODS["walk"] + METHODS["cliff"]))
    )
    runs: int = setting(100, "runs that a seed averages (walk: and as many to tune)", low=2)
    episodes: int = setting(100, "episodes of a run", low=1)
    states: int = setting(5, "states of the walk", low=3)
    rates: tuple[float, ...] = setting(
        (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15), "step sizes tried on the walk", low=0
    )
    alpha: float = setting(0.5, "step size on the cliff and in the biased world", low=0, high=1)
    epsilon: float = setting(0.1, "share of steps that explore", paper=0.1, low=0, high=1)
    choices: int = setting(10, "actions behind left in the biased world", low=1)
    limit: int = setting(100, "longest greedy way that is followed", unit="steps", low=1)


_CLIFF = Setup(world="cliff", method="sarsa", runs=20, episodes=500)
_BIAS = Setup(world="bias", method="q-learning", runs=200, episodes=300, alpha=0.1)
ARMS = {
    "walk td": Setup(),
    "walk monte carlo": Setup(method="monte carlo"),
    "walk batch td": Setup(method="batch td"),
    "walk batch monte carlo": Setup(method="batch monte carlo"),
    "cliff sarsa": _CLIFF,
    "cliff q-learning": replace(_CLIFF, method="q-learning"),
    "cliff expected sarsa": replace(_CLIFF, method="expected sarsa"),
    "cliff exact": replace(_CLIFF, method="exact"),
    "bias q-learning": _BIAS,
    "bias double q-learning": replace(_BIAS, method="double q-learning"),
}

MEASURES = (
    Measure("error", better="lower", says="distance from the exact values, mean over episodes"),
    Measure("error_by_episode", better="lower", says="root mean square over states, mean of runs"),
    Measure("rate", says="the step size that the tuning runs chose"),
    Measure("first_values", says="the values of one run after its first episode"),
    Measure("early_values", says="the values of the same run after ten episodes"),
    Measure("last_values", says="the values of the same run after all episodes"),
    Measure("online_return", better="higher", says="reward an episode, last fifth of the episodes"),
    Measure("return_by_episode", better="higher", says="reward of each episode, mean of runs"),
    Measure(
        "greedy_steps",
        unit="steps",
        better="lower",
        says="length of the way without exploring; 100 (`limit`) where it goes in circles",
    ),
    Measure("passed", says="share of the runs whose greedy way passes each state"),
    Measure("left", unit="%", better="lower", says="episodes begun with the losing action"),
    Measure("left_by_episode", unit="%", better="lower", says="runs that begin with it"),
    Measure("left_value", says="value given to it after a third of the episodes; truly -0.1"),
)

CLAIMS = (
    lower(
        "error",
        "walk td",
        than="walk monte carlo",
        matters=0.01,
        sentence="Each at its best step size, TD(0) predicts the random walk better than Monte "
        "Carlo.",
    ),
    lower(
        "error",
        "walk batch td",
        than="walk batch monte carlo",
        matters=0.01,
        sentence="Shown the same episodes over and over, TD(0) ends nearer to the truth, too.",
    ),
    higher(
        "online_return",
        "cliff sarsa",
        than="cliff q-learning",
        matters=5.0,
        sentence="While they explore, Sarsa collects more on the cliff than Q-learning.",
    ),
    lower(
        "greedy_steps",
        "cliff q-learning",
        than="cliff sarsa",
        matters=1.0,
        sentence="Without exploring, the way that Q-learning has found is shorter.",
    ),
    lower(
        "left",
        "bias double q-learning",
        than="bias q-learning",
        matters=5.0,
        sentence="Double Q-learning chooses the losing action less often than Q-learning.",
    ),
    higher(
        "left_value",
        "bias q-learning",
        than=0.0,
        matters=0.05,
        sentence="After a third of the episodes Q-learning still values the losing action above 0.",
    ),
)

SCALES = {
    "smoke": Scale(
        seeds=2,
        set={"runs": 4, "episodes": 10, "rates": (0.05, 0.1), "cliff exact.episodes": 10},
    ),
    "quick": Scale(seeds=10),
    "full": Scale(
        seeds=20,
        set={
            "walk td.runs": 200,
            "walk monte carlo.runs": 200,
            "walk batch td.runs": 200,
            "walk batch monte carlo.runs": 200,
            "cliff sarsa.runs": 50,
            "cliff q-learning.runs": 50,
            "cliff expected sarsa.runs": 50,
            "cliff exact.runs": 50,
            "bias q-learning.runs": 1000,
            "bias double q-learning.runs": 1000,
        },
    ),
    "paper": Scale(
        seeds=100,
        set={"bias q-learning.runs": 10000, "bias double q-learning.runs": 10000},
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Run one arm once for every seed.

    Raises:
        PracticumError: the rule does not fit the world; the message names those that do.
    """
    if setup.method not in METHODS[setup.world]:
        raise PracticumError(
            f"method {setup.method!r} does not learn in world {setup.world!r}; choose one of "
            f"{', '.join(METHODS[setup.world])}"
        )
    one = predict if setup.world == "walk" else control
    measured = [one(setup, seed, services) for seed in seeds]
    values = {name: np.stack([row[name] for row in measured]) for name in measured[0]}
    steps = {
        name: 1 + np.arange(value.shape[1]) for name, value in values.items() if value.ndim > 1
    }
    return Measurements(values=values, steps=steps)


def predict(setup: Setup, seed: int, services: Services) -> dict[str, Array]:
    """Learn the values of the random walk, and compare them with the exact ones."""
    world = random_walk(setup.states)
    even = np.full((len(world.ends), 2), 0.5)
    initial = np.where(world.ends, 0.0, 0.5)
    inside = ~world.ends
    exact = values_of(world, even)[inside]
    random = streams(seed).numpy("noise")
    episodes = []
    for number in range(setup.episodes):  # twice the runs: the first half chooses the step size
        episodes.append(walks(world, even, 2 * setup.runs, random))
        _tell(services, setup.episodes, number + 1)
    rate = 0.0
    if setup.method.startswith("batch"):
        measured = [
            (states[:, setup.runs :], rewards[:, setup.runs :]) for states, rewards in episodes
        ]
        values = batch_predicted(setup.method, measured, initial, world.ends)[..., inside]
    else:
        every = predicted(setup.method, episodes, np.array(setup.rates), initial)[..., inside]
        tuning = distance(every[:, :, : setup.runs], exact).mean((0, 2))
        rate = setup.rates[int(tuning.argmin())]
        values = every[:, int(tuning.argmin()), setup.runs :]
    errors = distance(values, exact).mean(1)
    early = min(10, setup.episodes) - 1
    return {
        "error": errors.mean(),
        "error_by_episode": errors,
        "rate": np.array(rate),
        "first_values": values[0, 0],
        "early_values": values[early, 0],
        "last_values": values[-1, 0],
    }


def distance(values: Array, exact: Array) -> Array:
    """Return the root mean square over states, the last axis."""
    root: Array = np.sqrt(np.square(values - exact).mean(-1))
    return root


def control(setup: Setup, seed: int, services: Services) -> dict[str, Array]:
    """Act and learn; measure returns, the way found, and how often left was chosen."""
    world = cliff() if setup.world == "cliff" else biased(setup.choices)
    learner = Learner(world, setup.method, setup.runs, epsilon=setup.epsilon, alpha=setup.alpha)
    tell = partial(_tell, services, setup.episodes)
    acted = act_and_learn(world, learner, setup.episodes, streams(seed).numpy("noise"), tell)
    if setup.world == "bias":
        left = 100.0 * (acted.first == LEFT)
        return {
            "left": left.mean(),
            "left_by_episode": left.mean(1),
            "left_value": acted.left[-(-setup.episodes // 3) - 1].mean(),
        }
    return {**_of_the_way(world, acted.q, setup.limit), **_of_the_returns(acted.returns)}


def _of_the_way(world: World, q: Array, limit: int) -> dict[str, Array]:
    steps, passed = greedy_paths(world, q, limit)
    return {"greedy_steps": steps.mean(), "passed": passed.mean(0)}


def _of_the_returns(returns: Array) -> dict[str, Array]:
    late = returns[-max(1, len(returns) // 5) :]
    return {"online_return": late.mean(), "return_by_episode": returns.mean(1)}


def _tell(services: Services, episodes: int, done: int) -> None:
    services.progress(done, episodes)
    if services.poll is not None:
        services.poll()


def figures(record: Record) -> dict[str, Figure]:
    """Draw prediction errors and values, returns and ways on the cliff, and left choices."""
    return {
        "Random walk: distance from the exact values, mean and 95 % interval": (
            drawing.errors(record)
        ),
        "Random walk: one run's values of the states after 1, 10 and all episodes; black, the "
        "exact ones": drawing.values(record),
        "Cliff: reward an episode while learning, mean of ten episodes; grey, the exact value of "
        "the best policy that explores as much": drawing.returns(record),
        "Cliff: share of the runs whose way without exploring passes each cell": (
            drawing.ways(record)
        ),
        "Biased maximum: runs that choose the losing action; grey, the exact best for this "
        "exploration": drawing.lefts(record),
    }
