"""The lab `lenet`: would catch networks of unequal size, arms that see other images or begin with
other weights, a permutation that loses pixels or changes between images, a rate chosen with test
images, and a seed that depends on its neighbours.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from practicum.data import load as load_data
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import load, replaced, setups_at
from practicum.labs.vision.lenet import experiment
from practicum.labs.vision.lenet.experiment import ARMS, Setup, trial
from practicum.labs.vision.lenet.learning import error_of_majority, split
from practicum.labs.vision.lenet.networks import Rearranged, build, count, levels, parameters
from practicum.nn.mlp import MLP

LAB = load(experiment.__name__)
SMOKE = setups_at(LAB, LAB.scales["smoke"], {})
FULL = setups_at(LAB, LAB.scales["full"], {})


def test_the_lab_is_whole() -> None:
    assert (LAB.name, LAB.topic) == ("lenet", "vision")


def test_the_thresholds_are_those_of_the_claim() -> None:
    rules = [claim.rule for claim in LAB.claims]
    assert all("above 1.5" in rule for rule in rules[:3])
    assert "above 1" in rules[3]
    assert all("below 1.1" in rule for rule in rules[4:])
    for i, size in enumerate(("few", "some", "many")):
        assert LAB.claims[i].measure == LAB.claims[4 + i].measure == f"test_error_{size}"


@pytest.mark.parametrize(("setups", "side"), [(SMOKE, 8), (FULL, 28)])
def test_the_compared_networks_have_the_same_size(setups: dict[str, Setup], side: int) -> None:
    lenet = parameters(setups["lenet"], side, 10)
    assert parameters(setups["permuted"], side, 10) == lenet
    assert abs(parameters(setups["mlp"], side, 10) / lenet - 1) < 0.02
    assert abs(parameters(setups["modern"], side, 10) / lenet - 1) < 0.05
    for arm in ("lenet", "modern", "mlp", "permuted", "linear"):
        assert count(build(setups[arm], side, 10)) == parameters(setups[arm], side, 10)
    assert parameters(setups["majority"], side, 10) == 0


@pytest.mark.parametrize("arm", ARMS)
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    together = trial(SMOKE[arm], (4, 1), Services())
    alone = trial(SMOKE[arm], (1,), Services())
    for name, values in together.values.items():
        assert np.array_equal(np.asarray(values)[1], np.asarray(alone.values[name])[0]), name
    for name, tensor in (together.weights[1] if together.weights else {}).items():
        assert torch.equal(tensor, alone.weights[0][name]), name


@pytest.mark.parametrize("arm", ["permuted", "modern"])
def test_lanes_give_the_weights_of_the_loop(arm: str) -> None:
    setup = replaced(SMOKE[arm], {"some": 20, "many": 20})
    loop = trial(setup, (0, 3), Services(arithmetic=Arithmetic(precision="float64")))
    arithmetic = Arithmetic(path="lanes", lane_group=2, precision="float64")
    lanes = trial(setup, (0, 3), Services(arithmetic=arithmetic))
    for one, other in zip(loop.weights, lanes.weights, strict=True):
        for name, tensor in one.items():
            assert torch.allclose(tensor.double(), other[name].double(), atol=1e-7), name


def test_lenet_and_its_permuted_control_begin_alike() -> None:
    for seed in (0, 5):
        with streams(seed).init():
            plain = build(ARMS["lenet"], 8, 10)
        with streams(seed).init():
            control = build(ARMS["permuted"], 8, 10)
        assert isinstance(control, Rearranged)
        for one, other in zip(plain.parameters(), control.parameters(), strict=True):
            assert torch.equal(one, other)


def test_each_seed_has_one_permutation_of_all_pixels_for_all_images() -> None:
    orders = []
    for seed in (0, 1):
        with streams(seed).init():
            control = build(ARMS["permuted"], 8, 10)
        assert isinstance(control, Rearranged)
        assert sorted(control.order.tolist()) == list(range(64))
        orders.append(control.order)
    assert not torch.equal(*orders)


def test_a_perceptron_is_as_good_with_the_pixels_out_of_place() -> None:
    torch.manual_seed(0)
    plain, control = MLP(16, (5,), 3), Rearranged(MLP(16, (5,), 3), 16)
    control.network.load_state_dict(plain.state_dict())
    x = torch.randn(4, 1, 4, 4)
    assert not torch.allclose(control(x), plain(x))
    # Moving the columns of the first weights in the same way undoes it exactly, whatever was drawn.
    with torch.no_grad():
        first = next(iter(control.network.parameters()))
        first.copy_(first[:, control.order])
    assert torch.allclose(control(x), plain(x), atol=1e-6)
    with torch.no_grad():  # a wrong permutation does not
        first.copy_(first[:, control.order])
    assert not torch.allclose(control(x), plain(x), atol=1e-6)


def test_the_arms_share_images_tuning_and_updates() -> None:
    for name in ("rates", "steps", "batch_size", "momentum", "few", "some", "many"):
        assert len({getattr(setup, name) for setup in ARMS.values()}) == 1, name
    few, held = split(Setup(), 100, 1437, 3)
    many, held_too = split(Setup(), 1000, 1437, 3)
    assert torch.equal(few, many[:100])
    assert torch.equal(held, held_too)
    assert not set(many.tolist()) & set(held.tolist())
    with pytest.raises(PracticumError, match="more than"):
        split(Setup(), 1100, 1437, 3)


def test_test_images_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = replaced(SMOKE["lenet"], {"rates": (0.01, 0.05)})
    honest = trial(setup, (0,), Services()).values
    images = load_data("digits")
    x, y = images.test
    spoilt = dataclasses.replace(images, test=(x, (y + 1) % 10))
    monkeypatch.setattr(experiment, "load", lambda name: spoilt)
    other = trial(setup, (0,), Services()).values
    assert np.array_equal(np.asarray(honest["rate"]), np.asarray(other["rate"]))
    assert not np.array_equal(np.asarray(honest["test_error"]), np.asarray(other["test_error"]))


def test_the_levels_are_those_of_the_paper() -> None:
    assert levels(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([-0.1, 1.175])


def test_the_majority_is_counted_on_training_images() -> None:
    y = torch.tensor([2, 2, 1])
    assert float(error_of_majority(y, torch.tensor([1, 1, 1, 2]))) == pytest.approx(75.0)
