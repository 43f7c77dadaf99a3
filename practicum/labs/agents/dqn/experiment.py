"""Deep Q-learning with and without memory and target network, and whether its values are true.

Question
    A network that learns the values of actions from its own experience is easily thrown off
    course. Do the replay memory (2013) and the target network (2015) make it learn better? Does
    the maximum in its target make the values too high, and does double Q-learning cure it?

What would refute it
    Without replay, or without a target network, returns while learning are no lower. The values in
    the states of greedy episodes are not higher than the returns that followed. With double
    Q-learning they are as much too high.

Arms and what is held equal
    dqn          replay of 10,000 transitions, a target network copied every 100 updates
    no replay    a memory of the newest 64 transitions, as many as one update draws
    no target    the network that learns gives its own targets
    double       dqn, its target by double Q-learning
    random       control: actions by chance, as many steps
    The arms without a prefix play CartPole-v1, those with `acrobot` Acrobot-v1. Within an
    environment an arm differs from `dqn` in the named part only. Seeds share initial weights, the
    first episodes and the first random actions. Equal are: steps of the environment, updates,
    batches, optimizer, learning rate, exploration. A transition is drawn 16 times on average, with
    replay and without: it is soon, or spread over a long time. No arm is tuned: one set of numbers,
    usual for these environments, was fixed before the first run. It may suit `dqn` best.

Primary measure
    area: mean return of the last 20 episodes of the exploring policy, averaged over evaluation
    points, which is the area under the curve of returns by its length. overestimation: max over a
    of Q(s, a) minus the discounted return that followed, mean over the states of greedy episodes
    (measuring.py), mean over the points in the second half of training.

Smallest effect that matters
    20 in area, both environments; 1 in values (a value of CartPole is at most 100 at gamma 0.99).

Pitfalls of naive reproductions
    1. CartPole's return is capped at 500, and networks collapse late: the best return, or the
       last, says little. Here the area counts; `last` is the last tenth of the curve.
    2. Truncation is not termination: at step 500 the clock cuts CartPole off, its last state is
       worth as much as any other, and the target goes on through it (learning/environments.py).
       For the same reason states shortly before a cut do not count in overestimation; what is
       missing behind 400 steps is less than 2, and the claim allows for it.
    3. One run, however many evaluation episodes it has, is one repetition.
    4. Returns while learning include exploration (5 % random actions in the end).
    5. Huber's loss, as in the paper. It bounds the pull of true ends, the only anchors that values
       have; what a missing target network does depends on it (setting `huber`, which was added
       after first runs; claims and arms were not touched, the quick sizes were cut for time).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.engine.evaluation import points
from practicum.engine.following import Follow
from practicum.engine.optimizers import Adam
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.engine.train import Recipe, Trains, train
from practicum.engine.updates import Networks, Update
from practicum.evidence import Measure, higher, lower
from practicum.labs.agents.dqn import drawing
from practicum.labs.agents.dqn.measuring import Played, first_episode, overestimation, play
from practicum.labs.lab import Scale, setting
from practicum.learning.environments import Environments
from practicum.learning.q_learning import Memory, q_loss
from practicum.nn.q_network import QNetwork

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Replay and a target network steady Q-learning; its maximum promises too much"
SOURCE = (
    "Mnih et al. 2013, Playing Atari with deep reinforcement learning, arXiv:1312.5602; "
    "Mnih et al. 2015, Human-level control through deep reinforcement learning, Nature 518:529-533"
)
YEAR = 2013
DATA = ()
EXCEPTIONS = {
    "state": "A checkpoint cannot hold an environment: an interrupted trial starts from its seed."
}

SIZES = {"CartPole-v1": (4, 2), "Acrobot-v1": (6, 3)}  # numbers in an observation, actions


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    environment: str = setting(
        "CartPole-v1", "what is played", paper="Atari games", choices=("CartPole-v1", "Acrobot-v1")
    )
    learns: bool = setting(True, "false: actions by chance")
    memory: int = setting(10_000, "transitions kept", unit="transitions", paper=1_000_000, low=1)
    start: int = setting(1_000, "random steps first", unit="transitions", paper=50_000, low=1)
    target_every: int = setting(
        100, "updates between two copies to the target; 0: no target", paper=10_000, low=0
    )
    huber: bool = setting(True, "Huber's loss; false: the square", paper=True)
    double: bool = setting(False, "double Q-learning", paper=False)
    discount: float = setting(0.99, "gamma", paper=0.99, low=0, high=0.9999)
    rate: float = setting(1e-3, "learning rate of Adam (paper: RMSProp)", paper=0.00025, low=0)
    hidden: tuple[int, ...] = setting((64, 64), "units of each hidden layer")
    batch_size: int = setting(64, "transitions an update", paper=32, low=1)
    copies: int = setting(4, "environments side by side, a step of each an update", low=1)
    explore: float = setting(0.05, "share of random actions in the end", paper=0.1, low=0, high=1)
    explore_share: float = setting(
        0.25, "part of the updates in which exploration falls from 1", paper=0.02, low=0.001, high=1
    )
    steps: int = setting(2_500, "updates", unit="updates", low=1)
    points: int = setting(10, "evaluations on the way", low=1)
    episodes: int = setting(3, "greedy episodes an evaluation", low=1)
    limit: int = setting(500, "longest greedy episode", unit="steps", low=1)
    horizon: int = setting(400, "steps before a cut from which states count", unit="steps", low=1)


_ACROBOT = Setup(environment="Acrobot-v1", steps=900)
ARMS = {
    "dqn": Setup(),
    "no replay": Setup(memory=64),
    "no target": Setup(target_every=0),
    "double": Setup(double=True),
    "random": Setup(learns=False),
    "acrobot dqn": _ACROBOT,
    "acrobot no replay": replace(_ACROBOT, memory=64),
    "acrobot no target": replace(_ACROBOT, target_every=0),
    "acrobot random": replace(_ACROBOT, learns=False),
}

MEASURES = (
    Measure("area", better="higher", says="return while learning, mean over evaluation points"),
    Measure("last", better="higher", says="return while learning, last tenth of the points"),
    Measure("return", better="higher", says="mean of the last 20 episodes, exploration included"),
    Measure("overestimation", better="lower", says="mean over the second half of training"),
    Measure(
        "overestimation_curve",
        better="lower",
        says="highest Q minus the discounted return that followed, greedy episodes",
    ),
    Measure("greedy_return", better="higher", says="return without exploring"),
    Measure("episode_values", says="highest Q along one greedy episode after training"),
    Measure("episode_returns", says="discounted return that followed, along the same episode"),
)

CLAIMS = (
    lower(
        "area",
        "no replay",
        than="dqn",
        matters=20.0,
        sentence="On CartPole, a memory of the newest batch only lowers the returns while "
        "learning.",
    ),
    lower(
        "area",
        "no target",
        than="dqn",
        matters=20.0,
        sentence="On CartPole, learning without a target network lowers the returns while "
        "learning.",
    ),
    lower(
        "area",
        "acrobot no replay",
        than="acrobot dqn",
        matters=20.0,
        sentence="On Acrobot, a memory of the newest batch only lowers the returns while learning.",
    ),
    lower(
        "area",
        "acrobot no target",
        than="acrobot dqn",
        matters=20.0,
        sentence="On Acrobot, learning without a target network lowers the returns while learning.",
    ),
    higher(
        "overestimation",
        "dqn",
        than=0.0,
        by=2.0,
        matters=1.0,
        sentence="The values of DQN on CartPole are higher than the returns that follow, by more "
        "than 2.",
    ),
    lower(
        "overestimation",
        "double",
        than="dqn",
        matters=1.0,
        sentence="Double Q-learning overestimates less on CartPole.",
    ),
)

_ACROBOT_ARMS = ("acrobot dqn", "acrobot no replay", "acrobot no target", "acrobot random")
SCALES = {
    "smoke": Scale(
        seeds=2,
        set={"steps": 12, "points": 2, "start": 64, "episodes": 1, "limit": 12, "horizon": 6},
    ),
    "quick": Scale(seeds=6),
    "full": Scale(
        seeds=10,
        set={
            "steps": 10_000,
            "points": 20,
            **{f"{arm}.steps": 5_000 for arm in _ACROBOT_ARMS},
        },
    ),
    "paper": Scale(
        seeds=20,
        set={"steps": 100_000, "points": 50, "episodes": 10},
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Learn by playing, or only play; measure returns and, of a learner, its values.

    Raises:
        PracticumError: batch, start, memory and copies do not fit each other.
    """
    memory = Memory(
        actions=SIZES[setup.environment][1],
        batch=setup.batch_size,
        size=setup.memory,
        start=setup.start,
        copies=setup.copies,
        explore=(1.0, setup.explore),
        explore_updates=max(1, round(setup.explore_share * setup.steps)),
    )
    if not setup.learns:
        at, curve = by_chance(setup, memory, seeds, services)
        shares = 100 * torch.tensor(at) / setup.steps
        return Measurements(values=of_returns(curve), steps={"return": shares})
    ran = train(recipe(setup, memory, services), seeds, services)
    played = [
        play_greedily(setup, services, networks, seed)
        for networks, seed in zip(ran.networks, seeds, strict=True)
    ]
    along = [first_episode(one, discount=setup.discount, limit=setup.limit) for one in played]
    too_high = ran.curves["overestimation"]
    shares = 100 * ran.steps / setup.steps
    return Measurements(
        values={
            **of_returns(ran.curves["return"]),
            "overestimation": too_high[:, too_high.shape[1] // 2 :].mean(1),
            "overestimation_curve": too_high,
            "greedy_return": ran.curves["greedy_return"],
            "episode_values": torch.stack([one[0] for one in along]),
            "episode_returns": torch.stack([one[1] for one in along]),
        },
        diverged=ran.diverged,
        steps={
            **dict.fromkeys(("return", "overestimation_curve", "greedy_return"), shares),
            **dict.fromkeys(("episode_values", "episode_returns"), torch.arange(setup.limit)),
        },
        weights=ran.weights(),
    )


def recipe(setup: Setup, memory: Memory, services: Services) -> Recipe:
    """Return how an arm learns."""
    observation, actions = SIZES[setup.environment]
    build = partial(QNetwork, observation, actions, hidden=setup.hidden)
    names = ("main", "target") if setup.target_every else ("main",)
    target = Follow(follower="target", leader="main", every=max(1, setup.target_every))
    loss = partial(
        q_loss,
        discount=setup.discount,
        target=names[-1],
        double=setup.double,
        huber=setup.huber,
    )
    return Recipe(
        networks=dict.fromkeys(names, build),
        optimizers={"main": Trains(spec=Adam(lr=setup.rate), networks=("main",))},
        updates=(Update(loss=loss),),
        follows=(target,) if setup.target_every else (),
        experience=memory.experience(setup.environment),
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=partial(evaluate, setup, services),
    )


def play_greedily(setup: Setup, services: Services, networks: Networks, seed: int) -> Played:
    """Play the evaluation's episodes with the network that learns."""
    return play(
        networks["main"],
        setup.environment,
        seed,
        episodes=setup.episodes,
        limit=setup.limit,
        services=services,
    )


def evaluate(
    setup: Setup, services: Services, networks: Networks, seed: int
) -> Mapping[str, Tensor | float]:
    """Return how much too high the values are in greedy episodes, and the episodes' returns."""
    played = play_greedily(setup, services, networks, seed)
    return {
        "overestimation": overestimation(played, discount=setup.discount, horizon=setup.horizon),
        "greedy_return": played.rewards.sum(0).mean(),
    }


def by_chance(
    setup: Setup, memory: Memory, seeds: Sequence[int], services: Services
) -> tuple[list[int], Tensor]:
    """Play at random, as many steps as a learner; return the points and the returns there."""
    world = Environments(setup.environment, seeds, setup.copies)
    draws = [streams(seed).order() for seed in seeds]

    def step() -> None:
        actions = [torch.randint(memory.actions, (setup.copies,), generator=one) for one in draws]
        world.step(torch.stack(actions))

    for _ in range(setup.start // setup.copies):
        step()
    at, curve = points(setup.steps, max(1, setup.steps // setup.points)), []
    for done in range(1, setup.steps + 1):
        step()
        if done in at:
            curve.append([world.mean_return(lane) for lane in range(len(seeds))])
        services.progress(done, setup.steps)
        if services.poll is not None:
            services.poll()
    return at, torch.tensor(curve, dtype=torch.float64).T


def of_returns(curve: Tensor) -> dict[str, Tensor]:
    """Return what is measured of the curve of returns, [seeds, points]."""
    tenth = -(-curve.shape[1] // 10)
    return {"return": curve, "area": curve.mean(1), "last": curve[:, -tenth:].mean(1)}


def figures(record: Record) -> dict[str, Figure]:
    """Draw returns, their areas, overestimation, and values along an episode."""
    return {
        "Returns while learning; thin lines are seeds, bands 95 % intervals of the mean": (
            drawing.curves_of_returns(record)
        ),
        "Mean return while learning, seed by seed": drawing.areas(record),
        "Highest Q minus the discounted return that followed, in greedy episodes": (
            drawing.promises(record)
        ),
        "One greedy episode after training: what the network promised (line) and what followed "
        "(grey)": drawing.episodes(record),
    }
