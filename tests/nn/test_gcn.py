"""Graph convolution against loops over nodes in float64, in value and gradient.

Would catch: a missing or doubled self-loop, normalisation by one end only (rows or columns instead
of both), edges walked against their direction, a duplicate that is lost, an isolated node that
divides by zero, features dropped where they are not stored, dropout with the wrong scale.
"""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.noise import Noise
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trains, train
from practicum.engine.updates import Batch, Networks, Update
from practicum.errors import PracticumError
from practicum.nn.gcn import GCN, GraphConvolution, both_ways, propagation
from practicum.nn.sparse import Sparse

N, D, H, K = 7, 5, 4, 3
# Directed, with a duplicate (0, 1), a loop (2, 2), and node 6 isolated.
EDGES = torch.tensor([[0, 0, 1, 2, 3, 4, 5, 2], [1, 1, 0, 3, 4, 2, 0, 2]])

PARITY = 'needs torch_geometric; lifted by `pip install -c constraints.txt -e ".[parity]"`'


def naive(edges: Tensor, nodes: int, *, norm: str = "both", loops: bool = True) -> Tensor:
    """Count edges one at a time: entry [t, s] for an edge from s to t."""
    count = [[0.0] * nodes for _ in range(nodes)]
    for s, t in edges.T.tolist():
        if s != t:
            count[t][s] += 1
    if loops:
        for i in range(nodes):
            count[i][i] = 1.0
    degree = [sum(row) for row in count]
    for t in range(nodes):
        for s in range(nodes):
            if count[t][s]:
                by = degree[t] if norm == "rows" else math.sqrt(degree[t] * degree[s])
                count[t][s] = count[t][s] / by if by else 0.0
    return torch.tensor(count, dtype=torch.float64)


def naive_forward(network: GCN, x: Tensor, adjacency: Tensor) -> Tensor:
    """Eq. (9) with dense matrices."""
    h = adjacency @ x @ network.first.weight
    h = h if network.first.bias is None else h + network.first.bias
    out = adjacency @ h.clamp(min=0) @ network.second.weight
    return out if network.second.bias is None else out + network.second.bias


def made(*, bias: bool = True, dropout: float = 0.0) -> tuple[GCN, Tensor]:
    torch.manual_seed(3)
    network = GCN(D, H, K, dropout=dropout, bias=bias).double()
    for p in network.parameters():
        torch.nn.init.normal_(p)
    x = torch.randn(N, D, dtype=torch.float64)
    return network, x * (torch.rand(N, D) < 0.5)


def random_edges(seed: int, nodes: int, edges: int) -> Tensor:
    return torch.randint(nodes, (2, edges), generator=torch.Generator().manual_seed(seed))


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), nodes=st.integers(1, 8), edges=st.integers(0, 20))
def test_the_propagation_equals_counting_edges_one_at_a_time(
    seed: int, nodes: int, edges: int
) -> None:
    drawn = random_edges(seed, nodes, edges)
    ours = propagation(drawn, nodes, dtype=torch.float64).dense()
    torch.testing.assert_close(ours, naive(drawn, nodes), rtol=1e-14, atol=0)
    undirected = propagation(both_ways(drawn), nodes, dtype=torch.float64).dense()
    assert torch.equal(undirected, undirected.T)
    assert float(torch.linalg.eigvalsh(undirected).abs().max()) <= 1 + 1e-12


def test_broken_normalisations_are_not_equal() -> None:
    ours = propagation(EDGES, N, dtype=torch.float64).dense()
    for wrong in (
        naive(EDGES, N, norm="rows"),
        naive(EDGES, N, loops=False),
        naive(EDGES.flip(0), N),
        naive(torch.unique(EDGES, dim=1), N),
    ):
        assert not torch.allclose(ours, wrong, rtol=1e-3)


