"""Digits, 64-128-128-10 ReLU, batch 32, Adam: seconds per seed and step, against peers.

    python -m benchmarks.digits [--repeats 7]

All contenders see the same 1437 images for the same number of epochs, and their test accuracy on
the other 360 is printed beside the speed. Timed is the training alone (imports, data and the last
evaluation are not), after a few warm-up steps; what lanes do before their first step is part of
their training and counted. `hand` is the plain loop, seed after seed, with the fused Adam.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import harness

EPOCHS = 10
SEEDS = 16
PEER_SEEDS = 2  # the peers are slow; per seed and step, the number of seeds changes nothing
HAND_SEEDS = 8
BATCH, HIDDEN, RATE = 32, 128, 1e-3
N_TRAIN = 1437
STEPS = EPOCHS * -(-N_TRAIN // BATCH)
OURS = "practicum, 2 processes of 8 lanes"  # as `practicum run` does on two cores
FLOORS = {"hand": 3, "Lightning": 10, "skorch": 6, "Keras": 14, "scikit-learn": 2.5}

Trained = tuple[float, int, float]  # seconds, steps of all seeds, test accuracy in percent


def data() -> tuple[Any, Any, Any, Any]:
    """Return x_train, y_train, x_test, y_test as arrays, x in 0 .. 1."""
    import numpy as np
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype("float32"), y[order].astype("int64")
    return x[:N_TRAIN], y[:N_TRAIN], x[N_TRAIN:], y[N_TRAIN:]


def tensors() -> tuple[Any, Any, Any, Any]:
    import torch

    return tuple(torch.from_numpy(one) for one in data())  # type: ignore[return-value]  # four


def network() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Linear(64, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, 10),
    )


def percent(network: Any, x: Any, y: Any) -> float:
    return 100 * (network(x).argmax(1) == y).double().mean().item()


def hand(seeds: Sequence[int], steps: int = STEPS) -> Trained:
    import torch
    import torch.nn.functional as F

    x, y, x_test, y_test = tensors()
    seconds, accuracy = 0.0, 0.0
    for seed in seeds:
        began = time.perf_counter()
        torch.manual_seed(seed)
        net = network()
        optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
        done = 0
        while done < steps:
            for index in torch.randperm(len(x)).split(BATCH):
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x[index]), y[index])
                loss.backward()
                optimizer.step()
                loss.item()
                done += 1
                if done == steps:
                    break
        seconds += time.perf_counter() - began
        accuracy += percent(net, x_test, y_test) / len(seeds)
    return seconds, len(seeds) * steps, accuracy


def practicum(seeds: Sequence[int], path: str, steps: int = STEPS) -> Trained:
    from practicum.engine.arithmetic import Arithmetic
    from practicum.engine.fit import fit
    from practicum.engine.optimizers import Adam
    from practicum.engine.services import Services
    from practicum.learning.supervised import cross_entropy

    x, y, x_test, y_test = tensors()
    services = Services(
        arithmetic=Arithmetic(path=path, lane_group=len(seeds) if path == "lanes" else 1)  # type: ignore[arg-type]  # one of the two
    )
    began = time.perf_counter()
    trained = fit(
        network,
        loss=cross_entropy,
        optimizer=Adam(lr=RATE),
        data=(x, y),
        batch_size=BATCH,
        steps=steps,
        seeds=seeds,
        services=services,
    )
    seconds = time.perf_counter() - began
    nets = [one["network"].eval() for one in trained.networks]
    accuracy = sum(percent(net, x_test, y_test) for net in nets) / len(seeds)
    return seconds, len(seeds) * steps, accuracy


def lanes(seeds: Sequence[int]) -> Trained:
    practicum(seeds, "lanes", 3)
    return practicum(seeds, "lanes")


def loop(seeds: Sequence[int]) -> Trained:
    practicum(seeds[:1], "loop", 3)
    return practicum(seeds, "loop")


def workers(seeds: Sequence[int]) -> Trained:
    """Half of the seeds in each of two processes of one thread, as a run does it."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(3), context.Queue()
    halves = [list(seeds[0::2]), list(seeds[1::2])]
    processes = [context.Process(target=_worker, args=(h, barrier, answers)) for h in halves]
    for one in processes:
        one.start()
    barrier.wait()
    began = time.perf_counter()
    found = [answers.get() for _ in processes]
    seconds = time.perf_counter() - began
    for one in processes:
        one.join()
    return seconds, sum(steps for steps, _ in found), sum(right for _, right in found) / 2


def _worker(seeds: list[int], barrier: Any, answers: Any) -> None:
    import torch

    torch.set_num_threads(1)
    practicum(seeds, "lanes", 3)
    barrier.wait()
    _, steps, accuracy = practicum(seeds, "lanes")
    answers.put((steps, accuracy))


def lightning(seeds: Sequence[int]) -> Trained:
    import logging

    import lightning as L
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    x, y, x_test, y_test = tensors()

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: Any, number: int) -> Any:
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=RATE, fused=True)

    def once(seed: int, epochs: int) -> tuple[float, Any]:
        began = time.perf_counter()
        L.seed_everything(seed, verbose=False)
        module = Module()
        trainer = L.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader(TensorDataset(x, y), BATCH, shuffle=True))
        return time.perf_counter() - began, module.net.eval()

    once(0, 1)
    runs = [once(seed, EPOCHS) for seed in seeds]
    return _mean(runs, lambda net: percent(net, x_test, y_test))


