"""A network that has learnt its few images by heart, and one number that corrects its confidence.

Paper: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017,
arXiv:1706.04599v2.

Equations (numbered here):
    p_k(T) = exp(z_k / T) / sum_j exp(z_j / T)                          (1) temperature scaling
    T = the minimum over T > 0 of - sum over validation of log p_y(T)   (2)

T divides all logits of an image alike, so the largest stays the largest: no answer changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from practicum.data import load
from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.engine.train import Trained
from practicum.errors import PracticumError
from practicum.evidence.metrics import brier, reliability
from practicum.labs.practice.metrics.gathering import gather
from practicum.learning.supervised import cross_entropy
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from practicum.labs.practice.metrics.experiment import Setup

Logits = NDArray[np.float64]
COLDEST, HOTTEST = 0.05, 20.0


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Learn few images by heart, then ask how sure the network is of others."""
    images = load(setup.data)
    x, y = services.place(*images.train)
    test = services.place(*images.test)
    trained = train(setup, x, y, seeds, services)
    rows = []
    for i, seed in enumerate(seeds):
        network = trained.networks[i]["network"].eval()
        training, validation = split(setup, len(x), seed)
        chosen = {"none": None, "validation": validation, "training": training}[setup.temperature]
        fitted = None if chosen is None else answers(network, x[chosen], y[chosen])
        rows.append(measure(setup, answers(network, *test), fitted))
    middles = (np.arange(setup.bins) + 0.5) / setup.bins
    grid = {name: middles for name in ("bin_share", "bin_right", "bin_confidence")}
    return gather(rows, grid, trained)


def answers(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Logits, NDArray[np.int64]]:
    """Return a network's logits and the right classes as arrays."""
    with torch.no_grad():
        return network(x).double().cpu().numpy(), y.cpu().numpy()


def split(setup: Setup, available: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a seed's training and validation images, the same in every arm.

    Raises:
        PracticumError: the data set has fewer images than the two settings ask for.
    """
    if setup.images + setup.validation_images > available:
        raise PracticumError(
            f"images {setup.images} and validation_images {setup.validation_images} ask for more "
            f"than the {available} training images of {setup.data}"
        )
    shuffled = torch.randperm(available, generator=streams(seed).order())
    return shuffled[: setup.images], shuffled[available - setup.validation_images :]


def train(setup: Setup, x: Tensor, y: Tensor, seeds: Sequence[int], services: Services) -> Trained:
    """Train the network of every seed on its few images."""
    return fit(
        lambda: MLP(x[0].numel(), (setup.hidden,), int(y.max()) + 1),
        loss=cross_entropy,
        optimizer=SGD(lr=setup.rate, momentum=setup.momentum),
        data=(x, y),
        rows=lambda seed: split(setup, len(x), seed)[0],
        batch_size=min(setup.batch_size, setup.images),
        steps=setup.steps,
        seeds=seeds,
        services=services,
        name="network",
    )


def probabilities(
    logits: Float[Logits, "n K"], temperature: float = 1.0
) -> Float[NDArray[np.float64], "n K"]:
    """Return the softmax of the logits at a temperature, Eq. (1)."""
    z = (logits - logits.max(axis=1, keepdims=True)) / temperature
    powers = np.exp(z)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def negative_log_likelihood(
    logits: Float[Logits, "n K"], y: Int[NDArray[np.int64], "n"], temperature: float = 1.0
) -> float:
    """Return the mean of minus the log of the probability of the right class, in nats."""
    z = (logits - logits.max(axis=1, keepdims=True)) / temperature
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]))


def best_temperature(logits: Float[Logits, "n K"], y: Int[NDArray[np.int64], "n"]) -> float:
    """Return the temperature of least negative log-likelihood, Eq. (2), from 0.05 to 20.

    As a function of 1/T the loss is convex, so that there is one minimum. Where every answer is
    right it falls for ever as T falls, and the lower limit is returned.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, y, float(np.exp(log_t))),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    if negative_log_likelihood(logits, y, COLDEST) <= found.fun:
        return COLDEST
    return float(np.exp(found.x))


def measure(
    setup: Setup,
    test: tuple[Logits, NDArray[np.int64]],
    fitted: tuple[Logits, NDArray[np.int64]] | None,
) -> dict[str, NDArray[np.float64]]:
    """Return the measures of one network on test images.

    Args:
        setup: the arm.
        test: logits and classes of the test images.
        fitted: those of the images that choose the temperature; None: it stays 1.
    """
    logits, y = test
    temperature = 1.0 if fitted is None else best_temperature(*fitted)
    before, after = probabilities(logits), probabilities(logits, temperature)
    found = reliability(after, y, setup.bins)
    numbers = {
        "accuracy": 100 * float(np.mean(after.argmax(1) == y)),
        "calibration_error": 100 * found.error,
        "brier": brier(after, y),
        "nll": negative_log_likelihood(logits, y, temperature),
        "temperature": temperature,
        "changed_answers": float(np.sum(before.argmax(1) != after.argmax(1))),
    }
    sums = {
        "bin_share": found.count / len(y),
        "bin_right": found.right / len(y),
        "bin_confidence": found.confidence / len(y),
    }
    return {name: np.asarray(one, dtype=np.float64) for name, one in {**numbers, **sums}.items()}
