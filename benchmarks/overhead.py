"""What `fit` costs over the loop by hand: one seed, the digits network, one thread.

The two train in turn in the same process, in the order loop, fit, fit, loop, ... after one
training each that is not counted, so that both meet the same machine. Their final weights are the
same to the last bit, which is checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.measure import Floor, Result, fresh, median, spread

FLOOR = 1.05
HIDDEN, BATCH, RATE = (128, 128), 32, 1e-3
EPOCHS, QUICK = 20, 1
REPEATS, TURNS = 3, 12


def by_hand(seed: int, epochs: int) -> tuple[dict[str, Any], float]:
    """Train with the loop that one would write oneself; return weights and test accuracy."""
    import torch
    import torch.nn.functional as F

    from practicum.data import load
    from practicum.engine.seeds import streams
    from practicum.nn.mlp import MLP

    (x, y), (x_test, y_test) = load("digits").train, load("digits").test
    with streams(seed).init():
        network = MLP(64, HIDDEN, 10)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    order = streams(seed).order()
    for _ in range(epochs):
        total = 0.0
        for index in torch.randperm(len(x), generator=order).split(BATCH):
            loss = F.cross_entropy(network(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
    network.eval()
    with torch.no_grad():
        right = float((network(x_test).argmax(1) == y_test).float().mean())
    return network.state_dict(), right


def ours(seed: int, epochs: int) -> tuple[dict[str, Any], float]:
    """Train with `fit`; return weights and test accuracy."""
    import torch.nn.functional as F

    from practicum.data import load
    from practicum.engine.fit import fit
    from practicum.engine.optimizers import Adam
    from practicum.engine.services import Services
    from practicum.nn.mlp import MLP

    train, (x_test, y_test) = load("digits").train, load("digits").test
    trained = fit(
        lambda: MLP(64, HIDDEN, 10),
        loss=lambda network, batch, noise: F.cross_entropy(network(batch[0]), batch[1]),
        optimizer=Adam(lr=RATE),
        data=train,
        batch_size=BATCH,
        steps=epochs * -(-len(train[0]) // BATCH),
        seeds=[seed],
        services=Services(),
        evaluate=lambda network, seed: {
            "accuracy": (network(x_test).argmax(1) == y_test).float().mean()
        },
    )
    return trained.networks[0]["network"].state_dict(), float(trained.final("accuracy"))


def turns(*, epochs: int, turns: int) -> dict[str, Any]:
    """Train in turn; return the seconds of each training, wall-clock and processor.

    Raises:
        RuntimeError: the two do not end in the same weights.
    """
    import torch

    from practicum.data import load

    torch.set_num_threads(1)
    contenders = {"loop by hand": by_hand, "practicum fit": ours}
    found = {name: train(0, epochs) for name, train in contenders.items()}
    (loop, accuracy), (fit, other) = found.values()
    same = all(torch.equal(a, b) for a, b in zip(loop.values(), fit.values(), strict=True))
    if not same or accuracy != other:
        raise RuntimeError("fit and the loop by hand do not end in the same weights")
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    processor: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns):
        for name in list(contenders)[:: 1 if turn % 2 == 0 else -1]:
            seconds = timed(contenders[name], turn, epochs)
            wall[name].append(seconds[0])
            processor[name].append(seconds[1])
    steps = epochs * -(-len(load("digits").train[0]) // BATCH)
    return {"wall": wall, "processor": processor, "accuracy": accuracy, "steps": steps}


def timed(train: Callable[[int, int], Any], seed: int, epochs: int) -> tuple[float, float]:
    """Return the wall-clock and processor seconds of one training."""
    began, worked = time.perf_counter(), time.process_time()
    train(seed, epochs)
    return time.perf_counter() - began, time.process_time() - worked


def run(*, repeats: int | None = None, quick: bool = False) -> Result:
    """Measure."""
    repeats = repeats or (1 if quick else REPEATS)
    work = {"epochs": QUICK if quick else EPOCHS, "turns": 2 if quick else TURNS}
    runs = [fresh("benchmarks.overhead:turns", work, threads=1).answer for _ in range(repeats)]
    pooled = {
        (what, name): [value for one in runs for value in one[what][name]]
        for what in ("wall", "processor")
        for name in runs[0]["wall"]
    }
    ratio = {
        what: [
            a / b
            for a, b in zip(
                pooled[what, "practicum fit"], pooled[what, "loop by hand"], strict=True
            )
        ]
        for what in ("wall", "processor")
    }
    steps = runs[0]["steps"]
    return Result(
        name="overhead",
        title="One seed: `fit` over the loop by hand",
        what=(
            f"Digits, 64-128-128-10 ReLU, batches of {BATCH}, fused Adam, {work['epochs']} epochs, "
            f"one thread; {repeats} processes of {work['turns']} trainings each, in turn. Same "
            f"weights to the last bit, test accuracy {100 * runs[0]['accuracy']:.1f} %."
        ),
        columns=["contender", "microseconds a step", "processor microseconds a step"]
        + ["time / loop", "processor time / loop"],
        rows=[
            [
                name,
                1e6 * median(pooled["wall", name]) / steps,
                1e6 * median(pooled["processor", name]) / steps,
                spread(ratio["wall"]) if name == "practicum fit" else 1,
                spread(ratio["processor"]) if name == "practicum fit" else 1,
            ]
            for name in runs[0]["wall"]
        ],
        floors=[
            Floor(
                text="times the loop's time for one seed",
                bound=FLOOR,
                measured=median(ratio["wall"]),
                at_most=True,
            )
        ],
        settings={**work, "repeats": repeats},
        runs={"turns": runs},
    )
