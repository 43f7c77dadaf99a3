"""The discriminator: would catch a batch that is summed along the wrong axis, squared distances
instead of absolute ones, an example that is not counted among the batch, closeness features that
do not reach the logit, a missing nonlinearity before the last layer.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from practicum.errors import PracticumError
from practicum.nn.gan import Discriminator, MinibatchDiscrimination
from practicum.nn.mlp import MLP

B, D, H, R, S = 5, 4, 6, 3, 2


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def naive(layer: MinibatchDiscrimination, h: Tensor, power: int = 1, skip: bool = False) -> Tensor:
    t = layer.weight.detach().reshape(H, R, S)
    rows = []
    for i in range(B):
        row = []
        for r in range(R):
            total = 0.0
            for j in range(B):
                if skip and i == j:
                    continue
                apart = 0.0
                for s in range(S):
                    gap = sum(float((h[i, k] - h[j, k]) * t[k, r, s]) for k in range(H))
                    apart += abs(gap) ** power
                total += math.exp(-apart)
            row.append(total)
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


def test_closeness_equals_the_loops_and_not_those_of_broken_ones() -> None:
    torch.manual_seed(0)
    layer, h = MinibatchDiscrimination(H, R, S).double(), normal(1, B, H)
    ours = layer(h)
    torch.testing.assert_close(ours, naive(layer, h), rtol=1e-11, atol=1e-12)
    assert not torch.allclose(ours, naive(layer, h, power=2), rtol=1e-3)
    torch.testing.assert_close(ours - 1, naive(layer, h, skip=True), rtol=1e-9, atol=1e-12)


def test_gradients_equal_differences() -> None:
    torch.manual_seed(0)
    layer, h = MinibatchDiscrimination(H, R, S).double(), normal(1, B, H).requires_grad_()

    def closeness(h: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (h,))

    assert torch.autograd.gradcheck(closeness, (h, layer.weight))


def test_a_batch_of_copies_is_as_close_as_can_be_and_a_lone_example_sees_itself() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(H, R, S).double()
    copies = normal(1, 1, H).expand(B, H)
    torch.testing.assert_close(layer(copies), torch.full((B, R), float(B), dtype=torch.float64))
    assert torch.equal(layer(copies[:1]), torch.ones(1, R, dtype=torch.float64))
    far = layer(1000 * normal(2, B, H))
    torch.testing.assert_close(far, torch.ones(B, R, dtype=torch.float64))


def test_without_closeness_it_is_a_perceptron_that_sees_one_example_at_a_time() -> None:
    torch.manual_seed(0)
    network, twin = (
        Discriminator(D, (7, H), activation="tanh").double(),
        MLP(D, (7, H), 1, activation="tanh").double(),
    )
    twin.load_state_dict(dict(zip(twin.state_dict(), network.state_dict().values(), strict=True)))
    x = normal(1, B, D)
    torch.testing.assert_close(network(x), twin(x)[:, 0], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(network(x)[:2], network(x[:2]), rtol=1e-12, atol=1e-13)


def test_with_closeness_the_logit_is_that_of_both_by_hand_and_sees_the_batch() -> None:
    torch.manual_seed(0)
    network, x = Discriminator(D, (7, H), closeness=R, size=S).double(), normal(1, B, D)
    h = (x @ network.trunk.layers[0].weight.T + network.trunk.layers[0].bias).relu()
    h = (h @ network.trunk.layers[1].weight.T + network.trunk.layers[1].bias).relu()
    o = naive(network.batch, h.detach())
    logit = torch.cat((h, o), 1) @ network.head.weight[0] + network.head.bias
    torch.testing.assert_close(network(x), logit, rtol=1e-10, atol=1e-11)
    assert not torch.allclose(network(x)[:2], network(x[:2]), rtol=1e-3)
    for grad in torch.autograd.grad(network(x).sin().sum(), list(network.parameters())):
        assert bool(grad.any())


def test_many_seeds_together_equal_each_alone() -> None:
    torch.manual_seed(0)
    networks = [Discriminator(D, (H,), closeness=R).double() for _ in range(3)]
    parameters, _ = torch.func.stack_module_state(networks)
    x = normal(1, B, D)
    together = torch.func.vmap(lambda p: torch.func.functional_call(networks[0], p, (x,)))(
        parameters
    )
    for one, network in zip(together, networks, strict=True):
        torch.testing.assert_close(one, network(x), rtol=1e-12, atol=1e-13)


def test_no_hidden_layer_and_no_features_are_errors() -> None:
    with pytest.raises(PracticumError, match="at least one hidden layer"):
        Discriminator(D, ())
    for features, size in ((0, 2), (2, 0)):
        with pytest.raises(PracticumError, match="at least one of each"):
            MinibatchDiscrimination(H, features, size)
