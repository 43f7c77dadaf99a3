"""The lab `initialization`: would catch signals or gradients of the wrong layer or scale, arms that
begin with other random numbers or see other images, a signal measured after training, a rate chosen
with test images, and thresholds on the wrong side.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from practicum.data import load as load_data
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import load, replaced, setups_at
from practicum.labs.training.initialization import experiment
from practicum.labs.training.initialization.experiment import ARMS, Setup, begin, trial
from practicum.labs.training.initialization.learning import build, split
from practicum.labs.training.initialization.signals import at_the_start, summary, through_layers
from practicum.nn.mlp import MLP

LAB = load(experiment.__name__)
PAIRS = (("tanh standard", "tanh normalized"), ("he 30", "xavier 30"), ("he 10", "xavier 10"))
TINY = {"width": 12, "steps": 4, "points": 2, "train_size": 64, "validation_size": 60}


def tiny(arm: str, **changes: object) -> Setup:
    setup = replaced(ARMS[arm], {**TINY, **changes})
    assert isinstance(setup, Setup)
    return setup


def test_the_lab_is_whole() -> None:
    assert (LAB.name, LAB.topic) == ("initialization", "training")


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_signals_and_gradients_are_those_of_the_network_itself(activation: str) -> None:
    torch.manual_seed(1)
    network = MLP(7, (6, 9, 5), 4, activation=activation).double()
    x, y = torch.randn(11, 7).double(), torch.randint(4, (11,))
    signal, gradient = through_layers(network, x, y)

    # The twin: hooks on the network's own layers, and one example's cost at a time.
    sums: list[Tensor] = []
    for layer in network.layers[:-1]:
        layer.register_forward_hook(lambda module, given, output: sums.append(output))
    squares, outputs = torch.zeros(3).double(), torch.zeros(3).double()
    for i in range(11):
        sums.clear()
        cost = F.cross_entropy(network(x[i : i + 1]), y[i : i + 1])
        found = torch.autograd.grad(cost, sums)
        squares += torch.stack([g.square().sum() for g in found])
        z = [torch.tanh(s) if activation == "tanh" else s.clamp(min=0) for s in sums]
        outputs += torch.stack([one.square().sum() for one in z])
    units = torch.tensor([6.0, 9.0, 5.0]).double()
    torch.testing.assert_close(signal, outputs / (11 * units), rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient, squares / (11 * units), rtol=1e-10, atol=0)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_summary_reads_signals_forwards_and_gradients_backwards() -> None:
    signal = torch.tensor([[8.0, 4.0, 2.0], [1.0, 5.0, 1.0]])
    gradient = torch.tensor([[0.1, 1.0, 10.0], [3.0, 2.0, 1.0]])
    found = {name: one.tolist() for name, one in summary(signal, gradient).items()}
    assert found["signal_spread"] == [4.0, 5.0]
    assert found["gradient_spread"] == pytest.approx([100.0, 3.0])
    assert found["signal_end"] == [0.25, 1.0]
    assert found["gradient_end"] == pytest.approx([0.01, 3.0])
    assert found["signal_factor"] == [0.5, 1.0]


def test_curves_over_layers_end_where_the_network_does() -> None:
    network = begin(tiny("tanh normalized"), torch.zeros(1, 8, 8), torch.tensor([9]), 0)
    data = (torch.randn(5, 8, 8), torch.randint(10, (5,)))
    found = at_the_start([network], [data], 9)
    assert found["signal"].shape == found["gradient"].shape == (1, 9)
    assert torch.isfinite(found["signal"][0]).tolist() == [True] * 5 + [False] * 4


@pytest.mark.parametrize("pair", PAIRS)
def test_arms_of_a_pair_differ_in_the_variance_of_the_weights_alone(pair: tuple[str, str]) -> None:
    one, other = (ARMS[arm] for arm in pair)
    assert replaced(one, {"scheme": other.scheme}) == other
    assert one.scheme != other.scheme
    for scale in LAB.scales.values():
        one, other = (setups_at(LAB, scale, {})[arm] for arm in pair)
        assert replaced(one, {"scheme": other.scheme}) == other
    x, y = torch.zeros(1, 8, 8), torch.tensor([9])
    networks = [begin(tiny(arm), x, y, 6) for arm in pair]
    for a, b in zip(networks[0].layers, networks[1].layers, strict=True):
        factors = (a.weight / b.weight).detach()
        torch.testing.assert_close(factors, factors[0, 0].expand_as(factors), rtol=1e-4, atol=0)
        assert not a.bias.any()
        assert not b.bias.any()
    inner = [network.layers[1].weight.var().item() for network in networks]
    expected = {"tanh standard": 1 / 3, "he 30": 2.0, "he 10": 2.0}[pair[0]]
    assert inner[0] / inner[1] == pytest.approx(expected, rel=1e-4)


def test_training_begins_with_the_network_that_was_looked_at() -> None:
    setup = tiny("he 10", rates=(1e-12,), momentum=0.0)
    trained = trial(setup, (3,), Services()).weights[0]
    begun = begin(setup, torch.zeros(1, 8, 8), torch.tensor([9]), 3)
    for name, tensor in begun.state_dict().items():
        torch.testing.assert_close(tensor, trained[f"network.{name}"], rtol=0, atol=1e-9)


def test_training_and_validation_images_are_different_ones() -> None:
    train, validation = split(Setup(), 1437, 3)
    assert not set(train.tolist()) & set(validation.tolist())
    assert torch.equal(train, split(ARMS["he 30"], 1437, 3)[0])
    with pytest.raises(PracticumError, match="ask for more"):
        split(Setup(train_size=1200), 1437, 3)


def test_wide_layers_behave_as_the_equations_say() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(100, 256) * 0.05, torch.randint(10, (100,))
    factors = {}
    for name, scheme, activation in (
        ("third", "standard", "tanh"),
        ("kept", "glorot", "tanh"),
        ("half", "glorot", "relu"),
        ("kept too", "he", "relu"),
    ):
        setup = Setup(scheme=scheme, activation=activation, width=256, hidden_layers=6)
        signal, gradient = through_layers(build(setup, 256, 10), x, y)
        found = summary(signal[None], gradient[None])
        factors[name] = found["signal_factor"].item()
        assert found["gradient_end"].item() ** 0.2 == pytest.approx(factors[name], rel=0.15)
    assert factors["third"] == pytest.approx(1 / 3, rel=0.08)
    assert factors["kept"] == pytest.approx(1.0, rel=0.08)
    assert factors["half"] == pytest.approx(1 / 2, rel=0.12)
    assert factors["kept too"] == pytest.approx(1.0, rel=0.12)


@pytest.mark.parametrize("arm", ["tanh standard", "he 10", "linear"])
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    together = trial(tiny(arm), (4, 1), Services())
    alone = trial(tiny(arm), (1,), Services())
    for name, values in together.values.items():
        one, other = np.asarray(values)[1], np.asarray(alone.values[name])[0]
        assert np.array_equal(one, other, equal_nan=True), name


def test_lanes_give_the_numbers_of_the_loop() -> None:
    setup = tiny("he 10")
    loop = trial(setup, (0, 3), Services(arithmetic=Arithmetic(precision="float64")))
    arithmetic = Arithmetic(path="lanes", lane_group=2, precision="float64")
    lanes = trial(setup, (0, 3), Services(arithmetic=arithmetic))
    for name, value in loop.values.items():
        assert np.allclose(value, lanes.values[name], atol=1e-9, equal_nan=True), name


def test_test_images_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = tiny("tanh normalized")
    honest = trial(setup, (0,), Services()).values
    images = load_data("digits")
    x, y = images.test
    spoilt = dataclasses.replace(images, test=(x, (y + 1) % 10))
    monkeypatch.setattr(experiment, "load", lambda name: spoilt)
    other = trial(setup, (0,), Services()).values
    for name in ("rate", "train_accuracy", "signal_spread"):
        assert torch.equal(honest[name], other[name]), name
    assert not torch.equal(honest["test_error"], other["test_error"])


def test_a_diverged_rate_is_never_chosen() -> None:
    measured = trial(tiny("tanh normalized", rates=(1e38, 0.03), steps=8), (0,), Services())
    assert measured.values["rate"].tolist() == [0.03]
    assert measured.diverged.tolist() == [False]
