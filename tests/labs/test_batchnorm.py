"""The lab `batchnorm`: would catch a wrong rule for the largest stable rate, arms that see other
images or begin with other weights, a seed that depends on its neighbours, a rate chosen with test
images, and validation images among the training images.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from practicum.data import load as load_data
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import load, setups_at
from practicum.labs.training.batchnorm import experiment
from practicum.labs.training.batchnorm.experiment import (
    ARMS,
    Setup,
    largest_stable,
    trial,
)
from practicum.labs.training.batchnorm.learning import network, split

LAB = load(experiment.__name__)
SMOKE = setups_at(LAB, LAB.scales["smoke"], {})


def test_the_lab_is_whole() -> None:
    assert (LAB.name, LAB.topic) == ("batchnorm", "training")


def test_the_thresholds_are_those_of_the_claim() -> None:
    five, third, noisy, sooner = LAB.claims
    assert "at least 5" in five.rule or "above 5" in five.rule
    assert "0.333" in third.rule
    assert noisy.arms == sooner.arms == ("noisy-batchnorm", "plain")


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([0.1, 0.1, 0.1], 4.0),
        ([0.9, 0.2, 1.1], 2.0),
        ([0.1, 0.6, 0.2], 4.0),  # the largest, also beyond a rate that was not stable
        ([0.1, math.nan, math.inf], 1.0),
        ([0.9, 0.5, math.nan], 0.5),  # none: half the smallest
    ],
)
def test_the_largest_stable_rate_follows_its_rule(losses: list[float], expected: float) -> None:
    setup = Setup(rates=(1.0, 2.0, 4.0), stable_below=0.5)
    assert largest_stable(torch.tensor([losses]), setup).tolist() == [expected]


@pytest.mark.parametrize("arm", ARMS)
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    together = trial(SMOKE[arm], (4, 1), Services())
    alone = trial(SMOKE[arm], (1,), Services())
    for name, values in together.values.items():
        assert np.array_equal(np.asarray(values)[1], np.asarray(alone.values[name])[0]), name
    for name, tensor in together.weights[1].items():
        assert torch.equal(tensor, alone.weights[0][name]), name


@pytest.mark.parametrize("arm", ["batchnorm", "noisy-batchnorm"])
def test_lanes_give_the_numbers_of_the_loop(arm: str) -> None:
    loop = trial(SMOKE[arm], (0, 3), Services(arithmetic=Arithmetic(precision="float64")))
    arithmetic = Arithmetic(path="lanes", lane_group=2, precision="float64")
    lanes = trial(SMOKE[arm], (0, 3), Services(arithmetic=arithmetic))
    assert np.allclose(loop.values["loss_at_rate"], lanes.values["loss_at_rate"], atol=1e-9)
    for one, other in zip(loop.weights, lanes.weights, strict=True):
        for name, tensor in one.items():
            assert torch.allclose(tensor, other[name], atol=1e-7), name


def test_the_arms_of_a_pair_begin_alike_and_see_the_same_images() -> None:
    for seed in (0, 5):
        built = {}
        for arm, setup in ARMS.items():
            with streams(seed).init():
                built[arm] = network(setup, 64, 10)
        for arm in ("batchnorm", "noisy-batchnorm", "noisy-plain"):
            for one, other in zip(built["plain"].layers, built[arm].layers, strict=True):
                assert torch.equal(one.weight, other.weight), arm
            assert torch.equal(built["plain"].head.weight, built[arm].head.weight), arm
        splits = [split(setup, 1437, seed) for setup in ARMS.values()]
        for train, validation in splits:
            assert torch.equal(train, splits[0][0])
            assert torch.equal(validation, splits[0][1])


def test_training_and_validation_images_are_different_ones_and_batches_are_full() -> None:
    train, validation = split(Setup(), 1437, 3)
    assert not set(train.tolist()) & set(validation.tolist())
    assert len(train) % Setup().batch_size == 0
    assert len(validation) == Setup().validation_size
    with pytest.raises(PracticumError, match="more than"):
        split(Setup(train_size=1200), 1437, 3)


def test_the_tuning_is_the_same_in_every_arm() -> None:
    for field in ("rates", "steps", "momentum", "batch_size", "deviation", "train_size"):
        assert len({getattr(setup, field) for setup in ARMS.values()}) == 1, field


def test_test_images_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = trial(SMOKE["batchnorm"], (0,), Services()).values
    images = load_data("digits")
    x, y = images.test
    spoilt = dataclasses.replace(images, test=(x, (y + 1) % 10))
    monkeypatch.setattr(experiment, "load", lambda name: spoilt)
    other = trial(SMOKE["batchnorm"], (0,), Services()).values
    for name in ("rate", "largest_stable_rate", "loss_at_rate"):
        assert np.array_equal(np.asarray(honest[name]), np.asarray(other[name])), name
    assert not np.array_equal(np.asarray(honest["test_error"]), np.asarray(other["test_error"]))


@pytest.mark.parametrize("rates", [(), (0.2, 0.1), (0.0, 0.1)])
def test_rates_that_do_not_rise_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(PracticumError, match="must rise"):
        trial(dataclasses.replace(SMOKE["plain"], rates=rates), (0,), Services())
