"""Batch normalisation and the noise after it: would catch a variance divided by m where the paper
divides by m - 1 (and the other way round), a forgotten epsilon, statistics over the wrong axes,
gradients that do not flow through mean and variance, averages that move in evaluation mode, noise
that stays the same from step to step, and an answer that depends on the rest of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.batchnorm import BatchNorm, BatchNormMLP, Perturb

SHAPES = [(7, 3), (2, 5), (4, 3, 2, 5), (1, 2, 3, 4)]


def pair(shape: tuple[int, ...], **settings: float) -> tuple[BatchNorm, nn.Module]:
    """Return our layer and torch's, in float64, with the same unusual gamma and beta."""
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    torch.manual_seed(3)
    theirs = kind(shape[1], eps=settings.get("epsilon", 1e-5), momentum=settings.get("momentum"))
    ours = BatchNorm(shape[1], **settings)
    with torch.no_grad():
        theirs.weight.copy_(torch.randn(shape[1]))
        theirs.bias.copy_(torch.randn(shape[1]))
    ours.load_state_dict(
        {
            "gamma": theirs.weight,
            "beta": theirs.bias,
            "running_mean": theirs.running_mean,
            "running_var": theirs.running_var,
        }
    )
    return ours.double(), theirs.double()


def batches(shape: tuple[int, ...], count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(11)
    return [
        3 + 2 * torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)
    ]


def deviation_from_torch(ours: nn.Module, theirs: nn.Module, shape: tuple[int, ...]) -> float:
    """Return the largest difference in value, gradient and running statistics, over 3 batches."""
    worst = 0.0

    def look(a: Tensor | None, b: Tensor | None) -> None:
        nonlocal worst
        assert a is not None
        assert b is not None
        assert a.shape == b.shape
        worst = max(worst, float((a - b).detach().abs().max()))

    weights = torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    for x in batches(shape, 3):
        mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        y, z = ours(mine), theirs(other)
        (y * weights).sum().backward()
        (z * weights).sum().backward()
        look(y, z)
        look(mine.grad, other.grad)
        for name, twin in (("gamma", "weight"), ("beta", "bias")):
            look(getattr(ours, name).grad, getattr(theirs, twin).grad)
        for name in ("running_mean", "running_var"):
            look(getattr(ours, name), getattr(theirs, name))
    ours.eval(), theirs.eval()
    look(ours(batches(shape, 1)[0]), theirs(batches(shape, 1)[0]))
    return worst


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
@pytest.mark.parametrize("momentum", [0.1, 1.0])
def test_values_gradients_and_statistics_are_those_of_torch(
    shape: tuple[int, ...], epsilon: float, momentum: float
) -> None:
    ours, theirs = pair(shape, epsilon=epsilon, momentum=momentum)
    assert deviation_from_torch(ours, theirs, shape) < 1e-10


class Broken(BatchNorm):
    """Batch normalisation with one mistake."""

    def __init__(self, features: int, mistake: str) -> None:
        super().__init__(features)
        self.mistake = mistake

    def forward(self, x: Tensor) -> Tensor:
        """Normalise wrongly."""
        if not self.training:
            return super().forward(x)
        m = len(x)
        mean = x.mean(0)
        var = x.var(0, unbiased=self.mistake == "normalises by the unbiased variance")
        if self.mistake == "no gradient through the statistics":
            mean, var = mean.detach(), var.detach()
        if self.mistake == "statistics over the features":
            mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        kept = x.var(0, unbiased=self.mistake != "follows the biased variance").detach()
        with torch.no_grad():
            self.running_mean.mul_(0.9).add_(0.1 * x.mean(0))
            self.running_var.mul_(0.9).add_(0.1 * kept)
        epsilon = 0.0 if self.mistake == "no epsilon" else self.epsilon
        assert m > 1
        return self.gamma * (x - mean) / torch.sqrt(var + epsilon) + self.beta


@pytest.mark.parametrize(
    ("mistake", "wrong"),
    [
        ("none", False),
        ("normalises by the unbiased variance", True),
        ("follows the biased variance", True),
        ("no epsilon", True),
        ("no gradient through the statistics", True),
        ("statistics over the features", True),
    ],
)
def test_the_comparison_with_torch_rejects_broken_variants(mistake: str, wrong: bool) -> None:
    ours, theirs = pair((7, 3), momentum=0.1)
    broken = Broken(3, mistake).double()
    broken.load_state_dict(ours.state_dict())
    assert (deviation_from_torch(broken, theirs, (7, 3)) > 1e-7) == wrong


