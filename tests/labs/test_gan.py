"""The lab `gan`: would catch a measure that does not see missing modes or wrong images, arms that
differ in more than the header says, real examples that differ between arms, a test image that is
learnt from, and a game that looks at the judging draws.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.generative.gan.experiment import ARMS, SCALES, Setup, trial
from practicum.labs.generative.gan.learning import (
    Judging,
    fitted,
    images,
    judging,
    mixture,
    play,
)
from practicum.labs.generative.gan.measures import (
    centres,
    frechet,
    misplaced,
    modes_hit,
    shares,
    variety,
)
from practicum.labs.generative.gan.networks import Judge, features, players
from practicum.labs.lab import replaced
from practicum.nn import dcgan
from practicum.nn.mlp import MLP

SMOKE = {name: value for name, value in SCALES["smoke"].set.items() if "." not in name}


def tiny(arm: str, **more: Any) -> Setup:
    setup: Setup = replaced(ARMS[arm], {**SMOKE, **more})
    return setup


# -- points


def test_misplaced_points_are_those_that_would_have_to_move() -> None:
    middles = centres("ring")
    assert misplaced(shares(middles, middles, 0.1)) == 0
    one = middles[:1].repeat(80, 1)
    assert misplaced(shares(one, middles, 0.1)).item() == pytest.approx(87.5)
    half = torch.cat([middles[:4].repeat(10, 1), torch.zeros(40, 2)])  # half of it nowhere
    assert misplaced(shares(half, middles, 0.1)).item() == pytest.approx(50.0)
    assert modes_hit(shares(half, middles, 0.1)) == 4
    edge = middles[0] + torch.tensor([[0.29, 0.0], [0.31, 0.0]])
    assert shares(edge, middles, 0.1)[0] == 0.5
    lost = torch.full((5, 2), float("nan"))
    assert misplaced(shares(lost, middles, 0.1)) == 100
    assert modes_hit(torch.tensor([0.032, 0.031, 0.0, 0, 0, 0, 0, 0])) == 1  # a quarter of 1/8


@pytest.mark.parametrize(("layout", "count"), [("ring", 8), ("grid", 25)])
def test_the_mixture_has_its_modes_and_its_spread(layout: str, count: int) -> None:
    setup = replace(ARMS["non-saturating"], layout=layout, spread=0.05)
    points, middles = mixture(setup, 20000, judging(3)), centres(layout)
    assert len(middles) == count
    distance, nearest = torch.cdist(points, middles).min(1)
    assert distance.square().mean().item() == pytest.approx(2 * 0.05**2, rel=0.05)
    assert torch.allclose(
        nearest.bincount(minlength=count) / 20000, torch.tensor(1 / count), atol=0.01
    )
    inside = 1 - np.exp(-4.5)  # of a Gaussian in the plane within three spreads
    assert shares(points, middles, 0.05).sum().item() == pytest.approx(inside, abs=0.004)


def test_every_arm_of_points_learns_from_the_same_ones_in_any_company() -> None:
    for arm in ("minimax", "non-saturating"):
        alone = trial(tiny(arm), [3], Services())
        among = trial(tiny(arm), [5, 3], Services())
        assert torch.equal(alone.values["misplaced"][0], among.values["misplaced"][1])
        for name, tensor in alone.weights[0].items():
            assert torch.equal(tensor, among.weights[1][name]), name


def test_arms_differ_only_in_what_the_header_says() -> None:
    points, dcgan_arm = ARMS["non-saturating"], ARMS["dcgan"]
    same: dict[str, Any] = {"rate": points.rate}
    assert replace(ARMS["minimax"], objective="non-saturating", **same) == points
    wgan = {"objective": "non-saturating", "n_critic": 1, "beta1": 0.5, "beta2": 0.999}
    assert replaced(ARMS["wgan-gp"], {**wgan, **same}) == points
    assert replace(ARMS["real-points"], network="mlp", **same) == points
    same = {"rate": dcgan_arm.rate}
    assert replace(ARMS["no-batchnorm"], normalize=True, **same) == dcgan_arm
    assert replace(ARMS["no-strides"], strided=True, **same) == dcgan_arm
    assert replace(ARMS["no-leaky"], slope=0.2, **same) == dcgan_arm
    for arm in ("dense", "real-images", "gaussian"):
        assert replace(ARMS[arm], network="dcgan", **same) == dcgan_arm
    used = {setup.updates for setup in ARMS.values() if setup.task == "points"}
    assert len(used) == 1


def test_both_networks_together_are_moved_as_often_in_every_arm() -> None:
    points = mixture(ARMS["non-saturating"], 80, streams(0).order())
    for arm in ("non-saturating", "wgan-gp"):
        setup = tiny(arm, updates=12, points=1)
        run = play(setup, points, lambda seed: torch.arange(80), [0], Services())
        assert run.steps[-1] * (setup.n_critic + 1) == 12


def test_a_critic_that_compares_examples_cannot_have_a_gradient_penalty() -> None:
    with pytest.raises(PracticumError, match="closeness=0"):
        trial(tiny("wgan-gp", closeness=2), [0], Services())


# -- images


def naive_frechet(a: Tensor, b: Tensor) -> float:
    x, y = a.numpy(), b.numpy()
    c, w = np.cov(x.T), np.cov(y.T)
    apart = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return float((apart + np.trace(c + w - 2 * sqrtm(c @ w).real)) / np.trace(w))


def test_the_frechet_distance_is_that_of_the_matrix_root() -> None:
    torch.manual_seed(3)
    a = torch.randn(60, 5).double() @ torch.randn(5, 5).double() + 1
    b = torch.randn(40, 5).double() @ torch.randn(5, 5).double()
    assert frechet(a, b).item() == pytest.approx(naive_frechet(a, b), rel=1e-8)
    assert frechet(a, b).item() != pytest.approx(naive_frechet(a, b[:39]), rel=1e-4)
    turn = torch.linalg.qr(torch.randn(5, 5).double()).Q
    assert frechet(3 * a @ turn, 3 * b @ turn).item() == pytest.approx(frechet(a, b).item())


def test_known_frechet_distances() -> None:
    torch.manual_seed(4)
    a = torch.randn(50, 3).double()
    total = a.var(0).sum()
    assert frechet(a, a).item() == pytest.approx(0.0, abs=1e-12)
    shifted = frechet(a + torch.tensor([3.0, 0.0, 4.0]).double(), a)
    assert shifted.item() == pytest.approx(25 / total.item())
    assert frechet(a.mean(0).expand(50, 3), a).item() == pytest.approx(1.0)
    about = a - a.mean(0)
    assert frechet(3 * about, about).item() == pytest.approx(4.0)  # (3 - 1)^2
    few = a[:2]  # fewer examples than features
    assert frechet(few, a).item() == pytest.approx(naive_frechet(few, a), rel=1e-4)
    assert torch.isnan(frechet(a / 0, a))


def test_variety_counts_the_classes() -> None:
    assert variety(torch.eye(4)).item() == pytest.approx(4.0)
    assert variety(torch.eye(4)[:1].repeat(9, 1)).item() == pytest.approx(1.0)
    assert variety(torch.eye(4)[[0, 1]].repeat(3, 1)).item() == pytest.approx(2.0)


def test_images_are_averaged_inside_a_black_border() -> None:
    x = torch.rand(2, 1, 28, 28)
    y = fitted(x, 16)
    assert y.shape == (2, 1, 16, 16)
    assert torch.allclose(y[:, 0, 1, 1], 2 * x[:, 0, :2, :2].mean((1, 2)) - 1)
    assert (y[:, :, 0] == -1).all()
    assert torch.equal(fitted(x[..., :8, :8], 8), 2 * x[..., :8, :8] - 1)
    for wrong in (torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 16, 20)):
        with pytest.raises(PracticumError, match="set side"):
            fitted(wrong, 16)


def test_without_leakiness_the_judge_is_dcgan_s_with_another_slope() -> None:
    torch.manual_seed(0)
    ours = players(replace(ARMS["dcgan"], width=4, side=16))["discriminator"]().eval()
    torch.manual_seed(0)
    theirs = dcgan.Discriminator(16, 1, width=4).eval()
    plain = players(replace(ARMS["no-leaky"], width=4, side=16))["discriminator"]().eval()
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(3, 1, 16, 16)
    assert torch.equal(ours(x), theirs(x))
    assert not torch.equal(plain(x), theirs(x))
    assert isinstance(plain, Judge)
    assert all(bool((maps >= 0).all()) for maps in plain.features(x))


def test_features_are_what_the_last_layer_sees() -> None:
    network = MLP(9, (7, 5), 4)
    x = torch.randn(6, 1, 3, 3)
    assert torch.allclose(network.layers[-1](features(network, x)), network(x))


@pytest.fixture(scope="module")
def judge() -> Judging:
    setup = tiny("gaussian", classifier_steps=120, train_size=300, test_size=200)
    return Judging(setup, images(setup, Services()), [0, 1], Services())


def test_the_distance_orders_real_images_a_gaussian_and_noise(judge: Judging) -> None:
    test = judge.test(0)
    real = judge.data.x[judge.rows(0)[0]][:200]
    noise = torch.rand(real.shape) * 2 - 1
    floor, gaussian, worst = (
        judge.distance(0, one, test).item() for one in (real, judge.control(0), noise)
    )
    assert floor < gaussian < worst
    same = judge.distance(0, test[:1].expand(200, -1, -1, -1), test)
    assert same > 0.9  # one image again and again
    assert judge.variety(0, test[:1].expand(200, -1, -1, -1)) == 1
    assert judge.variety(0, real) > 7


def test_the_gaussian_control_has_the_means_and_covariances_of_the_pixels(judge: Judging) -> None:
    wide = Judging.__new__(Judging)
    wide.__dict__ |= {**judge.__dict__, "setup": replace(judge.setup, test_size=20000)}
    wide.rows = lambda seed: judge.rows(seed)  # type: ignore[method-assign]
    drawn, real = wide.control(0).flatten(1), judge.data.x[judge.rows(0)[0]].flatten(1)
    middle = real.std(0) > 0.2  # where clamping to -1 .. 1 changes little
    assert torch.allclose(drawn.mean(0)[middle], real.mean(0)[middle], atol=0.2)
    close = torch.corrcoef(torch.stack([drawn.T.cov().flatten(), real.T.cov().flatten()]))
    assert close[0, 1] > 0.97


def test_training_validation_and_test_images_are_apart_and_the_same_in_every_arm() -> None:
    for seed in (0, 1):
        found = []
        for arm in ("dcgan", "dense"):
            setup = tiny(arm)
            one = Judging(setup, images(setup, Services()), [seed], Services())
            train, held = one.rows(seed)
            assert not set(train.tolist()) & set(held.tolist())
            found.append((train, held, one.test(seed), next(one.networks[seed].parameters())))
        for a, b in zip(*found, strict=True):
            assert torch.equal(a, b)


def test_bad_settings_say_what_to_do() -> None:
    with pytest.raises(PracticumError, match="test_size"):
        trial(tiny("dcgan", test_size=400, train_size=500), [0], Services())
    with pytest.raises(PracticumError, match="floor"):
        trial(tiny("real-images", test_size=60), [0], Services())
    with pytest.raises(PracticumError, match="layout"):
        centres("line")
