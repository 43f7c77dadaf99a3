"""The lab `adam`: would catch a sequence with another mean slope, averages that differ from the
rules of practicum.learning.adam, a walk that passes through a wall, methods that meet other slopes
or starts, a width measured on the wrong scale, a rate chosen with test images, and optimizers with
other first weights or images.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from practicum.data import load as load_data
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.optimizers import SGD, Adam
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import load, replaced, setups_at
from practicum.labs.training.adam import experiment, sequence
from practicum.labs.training.adam.experiment import ARMS, Setup, trial
from practicum.labs.training.adam.learning import optimizer, split, width
from practicum.learning.adam import Moments, Settings, adam, amsgrad

LAB = load(experiment.__name__)
SMOKE = setups_at(LAB, LAB.scales["smoke"], {})
TINY = {"hidden": (8,), "steps": 6, "train_size": 60, "validation_size": 100}


def test_the_lab_is_whole() -> None:
    assert (LAB.name, LAB.topic) == ("adam", "training")


# --- the sequence


@pytest.mark.parametrize("kind", ["periodic", "random"])
def test_slopes_sum_to_more_than_zero_and_do_not_depend_on_the_stretch(kind: str) -> None:
    whole = np.concatenate(list(sequence.slopes(kind, streams(3), 101 * 40, 101 * 40)))
    parts = np.concatenate(list(sequence.slopes(kind, streams(3), 101 * 40, 77)))
    assert np.array_equal(whole, parts)
    assert set(whole) == {1010.0, -10.0}
    if kind == "periodic":
        assert np.count_nonzero(whole == 1010.0) == 40
        assert whole.sum() == 40 * 10.0
        assert np.array_equal(whole[101:], whole[:-101])
    long = np.concatenate(list(sequence.slopes(kind, streams(0), 200_000, 50_000)))
    assert np.mean(long == 1010.0) == pytest.approx(0.01, abs=0.001)


def test_seeds_differ_in_start_and_place_and_methods_share_both() -> None:
    starts = {sequence.start(streams(seed)) for seed in range(8)}
    assert len(starts) == 8
    assert all(-1 <= one <= 1 for one in starts)
    places = {
        int(np.argmax(next(sequence.slopes("periodic", streams(seed), 101, 101))))
        for seed in range(8)
    }
    assert len(places) > 4


@pytest.mark.parametrize("method", ["adam", "amsgrad"])
@pytest.mark.parametrize("kind", ["periodic", "random"])
def test_the_walk_is_that_of_the_rule_step_for_step(method: str, kind: str) -> None:
    setup = Setup(problem=kind, method=method, beta2=0.99, length=700, alphas=(0.3, 2.0))
    measured = trial(setup, (5,), Services()).values
    rule = {"adam": adam, "amsgrad": amsgrad}[method]
    slopes = np.concatenate(list(sequence.slopes(kind, streams(5), 700, 14)))
    ends = []
    for alpha in setup.alphas:
        theta = np.array([sequence.start(streams(5))])
        moments, path = Moments.zero(theta), []
        for t, slope in enumerate(slopes, start=1):
            chosen = Settings(alpha=alpha / math.sqrt(t), beta2=0.99, epsilon=0.0)
            gradient = np.array([slope])
            theta, moments = rule(theta, moments, gradient, chosen, correct=False)
            theta = theta.clip(-1.0, 1.0)
            path.append(theta[0])
        ends.append(np.mean(path[-70:]))
        if alpha == 0.3:
            np.testing.assert_allclose(measured["x"][0], path[13::14], atol=1e-11)
    assert measured["final_x"][0] == pytest.approx(ends[0], abs=1e-11)
    assert measured["lowest_x"][0] == pytest.approx(min(ends), abs=1e-11)
    assert measured["highest_x"][0] == pytest.approx(max(ends), abs=1e-11)
    other = {"adam": "amsgrad", "amsgrad": "adam"}[method]
    swapped = trial(replaced(setup, {"method": other}), (5,), Services()).values
    assert np.abs(swapped["x"] - measured["x"]).max() > 1e-3  # the check tells the rules apart


@pytest.mark.parametrize("n", [1, 2, 3, 10, 997])
def test_a_walk_in_blocks_is_the_walk_one_by_one(n: int) -> None:
    generator = np.random.default_rng(n)
    steps = generator.normal(size=(3, n)) * [[0.01], [0.3], [5.0]]
    begin = np.array([0.2, -1.0, 1.0])
    last, mean = sequence.walk(begin, steps)
    for walker in range(3):
        x, total = begin[walker], 0.0
        for step in steps[walker]:
            x = min(1.0, max(-1.0, x - step))
            total += x
        assert last[walker] == pytest.approx(x, abs=1e-12)
        assert mean[walker] == pytest.approx(total / n, abs=1e-12)
    without_walls = begin[2] - steps[2].sum()
    assert n < 10 or not -1 <= without_walls <= 1  # walls mattered


def test_a_small_run_shows_who_goes_where() -> None:
    found = {
        method: trial(
            Setup(problem="periodic", method=method, beta2=0.99, length=40_000, alphas=(8.0,)),
            (0, 1),
            Services(),
        ).values["final_x"]
        for method in ("adam", "amsgrad", "descent")
    }
    assert np.all(found["adam"] > 0.5)
    assert np.all(found["amsgrad"] < -0.5)
    assert np.all(found["descent"] < -0.5)


# --- the images


def test_width_counts_decades_with_straight_lines_between_the_rates() -> None:
    rates = (0.001, 0.01, 0.1, 1.0)
    errors = torch.tensor(
        [
            [9.0, 5.0, 5.0, 9.0],  # a decade, and a quarter of one on each side
            [5.0, 5.5, 5.9, 6.0],  # the whole grid
            [90.0, 90.0, 5.0, 90.0],  # one rate only: two small pieces
            [5.0, 7.0, 5.0, 7.0],  # two ranges: both count
        ],
        dtype=torch.float64,
    )
    expected = [1.5, 3.0, 2 / 85, 1.5]
    np.testing.assert_allclose(width(errors, rates, 1.0), expected, rtol=1e-12)
    doubled = width(errors, tuple(10 * rate for rate in rates), 1.0)
    np.testing.assert_allclose(doubled, expected, rtol=1e-12)  # a unit of the rate is no matter
    fine = torch.linspace(0, 3, 30_001, dtype=torch.float64)
    for row, value in zip(errors.numpy(), expected, strict=True):  # the same by brute force
        line = np.interp(fine.numpy(), [0, 1, 2, 3], row)
        assert 3 * np.mean(line <= row.min() + 1) == pytest.approx(value, abs=1e-3)


def test_each_arm_has_the_optimizer_of_its_name() -> None:
    assert optimizer(ARMS["adam"], 0.1) == Adam(lr=0.1, betas=(0.9, 0.999))
    assert optimizer(ARMS["momentum"], 0.1) == SGD(lr=0.1, momentum=0.9)
    assert optimizer(Setup(method="descent"), 0.1) == SGD(lr=0.1)
    assert optimizer(Setup(method="amsgrad"), 0.1) == Adam(lr=0.1, amsgrad=True)


def test_the_optimizers_are_tuned_alike_and_see_the_same_images() -> None:
    assert replaced(ARMS["momentum"], {"method": "adam"}) == ARMS["adam"]
    for scale in LAB.scales.values():
        setups = setups_at(LAB, scale, {})
        assert replaced(setups["momentum"], {"method": "adam"}) == setups["adam"]
    train, validation = split(ARMS["adam"], 1437, 3)
    again, held = split(ARMS["momentum"], 1437, 3)
    assert torch.equal(train, again)
    assert torch.equal(validation, held)
    assert not set(train.tolist()) & set(validation.tolist())
    with pytest.raises(PracticumError, match="ask for more"):
        split(Setup(train_size=1400), 1437, 0)


def test_a_rate_of_nearly_nothing_leaves_both_arms_at_the_same_first_weights() -> None:
    ends = []
    for arm in ("momentum", "adam"):
        setup = replaced(ARMS[arm], {**TINY, "rates": (1e-12,)})
        ends.append(trial(setup, (4,), Services()).weights[0])
    for name, tensor in ends[0].items():
        torch.testing.assert_close(tensor, ends[1][name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("arm", ["periodic adam", "random amsgrad", "random descent", "adam"])
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    setup = replaced(SMOKE[arm], {"hidden": (8,), "steps": 4})
    together = trial(setup, (4, 1), Services()).values
    alone = trial(setup, (1,), Services()).values
    for name, values in together.items():
        assert np.array_equal(np.asarray(values)[1], np.asarray(alone[name])[0]), name


@pytest.mark.parametrize("arm", ["adam", "random adam"])
def test_lanes_give_the_numbers_of_the_loop(arm: str) -> None:
    setup = replaced(SMOKE[arm], {"hidden": (8,), "steps": 4})
    loop = trial(setup, (0, 3), Services(arithmetic=Arithmetic(precision="float64")))
    arithmetic = Arithmetic(path="lanes", lane_group=2, precision="float64")
    lanes = trial(setup, (0, 3), Services(arithmetic=arithmetic))
    for name, value in loop.values.items():
        assert np.allclose(value, lanes.values[name], atol=1e-9), name
    for one, other in zip(loop.weights, lanes.weights, strict=True):
        for name, tensor in one.items():
            assert torch.allclose(tensor, other[name], atol=1e-9), name


def test_test_images_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = replaced(ARMS["adam"], {**TINY, "rates": (1e-3, 1e-2, 0.1)})
    honest = trial(setup, (0,), Services()).values
    images = load_data("digits")
    x, y = images.test
    spoilt = dataclasses.replace(images, test=(x, (y + 1) % 10))
    monkeypatch.setattr(experiment, "load", lambda name: spoilt)
    other = trial(setup, (0,), Services()).values
    for name in ("rate", "width"):
        assert torch.equal(honest[name], other[name]), name
    assert not torch.equal(honest["test_error"], other["test_error"])


def test_a_diverged_rate_guesses_and_a_trial_of_such_rates_is_diverged() -> None:
    setup = replaced(ARMS["momentum"], {**TINY, "rates": (0.1, 1e30)})
    measured = trial(setup, (0,), Services())
    assert measured.values["error_at_rate"][0, 1] == 90.0
    assert measured.values["rate"].tolist() == [0.1]
    assert measured.diverged.tolist() == [False]
    lost = trial(replaced(setup, {"rates": (1e30, 2e30)}), (0,), Services())
    assert lost.diverged.tolist() == [True]
