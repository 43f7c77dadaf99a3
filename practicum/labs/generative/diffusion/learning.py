"""How an arm of the lab `diffusion` sees noise, trains, and makes samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.engine.fit import fit
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.schedules import Cosine
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.labs.generative.diffusion.tasks import Task
from practicum.learning.diffusion import Predict, encode, predicting, sample
from practicum.nn.diffusion_schedules import Schedule
from practicum.nn.mlp import MLP
from practicum.nn.unet import UNet, time_features

if TYPE_CHECKING:
    from practicum.labs.generative.diffusion.experiment import Setup

FEATURES = 16
"""Sines and cosines by which the network for points is told the time."""


class PointDenoiser(nn.Module):
    """A multilayer perceptron that sees a point and the time."""

    def __init__(self, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.network = MLP(inputs + FEATURES, hidden, inputs)

    def forward(self, x: Float[Tensor, "B D"], t: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """Return the noise seen in x."""
        e: Tensor = self.network(torch.cat((x, time_features(t, FEATURES).to(x.dtype)), dim=1))
        return e


@dataclass(frozen=True)
class Gaussian:
    """The control: one normal distribution with the training data's mean and covariance.

    Attributes:
        mean: [D].
        factor: [D, D] lower triangular; times its transpose it is the covariance.
    """

    mean: Tensor
    factor: Tensor

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n D"]:
        """Draw examples."""
        z = torch.randn(n, len(self.mean), generator=generator, dtype=self.mean.dtype)
        return self.mean + z @ self.factor.T

    def nll(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n"]:
        """Return - log p(x), in nats."""
        law = torch.distributions.MultivariateNormal(self.mean, scale_tril=self.factor)
        nats: Tensor = -law.log_prob(x)  # type: ignore[no-untyped-call]  # torch leaves it so
        return nats


def gaussian(x: Float[Tensor, "n D"]) -> Gaussian:
    """Fit the control; a little is added to each variance, as pixels of the border need it."""
    x = x.double().cpu()
    covariance = torch.cov(x.T) + 1e-6 * torch.eye(x.shape[1], dtype=x.dtype)
    return Gaussian(x.mean(0), torch.linalg.cholesky(covariance))


def schedule(setup: Setup) -> Schedule:
    """Return the noise of each step: the paper's range, stretched to fewer steps."""
    stretch = 1000 / setup.times
    return Schedule.linear(setup.times, first=1e-4 * stretch, last=min(0.02 * stretch, 0.5))


def build(setup: Setup, channels: int) -> nn.Module:
    """Build the network that sees noise.

    Args:
        setup: the arm.
        channels: of images, or the coordinates of a point.
    """
    if setup.task == "moons":
        return PointDenoiser(channels, setup.hidden)
    return UNet(channels, width=setup.width, groups=setup.width // 4)


def train(setup: Setup, task: Task, seeds: Sequence[int], services: Services) -> Trained:
    """Train every seed, watching the arm's own loss on validation examples.

    The watched loss has the same times and noise at every look.
    """
    loss = predicting(schedule(setup), setup.loss)

    def evaluate(network: Predict, seed: int) -> dict[str, Tensor]:
        x = task.x[task.validation[seed]]
        with streams(seed).noise():
            looks = [loss(network, (x,), GlobalNoise(str(x.device))) for _ in range(4)]
        return {"validation_loss": torch.stack(looks).mean()}

    return fit(
        lambda: build(setup, task.x.shape[1]),
        loss=loss,
        optimizer=Adam(lr=setup.rate),
        schedule=Cosine(steps=setup.steps),
        data=(task.x,),
        rows=lambda seed: task.train[seed],
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=evaluate,
        seeds=seeds,
        services=services,
    )


def normals(seed: int, like: Tensor) -> Callable[[int], Tensor]:
    """Return a source of standard normal numbers of a shape, the same for every arm of a seed."""
    generator = streams(seed).generator("noise")
    return lambda t: torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)


def samples(
    setup: Setup,
    network: Predict,
    like: Tensor,
    seed: int,
    *,
    count: int,
    eta: float,
    visit: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Return as many samples as `like` has rows, by so many steps; all begin at the same noise."""
    normal = normals(seed, like)
    start = normal(-1)
    return sample(network, schedule(setup), start, count, normal, eta=eta, visit=visit)


def lost(setup: Setup, network: Predict, x: Tensor, *, count: int) -> Tensor:
    """Return the mean squared error of examples after DDIM's way to noise and back."""

    def never(t: int) -> Tensor:
        raise AssertionError(f"noise asked for at time {t}: the way has none")

    far = encode(network, schedule(setup), x, count)
    again = sample(network, schedule(setup), far, count, never, eta=0.0)
    return (again - x).double().square().mean().cpu()


def restored(setup: Setup, channels: int, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return the network of a record."""
    network = build(setup, channels)
    state: dict[str, Any] = {
        name.removeprefix("network."): one.float() for name, one in weights.items()
    }
    network.load_state_dict(state)
    return network.eval()