def test_known_entries_of_a_path_of_three_nodes_and_one_alone() -> None:
    a = propagation(both_ways(torch.tensor([[0, 1], [1, 2]])), 4).dense()
    r6 = 6**-0.5
    expected = [[1 / 2, r6, 0, 0], [r6, 1 / 3, r6, 0], [0, r6, 1 / 2, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(a, torch.tensor(expected))


def test_direction_duplicates_loops_and_isolated_nodes_are_as_the_header_says() -> None:
    a = propagation(EDGES, N, dtype=torch.float64).dense()
    assert a[3, 2] > 0  # 2 -> 3 carries to 3 ...
    assert a[2, 3] == 0  # ... and not back
    # Node 1 hears node 0 twice and itself; node 0 hears 1, 5 and itself.
    assert a[1, 0].item() == pytest.approx(2 / math.sqrt(3 * 3))
    assert a[2, 2].item() == pytest.approx(1 / 2)  # loop counted once, beside the edge 4 -> 2
    assert a[6].tolist() == [0, 0, 0, 0, 0, 0, 1]
    network, x = made()
    adjacency = propagation(EDGES, N, dtype=torch.float64)
    alone = GCN(D, H, K, dropout=0, bias=True).double()
    alone.load_state_dict(network.state_dict())
    itself = propagation(torch.empty(2, 0, dtype=torch.int64), 1, dtype=torch.float64)
    torch.testing.assert_close(network(x, adjacency)[6:], alone(x[6:], itself))


def test_both_ways_gives_each_edge_twice_and_no_loop() -> None:
    edges = torch.tensor([[0, 1, 2, 2, 0], [1, 0, 2, 0, 1]])
    assert both_ways(edges).T.tolist() == [[0, 1], [0, 2], [1, 0], [2, 0]]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_outputs_and_gradients_equal_the_dense_twins(bias: bool, sparse: bool) -> None:
    network, x = made(bias=bias)
    out = network(Sparse.of_dense(x) if sparse else x, propagation(EDGES, N, dtype=torch.float64))
    assert out.shape == (N, K)
    grads = torch.autograd.grad(out.sin().sum(), list(network.parameters()))
    twin = naive_forward(network, x, naive(EDGES, N))
    torch.testing.assert_close(out, twin, rtol=1e-12, atol=1e-13)
    of_twin = torch.autograd.grad(twin.sin().sum(), list(network.parameters()))
    for ours, theirs in zip(grads, of_twin, strict=True):
        assert ours.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)
    wrong = naive_forward(network, x, naive(EDGES.flip(0), N))
    assert not torch.allclose(out, wrong, rtol=1e-3)


def test_gradients_equal_differences_inputs_included() -> None:
    network, x = made()
    adjacency = propagation(EDGES, N, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: network(x, adjacency), (x + 0.1).requires_grad_())


def test_renaming_the_nodes_renames_the_outputs() -> None:
    network, x = made()
    name = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    out = network(x, propagation(EDGES, N, dtype=torch.float64))
    renamed = network(x[name.argsort()], propagation(name[EDGES], N, dtype=torch.float64))
    torch.testing.assert_close(renamed[name], out, rtol=1e-12, atol=1e-13)


def test_two_layers_reach_two_edges_and_no_further() -> None:
    network, _ = made()
    x = torch.ones(5, D, dtype=torch.float64, requires_grad=True)
    line = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    network(x, propagation(line, 5, dtype=torch.float64))[4].sum().backward()
    assert x.grad is not None
    assert x.grad[:2].abs().max() == 0
    assert bool((x.grad[2:].abs().sum(1) > 0).all())


# --- dropout


def test_dropout_by_hand_gives_the_same_outputs_dense_and_sparse() -> None:
    network, x = made(dropout=0.5)
    adjacency = propagation(EDGES, N, dtype=torch.float64)
    sparse = Sparse.of_dense(x)
    for features in (x, sparse):
        torch.manual_seed(8)
        out = network(features, adjacency)
        torch.manual_seed(8)
        stored = features.values if isinstance(features, Sparse) else features
        mask = torch.empty_like(stored).bernoulli_(0.5) / 0.5
        dropped = sparse.with_values(stored * mask).dense() if stored.ndim == 1 else stored * mask
        a = adjacency.dense()
        h = (a @ dropped @ network.first.weight + network.first.bias).relu()
        h = h * (torch.empty_like(h).bernoulli_(0.5) / 0.5)
        by_hand = a @ h @ network.second.weight + network.second.bias
        torch.testing.assert_close(out, by_hand, rtol=1e-12, atol=1e-13)


def test_in_evaluation_nothing_is_drawn() -> None:
    network, x = made(dropout=0.5)
    adjacency = propagation(EDGES, N, dtype=torch.float64)
    before = torch.get_rng_state()
    out = network.eval()(x, adjacency)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(out, naive_forward(network, x, naive(EDGES, N)))
    assert not torch.allclose(network.train()(x, adjacency), out)


# --- lanes, initial weights, peer


def test_many_seeds_together_equal_each_alone() -> None:
    _, x = made()
    adjacency = propagation(EDGES, N, dtype=torch.float64)
    networks = [GCN(D, H, K, dropout=0).double() for _ in range(3)]
    parameters, _ = torch.func.stack_module_state(networks)

    def value(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(networks[0], weights, (x, adjacency)).sin().sum()

    together = torch.func.vmap(torch.func.grad(value), (0, None))(parameters, x)
    for i, network in enumerate(networks):
        alone = torch.autograd.grad(network(x, adjacency).sin().sum(), list(network.parameters()))
        for (name, _), grad in zip(network.named_parameters(), alone, strict=True):
            torch.testing.assert_close(together[name][i], grad, rtol=1e-12, atol=1e-13)


def test_weights_start_as_glorot_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    layer = GraphConvolution(60, 40, bias=True)
    limit = math.sqrt(6 / 100)
    assert layer.weight.abs().max().item() <= limit
    assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.03)
    assert layer.bias is not None
    assert not layer.bias.any()
    assert [name for name, _ in GCN(3, 2, 2).named_parameters()] == [
        "first.weight",
        "second.weight",
    ]


def test_a_layer_equals_that_of_torch_geometric() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says while it loads is its own affair
        peer = pytest.importorskip("torch_geometric.nn.conv.gcn_conv", reason=PARITY)
    network, x = made()
    conv = peer.GCNConv(D, H).double()
    with torch.no_grad():
        conv.lin.weight.copy_(network.first.weight.T)
        conv.bias.copy_(network.first.bias)
    theirs = conv(x, EDGES)
    ours = network.first(x, propagation(EDGES, N, dtype=torch.float64))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)
    theirs.sin().sum().backward()
    ours.sin().sum().backward()
    torch.testing.assert_close(network.first.weight.grad.T, conv.lin.weight.grad)


