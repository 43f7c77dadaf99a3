"""LeNet on Fashion-MNIST: two arms, eight seeds, five epochs; ours against the loop by hand.

Both train LeNet-5 with fused Adam from the same initial weights, on the same streams of random
numbers, with the data in memory as tensors. The loop by hand trains arm after arm and seed after
seed, in one process, a network made of torch.nn's layers as they come (`plain`); it is run
with every number of threads from one to all cores, and its best one counts. Ours are the engine's
one-thread worker processes, one for each core, and `practicum.nn.lenet`, which computes the same
function in another order. Accuracies agree within `MARGIN`.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Floor, Result, cores, fresh, interleaved, median, ratios, spread

if TYPE_CHECKING:
    from torch import Tensor, nn

    from practicum.engine.services import Services
    from practicum.nn.lenet import LeNet5

FLOOR = 1.2
MARGIN = 0.005  # of the mean test accuracy, between contenders
ARMS = {"as in 1998": False, "modern": True}  # the value of LeNet5's `modern`
BATCH, RATE = 64, 1e-3
FULL, USUAL, QUICK = 60_000, 12_000, 640
TEST = 10_000


@lru_cache(1)
def data(images: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], str]:
    """Return train and test, [n, 1, 28, 28] each, and what they are.

    Without Fashion-MNIST (PRACTICUM_DATA or the cache) these are made up: scikit-learn's digits,
    enlarged, shifted and blurred by noise, in the same shapes and numbers.
    """
    from practicum.data import load
    from practicum.errors import PracticumError

    try:
        found = load("fashion-mnist")
    except PracticumError:
        digits = load("digits")
        train, test = _enlarged(digits.train, images, 0), _enlarged(digits.test, TEST, 1)
        return train, test, "made up: enlarged digits in Fashion-MNIST's shape"
    return (found.train[0][:images], found.train[1][:images]), found.test, "Fashion-MNIST"


def _enlarged(part: tuple[Tensor, Tensor], n: int, seed: int) -> tuple[Tensor, Tensor]:
    import torch

    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(len(part[1]), (n,), generator=generator)
    large = part[0][index].repeat_interleave(3, 2).repeat_interleave(3, 3)  # 8 x 8 to 24 x 24
    x = torch.zeros(n, 1, 28, 28)
    for down in range(5):
        for right in range(5):
            rows = torch.arange(5 * down + right, n, 25)
            x[rows, :, down : down + 24, right : right + 24] = large[rows]
    return x + 0.1 * torch.randn(x.shape, generator=generator), part[1][index]


def plain(network: LeNet5) -> nn.Module:
    """Return the network as one would write it with torch.nn, with a copy of its weights."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    from practicum.nn.lenet import Subsampling, squash

    class AveragePool(nn.Module):
        def __init__(self, one: Subsampling) -> None:
            super().__init__()
            self.coefficient, self.bias = one.coefficient, one.bias

        def forward(self, x: Tensor) -> Tensor:
            w, b = self.coefficient.view(-1, 1, 1), self.bias.view(-1, 1, 1)
            return 4 * F.avg_pool2d(x, 2) * w + b

    class Squash(nn.Module):
        def forward(self, a: Tensor) -> Tensor:
            return squash(a)

    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    modern = network.modern
    function = nn.ReLU if modern else Squash
    pools = [one if modern else AveragePool(one) for one in (network.s2, network.s4)]
    after = [] if modern else [Squash()]  # the maximum needs no function of its own
    return nn.Sequential(
        nn.ZeroPad2d(network.padding),
        *(network.c1, function(), pools[0], *after),
        *(network.c3, function(), pools[1], *after, nn.Flatten()),
        *(network.c5, function(), network.f6, function(), network.output),
    )


def by_hand(*, images: int, epochs: int, seeds: int) -> dict[str, Any]:
    """Train everything with the loop that one would write oneself; return test accuracies."""
    import torch
    import torch.nn.functional as F

    from practicum.engine.seeds import streams
    from practicum.nn.lenet import LeNet5

    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    (x, y), (x_test, y_test), _ = data(images)
    accuracies: dict[str, list[float]] = {}
    for arm, modern in ARMS.items():
        accuracies[arm] = []
        for seed in range(seeds):
            with streams(seed).init():
                network = plain(LeNet5(modern=modern))
            optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
            order = streams(seed).order()
            for _ in range(epochs):
                for index in torch.randperm(len(x), generator=order).split(BATCH):
                    loss = F.cross_entropy(network(x[index]), y[index])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            network.eval()
            with torch.no_grad():
                accuracies[arm].append(accuracy(network, x_test, y_test))
    return {"accuracies": accuracies}


