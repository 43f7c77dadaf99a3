"""LeNet-5 beats a perceptron of equal size because images are more than lists of pixels.

Question
    How many fewer mistakes does a convolutional network make than a multilayer perceptron with as
    many parameters, from few images to many, and is it the arrangement of the pixels that helps?

What would refute it
    The perceptron makes less than 1.5 times as many mistakes as LeNet-5, at some number of training
    images. The advantage shrinks as images become fewer. LeNet-5 keeps an advantage of more than
    10 % when the pixels of all images change places in one fixed way: then something else than the
    neighbourhood of pixels would explain it.

Arms and what is held equal
    lenet        LeNet-5 of 1998: subsampling with coefficients, scaled tanh, table of connections
    modern       maximum pooling, rectified units, full connections; no claim
    mlp          one hidden layer of rectified units, as wide as lenet's number of parameters allows
    permuted     control: lenet, the pixels of all images moved by one permutation for each seed
    linear       control: softmax regression
    majority     control: the commonest class of the training images
    lenet, modern, mlp and permuted have the same number of parameters within 2 %. All arms have, at
    each seed, the same training images in the same order, updates, optimizer, and tuning: each
    tries the same learning rates at each number of images and keeps the one with the lowest
    validation error (the smaller of equal ones). Test images choose nothing. Parameters and updates
    are equalised; multiplications are not: LeNet-5 needs several times as many. A perceptron's
    chances do not depend on where the pixels stand, so permuted is compared with mlp as it is.

Primary measure
    test_error_few, percent of test images misclassified after training on the fewest images; the
    claims look at the same number with more images too.

Smallest effect that matters
    A factor of 1.15 beyond the claimed factor.

Pitfalls of naive reproductions
    A perceptron with fewer parameters, or untuned. Forgetting the permutation control: a better
    optimizer or activation would look like an effect of convolution. Comparing with the figures of
    the paper, whose networks learned for many passes over 60,000 images. Taking a modern network
    for LeNet-5. Images of 8 x 8 pixels are too small for it: on them the LeNets (not the
    perceptron, to which it means nothing) see every pixel doubled, 16 x 16, and have maps of 16, 8,
    4 and 2 in place of 28, 14, 10 and 5. So little is left to find in the neighbourhood of a pixel
    that the claim, which is about the paper's 28 x 28, may well fail there.
    Number of updates and learning rates were chosen with seeds that no run uses by default (1000
    and above), the thresholds before any run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from practicum.data import load
from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD
from practicum.engine.schedules import LinearDecay
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError
from practicum.evidence import Measure, ratio
from practicum.labs import figures as draw
from practicum.labs.lab import Scale, setting
from practicum.learning.supervised import cross_entropy, error_percent
from practicum.nn.lenet import LeNet5
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "LeNet-5 beats a perceptron of equal size, unless the pixels are shuffled"
SOURCE = (
    "LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition, "
    "Proceedings of the IEEE 86:2278-2324"
)
YEAR = 1998
DATA = ("digits", "mnist", "fashion-mnist")

BACKGROUND, FOREGROUND = -0.1, 1.175  # the paper's levels: mean near 0, variance near 1
SIZES = ("few", "some", "many")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    data: str = setting("digits", "data set of the images", paper="MNIST")
    network: str = setting(
        "lenet", "what learns", choices=("lenet", "modern", "mlp", "linear", "majority")
    )
    permute: bool = setting(False, "move the pixels of all images by one permutation")
    few: int = setting(100, "training images, fewest", unit="images", paper=15000, low=10)
    some: int = setting(300, "training images, more", unit="images", paper=30000, low=10)
    many: int = setting(1000, "training images, most", unit="images", paper=60000, low=10)
    validation_size: int = setting(
        400, "images that choose the learning rate", unit="images", low=10
    )
    kernel: int = setting(5, "side of the kernels", unit="pixels", paper=5, low=1)
    padding: int = setting(2, "border around the image", unit="pixels", paper=2, low=0)
    enlarge: int = setting(2, "how often the LeNets see each pixel, each way", paper=1, low=1)
    rates: tuple[float, ...] = setting((0.04, 0.12), "learning rates tried, rising; they fall to 0")
    momentum: float = setting(0.9, "heavy-ball momentum", low=0, high=0.999)
    batch_size: int = setting(32, "images an update", unit="images", paper=1, low=1)
    steps: int = setting(200, "updates at each number of images", unit="updates", low=1)


ARMS = {
    "lenet": Setup(),
    "modern": Setup(network="modern"),
    "mlp": Setup(network="mlp"),
    "permuted": Setup(permute=True),
    "linear": Setup(network="linear"),
    "majority": Setup(network="majority"),
}

MEASURES = (
    *(
        Measure(
            f"test_error_{size}",
            unit="%",
            better="lower",
            says=f"test images misclassified after learning from {size} images",
            diverged=90.0,
        )
        for size in SIZES
    ),
    Measure(
        "growth",
        better="lower",
        says="test error with few images divided by that with many",
        diverged=1.0,
    ),
    Measure("parameters", better="neither", says="trainable numbers"),
    Measure(
        "test_error",
        unit="%",
        better="lower",
        says="test images misclassified, over the number of training images",
        diverged=90.0,
    ),
    Measure(
        "rate",
        better="neither",
        says="the learning rate that validation chose, over the number of training images",
    ),
)

CLAIMS = (
    *(
        ratio(
            f"test_error_{size}",
            "mlp",
            to="lenet",
            at_least=1.5,
            matters=1.15,
            sentence=f"With {size} images a perceptron of equal size makes at least 1.5 times as "
            "many mistakes as LeNet-5.",
        )
        for size in SIZES
    ),
    ratio(
        "growth",
        "mlp",
        to="lenet",
        at_least=1.0,
        matters=1.15,
        sentence="The advantage of LeNet-5 grows as images become fewer.",
    ),
    *(
        ratio(
            f"test_error_{size}",
            "mlp",
            to="permuted",
            at_most=1.1,
            matters=1.15,
            sentence=f"With {size} images and pixels out of place, LeNet-5 has no advantage: the "
            "perceptron makes at most 1.1 times as many mistakes.",
        )
        for size in SIZES
    ),
)

_MNIST = {
    "enlarge": 1,
    "few": 500,
    "some": 2000,
    "many": 10000,
    "validation_size": 1000,
}
SCALES = {
    "smoke": Scale(seeds=2, set={"steps": 3, "rates": (0.05,), "some": 100, "many": 100}),
    "quick": Scale(seeds=10),
    "full": Scale(seeds=10, data="mnist", set={**_MNIST, "steps": 600}),
    "paper": Scale(
        seeds=10,
        data="mnist",
        set={
            **_MNIST,
            "few": 15000,
            "some": 30000,
            "many": 58000,
            "steps": 36000,
            "rates": (0.01, 0.02, 0.05, 0.1),
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Learn from few, some and many images, at the rate that validation prefers for each."""
    images = load(setup.data)
    x, y = services.place(*images.train)
    x_test, y_test = services.place(*images.test)
    x, x_test = levels(x), levels(x_test)
    sizes = (setup.few, setup.some, setup.many)
    found = [one_size(setup, size, (x, y), (x_test, y_test), seeds, services) for size in sizes]
    errors, rates, diverged = (torch.stack(one, 1) for one in zip(*found, strict=True))
    side, classes = x.shape[-1], int(y.max()) + 1
    count = parameters(build(setup, side, classes))
    return Measurements(
        values={
            **{f"test_error_{size}": errors[:, i] for i, size in enumerate(SIZES)},
            "growth": errors[:, 0] / errors[:, -1],
            "parameters": torch.full((len(seeds),), float(count), dtype=torch.float64),
            "test_error": errors,
            "rate": rates,
        },
        diverged=diverged.any(1),
        steps={"test_error": sizes, "rate": sizes},
    )


