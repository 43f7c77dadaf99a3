"""A deep autoencoder keeps more of an image in a short code than principal components do.

Question
    With codes of the same size, how much less of an image does a deep autoencoder lose than
    principal component analysis, and does it still need the layer-by-layer pretraining with which
    the paper started it?

What would refute it
    The deep autoencoder, started from plain random weights, leaves more than half the test error of
    principal components. A linear autoencoder ends away from principal components. One hidden layer
    with as many weights does as well. Logistic units, small first weights and gradient descent, the
    usual way before the paper, do better than principal components. Codes of two numbers tell the
    classes apart no better than two components.

Arms and what is held equal
    deep                      rectified units, Adam, no pretraining
    pca                       the arm to beat: principal components, as many as the code has units
    linear                    control: no hidden layer; its best is principal component analysis
    shallow                   one hidden layer on either side, as many weights as deep
    sigmoid                   deep with logistic units, small first weights, gradient descent
    mean                      control: a code of nothing, every image is answered with the mean
    deep-few, pca-few         the same with a shorter code
    deep-2, pca-2             the same with a code of two numbers
    Equal: images, their order, batch size, number of updates, rates that fall to 0 in a straight
    line, and the tuning: every trained arm and seed tries equally many learning rates and keeps the
    one with the lowest validation error. Test images choose nothing. At the full scale each trained
    arm has one rate: pilot trainings with seed 1000, three rates an arm or four, chose those of
    deep, shallow, linear and sigmoid by validation error; deep-few and deep-2 have that of deep.
    That the mean image is taken off, and that first weights are Glorot's, was chosen by the same
    pilots for all arms alike.

Primary measure
    test_error, the squared error of a test image summed over its pixels (levels from 0 to 1), the
    mean over images.

Smallest effect that matters
    A tenth of the error (a twentieth between deep and shallow); 5 points of code_error.

Pitfalls of naive reproductions
    Error for each pixel here and for each image there: a factor of the number of pixels. Error on
    training images: with few images a wide network remembers them. A linear autoencoder that is
    stopped early and shown as worse than principal components. Pixels scaled to unit variance,
    which changes what principal components are. Logistic outputs trained by cross-entropy, as the
    paper had: linear outputs are used here in every arm, so that linear and pca can be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.data import load
from practicum.engine.evaluation import points
from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError
from practicum.evidence import Measure, lower, ratio
from practicum.labs import figures as draw
from practicum.labs.generative.autoencoder.drawing import codes, reconstructions
from practicum.labs.generative.autoencoder.learning import Coder, code_error, projection, tuned
from practicum.labs.lab import Scale, setting
from practicum.labs.splitting import split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "A deep autoencoder keeps more than as many principal components"
SOURCE = (
    "Hinton, Salakhutdinov 2006, Reducing the dimensionality of data with neural networks, "
    "Science 313:504-507"
)
YEAR = 2006
DATA = ("digits", "mnist", "fashion-mnist")

SHOWN = 1000  # test images whose codes of two numbers are kept for the figure


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    data: str = setting("digits", "data set of the images", paper="MNIST")
    train_size: int = setting(1100, "training images", unit="images", paper=60000, low=10)
    validation_size: int = setting(
        300, "images that choose the learning rate", unit="images", low=10
    )
    neighbours: int = setting(
        1000, "training images whose codes are compared, at most", unit="images", low=1
    )
    method: str = setting(
        "gradient", "how the code is found", choices=("gradient", "components", "mean")
    )
    code: int = setting(10, "units of the code", unit="units", paper=30, low=1)
    hidden: tuple[int, ...] = setting(
        (128, 64), "units of the encoder's hidden layers", paper=(1000, 500, 250)
    )
    activation: str = setting(
        "relu", "nonlinearity", paper="sigmoid", choices=("relu", "sigmoid", "tanh")
    )
    deviation: float | None = setting(
        None, "deviation of the first weights; none: Glorot's", low=1e-6
    )
    optimizer: str = setting("adam", "how the weights move", choices=("adam", "sgd"))
    rates: tuple[float, ...] = setting((0.006, 0.012), "learning rates tried")
    momentum: float = setting(0.9, "heavy-ball momentum of sgd", low=0, high=0.999)
    batch_size: int = setting(50, "images an update", unit="images", low=1)
    steps: int = setting(800, "updates", unit="updates", low=1)
    points: int = setting(10, "evaluations on the way", low=1)


ARMS = {
    "deep": Setup(),
    "pca": Setup(method="components"),
    "linear": Setup(hidden=()),
    "shallow": Setup(hidden=(230,)),
    "sigmoid": Setup(activation="sigmoid", deviation=0.1, optimizer="sgd", rates=(0.003, 0.01)),
    "mean": Setup(method="mean"),
    "deep-few": Setup(code=5),
    "pca-few": Setup(method="components", code=5),
    "deep-2": Setup(code=2),
    "pca-2": Setup(method="components", code=2),
}

MEASURES = (
    Measure(
        "test_error",
        better="lower",
        says="squared error of a test image, summed over its pixels",
        diverged=60.0,
    ),
    Measure(
        "train_error",
        better="lower",
        says="squared error of a training image, summed over its pixels",
        diverged=60.0,
    ),
    Measure(
        "code_error",
        unit="%",
        better="lower",
        says="test images whose nearest training image, by code, has another class",
        diverged=90.0,
    ),
    Measure("rate", better="neither", says="the learning rate that validation chose", diverged=0.0),
    Measure(
        "validation_error",
        better="lower",
        says="squared error of a validation image at the chosen rate, by share of the updates",
        diverged=60.0,
    ),
)

CLAIMS = (
    ratio(
        "test_error",
        "deep",
        to="pca",
        at_most=0.5,
        matters=1.1,
        sentence="A deep autoencoder without pretraining leaves at most half the error of as many "
        "principal components.",
    ),
    ratio(
        "test_error",
        "linear",
        to="pca",
        at_least=0.95,
        at_most=1.05,
        sentence="A linear autoencoder ends within 5 % of the error of principal components.",
    ),
    ratio(
        "test_error",
        "deep",
        to="shallow",
        at_most=1.0,
        matters=1.05,
        sentence="With equally many weights, two hidden layers on either side leave less error "
        "than one.",
    ),
    ratio(
        "test_error",
        "sigmoid",
        to="pca",
        at_least=1.0,
        matters=1.1,
        sentence="With logistic units, small first weights and gradient descent, the same depth "
        "leaves more error than principal components.",
    ),
    lower(
        "code_error",
        "deep-2",
        than="pca-2",
        matters=5.0,
        sentence="Two numbers of a deep code tell the classes apart better than two principal "
        "components.",
    ),
)

_SMALL = {"hidden": (12, 6), "linear.hidden": (), "shallow.hidden": (12,)}
_IMAGES = {
    "validation_size": 5000,
    "neighbours": 5000,
    "batch_size": 64,
    "code": 30,
    "deep-few.code": 8,
    "pca-few.code": 8,
    "deep-2.code": 2,
    "pca-2.code": 2,
}
SCALES = {
    "smoke": Scale(
        seeds=2,
        set={
            **_SMALL,
            "train_size": 100,
            "validation_size": 50,
            "neighbours": 100,
            "steps": 6,
            "points": 2,
        },
    ),
    "quick": Scale(seeds=10),
    "full": Scale(
        seeds=10,
        data="mnist",
        set={
            **_IMAGES,
            "train_size": 50000,
            "hidden": (256, 128),
            "linear.hidden": (),
            "shallow.hidden": (292,),
            "rates": (0.004,),
            "linear.rates": (0.01,),
            "sigmoid.rates": (0.001,),
            "steps": 3000,
        },
    ),
    "paper": Scale(
        seeds=10,
        data="mnist",
        set={
            **_IMAGES,
            "train_size": 55000,
            "hidden": (1000, 500, 250),
            "linear.hidden": (),
            "shallow.hidden": (1740,),
            "steps": 50000,
            "points": 50,
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Find each seed's code, then measure it on the test images."""
    if not setup.rates or min(setup.rates) <= 0:
        raise PracticumError(f"the rates must be above 0, and at least one, not {setup.rates}")
    images = load(setup.data)
    x, y = services.place(images.train[0].flatten(1), images.train[1])
    x_test, y_test = services.place(images.test[0].flatten(1), images.test[1])
    centre = x.mean(0)  # taken off everywhere: an error is a difference, and does not notice
    x, test = x - centre, (x_test - centre, y_test)

    def rows(seed: int) -> tuple[Tensor, Tensor]:
        return split(setup.train_size, setup.validation_size, of=len(x), seed=seed, data=setup.data)

    at = points(setup.steps, max(1, setup.steps // setup.points))
    if setup.method == "gradient":
        found = tuned(setup, x, rows, seeds, services)
    else:
        size = setup.code if setup.method == "components" else 0
        found = [projection(x[rows(seed)[0]], x[rows(seed)[1]], size, len(at)) for seed in seeds]
    measured = [
        measure(setup, coder, (x[rows(seed)[0]], y[rows(seed)[0]]), test)
        for coder, seed in zip(found, seeds, strict=True)
    ]
    return Measurements(
        values={
            **{name: torch.stack([one[name] for one in measured]) for name in measured[0]},
            "rate": torch.tensor([coder.rate for coder in found]),
            "validation_error": torch.stack([coder.curve for coder in found]),
        },
        diverged=torch.tensor([coder.diverged for coder in found]),
        steps={"validation_error": 100 * torch.tensor(at) / setup.steps},
        weights=tuple({**coder.weights, **pictures(setup, coder, test, centre)} for coder in found),
    )


def measure(
    setup: Setup, coder: Coder, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    """Return the three numbers that an arm is compared by."""
    (x, y), (x_test, y_test) = train, test
    with torch.no_grad():
        memory, asked = coder.encode(x[: setup.neighbours]), coder.encode(x_test)
    return {
        "test_error": coder.error(x_test),
        "train_error": coder.error(x),
        "code_error": code_error(memory, y[: setup.neighbours], asked, y_test),
    }


def pictures(
    setup: Setup, coder: Coder, test: tuple[Tensor, Tensor], centre: Tensor
) -> dict[str, Tensor]:
    """Return what the figures show: a test image of each class, its reconstruction, codes of 2."""
    x, y = test
    first = torch.stack([(y == k).nonzero()[0, 0] for k in range(int(y.max()) + 1)])
    with torch.no_grad():
        made = coder.decode(coder.encode(x[first]))
        kept = {"shown.images": x[first] + centre, "shown.made": made + centre}
        if setup.code == 2:
            kept |= {
                "shown.codes": coder.encode(x[:SHOWN]),
                "shown.classes": y[:SHOWN].to(x.dtype),
            }
    return kept


def figures(record: Record) -> dict[str, Figure]:
    """Draw reconstructions, codes of two numbers, and error against code size and updates."""
    sizes = partial(draw.against, record, "test_error", "code", log_x=True, log_y=True)
    return {
        "A test image of every class, and what each arm makes of its code": reconstructions(
            record, ["deep", "shallow", "pca", "linear", "sigmoid", "mean"]
        ),
        "Test images as codes of two numbers, each drawn as the number of its class": codes(
            record, {"deep autoencoder": "deep-2", "principal components": "pca-2"}
        ),
        "Error of a test image against the size of the code; thin lines are seeds": sizes(
            by={
                "deep autoencoder": ["deep-2", "deep-few", "deep"],
                "principal components": ["pca-2", "pca-few", "pca"],
            },
            x_label="units of the code",
        ),
        "Error of a validation image while training, at the chosen rate": draw.curves(
            record,
            "validation_error",
            arms=["deep", "shallow", "linear", "pca", "sigmoid", "mean"],
            x_label="updates done (%)",
            log_y=True,
        ),
    }
