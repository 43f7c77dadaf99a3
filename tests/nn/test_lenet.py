"""LeNet-5: would catch a wrong table of connections, a wrong count of parameters, a kernel that is
flipped or moved, a subsampling without its coefficient, a squashing with other constants, missing
nonlinearities, and images padded with the wrong level or on the wrong side.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.lenet import TABLE, LeNet5, PartialConvolution, Subsampling, squash


def count(part: nn.Module) -> int:
    return sum(one.numel() for one in part.parameters())


def test_the_layers_have_the_counts_of_the_paper() -> None:
    network = LeNet5(side=28)
    counts = [count(getattr(network, name)) for name in ("c1", "s2", "c3", "s4", "c5", "f6")]
    assert counts == [156, 12, 1516, 32, 48120, 10164]
    assert sum(counts) == 60000
    assert count(network) == 60000 + 84 * 10 + 10


def test_the_modern_form_has_the_count_that_is_usually_quoted() -> None:
    assert count(LeNet5(side=28, modern=True)) == 61706


def test_the_table_is_built_as_the_paper_describes_it() -> None:
    three = {frozenset((i, (i + 1) % 6, (i + 2) % 6)) for i in range(6)}
    four = {frozenset((i + k) % 6 for k in range(4)) for i in range(6)}
    # Two neighbouring pairs with one map between them on either side.
    split = {frozenset((i, (i + 1) % 6, (i + 3) % 6, (i + 4) % 6)) for i in range(6)}
    seen = [frozenset(one) for one in TABLE]
    assert set(seen[:6]) == three
    assert set(seen[6:12]) == four
    assert set(seen[12:15]) == split
    assert seen[15] == frozenset(range(6))
    assert sum(len(one) for one in seen) == 60
    # Every map of S2 is seen equally often.
    assert {sum(i in one for one in seen) for i in range(6)} == {10}


def test_squashing_maps_one_to_one() -> None:
    a = torch.tensor([-1.0, 0.0, 1.0, 50.0], dtype=torch.float64)
    assert squash(a).tolist() == pytest.approx([-1.0, 0.0, 1.0, 1.7159], abs=1e-4)


def naive_convolution(x: Tensor, weight: Tensor, bias: Tensor, seen: list[list[int]]) -> Tensor:
    """Return Eq. (5) with loops: x [B, I, H, W], weight [O, I, k, k]."""
    k = weight.shape[-1]
    b, _, h, w = x.shape
    out = torch.zeros(b, len(weight), h - k + 1, w - k + 1, dtype=x.dtype)
    for n in range(b):
        for o, maps in enumerate(seen):
            for r in range(h - k + 1):
                for c in range(w - k + 1):
                    total = bias[o]
                    for i in maps:
                        for dr in range(k):
                            for dc in range(k):
                                total = total + weight[o, i, dr, dc] * x[n, i, r + dr, c + dc]
                    out[n, o, r, c] = total
    return out


def naive_subsampling(x: Tensor, coefficient: Tensor, bias: Tensor) -> Tensor:
    b, m, h, w = x.shape
    out = torch.zeros(b, m, h // 2, w // 2, dtype=x.dtype)
    for r in range(h // 2):
        for c in range(w // 2):
            four = x[:, :, 2 * r, 2 * c] + x[:, :, 2 * r, 2 * c + 1]
            four = four + x[:, :, 2 * r + 1, 2 * c] + x[:, :, 2 * r + 1, 2 * c + 1]
            out[:, :, r, c] = four * coefficient + bias
    return out


def agree(y: Tensor, z: Tensor, parameters: list[Tensor]) -> bool:
    """Tell whether two results agree in value and in the gradients of the parameters."""
    weights = torch.arange(1.0, y.numel() + 1, dtype=y.dtype).view(y.shape).sin()
    gradients = [
        torch.autograd.grad((one * weights).sum(), parameters, retain_graph=True) for one in (y, z)
    ]
    return torch.allclose(y, z, atol=1e-12) and all(
        torch.allclose(a, b, atol=1e-11) for a, b in zip(*gradients, strict=True)
    )


def spread(layer: PartialConvolution, table: tuple[tuple[int, ...], ...], inputs: int) -> Tensor:
    """Return the full weight with loops."""
    k = layer.kernels.shape[-1]
    weight = torch.zeros(len(table), inputs, k, k, dtype=layer.kernels.dtype)
    link = 0
    for o, seen in enumerate(table):
        for i in seen:
            weight[o, i] = layer.kernels[link]
            link += 1
    return weight


def test_a_partial_convolution_is_the_sum_over_the_maps_it_sees() -> None:
    table = ((0, 2), (1,), (0, 1, 2), (2,))
    torch.manual_seed(0)
    layer = PartialConvolution(3, table, 2).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    weight = spread(layer, table, 3)
    y = layer(x)
    parameters = [layer.kernels, layer.bias]
    assert agree(
        y, naive_convolution(x, weight, layer.bias, [list(one) for one in table]), parameters
    )
    everything = [[0, 1, 2]] * 4
    flipped = weight.flip(-1)
    wrong_table = spread(layer, ((0, 1), (1,), (0, 1, 2), (2,)), 3)
    assert agree(y, naive_convolution(x, weight, layer.bias, everything), parameters)
    assert not agree(y, naive_convolution(x, flipped, layer.bias, everything), parameters)
    assert not agree(y, naive_convolution(x, wrong_table, layer.bias, everything), parameters)


def test_subsampling_is_four_times_the_average_with_a_coefficient_and_a_bias() -> None:
    layer = Subsampling(3).double()
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor([0.3, -1.0, 2.0]))
        layer.bias.copy_(torch.tensor([1.0, 0.5, -0.2]))
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parameters = [layer.coefficient, layer.bias]
    y = layer(x)
    assert agree(y, naive_subsampling(x, layer.coefficient, layer.bias), parameters)
    assert not agree(y, naive_subsampling(x, layer.coefficient / 4, layer.bias), parameters)
    assert not agree(y, naive_subsampling(x, layer.bias, layer.coefficient), parameters)


def test_the_whole_small_network_computed_with_loops_gives_the_same() -> None:
    torch.manual_seed(2)
    network = LeNet5(side=4, classes=3, kernel=3, padding=1, enlarge=2, background=-0.1).double()
    # 4 x 4 doubled and padded: 10; C1 8, S2 4, C3 2, S4 1.
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    u = torch.full((2, 1, 10, 10), -0.1, dtype=torch.float64)
    for r in range(8):
        for c in range(8):
            u[:, :, 1 + r, 1 + c] = x[:, :, r // 2, c // 2]
    c1, s2, c3, s4 = network.c1, network.s2, network.c3, network.s4
    assert isinstance(s2, Subsampling)
    assert isinstance(s4, Subsampling)
    assert isinstance(c3, PartialConvolution)
    assert c1.bias is not None
    u = squash(naive_convolution(u, c1.weight, c1.bias, [[0]] * 6))
    u = squash(naive_subsampling(u, s2.coefficient, s2.bias))
    full = spread(c3, TABLE, 6)
    u = squash(naive_convolution(u, full, c3.bias, [list(one) for one in TABLE]))
    u = squash(naive_subsampling(u, s4.coefficient, s4.bias)).flatten(1)
    u = squash(u @ network.c5.weight.T + network.c5.bias)
    u = squash(u @ network.f6.weight.T + network.f6.bias)
    z = u @ network.output.weight.T + network.output.bias
    assert agree(network(x), z, list(network.parameters()))


def test_the_modern_form_is_the_usual_stack_of_torch_layers() -> None:
    torch.manual_seed(3)
    network = LeNet5(side=28, modern=True).double()
    assert isinstance(network.c3, nn.Conv2d)
    layers = nn.Sequential(
        nn.ZeroPad2d(2), network.c1, nn.ReLU(), nn.MaxPool2d(2),
        network.c3, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        network.c5, nn.ReLU(), network.f6, nn.ReLU(), network.output,
    )  # fmt: skip
    x = torch.randn(3, 1, 28, 28, dtype=torch.float64)
    assert agree(network(x), layers(x), list(network.parameters()))
    assert not agree(network(x), layers(x.roll(1, -1)), list(network.parameters()))


def test_the_first_weights_have_the_bound_of_their_fan_in() -> None:
    torch.manual_seed(0)
    layer = PartialConvolution(6, TABLE, 5)
    link = 0
    for seen in TABLE:
        bound = 1 / math.sqrt(25 * len(seen))
        mine = layer.kernels[link : link + len(seen)]
        link += len(seen)
        assert float(mine.detach().abs().max()) <= bound
        assert float(mine.detach().abs().max()) > 0.9 * bound


@pytest.mark.parametrize("modern", [False, True])
def test_every_parameter_gets_a_gradient(modern: bool) -> None:
    network = LeNet5(side=8, kernel=5, padding=2, enlarge=2, modern=modern)
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    F.cross_entropy(network(x), torch.arange(5)).backward()
    for name, one in network.named_parameters():
        assert one.grad is not None, name
        assert float(one.grad.abs().sum()) > 0, name


@pytest.mark.parametrize(
    ("side", "kernel", "padding"), [(8, 5, 2), (27, 5, 2), (28, 4, 2), (4, 5, 0)]
)
def test_images_that_cannot_be_halved_are_refused(side: int, kernel: int, padding: int) -> None:
    with pytest.raises(PracticumError, match="halved"):
        LeNet5(side=side, kernel=kernel, padding=padding)
