"""First weights: would catch fan-in and fan-out exchanged, a bound taken for a deviation (the root
of three), a factor of two, biases that are not zero, and a claim about torch's default that is not
so.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.initialization import VARIANCES, draw_, initialize, variance
from practicum.nn.mlp import MLP

BEFORE, AFTER = 300, 120

PEERS: dict[tuple[str, str], Callable[[Tensor], Tensor]] = {
    ("glorot", "uniform"): nn.init.xavier_uniform_,
    ("glorot", "normal"): nn.init.xavier_normal_,
    ("he", "uniform"): lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    ("he", "normal"): lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    ("standard", "uniform"): lambda w: nn.init.uniform_(w, -1 / BEFORE**0.5, 1 / BEFORE**0.5),
}


def drawn(scheme: str, distribution: str, seed: int = 3) -> Tensor:
    torch.manual_seed(seed)
    return draw_(torch.empty(AFTER, BEFORE), scheme, distribution)


@pytest.mark.parametrize(("scheme", "distribution"), PEERS)
def test_the_same_seed_gives_the_weights_of_torch(scheme: str, distribution: str) -> None:
    torch.manual_seed(3)
    peer = PEERS[scheme, distribution](torch.empty(AFTER, BEFORE))
    torch.testing.assert_close(drawn(scheme, distribution), peer, rtol=1e-6, atol=0)


@pytest.mark.parametrize("scheme", ["standard", "he"])
def test_exchanged_units_before_and_after_do_not_pass(scheme: str) -> None:
    torch.manual_seed(3)
    turned = draw_(torch.empty(BEFORE, AFTER), scheme).reshape(AFTER, BEFORE)
    torch.manual_seed(3)
    peer = PEERS[scheme, "uniform"](torch.empty(AFTER, BEFORE))
    assert not torch.allclose(turned, peer, rtol=1e-2)


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize(
    ("scheme", "expected"),
    [("standard", 1 / 900), ("glorot", 2 / 420), ("he", 2 / 300)],
)
def test_variance_and_shape_of_the_distribution(
    scheme: str, distribution: str, expected: float
) -> None:
    weight = drawn(scheme, distribution)
    assert variance(weight, scheme) == pytest.approx(expected, rel=1e-12)
    flat, deviation = weight.double().flatten().numpy(), math.sqrt(expected)
    bound = math.sqrt(3.0) * deviation
    kinds = {
        "uniform": stats.uniform(-bound, 2 * bound),
        "normal": stats.norm(0, deviation),
    }
    fits = {name: stats.kstest(flat, kind.cdf).pvalue for name, kind in kinds.items()}
    assert fits[distribution] > 1e-3
    assert min(fits.values()) < 1e-9  # the other distribution is told apart
    wrong = stats.kstest(flat / 1.1, kinds[distribution].cdf).pvalue
    assert wrong < 1e-6
    if distribution == "uniform":  # the bounds are sharp, and reached
        assert bound * 0.999 < abs(flat).max() <= bound * (1 + 1e-6)


def test_torchs_default_is_the_standard_initialisation() -> None:
    torch.manual_seed(5)
    default = nn.Linear(BEFORE, AFTER)
    torch.manual_seed(5)
    ours = draw_(torch.empty(AFTER, BEFORE), "standard")
    torch.testing.assert_close(default.weight, ours, rtol=1e-6, atol=0)
    assert default.bias.abs().max() > 0.9 / math.sqrt(BEFORE)  # but its biases are not zero


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_two_schemes_of_one_seed_are_the_same_numbers_in_other_sizes(distribution: str) -> None:
    one, other = drawn("standard", distribution), drawn("he", distribution)
    torch.testing.assert_close(other, one * math.sqrt(6.0), rtol=1e-5, atol=0)
    assert not torch.equal(one, drawn("standard", distribution, seed=4))


@pytest.mark.parametrize("scheme", VARIANCES)
def test_a_network_is_drawn_layer_by_layer_with_zero_biases(scheme: str) -> None:
    torch.manual_seed(8)
    network = MLP(20, (30, 7), 5)
    assert all(layer.bias.abs().max() > 0 for layer in network.layers)
    torch.manual_seed(9)
    assert initialize(network, scheme, "normal") is network
    torch.manual_seed(9)
    for layer in network.layers:
        assert torch.equal(layer.weight, draw_(torch.empty_like(layer.weight), scheme, "normal"))
        assert layer.weight.requires_grad
        assert not layer.bias.any()
    initialize(nn.Linear(3, 2, bias=False), scheme)


def test_rectified_units_keep_the_signal_under_he_and_halve_it_under_glorot() -> None:
    torch.manual_seed(0)
    x = torch.randn(200, 400, dtype=torch.float64)
    for scheme, factor in (("he", 1.0), ("glorot", 0.5)):
        z = x
        sizes: list[float] = []
        for _ in range(6):
            weight = draw_(torch.empty(400, 400, dtype=torch.float64), scheme, "normal")
            y = torch.relu(z) @ weight.T if sizes else z @ weight.T
            sizes.append(y.var().item())
            z = y
        assert (sizes[-1] / sizes[0]) ** (1 / 5) == pytest.approx(factor, rel=0.08)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(PracticumError, match="did you mean 'glorot'"):
        draw_(torch.empty(2, 3), "glorott")
    with pytest.raises(PracticumError, match="distribution"):
        draw_(torch.empty(2, 3), "he", "gauss")
