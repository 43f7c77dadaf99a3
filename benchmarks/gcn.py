"""A graph convolutional network on Cora, ten seeds: ours in lanes against torch_geometric's.

Both train the network of Kipf and Welling with the paper's settings: 16 hidden units, dropout of
one half on features and hidden units, Adam at 0.01, squared weights of the first layer, 200 updates
on the public split's 140 labels. Seed for seed they begin at the same weights and draw the same
masks, so that their accuracies agree within `MARGIN`; features are sparse on both sides, and each
computes A^ once. torch_geometric trains seed after seed, with its two ways of adding up neighbours
(`edges` gathers and scatters, `matrix` multiplies with a sparse matrix); every number of threads
from one to all cores is tried, and the best counts. Ours are ten lanes in one process, or as many
worker processes as there are cores, each with its share of the lanes. Several threads are tried
twice on both sides: as they come, spinning while they wait for work, and asleep meanwhile
(OMP_WAIT_POLICY=passive), which leaves the cores to the threads that draw masks.

What counts is training: from the graph in memory to the tested networks, tracing of lanes and the
start of workers included. Start-up, imports (torch's optimizers import much at their first use) and
loading are in the other column.

Without Cora (PRACTICUM_DATA or the cache) a planted graph of its size stands in.
"""

from __future__ import annotations

import importlib
import os
import time
import warnings
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Floor, Result, Run, cores, fresh, interleaved, median, spread

if TYPE_CHECKING:
    from torch import Tensor, nn

    from practicum.labs.graphs.gcn.data import Nodes

FLOOR = 4.0
MARGIN = 0.5  # points of the mean test accuracy, between contenders
HIDDEN, DROPOUT, DECAY, RATE = 16, 0.5, 5e-4, 0.01
STEPS, SEEDS = 200, 10
WAYS = ("edges", "matrix")


@cache
def data(small: bool) -> tuple[Nodes, str]:
    """Return the graph, and what it is."""
    from practicum.errors import PracticumError
    from practicum.labs.graphs.gcn.data import Planted, planted, registered

    if not small:
        try:
            return registered("cora"), "Cora"
        except PracticumError:
            pass
    size, words = (140, 49) if small else (2708, 1433)
    which = Planted(
        nodes=size, degree=4.0, homophily=0.81, words=words, length=18, topical=0.25, draw=0
    )
    parts = {"labels": 5, "validation": 20, "test": 40}
    if not small:
        parts = {"labels": 20, "validation": 500, "test": 1000}
    return planted(which, **parts), "made up: a planted graph"


def ours(*, seeds: int, steps: int, workers: int = 1, small: bool = False) -> dict[str, Any]:
    """Train all seeds in lanes; return test accuracies in percent and seconds.

    One worker is this process. Of several, each trains its share of the seeds in lanes, in a
    process of its own; starting them, with their imports and loading, counts as training.
    """
    import torch
    import torch._dynamo

    from practicum.engine.workers import Task, run_tasks

    for needed in ("practicum.engine.lanes", "practicum.labs.graphs.gcn.learning"):
        importlib.import_module(needed)  # before the clock starts

    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    data(small)
    began = time.perf_counter()
    if workers == 1:
        found = together(list(range(seeds)), steps, small)
        return {"accuracies": found, "seconds": time.perf_counter() - began}
    accuracies = [0.0] * seeds

    def keep(task: Task, values: list[float]) -> None:
        for seed, value in zip(task.arguments["seeds"], values, strict=True):
            accuracies[seed] = value

    tasks = [
        Task(
            name=f"worker {i}",
            function="benchmarks.gcn:together",
            arguments={"seeds": list(range(i, seeds, workers)), "steps": steps, "small": small},
        )
        for i in range(workers)
    ]
    run_tasks(tasks, on_done=keep, workers=workers, threads=1)
    return {"accuracies": accuracies, "seconds": time.perf_counter() - began}


