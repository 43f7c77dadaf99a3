"""Diffusion models: learn to see the noise in a noisy example; samples walk from noise to data.

Paper: J. Ho, A. Jain and P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020,
arXiv:2006.11239 (DDPM). The steps back, with those of DDIM (J. Song, C. Meng and S. Ermon, ICLR
2021, arXiv:2010.02502), are in `practicum.nn.diffusion_schedules`.

Idea: noise is added to data in T small steps until nothing else is left. One network, given a
noisy example x_t and the time t, guesses the noise e in it. The guess gives the mean of a normal
distribution for the step back. All such steps together are a latent-variable model, so that a
variational bound on the likelihood of the data follows.

Equations (the paper's numbers where it has them; A_t = alpha_1 ... alpha_t, e ~ normal(0, I)):
    (4)   x_t = sqrt(A_t) x_0 + sqrt(1 - A_t) e
    (5)   - log p(x_0) <= L_T + sum over t > 1 of L_{t-1} + L_0
          L_T     = KL(q(x_T | x_0) || normal(0, I))
          L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)),   L_0 = - log p(x_0 | x_1)
    (12)  L_{t-1} = c_t |e - e(x_t, t)|^2 + what no parameter changes
          c_t     = beta_t^2 / (2 s_t^2 alpha_t (1 - A_t))
    (14)  L_simple = mean over t, x_0 and e of |e - e(x_t, t)|^2
    (15)  s_t^2 = beta_t                                            "large" variance of a step
    (16)  s_t^2 = beta_t (1 - A_{t-1}) / (1 - A_t)                  "small" variance, t > 1
(15) and (16) are numbers for this file. With (16) what no parameter changes in (12) is zero.

Losses: "simple" is (14); "bound" is (12), one t drawn for each example and multiplied by T, so
that its mean is the sum over t. c_t falls steeply with t: the bound asks for the last, smallest
noise to be seen exactly; (14) leaves such detail for the larger shape of the data.

Shapes: B examples of any further shape, D numbers each.

Deviations from Ho et al.:
    1. x_0 is continuous: L_0 is the log density of normal(m(x_1), s_1^2), with s_1^2 = beta_1 for
       either variance ((16) is zero there), which is also c_1 of (12). The paper integrates that
       density over the cells of whole numbers.
    2. Both losses are a mean over the D numbers of an example, so that rates suit any size.

Known failure signs: an L_simple near 1, its value for a network that answers 0; samples that are
blurred averages (too few steps with DDPM); a bound that falls while samples get worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.engine.updates import Batch
from practicum.errors import PracticumError, unknown
from practicum.nn.diffusion_schedules import (
    VARIANCES,
    Schedule,
    ddim_encoding_step,
    ddim_step,
    ddpm_step,
    walk_back,
)

Predict = Callable[..., Any]
"""Takes x_t, [B, *data], and t, [B] whole numbers from 0, to the noise in x_t, [B, *data]."""

LOSSES = ("simple", "bound")


def weights(schedule: Schedule, variance: str = "large") -> Float[Tensor, "T"]:
    """Return c_t of Eq. (12), in float64.

    Raises:
        PracticumError: no such variance.
    """
    if variance not in VARIANCES:
        raise unknown("variance", variance, VARIANCES)
    beta = torch.tensor(schedule.betas, dtype=torch.float64)
    kept = torch.tensor(schedule.kept, dtype=torch.float64)
    of_step = beta.clone()  # Eq. (15)
    if variance == "small":
        of_step[1:] = beta[1:] * (1 - kept[:-1]) / (1 - kept[1:])  # Eq. (16)
    return beta.square() / (2 * of_step * (1 - beta) * (1 - kept))


def predicting(
    schedule: Schedule, loss: str = "simple", *, variance: str = "large"
) -> Callable[[Predict, Batch, Noise], Tensor]:
    """Return a loss for examples, the first part of a batch: each at a time of its own.

    Args:
        schedule: the noise of each step.
        loss: "simple" for Eq. (14), "bound" for Eq. (12).
        variance: of a step back, for the bound's weights.

    Raises:
        PracticumError: no such loss or variance.
    """
    if loss not in LOSSES:
        raise unknown("diffusion loss", loss, LOSSES)
    c = weights(schedule, variance) * len(schedule.betas)

    def mean(network: Predict, batch: Batch, noise: Noise) -> Tensor:
        x = batch[0]
        t = noise.integers(len(c), len(x))
        e = noise.normal(*x.shape).to(x.dtype)
        missed: Tensor = e - network(schedule.noised(x, t, e), t)
        misses = missed.square().flatten(1).mean(1)  # Eq. (14)
        if loss == "simple":
            return misses.mean()
        return (c.to(x.device, x.dtype)[t] * misses).mean()  # Eq. (12)

    return mean


@torch.no_grad()
def bound(
    network: Predict,
    schedule: Schedule,
    x: Float[Tensor, "B *data"],
    normal: Callable[[int], Float[Tensor, "B *data"]],
    *,
    variance: str = "large",
) -> Float[Tensor, "B"]:
    """Return the bound of Eq. (5) on - log p(x) of every example, in nats.

    Args:
        network: sees the noise.
        schedule: the noise of each step.
        x: continuous data.
        normal: t -> standard normal numbers like x; one draw a time estimates the mean over e.
        variance: of a step back.

    Raises:
        PracticumError: no such variance.
    """
    d = x[0].numel()
    c = weights(schedule, variance)

    def misses(t: int) -> Tensor:
        e = normal(t)
        at = torch.full((len(x),), t, device=x.device)
        missed: Tensor = e - network(schedule.noised(x, at, e), at)
        return missed.square().flatten(1).sum(1)

    last = schedule.kept[-1]
    squares = x.square().flatten(1).sum(1)
    total = (last * squares - d * (last + math.log(1 - last))) / 2  # L_T
    total = total + c[0].item() * misses(0) + d * math.log(2 * math.pi * schedule.betas[0]) / 2
    for t in range(1, len(c)):
        ratio = _posterior_share(schedule, t) if variance == "large" else 1.0
        fixed = d * (ratio - 1 - math.log(ratio)) / 2  # zero where the variances agree
        total = total + c[t].item() * misses(t) + fixed  # Eq. (5), Eq. (12)
    return total


def sample(
    network: Predict,
    schedule: Schedule,
    x: Float[Tensor, "B *data"],
    steps: int,
    normal: Callable[[int], Float[Tensor, "B *data"]],
    *,
    eta: float | None = None,
    variance: str = "small",
    clip: float | None = None,
    visit: Callable[[int, Tensor], None] | None = None,
) -> Float[Tensor, "B *data"]:
    """Walk from standard normal numbers to samples, without gradients.

    Args:
        network: sees the noise.
        schedule: the noise of each step; its last state should hold hardly anything but noise.
        x: standard normal numbers.
        steps: how many steps to take, evenly spaced, up to all.
        normal: t -> standard normal numbers like x, for the steps that add noise.
        eta: None for DDPM's steps; a number for DDIM's, 0 for none of the noise and 1 for all.
        variance: of DDPM's steps.
        clip: bound on the size of the predicted data, or None.
        visit: called with every time before a step and the state there.

    Raises:
        PracticumError: a number of steps, eta or variance that cannot be.
    """

    def step(x: Tensor, e: Tensor, t: int, before: int) -> Tensor:
        if eta is None:
            return ddpm_step(schedule, x, e, t, before, normal(t), variance=variance, clip=clip)
        noise = normal(t) if eta > 0 else None
        return ddim_step(schedule, x, e, t, before, noise, eta=eta, clip=clip)

    def predict(x: Tensor, t: int) -> Tensor:
        if visit is not None:
            visit(t, x)
        seen: Tensor = network(x, torch.full((len(x),), t, device=x.device))
        return seen

    with torch.no_grad():
        return walk_back(step, predict, x, spaced(schedule, steps))


@torch.no_grad()
def encode(
    network: Predict, schedule: Schedule, x: Float[Tensor, "B *data"], steps: int
) -> Float[Tensor, "B *data"]:
    """Walk from data to the noise from which DDIM without noise makes them, nearly.

    Each step takes the noise that the network sees at its beginning for that of the whole step (at
    the data: for that of time 0), so with many steps less is lost on the way there and back.

    Args:
        network: sees the noise.
        schedule: the noise of each step.
        x: data.
        steps: how many steps to take, evenly spaced, up to all; `sample` with as many leads back.

    Raises:
        PracticumError: a number of steps that cannot be.

    Source: Song et al. 2021, section 5.4.
    """
    there = tuple(reversed(spaced(schedule, steps)))
    for t, after in zip((-1, *there[:-1]), there, strict=True):
        at = torch.full((len(x),), max(t, 0), device=x.device)
        x = ddim_encoding_step(schedule, x, network(x, at), t, after)
    return x


def spaced(schedule: Schedule, count: int) -> tuple[int, ...]:
    """Return so many times for walking back, from the very last to 0, evenly spaced.

    Unlike `Schedule.times` they begin at the last time, where the state is noise and nothing else,
    however few they are; the last of them is 0.

    Raises:
        PracticumError: more times than steps, or none.
    """
    steps = len(schedule.betas)
    if not 1 <= count <= steps:
        raise PracticumError(f"{count} of {steps} steps cannot be taken")
    if count == 1:
        return (steps - 1,)
    return tuple(round((steps - 1) * i / (count - 1)) for i in reversed(range(count)))


def _posterior_share(schedule: Schedule, t: int) -> float:
    """Return the variance (16) divided by (15)."""
    return (1 - schedule.kept[t - 1]) / (1 - schedule.kept[t])
