"""PPO and DQN on CartPole-v1: steps a second, ours against stable-baselines3's.

Both sides train with the same hyper-parameters: for PPO those that rl-baselines3-zoo lists for
CartPole-v1 (8 environments, 32 steps, one batch of 256, 20 epochs, rate falling from 0.001, gamma
0.98, lambda 0.8), but a constant clip range; for DQN those of the lab `dqn`. Both clip gradients,
use fused Adam and go through a cut (truncation) with the value of the last state. stable-baselines3
trains one seed at a time, so its rate for one seed is its rate for ten. Ours trains one seed by the
loop, and ten PPO seeds as lanes of one process. Every number of threads from one to all cores is
tried, and the best counts.

What counts is training, in steps of the environment a second, all seeds together: from building
the environments to the trained network, tracing of lanes included; imports are not (torch's
optimizers import much at their first use, so that is asked for before). Afterwards the
network plays 20 episodes without exploring, by the same code on both sides. Each round takes other
seeds; their mean returns stand beside the rates. They are noisy, and no margin is asserted.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Floor, Result, Run, cores, fresh, interleaved, median, spread

if TYPE_CHECKING:
    from torch import Tensor

    from practicum.engine.train import Recipe

WORLD, OBSERVATION, ACTIONS = "CartPole-v1", 4, 2
FLOORS = {"ppo": 1.3, "ppo, ten seeds": 2.5, "dqn": 1.0}
HIDDEN, RATE = (64, 64), 1e-3
PPO_STEPS, DQN_STEPS, SEEDS = 100_000, 40_000, 10
QUICK = 2_048
COPIES, HORIZON, EPOCHS, GAMMA, LAMBDA, CLIP = 8, 32, 20, 0.98, 0.8, 0.2  # of PPO
PPO_NORM, DQN_NORM = 0.5, 10.0
REPLAY = {"copies": 4, "size": 10_000, "start": 1_000, "batch": 64}
DISCOUNT, TARGET, LAST, SHARE = 0.99, 100, 0.05, 0.25  # of DQN
EPISODES = 20


def ours(*, kind: str, seeds: list[int], steps: int, path: str) -> dict[str, Any]:
    """Train the seeds; return seconds and the mean returns of the trained networks."""
    import torch
    import torch._dynamo

    from practicum.engine.arithmetic import Arithmetic
    from practicum.engine.services import Services
    from practicum.engine.train import train

    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    recipe = ppo(steps) if kind == "ppo" else dqn(steps)
    way: Any = path
    services = Services(arithmetic=Arithmetic(path=way, lane_group=len(seeds)))
    began = time.perf_counter()
    trained = train(recipe, seeds, services)
    seconds = time.perf_counter() - began
    found = []
    for networks, seed in zip(trained.networks, seeds, strict=True):
        network = networks["main"]
        found.append(mean_return(partial(best, network), seed))
    return {"seconds": seconds, "steps": steps * len(seeds), "returns": found}


def best(network: Callable[[Tensor], Any], s: Tensor) -> Tensor:
    """Return the actions that a network of ours scores highest."""
    said = network(s)
    scores: Tensor = said[0] if isinstance(said, tuple) else said
    return scores.argmax(-1)


def ppo(steps: int) -> Recipe:
    """Return how ours trains PPO."""
    from practicum.engine.clipping import ClipNorm
    from practicum.engine.optimizers import Adam
    from practicum.engine.train import Recipe, Trains
    from practicum.engine.updates import Update
    from practicum.learning.ppo import Annealing, Details, ppo_loss
    from practicum.nn.actor_critic import ActorCritic

    details = Details(
        copies=COPIES,
        horizon=HORIZON,
        epochs=EPOCHS,
        discount=GAMMA,
        trace=LAMBDA,
        clip=CLIP,
        entropy_share=0.0,
    )
    iterations = steps // details.samples
    return Recipe(
        networks={"main": partial(ActorCritic, OBSERVATION, ACTIONS, hidden=HIDDEN)},
        optimizers={"main": Trains(spec=Adam(lr=RATE, eps=1e-5), networks=("main",))},
        updates=(
            Update(
                loss=partial(ppo_loss, details),
                clip=ClipNorm(norm=PPO_NORM),
                schedule=Annealing(iterations=iterations, updates=details.updates),
            ),
        ),
        experience=details.experience(WORLD),
        steps=iterations * details.updates,
    )


def dqn(steps: int) -> Recipe:
    """Return how ours trains DQN."""
    from practicum.engine.clipping import ClipNorm
    from practicum.engine.following import Follow
    from practicum.engine.optimizers import Adam
    from practicum.engine.train import Recipe, Trains
    from practicum.engine.updates import Update
    from practicum.learning.q_learning import Memory, q_loss
    from practicum.nn.q_network import QNetwork

    updates = (steps - REPLAY["start"]) // REPLAY["copies"]
    memory = Memory(
        actions=ACTIONS,
        **REPLAY,
        explore=(1.0, LAST),
        explore_updates=max(1, int(SHARE * updates)),
    )
    build = partial(QNetwork, OBSERVATION, ACTIONS, hidden=HIDDEN)
    return Recipe(
        networks={"main": build, "target": build},
        optimizers={"main": Trains(spec=Adam(lr=RATE), networks=("main",))},
        updates=(Update(loss=partial(q_loss, discount=DISCOUNT), clip=ClipNorm(norm=DQN_NORM)),),
        follows=(Follow(follower="target", leader="main", every=TARGET),),
        experience=memory.experience(WORLD),
        steps=updates,
    )


def theirs(*, kind: str, seeds: list[int], steps: int) -> dict[str, Any]:
    """Train the seeds one after the other with stable-baselines3; return the same as `ours`."""
    import torch
    import torch._dynamo

    peer = importlib.import_module("stable_baselines3")
    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    seconds, found = 0.0, []
    for seed in seeds:
        began = time.perf_counter()
        model = (their_ppo if kind == "ppo" else their_dqn)(peer, seed)
        model.learn(steps)
        seconds += time.perf_counter() - began
        found.append(mean_return(partial(predicted, model), seed))
    return {"seconds": seconds, "steps": steps * len(seeds), "returns": found}


def predicted(model: Any, s: Tensor) -> Tensor:
    """Return the actions that a model of stable-baselines3 takes without exploring."""
    import torch

    return torch.from_numpy(model.predict(s.numpy(), deterministic=True)[0])


def their_ppo(peer: Any, seed: int) -> Any:
    """Return stable-baselines3's PPO with our hyper-parameters."""
    import torch

    return peer.PPO(
        "MlpPolicy",
        their_environments(seed, COPIES),
        n_steps=HORIZON,
        batch_size=COPIES * HORIZON,
        n_epochs=EPOCHS,
        learning_rate=lambda left: RATE * left,
        gamma=GAMMA,
        gae_lambda=LAMBDA,
        clip_range=CLIP,
        ent_coef=0.0,
        vf_coef=0.5,
        max_grad_norm=PPO_NORM,
        policy_kwargs={
            "net_arch": list(HIDDEN),
            "activation_fn": torch.nn.Tanh,
            "optimizer_kwargs": {"fused": True, "eps": 1e-5},
        },
        seed=seed,
        device="cpu",
    )


