"""Networks train on the engine: a perceptron of several layers, LeNet, attention in two layers.

Would catch: gradients that are right for each operation but not put together, a training step that
the engine's rules against changes in place make impossible, memory that grows with every step.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from practicum import autograd as ag
from practicum.autograd import Tensor, gradients
from practicum.data import load

Weights = dict[str, Any]


def start(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> Weights:
    """Draw weights whose units receive a variance of about one; biases are zero."""
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        into = np.prod(shape[1:] if len(shape) == 4 else shape[:-1])  # of one unit
        drawn = generator.normal(size=shape) / np.sqrt(into)
        weights[name] = drawn if len(shape) > 1 else np.zeros(shape)
    return weights


def trained(
    loss: Callable[[Mapping[str, Tensor]], Tensor], weights: Weights, steps: int, rate: float
) -> tuple[list[float], Weights]:
    """Descend with momentum 0.9; return the losses and the last weights."""
    losses, moved = [], {name: np.zeros_like(one) for name, one in weights.items()}
    for _ in range(steps):
        leaves = {name: Tensor(one, name) for name, one in weights.items()}
        value = loss(leaves)
        for name, g in zip(leaves, gradients(value, [*leaves.values()]), strict=True):
            moved[name] = 0.9 * moved[name] + g.value
            weights = weights | {name: weights[name] - rate * moved[name]}
        losses.append(float(value.value))
    return losses, weights


def same_gradients(
    ours: Callable[[Mapping[str, Tensor]], Tensor],
    theirs: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    weights: Weights,
) -> None:
    leaves = {name: Tensor(one) for name, one in weights.items()}
    twins = {name: torch.tensor(one, requires_grad=True) for name, one in weights.items()}
    value, expected = ours(leaves), theirs(twins)
    assert float(value.value) == pytest.approx(expected.item(), rel=1e-12)
    found = gradients(value, [*leaves.values()])
    for (name, twin), g in zip(
        zip(twins, torch.autograd.grad(expected, [*twins.values()]), strict=True),
        found,
        strict=True,
    ):
        assert np.abs(g.value).max() > 1e-6, name
        np.testing.assert_allclose(g.value, twin.numpy(), rtol=1e-9, atol=1e-13, err_msg=name)


def digits(count: int) -> tuple[Any, Any]:
    x, y = load("digits").train
    return x[:count].double().numpy().reshape(count, 1, 8, 8), y[:count].numpy()


# --- a perceptron of several layers

MLP = {"w1": (64, 32), "b1": (32,), "w2": (32, 16), "b2": (16,), "w3": (16, 10), "b3": (10,)}


def mlp(engine: Any, p: Mapping[str, Any], x: Any) -> Any:
    h = engine.tanh(x.reshape(len(x.value if engine is ag else x), 64) @ p["w1"] + p["b1"])
    h = engine.relu(h @ p["w2"] + p["b2"])
    return h @ p["w3"] + p["b3"]


def test_a_perceptron_trains_and_has_torchs_gradients() -> None:
    x, y = digits(200)
    weights = start(MLP)

    def loss(p: Mapping[str, Tensor]) -> Tensor:
        return ag.cross_entropy(mlp(ag, p, Tensor(x)), y)

    same_gradients(
        loss,
        lambda p: F.cross_entropy(mlp(torch, p, torch.tensor(x)), torch.tensor(y)),
        start(MLP, 4) | {"b1": np.full(32, 0.1)},
    )
    losses, weights = trained(loss, weights, 60, 0.1)
    assert losses[0] > 2.0
    assert losses[-1] < 0.1
    right = mlp(ag, {k: Tensor(v) for k, v in weights.items()}, Tensor(x)).value.argmax(1) == y
    assert right.mean() > 0.97


# --- LeNet, on images of 16 by 16

LENET = {
    "c1": (6, 1, 5, 5), "d1": (6,), "c2": (16, 6, 3, 3), "d2": (16,),
    "w1": (64, 40), "b1": (40,), "w2": (40, 10), "b2": (10,),
}  # fmt: skip


def images(count: int) -> tuple[Any, Any]:
    x, y = digits(count)
    return x.repeat(2, axis=2).repeat(2, axis=3), y


def lenet(p: Mapping[str, Tensor], x: Tensor) -> Tensor:
    h = ag.avg_pool2d(ag.tanh(ag.conv2d(x, p["c1"], p["d1"], padding=1)), 2)  # [n, 6, 7, 7]
    h = ag.max_pool2d(ag.relu(ag.conv2d(h, p["c2"], p["d2"])), 2)  # [n, 16, 2, 2]
    h = ag.tanh(h.reshape(-1, 64) @ p["w1"] + p["b1"])
    return h @ p["w2"] + p["b2"]


def lenet_in_torch(p: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    h = F.avg_pool2d(torch.tanh(F.conv2d(x, p["c1"], p["d1"], padding=1)), 2)
    h = F.max_pool2d(torch.relu(F.conv2d(h, p["c2"], p["d2"])), 2)
    h = torch.tanh(h.flatten(1) @ p["w1"] + p["b1"])
    return h @ p["w2"] + p["b2"]


def test_a_lenet_trains_and_has_torchs_gradients() -> None:
    x, y = images(60)

    def loss(p: Mapping[str, Tensor]) -> Tensor:
        return ag.cross_entropy(lenet(p, Tensor(x)), y)

    same_gradients(
        loss,
        lambda p: F.cross_entropy(lenet_in_torch(p, torch.tensor(x)), torch.tensor(y)),
        start(LENET, 4),
    )
    losses, _ = trained(loss, start(LENET), 40, 0.1)
    assert losses[0] > 2.0
    assert losses[-1] < 0.3


# --- two layers of attention: say which token came first

VOCABULARY, LENGTH, WIDTH, HEADS = 7, 9, 12, 3
ATTENTION = {"embedding": (VOCABULARY, WIDTH), "place": (LENGTH, WIDTH), "out": (WIDTH, VOCABULARY)}
ATTENTION |= {
    f"{name}{layer}": (WIDTH, 3 * WIDTH) if name == "qkv" else (WIDTH, WIDTH)
    for layer in (1, 2)
    for name in ("qkv", "mix", "up", "down")
}


def attention(engine: Any, p: Mapping[str, Any], tokens: Any) -> Any:
    """Return logits [n, t, vocabulary]; a token sees itself and those before it."""
    n, t = tokens.shape
    hidden = np.triu(np.full((t, t), -1e9), 1)
    mask = hidden if engine is ag else torch.tensor(hidden)
    order = (lambda x, *axes: x.transpose(*axes)) if engine is ag else torch.permute
    flip = (lambda x: order(x, 0, 1, 3, 2)) if engine is ag else (lambda x: x.mT)
    swap = (lambda x: order(x, 0, 2, 1, 3)) if engine is ag else (lambda x: x.transpose(1, 2))
    h = p["embedding"][tokens] + p["place"]
    for layer in (1, 2):
        qkv = h @ p[f"qkv{layer}"]
        q, k, v = (
            swap(qkv[..., i * WIDTH : (i + 1) * WIDTH].reshape(n, t, HEADS, WIDTH // HEADS))
            for i in range(3)
        )
        weights = engine.softmax(q @ flip(k) * (WIDTH // HEADS) ** -0.5 + mask, -1)
        h = h + swap(weights @ v).reshape(n, t, WIDTH) @ p[f"mix{layer}"]
        h = h + engine.tanh(h @ p[f"up{layer}"]) @ p[f"down{layer}"]
    return h @ p["out"]


def test_attention_in_two_layers_trains_and_has_torchs_gradients() -> None:
    tokens = np.random.default_rng(1).integers(0, VOCABULARY, (24, LENGTH))
    labels = np.repeat(tokens[:, :1], LENGTH, axis=1).ravel()

    def loss(p: Mapping[str, Tensor]) -> Tensor:
        return ag.cross_entropy(attention(ag, p, tokens).reshape(-1, VOCABULARY), labels)

    def twin(p: Mapping[str, torch.Tensor]) -> torch.Tensor:
        logits = attention(torch, p, torch.tensor(tokens)).reshape(-1, VOCABULARY)
        return F.cross_entropy(logits, torch.tensor(labels))

    same_gradients(loss, twin, start(ATTENTION, 4))
    losses, _ = trained(loss, start(ATTENTION), 80, 0.1)
    assert losses[0] > 1.5
    assert losses[-1] < 0.1


def test_later_tokens_do_not_change_earlier_logits() -> None:
    p = {name: Tensor(one) for name, one in start(ATTENTION).items()}
    tokens = np.random.default_rng(1).integers(0, VOCABULARY, (2, LENGTH))
    changed = tokens.copy()
    changed[:, 5:] = (changed[:, 5:] + 1) % VOCABULARY
    before, after = (attention(ag, p, one).value for one in (tokens, changed))
    np.testing.assert_allclose(before[:, :5], after[:, :5], atol=1e-12)
    assert np.abs(before[:, 5:] - after[:, 5:]).max() > 0.01


def test_a_step_leaves_no_graph_behind() -> None:
    def tensors() -> int:
        gc.collect()
        return sum(isinstance(one, Tensor) for one in gc.get_objects())

    x, y = digits(5)
    before = tensors()
    kept = Tensor(x)
    assert tensors() == before + 1  # they are seen
    losses, _ = trained(lambda p: ag.cross_entropy(mlp(ag, p, kept), y), start(MLP), 3, 0.1)
    assert len(losses) == 3
    assert tensors() == before + 1