def ours(*, images: int, epochs: int, seeds: int, workers: int) -> dict[str, Any]:
    """Train everything with the engine: one task for each arm and seed, in worker processes."""
    from practicum.engine.workers import Task, run_tasks

    accuracies: dict[str, list[float]] = {arm: [0.0] * seeds for arm in ARMS}

    def keep(task: Task, value: float) -> None:
        accuracies[task.arguments["arm"]][task.arguments["seed"]] = value

    tasks = [
        Task(
            name=f"{arm}, seed {seed}",
            function="benchmarks.lenet:trial",
            arguments={"arm": arm, "seed": seed, "images": images, "epochs": epochs},
        )
        for seed in range(seeds)
        for arm in ARMS
    ]
    run_tasks(tasks, on_done=keep, workers=workers, threads=1)
    return {"accuracies": accuracies}


def trial(*, arm: str, seed: int, images: int, epochs: int) -> float:
    """Train one arm and seed with `fit`, in whatever process this is; return test accuracy."""
    from practicum.engine.services import Services

    return fitted(arm, seed, images, epochs, Services())


def fitted(arm: str, seed: int, images: int, epochs: int, services: Services) -> float:
    """Train one arm and seed with `fit`; return test accuracy."""
    import torch.nn.functional as F

    from practicum.engine.fit import fit
    from practicum.engine.optimizers import Adam
    from practicum.nn.lenet import LeNet5

    train, (x_test, y_test), _ = data(images)
    trained = fit(
        partial(LeNet5, modern=ARMS[arm]),
        loss=lambda network, batch, noise: F.cross_entropy(network(batch[0]), batch[1]),
        optimizer=Adam(lr=RATE),
        data=train,
        batch_size=BATCH,
        steps=epochs * -(-len(train[0]) // BATCH),
        seeds=[seed],
        services=services,
        evaluate=lambda network, seed: {"accuracy": accuracy(network, x_test, y_test)},
    )
    return float(trained.final("accuracy"))


def accuracy(network: nn.Module | Callable[..., Tensor], x: Tensor, y: Tensor) -> float:
    """Return the share of right answers, in pieces that fit the cache."""
    right = sum(
        int((network(xs).argmax(1) == ys).sum())
        for xs, ys in zip(x.split(500), y.split(500), strict=True)
    )
    return right / len(y)


def run(*, repeats: int | None = None, quick: bool = False, images: int | None = None) -> Result:
    """Measure."""
    images = images or (QUICK if quick else USUAL)
    work = {"images": images, "epochs": 1 if quick else 5, "seeds": 2 if quick else 8}
    repeats = repeats or (1 if quick else 3)
    hand = {f"loop by hand, {_threads(n)}": n for n in range(1, cores() + 1)}
    us = f"practicum, {cores()} workers of one thread"
    contenders = {
        name: partial(fresh, "benchmarks.lenet:by_hand", work, threads=n)
        for name, n in hand.items()
    }
    contenders[us] = partial(
        fresh, "benchmarks.lenet:ours", {**work, "workers": cores()}, threads=1
    )
    runs = interleaved(contenders, repeats=repeats, say=print)
    means = {name: _mean(found[0].answer["accuracies"]) for name, found in runs.items()}
    if max(means.values()) - min(means.values()) > MARGIN:
        raise RuntimeError(f"the contenders do not reach the same accuracy: {means}")
    best = min(hand, key=lambda name: median([one.wall for one in runs[name]]))
    gain = ratios(runs[best], runs[us])
    _, _, source = data(BATCH)
    return Result(
        name="lenet",
        title="LeNet-5, two arms and eight seeds" if not quick else "LeNet-5 (quick)",
        what=(
            f"{source}, {images:,} training images, {work['epochs']} epochs, 2 arms x "
            f"{work['seeds']} seeds, batches of {BATCH}, fused Adam. Everything counts, from the "
            "start of the process on; our workers' imports and copies of the data too."
        ),
        columns=["contender", "seconds", "processor seconds", "MiB at the peak", "accuracy %"]
        + ["time / ours"],
        rows=[
            [
                name,
                median([one.wall for one in found]),
                median([one.processor for one in found]),
                median([one.memory or 0 for one in found]) or None,
                round(100 * means[name], 2),
                spread(ratios(found, runs[us])),
            ]
            for name, found in runs.items()
        ],
        floors=[
            Floor(
                text=f"times the speed of the loop by hand at its best ({_threads(hand[best])})",
                bound=FLOOR,
                measured=median(gain),
            )
        ],
        settings={**work, "repeats": repeats, "batch": BATCH, "rate": RATE, "data": source},
        runs={
            name: [
                {"wall": one.wall, "processor": one.processor, "memory": one.memory} | one.answer
                for one in found
            ]
            for name, found in runs.items()
        },
    )


def _mean(accuracies: dict[str, list[float]]) -> float:
    values = [one for arm in accuracies.values() for one in arm]
    return sum(values) / len(values)


def _threads(n: int) -> str:
    return "one thread" if n == 1 else f"{n} threads"


def options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark takes."""
    parser.add_argument("--images", type=int, help=f"training images ({USUAL}; all: {FULL})")
