"""Graphs: Zachary's karate club, always at hand, and Cora with the Planetoid split.

karate: the friendships of Zachary 1977, members numbered from 0 (0 is the instructor,
33 the administrator), and the faction that each joined after the club split. As in semi-supervised
studies the two leaders' labels are for training and all others for the test: our choice, the paper
has no split. A member has no features of its own: x is the identity.

cora: words present or not (0 or 1; normalising rows is left to the user) and the public split.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from practicum.data.cards import Card, card
from practicum.data.dataset import digest
from practicum.data.store import content

_INSTRUCTORS = frozenset((*range(9), 10, 11, 12, 13, 16, 17, 19, 21))

_FRIENDS = {
    0: (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31),
    1: (2, 3, 7, 13, 17, 19, 21, 30),
    2: (3, 7, 8, 9, 13, 27, 28, 32),
    3: (7, 12, 13),
    4: (6, 10),
    5: (6, 10, 16),
    6: (16,),
    8: (30, 32, 33),
    9: (33,),
    13: (33,),
    14: (32, 33),
    15: (32, 33),
    18: (32, 33),
    19: (33,),
    20: (32, 33),
    22: (32, 33),
    23: (25, 27, 29, 32, 33),
    24: (25, 27, 31),
    25: (31,),
    26: (29, 33),
    27: (33,),
    28: (31, 33),
    29: (32, 33),
    30: (32, 33),
    31: (32, 33),
    32: (33,),
}
"""Member to friends with a higher number: every friendship once."""

Whole = NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """An undirected graph with a class for every node; the tensors are shared, never change them.

    Attributes:
        card: what the set is.
        x: features of each node.
        y: class of each node.
        edges: the two ends of every edge, each edge once, the smaller node first.
        train: the nodes whose class may be learnt from.
        validation: the nodes for tuning; may be empty.
        test: the nodes that only the final measurement may see.
        sha256: of all the arrays.
        classes: the names of the classes.
    """

    card: Card
    x: Float32[Tensor, "nodes features"]
    y: Int64[Tensor, "nodes"]
    edges: Int64[Tensor, "2 edges"]
    train: Int64[Tensor, "train"]
    validation: Int64[Tensor, "validation"]
    test: Int64[Tensor, "test"]
    sha256: str
    classes: tuple[str, ...]


def load_karate() -> Graph:
    """Return the karate club: 34 members, 78 friendships, 2 factions."""
    pairs = [(one, other) for one, others in _FRIENDS.items() for other in others]
    nodes = np.arange(34)
    return _graph(
        card("karate"),
        features=np.eye(34, dtype=np.float32),
        labels=np.array([0 if node in _INSTRUCTORS else 1 for node in nodes.tolist()]),
        edges=np.array(pairs).T,
        rows=(nodes[[0, 33]], nodes[:0], nodes[1:33]),
        classes=("instructor's", "administrator's"),
    )


def load_cora() -> Graph:
    """Return Cora: 2,708 papers, 5,278 citations, 7 topics, 140/500/1,000 labels."""
    this = card("cora")
    file = next(one for one in this.files if one.path.endswith("cora_planetoid.npz"))
    with np.load(io.BytesIO(content(file, this)), allow_pickle=False) as arrays:
        starts, words = arrays["feature_indptr"], arrays["feature_indices"]
        features = np.zeros((len(starts) - 1, 1433), np.float32)
        features[np.repeat(np.arange(len(starts) - 1), np.diff(starts)), words] = 1
        ends = np.sort(arrays["edges"], axis=1)
        return _graph(
            this,
            features=features,
            labels=arrays["labels"],
            edges=ends.T,
            rows=(arrays["train_index"], arrays["val_index"], arrays["test_index"]),
            classes=(
                "Theory",
                "Reinforcement_Learning",
                "Genetic_Algorithms",
                "Neural_Networks",
                "Probabilistic_Methods",
                "Case_Based",
                "Rule_Learning",
            ),
        )


def _graph(
    this: Card,
    *,
    features: NDArray[np.float32],
    labels: Whole,
    edges: Whole,
    rows: tuple[Whole, Whole, Whole],
    classes: tuple[str, ...],
) -> Graph:
    whole = {
        "y": labels,
        "edges": edges,
        **dict(zip(("train", "validation", "test"), rows, strict=True)),
    }
    whole = {name: np.ascontiguousarray(array, np.int64) for name, array in whole.items()}
    tensors = {name: torch.from_numpy(array) for name, array in whole.items()}
    return Graph(
        card=this,
        x=torch.from_numpy(features),
        sha256=digest({"x": features, **whole}),
        classes=classes,
        **tensors,
    )