# --- wrong input


@pytest.mark.parametrize("edge", [[0, 4], [-1, 2]])
def test_an_edge_to_a_node_that_does_not_exist_is_an_error(edge: list[int]) -> None:
    with pytest.raises(PracticumError, match="nodes 0 to 3"):
        propagation(torch.tensor([edge]).T, 4)


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_a_probability_outside_its_range_is_an_error(p: float) -> None:
    with pytest.raises(PracticumError, match=r"not in \[0, 1\)"):
        GCN(2, 3, 1, dropout=p)


def test_features_of_another_number_of_nodes_are_an_error() -> None:
    network, x = made()
    with pytest.raises(PracticumError, match="cannot be multiplied"):
        network(x[1:], propagation(EDGES, N, dtype=torch.float64))


# --- in the engine


def trained(seeds: list[int], path: str, precision: str = "float64") -> list[dict[str, Tensor]]:
    """Weights after five steps on sparse features with dropout."""
    _, x = made()
    dtype = torch.float64 if precision == "float64" else torch.float32
    features, adjacency = Sparse.of_dense(x.to(dtype)), propagation(EDGES, N, dtype=dtype)

    def loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        rows, classes = batch
        logits = networks["main"](features, adjacency)
        return torch.nn.functional.cross_entropy(logits[rows], classes), {}

    recipe = Recipe(
        networks={"main": lambda: GCN(D, H, K)},
        optimizers={"main": Trains(spec=Adam(lr=0.05), networks=("main",))},
        updates=(Update(loss=loss),),
        data=(torch.arange(N), torch.arange(N) % K),
        batch_size=4,
        steps=5,
    )
    arithmetic = Arithmetic(path=path, lane_group=3, precision=precision)
    ended = train(recipe, seeds, Services(arithmetic=arithmetic))
    return [dict(networks["main"].named_parameters()) for networks in ended.networks]


def test_the_engine_trains_it_in_lanes_as_in_the_loop() -> None:
    lanes, alone = (trained([4, 1, 9], path) for path in ("lanes", "loop"))
    for one, other in zip(lanes, alone, strict=True):
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=1e-10, atol=1e-12)
    assert not torch.allclose(lanes[0]["first.weight"], lanes[1]["first.weight"])


def test_a_seed_has_the_same_bits_beside_other_seeds() -> None:
    here = trained([4, 1, 9], "lanes", "float32")[0]
    there = trained([7, 2, 4], "lanes", "float32")[2]
    for name, weight in here.items():
        assert torch.equal(weight, there[name])
