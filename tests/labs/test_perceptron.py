"""The lab `perceptron`: would catch made sets whose margin is not what their arm says, label flips
that differ between arms, a seed that depends on its neighbours, and claims that do not fit.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.beginnings.perceptron import experiment
from practicum.labs.beginnings.perceptron.experiment import ARMS, Setup, trial
from practicum.labs.beginnings.perceptron.sets import planted
from practicum.labs.lab import load, replaced
from practicum.learning.perceptron_rule import margin

SMOKE = experiment.SCALES["smoke"].set


def test_the_lab_is_whole() -> None:
    lab = load(experiment.__name__)
    assert (lab.name, lab.topic) == ("perceptron", "beginnings")


@pytest.mark.parametrize("gamma", [0.5, 0.2, 0.03, 0.01])
@pytest.mark.parametrize("features", [2, 7])
def test_a_made_set_has_exactly_the_margin_it_was_made_for(gamma: float, features: int) -> None:
    z = planted(gamma, 60, features, np.random.default_rng(5))
    assert z.shape == (60, features + 1)
    assert margin(z).gamma == pytest.approx(gamma, rel=1e-7)
    assert torch.equal(z[:, -1].abs(), torch.ones(60, dtype=z.dtype))
    assert float(z[:, :-1].norm(dim=1).max()) <= 1.0
    # Without the planted pair the margin would be larger: the check above can fail.
    scores = z @ margin(z).plane
    assert margin(z[scores > gamma * (1 + 1e-7)]).gamma > gamma * (1 + 1e-4)


def test_a_margin_that_the_ball_has_no_room_for_is_refused() -> None:
    with pytest.raises(PracticumError, match="margin"):
        planted(0.9, 10, 3, np.random.default_rng(0))


@pytest.mark.parametrize("arm", ARMS)
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    setup = replaced(ARMS[arm], SMOKE)
    together = trial(setup, (4, 1, 7), Services()).values
    alone = trial(setup, (7,), Services()).values
    for name, values in together.items():
        assert np.array_equal(np.asarray(values)[2], np.asarray(alone[name])[0]), name


@pytest.mark.parametrize("arm", experiment.MADE)
def test_the_arms_of_the_slope_carry_their_margin(arm: str) -> None:
    assert 1.0 / ARMS[arm].gamma == pytest.approx(experiment.MADE[arm])
    measured = trial(ARMS[arm], (0,), Services()).values
    assert measured["margin"][0] == pytest.approx(ARMS[arm].gamma, rel=1e-7)
    assert measured["converged"][0] == 1.0
    assert 0.0 < measured["mistakes/bound"][0] <= 1.0


def test_arms_with_flipped_labels_share_examples_flips_and_order() -> None:
    curves = [
        trial(replaced(ARMS[arm], SMOKE), (3,), Services()).values["mistakes in pass"]
        for arm in ("last", "pocket", "averaged")
    ]
    assert np.array_equal(curves[0], curves[1])
    assert np.array_equal(curves[0], curves[2])


def test_flipping_no_labels_ends_the_mistakes_and_flipping_some_does_not() -> None:
    clean = trial(Setup(flips=0.0, passes=40), (0,), Services()).values
    assert clean["converged"][0] == 1.0
    assert clean["mistakes in pass"][0, -1] == 0.0
    flipped = trial(Setup(flips=0.1, passes=40), (0,), Services()).values
    assert flipped["converged"][0] == 0.0
    assert flipped["margin"][0] == 0.0


def test_a_set_without_margin_is_refused_where_the_bound_is_asked_for() -> None:
    with pytest.raises(PracticumError, match="two different classes"):
        trial(Setup(task="pair", pair=(3, 3)), (0,), Services())
    with pytest.raises(PracticumError, match="no class 12"):
        trial(Setup(task="pair", pair=(3, 12)), (0,), Services())


def test_the_setup_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Setup().flips = 0.2  # type: ignore[misc]
