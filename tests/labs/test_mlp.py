"""The lab `mlp`: would catch arms that see other images or begin elsewhere, random features that
learn after all, a rate chosen with test images, the wrong data at a scale, and a seed that depends
on its neighbours.
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
from practicum.labs.lab import load, replaced, setups_at
from practicum.labs.training.mlp import experiment
from practicum.labs.training.mlp.drawing import mosaic
from practicum.labs.training.mlp.experiment import ARMS, GUESSING, Setup, trial
from practicum.labs.training.mlp.learning import error_of_majority, for_ratios, split
from practicum.labs.training.mlp.networks import RandomFeatures, build
from practicum.nn.mlp import MLP

LAB = load(experiment.__name__)
SMOKE = setups_at(LAB, LAB.scales["smoke"], {})


def test_the_lab_is_whole() -> None:
    assert (LAB.name, LAB.topic) == ("mlp", "training")
    declared = {measure.name: measure.diverged for measure in LAB.measures}
    assert declared["log_error"] == pytest.approx(math.log(GUESSING))


@pytest.mark.parametrize(
    ("scale", "first", "second"),
    [("quick", "digits", "letters"), ("full", "mnist", "fashion-mnist")],
)
def test_each_half_has_its_own_images(scale: str, first: str, second: str) -> None:
    setups = setups_at(LAB, LAB.scales[scale], {})
    for arm, setup in setups.items():
        assert setup.data == (first if arm.startswith("digits") else second)
    chosen = setups_at(LAB, LAB.scales[scale], {"data": "digits"})
    assert {setup.data for setup in chosen.values()} == {"digits"}


def test_the_arms_of_a_half_share_images_tuning_and_updates() -> None:
    for kind in ("digits", "other"):
        mine = [setup for arm, setup in ARMS.items() if arm.startswith(kind)]
        assert len({replaced(setup, {"network": "mlp"}) for setup in mine}) == 1
    train, held = split(ARMS["digits mlp"], 1437, 3)
    for one, other in zip((train, held), split(ARMS["digits linear"], 1437, 3), strict=True):
        assert torch.equal(one, other)
    assert not set(train.tolist()) & set(held.tolist())
    assert (len(train), len(held)) == (1000, 400)
    with pytest.raises(PracticumError, match="ask for more"):
        split(Setup(train_size=1200), 1437, 3)


def test_learnt_and_random_features_begin_alike() -> None:
    for seed in (0, 5):
        with streams(seed).init():
            learnt = build(SMOKE["digits mlp"], 64, 10)
        with streams(seed).init():
            random = build(SMOKE["digits frozen"], 64, 10)
        assert isinstance(random, RandomFeatures)
        x = torch.rand(7, 1, 8, 8)
        assert torch.allclose(learnt(x), random(x), atol=1e-6)
        # Forgetting the rectifier is seen.
        linear = random.output(x.flatten(1) @ random.weight.T + random.bias)
        assert not torch.allclose(learnt(x), linear, atol=1e-2)


def test_the_output_on_random_features_has_the_gradients_of_the_perceptrons_output() -> None:
    torch.manual_seed(0)
    whole = MLP(6, (5,), 3).double()
    torch.manual_seed(0)
    random = RandomFeatures(6, 5, 3).double()
    x, y = torch.rand(9, 6).double(), torch.arange(9) % 3
    for network in (whole, random):
        torch.nn.functional.cross_entropy(network(x), y).backward()
    for name in ("weight", "bias"):
        ours = random.output.get_parameter(name).grad
        theirs = whole.layers[1].get_parameter(name).grad
        assert ours is not None
        assert theirs is not None
        assert torch.allclose(ours, theirs, atol=1e-12)


def test_random_features_keep_their_weights_and_learn_their_output() -> None:
    setup = SMOKE["digits frozen"]
    with streams(2).init():
        start = {name: one.clone() for name, one in build(setup, 64, 10).state_dict().items()}
    end = trial(setup, (2,), Services()).weights[0]
    for name in ("weight", "bias"):
        assert torch.equal(start[name], end[f"network.{name}"])
        assert not torch.equal(start[f"output.{name}"], end[f"network.output.{name}"])
    learnt = trial(SMOKE["digits mlp"], (2,), Services()).weights[0]
    assert not torch.equal(start["weight"], learnt["network.layers.0.weight"])


@pytest.mark.parametrize("arm", ARMS)
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    together = trial(SMOKE[arm], (4, 1), Services())
    alone = trial(SMOKE[arm], (1,), Services())
    for name, values in together.values.items():
        assert np.array_equal(np.asarray(values)[1], np.asarray(alone.values[name])[0]), name


@pytest.mark.parametrize("arm", ["digits mlp", "digits frozen"])
def test_lanes_give_the_weights_of_the_loop(arm: str) -> None:
    loop = trial(SMOKE[arm], (0, 3), Services(arithmetic=Arithmetic(precision="float64")))
    arithmetic = Arithmetic(path="lanes", lane_group=2, precision="float64")
    lanes = trial(SMOKE[arm], (0, 3), Services(arithmetic=arithmetic))
    for one, other in zip(loop.weights, lanes.weights, strict=True):
        for name, tensor in one.items():
            assert torch.allclose(tensor.double(), other[name].double(), atol=1e-7), name


def test_test_images_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = replaced(SMOKE["digits mlp"], {"rates": (0.03, 0.1)})
    honest = trial(setup, (0,), Services()).values
    images = load_data("digits")
    x, y = images.test
    spoilt = dataclasses.replace(images, test=(x, (y + 1) % 10))
    monkeypatch.setattr(experiment, "load", lambda name: spoilt)
    other = trial(setup, (0,), Services()).values
    assert np.array_equal(np.asarray(honest["rate"]), np.asarray(other["rate"]))
    assert not np.array_equal(np.asarray(honest["test_error"]), np.asarray(other["test_error"]))


def test_a_diverged_rate_is_never_chosen_and_a_lost_trial_is_told() -> None:
    setup = replaced(SMOKE["digits linear"], {"rates": (1e38, 0.1)})
    measured = trial(setup, (0, 1), Services())
    assert measured.values["rate"].tolist() == pytest.approx([0.1, 0.1])
    assert measured.diverged.tolist() == [False, False]
    lost = trial(replaced(SMOKE["digits mlp"], {"rates": (1e38,), "steps": 20}), (0,), Services())
    assert lost.diverged.tolist() == [True]


def test_no_mistake_counts_as_half_a_mistake() -> None:
    found = for_ratios(torch.tensor([0.0, 0.5, 90.0], dtype=torch.float64), 200)
    assert found["counted_error"].tolist() == pytest.approx([0.25, 0.5, 90.0])
    assert found["log_error"].exp().tolist() == pytest.approx([0.25, 0.5, 90.0])


def test_the_majority_is_counted_on_training_images() -> None:
    y = torch.tensor([2, 2, 1])
    assert float(error_of_majority(y, torch.tensor([1, 1, 1, 2]))) == pytest.approx(75.0)


def test_a_mosaic_has_every_picture_in_its_place() -> None:
    pictures = np.arange(3 * 2 * 2, dtype=float).reshape(3, 2, 2)
    laid = mosaic(pictures, 2)
    assert laid.shape == (5, 5)
    assert np.array_equal(laid[:2, :2], pictures[0])
    assert np.array_equal(laid[:2, 3:], pictures[1])
    assert np.array_equal(laid[3:, :2], pictures[2])
    assert np.isnan(laid[2]).all()
    assert np.isnan(laid[3:, 3:]).all()
