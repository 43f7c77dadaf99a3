"""PPO on CartPole-v1 until the mean return of ten seeds is 475: a curve, ours and a peer's.

Hyper-parameters are those of `benchmarks.agents`, the same on both sides, with a rate that falls to
nothing at the last step. Ours trains the ten seeds together in lanes; stable-baselines3 trains them
one after the other, so its seconds at a point are the sum over its seeds. One process and one
thread each. At every point each seed's network plays 20 episodes without exploring, by the same
code on both sides; that time is taken off.
"""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import agents
from benchmarks.measure import Result, fresh

if TYPE_CHECKING:
    from practicum.engine.updates import Networks

ENOUGH = 475.0  # what gymnasium calls solved
STEPS, POINTS, SEEDS = 100_000, 20, 10


def ours(*, seeds: int, steps: int, points: int) -> dict[str, Any]:
    """Train all seeds in lanes; return seconds at every point, and returns [points][seeds]."""
    import torch
    import torch._dynamo

    from practicum.engine.arithmetic import Arithmetic
    from practicum.engine.services import Services
    from practicum.engine.train import train

    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    recipe = agents.ppo(steps)
    seconds: dict[int, list[float]] = {seed: [] for seed in range(seeds)}
    away = 0.0

    def evaluate(networks: Networks, seed: int) -> Mapping[str, float]:
        nonlocal away
        now = time.perf_counter()
        seconds[seed].append(now - began - away)
        value = agents.mean_return(partial(agents.best, networks["main"]), seed)
        away += time.perf_counter() - now
        return {"greedy": value}

    every = max(1, recipe.steps // points)
    services = Services(arithmetic=Arithmetic(path="lanes", lane_group=seeds))
    began = time.perf_counter()
    trained = train(replace(recipe, evaluate=evaluate, every=every), range(seeds), services)
    return {
        "seconds": seconds[seeds - 1],
        "returns": trained.curves["greedy"].T.tolist(),
        "steps": (trained.steps * steps / recipe.steps).round().tolist(),
    }


def theirs(*, seeds: int, steps: int, points: int) -> dict[str, Any]:
    """Train seed after seed with stable-baselines3; return the same as `ours`."""
    import torch
    import torch._dynamo

    peer = importlib.import_module("stable_baselines3")
    callbacks = importlib.import_module("stable_baselines3.common.callbacks")
    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    size = agents.COPIES * agents.HORIZON
    every = max(1, steps // size // points)

    class Look(callbacks.BaseCallback):  # type: ignore[misc, name-defined]  # the peer has no types
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.seed, self.began, self.away = seed, time.perf_counter(), 0.0
            self.seconds: list[float] = []
            self.returns: list[float] = []
            self.steps: list[int] = []

        def look(self) -> None:
            now = time.perf_counter()
            self.seconds.append(now - self.began - self.away)
            self.steps.append(self.num_timesteps)
            act = partial(agents.predicted, self.model)
            self.returns.append(agents.mean_return(act, self.seed))
            self.away += time.perf_counter() - now

        def _on_rollout_start(self) -> None:
            if self.num_timesteps and self.num_timesteps // size % every == 0:
                self.look()

        def _on_step(self) -> bool:
            return True

        def _on_training_end(self) -> None:
            if self.steps[-1:] != [self.num_timesteps]:
                self.look()

    looks = []
    for seed in range(seeds):
        look = Look(seed)
        agents.their_ppo(peer, seed).learn(steps, callback=look)
        looks.append(look)
    return {
        "seconds": [sum(at) for at in zip(*(one.seconds for one in looks), strict=True)],
        "returns": [list(at) for at in zip(*(one.returns for one in looks), strict=True)],
        "steps": looks[0].steps,
    }


def run(*, repeats: int | None = None, quick: bool = False) -> Result:
    """Measure; `repeats` has no meaning here, the ten seeds are the repetition."""
    work = {"seeds": SEEDS, "steps": STEPS, "points": POINTS}
    if quick:
        work = {"seeds": 2, "steps": 4 * agents.COPIES * agents.HORIZON, "points": 2}
    sides = {"practicum": "ours", "stable-baselines3": "theirs"}
    found = {
        name: fresh(f"benchmarks.cartpole:{side}", work, threads=1) for name, side in sides.items()
    }
    rows = [
        [name, f"{round(steps):,}", seconds, interval(returns)]
        for name, one in found.items()
        for steps, seconds, returns in zip(
            one.answer["steps"], one.answer["seconds"], one.answer["returns"], strict=True
        )
    ]
    return Result(
        name="cartpole",
        title="CartPole: time to a mean return of 475" if not quick else "CartPole (quick)",
        what=(
            f"PPO on {agents.WORLD}, {work['seeds']} seeds, {work['steps']:,} steps each; seconds "
            "of training for all seeds; greedy return of 20 episodes a seed, mean over the seeds "
            f"with its 95 % interval. {'; '.join(_reached(n, r.answer) for n, r in found.items())}."
        ),
        columns=["contender", "steps of each seed", "seconds of training", "mean return"],
        rows=rows,
        settings={**work, "enough": ENOUGH},
        runs={
            name: [{"wall": one.wall, "processor": one.processor} | one.answer]
            for name, one in found.items()
        },
    )


def interval(returns: list[float]) -> str:
    """Return mean and Student's 95 % interval of the seeds' returns."""
    from scipy.stats import t

    n = len(returns)
    mean = sum(returns) / n
    if n < 2:
        return f"{mean:.0f}"
    spread = math.sqrt(sum((one - mean) ** 2 for one in returns) / (n - 1) / n)
    half = float(t.ppf(0.975, n - 1)) * spread
    return f"{mean:.0f} ({mean - half:.0f} to {min(500.0, mean + half):.0f})"


def _reached(name: str, answer: Mapping[str, Any]) -> str:
    points = zip(answer["steps"], answer["seconds"], answer["returns"], strict=True)
    for steps, seconds, returns in points:
        if sum(returns) / len(returns) >= ENOUGH:
            return f"{name} is at {ENOUGH:g} after {seconds:.0f} s and {round(steps):,} steps"
    return f"{name} does not reach {ENOUGH:g}"
