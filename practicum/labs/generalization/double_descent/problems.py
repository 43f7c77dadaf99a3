"""The regression problems of the lab: images with some wrong labels, and a linear teacher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray as Array

from practicum.data import load
from practicum.engine.seeds import Streams
from practicum.errors import PracticumError


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """One seed's images: targets are one-hot, and only the test targets are sure to be right.

    Attributes:
        train: [n, pixels] inputs and [n, K] targets.
        validation: the same for choosing the ridge, with as many wrong labels as `train`.
        test: the same with the true labels.
    """

    train: tuple[Float[Array, "n pixels"], Float[Array, "n K"]]
    validation: tuple[Float[Array, "v pixels"], Float[Array, "v K"]]
    test: tuple[Float[Array, "m pixels"], Float[Array, "m K"]]


def images(
    name: str, random: Streams, *, train: int, validation: int, test: int, noise: float
) -> Images:
    """Draw a seed's images; inputs are centred and have a mean squared length of one.

    The rows and the wrong labels are drawn in the same way whatever the share of noise is.

    Args:
        name: data set.
        random: the seed's streams.
        train: training images.
        validation: validation images, from the training part too.
        test: test images, at most; the first ones of the test part.
        noise: chance that a training or validation label is replaced by one of all classes.

    Raises:
        PracticumError: there are not so many images.
    """
    loaded = load(name)
    x = loaded.train[0].flatten(1).double().numpy()
    y = loaded.train[1].numpy()
    if train + validation > len(x):
        raise PracticumError(
            f"train_size {train} and validation_size {validation} ask for more than the {len(x)} "
            f"training images of {name}"
        )
    rows = random.numpy("order").permutation(len(x))[: train + validation]
    draws = random.numpy("noise")
    wrong = draws.random(len(rows)) < noise
    classes = int(y.max()) + 1
    labels = np.where(wrong, draws.integers(classes, size=len(rows)), y[rows])
    x_test = loaded.test[0][:test].flatten(1).double().numpy()
    mean = x[rows[:train]].mean(axis=0)
    scale = np.sqrt(np.square(x[rows[:train]] - mean).sum(axis=1).mean())
    inputs = (x[rows] - mean) / scale
    targets = one_hot(labels, classes)
    return Images(
        train=(inputs[:train], targets[:train]),
        validation=(inputs[train:], targets[train:]),
        test=((x_test - mean) / scale, one_hot(loaded.test[1][:test].numpy(), classes)),
    )


def one_hot(labels: Int[Array, "n"], classes: int) -> Float[Array, "n K"]:
    """Return a row for each label, one at the label and zero elsewhere."""
    rows: Array = np.eye(classes)[labels]
    return rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Teacher:
    """Inputs from a standard normal distribution, and a linear rule with noise.

    Attributes:
        x: [n, inputs].
        y: [n, 1] the rule's answers with noise.
        rule: [inputs, 1] its weights.
    """

    x: Float[Array, "n inputs"]
    y: Float[Array, "n one"]
    rule: Float[Array, "inputs one"]

    @classmethod
    def draw(
        cls, random: Streams, *, train: int, inputs: int, signal: float, noise: float
    ) -> Teacher:
        """Draw a problem: the rule has squared length `signal`, the noise variance `noise`."""
        rule = random.numpy("initialisation").normal(size=(inputs, 1))
        rule *= np.sqrt(signal) / np.linalg.norm(rule)
        x = random.numpy("order").normal(size=(train, inputs))
        y = x @ rule + np.sqrt(noise) * random.numpy("noise").normal(size=(train, 1))
        return cls(x=x, y=y, rule=rule)

    def risk(self, weights: Float[Array, "inputs one"]) -> float:
        """Return the mean squared distance to the rule on new inputs: with these, exactly this."""
        return float(np.square(weights - self.rule).sum())
