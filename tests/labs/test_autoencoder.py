"""The autoencoder lab: would catch an error in another unit, components that are not the best, arms
that are tuned or sized unequally, test images that choose, and codes compared with the wrong class.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from practicum.data import load
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.generative.autoencoder import experiment
from practicum.labs.generative.autoencoder.experiment import ARMS, SCALES, trial
from practicum.labs.generative.autoencoder.learning import build, code_error, components, projection
from practicum.labs.lab import load as load_lab
from practicum.labs.lab import replaced, setups_at
from practicum.labs.splitting import split
from practicum.nn.autoencoder import Autoencoder

TINY = {
    "train_size": 80,
    "validation_size": 60,
    "neighbours": 80,
    "steps": 12,
    "points": 3,
    "hidden": (12, 6),
}


def weights_of(network: Autoencoder) -> int:
    return sum(one.numel() for name, one in network.encoder.named_parameters() if "weight" in name)


def test_principal_components_equal_those_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(1)
    spread = torch.tensor([3.0, 2.0, 1.5, 1.0, 0.5, 0.2, 0.1]).double()
    x = torch.randn(60, 7, generator=generator).double() * spread
    held = torch.randn(9, 7, generator=generator).double() * spread
    peer = PCA(3).fit(x.numpy())
    coder = projection(x, held, 3, 4)
    expected = peer.inverse_transform(peer.transform(held.numpy()))
    np.testing.assert_allclose(coder.decode(coder.encode(held)).numpy(), expected, atol=1e-10)
    codes = np.abs(peer.transform(held.numpy()))  # signs are free, the order is not
    np.testing.assert_allclose(coder.encode(held).abs().numpy(), codes, atol=1e-10)
    least = float(np.square(expected - held.numpy()).sum(1).mean())
    assert coder.error(held).item() == pytest.approx(least)
    assert coder.curve.tolist() == pytest.approx([least] * 4)
    _, fewer = components(x, 2)
    assert fewer.shape == (7, 2)
    smallest = torch.linalg.eigh(torch.cov(x.T)).eigenvectors[:, :3]  # the wrong end
    back = x.mean(0) + (held - x.mean(0)) @ smallest @ smallest.T
    assert float((back - held).square().sum(1).mean()) > 1.5 * least


def test_a_code_of_nothing_is_the_mean_image() -> None:
    x = torch.rand(10, 4, generator=torch.Generator().manual_seed(0)).double()
    coder = projection(x, x, 0, 1)
    torch.testing.assert_close(coder.decode(coder.encode(x)), x.mean(0).expand(10, 4))
    variance = x.var(0, correction=0).sum().item()
    assert coder.error(x).item() == pytest.approx(variance)


def test_the_error_is_in_levels_from_0_to_1_summed_over_an_image() -> None:
    """Centring the pixels must not change what is reported."""
    setup = replaced(ARMS["mean"], TINY)
    measured = trial(setup, [3], Services())
    images = load("digits")
    mine, _ = split(80, 60, of=len(images.train[0]), seed=3, data="digits")
    x, test = images.train[0].flatten(1), images.test[0].flatten(1)
    expected = (test - x[mine].mean(0)).square().sum(1).mean().item()
    assert measured.values["test_error"].item() == pytest.approx(expected, rel=1e-5)
    kept = measured.weights[0]
    torch.testing.assert_close(kept["shown.images"], test[first_of_each(images.test[1])])
    torch.testing.assert_close(
        kept["shown.made"], x[mine].mean(0).expand(10, -1), atol=1e-5, rtol=0
    )


def first_of_each(y: torch.Tensor) -> list[int]:
    return [y.tolist().index(k) for k in range(10)]


def test_code_error_equals_the_nearest_neighbour_of_scikit_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("practicum.labs.generative.autoencoder.learning.AT_ONCE", 7)
    generator = torch.Generator().manual_seed(2)
    codes, asked = torch.randn(50, 3, generator=generator), torch.randn(23, 3, generator=generator)
    y, y_test = (codes[:, 0] > 0).long(), (asked[:, 0] > 0).long()
    peer = KNeighborsClassifier(1).fit(codes.numpy(), y.numpy())
    expected = 100 * (1 - peer.score(asked.numpy(), y_test.numpy()))
    assert code_error(codes, y, asked, y_test).item() == pytest.approx(expected)
    shuffled = y[torch.randperm(50, generator=generator)]
    assert code_error(codes, shuffled, asked, y_test).item() > expected + 10


@pytest.mark.parametrize("scale", ["quick", "full", "paper"])
def test_deep_and_shallow_have_equally_many_weights(scale: str) -> None:
    pixels = 64 if scale == "quick" else 784
    setups = setups_at(load_lab(experiment.__name__), SCALES[scale], {})
    deep, shallow = (weights_of(build(setups[arm], pixels)) for arm in ("deep", "shallow"))
    assert shallow == pytest.approx(deep, rel=0.005)
    assert setups["linear"].hidden == ()


def test_arms_are_tuned_alike_and_differ_only_in_what_the_header_says() -> None:
    for scale in SCALES.values():
        setups = setups_at(load_lab(experiment.__name__), scale, {})
        trained = [one for one in setups.values() if one.method == "gradient"]
        assert len({(len(one.rates), one.steps, one.batch_size) for one in trained}) == 1
        deep, pca = setups["deep"], setups["pca"]
        assert (deep.code, deep.train_size) == (pca.code, pca.train_size)
        assert setups["deep-2"].code == setups["pca-2"].code == 2
        assert setups["deep-few"].code == setups["pca-few"].code < deep.code
    deep, sigmoid = ARMS["deep"], ARMS["sigmoid"]
    changes = {"activation": "sigmoid", "deviation": 0.1, "optimizer": "sgd"}
    assert replaced(deep, {**changes, "rates": sigmoid.rates}) == sigmoid


def test_first_weights_have_the_stated_deviation() -> None:
    torch.manual_seed(0)
    small = build(replaced(ARMS["sigmoid"], {"hidden": (300, 200)}), 400)
    layer = small.encoder.layers[0]
    assert isinstance(layer, torch.nn.Linear)
    assert layer.weight.std().item() == pytest.approx(0.1, rel=0.02)
    layer = build(replaced(ARMS["deep"], {"hidden": (300, 200)}), 400).encoder.layers[0]
    assert isinstance(layer, torch.nn.Linear)
    assert layer.weight.std().item() == pytest.approx((2 / 700) ** 0.5, rel=0.02)
    assert not layer.bias.any()


def test_validation_chooses_and_a_diverged_rate_is_never_chosen() -> None:
    setup = replaced(ARMS["deep"], {**TINY, "rates": (1e25, 1e-7, 0.01), "steps": 40})
    measured = trial(setup, [0, 1], Services())
    assert measured.values["rate"].tolist() == pytest.approx([0.01, 0.01])
    assert measured.diverged.tolist() == [False, False]


def test_the_test_images_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = replaced(ARMS["deep"], {**TINY, "rates": (0.003, 0.01)})
    measured = trial(setup, [0], Services())

    class Inverted:
        def __init__(self, name: str) -> None:
            images = load(name)
            self.train, self.test = images.train, (1 - images.test[0], images.test[1])

    monkeypatch.setattr(experiment, "load", Inverted)
    inverted = trial(setup, [0], Services())
    assert torch.equal(measured.values["rate"], inverted.values["rate"])
    assert torch.equal(measured.values["train_error"], inverted.values["train_error"])
    assert not torch.equal(measured.values["test_error"], inverted.values["test_error"])


def test_a_long_trained_linear_one_nears_principal_components_from_above() -> None:
    changes = {**TINY, "hidden": (), "code": 3, "rates": (0.02,), "steps": 400, "batch_size": 80}
    linear = trial(replaced(ARMS["linear"], changes), [0], Services()).values
    pca = trial(replaced(ARMS["pca"], {**TINY, "code": 3}), [0], Services()).values
    ratio = (linear["train_error"] / pca["train_error"]).item()
    assert 1 - 1e-6 < ratio < 1.01


def test_only_codes_of_two_numbers_are_kept_for_the_picture() -> None:
    two = trial(replaced(ARMS["pca-2"], TINY), [0], Services()).weights[0]
    classes = load("digits").test[1]
    assert two["shown.codes"].shape == (len(classes), 2)
    assert two["shown.classes"].long().tolist() == classes.tolist()
    assert "shown.codes" not in trial(replaced(ARMS["pca"], TINY), [0], Services()).weights[0]


def test_bad_settings_are_errors_that_say_so() -> None:
    for changes, match in (({"rates": ()}, "rates"), ({"train_size": 5000}, "train_size")):
        with pytest.raises(PracticumError, match=match):
            trial(replaced(ARMS["deep"], {**TINY, **changes}), [0], Services())