def their_dqn(peer: Any, seed: int) -> Any:
    """Return stable-baselines3's DQN with our hyper-parameters."""
    copies = REPLAY["copies"]
    return peer.DQN(
        "MlpPolicy",
        their_environments(seed, copies),
        learning_rate=RATE,
        buffer_size=REPLAY["size"],
        learning_starts=REPLAY["start"],
        batch_size=REPLAY["batch"],
        gamma=DISCOUNT,
        train_freq=1,  # a step of every copy
        gradient_steps=1,
        target_update_interval=TARGET * copies,
        exploration_fraction=SHARE,
        exploration_final_eps=LAST,
        max_grad_norm=DQN_NORM,
        policy_kwargs={"net_arch": list(HIDDEN), "optimizer_kwargs": {"fused": True}},
        seed=seed,
        device="cpu",
    )


def their_environments(seed: int, copies: int) -> Any:
    """Return stable-baselines3's copies of the environment."""
    made = importlib.import_module("stable_baselines3.common.env_util")
    return made.make_vec_env(WORLD, n_envs=copies, seed=seed)


def mean_return(act: Callable[[Tensor], Tensor], seed: int) -> float:
    """Return the mean return of each copy's first episode; `act` takes [E, D], gives [E]."""
    import torch

    from practicum.learning.environments import Environments

    world = Environments(WORLD, (seed,), EPISODES)
    world.restart()
    on, total = torch.ones(EPISODES, dtype=torch.bool), torch.zeros(EPISODES)
    with torch.no_grad():
        while bool(on.any()):
            step = world.step(act(world.observations[0]).unsqueeze(0))
            total += step.reward[0] * on
            on &= ~step.ended[0]
    return float(total.mean())


