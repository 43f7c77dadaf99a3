"""Graph convolution: each node's features are mixed with its neighbours', then mapped linearly.

Paper: T. N. Kipf and M. Welling, "Semi-supervised classification with graph convolutional
networks", ICLR 2017, arXiv:1609.02907v4. Numbers are the paper's.

Equations:
    (2)  H' = f(D~^-1/2 A~ D~^-1/2 H W),    A~ = A + I,   D~_ii = sum over j of A~_ij
    (9)  Z = A^ relu(A^ X W0) W1,           A^ = D~^-1/2 A~ D~^-1/2
         (the softmax of the paper's Eq. (9) is left to the loss, practicum.learning.supervised)

Shapes: n nodes, E edges, D features, H hidden units, K classes.

What a graph may look like, and what happens:
    - An edge (s, t) carries from node s to node t: A_ts = 1. A graph without directions has each
      edge both ways (`both_ways`). The paper has no other; for a directed graph D~_ii counts the
      edges that arrive at i, and both factors D~^-1/2 use that count.
    - An edge that is given twice counts twice.
    - Loops in the data are dropped before I is added, so every node sees itself with weight 1.
    - A node without edges sees only itself: A^_ii = 1.
    This is what GCNConv of torch_geometric does with unit weights.

Deviations from the paper:
    1. Dropout is on the inputs of both layers, as in the experiments of the paper's section 5.2;
       in sparse features only stored entries are dropped, which is the same because the others
       are zero. Kept entries are scaled by 1 / (1 - p).
    2. A bias after each convolution is offered; Eq. (9) has none, and neither has the default.

Cost: (E + n) H + nonzero(X) H in the first layer, n H K + (E + n) K in the second.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.sparse import Sparse


def both_ways(edges: Int[Tensor, "2 E"]) -> Int[Tensor, "2 both"]:
    """Return a graph without directions: each edge both ways once, loops dropped."""
    kept = edges[:, edges[0] != edges[1]]
    both: Tensor = torch.unique(torch.cat((kept, kept.flip(0)), dim=1), dim=1)
    return both


def propagation(
    edges: Int[Tensor, "2 E"], nodes: int, *, dtype: torch.dtype = torch.float32
) -> Sparse:
    """Return the normalised adjacency matrix A^ of Eq. (2), computed once for a graph.

    Args:
        edges: sources in the first row, targets in the second.
        nodes: n.
        dtype: precision of the entries.

    Raises:
        PracticumError: an edge names a node that the graph does not have.
    """
    if bool(((edges < 0) | (edges >= nodes)).any()):
        raise PracticumError(
            f"an edge joins nodes {int(edges.min())} to {int(edges.max())} at the extremes, but "
            f"the graph has nodes 0 to {nodes - 1}"
        )
    edges = edges[:, edges[0] != edges[1]]
    itself = torch.arange(nodes, device=edges.device).expand(2, nodes)
    sources, targets = torch.cat((edges, itself), dim=1)  # A~ = A + I
    ones = torch.ones(len(targets), dtype=dtype, device=edges.device)
    degree = ones.new_zeros(nodes).index_add(0, targets, ones)  # D~, at least 1
    scale = degree.rsqrt()
    weights = scale[targets] * scale[sources]
    return Sparse.of(torch.stack((targets, sources)), weights, (nodes, nodes))


class GraphConvolution(nn.Module):
    """One layer of Eq. (2) without its nonlinearity.

    Args:
        inputs: features a node brings.
        outputs: features it leaves with.
        bias: add a bias after the convolution.
    """

    bias: nn.Parameter | None

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        nn.init.xavier_uniform_(self.weight)  # Glorot and Bengio 2010, the paper's section 5.2
        if bias:
            self.bias = nn.Parameter(torch.zeros(outputs))
        else:
            self.register_parameter("bias", None)

    def forward(
        self, x: Float[Tensor, "n inputs"] | Sparse, adjacency: Sparse
    ) -> Float[Tensor, "n outputs"]:
        """Return A^ (X W): W first, because it leaves fewer columns to propagate."""
        h = adjacency @ (x @ self.weight)  # Eq. (2)
        return h if self.bias is None else h + self.bias


class GCN(nn.Module):
    """The network of two graph convolutions.

    Args:
        inputs: D.
        hidden: H.
        outputs: K.
        dropout: probability of dropping an input of either layer, 0 <= p < 1.
        bias: add a bias after each convolution.

    Raises:
        PracticumError: a probability outside its range.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, *, dropout: float = 0.5, bias: bool = False
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise PracticumError(f"dropout probability {dropout} is not in [0, 1)")
        self.first = GraphConvolution(inputs, hidden, bias=bias)
        self.second = GraphConvolution(hidden, outputs, bias=bias)
        self.dropout = dropout

    def forward(self, x: Float[Tensor, "n D"] | Sparse, adjacency: Sparse) -> Float[Tensor, "n K"]:
        """Return the logits of every node.

        Args:
            x: features, dense or sparse.
            adjacency: what `propagation` returned for the graph.
        """
        if isinstance(x, Sparse):
            x = x.with_values(F.dropout(x.values, self.dropout, self.training))
        else:
            x = F.dropout(x, self.dropout, self.training)
        h_nH = torch.relu(self.first(x, adjacency))
        h_nH = F.dropout(h_nH, self.dropout, self.training)
        logits_nK: Tensor = self.second(h_nH, adjacency)  # Eq. (9)
        return logits_nK
