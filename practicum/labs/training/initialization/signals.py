"""How large signals and gradients are in each layer of a network that has not learned yet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.nn.mlp import ACTIVATIONS, MLP


def through_layers(
    network: MLP, x: Float[Tensor, "n *inputs"], y: Int[Tensor, "n"]
) -> tuple[Float[Tensor, "hidden"], Float[Tensor, "hidden"]]:
    """Return for each hidden layer the mean square of its outputs and of the cost's gradient.

    The gradient is that of each example's cross-entropy by the layer's weighted sums; means are
    over units and examples. In float64: thirty halvings in a row leave little of float32.
    """
    f = ACTIVATIONS[network.activation]
    z, sums, signal = x.double().flatten(1), [], []
    for layer in network.layers[:-1]:
        sums.append(_sums(layer, z).requires_grad_())
        z = f(sums[-1])
        signal.append(z.detach().square().mean())
    logits = _sums(network.layers[-1], z)
    gradients = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), sums)
    return torch.stack(signal), torch.stack([g.square().mean() for g in gradients])


def _sums(layer: nn.Module, z: Float[Tensor, "n before"]) -> Float[Tensor, "n after"]:
    """Return a linear layer's weighted sums in float64; the layer itself is left as it is."""
    assert isinstance(layer, nn.Linear)
    return F.linear(z, layer.weight.detach().double(), layer.bias.detach().double())


def summary(
    signal: Float[Tensor, "seeds hidden"], gradient: Float[Tensor, "seeds hidden"]
) -> dict[str, Float[Tensor, "seeds"]]:
    """Return what the claims look at, from the mean squares of every layer."""
    hidden = signal.shape[1]
    return {
        "signal_spread": signal.amax(1) / signal.amin(1),
        "gradient_spread": gradient.amax(1) / gradient.amin(1),
        "signal_end": signal[:, -1] / signal[:, 0],
        "gradient_end": gradient[:, 0] / gradient[:, -1],
        "signal_factor": (signal[:, -1] / signal[:, 0]) ** (1 / max(1, hidden - 1)),
    }


def at_the_start(
    networks: Sequence[MLP], data: Sequence[tuple[Tensor, Tensor]], room: int
) -> dict[str, Tensor]:
    """Return the measures of networks before training, one network and its images a seed.

    Args:
        networks: as they begin.
        data: for each of them the images and classes with which it is measured.
        room: length of the curves over layers; what the network lacks is NaN.
    """
    measured = [through_layers(one, *mine) for one, mine in zip(networks, data, strict=True)]
    signal, gradient = (torch.stack(one) for one in zip(*measured, strict=True))
    beyond = (0, room - signal.shape[1])
    return {
        **summary(signal, gradient),
        "signal": F.pad(signal, beyond, value=float("nan")),
        "gradient": F.pad(gradient, beyond, value=float("nan")),
    }
