"""The lab `momentum`: would catch a bowl with the wrong curvatures, arms that start elsewhere, a
count of steps off by one, tuning on the noise that measures, a seed that depends on its neighbours.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.labs.lab import load, replaced
from practicum.labs.training.momentum import experiment
from practicum.labs.training.momentum.experiment import ARMS, Setup, draw, trial, tuning
from practicum.learning.momentum import error_after, rate

SMOKE = experiment.SCALES["smoke"].set


def test_the_lab_is_whole() -> None:
    lab = load(experiment.__name__)
    assert (lab.name, lab.topic) == ("momentum", "training")


@pytest.mark.parametrize("condition", [10.0, 1000.0])
def test_a_bowl_has_its_curvatures_in_random_directions(condition: float) -> None:
    setup = Setup(condition=condition, dimensions=7)
    bowl = draw(setup, streams(3))
    found = np.linalg.eigvalsh(bowl.matrix)
    np.testing.assert_allclose(found, np.geomspace(1.0 / condition, 1.0, 7), rtol=1e-9)
    off = bowl.matrix - np.diag(np.diag(bowl.matrix))
    assert np.abs(off).max() > 0.05
    other = draw(setup, streams(4))
    assert not np.allclose(other.matrix, bowl.matrix)
    assert float(bowl.loss(bowl.start)) == pytest.approx(
        0.5 * bowl.start @ bowl.matrix @ bowl.start
    )


def test_arms_share_axes_and_start() -> None:
    one = draw(ARMS["descent 100"], streams(5))
    two = draw(ARMS["heavy ball 100"], streams(5))
    assert np.array_equal(one.matrix, two.matrix)
    assert np.array_equal(one.start, two.start)
    assert np.array_equal(one.start, draw(ARMS["heavy ball 1000"], streams(5)).start)


@pytest.mark.parametrize("arm", ["descent 10", "heavy ball 100", "fixed momentum 100"])
def test_the_count_of_steps_is_that_of_the_closed_form(arm: str) -> None:
    setup = replaced(ARMS[arm], {"dimensions": 6})
    bowl = draw(setup, streams(2))
    counted = int(trial(setup, (2,), Services()).values["iterations"][0])
    curvatures, axes = np.linalg.eigh(bowl.matrix)
    first = axes.T @ bowl.start

    def distance(steps: int) -> float:
        error = error_after(tuning(setup), curvatures, steps) * first
        return float(np.linalg.norm(error) / np.linalg.norm(first))

    assert distance(counted) <= setup.tolerance * (1 + 1e-6)
    assert distance(counted - 1) > setup.tolerance * (1 - 1e-6)


@pytest.mark.parametrize("arm", ARMS)
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    setup = replaced(ARMS[arm], {**SMOKE, "dimensions": 5})
    together = trial(setup, (4, 1, 7), Services()).values
    alone = trial(setup, (7,), Services()).values
    for name, values in together.items():
        assert np.array_equal(values[2], alone[name][0]), name
    assert len({tuple(np.ravel(v)) for v in next(iter(together.values()))}) > 1 or "10" in arm


@pytest.mark.parametrize("condition", [10.0, 1000.0])
def test_each_method_runs_at_a_setting_that_shrinks_every_curvature(condition: float) -> None:
    rates = {}
    for method in ("descent", "heavy ball", "fixed momentum"):
        chosen = tuning(Setup(method=method, condition=condition))
        rates[method] = max(rate(chosen, c) for c in np.geomspace(1.0 / condition, 1.0, 30))
    assert rates["heavy ball"] <= min(rates.values()) + 1e-6
    assert max(rates.values()) < 1.0


def test_the_step_is_tuned_on_other_noise_than_it_is_measured_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = replaced(ARMS["noisy descent"], {"steps": 30, "dimensions": 4, "repeats": 2})
    seen: list[int] = []
    kept = experiment._end

    def spy(*arguments: object) -> object:
        generator = arguments[-1]
        assert isinstance(generator, np.random.Generator)
        seen.append(generator.bit_generator.state["state"]["state"])
        return kept(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(experiment, "_end", spy)
    trial(setup, (0,), Services())
    assert len(seen) == 2
    assert seen[0] != seen[1]


def test_without_noise_the_measured_loss_is_that_of_the_method_itself() -> None:
    setup = replaced(
        ARMS["noisy heavy ball"], {"steps": 50, "dimensions": 4, "candidates": 1, "repeats": 1}
    )
    values = trial(setup, (1,), Services()).values
    bowl, best = draw(setup, streams(1)), tuning(setup)
    curvatures, axes = np.linalg.eigh(bowl.matrix)
    first = axes.T @ bowl.start
    losses = [
        0.5 * float(curvatures @ (error_after(best, curvatures, t) * first) ** 2)
        for t in range(46, 51)
    ]
    expected = np.mean(losses) / float(bowl.loss(bowl.start))
    assert values["quiet loss"][0] == pytest.approx(expected, rel=1e-6)
    assert values["noisy loss"][0] > 2 * expected


def test_a_run_that_never_arrives_is_reported_as_diverged(monkeypatch: pytest.MonkeyPatch) -> None:
    wild = dataclasses.replace(tuning(Setup(condition=10.0)), alpha=2.5)
    monkeypatch.setattr(experiment, "tuning", lambda setup: wild)
    with np.errstate(over="ignore", invalid="ignore"):
        measured = trial(Setup(condition=10.0), (0,), Services())
    assert np.isnan(measured.values["iterations"]).all()
    assert measured.diverged.all()
