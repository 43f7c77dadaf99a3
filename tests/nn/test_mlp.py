"""The multilayer perceptron against a twin written with loops, in value and gradient.

Would catch: a transposed weight, a lost bias, a nonlinearity after the last layer or missing
between two, dropout at the wrong place, with the wrong scale or at test time, inputs that are not
flattened in order. Not here: training (tests/engine).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from practicum.errors import PracticumError
from practicum.nn.mlp import ACTIVATIONS, MLP

NAIVE: dict[str, Callable[[float], float]] = {
    "relu": lambda z: max(0.0, z),
    "tanh": math.tanh,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
}
B, D, HIDDEN, K = 5, 6, (4, 3), 2


def naive(
    network: MLP,
    x: Tensor,
    f: Callable[[float], float],
    *,
    after_last: bool = False,
    bias: bool = True,
) -> list[list[float]]:
    """z = W y + b and y' = f(z), one number at a time."""
    rows = []
    for row in x.flatten(1).tolist():
        y = row
        for i, layer in enumerate(network.layers):
            w, b = layer.weight.tolist(), layer.bias.tolist()
            z = [
                sum(w[k][j] * y[j] for j in range(len(y))) + (b[k] if bias else 0.0)
                for k in range(len(w))
            ]
            last = i == len(network.layers) - 1
            y = [f(one) for one in z] if after_last or not last else z
        rows.append(y)
    return rows


def made(activation: str) -> tuple[MLP, Tensor]:
    torch.manual_seed(3)
    network = MLP(D, HIDDEN, K, activation=activation).double()
    for p in network.parameters():
        torch.nn.init.normal_(p)  # wide enough that every nonlinearity is met on both sides
    return network, torch.randn(B, 2, 3, dtype=torch.float64)


@pytest.mark.parametrize("activation", NAIVE)
def test_outputs_equal_the_loops_and_those_of_broken_loops_do_not(activation: str) -> None:
    network, x = made(activation)
    out, f = network(x), NAIVE[activation]
    assert out.shape == (B, K)
    exact = torch.tensor(naive(network, x, f), dtype=torch.float64)
    torch.testing.assert_close(out, exact, rtol=1e-12, atol=1e-13)
    for wrong in (
        naive(network, x, f, after_last=True),
        naive(network, x, f, bias=False),
        naive(network, x, lambda z: z),
        naive(network, x.transpose(1, 2), f),
    ):
        assert not torch.allclose(out, torch.tensor(wrong, dtype=torch.float64), rtol=1e-3)


@pytest.mark.parametrize("activation", NAIVE)
def test_gradients_equal_the_differences_of_the_loops(activation: str) -> None:
    network, x = made(activation)
    network(x).sin().sum().backward()

    def value() -> float:
        return sum(math.sin(z) for row in naive(network, x, NAIVE[activation]) for z in row)

    step = 1e-6
    for p in network.parameters():
        for i in range(p.numel()):
            with torch.no_grad():
                at = p.view(-1)
                at[i] += step
                above = value()
                at[i] -= 2 * step
                below = value()
                at[i] += step
            assert p.grad is not None
            assert p.grad.view(-1)[i].item() == pytest.approx(
                (above - below) / (2 * step), abs=1e-7
            )


@pytest.mark.parametrize("activation", NAIVE)
def test_the_gradient_reaches_the_inputs(activation: str) -> None:
    network, x = made(activation)
    assert torch.autograd.gradcheck(network, (x.requires_grad_(),))


def test_hand_set_weights_compute_exclusive_or() -> None:
    network = MLP(2, (2,), 1)
    with torch.no_grad():
        network.layers[0].weight.copy_(torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
        network.layers[0].bias.copy_(torch.tensor([0.0, -1.0]))
        network.layers[1].weight.copy_(torch.tensor([[1.0, -2.0]]))
        network.layers[1].bias.zero_()
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert network(x)[:, 0].tolist() == [0, 1, 1, 0]


def test_without_hidden_layers_it_is_linear() -> None:
    network = MLP(4, (), 3)
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(x), network.layers[0](x))


