"""Q-networks against sums over units, values and gradients, plain and dueling.

Would catch: a missing nonlinearity before the head, a mean over the batch instead of the actions, a
state's value that is added to one action only.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.q_network import QNetwork

B, D, A, HIDDEN = 5, 3, 4, (7, 6)


def made(dueling: bool) -> QNetwork:
    torch.manual_seed(4)
    return QNetwork(D, A, hidden=HIDDEN, activation="tanh", dueling=dueling).double()


def unit(layer: nn.Linear, row: int, x: list[Tensor]) -> Tensor:
    return sum((w * one for w, one in zip(layer.weight[row], x, strict=True)), layer.bias[row])


def twin(network: QNetwork, s: Tensor, *, greedy: bool = False) -> Tensor:
    """Compute state by state; `greedy` takes off the largest advantage instead of the mean."""
    linear = [one for one in network.trunk.modules() if isinstance(one, nn.Linear)]
    rows = []
    for state in s:
        h = list(state)
        for layer in linear:
            h = [torch.tanh(unit(layer, i, h)) for i in range(layer.out_features)]
        q = [unit(network.actions, a, h) for a in range(A)]
        if network.state is not None:
            off = max(q, key=lambda one: one.item()) if greedy else sum(q) / A
            q = [unit(network.state, 0, h) + one - off for one in q]
        rows.append(torch.stack(q))
    return torch.stack(rows)


@pytest.mark.parametrize("dueling", [False, True])
def test_against_sums_over_units(dueling: bool) -> None:
    network, s = made(dueling), torch.randn(B, D, dtype=torch.float64)
    weights = torch.linspace(-1, 2, B * A, dtype=torch.float64).view(B, A)
    found = []
    for q in (network(s), twin(network, s)):
        network.zero_grad()
        (weights * q.sin()).sum().backward()
        found.append((q, {name: one.grad.clone() for name, one in network.named_parameters()}))
    (ours, mine), (theirs, other) = found
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert mine.keys() == other.keys()
    for name, gradient in mine.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradient, other[name], rtol=0, atol=1e-12)


def test_another_way_to_duel_is_noticed() -> None:
    network, s = made(True), torch.randn(B, D, dtype=torch.float64)
    assert not torch.allclose(network(s), twin(network, s, greedy=True), atol=1e-3)


def test_the_mean_of_dueling_values_is_the_states() -> None:
    network, s = made(True), torch.randn(B, D, dtype=torch.float64)
    h = torch.tanh(network.trunk(s))
    torch.testing.assert_close(network(s).mean(-1), network.state(h).squeeze(-1))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(PracticumError, match="hidden layer"):
        QNetwork(D, A, hidden=())
    with pytest.raises(PracticumError, match="relu"):
        QNetwork(D, A, activation="rleu")
