"""The dropout lab: what it claims to hold equal must be equal, and only validation may choose.

Catches: arms of a pair with other images, start or order; training and validation images that
overlap; a learning rate chosen by test error; a diverged rate that is chosen.
"""

from __future__ import annotations

import pytest
import torch

from practicum.engine.services import Services
from practicum.labs.lab import replaced
from practicum.labs.training.dropout import experiment
from practicum.labs.training.dropout.experiment import ARMS, Setup, pick, split, trial

TINY = {"steps": 8, "points": 2, "train_size": 60, "validation_size": 100, "hidden": (16,)}


def test_a_seeds_images_are_the_same_in_both_arms_and_never_overlap() -> None:
    for seed in (0, 3):
        train, validation = split(ARMS["plain"], 1438, seed)
        again, held_out = split(ARMS["dropout"], 1438, seed)
        assert torch.equal(train, again)
        assert torch.equal(validation, held_out)
        assert not set(train.tolist()) & set(validation.tolist())
        assert (len(train), len(validation)) == (200, 400)
    assert not torch.equal(split(ARMS["plain"], 1438, 0)[0], split(ARMS["plain"], 1438, 1)[0])


def test_arms_differ_only_in_what_the_header_says() -> None:
    plain, dropout = ARMS["plain"], ARMS["dropout"]
    assert replaced(plain, {"dropout": 0.5, "input_dropout": 0.2}) == dropout
    plain, dropout = ARMS["small-plain"], ARMS["small-dropout"]
    assert replaced(plain, {"dropout": 0.5, "input_dropout": 0.2}) == dropout


def test_without_dropping_the_dropout_arm_is_the_plain_arm_bit_for_bit() -> None:
    plain = replaced(ARMS["plain"], TINY)
    undone = replaced(ARMS["dropout"], {**TINY, "dropout": 0.0, "input_dropout": 0.0})
    first, second = trial(plain, [5], Services()), trial(undone, [5], Services())
    for name, value in first.values.items():
        assert torch.equal(value, second.values[name])


def test_dropping_keeps_the_start_and_changes_the_end() -> None:
    plain = trial(replaced(ARMS["plain"], TINY), [5], Services())
    dropped = trial(replaced(ARMS["dropout"], TINY), [5], Services())
    weight = "network.layers.0.weight"
    assert not torch.equal(plain.weights[0][weight], dropped.weights[0][weight])


def test_validation_chooses_the_rate_and_a_diverged_one_is_never_chosen() -> None:
    setup = replaced(Setup(), {**TINY, "rates": (1e30, 1e-6, 0.3), "steps": 60})
    measured = trial(setup, [0, 1], Services())
    assert measured.values["rate"].tolist() == torch.tensor([0.3, 0.3]).tolist()
    assert measured.diverged.tolist() == [False, False]


def test_a_trial_whose_every_rate_diverges_is_reported_as_diverged() -> None:
    measured = trial(replaced(Setup(), {**TINY, "rates": (1e30,)}), [0], Services())
    assert measured.diverged.tolist() == [True]


def test_each_seed_gets_the_curve_of_its_own_choice() -> None:
    curves = [torch.full((3, 2), float(rate)) for rate in range(4)]
    chosen = pick(curves, torch.tensor([2, 0, 3]))
    assert chosen.tolist() == [[2, 2], [0, 0], [3, 3]]


def test_the_test_images_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = replaced(Setup(), {**TINY, "rates": (0.03, 0.3)})
    measured = trial(setup, [0], Services())
    real = experiment.load

    class Scrambled:
        def __init__(self, name: str) -> None:
            images = real(name)
            self.train = images.train
            self.test = (images.test[0], images.test[1].flip(0))

    monkeypatch.setattr(experiment, "load", Scrambled)
    scrambled = trial(setup, [0], Services())
    assert torch.equal(measured.values["rate"], scrambled.values["rate"])
    assert not torch.equal(measured.values["test_error"], scrambled.values["test_error"])
