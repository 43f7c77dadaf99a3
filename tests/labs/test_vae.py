"""The vae lab: would catch a mixture that is not fitted or not normalised, gradients compared on
other networks or draws, arms that start or are tuned unequally, test images that choose, a walk
that is not over the prior, and a validation curve measured with other noise in every arm.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from practicum.data import load
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.generative.vae import experiment
from practicum.labs.generative.vae.experiment import ARMS, SCALES, trial
from practicum.labs.generative.vae.learning import Mixture, fit_mixture, gradient_noise, walk
from practicum.labs.lab import load as load_lab
from practicum.labs.lab import replaced, setups_at
from practicum.nn.vae import VAE

TINY = {
    "train_size": 90,
    "validation_size": 40,
    "test_size": 30,
    "hidden": (6,),
    "sizes": (1, 5),
    "repeats": 4,
    "components": (3,),
    "sweeps": 4,
    "steps": 10,
    "points": 2,
}


def bits(n: int, d: int, seed: int = 0) -> Tensor:
    return (torch.rand(n, d, generator=torch.Generator().manual_seed(seed)) < 0.4).double()


def corners(d: int) -> Tensor:
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=d)), dtype=torch.float64)


# --- the control


def test_a_mixture_is_a_distribution_and_equals_the_loops() -> None:
    mixture = fit_mixture(bits(40, 5), 3, sweeps=5, seed=1, services=Services())
    every = corners(5)
    assert mixture.log_likelihood(every).exp().sum().item() == pytest.approx(1, abs=1e-9)
    x = every[11]
    by_hand = 0.0
    for share, chances in zip(mixture.shares.tolist(), mixture.chances.tolist(), strict=True):
        for one, chance in zip(x.tolist(), chances, strict=True):
            share *= chance if one else 1 - chance
        by_hand += share
    assert mixture.log_likelihood(x[None]).exp().item() == pytest.approx(by_hand)


def test_every_sweep_raises_what_it_maximises() -> None:
    x = bits(60, 6)

    def level(sweeps: int) -> float:
        found = fit_mixture(x, 4, sweeps=sweeps, seed=2, services=Services())
        imagined = 0.1 * (found.chances.log() + (1 - found.chances).log()).sum()
        return float(found.log_likelihood(x).sum() + imagined)

    levels = [level(sweeps) for sweeps in range(1, 12)]
    assert all(later >= earlier - 1e-9 for earlier, later in itertools.pairwise(levels))
    assert levels[-1] > levels[0] + 1


def test_one_component_is_every_pixel_on_its_own_and_two_find_two_groups() -> None:
    x = bits(50, 4)
    alone = fit_mixture(x, 1, sweeps=3, seed=0, services=Services())
    expected = (x.sum(0) + 0.1) / (50 + 0.2)
    torch.testing.assert_close(alone.chances[0], expected)
    groups = torch.cat((torch.ones(30, 4), torch.zeros(10, 4))).double()
    starts = [
        fit_mixture(groups, 2, sweeps=40, seed=seed, services=Services()) for seed in range(4)
    ]  # two equal starts stay equal, so not every seed can tell the groups apart
    two = max(starts, key=lambda one: float(one.log_likelihood(groups).sum()))
    single = fit_mixture(groups, 1, sweeps=40, seed=3, services=Services())
    assert two.log_likelihood(groups).mean() > single.log_likelihood(groups).mean() + 1
    assert sorted(two.shares.tolist()) == pytest.approx([0.25, 0.75], abs=0.02)


def test_draws_follow_the_shares() -> None:
    mixture = Mixture(
        shares=torch.tensor([0.2, 0.8]).double(), chances=torch.tensor([[0.0], [1.0]]).double()
    )
    drawn = mixture.draw(4000, torch.Generator().manual_seed(0))
    assert drawn.mean().item() == pytest.approx(0.8, abs=0.03)


# --- the noise of gradients


def test_a_gradient_without_randomness_has_no_variance() -> None:
    torch.manual_seed(0)
    network = VAE(5, (4,), 2).double()
    x = bits(6, 5)
    common = {"samples": 3, "repeats": 5, "seed": 4}
    assert gradient_noise(network, x, "reparameterised", **common) > 0
    with torch.no_grad():  # a decoder that does not read the code: nothing depends on the draw
        next(network.decoder.parameters()).zero_()
    assert gradient_noise(network, x, "reparameterised", **common) < 1e-25
    assert gradient_noise(network, x, "score", **common) < 1e-25


def test_variance_falls_with_the_number_of_examples_as_independent_draws_must() -> None:
    torch.manual_seed(0)
    network = VAE(5, (4,), 2).double()
    x = bits(1, 5)
    one = gradient_noise(network, x, "score", samples=2, repeats=150, seed=1)
    four = gradient_noise(network, x.repeat(4, 1), "score", samples=2, repeats=150, seed=2)
    assert one / four == pytest.approx(4, rel=0.5)


def test_measuring_noise_leaves_the_global_generator_alone() -> None:
    network = VAE(5, (4,), 2)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    gradient_noise(network, bits(6, 5).float(), "score", samples=2, repeats=2, seed=0)
    assert torch.equal(torch.rand(1), expected)


# --- the walk


def test_the_walk_has_steps_of_equal_probability_and_its_corner_is_known() -> None:
    torch.manual_seed(0)
    network = VAE(3, (4,), 2).double()
    made = walk(network, 4)
    at = torch.tensor(norm.ppf([0.125, 0.375, 0.625, 0.875]))
    assert made.shape == (16, 3)
    for place, code in ((0, (at[0], at[3])), (3, (at[3], at[3])), (12, (at[0], at[0]))):
        expected = network.decoder(torch.stack(code)[None].double()).sigmoid()[0]
        torch.testing.assert_close(made[place], expected.detach(), rtol=1e-5, atol=1e-7)


# --- the arms


def test_arms_differ_only_in_what_the_header_says() -> None:
    vae = ARMS["vae"]
    assert replaced(vae, {"estimator": "score"}) == ARMS["score"]
    assert replaced(vae, {"estimator": "importance"}) == ARMS["iwae"]
    assert replaced(vae, {"warm_up": 0.5}) == ARMS["annealed"]
    assert replaced(vae, {"code": 2}) == ARMS["vae-2"]
    for scale in SCALES.values():
        nets = [
            one
            for one in setups_at(load_lab(experiment.__name__), scale, {}).values()
            if one.model == "network"
        ]
        alike = {(len(one.rates), one.steps, one.batch_size, one.samples) for one in nets}
        assert len(alike) == 1


def test_before_any_update_the_arms_are_one_network_measured_with_one_noise() -> None:
    still = {**TINY, "steps": 1, "points": 1, "rates": (1e-12,)}
    found = [
        trial(replaced(ARMS[arm], still), [3], Services())
        for arm in ("vae", "score", "iwae", "annealed")
    ]
    for other in found[1:]:
        for name in ("validation_elbo", "bound", "elbo"):
            torch.testing.assert_close(found[0].values[name], other.values[name], rtol=1e-5, atol=0)
        assert torch.equal(found[0].weights[0]["shown.images"], other.weights[0]["shown.images"])


def test_the_bounds_are_in_order() -> None:
    measured = trial(replaced(ARMS["vae"], TINY), [0, 1], Services()).values
    assert bool((measured["bound"].diff(dim=1) >= 0).all())
    torch.testing.assert_close(measured["log_likelihood"], measured["bound"][:, -1])
    torch.testing.assert_close(measured["gap"], measured["log_likelihood"] - measured["elbo"])
    by_unit = measured["unit_divergence"]
    assert bool((by_unit[:, :8].diff(dim=1) <= 0).all())
    assert bool(by_unit[:, 8:].isnan().all())


def test_images_are_bits() -> None:
    measured = trial(replaced(ARMS["mixture"], TINY), [0], Services())
    grey = load("digits").test[0].flatten(1)[:20]
    assert torch.equal(measured.weights[0]["shown.images"], (grey > 0.5).float())


def test_the_test_images_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setups = [
        replaced(ARMS["vae"], {**TINY, "rates": (0.0001, 0.03)}),
        replaced(ARMS["mixture"], {**TINY, "components": (2, 5)}),
    ]
    before = [trial(setup, [0], Services()) for setup in setups]

    class Inverted:
        def __init__(self, name: str) -> None:
            images = load(name)
            self.train, self.test = images.train, (1 - images.test[0], images.test[1])

    monkeypatch.setattr(experiment, "load", Inverted)
    for setup, one in zip(setups, before, strict=True):
        inverted = trial(setup, [0], Services())
        for name in ("rate", "validation_elbo"):
            assert torch.equal(one.values[name], inverted.values[name])
        assert not torch.equal(one.values["elbo"], inverted.values["elbo"])


def test_a_diverged_rate_is_never_chosen() -> None:
    setup = replaced(ARMS["vae"], {**TINY, "rates": (1e25, 0.01)})
    measured = trial(setup, [0], Services())
    assert measured.values["rate"].tolist() == pytest.approx([0.01])


def test_bad_settings_are_errors_that_say_so() -> None:
    for changes, match in (
        ({"sizes": (1, 3, 10)}, "sizes"),
        ({"rates": ()}, "rates"),
        ({"components": (0,)}, "components"),
        ({"train_size": 5000}, "train_size"),
    ):
        with pytest.raises(PracticumError, match=match):
            trial(replaced(ARMS["vae"], {**TINY, **changes}), [0], Services())
