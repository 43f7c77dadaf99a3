"""The models of the lab `flow`: flows and their ablations, mixtures of Gaussians, the truth.

Each is a `Model`: a log density for any points, and points drawn from it where that is possible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.engine.fit import fit
from practicum.engine.optimizers import Adam
from practicum.engine.schedules import Cosine
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.labs.generative.flow.sets import Points, log_truth
from practicum.learning.normalizing_flow import Flow, negative_log_likelihood
from practicum.nn.realnvp import Coupling, RealNVP, log_density

if TYPE_CHECKING:
    from practicum.labs.generative.flow.experiment import Setup

FLOWS = ("realnvp", "nice", "one-sided")
MODELS = (*FLOWS, "gaussian", "mixture", "truth")


class Scaled(nn.Module):
    """A flow followed by one learned scale for each coordinate, as the last layer of NICE.

    z = exp(s) * f(x); the couplings preserve volume, so that all stretching is in s.
    """

    def __init__(self, flow: RealNVP) -> None:
        super().__init__()
        self.flow = flow
        self.log_scale = nn.Parameter(torch.zeros(2))

    def forward(self, x: Float[Tensor, "B 2"]) -> tuple[Float[Tensor, "B 2"], Float[Tensor, "B"]]:
        """Return z and log |det dz/dx|."""
        z, log_det = self.flow(x)
        return z * self.log_scale.exp(), log_det + self.log_scale.sum()

    def inverse(self, z: Float[Tensor, "B 2"]) -> Float[Tensor, "B 2"]:
        """Return the x that forward takes to z."""
        return self.flow.inverse(z * (-self.log_scale).exp())


class Model(Protocol):
    """What can be asked of every model."""

    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
        """Return log p(x), in nats."""
        ...


@dataclass(frozen=True)
class Flowing:
    """A trained flow."""

    network: Scaled | RealNVP

    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
        """Return log p(x), in nats."""
        with torch.no_grad():
            return log_density(*self.network(x))

    def sample(self, z: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Return the points that standard normal numbers become."""
        with torch.no_grad():
            return self.network.inverse(z)


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians: shares [k], means [k, 2] and covariances [k, 2, 2]."""

    shares: Tensor
    means: Tensor
    covariances: Tensor

    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
        """Return log p(x), in nats."""
        factor = torch.linalg.cholesky(self.covariances)  # [k, 2, 2]
        apart = (x.double()[:, None] - self.means)[..., None]  # [n, k, 2, 1]
        white = torch.linalg.solve_triangular(factor, apart, upper=False)[..., 0]
        log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        logs = self.shares.log() - log_det - white.square().sum(2) / 2 - math.log(2 * math.pi)
        return torch.logsumexp(logs, 1)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What the record keeps of it."""
        return {"shares": self.shares, "means": self.means, "covariances": self.covariances}


@dataclass(frozen=True)
class Truth:
    """The density from which the points were drawn."""

    set: str
    deviation: float

    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
        """Return log p(x), in nats."""
        return log_truth(self.set, self.deviation, x)


def build(setup: Setup) -> RealNVP | Scaled:
    """Build an untrained flow.

    "one-sided" has the same mask in every coupling, so that the first coordinate never changes.
    """
    flow = RealNVP(2, setup.couplings, setup.hidden, volume_preserving=setup.model == "nice")
    if setup.model == "one-sided":
        for coupling in flow.couplings:
            cast(Coupling, coupling).mask.copy_(torch.tensor([1.0, 0.0]))
    return Scaled(flow) if setup.model == "nice" else flow


def parameters(setup: Setup) -> int:
    """Return how many numbers a flow of these settings learns."""
    return sum(p.numel() for p in build(setup).parameters())


def every(setup: Setup) -> int:
    """Return the updates between two evaluations."""
    return max(1, setup.steps // setup.points)


def train(setup: Setup, points: Points, seeds: Sequence[int], services: Services) -> Trained:
    """Train a flow for every seed, watching the likelihood of the validation points."""

    def evaluate(network: Flow, seed: int) -> dict[str, Tensor]:
        z, log_det = network(points.x[points.validation[seed]])
        return {"validation_nll": -log_density(z, log_det).mean()}

    return fit(
        lambda: build(setup),
        loss=negative_log_likelihood,
        optimizer=Adam(lr=setup.rate),
        schedule=Cosine(steps=setup.steps),
        data=(points.x,),
        rows=lambda seed: points.train[seed],
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=every(setup),
        evaluate=evaluate,
        seeds=seeds,
        services=services,
    )


def fitted(setup: Setup, points: Points, seed: int) -> Mixture:
    """Fit mixtures of every size by expectation maximisation; keep the one validation prefers.

    A single Gaussian is the mixture of size one.
    """
    from sklearn.mixture import GaussianMixture

    train = points.x[points.train[seed]].double().cpu().numpy()
    held = points.x[points.validation[seed]].cpu()
    most = max(1, parameters(setup) // 6)  # two means, three covariances and a share each
    sizes = (1,) if setup.model == "gaussian" else [k for k in setup.sizes if k <= most] or (1,)
    start = streams(seed).number("initialisation") % 2**32
    found = []
    for k in sizes:
        one = GaussianMixture(min(k, len(train)), random_state=start, max_iter=200).fit(train)
        parts = (one.weights_, one.means_, one.covariances_)
        mixture = Mixture(*(torch.tensor(part) for part in parts))
        found.append((float(mixture.log_density(held).mean()), mixture))
    return max(found, key=lambda pair: pair[0])[1]


def restored(setup: Setup, weights: Mapping[str, Tensor]) -> Model:
    """Return the model of a record: what it learned comes from the weights that were kept."""
    if setup.model == "truth":
        return Truth(setup.set, setup.deviation)
    if setup.model not in FLOWS:
        return Mixture(weights["shares"], weights["means"], weights["covariances"])
    network = build(setup)
    network.load_state_dict(
        {name.removeprefix("network."): one.float() for name, one in weights.items()}
    )
    return Flowing(network.eval())
