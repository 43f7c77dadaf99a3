"""Policy and value heads against sums over units and actions, values and gradients.

Would catch: heads on the wrong trunk, a shared trunk that is copied, the activation after the last
layer, probabilities over the wrong axis, a sampled action that does not follow its probability.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.actor_critic import ActorCritic, entropy, log_probability, sample

B, D, A, HIDDEN = 5, 3, 4, (7, 6)


def made(**more: bool) -> ActorCritic:
    torch.manual_seed(4)
    return ActorCritic(D, A, hidden=HIDDEN, **more).double()


def unit(layer: nn.Linear, row: int, x: list[Tensor]) -> Tensor:
    total = layer.bias[row]
    for column, one in enumerate(x):
        total = total + layer.weight[row, column] * one
    return total


def twin(network: ActorCritic, s: Tensor, *, swapped: bool = False) -> tuple[Tensor, Tensor]:
    """Compute state by state and unit by unit; `swapped` puts the value on the actor's trunk."""
    logits, values = [], []
    for state in s:
        h = {"actor": list(state), "critic": list(state)}
        for name, layers in (("actor", network.actor), ("critic", network.critic)):
            for layer in layers:
                h[name] = [torch.tanh(unit(layer, i, h[name])) for i in range(layer.out_features)]
        logits.append(torch.stack([unit(network.policy, a, h["actor"]) for a in range(A)]))
        values.append(unit(network.value, 0, h["actor" if swapped else "critic"]))
    return torch.stack(logits), torch.stack(values)


def gradients(network: ActorCritic, logits: Tensor, values: Tensor) -> dict[str, Tensor]:
    weights = torch.linspace(-1, 2, B * A, dtype=torch.float64).view(B, A)
    network.zero_grad()
    ((weights * logits.sin()).sum() + (values * weights[:, 0]).cos().sum()).backward()
    return {name: one.grad.clone() for name, one in network.named_parameters()}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("orthogonal", [False, True])
def test_against_sums_over_units(shared: bool, orthogonal: bool) -> None:
    network = made(shared=shared, orthogonal=orthogonal)
    s = torch.randn(B, D, dtype=torch.float64)
    ours, theirs = network(s), twin(network, s)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    mine, other = gradients(network, *ours), gradients(network, *theirs)
    for name, gradient in mine.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradient, other[name], rtol=0, atol=1e-12)


def test_a_value_on_the_wrong_trunk_is_noticed() -> None:
    network, s = made(), torch.randn(B, D, dtype=torch.float64)
    assert not torch.allclose(network(s)[1], twin(network, s, swapped=True)[1], atol=1e-3)


def test_a_shared_trunk_is_one() -> None:
    two, one = (
        sum(p.numel() for p in made(shared=shared).parameters()) for shared in (False, True)
    )
    assert two - one == (D + 1) * 7 + (7 + 1) * 6


def test_orthogonal_weights_and_their_gains() -> None:
    network = ActorCritic(64, 3, hidden=(64, 20)).double()
    first = network.actor[0].weight
    torch.testing.assert_close(first @ first.T, 2 * torch.eye(64).double(), rtol=0, atol=1e-5)
    policy = network.policy.weight
    torch.testing.assert_close(policy @ policy.T, 1e-4 * torch.eye(3).double(), rtol=0, atol=1e-9)
    assert network.value.weight.norm().item() == pytest.approx(1, abs=1e-6)
    assert all(not one.any() for name, one in network.named_parameters() if "bias" in name)


def test_known_probabilities() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [5.0, 5.0]], dtype=torch.float64)
    found = log_probability(logits, torch.tensor([1, 0])).tolist()
    assert found == pytest.approx([math.log(0.75), math.log(0.5)])
    expected = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert entropy(logits).tolist() == pytest.approx([expected, math.log(2)])


def test_against_torch_distributions() -> None:
    logits, a = torch.randn(2, B, A, dtype=torch.float64), torch.randint(A, (2, B))
    peer = torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(log_probability(logits, a), peer.log_prob(a))
    torch.testing.assert_close(entropy(logits), peer.entropy())


def test_samples_follow_their_probabilities() -> None:
    p = torch.tensor([0.1, 0.2, 0.0, 0.7], dtype=torch.float64)
    u = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000  # every thousandth of [0, 1)
    actions = sample(p.log().expand(1000, 4), u)
    assert torch.bincount(actions, minlength=4).tolist() == [100, 200, 0, 700]


def test_a_u_at_the_very_end_is_still_an_action() -> None:
    logits = torch.randn(2000, 7)
    assert int(sample(logits, torch.full((2000,), 1 - 2**-24)).max()) <= 6


def test_bad_settings_are_refused() -> None:
    with pytest.raises(PracticumError, match="hidden layer"):
        ActorCritic(D, A, hidden=())
    with pytest.raises(PracticumError, match="tanh"):
        ActorCritic(D, A, activation="tahn")
