"""What is measured of a trained network of the lab `losses`, on rows that chose nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.labs.practice.losses.learning import best_floor, loss_of, network, rate_of
from practicum.labs.practice.losses.problems import EDGE, Problem
from practicum.learning.likelihood import gaussian, poisson_deviance
from practicum.learning.supervised import error_percent

if TYPE_CHECKING:
    from practicum.labs.practice.losses.experiment import Setup

NOMINAL = 1.959964
"""Deviations around the mean that hold 95 % of a normal distribution."""

STRIPS = 10
"""Parts of equal width that the inputs are cut into for the coverage."""

GRID = 101
"""Inputs at which a fitted curve is kept for the figure."""


def measured(setup: Setup, problem: Problem, net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return an arm's measures of one seed's final network, by name."""
    net.eval()
    x, y = problem.part(problem.test[seed])
    with torch.no_grad():
        outputs = net(x)
        if setup.task == "class":
            return {"test_error": error_percent(outputs, y)}
        found = {"curve": {"rmse": rmse}, "variance": {"nll": nll}, "counts": {}}[setup.task]
        values = {name: of(outputs, y) for name, of in found.items()}
        grid = torch.linspace(-EDGE, EDGE, GRID, device=x.device, dtype=x.dtype)[:, None]
        fitted = net(grid)
        values["fit"] = fitted[:, 0]
        if setup.task == "variance":
            values["coverage_gap"] = coverage_gap(outputs, x[:, 0], y)
            values["spread"] = (fitted[:, 1] / 2).exp()
        if setup.task == "counts":
            held_x, held_y = problem.part(problem.validation[seed])
            floor = best_floor(setup, net(held_x), held_y)[1]
            values["deviance"] = poisson_deviance(rate_of(setup, outputs, floor), y)
            values["fit"] = rate_of(setup, fitted, floor)
        return values


def rmse(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the root of the mean squared distance of the outputs from the truth."""
    return (outputs[:, 0] - y).square().mean().sqrt()


def nll(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the negative log-likelihood of a mean and a log variance, nats an example."""
    return gaussian(outputs[:, 0], outputs[:, 1], y)


def coverage_gap(outputs: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return how far the share of targets in the 95 % band is from 95 %, in points.

    The shares are taken in strips of the inputs, and the distances averaged: a band that is too
    wide in one place and too narrow in another does not come out right on average.
    """
    half = NOMINAL * (outputs[:, 1] / 2).exp()
    inside = ((y - outputs[:, 0]).abs() <= half).double()
    strip = ((x + EDGE) / (2 * EDGE) * STRIPS).long().clamp(0, STRIPS - 1)
    met = [inside[strip == one] for one in range(STRIPS)]
    shares = torch.stack([one.mean() for one in met if len(one)])
    return 100 * (shares - 0.95).abs().mean()


def first_gradient(setup: Setup, problem: Problem, seed: int, services: Services) -> Tensor:
    """Return the length of the loss's gradient at the first weights, over all training rows."""
    with streams(seed).init():
        net = network(setup, problem)
    net.to(device=services.device, dtype=services.dtype)
    x, y = problem.part(problem.train[seed])
    gradients = torch.autograd.grad(loss_of(setup, net(x), y), list(net.parameters()))
    whole = torch.cat([one.flatten() for one in gradients])
    length: Tensor = torch.linalg.vector_norm(whole.double())
    return length
