"""The lab `sgd`: would catch an objective that training and optimum do not share, an average that
is not the average, arms that start elsewhere or meet other batches, an exponent that is not the
slope, batches that are not drawn with replacement where they should be.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from practicum.data import load as load_data
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.source import Batches
from practicum.engine.train import train
from practicum.errors import PracticumError
from practicum.labs.lab import load, replaced
from practicum.labs.training.sgd import experiment
from practicum.labs.training.sgd.experiment import ARMS, LINEAR, LOGISTIC, Setup, trial
from practicum.labs.training.sgd.learning import exponent, recipe
from practicum.labs.training.sgd.problems import LENGTH, Problem, build
from practicum.labs.training.sgd.steps import Averaging, Falling
from practicum.nn.linear import softmax_objective, squared_objective

SERVICES = Services(arithmetic=Arithmetic(precision="float64"))
TINY = {"steps": 12, "points": 12, "examples": 60}


def small(arm: str, **changes: object) -> Setup:
    setup: Setup = replaced(ARMS[arm], {**TINY, **changes})
    return setup


def test_the_lab_is_whole() -> None:
    lab = load(experiment.__name__)
    assert (lab.name, lab.topic, lab.precision) == ("sgd", "training", "float64")


def test_the_linear_optimum_is_scikit_learns_ridge_on_the_same_rows() -> None:
    setup = small("linear falling", decay=0.07)
    problem = build(setup, (3, 8), SERVICES)
    for seed in (3, 8):
        x, y = problem.x[problem.rows[seed]], problem.y[problem.rows[seed]]
        peer = Ridge(alpha=0.07 * 60, fit_intercept=False).fit(x, y[:, 0])
        np.testing.assert_allclose(problem.optimum[seed][:, 0], peer.coef_, rtol=1e-8)
        assert problem.excess(problem.optimum[seed], seed) == 0
    assert not torch.allclose(problem.optimum[3], problem.optimum[8])


def test_the_logistic_optimum_is_scikit_learns_on_the_same_rows() -> None:
    setup = small("logistic falling", examples=300)
    problem = build(setup, (0,), SERVICES)
    peer = LogisticRegression(
        C=1 / (setup.decay * 300), fit_intercept=False, tol=1e-10, max_iter=5000
    ).fit(problem.x, problem.y)
    theirs = torch.from_numpy(np.ascontiguousarray(peer.coef_.T))
    assert abs(problem.excess(theirs, 0)) < 1e-10
    assert problem.x[:, -1].eq(1).all()
    images = problem.x[:, :-1]
    assert float(images.square().sum(1).mean()) == pytest.approx(LENGTH)
    assert float(images.mean(0).abs().max()) < 1e-12
    assert torch.equal(problem.y, load_data("digits").train[1][:300])


def test_curvatures_spread_over_the_condition_number() -> None:
    setup = small("linear falling", examples=60_000, dimensions=5, condition=8.0)
    problem = build(setup, (1,), SERVICES)
    found = torch.linalg.eigvalsh(problem.x.T @ problem.x / 60_000)
    np.testing.assert_allclose(found, np.geomspace(1 / 8, 1, 5), rtol=0.05)
    steep, flat = problem.axes[1].T
    assert float(steep @ problem.x.T @ problem.x @ steep) / 60_000 == pytest.approx(
        float(found[-1])
    )
    assert float(flat @ problem.x.T @ problem.x @ flat) / 60_000 == pytest.approx(float(found[0]))


def by_hand(setup: Setup, problem: Problem, seed: int) -> list[torch.Tensor]:
    """Every iterate, by full derivatives of the objective on each batch."""
    rows = problem.draws(seed, setup.steps * setup.batch_size, setup.replace)
    source = Batches((problem.x, problem.y), setup.batch_size, streams(seed).order(), rows)
    objective = squared_objective if setup.task == "linear" else softmax_objective
    weight = torch.zeros(problem.x.shape[1], problem.outputs, dtype=torch.float64)
    iterates = []
    for step in range(setup.steps):
        x, y = next(source)
        at = weight.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(objective(at, x, y, setup.decay), at)
        weight = weight - setup.step * (1 + step / setup.offset) ** -setup.power * gradient
        iterates.append(weight)
    return iterates


@pytest.mark.parametrize("arm", ["linear falling", "linear reshuffled", "logistic constant 2"])
def test_training_descends_the_objective_of_the_optimum(arm: str) -> None:
    setup = small(arm, offset=3.0)
    problem = build(setup, (5,), SERVICES)
    iterates = by_hand(setup, problem, 5)
    run = train(recipe(setup, problem), (5,), SERVICES)
    expected = [problem.excess(one, 5) for one in iterates]
    np.testing.assert_allclose(run.curves["excess"][0], expected, rtol=1e-9)
    # Another decay than the optimum's, a classic slip, is another path.
    other = by_hand(dataclasses.replace(setup, decay=2 * setup.decay), problem, 5)
    assert abs(problem.excess(other[-1], 5) - expected[-1]) > 1e-6


@pytest.mark.parametrize("emphasis", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("path", ["loop", "lanes"])
def test_the_average_is_the_weighted_mean_of_all_iterates(path: str, emphasis: float) -> None:
    setup = small("linear averaged", emphasis=emphasis)
    seeds = (2, 6)
    arithmetic = Arithmetic(path=path, lane_group=2, precision="float64")
    problem = build(setup, seeds, SERVICES)
    run = train(recipe(setup, problem), seeds, dataclasses.replace(SERVICES, arithmetic=arithmetic))
    for lane, seed in enumerate(seeds):
        iterates = torch.stack(by_hand(setup, problem, seed))
        share = torch.ones((), dtype=torch.float64)
        shares = [share]
        for t in range(1, setup.steps):  # unrolled by hand: later weights times (1 - rho)
            rho = (1 + emphasis) / (t + 1 + emphasis)
            shares = [one * (1 - rho) for one in shares] + [torch.tensor(rho, dtype=torch.float64)]
        mean = sum(one * w for one, w in zip(shares, iterates, strict=True))
        assert isinstance(mean, torch.Tensor)
        kept = run.networks[lane]["average"].weight
        assert isinstance(kept, torch.Tensor)
        torch.testing.assert_close(kept.detach(), mean, rtol=1e-10, atol=1e-12)
        if emphasis == 0:
            torch.testing.assert_close(mean, iterates.mean(0))
        assert not torch.allclose(kept, iterates[-1])


def test_schedules_are_those_of_the_equations() -> None:
    assert [Falling(offset=10, power=1.0)(t) for t in (0, 10, 90)] == [1.0, 0.5, 0.1]
    assert Falling(offset=10, power=0.0)(1000) == 1.0
    assert [Averaging()(t) for t in (0, 1, 2, 9)] == [1.0, 1 / 2, 1 / 3, 1 / 10]


@pytest.mark.parametrize("power", [-1.0, -0.5, 0.0, -2.0])
def test_the_exponent_is_the_slope_of_a_power_law_of_the_last_tenfold(power: float) -> None:
    steps = np.arange(20, 4001, 20.0)
    early = np.where(steps < 400, 1e6, 1.0)  # what came before must not count
    excess = np.stack([early * 3 * steps**power, early * 0.1 * steps**power])
    np.testing.assert_allclose(exponent(steps, excess), power, atol=0.01)
    assert abs(exponent(steps, np.ones((1, 200)) / steps**1.5)[0] + 1.5) < 0.02


@pytest.mark.parametrize("arms", [LINEAR, LOGISTIC])
def test_arms_share_objective_examples_start_and_draws(arms: tuple[str, ...]) -> None:
    problems = [build(small(arm), (4,), SERVICES) for arm in arms]
    for arm, problem in zip(arms, problems, strict=True):
        assert torch.equal(problem.x, problems[0].x)
        assert problem.lowest == problems[0].lowest
        drawn, same = (one.draws(4, 120, True) for one in (problem, problems[0]))
        assert torch.equal(drawn, same)
        setup = ARMS[arm]
        assert (setup.deviation, setup.steps, setup.batch_size) == (0.0, 4000, 10)
        assert setup.replace == ("reshuffled" not in arm)


def test_draws_with_replacement_repeat_and_stay_within_the_seeds_own_rows() -> None:
    problem = build(small("linear falling"), (0, 1), SERVICES)
    drawn = problem.draws(1, 5000, True)
    assert (int(drawn.min()), int(drawn.max())) == (60, 119)
    counts = torch.bincount(drawn - 60)
    # The spread of independent draws, not of a shuffle: chi-square with 59 degrees of freedom.
    assert 30 < float(((counts - 5000 / 60) ** 2 / (5000 / 60)).sum()) < 100
    assert torch.equal(problem.draws(1, 5000, False), torch.arange(60, 120))


def test_a_longer_constant_step_has_a_higher_floor() -> None:
    change = {"examples": 200, "dimensions": 4, "steps": 300, "points": 60}
    floors = [
        float(
            trial(
                replaced(ARMS["linear constant 1"], change | {"step": step}), (0,), SERVICES
            ).values["floor"][0]
        )
        for step in (0.05, 0.2)
    ]
    assert 1.5 * floors[0] < floors[1] < 12 * floors[0]


def test_too_few_images_are_told() -> None:
    with pytest.raises(PracticumError, match="1438 training"):
        build(small("logistic falling", examples=100_000), (0,), SERVICES)