def levels(x: Tensor) -> Tensor:
    """Map [0, 1] to the paper's levels."""
    return x * (FOREGROUND - BACKGROUND) + BACKGROUND


def one_size(
    setup: Setup,
    size: int,
    data: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    seeds: Sequence[int],
    services: Services,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return test error, chosen rate and divergence of every seed, [seeds] each."""
    x, y = data
    rows = partial(split, setup, size, len(x))
    if setup.network == "majority":
        wrong = [error_of_majority(y[rows(seed)[0]], test[1]) for seed in seeds]
        nothing = torch.zeros(len(seeds))
        return torch.stack(wrong), nothing, nothing.bool()

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        held = rows(seed)[1]
        return {"validation_error": error(network, x[held], y[held])}

    side, classes = x.shape[-1], int(y.max()) + 1
    runs = [
        fit(
            lambda: build(setup, side, classes),
            loss=cross_entropy,
            optimizer=SGD(lr=rate, momentum=setup.momentum),
            schedule=LinearDecay(steps=setup.steps),
            data=data,
            rows=lambda seed: rows(seed)[0],
            batch_size=min(setup.batch_size, size),
            steps=setup.steps,
            evaluate=evaluate,
            seeds=seeds,
            services=services,
            name=f"{size}-images-rate-{rate}",
        )
        for rate in setup.rates
    ]
    validation = torch.stack([run.final("validation_error") for run in runs])  # [rates, seeds]
    best = validation.nan_to_num(nan=torch.inf).argmin(0)  # a diverged rate is never chosen
    wrong = [
        error(runs[rate].networks[i]["network"].eval(), *test)
        for i, rate in enumerate(best.tolist())
    ]
    rates = torch.tensor(setup.rates, dtype=torch.float64)[best]
    return torch.stack(wrong), rates, torch.stack([run.diverged for run in runs]).all(0)


def split(setup: Setup, size: int, available: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a seed's training and validation images, the same in every arm.

    More images contain the fewer.
    """
    if size + setup.validation_size > available:
        raise PracticumError(
            f"{size} training and {setup.validation_size} validation images are more than the "
            f"{available} of {setup.data}; lower few, some or many"
        )
    shuffled = torch.randperm(available, generator=streams(seed).generator("order"))
    return shuffled[:size], shuffled[available - setup.validation_size :]


class Rearranged(nn.Module):
    """A network that sees the pixels of every image in another order, drawn once.

    The order is drawn after the network is built, so that it begins with the same weights as one
    that sees the pixels in their places.
    """

    order: Tensor

    def __init__(self, network: nn.Module, pixels: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("order", torch.randperm(pixels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's answer to the rearranged images [B, 1, H, W]."""
        moved = x.flatten(1).index_select(1, self.order)
        logits: Tensor = self.network(moved.view(x.shape))
        return logits


def build(setup: Setup, side: int, classes: int) -> nn.Module:
    """Build an arm's network."""
    network = _network(setup, side, classes)
    return Rearranged(network, side * side) if setup.permute else network


def _network(setup: Setup, side: int, classes: int) -> nn.Module:
    if setup.network in ("lenet", "modern"):
        return LeNet5(
            side,
            classes,
            kernel=setup.kernel,
            padding=setup.padding,
            enlarge=setup.enlarge,
            background=BACKGROUND,
            modern=setup.network == "modern",
        )
    hidden = (hidden_units(setup, side, classes),) if setup.network == "mlp" else ()
    return MLP(side * side, hidden, classes)


def hidden_units(setup: Setup, side: int, classes: int) -> int:
    """Return the width at which a perceptron has as many parameters as LeNet-5, nearly."""
    # Counting needs no weights, and drawing some would move the initialisation stream.
    with torch.device("meta"):
        lenet = LeNet5(
            side, classes, kernel=setup.kernel, padding=setup.padding, enlarge=setup.enlarge
        )
    return max(1, round((parameters(lenet) - classes) / (side * side + classes + 1)))


def parameters(network: nn.Module) -> int:
    """Return the number of trainable numbers."""
    return sum(one.numel() for one in network.parameters())


def error(network: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, at_once: int = 1000) -> Tensor:
    """Return the share of images misclassified, in percent; `at_once` bounds the memory."""
    with torch.no_grad():
        logits = torch.cat([network(part) for part in torch.split(x, at_once)])
    return error_percent(logits, y)


def error_of_majority(y: Tensor, y_test: Tensor) -> Tensor:
    """Return the error of answering the commonest training class, in percent."""
    return 100 * (y_test != y.bincount().argmax()).double().mean()


def figures(record: Record) -> dict[str, Figure]:
    """Draw the errors and the ratios of errors against the number of images."""
    return {
        "Test error against the number of training images, mean and 95 % interval": draw.curves(
            record,
            "test_error",
            arms=[arm for arm in record.arms if arm != "majority"],
            x_label="training images",
            log_x=True,
            log_y=True,
        ),
        "Mistakes of the perceptron divided by those of each network at the same seed: geometric "
        "mean with 95 % interval. The dashed line is the claim, the dotted one no advantage": (
            advantages(record)
        ),
        "Test error of every seed with the fewest images; lines join the arms of one seed": (
            draw.dots(record, "test_error_few")
        ),
    }


def advantages(record: Record) -> Figure:
    """Draw how many times as many mistakes the perceptron makes, over the number of images."""
    figure, (ax,) = draw.canvas()
    arms = [arm for arm in ("lenet", "modern", "permuted", "linear") if arm in record.arms]
    looks = draw.looks(record.arms)
    sizes = np.asarray(record.steps("test_error"), dtype=float)
    mlp = np.asarray(record.values("test_error", "mlp"), dtype=float)
    with draw.style():
        for i, arm in enumerate(arms):
            errors = np.asarray(record.values("test_error", arm), dtype=float)
            known = (errors > 0) & (mlp > 0)
            logs = np.log(np.where(known, mlp, np.nan) / np.where(known, errors, 1.0))
            mean, half = draw.mean_and_half_width(logs)
            middle = np.exp(mean)
            bars = np.stack([middle - np.exp(mean - half), np.exp(mean + half) - middle])
            at = sizes * (1 + 0.03 * (i - (len(arms) - 1) / 2))
            ax.errorbar(at, middle, yerr=bars, capsize=3, markersize=5, label=arm, **looks[arm])
        ax.axhline(1.5, color=draw.INK, linewidth=0.9, linestyle="--")
        ax.axhline(1.0, color=draw.INK, linewidth=0.9, linestyle=":")
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
        ax.set_xticks([], minor=True)
        ax.set_xlabel("training images")
        ax.set_ylabel("mistakes of mlp / mistakes of the network")
        figure.legend(loc="outside upper left", ncols=4, handlelength=2.6)
    return figure
