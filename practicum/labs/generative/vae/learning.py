"""How an arm of the lab `vae` learns, and how the noise of its gradients is measured.

The control without a network is a mixture of Bernoulli distributions, fitted by expectation and
maximisation (Bishop, "Pattern recognition and machine learning", 2006, section 9.3.3):
    (1)  p(x) = sum over k of w_k prod over d of p_kd^x_d (1 - p_kd)^(1 - x_d)
    (2)  r_nk = w_k p(x_n | k) / p(x_n)                         whose example it is
    (3)  w_k = mean over n of r_nk,  p_kd = (sum r_nk x_nd + a) / (sum r_nk + 2 a)
with a = 0.1 imagined examples of either value, so that no probability is 0. With one component it
treats every pixel as independent of the others.

The noise of a gradient g, over draws of e with network and batch fixed:
    (4)  V = sum over the encoder's weights of the variance of g
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.schedules import LinearDecay
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Networks, Update
from practicum.learning.variational import WarmUp, estimate, variational
from practicum.nn.vae import VAE

if TYPE_CHECKING:
    from practicum.labs.generative.vae.experiment import Setup

IMAGINED = 0.1  # a of Eq. (3)

Rows = Callable[[int], tuple[Int[Tensor, "train"], Int[Tensor, "held"]]]


def learn(
    setup: Setup,
    rate: float,
    bits: Float[Tensor, "n D"],
    rows: Rows,
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train every seed at one rate, which falls to 0 in a straight line."""
    held = {seed: bits[rows(seed)[1]] for seed in seeds}

    def evaluate(networks: Networks, seed: int) -> dict[str, Tensor]:
        network = networks["network"]
        assert isinstance(network, VAE)
        # The same draws at every point and in every arm: streams start anew.
        generator = streams(seed).generator("noise")
        found = estimate(network, held[seed], generator, sizes=(1, setup.samples))
        return {"validation_elbo": found.elbo.mean(), "validation_bound": found.bounds[:, 1].mean()}

    networks: dict[str, Callable[[], nn.Module]] = {
        "network": lambda: VAE(bits.shape[1], setup.hidden, setup.code, activation=setup.activation)
    }
    if setup.warm_up > 0:
        networks["warm_up"] = lambda: WarmUp(max(1, round(setup.warm_up * setup.steps)))
    update = Update(
        loss=variational(setup.estimator, samples=setup.samples),
        schedule=LinearDecay(steps=setup.steps),
    )
    recipe = Recipe(
        networks=networks,
        optimizers={"main": Trains(spec=Adam(lr=rate), networks=("network",))},
        updates=(update,),
        data=(bits,),
        batch_size=setup.batch_size,
        steps=setup.steps,
        rows=lambda seed: rows(seed)[0],
        evaluate=evaluate,
        every=max(1, setup.steps // setup.points),
        name=f"rate-{rate}",
    )
    return train(recipe, seeds, services)


def gradient_noise(
    network: VAE, x: Float[Tensor, "B D"], estimator: str, *, samples: int, repeats: int, seed: int
) -> float:
    """Return Eq. (4) for one way to estimate the gradient of the bound."""
    loss = variational(estimator, samples=samples)
    weights = list(network.encoder.parameters())
    found = []
    with streams(seed).noise():
        noise = GlobalNoise(str(x.device))
        for _ in range(repeats):
            value, _ = loss({"network": network}, (x,), noise)
            gradients = torch.autograd.grad(value, weights)
            found.append(torch.cat([one.flatten() for one in gradients]).double())
    return float(torch.stack(found).var(0).sum())  # Eq. (4)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A mixture of Bernoulli distributions.

    Attributes:
        shares: [K] w.
        chances: [K, D] p.
    """

    shares: Float[Tensor, "K"]
    chances: Float[Tensor, "K D"]

    def joint(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n K"]:
        """Return log w_k p(x | k)."""
        on, off = self.chances.log(), (1 - self.chances).log()
        return self.shares.log() + x @ (on - off).T + off.sum(1)

    def log_likelihood(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n"]:
        """Return log p(x) of each example, in nats."""
        return self.joint(x).logsumexp(1)  # Eq. (1)

    def draw(self, count: int, generator: torch.Generator) -> Float[Tensor, "count D"]:
        """Return the chances of so many drawn components."""
        drawn = torch.multinomial(self.shares.cpu(), count, replacement=True, generator=generator)
        return self.chances[drawn.to(self.chances.device)]


def fit_mixture(
    x: Float[Tensor, "n D"], components: int, *, sweeps: int, seed: int, services: Services
) -> Mixture:
    """Fit a mixture; its components start at a drawn example each, half way to the mean."""
    drawn = torch.randperm(len(x), generator=streams(seed).generator("initialisation"))
    start = (x[drawn[:components].to(x.device)] + x.mean(0)) / 2
    found = Mixture(
        shares=x.new_full((len(start),), 1 / len(start)), chances=start.clamp(0.01, 0.99)
    )
    for _ in range(sweeps):
        if services.poll is not None:
            services.poll()
        r_nk = F.softmax(found.joint(x), 1)  # Eq. (2)
        held = r_nk.sum(0)
        chances = (r_nk.T @ x + IMAGINED) / (held[:, None] + 2 * IMAGINED)  # Eq. (3)
        shares = held.clamp(min=1e-30) / held.sum()
        found = Mixture(shares=shares, chances=chances)
    return found


def walk(network: VAE, side: int) -> Float[Tensor, "pictures D"]:
    """Decode a grid over a code of two numbers, evenly spaced in probability under the prior."""
    first = network.decoder.layers[0]
    assert isinstance(first, nn.Linear)
    even = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    at = (math.sqrt(2) * torch.erfinv(2 * even - 1)).to(first.weight)
    grid = torch.stack(torch.meshgrid(at.flip(0), at, indexing="ij"), -1).flip(-1)
    with torch.no_grad():
        made: Tensor = network.decoder(grid.reshape(-1, 2)).sigmoid()
    return made
