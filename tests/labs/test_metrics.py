"""The lab `metrics`: would catch classifiers that differ where only their test may, a test set of
another share than it says, class weights that do not balance, a temperature chosen with test images
or changing answers, parts of the error that agree with it by algebra, and a seed that depends on
its neighbours.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import legendre
from scipy.special import log_softmax, softmax

from practicum.data import load as load_data
from practicum.engine.noise import GlobalNoise
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import load, replaced, setups_at
from practicum.labs.practice.metrics import calibration, detection, experiment, tradeoff
from practicum.labs.practice.metrics.experiment import ARMS, Setup, trial

LAB = load(experiment.__name__)
SMOKE = setups_at(LAB, LAB.scales["smoke"], {})


def test_the_lab_is_whole() -> None:
    assert (LAB.name, LAB.topic) == ("metrics", "practice")


@pytest.mark.parametrize("arm", ARMS)
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    together = trial(SMOKE[arm], (4, 1), Services()).values
    alone = trial(SMOKE[arm], (1,), Services()).values
    for name, values in together.items():
        assert np.array_equal(values[1], alone[name][0], equal_nan=True), name


# --- one class against the rest


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_a_test_set_has_the_share_of_positives_that_it_says(share: float) -> None:
    truth = np.arange(360) % 10 == 0
    rows = detection.subset(truth, share, None, np.random.default_rng(0))
    assert len(set(rows.tolist())) == len(rows)
    assert truth[rows].sum() == round(share * len(rows))
    # As many as there are: one class is used up, but for rounding.
    assert truth[rows].sum() == 36 or (~truth[rows]).sum() > 290


def test_a_training_set_has_its_size_or_is_refused() -> None:
    truth = np.arange(100) % 10 == 0
    rows = detection.subset(truth, 0.1, 50, np.random.default_rng(1))
    assert (len(rows), int(truth[rows].sum())) == (50, 5)
    for share, size in ((0.5, 50), (0.01, 20), (0.05, 100)):
        with pytest.raises(PracticumError, match="cannot be drawn"):
            detection.subset(truth, share, size, np.random.default_rng(1))


def test_the_weighted_loss_gives_both_classes_the_same_weight() -> None:
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2).double()
    x, y = torch.randn(40, 3).double(), (torch.arange(40) % 20 == 0).long()
    noise, weights = GlobalNoise("cpu"), (0.5 / 0.95, 0.5 / 0.05)
    ours = detection.weighted_cross_entropy(weights, network, (x, y), noise)
    (gradient,) = torch.autograd.grad(ours, network.weight)
    peer = F.cross_entropy(network(x), y, weight=torch.tensor(weights).double())
    (expected,) = torch.autograd.grad(peer, network.weight)
    assert ours.item() == pytest.approx(peer.item())  # the weights of these 40 sum to 40
    assert torch.allclose(gradient, expected)
    plain = detection.weighted_cross_entropy((1.0, 1.0), network, (x, y), noise)
    assert plain.item() == pytest.approx(F.cross_entropy(network(x), y).item())
    assert abs(plain.item() - peer.item()) > 1e-3


def test_classifiers_that_differ_only_in_their_test_are_the_same_classifier() -> None:
    one, half, rare = (
        trial(SMOKE[arm], (3,), Services())
        for arm in ("weighted", "weighted half", "weighted rare")
    )
    for name, tensor in one.weights[0].items():
        assert torch.equal(tensor, half.weights[0][name])
        assert torch.equal(tensor, rare.weights[0][name])
    assert not np.array_equal(one.values["precision"], rare.values["precision"])


def test_plain_and_weighted_differ_in_the_weights_of_the_classes_only() -> None:
    assert replaced(ARMS["plain"], {"classifier": "weighted"}) == ARMS["weighted"]
    assert replaced(ARMS["weighted"], {"test_share": 0.5}) == ARMS["weighted half"]


def test_those_who_know_nothing_measure_what_they_must() -> None:
    never = trial(SMOKE["never"], (0,), Services()).values
    assert never["auc"].tolist() == [0.5]
    assert (never["f1"].tolist(), never["recall"].tolist()) == ([0.0], [0.0])
    assert never["accuracy"][0] == pytest.approx(95.0, abs=0.2)
    assert never["average_precision"][0] == pytest.approx(0.05, abs=0.002)
    coin = replaced(SMOKE["coin"], {"draws": 20})
    flips = trial(coin, range(12), Services()).values
    assert abs(flips["auc"].mean() - 0.5) < 0.06
    assert abs(flips["accuracy"].mean() - 50.0) < 3.0


def test_curves_go_through_the_points_of_a_small_example() -> None:
    # Positives score 4 and 2, negatives 3 and 1: the curve rises, goes right, rises, goes right.
    score, truth = np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False])
    found = detection._on(score, truth)
    assert found["auc"] == pytest.approx(0.75)
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["roc"][[0, 10, 25, 50]].tolist() == [0.5, 0.5, 1.0, 1.0]
    assert found["pr"][[0, 25, 26, 50]] == pytest.approx([1.0, 1.0, 2 / 3, 2 / 3])


# --- confidence


def test_probabilities_and_likelihood_are_scipys() -> None:
    random = np.random.default_rng(0)
    z, y = 5 * random.normal(size=(30, 4)), random.integers(4, size=30)
    assert calibration.probabilities(z, 2.5) == pytest.approx(softmax(z / 2.5, axis=1))
    expected = -log_softmax(z / 2.5, axis=1)[np.arange(30), y].mean()
    assert calibration.negative_log_likelihood(z, y, 2.5) == pytest.approx(expected)
    assert abs(calibration.negative_log_likelihood(z, y, 1 / 2.5) - expected) > 0.1


@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_the_temperature_of_which_answers_were_drawn_is_found(temperature: float) -> None:
    random = np.random.default_rng(2)
    z = 3 * random.normal(size=(20000, 5))
    chances = softmax(z / temperature, axis=1).cumsum(axis=1)
    y = (random.random((20000, 1)) > chances).sum(axis=1)
    found = calibration.best_temperature(z, y)
    assert found == pytest.approx(temperature, rel=0.03)
    at, near = (calibration.negative_log_likelihood(z, y, found * f) for f in (1.0, 1.001))
    assert at <= near
    assert at <= calibration.negative_log_likelihood(z, y, found / 1.001)


def test_images_that_are_all_answered_rightly_ask_for_the_coldest_temperature() -> None:
    z = 10 * np.eye(3)
    assert calibration.best_temperature(z, np.arange(3)) == 0.05


@given(st.lists(st.floats(-50, 50), min_size=6, max_size=6), st.floats(0.05, 20))
def test_no_temperature_changes_an_answer(logits: list[float], temperature: float) -> None:
    z = np.array(logits).reshape(2, 3)
    gaps = np.diff(np.sort(z, axis=1), axis=1)[:, -1]
    after = calibration.probabilities(z, temperature)
    largest = after[np.arange(2), z.argmax(axis=1)]
    assert (largest == after.max(axis=1)).all()
    if (gaps > 1e-6).all():
        assert np.array_equal(after.argmax(axis=1), z.argmax(axis=1))


def test_raw_and_scaled_are_one_network() -> None:
    raw, scaled, cold = (
        trial(SMOKE[arm], (0,), Services()) for arm in ("raw", "scaled", "fitted on training")
    )
    for name, tensor in raw.weights[0].items():
        assert torch.equal(tensor, scaled.weights[0][name])
        assert torch.equal(tensor, cold.weights[0][name])
    assert raw.values["temperature"].tolist() == [1.0]
    assert scaled.values["temperature"] != raw.values["temperature"]
    assert np.array_equal(raw.values["accuracy"], scaled.values["accuracy"])
    assert scaled.values["changed_answers"].tolist() == [0.0]


def test_test_images_do_not_choose_the_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = trial(SMOKE["scaled"], (0,), Services()).values
    images = load_data("digits")
    x, y = images.test
    spoilt = dataclasses.replace(images, test=(x, (y + 1) % 10))
    monkeypatch.setattr(calibration, "load", lambda name: spoilt)
    other = trial(SMOKE["scaled"], (0,), Services()).values
    assert np.array_equal(honest["temperature"], other["temperature"])
    assert not np.array_equal(honest["accuracy"], other["accuracy"])


def test_training_and_validation_images_do_not_overlap() -> None:
    train, held = calibration.split(ARMS["raw"], 1437, 3)
    assert torch.equal(train, calibration.split(ARMS["scaled"], 1437, 3)[0])
    assert not set(train.tolist()) & set(held.tolist())
    assert (len(train), len(held)) == (60, 400)
    with pytest.raises(PracticumError, match="ask for more"):
        calibration.split(ARMS["raw"], 300, 3)


# --- bias, variance and noise


def polynomial(**changes: object) -> Setup:
    return replaced(ARMS["degree 3"], changes)


@pytest.mark.parametrize("degree", [1, 4])
def test_fits_are_numpys(degree: int) -> None:
    x, y = tradeoff.training_sets(polynomial(sets=3, points=12), np.random.default_rng(0))
    for found, one_x, one_y in zip(tradeoff.fits(degree, x, y), x, y, strict=True):
        assert found == pytest.approx(legendre.legfit(one_x, one_y, degree))


def test_every_degree_sees_the_same_points_one_in_each_part() -> None:
    sets = [
        tradeoff.training_sets(
            polynomial(degree=degree, sets=4, points=7), streams(1).numpy("order")
        )
        for degree in (1, 9)
    ]
    for one, other in zip(*sets, strict=True):
        assert np.array_equal(one, other)
    part = np.floor((sets[0][0] + 1) / 2 * 7).astype(int)
    assert part.tolist() == [list(range(7))] * 4
    anywhere = tradeoff.training_sets(
        polynomial(sets=50, points=7, design="any"), np.random.default_rng(0)
    )[0]
    assert np.abs(anywhere).max() <= 1
    assert np.sort(np.floor((anywhere + 1) / 2 * 7), axis=1).tolist() != [list(range(7))] * 50


def test_the_parts_of_fits_that_only_scatter_are_variance_alone() -> None:
    random = np.random.default_rng(3)
    wanted = random.normal(size=40000)
    predictions = wanted + random.normal(size=(5, 40000))
    bias, variance = tradeoff.parts(predictions, wanted)
    assert bias == pytest.approx(0.0, abs=0.01)
    assert variance == pytest.approx(1.0, abs=0.02)
    uncorrected = np.mean((predictions.mean(axis=0) - wanted) ** 2)
    assert uncorrected == pytest.approx(0.2, abs=0.01)  # what is wrong without the correction
    shifted, _ = tradeoff.parts(predictions + 0.5, wanted)
    assert shifted == pytest.approx(0.25, abs=0.01)


def test_a_straight_line_has_the_variance_of_the_textbook() -> None:
    # With fixed points and k coefficients, the variance averaged over those points is s^2 k / n.
    setup = polynomial(degree=1, sets=4000, points=200, noise=1.0)
    found = tradeoff.measure(setup, np.random.default_rng(0), np.random.default_rng(1))
    assert found["variance"] == pytest.approx(2 / 200, rel=0.05)


@pytest.mark.parametrize("degree", [1, 9])
def test_the_parts_predict_the_error_of_other_training_sets(degree: int) -> None:
    setup = polynomial(degree=degree, sets=4000)
    found = tradeoff.measure(setup, np.random.default_rng(0), np.random.default_rng(1))
    assert abs(found["gap"]) < 2.0
    again = tradeoff.measure(setup, np.random.default_rng(0), np.random.default_rng(2))
    assert again["bias"] == found["bias"]
    assert again["squared_error"] != found["squared_error"]
    # A sum that forgets the noise, or the variance, is seen.
    for part in ("noise", "variance"):
        total = found["bias"] + found["variance"] + found["noise"] - found[part]
        assert abs(total / found["squared_error"] - 1) > 0.01


def test_the_bias_is_that_of_the_best_polynomial() -> None:
    setup = partial(polynomial, sets=2000, points=100, noise=0.1)
    x = tradeoff.COMPARED
    for degree in (1, 5):
        best = legendre.legval(x, legendre.legfit(x, tradeoff.truth(x), degree))
        expected = np.mean((best - tradeoff.truth(x)) ** 2)
        found = tradeoff.measure(
            setup(degree=degree), np.random.default_rng(0), np.random.default_rng(1)
        )
        assert found["bias"] == pytest.approx(expected, rel=0.01)
