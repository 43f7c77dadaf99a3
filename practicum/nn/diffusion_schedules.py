"""Noise schedules of diffusion models, and the steps that walk back from noise to data.

Papers: J. Ho, A. Jain and P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020,
arXiv:2006.11239 (DDPM, the linear schedule). A. Nichol and P. Dhariwal, "Improved denoising
diffusion probabilistic models", ICML 2021, arXiv:2102.09672 (the cosine schedule). J. Song,
C. Meng and S. Ermon, "Denoising diffusion implicit models", ICLR 2021, arXiv:2010.02502 (DDIM).

Equations (numbered for this file; alpha_t = 1 - beta_t, A_t = alpha_1 ... alpha_t, A_0 = 1):
    (1)  beta_t from 0.0001 to 0.02 in equal steps                         linear
    (2)  beta_t = min(1 - f(t/T) / f((t-1)/T), 0.999),
         f(u) = cos(pi/2 (u + 0.008) / 1.008)^2                            cosine
    (3)  x_t = sqrt(A_t) x_0 + sqrt(1 - A_t) e,   e ~ normal(0, I)         t steps at once
    (4)  x~_0 = (x_t - sqrt(1 - A_t) e) / sqrt(A_t)                        (3) solved for x_0
    (5)  q(x_s | x_t, x_0) = normal(m, v),  s < t,  a = A_t / A_s,  b = 1 - a:
         m = (sqrt(A_s) b x_0 + sqrt(a) (1 - A_s) x_t) / (1 - A_t)
         v = b (1 - A_s) / (1 - A_t)                                       posterior
    (6)  x_s = m(x~_0) + sqrt(v) noise, or sqrt(b) instead of sqrt(v)      DDPM step
    (7)  x_s = sqrt(A_s) x~_0 + sqrt(1 - A_s - w^2) e + w noise,
         w = eta sqrt(v)                                                   DDIM step
    (8)  x_t = sqrt(A_t) x~_0 + sqrt(1 - A_t) e,  x~_0 and e seen in x_s   DDIM's (7) turned round

With s = t - 1, Eq. (5) is the posterior of Ho et al.; skipping steps uses the same formula for the
steps that are left. With eta = 1, Eq. (7) is Eq. (6) with v; with eta = 0 nothing is drawn.

Shapes: B examples of any further shape.

Deviations from the papers:
    1. Times count from 0, as arrays do: index 0 is the papers' t = 1, and index -1 is the data.
    2. x~_0 can be clipped to the range of the data. DDIM's e is then the network's all the same.
    3. Coefficients are computed in float64 and applied in the precision of x.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.errors import PracticumError, unknown

VARIANCES = ("small", "large")
"""The variance of a DDPM step: that of the posterior, v, or that of the way there, b."""


@dataclass(frozen=True)
class Schedule:
    """How much noise each step adds.

    Attributes:
        betas: the variance that step t adds.
        kept: A after step t, the share of the data's variance that is left.

    Raises:
        PracticumError: no step, or a variance that is not between 0 and 1.
    """

    betas: tuple[float, ...]
    kept: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.betas or not all(0 < beta < 1 for beta in self.betas):
            raise PracticumError(
                f"a schedule of {len(self.betas)} steps with variances from "
                f"{min(self.betas, default=0)} to {max(self.betas, default=0)}; it needs at least "
                "one, each between 0 and 1"
            )
        alphas = (1 - beta for beta in self.betas)
        object.__setattr__(self, "kept", tuple(itertools.accumulate(alphas, operator.mul)))

    @classmethod
    def linear(cls, steps: int, *, first: float = 1e-4, last: float = 0.02) -> Schedule:
        """Return the linear schedule; the papers' range is meant for 1,000 steps."""
        return cls(tuple(torch.linspace(first, last, steps, dtype=torch.float64).tolist()))  # (1)

    @classmethod
    def cosine(cls, steps: int, *, offset: float = 0.008, largest: float = 0.999) -> Schedule:
        """Return the cosine schedule."""

        def f(u: float) -> float:
            return math.cos(math.pi / 2 * (u + offset) / (1 + offset)) ** 2

        return cls(
            tuple(min(1 - f((t + 1) / steps) / f(t / steps), largest) for t in range(steps))
        )  # Eq. (2)

    def signal(self, t: int) -> float:
        """Return A after step t; 1 at t = -1, the data.

        Raises:
            PracticumError: no such time.
        """
        if not -1 <= t < len(self.betas):
            raise PracticumError(f"time {t} is not among -1 to {len(self.betas) - 1}")
        return 1.0 if t == -1 else self.kept[t]

    def times(self, count: int) -> tuple[int, ...]:
        """Return so many times for walking back, the last first and 0 the last of all.

        They are whole multiples of T // count, which diffusers calls "leading".

        Raises:
            PracticumError: more times than steps, or none.
        """
        if not 1 <= count <= len(self.betas):
            raise PracticumError(f"{count} of {len(self.betas)} steps cannot be taken")
        apart = len(self.betas) // count
        return tuple(apart * i for i in reversed(range(count)))

    def noised(
        self, x: Float[Tensor, "B *data"], t: Int[Tensor, "B"], noise: Float[Tensor, "B *data"]
    ) -> Float[Tensor, "B *data"]:
        """Return every example with the noise of its own time, Eq. (3)."""
        kept = torch.tensor(self.kept, dtype=torch.float64, device=x.device)[t]
        kept = kept.reshape(-1, *[1] * (x.ndim - 1))
        return kept.sqrt().to(x.dtype) * x + (1 - kept).sqrt().to(x.dtype) * noise  # Eq. (3)

    def start(
        self,
        x: Float[Tensor, "B *data"],
        noise: Float[Tensor, "B *data"],
        t: int,
        *,
        clip: float | None = None,
    ) -> Float[Tensor, "B *data"]:
        """Return the data that the noise in x would mean, within -clip to clip if that is given."""
        signal = self.signal(t)
        guess = (x - math.sqrt(1 - signal) * noise) / math.sqrt(signal)  # Eq. (4)
        return guess if clip is None else guess.clamp(-clip, clip)

    def added(self, t: int, before: int) -> float:
        """Return b of Eq. (5), the variance that is added from an earlier time up to time t.

        Raises:
            PracticumError: the earlier time is not earlier.
        """
        if not before < t:
            raise PracticumError(f"a step back from time {t} leads to an earlier one, not {before}")
        if before == t - 1:
            return self.betas[t]  # exact, where the quotient would round
        return 1 - self.signal(t) / self.signal(before)

    def posterior(
        self, start: Float[Tensor, "B *data"], x: Float[Tensor, "B *data"], t: int, before: int
    ) -> tuple[Float[Tensor, "B *data"], float]:
        """Return mean and variance of the state at an earlier time, given data and x at time t.

        Raises:
            PracticumError: the earlier time is not earlier.
        """
        b, of_t, of_s = self.added(t, before), self.signal(t), self.signal(before)
        from_start = math.sqrt(of_s) * b / (1 - of_t)
        from_x = math.sqrt(1 - b) * (1 - of_s) / (1 - of_t)
        return from_start * start + from_x * x, b * (1 - of_s) / (1 - of_t)  # Eq. (5)


