"""Losses as negative log-likelihoods: say how targets are distributed, and the loss follows.

Sources: Goodfellow, Bengio, Courville, "Deep Learning", MIT Press 2016, section 6.2.2 (the recipe);
Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35 (1964) 73-101; Nix and
Weigend, "Estimating the mean and variance of the target probability distribution", Proc. IEEE ICNN
1994, 55-60. The numbering is ours.

Equations (one example; y the target, constants that no parameter changes are left out of 1-3, 5):
    y normal around m, known variance        l = (y - m)^2 / 2                          (1) squared
    y Laplace around m, known scale          l = |y - m|                                (2) absolute
    normal middle, exponential tails         l = r^2 / 2          where |r| <= delta,   (3) Huber
                                                 delta |r| - delta^2 / 2    elsewhere,  r = y - m
    y normal around m, variance exp(s)       l = (y - m)^2 / (2 exp s) + s/2 + log(2 pi)/2  (4)
    y Poisson with rate exp(z)               l = exp(z) - y z                           (5)
    y one of K classes, p = softmax(z)       l = -log p_y         `supervised.cross_entropy`
    no likelihood of a class:                l = sum_k (p_k - [k = y])^2 / 2            (6) squared
    Poisson deviance of a rate m             D = 2 (y log(y / m) - (y - m))             (7)

What an outlier does is the derivative by m: it grows without end for (1), is bounded for (2) and
(3). What a confident mistake does is the derivative by z: it stays near 1 for the cross-entropy and
vanishes for (6), which multiplies it by the slope of the softmax.

Shapes: B examples. Every loss returns the mean over all entries; `m`, `s`, `z`, `y` are alike.

Known failure sign: with (4), a variance that grows where the mean has not been learned yet: the
error there is divided by it, and the mean learns more slowly than under (1).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from practicum.errors import PracticumError


def squared(mean: Float[Tensor, "*B"], y: Float[Tensor, "*B"]) -> Float[Tensor, ""]:
    """Return half the mean squared error, in squared units of y."""
    return (y - mean).square().mean() / 2  # Eq. (1)


def absolute(mean: Float[Tensor, "*B"], y: Float[Tensor, "*B"]) -> Float[Tensor, ""]:
    """Return the mean absolute error, in units of y; its minimum is the median."""
    return (y - mean).abs().mean()  # Eq. (2)


def huber(mean: Float[Tensor, "*B"], y: Float[Tensor, "*B"], *, delta: float) -> Float[Tensor, ""]:
    """Return Huber's loss: squared up to a residual of delta, straight beyond it.

    Raises:
        PracticumError: delta is not above zero.
    """
    if not delta > 0:
        raise PracticumError(f"Huber's delta is {delta}; it must be above 0")
    size = (y - mean).abs()
    bent = size.clamp(max=delta)
    return (bent * (size - bent / 2)).mean()  # Eq. (3), both branches at once


def gaussian(
    mean: Float[Tensor, "*B"], log_variance: Float[Tensor, "*B"], y: Float[Tensor, "*B"]
) -> Float[Tensor, ""]:
    """Return the negative log-likelihood under a normal distribution of learned variance, in nats.

    The variance enters as its logarithm, so that it is above zero without a constraint.
    """
    misfit = (y - mean).square() * (-log_variance).exp()
    return ((misfit + log_variance + math.log(2 * math.pi)) / 2).mean()  # Eq. (4)


def poisson(log_rate: Float[Tensor, "*B"], y: Float[Tensor, "*B"]) -> Float[Tensor, ""]:
    """Return the negative log-likelihood of counts, in nats, but for the constant log y!."""
    return (log_rate.exp() - y * log_rate).mean()  # Eq. (5)


def squared_probabilities(logits: Float[Tensor, "B K"], y: Int[Tensor, "B"]) -> Float[Tensor, ""]:
    """Return half the squared distance of the softmax from the one-hot class, mean over rows."""
    target = F.one_hot(y, logits.shape[1]).to(logits.dtype)
    return (logits.softmax(1) - target).square().sum(1).mean() / 2  # Eq. (6)


def poisson_deviance(rate: Float[Tensor, "*B"], y: Float[Tensor, "*B"]) -> Float[Tensor, ""]:
    """Return the mean deviance of counts from predicted rates, in nats: 0 where rate = y.

    It is twice the log-likelihood that is missing to a model that predicts every count exactly.

    Raises:
        PracticumError: a rate is not above zero, or a count is below zero.
    """
    if not bool((rate > 0).all()) or not bool((y >= 0).all()):
        raise PracticumError("a deviance needs rates above 0 and counts of at least 0")
    return 2 * (torch.xlogy(y, y / rate) - (y - rate)).mean()  # Eq. (7)
