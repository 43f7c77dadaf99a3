"""A variational autoencoder learns because its gradient goes through the drawn code.

Question
    How much of the variational autoencoder is due to the reparameterised gradient, how far is its
    bound from the likelihood, and does it describe images better than a mixture of as simple parts?

What would refute it
    The gradient by the score function, of the same bound and with a baseline, varies less than ten
    times as much. The score-function arm is caught up with only after a third of the updates. The
    importance-weighted estimate lies within one nat of the bound that is trained. Training on the
    importance-weighted bound gives no higher likelihood. A mixture of Bernoulli distributions
    describes test images better. Annealing the divergence leaves no more units in use.

Arms and what is held equal
    vae           reparameterised gradient of the bound
    score         the same bound, gradient by the score function with the other samples as baseline
    iwae          the importance-weighted bound
    annealed      vae, the divergence weighted from 0 to 1 over the first half of the updates
    mixture       control: mixture of Bernoulli distributions, exact likelihood
    independent   control: one such component, every pixel on its own
    vae-2         vae with a code of two numbers, for the picture of what it learnt; no claim
    Equal among the networks: bits, their order, initial weights, samples for each example, batch,
    number of updates, a rate that falls to 0 in a straight line, and the tuning: every arm and
    seed tries equally many rates and keeps the one with the highest validation bound (with the
    samples of training). The mixture's number of components is chosen by validation likelihood.
    Test images choose nothing. At the quick and full scales each network arm has one rate, which
    pilot trainings, three rates an arm, chose by the lower bound of validation images: with seeds
    1000 and 1001 at the quick scale, with seed 1000 and 400 updates at the full one. annealed and
    vae-2 have the rate of vae.

Primary measure
    log_likelihood of a test image in nats: exact for mixtures, for networks the importance-weighted
    bound with the most samples, which is too low in the mean. Comparing vae with mixture is
    therefore harder on vae.

Smallest effect that matters
    Half a nat between networks, 2 nats to the mixture, 0.2 decades of variance, one unit.

Pitfalls of naive reproductions
    Grey values in a likelihood of bits: the figures are not those of binarised images, and of no
    proper model of grey values either. Images here are bits: a level above one half is 1. Papers
    draw the bits at random, so their figures are not comparable with these. The bound printed as
    the likelihood. The loss divided by the number of pixels, which weights the divergence anew. A
    score function without a baseline, which is easy to beat. Units that say nothing, not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from practicum.data import load
from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError
from practicum.evidence import Measure, higher, sooner
from practicum.labs import figures as draw
from practicum.labs.generative.vae.drawing import latent_walk, samples_of, units
from practicum.labs.generative.vae.measuring import mixtures, networks
from practicum.labs.lab import Scale, setting
from practicum.labs.splitting import split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "A variational autoencoder learns through the code it draws"
SOURCE = (
    "Kingma, Welling 2014, Auto-encoding variational Bayes, arXiv:1312.6114v11; Burda, Grosse, "
    "Salakhutdinov 2016, Importance weighted autoencoders, arXiv:1509.00519"
)
YEAR = 2014
DATA = ("digits", "mnist", "fashion-mnist")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    data: str = setting("digits", "data set of the images", paper="MNIST")
    train_size: int = setting(1100, "training images", unit="images", paper=60000, low=10)
    validation_size: int = setting(300, "images that tune", unit="images", low=10)
    test_size: int = setting(360, "test images measured, at most", unit="images", low=10)
    model: str = setting("network", "what is fitted", choices=("network", "mixture"))
    estimator: str = setting(
        "reparameterised",
        "bound and gradient",
        paper="reparameterised",
        choices=("reparameterised", "score", "importance"),
    )
    warm_up: float = setting(
        0.0, "share of the updates over which the divergence rises to its weight", low=0, high=1
    )
    code: int = setting(8, "units of the code", unit="units", paper=20, low=1)
    hidden: tuple[int, ...] = setting((64,), "units of the encoder's hidden layers", paper=(500,))
    activation: str = setting(
        "tanh", "nonlinearity", paper="tanh", choices=("tanh", "relu", "sigmoid")
    )
    samples: int = setting(5, "codes drawn for each image", unit="codes", paper=1, low=2)
    sizes: tuple[int, ...] = setting((1, 5, 10, 50, 100), "samples of the bounds measured, rising")
    repeats: int = setting(30, "gradients whose variance is measured", low=2)
    components: tuple[int, ...] = setting((10, 20, 40), "mixture components tried")
    sweeps: int = setting(30, "sweeps that fit a mixture", low=1)
    rates: tuple[float, ...] = setting((0.03,), "learning rates tried")
    batch_size: int = setting(50, "images an update", unit="images", paper=100, low=1)
    steps: int = setting(1200, "updates", unit="updates", low=1)
    points: int = setting(20, "evaluations on the way", low=1)


ARMS = {
    "vae": Setup(),
    "score": Setup(estimator="score"),
    "iwae": Setup(estimator="importance"),
    "annealed": Setup(warm_up=0.5),
    "mixture": Setup(model="mixture"),
    "independent": Setup(model="mixture", components=(1,)),
    "vae-2": Setup(code=2),
}

MEASURES = (
    Measure(
        "log_likelihood",
        unit="nats",
        better="higher",
        says="of a test image; for networks the bound with the most samples",
        diverged=-544.0,
    ),
    Measure(
        "elbo",
        unit="nats",
        better="higher",
        says="evidence lower bound of a test image; the likelihood where that is exact",
        diverged=-544.0,
    ),
    Measure("gap", unit="nats", says="log_likelihood minus elbo", diverged=0.0),
    Measure(
        "active_units",
        unit="units",
        better="higher",
        says="units of the code whose mean varies by more than 0.01 over test images",
        diverged=0.0,
    ),
    Measure(
        "decades_of_variance",
        says="log10 of the variance of the score-function gradient over the reparameterised one, "
        "at the arm's own final weights",
        diverged=0.0,
    ),
    Measure("rate", says="the learning rate that validation chose", diverged=0.0),
    Measure(
        "validation_elbo",
        unit="nats",
        better="higher",
        says="lower bound of a validation image at the chosen rate, over updates",
        diverged=-544.0,
    ),
    Measure(
        "unit_divergence",
        unit="nats",
        says="divergence of the units of the code, largest first",
        diverged=0.0,
    ),
    Measure(
        "bound",
        unit="nats",
        better="higher",
        says="importance-weighted bound of a test image, over samples",
        diverged=-544.0,
    ),
)

CLAIMS = (
    higher(
        "decades_of_variance",
        "vae",
        than=1.0,
        matters=0.2,
        sentence="On the same network and bound, the score-function gradient varies at least ten "
        "times as much as the reparameterised one.",
    ),
    sooner(
        "validation_elbo",
        "vae",
        than="score",
        factor=1 / 3,
        matters=1.5,
        sentence="With the reparameterised gradient a third of the updates suffices for the last "
        "bound of the score-function arm.",
    ),
    higher(
        "gap",
        "vae",
        than=1.0,
        matters=0.5,
        sentence="The importance-weighted estimate lies more than one nat above the bound that was "
        "trained.",
    ),
    higher(
        "log_likelihood",
        "iwae",
        than="vae",
        matters=0.5,
        sentence="Training on the importance-weighted bound gives a higher likelihood than the "
        "plain bound with as many samples.",
    ),
    higher(
        "log_likelihood",
        "vae",
        than="mixture",
        matters=2.0,
        sentence="The autoencoder describes test images better than a mixture of Bernoulli "
        "distributions.",
    ),
    higher(
        "active_units",
        "annealed",
        than="vae",
        matters=1.0,
        sentence="Annealing the divergence leaves more units of the code in use.",
    ),
)

_IMAGES = {"validation_size": 1000, "test_size": 1000, "code": 20, "vae-2.code": 2}
SCALES = {
    "smoke": Scale(
        seeds=2,
        set={
            "train_size": 100,
            "validation_size": 20,
            "test_size": 20,
            "hidden": (6,),
            "sizes": (1, 5),
            "repeats": 2,
            "components": (2,),
            "sweeps": 2,
            "rates": (0.01,),
            "steps": 4,
            "points": 2,
        },
    ),
    "quick": Scale(seeds=10),
    "full": Scale(
        seeds=10,
        data="mnist",
        set={
            **_IMAGES,
            "train_size": 20000,
            "hidden": (200,),
            "mixture.components": (50, 200),
            "rates": (0.01,),
            "score.rates": (0.005,),
            "steps": 1500,
        },
    ),
    "paper": Scale(
        seeds=10,
        data="mnist",
        set={
            **_IMAGES,
            "train_size": 50000,
            "test_size": 10000,
            "hidden": (500,),
            "mixture.components": (50, 200, 500),
            "batch_size": 100,
            "steps": 100000,
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Fit each seed's model and measure it on test images."""
    _check(setup)
    images = load(setup.data)
    (grey,) = services.place(images.train[0].flatten(1))
    (grey_test,) = services.place(images.test[0].flatten(1)[: setup.test_size])
    bits, test = (grey > 0.5).to(grey), (grey_test > 0.5).to(grey_test)

    def rows(seed: int) -> tuple[Tensor, Tensor]:
        return split(
            setup.train_size, setup.validation_size, of=len(bits), seed=seed, data=setup.data
        )

    if setup.model == "mixture":
        return mixtures(setup, bits, rows, test, seeds, services)
    return networks(setup, bits, rows, test, seeds, services)