def ddpm_step(
    schedule: Schedule,
    x: Float[Tensor, "B *data"],
    predicted: Float[Tensor, "B *data"],
    t: int,
    before: int,
    noise: Float[Tensor, "B *data"],
    *,
    variance: str = "small",
    clip: float | None = None,
) -> Float[Tensor, "B *data"]:
    """Return the state at an earlier time, drawn as DDPM does, Eq. (6).

    Args:
        schedule: the noise of each step.
        x: the state at time t.
        predicted: the noise that a network sees in x.
        t: the time of x.
        before: the earlier time; -1 is the data, where no noise is added.
        noise: standard normal numbers.
        variance: "small" for v, "large" for b.
        clip: bound on the size of the predicted data, or None.

    Raises:
        PracticumError: the earlier time is not earlier, or no such variance.
    """
    if variance not in VARIANCES:
        raise unknown("variance", variance, VARIANCES)
    start = schedule.start(x, predicted, t, clip=clip)
    mean, v = schedule.posterior(start, x, t, before)
    if before < 0:
        return mean
    v = v if variance == "small" else schedule.added(t, before)
    return mean + math.sqrt(v) * noise  # Eq. (6)


def ddim_step(
    schedule: Schedule,
    x: Float[Tensor, "B *data"],
    predicted: Float[Tensor, "B *data"],
    t: int,
    before: int,
    noise: Float[Tensor, "B *data"] | None = None,
    *,
    eta: float = 0.0,
    clip: float | None = None,
) -> Float[Tensor, "B *data"]:
    """Return the state at an earlier time as DDIM finds it, Eq. (7).

    Args:
        schedule: the noise of each step.
        x: the state at time t.
        predicted: the noise that a network sees in x.
        t: the time of x.
        before: the earlier time; -1 is the data.
        noise: standard normal numbers; needed where eta is above zero.
        eta: 0 for no noise, 1 for that of DDPM.
        clip: bound on the size of the predicted data, or None.

    Raises:
        PracticumError: the earlier time is not earlier, eta outside 0 to 1, or noise missing.
    """
    if not 0 <= eta <= 1 or (eta > 0 and noise is None):
        raise PracticumError(
            f"a DDIM step with eta = {eta}: it is from 0 to 1, and above 0 it needs noise"
        )
    start = schedule.start(x, predicted, t, clip=clip)
    of_s = schedule.signal(before)
    v = schedule.added(t, before) * (1 - of_s) / (1 - schedule.signal(t))
    w = eta * math.sqrt(v)
    toward = math.sqrt(max(0.0, 1 - of_s - w**2))  # w^2 <= v <= 1 - A_s, but for rounding
    x = math.sqrt(of_s) * start + toward * predicted
    return x if noise is None or eta == 0 else x + w * noise  # Eq. (7)


def ddim_encoding_step(
    schedule: Schedule,
    x: Float[Tensor, "B *data"],
    predicted: Float[Tensor, "B *data"],
    t: int,
    after: int,
) -> Float[Tensor, "B *data"]:
    """Return the state at a later time to which DDIM without noise leads, Eq. (8).

    Args:
        schedule: the noise of each step.
        x: the state at time t.
        predicted: the noise that a network sees in x.
        t: the time of x; -1 is the data.
        after: the later time.

    Raises:
        PracticumError: the later time is not later.
    """
    schedule.added(after, t)
    signal = schedule.signal(after)
    start = schedule.start(x, predicted, t)
    return math.sqrt(signal) * start + math.sqrt(1 - signal) * predicted  # Eq. (8)


def walk_back(
    step: Callable[[Tensor, Tensor, int, int], Tensor],
    predict: Callable[[Tensor, int], Tensor],
    x: Float[Tensor, "B *data"],
    times: Sequence[int],
) -> Float[Tensor, "B *data"]:
    """Walk from noise to data.

    Args:
        step: (x, predicted noise, t, before) -> the state before; one of the steps above with its
            schedule and its noise.
        predict: (x, t) -> the noise that a network sees in x.
        x: standard normal numbers.
        times: from the last to the first, as `Schedule.times` gives them.
    """
    for t, before in zip(times, (*times[1:], -1), strict=True):
        x = step(x, predict(x, t), t, before)
    return x
