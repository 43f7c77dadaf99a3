"""DCGAN against convolutions written with loops in float64, in value and gradient.

Would catch: a rule of the paper that is not kept (normalisation at the output, a missing leak,
pooling), a transposed convolution that is shifted, sides that do not fit, a switch that does
nothing, weights that start too large.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.batchnorm import BatchNorm
from practicum.nn.dcgan import Discriminator, Generator, maps_of

B, Z, S, C, W = 3, 5, 8, 2, 3
SWITCHES = [(True, True), (False, True), (True, False), (False, False)]


def up(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """Transposed convolution: every input pixel paints its kernel, then the frame is cut off."""
    b, inputs, h, _ = x.shape
    k = weight.shape[-1]
    side = (h - 1) * stride + k
    out = torch.zeros(b, weight.shape[1], side, side, dtype=x.dtype)
    for n in range(b):
        for i in range(inputs):
            for r in range(h):
                for c in range(h):
                    rows = slice(r * stride, r * stride + k)
                    columns = slice(c * stride, c * stride + k)
                    out[n, :, rows, columns] += x[n, i, r, c] * weight[i]
    out = out[:, :, pad : side - pad, pad : side - pad]
    return out if bias is None else out + bias[:, None, None]


def down(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """Convolution: a dot product with the kernel at every place."""
    b, inputs, h, _ = x.shape
    k = weight.shape[-1]
    wide = torch.zeros(b, inputs, h + 2 * pad, h + 2 * pad, dtype=x.dtype)
    wide[:, :, pad : pad + h, pad : pad + h] = x
    side = (h + 2 * pad - k) // stride + 1
    out = torch.zeros(b, len(weight), side, side, dtype=x.dtype)
    for r in range(side):
        for c in range(side):
            seen = wide[:, :, r * stride : r * stride + k, c * stride : c * stride + k]
            for o in range(len(weight)):
                out[:, o, r, c] = (seen * weight[o]).flatten(1).sum(1)
    return out if bias is None else out + bias[:, None, None]


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def normed(x: Tensor, norm: nn.Module) -> Tensor:
    if not isinstance(norm, BatchNorm):
        return x
    maps = []
    for c in range(x.shape[1]):
        values = x[:, c]
        spread = ((values - values.mean()) ** 2).mean() + norm.epsilon
        maps.append((values - values.mean()) / spread.sqrt() * norm.gamma[c] + norm.beta[c])
    return torch.stack(maps, 1)


def naive_generator(network: Generator, z: Tensor, side: int = S) -> Tensor:
    y = up(z[:, :, None, None], network.layers[0].weight, network.layers[0].bias, 1, 0)
    for norm, layer in zip(network.norms, network.layers[1:], strict=True):
        y = normed(y, norm).clamp(min=0)
        if network.strided:
            y = up(y, layer.weight, layer.bias, 2, 1)
        else:
            y = y.repeat_interleave(2, 2).repeat_interleave(2, 3)
            y = down(y, layer.weight, layer.bias, 1, 1)
    assert y.shape[-1] == side
    return y.tanh()


def naive_discriminator(network: Discriminator, x: Tensor, leak: float = 0.2) -> Tensor:
    for norm, layer in zip(network.norms, network.layers, strict=True):
        x = normed(down(x, layer.weight, layer.bias, 2 if network.strided else 1, 1), norm)
        x = torch.where(x > 0, x, leak * x)
        if not network.strided:
            x = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    return down(x, network.head.weight, network.head.bias, 1, 0).flatten()


def made(normalize: bool, strided: bool, side: int = S) -> tuple[Generator, Discriminator]:
    torch.manual_seed(0)
    switches = {"width": W, "normalize": normalize, "strided": strided}
    pair = (Generator(Z, side, C, **switches).double(), Discriminator(side, C, **switches).double())
    with torch.no_grad():
        for network in pair:
            for p in network.parameters():
                nn.init.normal_(p, std=0.4)
    return pair


@pytest.mark.parametrize(("normalize", "strided"), SWITCHES)
def test_images_logits_and_gradients_equal_those_of_the_loops(
    normalize: bool, strided: bool
) -> None:
    side = 16 if strided else S
    generator, discriminator = made(normalize, strided, side)
    z, x = normal(1, B, Z), normal(2, B, C, side, side)
    pairs = (
        (generator, generator(z), naive_generator(generator, z, side)),
        (discriminator, discriminator(x), naive_discriminator(discriminator, x)),
    )
    for network, ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)
        weights = list(network.parameters())
        of_ours = torch.autograd.grad(ours.sin().sum(), weights)
        of_theirs = torch.autograd.grad(theirs.sin().sum(), weights)
        for one, other in zip(of_ours, of_theirs, strict=True):
            assert bool(one.any())
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)
    assert not torch.allclose(discriminator(x), naive_discriminator(discriminator, x, 0.0))


@pytest.mark.parametrize("side", [8, 16, 32, 64])
def test_sides_and_maps_fit_for_every_power_of_two(side: int) -> None:
    generator, discriminator = Generator(Z, side, C, width=2), Discriminator(side, C, width=2)
    image = generator(torch.randn(2, Z))
    assert image.shape == (2, C, side, side)
    assert discriminator(image).shape == (2,)
    sides = [one.shape[-1] for one in discriminator.features(image)]
    assert sides == [side // 2 ** (i + 1) for i in range(len(sides))]
    assert sides[-1] == 4
    maps = [one.shape[1] for one in discriminator.features(image)]
    assert maps == list(maps_of(side, 2)) == [2 * 2**i for i in range(len(maps))]
    plain = Generator(Z, side, C, width=2, strided=False)
    assert plain(torch.randn(2, Z)).shape == image.shape
    without = Discriminator(side, C, width=2, strided=False)
    assert [one.shape for one in without.features(image)] == [
        one.shape for one in discriminator.features(image)
    ]


def test_the_rules_of_the_paper_are_kept() -> None:
    generator, discriminator = Generator(Z, 32, C), Discriminator(32, C)
    for network in (generator, discriminator):
        assert not any(isinstance(part, nn.Linear) for part in network.modules())
    # The last layer of one and the first of the other have no normalisation, but a bias.
    assert len(generator.norms) == len(generator.layers) - 1
    assert all(isinstance(norm, BatchNorm) for norm in generator.norms)
    assert [isinstance(norm, BatchNorm) for norm in discriminator.norms] == [False, True, True]
    assert [layer.bias is not None for layer in generator.layers] == [False, False, False, True]
    assert [layer.bias is not None for layer in discriminator.layers] == [True, False, False]
    image = generator(10 * torch.randn(4, Z))
    assert float(image.detach().abs().max()) <= 1
    bare = (Generator(Z, 32, C, normalize=False), Discriminator(32, C, normalize=False))
    for network in bare:
        assert not any(isinstance(part, BatchNorm) for part in network.modules())
        assert all(layer.bias is not None for layer in network.layers)


def test_weights_start_small_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    for network in (Generator(50, 16, 1), Discriminator(16, 1)):
        for name, p in network.named_parameters():
            if name.endswith(("bias", "beta")):
                assert not p.any()
            elif name.endswith("gamma"):
                assert bool((p == 1).all())
            else:
                assert p.std().item() == pytest.approx(0.02, rel=5 / math.sqrt(p.numel()))


def test_after_training_an_image_does_not_depend_on_the_others() -> None:
    generator, discriminator = made(True, True, 16)  # one normalisation in the discriminator
    z, x = normal(1, B, Z), normal(2, B, C, 16, 16)
    for network, given in ((generator, z), (discriminator, x)):
        training = network(given)
        assert not torch.allclose(training[:2], network(given[:2]))
        still = network.eval()(given)
        torch.testing.assert_close(still[:1], network(given[:1]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("side", "width"), [(4, 3), (12, 3), (28, 3), (0, 3), (16, 0)])
def test_sides_that_do_not_halve_down_to_four_are_an_error(side: int, width: int) -> None:
    with pytest.raises(PracticumError, match="8, 16, 32"):
        Generator(Z, side, 1, width=width)
    with pytest.raises(PracticumError, match="8, 16, 32"):
        Discriminator(side, 1, width=width)
