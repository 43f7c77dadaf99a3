"""U-Net against a twin in NumPy, written from the equations of its header.

Would catch: a skip handed to the wrong block or in the wrong order, a time that reaches only some
blocks or is shifted by one, a normalisation over the wrong channels, attention scaled by the wrong
number or over the wrong axis, an up-sampling that does not repeat pixels, a last layer that does
not begin at zero.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.unet import PixelAttention, ResidualBlock, UNet, time_features

Array = np.ndarray
GROUPS = 2


def made(**settings: object) -> UNet:
    torch.manual_seed(3)
    network = UNet(3, width=4, groups=GROUPS, **settings).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for p in network.parameters():
            nn.init.normal_(p, std=0.4)
    return network.eval()


def images(height: int = 4, width: int = 8, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)
    return x, torch.randint(100, (batch,), generator=generator)


# --- the twin: one image [C, H, W] at a time


def array(tensor: Tensor) -> Array:
    return tensor.detach().numpy()


def f(x: Array) -> Array:
    return np.asarray(x / (1 + np.exp(-x)))


def norm(x: Array, layer: nn.GroupNorm) -> Array:
    out, size = np.empty_like(x), len(x) // GROUPS
    for g in range(GROUPS):
        part = x[g * size : (g + 1) * size]
        out[g * size : (g + 1) * size] = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
    return np.asarray(out * array(layer.weight)[:, None, None] + array(layer.bias)[:, None, None])


def conv(x: Array, layer: nn.Conv2d, stride: int = 1) -> Array:
    weight, (_, height, width) = array(layer.weight), x.shape
    side = weight.shape[2]
    edge = side // 2
    padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge)))
    out = np.zeros((len(weight), height // stride, width // stride))
    for o in range(len(weight)):
        for i in range(height // stride):
            for j in range(width // stride):
                seen = padded[:, i * stride : i * stride + side, j * stride : j * stride + side]
                out[o, i, j] = (seen * weight[o]).sum()
    assert layer.bias is not None
    return np.asarray(out + array(layer.bias)[:, None, None])


def affine(x: Array, layer: nn.Linear) -> Array:
    return np.asarray(array(layer.weight) @ x + array(layer.bias))


def block(x: Array, k: Array, layer: ResidualBlock) -> Array:
    h = conv(f(norm(x, layer.norm1)), layer.conv1) + affine(f(k), layer.shift)[:, None, None]
    short = x if isinstance(layer.short, nn.Identity) else conv(x, layer.short)
    return np.asarray(short + conv(f(norm(h, layer.norm2)), layer.conv2))


def attention(x: Array, layer: PixelAttention) -> Array:
    c = len(x)
    flat = conv(norm(x, layer.norm), layer.into).reshape(3 * c, -1)
    q, k, v = flat[:c], flat[c : 2 * c], flat[2 * c :]
    seen = np.zeros_like(v)
    for i in range(q.shape[1]):
        scores = np.array([q[:, i] @ k[:, j] / math.sqrt(c) for j in range(q.shape[1])])
        shares = np.exp(scores - scores.max())
        seen[:, i] = v @ (shares / shares.sum())
    return np.asarray(x + conv(seen.reshape(x.shape), layer.out))


def features(t: int, width: int) -> Array:
    e = []
    for i in range(width // 2):
        w = 10000 ** (-2 * i / width)
        e += [math.sin(t * w), math.cos(t * w)]
    return np.array(e)


def naive(network: UNet, x: Array, t: int, multipliers: int, blocks: int) -> Array:
    k = affine(f(affine(features(t, 4), network.time.first)), network.time.second)
    x = conv(x, network.first)
    left, down, up = [x], iter(network.down), iter(network.up)
    for level in range(multipliers):
        if level:
            x = conv(x, next(down), stride=2)  # type: ignore[arg-type]
            left.append(x)
        for _ in range(blocks):
            x = block(x, k, next(down))  # type: ignore[arg-type]
            left.append(x)
    x = block(x, k, network.middle[0])  # type: ignore[arg-type]
    if isinstance(network.middle[1], PixelAttention):
        x = attention(x, network.middle[1])
    x = block(x, k, network.middle[2])  # type: ignore[arg-type]
    for level in reversed(range(multipliers)):
        for _ in range(blocks + 1):
            x = block(np.concatenate([x, left.pop()]), k, next(up))  # type: ignore[arg-type]
        if level:
            x = conv(x.repeat(2, axis=1).repeat(2, axis=2), next(up))  # type: ignore[arg-type]
    assert not left
    return conv(f(norm(x, network.norm)), network.last)


@pytest.mark.parametrize(
    ("multipliers", "blocks", "attends"),
    [((1, 2), 1, True), ((1, 2, 3), 2, False), ((2,), 1, True)],
)
def test_the_network_equals_the_twin(
    multipliers: tuple[int, ...], blocks: int, attends: bool
) -> None:
    network = made(multipliers=multipliers, blocks=blocks, attention=attends)
    x, t = images()
    with torch.no_grad():
        ours = network(x, t)
    for image, time, result in zip(array(x), t.tolist(), array(ours), strict=True):
        twin = naive(network, image, time, len(multipliers), blocks)
        np.testing.assert_allclose(result, twin, rtol=1e-9, atol=1e-9)


def test_the_comparison_rejects_a_lost_skip_a_deaf_block_and_unscaled_attention() -> None:
    x, t = images(batch=1)
    network = made()
    twin = naive(network, array(x)[0], int(t[0]), 2, 1)

    def differs(broken: UNet) -> bool:
        with torch.no_grad():
            return not np.allclose(array(broken(x, t))[0], twin, atol=1e-4)

    assert not differs(copy.deepcopy(network))
    deaf = copy.deepcopy(network)
    last = deaf.up[-1]
    assert isinstance(last, ResidualBlock)
    nn.init.zeros_(last.shift.weight)
    assert differs(deaf)
    unscaled = copy.deepcopy(network)
    look = unscaled.middle[1]
    assert isinstance(look, PixelAttention)
    with torch.no_grad():  # twice the queries: as if the scores were divided by less
        look.into.weight[:8] *= 2
    assert differs(unscaled)
    swapped = copy.deepcopy(network)
    swapped.up[0], swapped.up[1] = network.up[0], network.up[0]
    with pytest.raises(RuntimeError):  # the skips have other numbers of channels
        swapped(x, t)


def test_gradients_equal_differences_and_reach_every_parameter() -> None:
    network, (x, t) = made(), images(batch=1)
    names = [name for name, _ in network.named_parameters()]
    weights = tuple(p.detach().clone().requires_grad_() for _, p in network.named_parameters())

    def predicted(x: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        out: Tensor = torch.func.functional_call(network, given, (x, t))
        return out

    y = predicted(x, *weights)
    aim = torch.randn_like(y)
    grads = torch.autograd.grad((y * aim).sum(), weights)
    for name, weight, grad in zip(names, weights, grads, strict=True):
        assert bool(grad.any()), name
        way = torch.randn_like(weight)
        with torch.no_grad():
            ends = [
                predicted(x, *[w + e * way if w is weight else w for w in weights])
                for e in (1e-5, -1e-5)
            ]
            slope = float(((ends[0] - ends[1]) * aim).sum()) / 2e-5
        assert slope == pytest.approx(float((grad * way).sum()), rel=1e-5, abs=1e-6), name


def test_time_features_are_the_sines_and_cosines_and_tell_times_apart() -> None:
    t = torch.tensor([0, 1, 7, 999])
    for row, time in zip(time_features(t, 6).tolist(), t.tolist(), strict=True):
        assert row == pytest.approx(features(time, 6).tolist())
    assert time_features(torch.tensor([0]), 4).tolist() == [[0.0, 1.0, 0.0, 1.0]]


def test_a_new_network_predicts_zero_and_learns_from_its_first_step() -> None:
    torch.manual_seed(0)
    network = UNet(3, width=8, groups=4)
    x, t = (images()[0].float(), images()[1])
    y = network(x, t)
    assert not y.any()
    (y - 1).square().mean().backward()
    assert network.last.weight.grad is not None
    assert bool(network.last.weight.grad.any())


def test_images_of_a_batch_do_not_see_each_other() -> None:
    network, (x, t) = made(), images(batch=3)
    with torch.no_grad():
        together = network(x, t)
        for i in range(3):
            torch.testing.assert_close(together[i : i + 1], network(x[i : i + 1], t[i : i + 1]))


def test_dropout_acts_while_training_only() -> None:
    network, (x, t) = made(dropout=0.5), images()
    with torch.no_grad():
        assert torch.equal(network(x, t), network(x, t))
        network.train()
        assert not torch.equal(network(x, t), network(x, t))


def test_many_seeds_together_equal_each_alone() -> None:
    networks, (x, t) = [made(), made()], images()
    with torch.no_grad():
        for p in networks[1].parameters():
            p.add_(0.1 * torch.randn_like(p))
    weights, buffers = torch.func.stack_module_state(networks)

    def predicted(one: dict[str, Tensor], other: dict[str, Tensor]) -> Tensor:
        out: Tensor = torch.func.functional_call(networks[0], (one, other), (x, t))
        return out

    together = torch.func.vmap(predicted)(weights, buffers)
    for i, network in enumerate(networks):
        torch.testing.assert_close(together[i], network(x, t), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"multipliers": ()}, "needs a level"),
        ({"blocks": 0}, "needs a level"),
        ({"dropout": 1.0}, "below 1"),
        ({"width": 6, "groups": 4}, "groups"),
        ({"width": 3, "groups": 3}, "odd"),
    ],
)
def test_settings_that_make_no_network_are_errors(settings: dict[str, object], words: str) -> None:
    with pytest.raises(PracticumError, match=words):
        UNet(1, **settings)  # type: ignore[arg-type]


def test_sides_that_cannot_be_halved_and_odd_features_are_errors() -> None:
    with pytest.raises(PracticumError, match="cannot be halved 1 times"):
        made()(*images(height=5))
    with pytest.raises(PracticumError, match="pairs"):
        time_features(torch.tensor([1]), 3)
