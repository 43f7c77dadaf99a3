"""A network that generalizes can also fit labels that mean nothing.

Question
    Does the same network, with the same optimizer and settings, fit the training images whether
    their labels are true or drawn at random; how much longer does that take; and what is left of
    its accuracy on new images?

What would refute it
    A training accuracy below 99 % in any trial of the arms that are said to fit; a test accuracy
    after random labels that is 3 points or more away from one in ten; random labels fitted as soon
    as true ones, or only after ten times as many updates.

Arms and what is held equal
    true labels                  the images as they are
    25 %, 50 %, 75 % random      that share of the labels replaced by labels drawn from all classes
    random labels                all labels replaced
    shuffled pixels              true labels, one shuffle of the pixels for all images
    own shuffles                 true labels, each image with a shuffle of its own
    linear, random labels        control: softmax regression on the random labels
    All arms share images, initial weights (but for the control, whose layer is another one), order
    of batches, optimizer, learning rate, batch size, number of updates. Arms with random labels
    share them too: a label that is random at 25 % is the same one at 100 %. No augmentation, no
    weight decay, no dropout; labels are drawn once and stay. Learning rates of 0.01, 0.02, 0.03,
    0.05, 0.1, 0.2 were tried on pilot seeds 1000 and 1001, and the one with which random labels
    were fitted in the fewest updates serves every arm (0.05 on digits, 0.02 on Fashion-MNIST); it
    looks at training images only.

Primary measure
    training accuracy, percent of the training images given the label they were trained with.

Smallest effect that matters
    1 point of training accuracy, 3 points of test accuracy, a factor of 10 in updates.

Pitfalls of naive reproductions
    1. Too few updates: that random labels were not fitted yet is no evidence that they cannot be.
       Times are compared as times to a target, and what was not reached counts as censored.
    2. New random labels in every epoch cannot be fitted by anything; here they are fixed.
    3. Augmentation and weight decay act against memorizing; they are off.
    4. Images that are alike but have different labels are the hard part, so the factor in time
       depends on the images and on how many there are: it is a statement about these settings.
    5. To a network without convolutions one shuffle of all images changes nothing but names; the
       arm with a shuffle for each image is the one that takes structure away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from practicum.data import load
from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD
from practicum.engine.services import Measurements, Services
from practicum.engine.train import Trained
from practicum.evidence import Measure, bounded, equivalent, ordered, sooner
from practicum.labs import figures as draw
from practicum.labs.generalization.random_labels.drawing import accuracy_over_corruption
from practicum.labs.generalization.random_labels.randomized import (
    PIXELS,
    Randomized,
    randomized,
)
from practicum.labs.lab import Scale, setting
from practicum.learning.supervised import cross_entropy, error_percent
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "The same network fits true labels and random ones"
SOURCE = (
    "Zhang, Bengio, Hardt, Recht, Vinyals 2017, "
    "Understanding deep learning requires rethinking generalization, arXiv:1611.03530"
)
YEAR = 2017
DATA = ("digits", "fashion-mnist", "mnist")

DOSES = ("true labels", "25 % random", "50 % random", "75 % random", "random labels")
FITTED = ("true labels", "random labels", "shuffled pixels", "own shuffles")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: what is random about its training images."""

    data: str = setting("digits", "data set of the images", paper="CIFAR-10")
    train_size: int = setting(1000, "training images", unit="images", paper=50000, low=10)
    corruption: float = setting(0.0, "chance that a label is random", low=0.0, high=1.0)
    pixels: str = setting("kept", "what happens to the pixels", choices=PIXELS)
    hidden: tuple[int, ...] = setting((256,), "units of each hidden layer", paper=(512,))
    rate: float = setting(0.05, "learning rate", low=0.0)
    momentum: float = setting(0.9, "heavy-ball momentum", low=0.0, high=0.999)
    batch_size: int = setting(50, "images an update", unit="images", low=1)
    steps: int = setting(1500, "updates", unit="updates", low=1)
    every: int = setting(10, "updates between two looks", unit="updates", low=1)


ARMS = {
    "true labels": Setup(),
    "25 % random": Setup(corruption=0.25),
    "50 % random": Setup(corruption=0.5),
    "75 % random": Setup(corruption=0.75),
    "random labels": Setup(corruption=1.0),
    "shuffled pixels": Setup(pixels="one shuffle"),
    "own shuffles": Setup(pixels="own shuffles"),
    "linear, random labels": Setup(corruption=1.0, hidden=()),
}