def skorch(seeds: Sequence[int]) -> Trained:
    import torch
    from skorch import NeuralNetClassifier

    x, y, x_test, y_test = data()

    def once(seed: int, epochs: int) -> tuple[float, Any]:
        began = time.perf_counter()
        torch.manual_seed(seed)
        net = NeuralNetClassifier(
            network(),
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            optimizer__fused=True,
            lr=RATE,
            batch_size=BATCH,
            max_epochs=epochs,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        )
        net.fit(x, y)
        return time.perf_counter() - began, net

    once(0, 1)
    runs = [once(seed, EPOCHS) for seed in seeds]
    return _mean(runs, lambda net: 100 * float((net.predict(x_test) == y_test).mean()))


def keras(seeds: Sequence[int]) -> Trained:
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras as K

    x, y, x_test, y_test = data()

    def once(seed: int, epochs: int) -> tuple[float, Any]:
        began = time.perf_counter()
        K.utils.set_random_seed(seed)
        net = K.Sequential(
            [
                K.layers.Input((64,)),
                K.layers.Dense(HIDDEN, activation="relu"),
                K.layers.Dense(HIDDEN, activation="relu"),
                K.layers.Dense(10),
            ]
        )
        loss = K.losses.SparseCategoricalCrossentropy(from_logits=True)
        net.compile(optimizer=K.optimizers.Adam(RATE), loss=loss)
        net.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
        return time.perf_counter() - began, net

    once(0, 1)
    runs = [once(seed, EPOCHS) for seed in seeds]
    return _mean(
        runs, lambda net: 100 * float((net.predict(x_test, verbose=0).argmax(1) == y_test).mean())
    )


def scikit_learn(seeds: Sequence[int]) -> Trained:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    x, y, x_test, y_test = data()

    def once(seed: int, epochs: int) -> tuple[float, Any]:
        began = time.perf_counter()
        net = MLPClassifier(
            (HIDDEN, HIDDEN),
            batch_size=BATCH,
            learning_rate_init=RATE,
            alpha=0,
            max_iter=epochs,
            n_iter_no_change=epochs + 1,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are fixed
            net.fit(x, y)
        return time.perf_counter() - began, net

    once(0, 1)
    runs = [once(seed, EPOCHS) for seed in seeds]
    return _mean(runs, lambda net: 100 * net.score(x_test, y_test))


def _mean(runs: Sequence[tuple[float, Any]], score: Callable[[Any], float]) -> Trained:
    seconds = sum(one for one, _ in runs)
    return seconds, STEPS * len(runs), sum(score(net) for _, net in runs) / len(runs)


# name on the command line: (name in the table, function, seeds, thread counts tried)
CONTENDERS: dict[str, tuple[str, Callable[[Sequence[int]], Trained], int, tuple[int, ...]]] = {
    "lanes": ("practicum, 16 lanes, one process", lanes, SEEDS, (1,)),
    "workers": (OURS, workers, SEEDS, (1,)),
    "loop": ("practicum, loop", loop, HAND_SEEDS, (1,)),
    "hand": ("hand", hand, HAND_SEEDS, (1, 2)),
    "lightning": ("Lightning", lightning, PEER_SEEDS, (1, 2)),
    "skorch": ("skorch", skorch, PEER_SEEDS, (1, 2)),
    "keras": ("Keras", keras, PEER_SEEDS, (1, 2)),
    "scikit-learn": ("scikit-learn", scikit_learn, PEER_SEEDS, (1, 2)),
}


def contend(key: str, threads: int) -> int:
    """Run one contender in this process and print its answer."""
    _, function, seeds, _ = CONTENDERS[key]
    if key in ("lightning", "skorch", "keras") and importlib.util.find_spec(key) is None:
        return harness.MISSING
    import torch

    torch.set_num_threads(threads)
    if key == "hand":
        hand([0], 5)
    warnings.simplefilter("ignore")
    harness.answer(*function(range(seeds)))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS))
    parser.add_argument("--contender", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        return contend(given.contender, given.threads)
    asked = given.only or list(CONTENDERS)
    contenders = [
        harness.Contender(
            CONTENDERS[key][0],
            [sys.executable, "-m", "benchmarks.digits", "--contender", key],
            CONTENDERS[key][3],
        )
        for key in CONTENDERS
        if key in asked or key == "workers"
    ]
    results = harness.compare(contenders, given.repeats)
    print(harness.table(results, OURS, FLOORS))
    if "hand" in results and "practicum, loop" in results and not results["hand"].problem:
        over = harness.ratios(results["practicum, loop"], results["hand"])
        print(f"\nOne seed, the loop against the hand-written one: {harness.span(over)} times.")
    path = harness.write("digits", results, OURS, epochs=EPOCHS, steps=STEPS, floors=FLOORS)
    harness.say(f"every run is in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