@pytest.mark.parametrize("shape", SHAPES)
def test_the_paper_computed_number_by_number_gives_the_same(shape: tuple[int, ...]) -> None:
    ours, _ = pair(shape, momentum=0.1)
    x = batches(shape, 1)[0]
    y = ours(x)
    for c in range(shape[1]):
        values = [float(one) for one in x.transpose(0, 1)[c].flatten()]
        m = len(values)
        mu = sum(values) / m
        variance = sum((one - mu) ** 2 for one in values) / m
        gamma, beta = ours.gamma.tolist()[c], ours.beta.tolist()[c]
        expected = [gamma * (one - mu) / math.sqrt(variance + 1e-5) + beta for one in values]
        assert y.transpose(0, 1)[c].flatten().tolist() == pytest.approx(expected, abs=1e-12)
        assert float(ours.running_mean[c]) == pytest.approx(0.1 * mu)
        assert float(ours.running_var[c]) == pytest.approx(0.9 + 0.1 * variance * m / (m - 1))


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.1, 100), shift=st.floats(-100, 100), seed=st.integers(0, 99))
def test_the_scale_and_shift_of_what_comes_in_do_not_matter(
    scale: float, shift: float, seed: int
) -> None:
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    layer = BatchNorm(4, epsilon=1e-12).double()
    assert torch.allclose(layer(scale * x + shift), layer(x), atol=1e-5)


def test_the_answer_for_an_example_depends_on_its_batch_while_training_and_not_afterwards() -> None:
    layer = BatchNorm(3)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(layer(x)[:2], layer(x[:2]))
    layer.eval()
    before = layer.running_mean.clone()
    assert torch.equal(layer(x)[:2], layer(x[:2]))
    assert torch.equal(layer.running_mean, before)


def test_one_value_for_each_activation_is_refused_while_training_only() -> None:
    layer = BatchNorm(3)
    with pytest.raises(PracticumError, match="one value"):
        layer(torch.ones(1, 3))
    assert layer.eval()(torch.ones(1, 3)).shape == (1, 3)
    assert layer.train()(torch.ones(1, 3, 2, 2)).shape == (1, 3, 2, 2)


@pytest.mark.parametrize(
    "build",
    [
        lambda: BatchNorm(3, epsilon=0.0),
        lambda: BatchNorm(3, momentum=0.0),
        lambda: BatchNorm(3, momentum=1.5),
        lambda: BatchNormMLP(2, (3,), 2, activation="gauss"),
        lambda: BatchNormMLP(2, (3,), 2, deviation=0.0),
    ],
)
def test_settings_that_make_no_sense_are_refused(build: Callable[[], object]) -> None:
    with pytest.raises(PracticumError):
        build()


@pytest.mark.parametrize("normalize", [True, False])
def test_the_network_is_the_same_stack_of_torch_layers(normalize: bool) -> None:
    torch.manual_seed(0)
    ours = BatchNormMLP(6, (5, 4), 3, normalize=normalize).double()
    layers: list[nn.Module] = []
    for linear, norm in zip(ours.layers, ours.norms, strict=True):
        assert isinstance(linear, nn.Linear)
        layers.append(linear)
        if isinstance(norm, BatchNorm):
            twin = nn.BatchNorm1d(len(norm.gamma)).double()
            twin.weight, twin.bias = norm.gamma, norm.beta
            layers.append(twin)
        layers.append(nn.Sigmoid())
    twins = nn.Sequential(*layers, ours.head)
    x = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y, z = ours(x), twins(x.flatten(1))
    assert torch.allclose(y, z, atol=1e-12)
    found = torch.autograd.grad(y.square().sum(), list(ours.parameters()))
    for a, b in zip(
        found, torch.autograd.grad(z.square().sum(), list(ours.parameters())), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-11)


def test_normalised_layers_have_one_number_more_for_each_hidden_unit_and_no_bias() -> None:
    def count(normalize: bool) -> int:
        network = BatchNormMLP(64, (100, 90), 10, normalize=normalize)
        return sum(one.numel() for one in network.parameters())

    assert count(True) - count(False) == 100 + 90
    assert all(layer.bias is None for layer in BatchNormMLP(4, (3, 2), 2).layers)


def test_the_noise_shifts_and_scales_every_unit_anew_at_every_step() -> None:
    torch.manual_seed(0)
    noise = Perturb(shift=1.0, scale=0.5, jitter=0.0)
    x = torch.randn(4000, 3)
    x = (x - x.mean(0)) / x.std(0)
    first, second = noise(x), noise(x)
    for y in (first, second):
        # Without jitter every unit is an exact line of what came in: one mean, one factor each.
        assert torch.allclose(y, y.std(0) * x + y.mean(0), atol=1e-4)
        assert len(y.mean(0).unique()) == 3
    assert not torch.allclose(first.mean(0), second.mean(0))
    assert not torch.allclose(first.std(0), second.std(0))


def test_the_noise_has_the_spreads_it_was_given() -> None:
    torch.manual_seed(0)
    noise = Perturb(shift=0.7, scale=0.3, jitter=0.4)
    x = torch.ones(2, 20000)
    y = noise(x)
    assert float((y[0] - y[1]).std()) == pytest.approx(0.4 * math.sqrt(2), rel=0.05)
    y = Perturb(shift=0.7, scale=0.0, jitter=0.0)(x)
    assert float(y[0].std()) == pytest.approx(0.7, rel=0.05)
    y = Perturb(shift=0.0, scale=0.3, jitter=0.0)(x)
    assert float(y[0].log().std()) == pytest.approx(0.3, rel=0.05)


def test_there_is_no_noise_in_evaluation_mode() -> None:
    noise = Perturb(shift=1.0, scale=1.0, jitter=1.0).eval()
    x = torch.randn(3, 2)
    assert torch.equal(noise(x), x)
