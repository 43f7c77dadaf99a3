"""How the lab `gcn` trains: all labelled nodes in every update, the whole graph around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Batch, Networks, Update
from practicum.labs.graphs.gcn.data import Nodes, Parts
from practicum.nn.gcn import GCN, propagation
from practicum.nn.sparse import Sparse


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What every update sees of a graph.

    Attributes:
        x: features, only those that are not zero.
        y: class of each node.
        adjacency: A^ of the graph that the arm uses.
    """

    x: Sparse
    y: Int[Tensor, "n"]
    adjacency: Sparse


def surroundings(nodes: Nodes, edges: Int[Tensor, "2 E"], services: Services) -> Surroundings:
    """Place a graph's nodes on the device, joined by the given edges."""
    x, y, edges = services.place(nodes.x, nodes.y, edges)
    adjacency = propagation(edges, len(y), dtype=services.dtype)
    return Surroundings(x=Sparse.of_dense(x), y=y, adjacency=adjacency)


def fit_nodes(
    graph: Surroundings,
    parts: Callable[[int], Parts],
    seeds: Sequence[int],
    services: Services,
    *,
    hidden: int,
    dropout: float,
    decay: float,
    rate: float,
    steps: int,
    points: int,
) -> Trained:
    """Train a network of two graph convolutions on each seed's labelled nodes.

    The loss is the mean cross-entropy of the labelled nodes plus decay / 2 times the sum of the
    squared weights of the first layer; its gradient is what Adam's `weight_decay` adds, but there
    for the first layer only, as in the paper.
    """

    def loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        network = networks["network"]
        rows, classes = batch
        logits = network(graph.x, graph.adjacency)[rows]
        squares = _first(network).square().sum()
        return F.cross_entropy(logits, classes) + decay / 2 * squares, {}

    def evaluate(networks: Networks, seed: int) -> Mapping[str, Tensor]:
        held = parts(seed).validation
        if not len(held):
            return {}
        logits = networks["network"](graph.x, graph.adjacency)
        return {"validation_accuracy": accuracy(logits.argmax(1), graph.y, held)}

    features, classes = graph.x.shape[1], int(graph.y.max()) + 1
    recipe = Recipe(
        networks={"network": lambda: GCN(features, hidden, classes, dropout=dropout)},
        optimizers={"main": Trains(spec=Adam(lr=rate), networks=("network",))},
        updates=(Update(loss=loss),),
        data=(torch.arange(len(graph.y)), graph.y),
        rows=lambda seed: parts(seed).train,
        batch_size=len(parts(seeds[0]).train),
        steps=steps,
        evaluate=evaluate,
        every=max(1, steps // points),
    )
    return train(recipe, seeds, services)


def _first(network: Callable[..., Tensor]) -> Tensor:
    """Return W0 of a network, in lanes as in the loop."""
    weight: Tensor = network.first.weight  # type: ignore[attr-defined]  # lanes hand the module too
    return weight


def accuracy(
    said: Int[Tensor, "n"], y: Int[Tensor, "n"], rows: Int[Tensor, "rows"]
) -> Float[Tensor, ""]:
    """Return the share of some nodes whose class was said rightly, in percent."""
    return 100 * (said[rows] == y[rows]).double().mean()


def seen(network: GCN, graph: Surroundings) -> tuple[Float[Tensor, "n H"], Float[Tensor, "n K"]]:
    """Return the hidden representation of every node, and the logits."""
    with torch.no_grad():
        network.eval()
        hidden = torch.relu(network.first(graph.x, graph.adjacency))
        return hidden, network(graph.x, graph.adjacency)
