"""The graphs of the lab `gcn`: a planted one, those of `practicum.data`, and a rewired one.

The planted graph is a block model with words, in Cora's proportions. It shows what the lab is
about without a download, and it is no evidence about citations.

Numbering of this file, for n nodes in K classes of equal size and W words:
    (1)  an edge begins at a random node i; with chance `homophily` it ends at a random node
         of i's class, else at a random node of another class; n * degree / 2 edges are drawn
    (2)  a node of class k has `length` words, drawn one by one and kept once: with chance `topical`
         one of the W / K words of class k, else any of the W
    (3)  rewired: the ends of all edges are shuffled and paired anew; loops are dropped and doubles
         merged, so that degrees stay the same but for these

Everything here is drawn from one number, `draw`, and not from a trial's seed: all seeds of a run
look at one graph, as they do with a published data set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.data import load_graph
from practicum.engine.seeds import streams
from practicum.errors import PracticumError
from practicum.labs.splitting import split
from practicum.nn.gcn import both_ways


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Which nodes are for what."""

    train: Int[Tensor, "train"]
    validation: Int[Tensor, "validation"]
    test: Int[Tensor, "test"]


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """A graph as the lab uses it.

    Attributes:
        x: features, each row divided by its sum.
        y: class of each node.
        edges: both directions of every edge, no loops.
        public: the one split that everyone uses.
        name: for messages.
    """

    x: Float[Tensor, "n D"]
    y: Int[Tensor, "n"]
    edges: Int[Tensor, "2 both"]
    public: Parts
    name: str

    @property
    def classes(self) -> int:
        """K."""
        return int(self.y.max()) + 1


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What a planted graph is drawn from; the names are those of the header."""

    nodes: int
    classes: int = 7
    degree: float
    homophily: float
    words: int
    length: int
    topical: float
    draw: int


def registered(name: str) -> Nodes:
    """Return a graph of `practicum.data` with its public split."""
    graph = load_graph(name)
    parts = Parts(train=graph.train, validation=graph.validation, test=graph.test)
    edges = both_ways(graph.edges)
    return Nodes(x=rows_of_one(graph.x), y=graph.y, edges=edges, public=parts, name=name)


def planted(which: Planted, *, labels: int, validation: int, test: int) -> Nodes:
    """Draw a planted graph, and the split that counts as its public one.

    Raises:
        PracticumError: a class has no word of its own, a node asks for more words than there are,
            or the split asks for more nodes than there are.
    """
    own = which.words // which.classes
    if own < 1 or which.length > which.words or which.nodes < 2 * which.classes:
        raise PracticumError(
            f"a planted graph of {which.nodes} nodes in {which.classes} classes with "
            f"{which.length} of {which.words} words each; it needs two nodes and a word for each "
            "class, and no more words a node than there are"
        )
    random = streams(which.draw).numpy("noise")
    y = np.arange(which.nodes) % which.classes
    x = np.zeros((which.nodes, which.words), np.float32)
    size = (which.nodes, which.length)
    topic = y[:, None] * own + random.integers(own, size=size)
    word = np.where(
        random.random(size) < which.topical, topic, random.integers(which.words, size=size)
    )
    x[np.arange(which.nodes)[:, None], word] = 1  # Eq. (2)
    y_n = torch.from_numpy(y)
    parts = drawn(y_n, labels=labels, validation=validation, test=test, seed=which.draw)
    return Nodes(
        x=rows_of_one(torch.from_numpy(x)),
        y=y_n,
        edges=both_ways(torch.from_numpy(_edges(which, y, random))),
        public=parts,
        name="the planted graph",
    )


def _edges(
    which: Planted, y: Int[np.ndarray, "n"], random: np.random.Generator
) -> Int[np.ndarray, "2 E"]:
    """Draw both ends of every edge, Eq. (1)."""
    count = round(which.nodes * which.degree / 2)
    begin = random.integers(which.nodes, size=count)
    same = random.random(count) < which.homophily
    end = np.empty(count, np.int64)
    for i in range(count):
        alike = (y == y[begin[i]]) if same[i] else (y != y[begin[i]])
        end[i] = random.choice(np.flatnonzero(alike))
    return np.stack([begin, end])


def rewired(edges: Int[Tensor, "2 both"], draw: int) -> Int[Tensor, "2 other"]:
    """Return a graph of the same degrees whose edges join random nodes, Eq. (3)."""
    once = edges[:, edges[0] < edges[1]]
    generator = streams(draw).generator("order")
    ends = once.flatten()[torch.randperm(once.numel(), generator=generator)]
    return both_ways(ends.reshape(2, -1))


def rows_of_one(x: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
    """Return the features with rows that sum to 1; a row of zeros stays one."""
    return x / x.sum(1, keepdim=True).clamp(min=1e-12)


def drawn(
    y: Int[Tensor, "n"], *, labels: int, validation: int, test: int, seed: int, name: str = "graph"
) -> Parts:
    """Draw a seed's split: so many labels of every class, and nodes for validation and test.

    Validation and test nodes are those of the seed, whatever the number of labels.

    Raises:
        PracticumError: the graph has too few nodes, or too few of a class.
    """
    held = validation + test
    pool, rest = split(len(y) - held, held, of=len(y), seed=seed, data=name)
    train = []
    for kind in range(int(y.max()) + 1):
        mine = pool[y[pool] == kind]
        if len(mine) < labels:
            raise PracticumError(
                f"{labels} labels of each class, but beside {validation} validation and {test} "
                f"test nodes {name} has {len(mine)} left of class {kind}; lower labels, "
                "validation_size or test_size"
            )
        train.append(mine[:labels])
    return Parts(train=torch.cat(train), validation=rest[test:], test=rest[:test])
