"""How an arm of the lab `gan` plays its game, and what is measured of the generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.data import load
from practicum.engine.fit import fit
from practicum.engine.optimizers import Adam
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Networks
from practicum.errors import PracticumError
from practicum.labs.generative.gan.measures import centres, frechet, variety
from practicum.labs.generative.gan.networks import features, players
from practicum.labs.splitting import split
from practicum.learning.adversarial import DISCRIMINATOR, GENERATOR, adversarial
from practicum.learning.supervised import cross_entropy
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from practicum.labs.generative.gan.experiment import Setup

Evaluate = Callable[[Networks, int], Mapping[str, Tensor | float]]
CLASSIFIER_RATE = 1e-3


def judging(seed: int) -> torch.Generator:
    """Return a generator for what is drawn to judge a seed's result, apart from its streams."""
    return torch.Generator().manual_seed(streams(seed).number("noise") ^ 1)


@torch.no_grad()
def made(generator: nn.Module, code: int, count: int, seed: int, services: Services) -> Tensor:
    """Return generated examples; the same codes for every arm of a seed."""
    z = torch.randn(count, code, generator=judging(seed))
    found: Tensor = generator.eval()(*services.place(z))
    return found


def play(
    setup: Setup,
    data: Tensor,
    rows: Callable[[int], Int[Tensor, "n"]],
    seeds: Sequence[int],
    services: Services,
    evaluate: Evaluate | None = None,
) -> Trained:
    """Play an arm's game for every seed.

    Raises:
        PracticumError: a critic that compares the examples of a batch, with a gradient penalty.
    """
    if setup.closeness and setup.objective == "wasserstein":
        raise PracticumError(
            "a Wasserstein critic has a slope at each example, and one that compares the examples "
            "of a batch has not; set closeness=0"
        )
    adam = Adam(lr=setup.rate, betas=(setup.beta1, setup.beta2))
    steps = max(1, setup.updates // (setup.n_critic + 1))
    recipe = Recipe(
        networks=players(setup),
        optimizers={
            DISCRIMINATOR: Trains(spec=adam, networks=("discriminator",)),
            GENERATOR: Trains(spec=adam, networks=("generator",)),
        },
        updates=adversarial(
            setup.objective,
            noise=setup.code,
            n_critic=setup.n_critic,
            smoothing=setup.smoothing,
            penalty=setup.penalty,
        ),
        data=(data,),
        batch_size=setup.batch_size * setup.n_critic,
        steps=steps,
        rows=rows,
        evaluate=evaluate,
        every=max(1, steps // setup.points),
        name="game",
    )
    return train(recipe, seeds, services)


def mixture(setup: Setup, count: int, generator: torch.Generator) -> Float[Tensor, "count 2"]:
    """Draw points of the mixture of Gaussians."""
    middles = centres(setup.layout)
    which = torch.randint(len(middles), (count,), generator=generator)
    return middles[which] + setup.spread * torch.randn(count, 2, generator=generator)


@dataclass(frozen=True, kw_only=True)
class Images:
    """A data set at the size of an arm, values between -1 and 1.

    Attributes:
        x: what may be learnt from.
        y: their classes.
        x_test: test images.
    """

    x: Float[Tensor, "n 1 S S"]
    y: Int[Tensor, "n"]
    x_test: Float[Tensor, "m 1 S S"]


def images(setup: Setup, services: Services) -> Images:
    """Load the arm's data set.

    Raises:
        PracticumError: its images cannot be had at this side.
    """
    found = load(setup.data)
    x, y = services.place(*found.train)
    (x_test,) = services.place(found.test[0])
    return Images(x=fitted(x, setup.side), y=y, x_test=fitted(x_test, setup.side))


def fitted(x: Float[Tensor, "n 1 H W"], side: int) -> Float[Tensor, "n 1 S S"]:
    """Return images at a side, from 0 .. 1 to -1 .. 1.

    A black border makes them a multiple of the side, then squares of pixels are averaged.

    Raises:
        PracticumError: the side is larger than the images, or they have several channels.
    """
    _, channels, height, width = x.shape
    if channels != 1 or height != width or side > height:
        raise PracticumError(
            f"images of {channels} channels and {height} x {width} pixels at side {side}; needed "
            "are square grey ones, and a side that is not larger; set side"
        )
    times = -(-height // side)
    border = times * side - height
    before = border // 2
    x = F.pad(x, (before, border - before, before, border - before))
    return 2 * F.avg_pool2d(x, times) - 1


class Judging:
    """What judges images: for every seed a classifier of its training images.

    Args:
        setup: the arm.
        data: its images.
        seeds: which seeds.
        services: what the engine handed to the trial.
    """

    def __init__(
        self, setup: Setup, data: Images, seeds: Sequence[int], services: Services
    ) -> None:
        self.setup, self.data, self.services = setup, data, services
        classes = int(data.y.max()) + 1
        trained = fit(
            lambda: MLP(setup.side**2, (64, 32), classes),
            loss=cross_entropy,
            optimizer=Adam(lr=CLASSIFIER_RATE),
            data=(data.x, data.y),
            rows=lambda seed: self.rows(seed)[0],
            batch_size=setup.batch_size,
            steps=setup.classifier_steps,
            seeds=seeds,
            services=services,
            name="classifier",
        )
        self.networks = {
            seed: networks["network"].eval()
            for seed, networks in zip(seeds, trained.networks, strict=True)
        }

    def rows(self, seed: int) -> tuple[Int[Tensor, "n"], Int[Tensor, "m"]]:
        """Return a seed's training and validation images, the same in every arm."""
        setup = self.setup
        return split(
            setup.train_size,
            setup.test_size,
            of=len(self.data.x),
            seed=seed,
            data=setup.data,
        )

    @torch.no_grad()
    def distance(self, seed: int, found: Tensor, real: Tensor) -> Tensor:
        """Return the Frechet distance of two sets of images."""
        network = self.networks[seed]
        return frechet(features(network, found), features(network, real))

    @torch.no_grad()
    def variety(self, seed: int, found: Tensor) -> Tensor:
        """Return how many classes there are among images."""
        return variety(self.networks[seed](found))

    def test(self, seed: int) -> Tensor:
        """Return a seed's test images.

        Raises:
            PracticumError: there are fewer than `test_size`.
        """
        there, wanted = len(self.data.x_test), self.setup.test_size
        if wanted > there:
            raise PracticumError(
                f"test_size {wanted} is more than the {there} test images of {self.setup.data}"
            )
        order = torch.randperm(there, generator=judging(seed))[:wanted]
        return self.data.x_test[order.to(self.data.x_test.device)]

    def evaluate(self, networks: Networks, seed: int) -> dict[str, Tensor]:
        """Return the distance of generated from validation images."""
        setup = self.setup
        generator = networks["generator"]
        assert isinstance(generator, nn.Module)
        found = made(generator, setup.code, setup.test_size, seed, self.services)
        held = self.data.x[self.rows(seed)[1]]
        return {"frechet_course": self.distance(seed, found, held)}

    def control(self, seed: int) -> Tensor:
        """Return images that nobody learned to make: real ones, or a Gaussian's of their pixels."""
        count = self.setup.test_size
        mine = self.data.x[self.rows(seed)[0]]
        if self.setup.network == "real":
            if count > len(mine):
                raise PracticumError(
                    f"test_size {count} is more than train_size {len(mine)}; there is no floor"
                )
            return mine[:count]
        flat = mine.flatten(1).double()
        _, values, directions = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
        z = torch.randn(count, len(values), generator=judging(seed)).to(flat)
        drawn = flat.mean(0) + z @ (values[:, None] * directions) / (len(flat) - 1) ** 0.5
        drawn_images: Tensor = drawn.clamp(-1, 1).to(mine.dtype).reshape(count, *mine.shape[1:])
        return drawn_images