def together(seeds: list[int], steps: int, small: bool) -> list[float]:
    """Train some seeds as one group of lanes, in whatever process this is; return accuracies."""
    from practicum.engine.arithmetic import Arithmetic
    from practicum.engine.services import Services
    from practicum.labs.graphs.gcn.learning import accuracy, fit_nodes, seen, surroundings
    from practicum.nn.gcn import GCN

    nodes, _ = data(small)
    services = Services(arithmetic=Arithmetic(path="lanes", lane_group=len(seeds)))
    graph = surroundings(nodes, nodes.edges, services)
    ran = fit_nodes(
        graph,
        lambda seed: nodes.public,
        seeds,
        services,
        hidden=HIDDEN,
        dropout=DROPOUT,
        decay=DECAY,
        rate=RATE,
        steps=steps,
        points=1,
    )
    found = []
    for networks in ran.networks:
        network = networks["network"]
        assert isinstance(network, GCN)
        said = seen(network, graph)[1].argmax(1)
        found.append(float(accuracy(said, graph.y, nodes.public.test)))
    return found


def theirs(*, way: str, seeds: int, steps: int, small: bool = False) -> dict[str, Any]:
    """Train seed after seed with torch_geometric; return test accuracies and seconds."""
    import torch
    import torch._dynamo
    import torch.nn.functional as F

    from practicum.engine.seeds import streams
    from practicum.labs.graphs.gcn.learning import accuracy

    importlib.import_module("torch_geometric.nn")
    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    nodes, _ = data(small)
    parts, features = nodes.public, nodes.x.shape[1]
    began = time.perf_counter()
    warnings.filterwarnings("ignore", message="Sparse ")  # CSR is in beta, nothing is checked
    x = nodes.x.to_sparse_csr()
    found = []
    for seed in range(seeds):
        network = peer(seed, features, nodes.classes)
        edges = neighbours(nodes, way)
        groups: list[dict[str, Any]] = [
            {"params": network.get_submodule("first").parameters(), "weight_decay": DECAY},
            {"params": network.get_submodule("second").parameters()},
        ]
        optimizer = torch.optim.Adam(groups, lr=RATE, fused=True)
        with streams(seed).noise():
            for _ in range(steps):
                optimizer.zero_grad()
                logits = network(x, edges)
                loss = F.cross_entropy(logits[parts.train], nodes.y[parts.train])
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
                optimizer.step()
        with torch.no_grad():
            said = network.eval()(x, edges).argmax(1)
        found.append(float(accuracy(said, nodes.y, parts.test)))
    return {"accuracies": found, "seconds": time.perf_counter() - began}


def neighbours(nodes: Nodes, way: str) -> Tensor:
    """Return the edges as torch_geometric takes them."""
    import torch

    if way == "edges":
        return nodes.edges
    n = len(nodes.y)
    ones = torch.ones(nodes.edges.shape[1])
    return torch.sparse_coo_tensor(nodes.edges, ones, (n, n)).to_sparse_csr()