def _check(setup: Setup) -> None:
    sizes = setup.sizes
    if not sizes or list(sizes) != sorted(set(sizes)) or any(sizes[-1] % one for one in sizes):
        raise PracticumError(f"the sizes must rise, and each divide the last, not {sizes}")
    if not setup.rates or min(setup.rates) <= 0:
        raise PracticumError(f"the rates must be above 0, and at least one, not {setup.rates}")
    if not setup.components or min(setup.components) < 1:
        raise PracticumError(f"the components must be at least 1, not {setup.components}")


def figures(record: Record) -> dict[str, Figure]:
    """Draw samples, the walk over two numbers, the bounds, and the divergence unit by unit."""
    nets = ["vae", "score", "iwae", "annealed"]
    drawn = {
        "Test images, and what the models draw (chances of a bit, not bits)": samples_of(
            record, ["vae", "iwae", "score", "mixture", "independent"]
        ),
        "Evidence lower bound of a validation image while training, at the chosen rate": (
            draw.curves(record, "validation_elbo", arms=[*nets, "mixture"], x_label="updates")
        ),
        "The bound of the same networks, measured with more and more samples": draw.curves(
            record, "bound", arms=[*nets, "mixture"], x_label="samples", log_x=True
        ),
        "Divergence of the units of the code, largest first": units(record, [*nets, "vae-2"]),
    }
    if record.setups["vae-2"]["code"] == 2:
        drawn["A walk over a code of two numbers: steps of equal probability under the prior"] = (
            latent_walk(record, "vae-2")
        )
    return drawn
