"""Two methods that are the same method: one pool of trained networks, split at random.

All networks of a pool have the same architecture, data, optimizer and number of updates; they
differ in their initial weights and in the order of the images. A study draws one group of runs for
"method one" and another for "method two" from the pool, and compares test errors with a t-test. It
does so thousands of times, each with a split of its own.

Method one always reports the last test error of each run. What method two reports is the lab's
question:

    every run              the same: this comparison is honest
    best of five seeds     of every five runs the one with the lowest test error
    best on test           each run's lowest test error on the way
    best on validation     the test error where the run's validation error is lowest

or both report honestly, but runs are added and tested until p is below 0.05 (`peek_p`).

Shapes: P networks in the pool, T evaluations of each, S studies, n runs of a method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray as Array

from practicum.data import load
from practicum.engine.fit import fit
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.practice.experimental_design.least_squares import p_from_sums, t_test_p
from practicum.learning.supervised import cross_entropy, error_percent
from practicum.nn.mlp import MLP

REPORTS = ("every run", "best of five seeds", "best on test", "best on validation")
FIVE = 5


@dataclass(frozen=True, kw_only=True)
class Training:
    """How every network of a pool is trained."""

    data: str
    hidden: int
    rate: float
    batch_size: int
    steps: int
    points: int
    validation_size: int
    test_size: int


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What is known of the networks of a pool.

    Attributes:
        test: [P, T] test errors in percent, the last column after the last update.
        validation: [P, T] validation errors.
        steps: [T] the updates after which they were measured.
    """

    test: Float[Array, "P T"]
    validation: Float[Array, "P T"]
    steps: Int[Array, "T"]


def train_pool(how: Training, seeds: range, services: Services) -> Pool:
    """Train one network for every seed.

    The pool is trained in lanes on every path: it is one repetition of the lab, and loop by loop it
    would take ten times as long.

    Raises:
        PracticumError: the data set has too few images, or a network diverged.
    """
    images = load(how.data)
    (x, y), (x_test, y_test) = images.train, images.test
    held = len(x) - how.validation_size
    if held < how.batch_size or len(x_test) < how.test_size:
        raise PracticumError(
            f"{how.data} has {len(x)} training and {len(x_test)} test images; validation_size "
            f"{how.validation_size}, batch_size {how.batch_size} and test_size {how.test_size} ask "
            "for more"
        )
    x_held, y_held = services.place(x[held:], y[held:])
    x_test, y_test = services.place(x_test[: how.test_size], y_test[: how.test_size])
    arithmetic = replace(services.arithmetic, path="lanes", lane_group=len(seeds))
    trained = fit(
        lambda: MLP(x[0].numel(), (how.hidden,), int(y.max()) + 1),
        loss=cross_entropy,
        optimizer=Adam(lr=how.rate),
        data=(x[:held], y[:held]),
        batch_size=how.batch_size,
        steps=how.steps,
        every=max(1, how.steps // how.points),
        evaluate=lambda network, seed: {
            "test": error_percent(network(x_test), y_test),
            "validation": error_percent(network(x_held), y_held),
        },
        seeds=seeds,
        services=replace(services, arithmetic=arithmetic),
        name=f"pool-{seeds.start}",
    )
    if trained.diverged.any():
        raise PracticumError(
            f"{int(trained.diverged.sum())} of {len(seeds)} networks diverged; choose a lower rate"
        )
    return Pool(
        test=trained.curves["test"].numpy(),
        validation=trained.curves["validation"].numpy(),
        steps=trained.steps.numpy(),
    )


def compare(
    pool: Pool, report: str, runs: int, studies: int, random: np.random.Generator
) -> Float[Array, "S"]:
    """Return the p of each study when method two reports in a certain way.

    Raises:
        PracticumError: the pool has too few networks for the two methods.
    """
    needed = runs * (FIVE if report == "best of five seeds" else 1)
    order = _splits(pool, runs + needed, studies, random)
    one = pool.test[:, -1][order[:, :runs]]
    mine = order[:, runs : runs + needed]
    if report == "best of five seeds":
        two = pool.test[:, -1][mine].reshape(studies, runs, FIVE).min(axis=2)
    else:
        two = _reported(pool, report)[mine]
    return t_test_p(one, two)


def _reported(pool: Pool, report: str) -> Float[Array, "P"]:
    """Return the test error that each run reports."""
    if report == "best on test":
        return np.asarray(pool.test.min(axis=1))
    if report == "best on validation":
        return np.asarray(pool.test[np.arange(len(pool.test)), pool.validation.argmin(axis=1)])
    return pool.test[:, -1]


def peek_p(
    pool: Pool, first: int, last: int, studies: int, random: np.random.Generator
) -> Float[Array, "S looks"]:
    """Return the p after each number of runs from `first` to `last` of each method, [S, looks].

    Raises:
        PracticumError: the pool has too few networks for the two methods.
    """
    order = _splits(pool, 2 * last, studies, random)
    errors = pool.test[:, -1][order[:, : 2 * last]].reshape(studies, 2, last)
    total = errors.cumsum(axis=2)[:, :, first - 1 :]
    square = np.square(errors).cumsum(axis=2)[:, :, first - 1 :]
    n = np.arange(first, last + 1)
    return p_from_sums((total[:, 0], square[:, 0]), (total[:, 1], square[:, 1]), n, n)


def _splits(
    pool: Pool, needed: int, studies: int, random: np.random.Generator
) -> Int[Array, "S P"]:
    """Return a random order of the pool for each study."""
    size = len(pool.test)
    if needed > size:
        raise PracticumError(f"the two methods need {needed} runs, the pool has {size}; set pool")
    return random.random((studies, size)).argsort(axis=1)
