"""The lab `losses`: would catch arms of a group with other examples, starts or grids, test rows
that are spoiled or that choose something, a band that is counted wrongly, a cut-off that is chosen
by the test, a wrong start that is not wrong.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import load, replaced
from practicum.labs.practice.losses import experiment, learning
from practicum.labs.practice.losses.drawing import pulls
from practicum.labs.practice.losses.experiment import ARMS, Setup, trial
from practicum.labs.practice.losses.learning import best_floor, loss_of, network, rate_of, score
from practicum.labs.practice.losses.measuring import coverage_gap, first_gradient, nll
from practicum.labs.practice.losses.problems import (
    EDGE,
    LOUDEST,
    QUIETEST,
    STRETCH,
    build,
    deviation,
    draw,
    truth,
)
from practicum.learning import likelihood

SERVICES = Services()
SMOKE = experiment.SCALES["smoke"].set
GROUPS = [
    [arm for arm in ARMS if arm.split()[0] == group]
    for group in ("class", "wrong", "outliers", "clean", "variance", "counts")
]


def small(arm: str, **changes: object) -> Setup:
    setup: Setup = replaced(ARMS[arm], {**SMOKE, **changes})
    return setup


def test_the_lab_is_whole() -> None:
    lab = load(experiment.__name__)
    assert (lab.name, lab.topic) == ("losses", "practice")
    assert sum(map(len, GROUPS)) == len(ARMS)


@pytest.mark.parametrize("arms", GROUPS, ids=lambda arms: arms[0].split()[0])
def test_arms_of_a_group_differ_in_the_loss_alone(arms: list[str]) -> None:
    first = small(arms[0])
    problem = build(first, (3, 9), SERVICES)
    for arm in arms[1:]:
        setup = small(arm)
        assert dataclasses.replace(setup, loss=first.loss) == first
        other = build(setup, (3, 9), SERVICES)
        assert torch.equal(other.x, problem.x)
        assert torch.equal(other.y, problem.y)
        for seed in (3, 9):
            assert torch.equal(other.train[seed], problem.train[seed])
        starts = []
        for one in (first, setup):
            with streams(3).init():
                starts.append(network(one, problem))
        sizes = {}
        for net in starts:
            for name, weight in net.state_dict().items():
                sizes.setdefault(name.removeprefix("means."), []).append(weight)
        shared = [pair for pair in sizes.values() if len(pair) == 2]
        hidden = [a for a, b in shared if a.shape == b.shape]
        assert len(hidden) >= 2
        assert all(torch.equal(a, b) for a, b in shared if a.shape == b.shape)


@pytest.mark.parametrize("arm", ARMS)
def test_training_validation_and_test_rows_do_not_meet(arm: str) -> None:
    problem = build(small(arm), (0, 1), SERVICES)
    parts = [part[seed] for part in (problem.train, problem.validation) for seed in (0, 1)]
    if ARMS[arm].task == "class":  # the seeds share images
        parts = [problem.train[1], problem.validation[1]]
    parts.append(problem.test[1])
    for one, other in itertools.combinations(parts, 2):
        assert not set(one.tolist()) & set(other.tolist())


def test_outliers_spoil_training_and_validation_targets_and_no_test_target() -> None:
    setup = dataclasses.replace(ARMS["outliers squared"], train_size=4000, validation_size=4000)
    spoilt = build(setup, (0,), SERVICES)
    clean = build(dataclasses.replace(setup, contamination=0.0), (0,), SERVICES)
    assert torch.equal(spoilt.x, clean.x)
    for part in ("train", "validation"):
        rows = getattr(spoilt, part)[0]
        moved = spoilt.y[rows] != clean.y[rows]
        assert float(moved.double().mean()) == pytest.approx(0.15, abs=0.02)
        height = (spoilt.y - truth(spoilt.x[:, 0]))[rows][moved]
        assert (float(height.min()), float(height.max())) == pytest.approx((2.5, 7.5), abs=0.05)
        kept = (spoilt.y - truth(spoilt.x[:, 0]))[rows][~moved]
        assert float(kept.std()) == pytest.approx(setup.noise, rel=0.05)
    test = spoilt.test[0]
    assert torch.equal(spoilt.y[test], truth(spoilt.x[test, 0]))


def test_noise_and_counts_have_the_distribution_that_the_losses_assume() -> None:
    x, y = draw(ARMS["variance learned"], 40_000, 40_000, streams(1))
    standard = (y - truth(x[:, 0])) / deviation(x[:, 0])
    assert float(standard.std()) == pytest.approx(1, abs=0.02)
    edges = deviation(torch.tensor([-EDGE, 0.0, EDGE])).tolist()
    assert edges == pytest.approx([QUIETEST, (QUIETEST * LOUDEST) ** 0.5, LOUDEST])
    x, y = draw(ARMS["counts poisson"], 40_000, 40_000, streams(1))
    rate = (STRETCH * truth(x[:, 0])).exp()
    assert float(((y - rate) / rate.sqrt()).square().mean()) == pytest.approx(1, abs=0.05)
    assert torch.equal(y, y.round())


def test_the_wrong_start_says_class_0_of_everything_and_is_otherwise_the_same() -> None:
    problem = build(small("wrong squared"), (2,), SERVICES)
    outputs = []
    for arm in ("class squared", "wrong squared"):
        with streams(2).init():
            outputs.append(network(small(arm), problem)(problem.x[:50]).detach())
    assert (outputs[1].argmax(1) == 0).all()
    assert float(outputs[1].softmax(1)[:, 0].min()) > 0.99
    moved = outputs[1] - outputs[0]
    assert float((moved[:, 0] - 8).abs().max()) < 1e-5
    assert not moved[:, 1:].any()


def test_the_first_gradient_is_that_of_central_differences() -> None:
    setup = small("class squared", hidden=(), train_size=20)
    services = Services(arithmetic=dataclasses.replace(SERVICES.arithmetic, precision="float64"))
    problem = build(setup, (1,), services)
    with streams(1).init():
        net = network(setup, problem).double()
    x, y = problem.part(problem.train[1])
    flat = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
    total = 0.0
    for i in range(len(flat)):
        ends = []
        for sign in (1, -1):
            moved = flat.clone()
            moved[i] += sign * 1e-5
            torch.nn.utils.vector_to_parameters(moved, net.parameters())
            ends.append(float(loss_of(setup, net(x), y).detach()))
        total += ((ends[0] - ends[1]) / 2e-5) ** 2
    found = float(first_gradient(setup, problem, 1, services))
    assert found == pytest.approx(total**0.5, rel=1e-6)


LOSS_OF = {
    "clean squared": lambda o, y: ((o[:, 0] - y) ** 2).mean() / 2,
    "clean absolute": lambda o, y: (o[:, 0] - y).abs().mean(),
    "clean huber": lambda o, y: torch.nn.functional.huber_loss(o[:, 0], y, delta=0.4035),
    "counts poisson": lambda o, y: torch.nn.functional.poisson_nll_loss(o[:, 0], y),
    "counts squared": lambda o, y: ((o[:, 0] - y) ** 2).mean() / 2,
    "counts squared exponential": lambda o, y: ((o[:, 0].exp() - y) ** 2).mean() / 2,
    "variance learned": lambda o, y: torch.nn.functional.gaussian_nll_loss(
        o[:, 0], y, o[:, 1].exp(), full=True
    ),
}


@pytest.mark.parametrize("arm", LOSS_OF)
def test_each_arm_minimises_the_loss_of_its_name(arm: str) -> None:
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(11, 2, generator=generator)
    y = torch.poisson(torch.full((11,), 2.0), generator=generator)
    ours = loss_of(ARMS[arm], outputs, y)
    torch.testing.assert_close(ours, LOSS_OF[arm](outputs, y))


def test_one_variance_is_the_same_everywhere_and_learned() -> None:
    setup = small("variance one")
    with streams(0).init():
        net = network(setup, build(setup, (0,), SERVICES))
    outputs = net(torch.linspace(-2, 2, 9)[:, None])
    assert outputs.shape == (9, 2)
    assert (outputs[:, 1] == outputs[0, 1]).all()
    loss_of(setup, outputs, torch.ones(9)).backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in net.parameters())


def test_the_coverage_gap_counts_strip_by_strip() -> None:
    generator = torch.Generator().manual_seed(2)
    x = EDGE * (2 * torch.rand(40_000, generator=generator) - 1)
    y = deviation(x) * torch.randn(40_000, generator=generator)
    right = torch.stack((torch.zeros_like(x), 2 * deviation(x).log()), 1)
    assert float(coverage_gap(right, x, y)) < 0.6
    # One variance that is right on average over all targets is not right in the strips.
    level = y[x.abs() < 3].abs().quantile(0.95) / 1.959964
    one = torch.stack((torch.zeros_like(x), torch.full_like(x, 2 * float(level.log()))), 1)
    inside = (y.abs() <= 1.959964 * level).double().mean()
    assert float(inside) == pytest.approx(0.95, abs=0.001)
    assert float(coverage_gap(one, x, y)) > 5
    wide = torch.stack((torch.zeros_like(x), torch.full_like(x, 20.0)), 1)
    assert float(coverage_gap(wide, x, y)) == pytest.approx(5)
    assert float(nll(right, y)) < float(nll(one, y)) < float(nll(wide, y))


def test_the_cut_off_is_chosen_on_validation_rows_and_only_where_it_is_needed() -> None:
    setup = ARMS["counts squared"]
    outputs = torch.tensor([[-1.0], [0.02], [3.0]])
    assert torch.allclose(rate_of(setup, outputs, 0.1), torch.tensor([0.1, 0.1, 3.0]))
    assert torch.allclose(rate_of(ARMS["counts poisson"], outputs, 0.1), outputs[:, 0].exp())
    seen = torch.tensor([1.0, 0.0, 3.0])  # a count of 1 where the output is below zero
    values = {
        floor: float(likelihood.poisson_deviance(rate_of(setup, outputs, floor), seen))
        for floor in setup.floors
    }
    assert best_floor(setup, outputs, seen) == (min(values.values()), 0.3)
    assert best_floor(setup, outputs, torch.tensor([0.0, 0.0, 3.0]))[1] == 0.01
    assert score(setup, torch.full((3, 1), float("nan")), seen) != score(setup, outputs, seen)


def test_validation_chooses_the_rate_seed_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = learning.train
    ends = {0.01: (2.0, float("nan")), 0.02: (1.0, 7.0), 0.04: (3.0, 6.0)}

    def judged(setup: Setup, rate: float, *rest: object) -> object:
        run = kept(setup, rate, *rest)  # type: ignore[arg-type]
        run.curves["validation"][:, -1] = torch.tensor(ends[rate]).double()
        return run

    monkeypatch.setattr(experiment, "train", judged)
    setup = small("clean squared", rates=tuple(ends))
    values = trial(setup, (0, 1), SERVICES).values
    assert values["rate"].tolist() == pytest.approx([0.02, 0.04])
    # The measures are those of the networks at these rates.
    monkeypatch.setattr(experiment, "train", kept)
    alone = trial(replaced(setup, {"rates": (0.02,)}), (0,), SERVICES).values
    assert float(values["rmse"][0]) == float(alone["rmse"][0])


def test_the_pictures_pulls_are_derivatives() -> None:
    points = np.linspace(-3, 3, 61) + 0.01
    zero = torch.zeros((), dtype=torch.float64)

    def loss(r: Tensor) -> Tensor:
        return likelihood.huber(r, zero, delta=1.0)

    value, slope = pulls(loss, points)
    np.testing.assert_allclose(slope, np.clip(points, -1, 1), atol=1e-12)
    np.testing.assert_allclose(np.gradient(value, points)[1:-1], slope[1:-1], atol=0.03)


def test_too_few_images_are_told() -> None:
    with pytest.raises(PracticumError, match="train_size"):
        build(small("class squared", train_size=100_000), (0,), SERVICES)