def peer(seed: int, features: int, classes: int) -> nn.Module:
    """Return torch_geometric's network at the weights where ours begins."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    from practicum.engine.seeds import streams
    from practicum.nn.gcn import GCN

    convolution = importlib.import_module("torch_geometric.nn").GCNConv

    class Peer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = convolution(features, HIDDEN, cached=True, bias=False)
            self.second = convolution(HIDDEN, classes, cached=True, bias=False)

        def forward(self, x: Tensor, edges: Tensor) -> Tensor:
            values = F.dropout(x.values(), DROPOUT, self.training)
            x = torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape)
            h = F.dropout(self.first(x, edges).relu(), DROPOUT, self.training)
            out: Tensor = self.second(h, edges)
            return out

    with streams(seed).init():
        start = GCN(features, HIDDEN, classes)
    network = Peer()
    with torch.no_grad():
        network.first.lin.weight.copy_(start.first.weight.T)
        network.second.lin.weight.copy_(start.second.weight.T)
    return network


def run(*, repeats: int | None = None, quick: bool = False) -> Result:
    """Measure.

    Raises:
        RuntimeError: the contenders do not reach the same accuracy.
    """
    work: dict[str, Any] = {"seeds": 2, "steps": 5} if quick else {"seeds": SEEDS, "steps": STEPS}
    work["small"] = quick
    repeats = repeats or (1 if quick else 5)
    counts = range(1, cores() + 1)
    kinds = [(1, False), *((n, asleep) for n in counts[1:] for asleep in (False, True))]
    us = {f"practicum, lanes, {_threads(*kind)}": (1, *kind) for kind in kinds}
    if cores() > 1:
        us[f"practicum, lanes, {cores()} workers of one thread"] = (cores(), 1, False)
    them = {
        f"torch_geometric, {way}, {_threads(*kind)}": (way, *kind) for way in WAYS for kind in kinds
    }
    contenders = {
        name: partial(_started, "ours", {**work, "workers": count}, n, asleep)
        for name, (count, n, asleep) in us.items()
    } | {
        name: partial(_started, "theirs", {**work, "way": way}, n, asleep)
        for name, (way, n, asleep) in them.items()
    }
    runs = interleaved(contenders, repeats=repeats, say=print)
    seconds = {name: [one.answer["seconds"] for one in found] for name, found in runs.items()}
    means = {name: _mean(found[0].answer["accuracies"]) for name, found in runs.items()}
    if max(means.values()) - min(means.values()) > MARGIN:
        raise RuntimeError(f"the contenders do not reach the same accuracy: {means}")
    mine, best = (min(names, key=lambda name: median(seconds[name])) for names in (us, them))
    times = {
        name: [a / b for a, b in zip(found, seconds[mine], strict=True)]
        for name, found in seconds.items()
    }
    _, source = data(quick)
    return Result(
        name="gcn",
        title="GCN, ten seeds on Cora" if not quick else "GCN (quick)",
        what=(
            f"{source}, {work['steps']} updates on all labelled nodes, {work['seeds']} seeds, "
            "sparse features on both sides, the same initial weights and masks."
        ),
        columns=["contender", "seconds of training", "seconds in all", "processor seconds"]
        + ["MiB at the peak", "accuracy %", "training / ours"],
        rows=[
            [
                name,
                median(seconds[name]),
                median([one.wall for one in found]),
                median([one.processor for one in found]),
                median([one.memory or 0 for one in found]) or None,
                round(means[name], 2),
                spread(times[name]),
            ]
            for name, found in runs.items()
        ],
        floors=[
            Floor(
                text=f"times the speed of torch_geometric at its best ({best.split(', ', 1)[1]})",
                bound=FLOOR,
                measured=median(times[best]),
            )
        ],
        settings={**work, "repeats": repeats, "data": source, "hidden": HIDDEN, "decay": DECAY},
        runs={
            name: [
                {"wall": one.wall, "processor": one.processor, "memory": one.memory} | one.answer
                for one in found
            ]
            for name, found in runs.items()
        },
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _started(function: str, work: dict[str, Any], threads: int, asleep: bool) -> Run:
    """Run a contender whose threads spin or sleep while they wait for work."""
    before = os.environ.pop("OMP_WAIT_POLICY", None)
    if asleep:
        os.environ["OMP_WAIT_POLICY"] = "passive"  # read when torch is loaded
    try:
        return fresh(f"benchmarks.gcn:{function}", work, threads=threads)
    finally:
        os.environ.pop("OMP_WAIT_POLICY", None)
        if before is not None:
            os.environ["OMP_WAIT_POLICY"] = before


def _threads(n: int, asleep: bool) -> str:
    return "one thread" if n == 1 else f"{n} threads" + ", asleep while they wait" * asleep
