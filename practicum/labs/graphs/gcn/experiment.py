"""A graph convolution classifies nodes from few labels, and only if the graph is the right one.

Question
    How much does a graph add to features when few nodes have a label? Does the gain need both, the
    features and the graph; does it last when labels are many, or when the edges mean nothing?

What would refute it
    The network with the graph is not 20 points better than the same network without it, or not 5
    points better than labels that walk along the edges, on the public split or, for the latter,
    over random ones. The gain does not shrink with three times the labels. With rewired edges the
    network is not worse than without edges. From two labels it does not place 80 % of a karate
    club.

Arms and what is held equal
    gcn, mlp, rewired       a graph of 20 labels a class, the public split; A^ of the graph, of no
                            edges (A^ = I: a network of two layers), of the same graph rewired
    propagation             control: labels walk along the edges, features are not looked at
    gcn random, mlp random, propagation random      the same, each seed with a split of its own
    gcn many, mlp many      the same with 60 labels a class
    karate                  Zachary's club, one label for each faction, no features (x = I)
    Networks share all that is not named: initial weights, dropout's stream, features, labels, test
    nodes, optimizer, number of updates. Labels and features of "rewired" are those of "gcn". Arms
    named "random" and "many" have the same test nodes at a seed.
    Nothing is tuned by the lab. All networks have the paper's settings: 16 hidden units, dropout
    of one half at features and hidden units, squared weights of the first layer times 5e-4 / 2,
    Adam at 0.01, 200 updates on all labelled nodes. The paper stops early by validation loss; here
    the number of updates is fixed, and validation labels choose nothing.

Primary measure
    test_accuracy, percent of the test nodes, after the last update.

Smallest effect that matters
    1 point, beyond the margins that the claims name; 5 for the karate club, where one member
    counts three.

Pitfalls of naive reproductions
    One public split: its luck is in every result, and seeds that only change weights do not show
    it. Validation labels: stopping or tuning by 500 of them uses several times the labels that are
    learnt from. Another split or normalisation than the paper's beside the paper's numbers.
    Features that are not normalised by row. A network without a graph that has other settings.
    The planted graph of the quick scale has Cora's degree, homophily and shares of nodes with a
    label, and words so blurred that the network without a graph gets about as much as on Cora:
    that was set by "mlp random" alone, on the validation nodes of graph draws and seeds that no run
    uses (1000, 1001). What it shows is what a graph with meaning does, not how much a citation
    network has. All seeds of a run share one planted and one rewired graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, higher, interaction, lower
from practicum.labs import figures as draw
from practicum.labs.graphs.gcn.data import (
    Nodes,
    Parts,
    Planted,
    drawn,
    planted,
    registered,
    rewired,
)
from practicum.labs.graphs.gcn.drawing import club, hidden_layers
from practicum.labs.graphs.gcn.learning import accuracy, fit_nodes, seen, surroundings
from practicum.labs.graphs.gcn.propagation import classify, propagate
from practicum.labs.lab import Scale, setting
from practicum.nn.gcn import GCN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "A graph makes up for labels, if its edges mean something"
SOURCE = (
    "Kipf, Welling 2017, Semi-supervised classification with graph convolutional networks, "
    "ICLR, arXiv:1609.02907v4"
)
YEAR = 2017
DATA = ("karate", "cora")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    data: str = setting("", "the graph: karate or cora; empty for a planted one", paper="cora")
    method: str = setting(
        "network", "what classifies the nodes", choices=("network", "propagation")
    )
    edges: str = setting(
        "given", "the edges that it sees", choices=("given", "none", "rewired"), paper="given"
    )
    split: str = setting("public", "who chose the labelled nodes", choices=("public", "random"))
    labels: int = setting(20, "labels of each class in a random split", paper=20, low=1)
    validation_size: int = setting(
        200, "validation nodes of a random split", unit="nodes", paper=500, low=1
    )
    test_size: int = setting(500, "test nodes of a random split", unit="nodes", paper=1000, low=1)
    hidden: int = setting(16, "units of the hidden layer", paper=16, low=1)
    dropout: float = setting(
        0.5, "chance to drop a feature or hidden unit", paper=0.5, low=0, high=0.95
    )
    decay: float = setting(5e-4, "weight decay of the first layer", paper=5e-4, low=0)
    rate: float = setting(0.01, "learning rate of Adam", paper=0.01, low=0)
    steps: int = setting(200, "updates", unit="updates", paper=200, low=1)
    points: int = setting(10, "evaluations on the way", low=1)
    draw: int = setting(0, "number from which planted and rewired edges are drawn", low=0)
    nodes: int = setting(1400, "nodes of the planted graph", unit="nodes", low=14)
    degree: float = setting(4.0, "mean number of neighbours in it", low=0.1)
    homophily: float = setting(0.81, "chance that an edge of it joins one class", low=0, high=1)
    words: int = setting(490, "features of its nodes", low=7)
    length: int = setting(18, "words drawn for a node", low=1)
    topical: float = setting(0.25, "chance that one of them is of the class", low=0, high=1)


ARMS = {
    "gcn": Setup(),
    "mlp": Setup(edges="none"),
    "rewired": Setup(edges="rewired"),
    "propagation": Setup(method="propagation"),
    "gcn random": Setup(split="random"),
    "mlp random": Setup(split="random", edges="none"),
    "propagation random": Setup(split="random", method="propagation"),
    "gcn many": Setup(split="random", labels=60),
    "mlp many": Setup(split="random", labels=60, edges="none"),
    "karate": Setup(data="karate"),
}

MEASURES = (
    Measure(
        "test_accuracy",
        unit="%",
        better="higher",
        says="test nodes classified after the last update",
        diverged=0.0,
    ),
    Measure(
        "validation_accuracy",
        unit="%",
        better="higher",
        says="validation nodes classified, over updates; it chooses nothing",
        diverged=0.0,
    ),
    Measure("stored", unit="%", better="neither", says="entries of the features that are not zero"),
)

CLAIMS = (
    higher(
        "test_accuracy",
        "gcn",
        than="mlp",
        by=20.0,
        matters=1.0,
        sentence="With 20 labels a class, a graph convolution is more than 20 points better than "
        "the same network without the graph.",
    ),
    higher(
        "test_accuracy",
        "gcn",
        than="propagation",
        by=5.0,
        matters=1.0,
        sentence="It is more than 5 points better than label propagation, which has no features.",
    ),
    higher(
        "test_accuracy",
        "gcn random",
        than="propagation random",
        by=5.0,
        matters=1.0,
        sentence="So it is over random splits, by more than 5 points.",
    ),
    interaction(
        "test_accuracy",
        neither="mlp random",
        first="gcn random",
        second="mlp many",
        both="gcn many",
        at_most=0.0,
        matters=1.0,
        sentence="With three times the labels the graph adds less.",
    ),
    lower(
        "test_accuracy",
        "rewired",
        than="mlp",
        matters=1.0,
        sentence="Rewired at random, the graph is worse than none.",
    ),
    higher(
        "test_accuracy",
        "karate",
        than=80.0,
        matters=5.0,
        sentence="From the labels of its two leaders, more than 80 % of a karate club are placed.",
    ),
)

_TINY = {"nodes": 140, "labels": 3, "words": 49, "length": 8}
_CORA = {"data": "cora", "karate.data": "karate", "validation_size": 500, "test_size": 1000}
SCALES = {
    "smoke": Scale(
        seeds=2,
        set={**_TINY, "validation_size": 20, "test_size": 40, "steps": 8, "points": 2, "hidden": 4},
    ),
    "quick": Scale(seeds=10),
    "full": Scale(seeds=20, set=_CORA),
    "paper": Scale(seeds=100, set=_CORA),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Classify the nodes of one graph once for every seed."""
    nodes = nodes_of(setup)
    parts = {seed: parts_of(setup, nodes, seed) for seed in seeds}
    stored = torch.full((len(seeds),), 100 * float((nodes.x != 0).double().mean()))
    if setup.method == "propagation":
        found = [walked(setup, nodes, parts[seed], services) for seed in seeds]
        return Measurements(values={"test_accuracy": torch.stack(found), "stored": stored})

    graph = surroundings(nodes, edges_of(setup, nodes), services)
    ran = fit_nodes(
        graph,
        parts.__getitem__,
        seeds,
        services,
        hidden=setup.hidden,
        dropout=setup.dropout,
        decay=setup.decay,
        rate=setup.rate,
        steps=setup.steps,
        points=setup.points,
    )
    test_accuracy, kept = [], []
    for seed, networks, weights in zip(seeds, ran.networks, ran.weights(), strict=True):
        network = networks["network"]
        assert isinstance(network, GCN)
        hidden, logits = seen(network, graph)
        test_accuracy.append(accuracy(logits.argmax(1), graph.y, parts[seed].test))
        kept.append({**weights, "hidden": hidden, "logits": logits, "classes": graph.y})
    curve = {name: one for name, one in ran.curves.items() if name != "loss"}
    return Measurements(
        values={"test_accuracy": torch.stack(test_accuracy), "stored": stored, **curve},
        diverged=ran.diverged,
        steps=dict.fromkeys(curve, ran.steps),
        weights=tuple(kept),
    )


