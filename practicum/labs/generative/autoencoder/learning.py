"""How an arm of the lab `autoencoder` finds its code, and what is measured of it.

Principal components, as the arm to beat:
    (1)  C = mean of (x - m)(x - m)'       m is the mean training image
    (2)  code = V'(x - m)                  V: eigenvectors of C with the largest eigenvalues
    (3)  x~ = m + V code
The answer with the mean image is Eq. (3) without any component.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from practicum.engine.fit import fit
from practicum.engine.noise import Noise
from practicum.engine.optimizers import SGD, Adam
from practicum.engine.schedules import LinearDecay
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.engine.updates import Batch
from practicum.nn.autoencoder import Autoencoder, squared_error
from practicum.nn.initialization import initialize

if TYPE_CHECKING:
    from practicum.labs.generative.autoencoder.experiment import Setup

AT_ONCE = 1000  # images in memory together when codes are compared

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Coder:
    """What an arm found for one seed.

    Attributes:
        encode: images [n, D] to codes [n, Z].
        decode: codes to images.
        rate: the learning rate that validation chose; 0 where nothing is tuned.
        curve: [points] the validation error on the way.
        diverged: whether training diverged at every rate.
        weights: its tensors by name.
    """

    encode: Map
    decode: Map
    rate: float
    curve: Float[Tensor, "points"]
    diverged: bool = False
    weights: dict[str, Tensor] = field(default_factory=dict)

    def error(self, x: Float[Tensor, "n D"]) -> Float[Tensor, ""]:
        """Return the squared error of an image, summed over its pixels; the mean over images."""
        with torch.no_grad():
            return squared_error(self.decode(self.encode(x)), x).double().mean()


def components(
    x: Float[Tensor, "n D"], code: int
) -> tuple[Float[Tensor, "D"], Float[Tensor, "D Z"]]:
    """Return the mean and the first principal components, largest first."""
    mean = x.mean(0)
    centred = x - mean
    covariance = (centred.T @ centred).double() / len(x)  # Eq. (1)
    vectors = torch.linalg.eigh(covariance).eigenvectors.to(x.dtype)
    return mean, vectors[:, -code:].flip(1) if code else vectors[:, :0]


def projection(
    x: Float[Tensor, "n D"], held: Float[Tensor, "m D"], code: int, points: int
) -> Coder:
    """Return the principal components of some images; with a code of 0, their mean."""
    mean, vectors = components(x, code)
    found = Coder(
        encode=lambda images: (images - mean) @ vectors,  # Eq. (2)
        decode=lambda codes: mean + codes @ vectors.T,  # Eq. (3)
        rate=0.0,
        curve=torch.empty(0),
        weights={"mean": mean, "components": vectors.contiguous()},
    )
    return replace(found, curve=found.error(held).repeat(points))


def loss(network: Callable[..., Tensor], batch: Batch, noise: Noise) -> Float[Tensor, ""]:
    """Return the mean over a batch of the squared error of an image, summed over its pixels."""
    (x,) = batch
    return squared_error(network(x), x).mean()


def build(setup: Setup, inputs: int) -> Autoencoder:
    """Build a network; its first weights are Glorot's unless the setup gives a deviation."""
    network = Autoencoder(inputs, setup.hidden, setup.code, activation=setup.activation)
    if setup.deviation is None:
        initialize(network, "glorot", "normal")
        return network
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=setup.deviation)
            nn.init.zeros_(layer.bias)
    return network


def train(
    setup: Setup,
    rate: float,
    x: Float[Tensor, "n D"],
    rows: Callable[[int], tuple[Int[Tensor, "train"], Int[Tensor, "held"]]],
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train every seed at one rate, which falls to 0 in a straight line."""
    adam = setup.optimizer == "adam"
    return fit(
        lambda: build(setup, x.shape[1]),
        loss=loss,
        optimizer=Adam(lr=rate) if adam else SGD(lr=rate, momentum=setup.momentum),
        schedule=LinearDecay(steps=setup.steps),
        data=(x,),
        rows=lambda seed: rows(seed)[0],
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=lambda network, seed: {
            "validation_error": squared_error(network(x[rows(seed)[1]]), x[rows(seed)[1]]).mean()
        },
        seeds=seeds,
        services=services,
        name=f"rate-{rate}",
    )


def tuned(
    setup: Setup,
    x: Float[Tensor, "n D"],
    rows: Callable[[int], tuple[Int[Tensor, "train"], Int[Tensor, "held"]]],
    seeds: Sequence[int],
    services: Services,
) -> list[Coder]:
    """Train at every rate; keep for each seed the one with the lowest validation error."""
    runs = [train(setup, rate, x, rows, seeds, services) for rate in setup.rates]
    validation = torch.stack([run.final("validation_error") for run in runs])  # [rates, seeds]
    best = validation.nan_to_num(nan=torch.inf).argmin(0)  # a diverged rate is never chosen
    lost: Bool[Tensor, "seeds"] = torch.stack([run.diverged for run in runs]).all(0)
    found = []
    for i, choice in enumerate(best.tolist()):
        network = runs[choice].networks[i]["network"].eval()
        assert isinstance(network, Autoencoder)
        found.append(
            Coder(
                encode=network.encoder,
                decode=network.decoder,
                rate=setup.rates[choice],
                curve=runs[choice].curves["validation_error"][i],
                diverged=bool(lost[i]),
                weights=runs[choice].weights()[i],
            )
        )
    return found


def code_error(
    codes: Float[Tensor, "n Z"],
    y: Int[Tensor, "n"],
    test_codes: Float[Tensor, "m Z"],
    y_test: Int[Tensor, "m"],
) -> Float[Tensor, ""]:
    """Return the share of test images whose nearest training code has another class, in percent."""
    parts = [test_codes[at : at + AT_ONCE] for at in range(0, len(test_codes), AT_ONCE)]
    nearest = [torch.cdist(part, codes).argmin(1) for part in parts]
    return 100 * (y[torch.cat(nearest)] != y_test).double().mean()