def run(*, repeats: int | None = None, quick: bool = False) -> Result:
    """Measure."""
    repeats = repeats or (1 if quick else 5)
    steps = {"ppo": QUICK, "dqn": QUICK} if quick else {"ppo": PPO_STEPS, "dqn": DQN_STEPS}
    many = 2 if quick else SEEDS
    tasks = {"ppo": ("ppo", 1), "ppo, ten seeds": ("ppo", many), "dqn": ("dqn", 1)}
    us, them, contenders = {}, {}, {}
    for threads in range(1, cores() + 1):
        for task, (kind, seeds) in tasks.items():
            name = f"practicum, {task}, {_threads(threads)}"
            more = {"path": "loop" if seeds == 1 else "lanes"}
            us[name] = task
            contenders[name] = _rounds("ours", kind, seeds, steps[kind], threads, more)
        for kind in steps:
            name = f"stable-baselines3, {kind}, {_threads(threads)}"
            them[name] = kind
            contenders[name] = _rounds("theirs", kind, 1, steps[kind], threads, {})
    runs = interleaved(contenders, repeats=repeats, say=print)
    rate = {
        name: [one.answer["steps"] / one.answer["seconds"] for one in found]
        for name, found in runs.items()
    }
    peer = {kind: _fastest(rate, [name for name in them if them[name] == kind]) for kind in steps}
    gains = {
        name: [a / b for a, b in zip(rate[name], rate[peer[tasks[task][0]]], strict=True)]
        for name, task in us.items()
    }
    mine = {task: _fastest(rate, [name for name in us if us[name] == task]) for task in tasks}
    return Result(
        name="agents",
        title="PPO and DQN on CartPole" if not quick else "PPO and DQN on CartPole (quick)",
        what=(
            f"PPO for {steps['ppo']:,} steps of {WORLD} and 8 copies, DQN for {steps['dqn']:,} "
            f"and 4 copies, the same hyper-parameters on both sides; one process each. Greedy "
            f"return: {EPISODES} episodes of each trained network, mean over all seeds and rounds."
        ),
        columns=["contender", "steps a second", "seconds in all", "processor seconds"]
        + ["MiB at the peak", "greedy return", "rate / stable-baselines3's best"],
        rows=[
            [
                name,
                median(rate[name]),
                median([one.wall for one in found]),
                median([one.processor for one in found]),
                median([one.memory or 0 for one in found]) or None,
                round(_mean([value for one in found for value in one.answer["returns"]]), 1),
                spread(gains[name]) if name in gains else None,
            ]
            for name, found in runs.items()
        ],
        floors=[
            Floor(
                text=f"{task}: times the rate of stable-baselines3 at its best",
                bound=bound,
                measured=median(gains[mine[task]]),
            )
            for task, bound in FLOORS.items()
        ],
        settings={"repeats": repeats, "steps": steps, "seeds": many, "replay": REPLAY},
        runs={
            name: [
                {"wall": one.wall, "processor": one.processor, "memory": one.memory} | one.answer
                for one in found
            ]
            for name, found in runs.items()
        },
    )


def _rounds(
    side: str, kind: str, seeds: int, steps: int, threads: int, more: dict[str, Any]
) -> Callable[[], Run]:
    """Return a contender that takes the next seeds at every round."""
    rounds = count()

    def one() -> Run:
        first = seeds * next(rounds)
        work = {"kind": kind, "seeds": list(range(first, first + seeds)), "steps": steps, **more}
        return fresh(f"benchmarks.agents:{side}", work, threads=threads)

    return one


def _fastest(rate: dict[str, list[float]], names: list[str]) -> str:
    return max(names, key=lambda name: median(rate[name]))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _threads(n: int) -> str:
    return "one thread" if n == 1 else f"{n} threads"