@given(st.lists(st.integers(1, 9), max_size=3), st.integers(1, 9), st.integers(1, 5))
def test_it_has_the_parameters_that_its_sizes_say(hidden: list[int], d: int, k: int) -> None:
    sizes = [d, *hidden, k]
    count = sum(a * b + b for a, b in itertools.pairwise(sizes))
    assert sum(p.numel() for p in MLP(d, tuple(hidden), k).parameters()) == count


# --- dropout


def constant(dropout: float, input_dropout: float, width: int = 400) -> MLP:
    """Ones in, identity, identity out: what comes out are the masks."""
    network = MLP(width, (width,), width, dropout=dropout, input_dropout=input_dropout)
    with torch.no_grad():
        for layer in network.layers:
            layer.weight.copy_(torch.eye(width))
            layer.bias.zero_()
    return network


@pytest.mark.parametrize(("hidden", "inputs"), [(0.5, 0.0), (0.0, 0.2), (0.5, 0.2)])
def test_kept_units_are_scaled_so_that_the_mean_stays(hidden: float, inputs: float) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        out = constant(hidden, inputs)(torch.ones(500, 400))
    keep = (1 - hidden) * (1 - inputs)
    values, counts = out.unique(return_counts=True)
    assert values.tolist() == pytest.approx([0.0, 1 / keep])
    share = counts[1].item() / out.numel()
    error = (keep * (1 - keep) / out.numel()) ** 0.5
    assert share == pytest.approx(keep, abs=5 * error)
    # Broken: not scaled (values 0 and 1), or hidden and inputs exchanged.
    assert abs(values[1].item() - 1) > 0.1
    if hidden != inputs and 0 in (hidden, inputs):
        assert abs(share - (1 - max(hidden, inputs) / 2)) > 5 * error


def test_the_masks_are_those_of_dropout_by_hand_in_order_of_the_layers() -> None:
    network = MLP(7, (5, 4), 3, dropout=0.5, input_dropout=0.2, activation="tanh")
    x = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(8)
    out = network(x)
    torch.manual_seed(8)
    y = x
    for layer, p in zip(network.layers, (0.2, 0.5, 0.5), strict=True):
        mask = torch.empty_like(y).bernoulli_(1 - p)
        y = layer(y * (mask / (1 - p)))
        y = y if layer is network.layers[-1] else torch.tanh(y)
    torch.testing.assert_close(out, y, rtol=1e-6, atol=1e-7)


def test_in_evaluation_nothing_is_dropped_and_without_dropout_nothing_is_drawn() -> None:
    network = MLP(7, (5,), 3, dropout=0.5, input_dropout=0.2).eval()
    bare = MLP(7, (5,), 3)
    bare.load_state_dict(network.state_dict())
    x = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    assert torch.equal(network(x), bare(x))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(network.train()(x), bare(x))


def test_one_example_does_not_depend_on_another() -> None:
    network, x = made("relu")
    changed = x.clone()
    changed[3] += 1
    out, other = network(x), network(changed)
    torch.testing.assert_close(out[:3], other[:3], rtol=1e-14, atol=0)
    assert not torch.allclose(out[3], other[3])


# --- wrong input


def test_an_unknown_activation_is_named_with_the_near_one() -> None:
    with pytest.raises(PracticumError, match=r"no activation named 'relut'; did you mean 'relu'"):
        MLP(2, (3,), 1, activation="relut")
    assert set(ACTIVATIONS) == set(NAIVE)


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_a_probability_outside_its_range_is_an_error(p: float) -> None:
    with pytest.raises(PracticumError, match=r"not in \[0, 1\)"):
        MLP(2, (3,), 1, dropout=p)
    with pytest.raises(PracticumError, match=r"not in \[0, 1\)"):
        MLP(2, (3,), 1, input_dropout=p)


def test_the_wrong_number_of_inputs_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        MLP(4, (3,), 2)(torch.ones(2, 5))
