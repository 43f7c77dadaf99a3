"""The GCN lab: arms differ in the graph only, and the controls are what they are called.

Catches: label propagation that lets labelled nodes move, walks against the degrees or feeds on the
features; a rewired graph with other degrees; a split that overlaps, is not balanced or changes its
test nodes with the number of labels; weight decay of the wrong layer or size; arms that start
elsewhere; a planted graph that depends on the seed of a trial.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.graphs.gcn import learning
from practicum.labs.graphs.gcn.data import Planted, drawn, planted, registered, rewired
from practicum.labs.graphs.gcn.drawing import laid_out, main_directions
from practicum.labs.graphs.gcn.experiment import ARMS, edges_of, nodes_of, parts_of, trial
from practicum.labs.graphs.gcn.propagation import classify, propagate
from practicum.labs.lab import replaced
from practicum.nn.gcn import GCN, both_ways

TINY = {
    "nodes": 140, "labels": 3, "words": 49, "length": 8, "validation_size": 20, "test_size": 40,
    "steps": 6, "points": 2, "hidden": 5,
}  # fmt: skip


def graph_of(seed: int, nodes: int, edges: int) -> Tensor:
    drawn_ = torch.randint(nodes, (2, edges), generator=torch.Generator().manual_seed(seed))
    return both_ways(drawn_)


def harmonic(edges: Tensor, labelled: Tensor, classes: Tensor, nodes: int, kinds: int) -> Tensor:
    """Solve Eq. (4) of propagation.py with dense matrices, by the pseudo-inverse."""
    a = torch.zeros(nodes, nodes, dtype=torch.float64)
    for s, t in edges.T.tolist():
        a[s, t] = 1
    laplacian = torch.diag(a.sum(1)) - a
    rest = torch.tensor([i for i in range(nodes) if i not in labelled.tolist()])
    f = torch.zeros(nodes, kinds, dtype=torch.float64)
    f[labelled, classes] = 1
    if len(rest):
        right = a[rest][:, labelled] @ f[labelled]
        f[rest] = torch.linalg.pinv(laplacian[rest][:, rest], hermitian=True) @ right
    return f


# --- label propagation


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), nodes=st.integers(3, 12), edges=st.integers(1, 25))
def test_propagation_ends_where_the_linear_equations_say(seed: int, nodes: int, edges: int) -> None:
    graph = graph_of(seed, nodes, edges)
    labelled, classes = torch.tensor([0, nodes - 1]), torch.tensor([2, 0])
    found = propagate(graph, labelled, classes, nodes=nodes, kinds=3, tolerance=1e-12)
    torch.testing.assert_close(
        found, harmonic(graph, labelled, classes, nodes, 3), rtol=1e-7, atol=1e-8
    )


def test_labels_on_a_path_fall_off_evenly() -> None:
    path = both_ways(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]))
    found = propagate(path, torch.tensor([0, 4]), torch.tensor([0, 1]), nodes=6, kinds=2)
    expected = torch.tensor([1, 0.75, 0.5, 0.25, 0, 0]).double()  # node 5 is alone
    torch.testing.assert_close(found[:, 0], expected, atol=1e-5, rtol=0)
    assert found[5].tolist() == [0, 0]
    assert classify(found, torch.tensor([1, 1, 0])).tolist() == [0, 0, 0, 1, 1, 1]


def test_without_clamping_the_answer_is_another() -> None:
    graph = graph_of(3, 9, 14)
    labelled, classes = torch.tensor([0, 8]), torch.tensor([0, 1])
    clamped = propagate(graph, labelled, classes, nodes=9, kinds=2)
    a = torch.zeros(9, 9, dtype=torch.float64)
    a[graph[0], graph[1]] = 1
    f = torch.zeros(9, 2, dtype=torch.float64)
    f[labelled, classes] = 1
    free = torch.linalg.matrix_power(a / a.sum(1, keepdim=True).clamp(min=1), 200) @ f
    assert not torch.allclose(clamped, free, atol=0.05)


def test_a_graph_of_two_halves_is_split_between_their_labels() -> None:
    halves = both_ways(torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3]]))
    known = torch.tensor([1, 0])
    found = propagate(halves, torch.tensor([0, 3]), known, nodes=6, kinds=2)
    assert classify(found, known).tolist() == [1, 1, 1, 0, 0, 0]


# --- graphs


PLANTED = Planted(nodes=700, degree=5.0, homophily=0.8, words=70, length=9, topical=0.4, draw=3)


def test_the_planted_graph_has_what_it_is_named_for() -> None:
    graph = planted(PLANTED, labels=4, validation=100, test=200)
    count = graph.edges.shape[1]
    assert count / 700 == pytest.approx(5.0, abs=0.15)  # a few loops and doubles are lost
    alike = (graph.y[graph.edges[0]] == graph.y[graph.edges[1]]).double().mean()
    assert float(alike) == pytest.approx(0.8, abs=0.03)
    words = (graph.x > 0).double()
    own = torch.stack([words[i, 10 * k : 10 * k + 10].sum() for i, k in enumerate(graph.y)])
    # of 9 words drawn, 0.4 + 0.6 / 7 are of the class; doubles among them count once
    assert float(own.mean()) == pytest.approx(10 * (1 - 0.9 ** (9 * (0.4 + 0.6 / 7))), rel=0.05)
    torch.testing.assert_close(graph.x.sum(1), torch.ones(700))
    assert graph.y.bincount().tolist() == [100] * 7


def test_another_draw_is_another_graph_and_the_same_draw_the_same() -> None:
    first, again = (planted(PLANTED, labels=4, validation=10, test=20) for _ in range(2))
    other = planted(replace(PLANTED, draw=4), labels=4, validation=10, test=20)
    assert torch.equal(first.edges, again.edges)
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    many = planted(PLANTED, labels=9, validation=10, test=20)  # labels are no part of the graph
    assert torch.equal(first.edges, many.edges)


def test_rewiring_keeps_degrees_and_loses_the_classes() -> None:
    graph = planted(PLANTED, labels=4, validation=10, test=20)
    other = rewired(graph.edges, 3)
    before, after = (torch.bincount(one[0], minlength=700) for one in (graph.edges, other))
    assert int((before - after).min()) >= 0  # only loops and doubles are lost
    assert int((before - after).sum()) < 0.03 * int(before.sum())
    alike = (graph.y[other[0]] == graph.y[other[1]]).double().mean()
    assert float(alike) == pytest.approx(1 / 7, abs=0.04)


@pytest.mark.parametrize("change", [{"words": 5}, {"length": 80}, {"nodes": 13}])
def test_a_planted_graph_that_cannot_be_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(PracticumError, match="planted graph"):
        planted(replace(PLANTED, **change), labels=1, validation=1, test=1)


# --- splits


def test_a_random_split_is_balanced_disjoint_and_keeps_its_test_nodes() -> None:
    y = torch.arange(300) % 3
    few, many = (drawn(y, labels=n, validation=60, test=90, seed=2) for n in (5, 40))
    for parts, n in ((few, 5), (many, 40)):
        assert y[parts.train].bincount().tolist() == [n] * 3
        every = torch.cat([parts.train, parts.validation, parts.test])
        assert len(set(every.tolist())) == 3 * n + 60 + 90
    assert torch.equal(few.test, many.test)
    assert torch.equal(few.validation, many.validation)
    assert not torch.equal(few.test, drawn(y, labels=5, validation=60, test=90, seed=3).test)


def test_too_many_labels_are_refused_with_a_way_out() -> None:
    with pytest.raises(PracticumError, match="lower labels"):
        drawn(torch.arange(30) % 3, labels=9, validation=5, test=5, seed=0)
    with pytest.raises(PracticumError, match="karate has"):
        parts_of(replaced(ARMS["gcn random"], {"validation_size": 2, "test_size": 20}),
                 registered("karate"), 0)  # fmt: skip


# --- training


def test_only_the_graph_differs_between_the_networks() -> None:
    for plain, other in (("gcn", "mlp"), ("gcn random", "mlp random"), ("gcn many", "mlp many")):
        assert replaced(ARMS[plain], {"edges": "none"}) == ARMS[other]
    assert replaced(ARMS["gcn"], {"edges": "rewired"}) == ARMS["rewired"]
    assert replaced(ARMS["gcn random"], {"labels": 60}) == ARMS["gcn many"]
    assert replaced(ARMS["gcn random"], {"split": "public"}) == ARMS["gcn"]


def test_all_networks_of_a_seed_start_at_the_same_weights() -> None:
    starts = []
    for arm in ("gcn", "mlp", "rewired"):
        setup = replaced(ARMS[arm], {**TINY, "rate": 0.0, "steps": 1})
        starts.append(trial(setup, [4], Services()).weights[0])
    for other in starts[1:]:
        assert torch.equal(starts[0]["network.first.weight"], other["network.first.weight"])
        assert not torch.equal(starts[0]["logits"], other["logits"])


def test_without_edges_a_node_is_seen_alone() -> None:
    setup = replaced(ARMS["mlp"], TINY)
    nodes = nodes_of(setup)
    kept = trial(setup, [1], Services()).weights[0]
    hidden = (nodes.x @ kept["network.first.weight"]).clamp(min=0)
    torch.testing.assert_close(kept["hidden"], hidden, rtol=1e-4, atol=1e-6)
    logits = hidden @ kept["network.second.weight"]
    torch.testing.assert_close(kept["logits"], logits, rtol=1e-4, atol=1e-6)


def naive_first_step(graph_arm: str, decay: float) -> dict[str, Tensor]:
    """One step of Adam from the seed's start, dense, with the decay as torch's own for W0."""
    from practicum.engine.seeds import streams

    setup = replaced(ARMS[graph_arm], TINY)
    nodes = nodes_of(setup)
    a = torch.eye(140)
    edges = edges_of(setup, nodes)
    a[edges[0], edges[1]] = 1
    scale = a.sum(1).rsqrt()
    a = scale[:, None] * a * scale
    with streams(7).init():
        network = GCN(49, 5, 7, dropout=0.0)
    w0, w1 = network.first.weight, network.second.weight
    groups: list[dict[str, Any]] = [{"params": [w0], "weight_decay": decay}, {"params": [w1]}]
    adam = torch.optim.Adam(groups, lr=0.01)
    rows = nodes.public.train
    logits = a @ (a @ nodes.x @ w0).relu() @ w1
    loss = torch.nn.functional.cross_entropy(logits[rows], nodes.y[rows])
    w0.grad, w1.grad = torch.autograd.grad(loss, (w0, w1))
    adam.step()
    return {"network.first.weight": w0.detach(), "network.second.weight": w1.detach()}


def test_a_step_is_adams_with_decay_of_the_first_layer_only() -> None:
    # So much decay that it turns the sign of some gradients: Adam's first step shows the sign.
    changes = {**TINY, "steps": 1, "dropout": 0.0, "decay": 0.02}
    found = trial(replaced(ARMS["gcn"], changes), [7], Services()).weights[0]
    expected, without = naive_first_step("gcn", 0.02), naive_first_step("gcn", 0.0)
    for name, weight in expected.items():
        close = (found[name] - weight).abs() < 1e-4
        assert close.double().mean() > 0.99  # where the gradient is about zero the sign is luck
    name = "network.first.weight"
    assert ((found[name] - without[name]).abs() < 1e-4).double().mean() < 0.9


def test_test_labels_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = replaced(ARMS["gcn"], TINY)
    before = trial(setup, [2], Services()).weights[0]
    real = learning.surroundings

    def blind(nodes, edges, services):  # type: ignore[no-untyped-def]
        y = nodes.y.clone()
        y[nodes.public.test] = 0
        y[nodes.public.validation] = 1
        return real(replace(nodes, y=y), edges, services)

    monkeypatch.setattr("practicum.labs.graphs.gcn.experiment.surroundings", blind)
    after = trial(setup, [2], Services()).weights[0]
    assert torch.equal(before["network.first.weight"], after["network.first.weight"])


def test_every_seed_sees_the_same_graph_and_random_splits_of_its_own() -> None:
    setup = replaced(ARMS["propagation random"], TINY)
    both = trial(setup, [0, 1], Services()).values["test_accuracy"]
    alone = trial(setup, [1], Services()).values["test_accuracy"]
    assert both[1] == alone[0]
    nodes = nodes_of(setup)
    assert not torch.equal(parts_of(setup, nodes, 0).train, parts_of(setup, nodes, 1).train)
    public = replaced(setup, {"split": "public"})
    assert parts_of(public, nodes, 0) is parts_of(public, nodes, 1)


# --- pictures


def test_main_directions_are_those_of_a_known_cloud() -> None:
    random = np.random.default_rng(0)
    cloud = random.normal(size=(400, 4)) * [0.1, 5.0, 0.2, 2.0] + 3.0
    at = main_directions(cloud)
    centred = cloud - cloud.mean(0)
    assert abs(np.corrcoef(at[:, 0], centred[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(at[:, 1], centred[:, 3])[0, 1]) > 0.99
    assert at[np.abs(at).argmax(0), [0, 1]].min() > 0
    assert main_directions(np.zeros((5, 1))).shape == (5, 2)  # a dead layer is drawn too


def test_friends_lie_nearer_than_others() -> None:
    graph = registered("karate")
    edges = graph.edges[:, graph.edges[0] < graph.edges[1]].numpy()
    at = laid_out(edges, 34)
    far = np.linalg.norm(at[:, None] - at[None], axis=2)
    friends = far[edges[0], edges[1]].mean()
    assert friends < 0.75 * far[np.triu_indices(34, 1)].mean()
    assert far[np.triu_indices(34, 1)].min() > 0.01