MEASURES = (
    Measure(
        "training accuracy",
        unit="%",
        better="higher",
        says="training images given the label they were trained with, after the last update",
        diverged=10.0,
    ),
    Measure(
        "test accuracy",
        unit="%",
        better="higher",
        says="test images given their true label, after the last update",
        diverged=10.0,
    ),
    Measure(
        "accuracy while training",
        unit="%",
        better="higher",
        says="training accuracy over the updates",
        diverged=10.0,
    ),
    Measure(
        "true label restored",
        unit="%",
        better="higher",
        says="training images given their true label, whatever they were trained with",
        diverged=10.0,
    ),
)

CLAIMS = (
    bounded(
        "training accuracy",
        arms=FITTED,
        at_least=99.0,
        rare=0.3,
        sentence="True labels, random labels and shuffled pixels are all fitted to 99 % or more.",
    ),
    equivalent(
        "test accuracy",
        "random labels",
        to=10.0,
        within=3.0,
        sentence="After training on random labels, test accuracy is chance (10 % ± 3 points).",
    ),
    sooner(
        "accuracy while training",
        "true labels",
        than="random labels",
        target=99.0,
        sentence="Random labels take longer to fit than true ones.",
    ),
    sooner(
        "accuracy while training",
        "random labels",
        than="true labels",
        target=99.0,
        factor=10.0,
        sentence="They take less than ten times as many updates.",
    ),
    ordered(
        "test accuracy",
        falling=DOSES,
        matters=1.0,
        sentence="The larger the share of random labels, the lower the test accuracy.",
    ),
)

_FASHION = {"rate": 0.02}
SCALES = {
    "smoke": Scale(seeds=2, set={"steps": 12, "every": 4, "train_size": 100}),
    "quick": Scale(seeds=12),
    "full": Scale(seeds=12, data="fashion-mnist", set={**_FASHION, "every": 20}),
    "paper": Scale(
        seeds=12,
        data="fashion-mnist",
        set={
            **_FASHION,
            "train_size": 50000,
            "hidden": (512,),
            "linear, random labels.hidden": (),
            "steps": 300000,
            "every": 500,
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train every seed on its own labels, then look at images it has not seen."""
    images = [prepared(setup, seed) for seed in seeds]
    run = train(setup, images, seeds, services)
    test, restored = [], []
    for one, networks in zip(images, run.networks, strict=True):
        network = networks["network"].eval()
        x, x_test, true, y_test = services.place(one.x, one.x_test, one.true, one.y_test)
        with torch.no_grad():
            test.append(100 - error_percent(network(x_test), y_test))
            restored.append(100 - error_percent(network(x), true))
    return Measurements(
        values={
            "training accuracy": run.final("accuracy"),
            "test accuracy": torch.stack(test),
            "accuracy while training": run.curves["accuracy"],
            "true label restored": torch.stack(restored),
        },
        diverged=run.diverged,
        steps={"accuracy while training": run.steps},
        weights=run.weights(),
    )


def prepared(setup: Setup, seed: int) -> Randomized:
    """Return a seed's images and labels, randomized as the arm says."""
    images = load(setup.data)
    return randomized(
        images.train,
        images.test,
        seed,
        size=setup.train_size,
        corruption=setup.corruption,
        pixels=setup.pixels,
    )


def train(
    setup: Setup, images: Sequence[Randomized], seeds: Sequence[int], services: Services
) -> Trained:
    """Train the network of every seed on that seed's images and labels."""
    n, pixels = images[0].x.shape
    # One pile of all seeds' images, because their labels differ; each seed has its own rows of it.
    x, y = services.place(
        torch.cat([one.x for one in images]), torch.cat([one.y for one in images])
    )
    place = {seed: i * n for i, seed in enumerate(seeds)}
    classes = len(load(setup.data).classes) or int(y.max()) + 1
    return fit(
        lambda: MLP(pixels, setup.hidden, classes),
        loss=cross_entropy,
        optimizer=SGD(lr=setup.rate, momentum=setup.momentum),
        data=(x, y),
        rows=lambda seed: torch.arange(place[seed], place[seed] + n),
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=setup.every,
        evaluate=lambda network, seed: {
            "accuracy": 100
            - error_percent(
                network(x[place[seed] : place[seed] + n]), y[place[seed] : place[seed] + n]
            )
        },
        seeds=seeds,
        services=services,
    )


def figures(record: Record) -> dict[str, Figure]:
    """Draw training accuracy over the updates, and both accuracies over the corruption."""
    arms = ("true labels", "own shuffles", "50 % random", "random labels", "linear, random labels")
    return {
        "Training accuracy, mean and 95 % interval; thin lines are seeds": draw.curves(
            record,
            "accuracy while training",
            arms=[arm for arm in arms if arm in record.arms],
            x_label="updates",
            log_x=True,
        ),
        "What is remembered and what is learnt, over the share of labels drawn at random": (
            accuracy_over_corruption(record, DOSES)
        ),
    }
