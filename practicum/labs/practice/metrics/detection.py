"""One class against the rest: a linear classifier that learns from few positives, and its test.

A test set is drawn from the test images with a given share of positives; how often positives occur
is a choice of whoever draws the test, and that is what the lab varies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from practicum.data import load
from practicum.engine.fit import fit
from practicum.engine.noise import Noise
from practicum.engine.optimizers import SGD
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.engine.train import Trained
from practicum.engine.updates import Batch
from practicum.errors import PracticumError
from practicum.evidence.metrics import (
    accuracy,
    average_precision,
    precision_recall_curve,
    precision_recall_f1,
    roc_auc,
    roc_curve,
)
from practicum.labs.practice.metrics.gathering import gather
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from practicum.labs.practice.metrics.experiment import Setup

RATES = np.linspace(0.0, 1.0, 51)  # where curves are read, so that their mean can be drawn


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Learn to find one class among all others, and test it."""
    images = load(setup.data)
    x, y = services.place(*images.train)
    x_test, y_test = services.place(*images.test)
    learns = setup.classifier in ("plain", "weighted")
    wanted = (y == setup.positive).long()
    trained = train(setup, x, wanted, seeds, services) if learns else None
    truth = (y_test == setup.positive).cpu().numpy()
    rows = [
        measure(scores(setup, trained, i, seed, x_test), truth, streams(seed).numpy("noise"), setup)
        for i, seed in enumerate(seeds)
    ]
    return gather(rows, {"roc": RATES, "pr": RATES}, trained)


def subset(
    truth: NDArray[np.bool_], share: float, size: int | None, random: np.random.Generator
) -> NDArray[np.int64]:
    """Draw rows with a share of positives: so many, or as many as there are.

    Args:
        truth: [n] which rows are positive.
        share: of positives among the rows drawn.
        size: how many rows; None: as many as the share allows.
        random: draws them.

    Raises:
        PracticumError: there are too few rows of a class, or none would be positive.
    """
    positives = random.permutation(np.flatnonzero(truth))
    negatives = random.permutation(np.flatnonzero(~truth))
    if size is None:
        size = int(min(len(positives) / share, len(negatives) / (1 - share)))
    wanted = round(size * share)
    if not 0 < wanted <= len(positives) or not 0 < size - wanted <= len(negatives):
        raise PracticumError(
            f"{size} images with a share of {share} positives cannot be drawn from "
            f"{len(positives)} positives and {len(negatives)} others; change images or the share"
        )
    return np.concatenate([positives[:wanted], negatives[: size - wanted]])


def weighted_cross_entropy(
    weights: tuple[float, float], network: Callable[..., Tensor], batch: Batch, noise: Noise
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy, each example weighted by its class (no, yes)."""
    x, y = batch
    weight = torch.where(y == 1, weights[1], weights[0])
    return (weight * F.cross_entropy(network(x), y, reduction="none")).mean()


def train(setup: Setup, x: Tensor, y: Tensor, seeds: Sequence[int], services: Services) -> Trained:
    """Train the linear classifier of every seed on its own training images."""
    share = setup.share
    weighted = setup.classifier == "weighted"
    weights = (0.5 / (1 - share), 0.5 / share) if weighted else (1.0, 1.0)
    truth = y.cpu().numpy().astype(bool)
    return fit(
        lambda: MLP(x[0].numel(), (), 2),
        loss=partial(weighted_cross_entropy, weights),
        optimizer=SGD(lr=setup.rate, momentum=setup.momentum),
        data=(x, y),
        rows=lambda seed: torch.from_numpy(
            subset(truth, share, setup.images, streams(seed).numpy("order"))
        ),
        batch_size=min(setup.batch_size, setup.images),
        steps=setup.steps,
        seeds=seeds,
        services=services,
        name="detector",
    )


def scores(
    setup: Setup, trained: Trained | None, i: int, seed: int, x: Tensor
) -> NDArray[np.float64]:
    """Return how much a seed's classifier speaks for yes; above 0 it says yes."""
    if trained is not None:
        with torch.no_grad():
            logits = trained.networks[i]["network"].eval()(x).double().cpu().numpy()
        return np.asarray(logits[:, 1] - logits[:, 0])
    if setup.classifier == "never":
        return np.full(len(x), -1.0)
    return streams(seed).numpy("initialisation").normal(size=len(x))  # a coin


def measure(
    score: NDArray[np.float64], truth: NDArray[np.bool_], random: np.random.Generator, setup: Setup
) -> dict[str, NDArray[np.float64]]:
    """Return every measure, each the mean over test sets drawn with the test's share."""
    drawn = [subset(truth, setup.test_share, None, random) for _ in range(setup.draws)]
    each = [_on(score[rows], truth[rows]) for rows in drawn]
    return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}


def _on(score: NDArray[np.float64], truth: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    yes = score > 0
    precision, recall, f1 = precision_recall_f1(yes, truth)
    numbers = {
        "accuracy": 100 * accuracy(yes, truth),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "auc": roc_auc(score, truth),
        "average_precision": average_precision(score, truth),
    }
    false, true = roc_curve(score, truth)
    precisions, recalls = precision_recall_curve(score, truth)
    # Between two thresholds a line; where it rises straight up, its upper end. For precision, the
    # first threshold that reaches the recall.
    roc = _along(false, true)
    pr = precisions[np.searchsorted(recalls, RATES, side="left")]
    return {**{name: np.array(one) for name, one in numbers.items()}, "roc": roc, "pr": pr}


def _along(false: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the true positive rate at the RATES of false positives."""
    left = np.searchsorted(false, RATES, side="right") - 1
    right = np.minimum(left + 1, len(false) - 1)
    width = np.where(right > left, false[right] - false[left], 1.0)
    return true[left] + (RATES - false[left]) / width * (true[right] - true[left])
