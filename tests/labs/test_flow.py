"""The flow lab: would catch a true density that is none, a mixture whose density is not
scikit-learn's, arms that see other points, an ablation that ablates nothing, and measures of the
inverse or of the mass that could not fail.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from practicum.engine.services import Services
from practicum.labs.generative.flow import drawing, models, sets
from practicum.labs.generative.flow.experiment import (
    ARMS,
    Setup,
    inverse_error,
    mass,
    measured,
    trial,
)
from practicum.labs.lab import replaced
from practicum.nn.realnvp import RealNVP

TINY: dict[str, Any] = {
    "train_size": 60, "validation_size": 40, "test_size": 50, "couplings": 3, "hidden": (5,),
    "sizes": (2, 3), "batch_size": 20, "steps": 6, "points": 2, "cells": 20,
}  # fmt: skip


def tiny(arm: str, **more: Any) -> Setup:
    setup: Setup = replaced(ARMS[arm], {**TINY, **more})
    return setup


# --- points and their density


@pytest.mark.parametrize("arm", ["moons truth", "rings truth"])
def test_the_true_density_integrates_to_one_and_fits_the_points(arm: str) -> None:
    setup = replaced(ARMS[arm], {"cells": 300, "reach": 20.0, "test_size": 4000})
    truth = models.Truth(setup.set, setup.deviation)
    one = torch.zeros(1, dtype=torch.float64)
    assert float(mass(setup, truth, one)) == pytest.approx(1, abs=1e-3)
    # Cross-entropy of points under their own density: no shift, stretch or other noise does better.
    points = sets.draw(setup, [3], Services())
    x = points.x[points.test[3]].double()
    best = truth.log_density(x).mean()
    for wrong in (x + torch.tensor([0.1, 0.0]), x * 1.1, x * torch.tensor([1.1, 1.0])):
        assert float(truth.log_density(wrong).mean()) < float(best) - 0.02
    for deviation in (0.8, 1.25):
        other = models.Truth(setup.set, setup.deviation * deviation)
        assert float(other.log_density(x).mean()) < float(best) - 0.01


def test_scaled_points_have_about_mean_zero_and_deviation_one() -> None:
    for arm in ("moons truth", "rings truth"):
        points = sets.draw(replaced(ARMS[arm], {"train_size": 20000}), [0], Services())
        assert points.x.mean(0).abs().max() < 0.05
        assert (points.x.std(0) - 1).abs().max() < 0.05


def test_a_seeds_points_are_the_same_in_every_arm_and_parts_never_overlap() -> None:
    first = sets.draw(ARMS["moons realnvp"], [4, 2], Services())
    again = sets.draw(ARMS["moons mixture"], [2], Services())
    for part in ("train", "validation", "test"):
        mine, theirs = getattr(first, part)[2], getattr(again, part)[2]
        assert torch.equal(first.x[mine], again.x[theirs])
    rows = torch.cat([first.train[2], first.validation[2], first.test[2], first.train[4]])
    assert len(set(rows.tolist())) == len(rows)


# --- models


def test_the_mixtures_density_is_scikit_learns_and_validation_chooses_its_size() -> None:
    setup = tiny("moons mixture", train_size=400, sizes=(1, 4))
    points = sets.draw(setup, [1], Services())
    mixture = models.fitted(setup, points, 1)
    assert len(mixture.shares) == 4  # one Gaussian does not describe two moons
    theirs = GaussianMixture(4)
    theirs.weights_, theirs.means_ = mixture.shares.numpy(), mixture.means.numpy()
    inverse = np.linalg.cholesky(np.linalg.inv(mixture.covariances.numpy()))
    theirs.precisions_cholesky_ = inverse
    x = points.x[points.test[1]].double()
    np.testing.assert_allclose(mixture.log_density(x), theirs.score_samples(x.numpy()), rtol=1e-6)
    transposed = models.Mixture(
        mixture.shares, mixture.means.flip(0), mixture.covariances
    ).log_density(x)
    assert not torch.allclose(transposed, mixture.log_density(x), atol=1e-2)


def test_a_single_gaussian_has_the_moments_of_its_points() -> None:
    setup = tiny("rings gaussian")
    points = sets.draw(setup, [0], Services())
    one = models.fitted(setup, points, 0)
    x = points.x[points.train[0]].double()
    torch.testing.assert_close(one.means[0], x.mean(0))
    torch.testing.assert_close(one.covariances[0], torch.cov(x.T, correction=0), atol=1e-5, rtol=0)


def test_no_mixture_has_more_parameters_than_the_flow() -> None:
    for arm in ("moons mixture", "rings mixture"):
        assert max(ARMS[arm].sizes) * 6 - 1 <= models.parameters(
            replace(ARMS[arm], model="realnvp")
        )
    small = tiny("moons mixture", sizes=(2, 50), couplings=1, hidden=(2,))
    points = sets.draw(small, [0], Services())
    assert len(models.fitted(small, points, 0).shares) == 2


def test_ablations_take_away_what_they_name_and_nothing_else() -> None:
    masks = {
        name: [c.mask.tolist() for c in models.build(tiny(f"moons {name}")).couplings]  # type: ignore[union-attr]
        for name in ("realnvp", "one-sided")
    }
    assert masks["one-sided"] == [[1, 0]] * 3
    assert masks["realnvp"] == [[1, 0], [0, 1], [1, 0]]
    nice = models.build(tiny("moons nice"))
    assert isinstance(nice, models.Scaled)
    x = torch.randn(6, 2)
    assert not nice(x)[1].any()  # nothing is stretched before the last scales are learned
    with torch.no_grad():
        nice.log_scale.copy_(torch.tensor([0.5, -0.2]))
    torch.testing.assert_close(nice(x)[1], torch.full((6,), 0.3))
    torch.testing.assert_close(nice.inverse(nice(x)[0]), x, atol=1e-5, rtol=1e-5)
    for arm in ("nice", "one-sided", "gaussian", "mixture", "truth"):
        same = replace(ARMS[f"rings {arm}"], model="realnvp", rate=ARMS["rings realnvp"].rate)
        assert same == ARMS["rings realnvp"]


def test_a_one_sided_flow_is_normal_in_its_first_coordinate() -> None:
    torch.manual_seed(0)
    flow = models.Flowing(models.build(tiny("rings one-sided")))
    z = torch.randn(50, 2)
    assert torch.equal(flow.sample(z)[:, 0], z[:, 0])


# --- measures


class Leaky(RealNVP):
    """A flow whose inverse misses and whose density is twice as high as it may be."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = super().forward(x)
        return z, log_det + float(np.log(2))

    def inverse(self, z: Tensor) -> Tensor:
        return super().inverse(z) + 1e-3