def nodes_of(setup: Setup) -> Nodes:
    """Return the graph that a setup names, or draw the planted one."""
    if setup.data:
        return registered(setup.data)
    which = Planted(
        nodes=setup.nodes,
        degree=setup.degree,
        homophily=setup.homophily,
        words=setup.words,
        length=setup.length,
        topical=setup.topical,
        draw=setup.draw,
    )
    return planted(
        which, labels=setup.labels, validation=setup.validation_size, test=setup.test_size
    )


def parts_of(setup: Setup, nodes: Nodes, seed: int) -> Parts:
    """Return which nodes a seed learns from, and which it is tested on."""
    if setup.split == "public":
        return nodes.public
    return drawn(
        nodes.y,
        labels=setup.labels,
        validation=setup.validation_size,
        test=setup.test_size,
        seed=seed,
        name=nodes.name,
    )


def edges_of(setup: Setup, nodes: Nodes) -> Tensor:
    """Return the edges that an arm sees, both directions of each."""
    if setup.edges == "none":
        return nodes.edges[:, :0]
    return rewired(nodes.edges, setup.draw) if setup.edges == "rewired" else nodes.edges


def walked(setup: Setup, nodes: Nodes, parts: Parts, services: Services) -> Tensor:
    """Return the test accuracy of label propagation."""
    if services.poll is not None:
        services.poll()
    known = nodes.y[parts.train]
    f = propagate(
        edges_of(setup, nodes), parts.train, known, nodes=len(nodes.y), kinds=nodes.classes
    )
    return accuracy(classify(f, known), nodes.y, parts.test)


def figures(record: Record) -> dict[str, Figure]:
    """Draw accuracies, what the hidden layers hold, the karate club, and accuracy over updates."""
    networks = [arm for arm in record.arms if "propagation" not in arm and arm != "karate"]
    return {
        "Test accuracy of every seed; lines join the arms of one seed": draw.dots(
            record, "test_accuracy"
        ),
        "Two main directions of the hidden layer, one mark for each node, by class": hidden_layers(
            record, [arm for arm in ("gcn", "mlp", "rewired") if arm in record.arms]
        ),
        "The karate club: colours and shapes are factions, the leaders are large, rings mark "
        "members in the wrong one": club(record, "karate"),
        "Validation accuracy while training, mean and 95 % interval": draw.curves(
            record, "validation_accuracy", arms=networks, x_label="updates", each_seed=False
        ),
    }
