"""The lab `double-descent`: would catch arms with other images or features, a ridge chosen on test
images, wrong labels in the test part, summaries of a curve that are off, a seed that depends on its
neighbours, a control that is not the model of the theory.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from practicum.data import load as load_data
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.generalization.double_descent import experiment
from practicum.labs.generalization.double_descent.experiment import ARMS, Setup, draw, trial
from practicum.labs.generalization.double_descent.problems import Images, Teacher, images
from practicum.labs.generalization.double_descent.shape import (
    numbers,
    over_theory,
    rise,
    second_descent,
    width,
)
from practicum.labs.lab import load, replaced
from practicum.nn.random_features import RandomFeatures, first, isotropic_risk

TINY = {
    "train_size": 24,
    "validation_size": 40,
    "test_size": 50,
    "sizes": (0.25, 0.5, 0.875, 1.0, 1.25, 3.0),
    "ridges": (1e-4, 1e-2, 1.0),
}


def tiny(arm: str) -> Setup:
    setup: Setup = replaced(ARMS[arm], TINY)
    return setup


def test_the_lab_is_whole() -> None:
    lab = load(experiment.__name__)
    assert (lab.name, lab.topic) == ("double-descent", "generalization")


# --- what is held equal


def test_arms_share_images_test_images_and_wrong_labels() -> None:
    one = draw(tiny("wrong labels"), streams(3))
    two = draw(tiny("wrong labels, ridge"), streams(3))
    clean = draw(tiny("clean"), streams(3))
    for part in ("train", "validation", "test"):
        for mine, other in zip(getattr(one, part), getattr(two, part), strict=True):
            assert np.array_equal(mine, other)
        assert np.array_equal(getattr(one, part)[0], getattr(clean, part)[0])
    assert np.array_equal(one.test[1], clean.test[1])
    assert not np.array_equal(one.train[1], clean.train[1])


def test_arms_differ_only_in_what_the_header_says() -> None:
    base = ARMS["wrong labels"]
    assert replaced(base, {"fit": "ridge"}) == ARMS["wrong labels, ridge"]
    assert replaced(base, {"noise": 0.0}) == ARMS["clean"]
    assert replaced(base, {"noise": 0.0, "fit": "ridge"}) == ARMS["clean, ridge"]
    assert replaced(base, {"width": 2.0}) == ARMS["wide kernel"]


def test_images_and_labels_are_those_of_the_data_set_and_no_row_is_used_twice() -> None:
    loaded = load_data("digits")
    drawn = images("digits", streams(5), train=300, validation=400, test=1000, noise=0.2)
    x = loaded.train[0].flatten(1).double().numpy()
    rows = streams(5).numpy("order").permutation(len(x))[:700]
    assert len(set(rows.tolist())) == 700
    true = loaded.train[1].numpy()[rows]
    both = np.concatenate([drawn.train[1], drawn.validation[1]]).argmax(1)
    # A wrong label is drawn from all ten classes, the right one among them: 0.2 * 0.9.
    assert np.mean(both != true) == pytest.approx(0.18, abs=0.05)
    assert np.mean(both[:300] != true[:300]) == pytest.approx(0.18, abs=0.07)
    assert np.array_equal(drawn.test[1].argmax(1), loaded.test[1].numpy())
    np.testing.assert_allclose(drawn.train[0].mean(axis=0), 0.0, atol=1e-12)
    assert np.square(drawn.train[0]).sum(1).mean() == pytest.approx(1.0)
    # The test images are centred and scaled by the training images, in one and the same way.
    raw, test = x[rows[:2]], loaded.test[0].flatten(1).double().numpy()
    scale = np.linalg.norm(drawn.train[0][0] - drawn.train[0][1]) / np.linalg.norm(raw[0] - raw[1])
    expected = (test[0] - raw[0]) * scale + drawn.train[0][0]
    np.testing.assert_allclose(drawn.test[0][0], expected, atol=1e-9)


# --- fits


def test_a_trial_is_what_scikit_learn_gives_on_the_same_features() -> None:
    setup = tiny("wrong labels")
    measured = trial(setup, (2,), Services()).values
    drawn = draw(setup, streams(2))
    layer = RandomFeatures.draw("fourier", 64, 72, streams(2).numpy("initialisation"), setup.width)
    for i, size in enumerate(setup.sizes):
        features = round(size * 24)
        z, z_test = (
            first(layer.responses(part[0]), features) for part in (drawn.train, drawn.test)
        )
        peer = LinearRegression(fit_intercept=False).fit(z, drawn.train[1])
        answers = peer.predict(z_test)
        expected = np.square(answers - drawn.test[1]).sum(1).mean()
        assert measured["test loss"][0, i] == pytest.approx(expected, rel=1e-6)
        wrong = 100 * np.mean(answers.argmax(1) != drawn.test[1].argmax(1))
        assert measured["test error"][0, i] == pytest.approx(wrong)
        assert measured["weight norm"][0, i] == pytest.approx(np.linalg.norm(peer.coef_), rel=1e-6)


def test_beyond_the_threshold_the_training_examples_are_fitted_and_below_not() -> None:
    setup = tiny("wrong labels")
    training = trial(setup, (0, 1), Services()).values["training loss"]
    sizes = np.array(setup.sizes)
    assert training[:, sizes >= 1].max() < 1e-12
    assert training[:, sizes < 1].min() > 1e-3


def test_the_ridge_is_the_one_that_validation_prefers() -> None:
    setup = tiny("wrong labels, ridge")
    measured = trial(setup, (2,), Services()).values
    drawn = draw(setup, streams(2))
    layer = RandomFeatures.draw("fourier", 64, 72, streams(2).numpy("initialisation"), setup.width)
    for i, size in enumerate(setup.sizes):
        z, z_validation = (
            first(layer.responses(part[0]), round(size * 24))
            for part in (drawn.train, drawn.validation)
        )
        losses = {}
        for ridge in setup.ridges:
            peer = Ridge(alpha=24 * ridge, fit_intercept=False).fit(z, drawn.train[1])
            answers = peer.predict(z_validation)
            losses[ridge] = float(np.square(answers - drawn.validation[1]).sum(1).mean())
        assert measured["ridge"][0, i] == min(losses, key=losses.__getitem__)
    assert len(set(measured["ridge"][0].tolist())) > 1 or measured["ridge"][0, 0] != 1e-4


def test_test_images_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = tiny("wrong labels, ridge")
    kept = trial(setup, (4,), Services()).values

    def scrambled(*arguments: object, **settings: object) -> object:
        drawn = images(*arguments, **settings)  # type: ignore[arg-type]
        test = (drawn.test[0], drawn.test[1][::-1])
        return Images(train=drawn.train, validation=drawn.validation, test=test)

    monkeypatch.setattr(experiment, "images", scrambled)
    other = trial(setup, (4,), Services()).values
    assert np.array_equal(kept["ridge"], other["ridge"])
    assert np.array_equal(kept["training loss"], other["training loss"])
    assert not np.array_equal(kept["test loss"], other["test loss"])


# --- the shape of a curve


def test_the_numbers_of_a_curve_that_was_made_by_hand() -> None:
    sizes, losses = (0.25, 0.5, 1.0, 2.0, 4.0), np.array([2.0, 0.5, 8.0, 0.5, 0.25])
    found = numbers(losses, sizes)
    assert found["rise"] == 16.0
    assert found["peak place"] == 1.0
    assert found["fall"] == 32.0
    assert found["far end"] == 0.5
    # Above 1: half an octave (2 to 0.5), then 3/4 of one (0.5 to 8), then 3/4 of one (8 to 0.5).
    assert found["width"] == pytest.approx(0.5 + 0.75 + 0.75)


def test_a_curve_that_only_falls_has_no_rise() -> None:
    assert rise(np.array([4.0, 2.0, 1.0])) == 0.5
    assert rise(np.array([4.0, 2.0, 2.2, 1.0])) == pytest.approx(1.1)
    assert second_descent(np.array([4.0, 2.0, 2.2, 1.0]), (0.2, 0.9, 1.0, 3.0)) == 0.5


@pytest.mark.parametrize("level", [0.1, 1.0, 20.0])
def test_the_width_is_that_of_a_fine_numerical_measurement(level: float) -> None:
    sizes = (0.05, 0.2, 0.7, 0.9, 1.0, 1.3, 5.0)
    losses = np.array([0.9, 0.5, 1.7, 6.0, 90.0, 2.0, 0.3])
    fine = np.linspace(np.log2(sizes[0]), np.log2(sizes[-1]), 200_001)
    curve = np.interp(fine, np.log2(sizes), np.log(losses))
    expected = float(np.mean(curve > np.log(level)) * (fine[-1] - fine[0]))
    assert width(losses, sizes, level) == pytest.approx(expected, abs=1e-3)


def test_over_theory_leaves_the_neighbourhood_of_the_threshold_out() -> None:
    sizes = (0.5, 1.0, 2.0)
    risks = np.array([2.0 * isotropic_risk(0.5, 1, 0.3), 1e9, 8.0 * isotropic_risk(2, 1, 0.3)])

    def theory(size: float) -> float:
        return isotropic_risk(size, 1.0, 0.3)

    assert over_theory(risks, sizes, theory) == pytest.approx(4.0)


# --- the control


def test_the_teachers_risk_is_the_error_on_new_inputs_without_their_noise() -> None:
    problem = Teacher.draw(streams(1), train=30, inputs=12, signal=2.0, noise=0.5)
    assert np.square(problem.rule).sum() == pytest.approx(2.0)
    noise = (problem.y - problem.x @ problem.rule).ravel()
    assert np.var(noise) == pytest.approx(0.5, rel=0.6)
    weights = problem.rule + 0.3
    new = np.random.default_rng(0).normal(size=(200_000, 12))
    expected = np.square(new @ (weights - problem.rule)).mean()
    assert problem.risk(weights) == pytest.approx(expected, rel=0.02)


def test_the_control_agrees_with_theory_and_a_regression_with_a_ridge_would_not() -> None:
    setup = replaced(
        ARMS["linear teacher"], {"train_size": 100, "sizes": (0.3, 0.6, 1.0, 1.6, 3.0)}
    )
    seeds = tuple(range(12))
    found = trial(setup, seeds, Services()).values["over theory"]
    assert np.exp(np.log(found).mean()) == pytest.approx(1.0, abs=0.15)
    hidden = replaced(setup, {"rcond": 0.6})  # a cut-off that works like a ridge
    off = trial(hidden, seeds, Services()).values["over theory"]
    assert abs(np.log(off).mean()) > 0.2


# --- trials


@pytest.mark.parametrize("arm", ARMS)
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    together = trial(tiny(arm), (4, 1, 7), Services()).values
    alone = trial(tiny(arm), (7,), Services()).values
    assert together.keys() == alone.keys()
    for name, values in together.items():
        assert np.array_equal(values[2], alone[name][0]), name
    assert len(set(together["rise"].tolist())) == 3


def test_on_a_small_problem_the_peak_is_there_and_the_ridge_removes_it() -> None:
    seeds = tuple(range(5))
    plain = trial(tiny("wrong labels"), seeds, Services()).values
    ridge = trial(tiny("wrong labels, ridge"), seeds, Services()).values
    assert np.exp(np.log(plain["rise"]).mean()) > 3
    assert np.exp(np.log(ridge["rise"]).mean()) < 1.2
    assert np.median(plain["peak place"]) == 1.0


@pytest.mark.parametrize("sizes", [(0.5,), (0.5, 0.9), (1.1, 2.0), (0.5, 0.4, 2.0), (0.0, 2.0)])
def test_sizes_that_do_not_straddle_the_threshold_are_refused(sizes: tuple[float, ...]) -> None:
    with pytest.raises(PracticumError, match="below 1"):
        trial(replaced(tiny("clean"), {"sizes": sizes}), (0,), Services())


def test_more_images_than_there_are_is_refused() -> None:
    with pytest.raises(PracticumError, match="validation_size"):
        trial(replaced(tiny("clean"), {"train_size": 1400}), (0,), Services())
