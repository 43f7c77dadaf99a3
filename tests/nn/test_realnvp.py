"""RealNVP: would catch an inverse that is none or runs in the wrong order, a determinant with the
wrong sign or with the scales of unchanged inputs, a mask that lets an input decide over itself,
and a density that does not integrate to one.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from practicum.errors import PracticumError
from practicum.nn.realnvp import Coupling, RealNVP, log_density

B = 4


def made(d: int, couplings: int, *, volume_preserving: bool = False) -> RealNVP:
    torch.manual_seed(d + couplings)
    network = RealNVP(d, couplings, (6, 5), volume_preserving=volume_preserving).double()
    with torch.no_grad():
        for p in network.parameters():
            torch.nn.init.normal_(p, std=0.7)
    return network


def points(d: int, rows: int = B) -> Tensor:
    return torch.randn(rows, d, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


def naive(network: RealNVP, row: list[float]) -> tuple[list[float], float]:
    """Eq. (1) and (2), one number at a time; the inner network row by row."""
    total = 0.0
    for k, coupling in enumerate(network.couplings):
        d = len(row)
        kept = [i % 2 == k % 2 for i in range(d)]
        y = torch.tensor(
            [v if keep else 0.0 for v, keep in zip(row, kept, strict=True)], dtype=torch.float64
        )
        for i, layer in enumerate(coupling.network.layers):
            y = layer.weight @ y + layer.bias
            y = y.relu() if i < 2 else y
        out = y.tolist()
        scale = coupling.reach
        new = []
        for i, value in enumerate(row):
            if kept[i]:
                new.append(value)
                continue
            s = 0.0 if scale is None else scale[i].item() * math.tanh(out[i])
            new.append(value * math.exp(s) + out[i if scale is None else d + i])
            total += s
        row = new
    return row, total


@pytest.mark.parametrize("volume_preserving", [False, True])
@pytest.mark.parametrize(("d", "couplings"), [(2, 1), (2, 4), (5, 3)])
def test_the_map_equals_the_loops(d: int, couplings: int, volume_preserving: bool) -> None:
    network, x = made(d, couplings, volume_preserving=volume_preserving), points(d)
    with torch.no_grad():
        z, log_det = network(x)
        for row, ours, of_ours in zip(x.tolist(), z.tolist(), log_det.tolist(), strict=True):
            theirs, of_theirs = naive(network, row)
            assert ours == pytest.approx(theirs, rel=1e-12)
            assert of_ours == pytest.approx(of_theirs, abs=1e-12)
    assert bool(log_det.any()) != volume_preserving


@pytest.mark.parametrize(("d", "couplings"), [(2, 1), (2, 4), (5, 3), (4, 6)])
def test_the_determinant_is_that_of_autograds_jacobian(d: int, couplings: int) -> None:
    network, x = made(d, couplings), points(d)
    _, log_det = network(x)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: network(row[None])[0][0]))(x)
    sign, exact = torch.linalg.slogdet(jacobian)
    assert bool((sign > 0).all())
    torch.testing.assert_close(log_det, exact, rtol=1e-10, atol=1e-10)
    assert not torch.allclose(-log_det, exact, atol=1e-3)  # the inverse's determinant


def test_scales_of_unchanged_inputs_in_the_determinant_would_be_seen() -> None:
    coupling = made(5, 1).couplings[0]
    x = points(5)
    u, _ = coupling.network(x * coupling.mask).chunk(2, 1)
    unmasked = (coupling.reach * u.tanh()).sum(1)
    assert not torch.allclose(coupling(x)[1], unmasked, atol=1e-3)


@pytest.mark.parametrize("volume_preserving", [False, True])
@pytest.mark.parametrize(("d", "couplings"), [(2, 1), (2, 8), (5, 3)])
def test_the_inverse_undoes_the_map_both_ways(
    d: int, couplings: int, volume_preserving: bool
) -> None:
    network, x = made(d, couplings, volume_preserving=volume_preserving), points(d)
    with torch.no_grad():
        torch.testing.assert_close(network.inverse(network(x)[0]), x, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(network(network.inverse(x))[0], x, rtol=1e-9, atol=1e-9)
        if couplings > 1:  # in the order of the map it is no inverse
            z = network(x)[0]
            for coupling in network.couplings:
                z = coupling.inverse(z)
            assert not torch.allclose(z, x, atol=1e-2)


def test_as_torch_initialises_it_the_inverse_is_good_in_single_precision() -> None:
    torch.manual_seed(0)
    network, x = RealNVP(6, 8, (32,)), points(6, 50).float()
    with torch.no_grad():
        assert float((network.inverse(network(x)[0]) - x).abs().max()) < 1e-5


def test_a_coupling_leaves_one_half_alone_and_the_other_half_does_not_decide() -> None:
    mask = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0])
    torch.manual_seed(2)
    coupling, x = Coupling(mask, (6,)).double(), points(5)
    y, log_det = coupling(x)
    kept = mask.bool()
    assert torch.equal(y[:, kept], x[:, kept])
    other = x.clone()
    other[:, ~kept] += 1
    moved, same = coupling(other)
    assert torch.equal(same, log_det)
    slope = (moved - y)[:, ~kept]  # exp(s): affine in what changes
    torch.testing.assert_close(slope.log().sum(1), log_det, rtol=1e-10, atol=1e-10)
    jacobian = torch.func.jacrev(lambda row: coupling(row[None])[0][0])(x[0])
    assert not (jacobian - torch.diag(jacobian.diag()))[:, ~kept].any()


def test_three_couplings_let_every_output_depend_on_every_input() -> None:
    network = made(5, 3)
    jacobian = torch.func.jacrev(lambda row: network(row[None])[0][0])(points(5)[0])
    assert bool((jacobian != 0).all())


# --- the density


def test_the_density_integrates_to_one() -> None:
    torch.manual_seed(4)
    network = RealNVP(2, 4, (8,)).double()
    side = torch.linspace(-12, 12, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    area = float((side[1] - side[0]) ** 2)
    with torch.no_grad():
        z, log_det = network(grid)
        total = float(log_density(z, log_det).exp().sum()) * area
        wrong = float(log_density(z, -log_det).exp().sum()) * area
    assert total == pytest.approx(1, abs=1e-3)
    assert abs(wrong - 1) > 0.02


def test_a_linear_coupling_has_the_density_of_its_normal_distribution() -> None:
    # z = (x_1, x_2 e^s + a x_1 + c): the inverse of a normal distribution that is known.
    coupling = RealNVP(2, 1, ()).double()
    only = coupling.couplings[0]
    a, c, s = 0.8, -0.3, 0.5
    with torch.no_grad():
        only.reach.fill_(s / math.tanh(1.0))
        only.network.layers[0].weight.zero_()[3, 0] = a
        only.network.layers[0].bias.copy_(torch.tensor([0.0, 1.0, 0.0, c]))
        m = torch.tensor([[1.0, 0.0], [a, math.exp(s)]], dtype=torch.float64).inverse()
        mean = -m @ torch.tensor([0.0, c], dtype=torch.float64)
        exact = MultivariateNormal(mean, m @ m.T).log_prob(points(2))
        torch.testing.assert_close(log_density(*coupling(points(2))), exact)


def test_gradients_of_the_density_equal_differences_and_reach_every_parameter() -> None:
    network, x = made(3, 3), points(3, 12)
    weights = {name: p.detach().clone().requires_grad_() for name, p in network.named_parameters()}

    def density(x: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(weights, values, strict=True))
        return log_density(*torch.func.functional_call(network, given, (x,)))

    assert torch.autograd.gradcheck(density, (x.requires_grad_(), *weights.values()))
    grads = torch.autograd.grad(density(x, *weights.values()).sum(), tuple(weights.values()))
    assert all(bool(grad.any()) for grad in grads)


# --- wrong input


@pytest.mark.parametrize("mask", [[1.0, 1.0], [0.0, 0.0], [0.5, 1.0]])
def test_a_mask_that_does_not_split_is_an_error(mask: list[float]) -> None:
    with pytest.raises(PracticumError, match="does not split"):
        Coupling(torch.tensor(mask), (3,))


def test_too_few_inputs_or_couplings_are_errors() -> None:
    for inputs, couplings in ((1, 2), (2, 0)):
        with pytest.raises(PracticumError, match="at least one coupling of two inputs"):
            RealNVP(inputs, couplings, (3,))


def test_many_seeds_together_equal_each_alone() -> None:
    networks, x = [made(3, 3), made(3, 3)], points(3)
    with torch.no_grad():
        networks[1].couplings[0].reach += 0.5
    parameters, buffers = torch.func.stack_module_state(networks)

    def density(weights: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        return log_density(*torch.func.functional_call(networks[0], (weights, masks), (x,)))

    together = torch.func.vmap(density)(parameters, buffers)
    for i, network in enumerate(networks):
        torch.testing.assert_close(together[i], log_density(*network(x)))