def test_a_broken_flow_is_seen_by_the_inverse_and_the_mass() -> None:
    torch.manual_seed(0)
    setup, x = replaced(tiny("moons realnvp"), {"cells": 300}), torch.randn(40, 2)
    good, bad = models.Flowing(RealNVP(2, 3, (5,))), models.Flowing(Leaky(2, 3, (5,)))
    assert float(inverse_error(good, x)) < 1e-5
    assert float(inverse_error(bad, x)) > 1e-5
    assert float(mass(setup, good, x)) == pytest.approx(1, abs=1e-2)
    assert float(mass(setup, bad, x)) == pytest.approx(2, abs=2e-2)


def test_the_excess_of_the_truth_is_zero_and_likelihoods_are_means_over_test_points() -> None:
    setup = tiny("rings truth")
    points = sets.draw(setup, [0, 1], Services())
    truth = models.Truth(setup.set, setup.deviation)
    values = measured(setup, points, [0, 1], [truth, truth])
    assert values["excess"].abs().max() < 1e-9
    x = points.x[points.test[1]].double()
    assert float(values["test_nll"][1]) == pytest.approx(-float(truth.log_density(x).mean()))


def test_training_lowers_the_likelihoods_minus_and_a_record_gives_the_model_back() -> None:
    setup = tiny("moons realnvp", train_size=300, steps=150, batch_size=100)
    found = trial(setup, [5], Services())
    before = trial(replaced(setup, {"rate": 0.0}), [5], Services())
    assert float(found.values["test_nll"][0]) < float(before.values["test_nll"][0]) - 0.2
    again = models.restored(setup, found.weights[0])
    points = sets.draw(setup, [5], Services())
    nll = -again.log_density(points.x[points.test[5]]).mean()
    assert float(nll) == pytest.approx(float(found.values["test_nll"][0]), rel=1e-5)


def test_the_picture_of_all_couplings_undone_is_the_inverse() -> None:
    torch.manual_seed(1)
    network, z = RealNVP(2, 3, (4,)), torch.randn(5, 2)
    with torch.no_grad():
        torch.testing.assert_close(drawing.back(network, z, 3), network.inverse(z))
        assert torch.equal(drawing.back(network, z, 0), z)
