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
    lenet, mlp and permuted have the same number of parameters within 2 %, modern within 4 %. All
    arms have, at each seed, the same training images in the same order, updates, optimizer, and
    tuning: each tries the same learning rates at each number of images and keeps the one with
    the lowest validation error (the first of equal ones). Test images choose nothing.
    Parameters and updates are equalised; multiplications are not: LeNet-5 needs several times
    as many. A perceptron's chances do not depend on where the pixels stand, so permuted is
    compared with mlp as it is.

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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from practicum.data import load
from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, ratio
from practicum.labs import figures as draw
from practicum.labs.lab import Scale, setting
from practicum.labs.vision.lenet.drawing import advantages
from practicum.labs.vision.lenet.learning import learn
from practicum.labs.vision.lenet.networks import levels, parameters

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
    ratio(
        "test_error_few",
        "mlp",
        to="lenet",
        at_least=1.5,
        matters=1.15,
        sentence="With few images a perceptron of equal size makes at least 1.5 times as many "
        "mistakes as LeNet-5.",
    ),
    ratio(
        "test_error_some",
        "mlp",
        to="lenet",
        at_least=1.5,
        matters=1.15,
        sentence="With some images a perceptron of equal size makes at least 1.5 times as many "
        "mistakes as LeNet-5.",
    ),
    ratio(
        "test_error_many",
        "mlp",
        to="lenet",
        at_least=1.5,
        matters=1.15,
        sentence="With many images a perceptron of equal size makes at least 1.5 times as many "
        "mistakes as LeNet-5.",
    ),
    ratio(
        "growth",
        "mlp",
        to="lenet",
        at_least=1.0,
        matters=1.15,
        sentence="The advantage of LeNet-5 grows as images become fewer.",
    ),
    ratio(
        "test_error_few",
        "mlp",
        to="permuted",
        at_most=1.1,
        matters=1.15,
        sentence="With few images whose pixels are out of place LeNet-5 has no advantage: the "
        "perceptron makes at most 1.1 times as many mistakes.",
    ),
    ratio(
        "test_error_some",
        "mlp",
        to="permuted",
        at_most=1.1,
        matters=1.15,
        sentence="With some images whose pixels are out of place LeNet-5 has no advantage: the "
        "perceptron makes at most 1.1 times as many mistakes.",
    ),
    ratio(
        "test_error_many",
        "mlp",
        to="permuted",
        at_most=1.1,
        matters=1.15,
        sentence="With many images whose pixels are out of place LeNet-5 has no advantage: the "
        "perceptron makes at most 1.1 times as many mistakes.",
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
    "smoke": Scale(seeds=2, set={"steps": 3, "rates": (0.05,), "few": 20, "some": 40, "many": 80}),
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
    data, test = (levels(x), y), (levels(x_test), y_test)
    sizes = (setup.few, setup.some, setup.many)
    learned = [learn(setup, size, data, test, seeds, services) for size in sizes]
    errors = torch.stack([one.test_error for one in learned], 1)  # [seeds, sizes]
    count = parameters(setup, x.shape[-1], int(y.max()) + 1)
    return Measurements(
        values={
            **{f"test_error_{size}": errors[:, i] for i, size in enumerate(SIZES)},
            "growth": errors[:, 0] / errors[:, -1],
            "parameters": torch.full((len(seeds),), float(count), dtype=torch.float64),
            "test_error": errors,
            "rate": torch.stack([one.rate for one in learned], 1),
        },
        diverged=torch.stack([one.diverged for one in learned]).any(0),
        steps={"test_error": sizes, "rate": sizes},
        weights=learned[-1].weights,
    )


def figures(record: Record) -> dict[str, Figure]:
    """Draw the errors and the ratios of errors against the number of images."""
    learners = [arm for arm in record.arms if arm != "majority"]
    return {
        "Test error against the number of training images, mean and 95 % interval": draw.curves(
            record,
            "test_error",
            arms=learners,
            x_label="training images",
            log_x=True,
            log_y=True,
            each_seed=False,
        ),
        "Mistakes of the perceptron divided by those of each network at the same seed: geometric "
        "mean with 95 % interval. The dashed line is the claim, the dotted one no advantage": (
            advantages(record)
        ),
        "Test error of every seed with the fewest images; lines join the arms of one seed": (
            draw.dots(record, "test_error_few", arms=learners)
        ),
    }
