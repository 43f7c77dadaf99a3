"""The diffusion lab: would catch a distance that is none, arms that see other data, start or noise,
a pair of samplers that is one, measures of the wrong number of steps, and images that are not
dequantised.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from practicum.data import load
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.generative.diffusion import learning, tasks
from practicum.labs.generative.diffusion.experiment import ARMS, Setup, trial
from practicum.labs.generative.diffusion.measuring import results
from practicum.labs.lab import replaced

TINY: dict[str, Any] = {
    "train_size": 60, "validation_size": 20, "test_size": 30, "directions": 10, "times": 10,
    "counts": (2, 5), "few": 2, "hidden": (8,), "batch_size": 20, "steps": 4, "points": 2,
    "width": 4,
}  # fmt: skip


def tiny(arm: str = "simple", **more: Any) -> Setup:
    setup: Setup = replaced(ARMS[arm], {**TINY, **more})
    return setup


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- the distance


def test_in_one_dimension_the_distance_is_that_of_sorted_numbers() -> None:
    x, y = normal(1, 40, 1), 2 * normal(2, 40, 1) + 1
    ours = float(tasks.sliced_wasserstein(x, y, torch.eye(1).double(), 7))
    theirs = np.mean((np.sort(x.numpy()[:, 0]) - np.sort(y.numpy()[:, 0])) ** 2)
    assert ours == pytest.approx(theirs)
    # Its root lies above the distance of order one, which SciPy has.
    assert ours**0.5 >= scipy.stats.wasserstein_distance(x.numpy()[:, 0], y.numpy()[:, 0])


def test_the_distance_of_normals_is_closed_and_the_order_of_rows_does_not_count() -> None:
    n, shift = 20_000, torch.tensor([0.6, -0.8], dtype=torch.float64)
    x, y = normal(3, n, 2), normal(4, n, 2) + shift
    eye = torch.eye(2, dtype=torch.float64)
    found = float(tasks.sliced_wasserstein(x, y, eye, 400))
    assert found == pytest.approx(float(shift.square().sum()) / 2, rel=0.1)  # mean of (w shift)^2
    assert found == pytest.approx(float(tasks.sliced_wasserstein(x.flip(0), y, eye, 400)))
    assert float(tasks.sliced_wasserstein(x, x.flip(0), eye, 5)) == 0
    assert float(tasks.sliced_wasserstein(x, x.flip(1), eye, 5)) > 0


def test_only_the_axes_count() -> None:
    x, y = normal(5, 50, 3), normal(5, 50, 3)
    y[:, 2] += 5
    assert float(tasks.sliced_wasserstein(x, y, torch.eye(3).double()[:, :2], 20)) < 1e-20
    assert float(tasks.sliced_wasserstein(x, y, torch.eye(3).double(), 20)) > 1


# --- data


@pytest.mark.parametrize("task", ["moons", "images"])
def test_a_seeds_examples_are_the_same_in_every_arm_and_parts_never_overlap(task: str) -> None:
    first = tasks.build(tiny(task=task), [4, 2], Services())
    again = tasks.build(tiny("gaussian", task=task), [2], Services())
    for part in ("train", "validation", "test"):
        mine, theirs = getattr(first, part)[2], getattr(again, part)[2]
        assert torch.equal(first.x[mine], again.x[theirs])
    rows = torch.cat([first.train[2], first.validation[2], first.test[2]])
    assert len(set(rows.tolist())) == len(rows)
    assert not torch.equal(first.x[first.train[2]], first.x[first.train[4]])


def test_images_are_dequantised_levels_and_the_axes_are_white() -> None:
    task = tasks.build(tiny(task="images"), [0], Services())
    data = load("digits")
    x = task.x.double()
    assert x.shape[1:] == (1, 8, 8)
    assert float(x.min()) >= -1
    assert float(x.max()) <= 1
    levels = ((x + 1) / 2 * 17).floor().clamp(0, 16) / 16
    whole = torch.cat([data.train[0], data.test[0][:30]]).reshape(x.shape).double()
    assert float((levels != whole).double().mean()) < 1e-4  # but for rounding to single precision
    assert len(set(x.flatten().tolist())) > 50_000
    seen = x[: len(data.train[0])].flatten(1) @ task.axes.double()
    torch.testing.assert_close(
        torch.cov(seen.T, correction=0), torch.eye(10).double(), atol=1e-3, rtol=0
    )


# --- training and samples


def test_arms_differ_only_in_what_the_header_says() -> None:
    for arm, loss in (("weighted", "bound"), ("gaussian", "gaussian")):
        assert replace(ARMS["simple"], loss=loss, rate=ARMS[arm].rate) == ARMS[arm]


def test_both_losses_begin_at_the_same_weights_and_end_at_others() -> None:
    task = tasks.build(tiny(), [3], Services())
    ends: list[Tensor] = []
    starts: list[Tensor] = []
    for loss in ("simple", "bound"):
        for rate, kept in ((0.0, starts), (0.01, ends)):
            run = learning.train(tiny(loss=loss, rate=rate), task, [3], Services())
            kept.append(run.weights()[0]["network.network.layers.0.weight"])
    assert torch.equal(*starts)
    assert not torch.equal(*ends)


def test_samples_share_their_first_noise_and_ddim_adds_none() -> None:
    like = torch.zeros(6, 2)
    seen: list[Tensor] = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x)

    made = [
        learning.samples(
            tiny(), network, like, 7, count=count, eta=eta, visit=lambda t, x: seen.append(x)
        )
        for count, eta in ((2, 0.0), (5, 0.0), (2, 1.0))
    ]
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[0], seen[7])
    # Without noise seen or added, a walk only stretches what it began with.
    schedule = learning.schedule(tiny())
    torch.testing.assert_close(made[0], seen[0] / schedule.kept[-1] ** 0.5)
    torch.testing.assert_close(made[0], made[1])
    assert not torch.allclose(made[0], made[2], atol=1e-2)


def test_the_schedule_leaves_hardly_any_signal_at_the_default_number_of_times() -> None:
    assert learning.schedule(Setup()).kept[-1] < 1e-3
    assert learning.schedule(Setup(times=1000)).betas[-1] == pytest.approx(0.02)


def test_ratios_are_those_of_the_steps_they_name() -> None:
    setup = tiny(counts=(2, 3, 5), few=3)
    task = tasks.build(setup, [0], Services())

    def far(count: int, eta: float) -> Tensor:
        return torch.tensor(100.0 / count + (7.0 if eta else 0.0))

    lost = torch.tensor([8.0, 6.0, 4.0, 2.0])
    found = results(setup, task, 0, far, torch.tensor(0.0), lost)
    assert float(found["back_ratio"]) == 3
    assert found["back"].tolist() == lost.tolist()
    still = results(setup, task, 0, far, torch.tensor(0.0), torch.zeros(4))
    assert float(still["back_ratio"]) == 1
    assert float(found["distance"]) == pytest.approx(17)
    assert float(found["few_ratio"]) == pytest.approx((100 / 3 + 7) / (100 / 3))
    assert float(found["few_cost"]) == pytest.approx((100 / 3 + 7) / 17)
    assert found["ddim"].tolist() == pytest.approx([50, 100 / 3, 20, 10])


def test_what_is_lost_there_and_back_is_that_of_the_recursion() -> None:
    # A network that answers a multiple of x makes every step one, so the way is a product.
    setup, x = tiny(times=12), normal(5, 7, 2)
    kept = learning.schedule(setup).signal

    def network(x: Tensor, t: Tensor) -> Tensor:
        return 0.3 * x

    def factor(t: int, s: int) -> float:
        e = 0.3
        start = (1 - (1 - kept(t)) ** 0.5 * e) / kept(t) ** 0.5
        return float(kept(s) ** 0.5 * start + (1 - kept(s)) ** 0.5 * e)

    way = [-1, 0, 4, 7, 11]  # four steps
    there = np.prod([factor(a, b) for a, b in itertools.pairwise(way)])
    back = np.prod([factor(b, a) for a, b in itertools.pairwise(way)])
    expected = float((there * back - 1) ** 2 * x.square().mean())
    assert float(learning.lost(setup, network, x, count=4)) == pytest.approx(expected)


def test_the_gaussian_control_has_its_datas_moments_and_scipys_likelihood() -> None:
    x = normal(8, 300, 3) @ normal(9, 3, 3) + 2
    fitted = learning.gaussian(x)
    made = fitted.sample(50_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(made.mean(0), x.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(torch.cov(made.T), torch.cov(x.T), atol=0.1, rtol=0.05)
    law = scipy.stats.multivariate_normal(x.mean(0).numpy(), np.cov(x.T.numpy()))
    np.testing.assert_allclose(fitted.nll(x[:5]), -law.logpdf(x[:5].numpy()), rtol=1e-4)


def test_training_brings_samples_nearer_and_a_record_gives_the_network_back() -> None:
    more: dict[str, Any] = {
        "times": 30,
        "steps": 300,
        "hidden": (32,),
        "train_size": 400,
        "test_size": 200,
    }
    setup = tiny(**more, rate=0.01, batch_size=100)
    found = trial(setup, [5], Services())
    before = trial(replaced(setup, {"rate": 0.0}), [5], Services())
    for name in ("distance", "nll_bound"):
        assert float(found.values[name][0]) < 0.7 * float(before.values[name][0])
    assert 0 < float(found.values["floor"][0]) < float(before.values["distance"][0])
    network = learning.restored(setup, 2, found.weights[0])
    task = tasks.build(setup, [5], Services())
    like = task.x[task.test[5]]
    made = learning.samples(setup, network, like, 5, count=30, eta=1.0)
    again = tasks.sliced_wasserstein(made, like, task.axes, setup.directions)
    assert float(again) == pytest.approx(float(found.values["distance"][0]), rel=1e-5)


def test_images_train_a_unet_and_give_every_measure() -> None:
    found = trial(tiny(task="images"), [0], Services())
    assert any(name.startswith("network.middle.1") for name in found.weights[0])
    for name, value in found.values.items():
        assert bool(torch.isfinite(torch.as_tensor(value)).all()), name


def test_a_diverged_network_is_reported_and_has_no_numbers() -> None:
    found = trial(tiny(rate=1e30), [0], Services())
    assert found.diverged.tolist() == [True]
    assert bool(found.values["distance"].isnan().all())


def test_few_steps_that_are_not_measured_are_an_error() -> None:
    for more in ({"few": 3}, {"counts": (2, 10)}):
        with pytest.raises(PracticumError, match="must be one of the counts"):
            trial(tiny(**more), [0], Services())
