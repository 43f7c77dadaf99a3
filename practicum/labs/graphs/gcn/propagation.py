"""Label propagation: labels walk along the edges, features are not looked at.

Papers: X. Zhu and Z. Ghahramani, "Learning from labeled and unlabeled data with label
propagation", CMU-CALD-02-107, 2002 (the iteration). X. Zhu, Z. Ghahramani and J. Lafferty,
"Semi-supervised learning using Gaussian fields and harmonic functions", ICML 2003 (what it
converges to).

Numbering of this file, for a graph A without loops, D_ii = sum over j of A_ij, unlabelled nodes U
and labelled ones L:
    (1)  P = D^-1 A
    (2)  F <- P F                                  each node takes the mean of its neighbours
    (3)  F_L <- Y_L                                labelled nodes are clamped to their class
    (4)  F_U = (D_UU - A_UU)^-1 A_UL Y_L           where (2) and (3), repeated, end

F_ik is the chance that a random walk from node i meets class k first, so it needs no step size and
no learning rate.

Shapes: n nodes, K classes.

What the papers do not settle: every edge weighs 1. A node that no label can reach has F = 0; it
gets the class that most labelled nodes have (the first of several).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.nn.sparse import Sparse


def propagate(
    edges: Int[Tensor, "2 E"],
    labelled: Int[Tensor, "labelled"],
    classes: Int[Tensor, "labelled"],
    *,
    nodes: int,
    kinds: int,
    tolerance: float = 1e-7,
    sweeps: int = 5000,
) -> Float[Tensor, "n K"]:
    """Return F, rows that sum to 1 where a label can reach the node and to 0 elsewhere.

    Args:
        edges: both directions of every edge, no loops.
        labelled: the nodes of L.
        classes: the class of each of them.
        nodes: n.
        kinds: K.
        tolerance: largest change of an entry in one sweep at which the iteration ends.
        sweeps: sweeps at most.
    """
    ones = torch.ones(edges.shape[1], dtype=torch.float64)
    degree = torch.zeros(nodes, dtype=torch.float64).index_add(0, edges[0], ones)
    p = Sparse.of(edges, ones / degree[edges[0]], (nodes, nodes))  # Eq. (1)
    clamped = torch.nn.functional.one_hot(classes, kinds).double()
    f_nK = torch.zeros(nodes, kinds, dtype=torch.float64)
    f_nK[labelled] = clamped
    for _ in range(sweeps):
        after = p @ f_nK  # Eq. (2)
        after[labelled] = clamped  # Eq. (3)
        change = float((after - f_nK).abs().max())
        f_nK = after
        if change < tolerance:
            break
    # What has not arrived yet when the iteration ends is shared out in proportion.
    total = f_nK.sum(1, keepdim=True)
    return torch.where(total > 0, f_nK / total.clamp(min=1e-300), 0.0)


def classify(f: Float[Tensor, "n K"], classes: Int[Tensor, "labelled"]) -> Int[Tensor, "n"]:
    """Return each node's class: the largest entry of its row, or the usual class without one."""
    usual = torch.bincount(classes, minlength=f.shape[1]).argmax()
    return torch.where(f.sum(1) > 0, f.argmax(1), usual)
