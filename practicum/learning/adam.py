"""Adam and AMSGrad: every parameter has a step size of its own, from averages of its gradients.

Papers: Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980v9,
algorithm 1. Reddi, Kale, Kumar, "On the convergence of Adam and beyond", ICLR 2018,
arXiv:1904.09237v1, algorithm 2 (AMSGrad).

Equations (the papers number none of these lines; numbered for this file, elementwise throughout):
    (1)  m_t = beta1 m_{t-1} + (1 - beta1) g_t               average of the gradients
    (2)  v_t = beta2 v_{t-1} + (1 - beta2) g_t^2             average of their squares
    (3)  m^_t = m_t / (1 - beta1^t)                          bias correction: both averages
         v^_t = v_t / (1 - beta2^t)                          begin at zero
    (4)  theta_t = theta_{t-1} - alpha m^_t / (sqrt(v^_t) + epsilon)              Adam
    (5)  s_t = max(s_{t-1}, v_t)                             the longest memory
    (6)  theta_t = theta_{t-1} - alpha m^_t / (sqrt(s^_t) + epsilon)              AMSGrad
         s^_t = s_t / (1 - beta2^t)
    (7)  without Eq. (3) the step is larger by (1 - beta1^t) / sqrt(1 - beta2^t)

Eq. (7) is (1 - beta1) / sqrt(1 - beta2) at t = 1, about 3.2 at the usual settings; it grows for
some steps after that, and has fallen to nearly one after several times 1 / (1 - beta2) steps.

Shapes: any; all arrays of one rule have the shape of theta.

Deviations:
    1. Algorithm 2 has neither the bias correction nor epsilon: `correct=False`, `epsilon=0`. With
       the correction Eq. (6) takes the maximum of uncorrected averages and corrects it after, which
       is what `torch.optim.Adam(amsgrad=True)` computes.
    2. Algorithm 2 projects onto a feasible set after the step; callers do that themselves.
Signs of trouble: |theta_t - theta_{t-1}| well above alpha in the first steps is a missing Eq. (3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from practicum.errors import PracticumError

Array = NDArray[np.float64]
"""Of any shape, float64: the rules are for reading and for checking; training uses torch.optim."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The four numbers of Adam; the defaults are the paper's.

    Raises:
        PracticumError: a number lies outside its range.
    """

    alpha: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        for name, beta in (("beta1", self.beta1), ("beta2", self.beta2)):
            if not 0.0 <= beta < 1.0:
                raise PracticumError(f"{name} is {beta}; it must be at least 0 and below 1")
        if not self.alpha > 0.0 or not self.epsilon >= 0.0:
            raise PracticumError(
                f"alpha must be above 0 and epsilon at least 0, not {self.alpha}, {self.epsilon}"
            )


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What the rules remember between steps.

    Attributes:
        m: average of the gradients.
        v: average of their squares.
        largest: the largest v so far; only AMSGrad looks at it.
        t: steps done.
    """

    m: Array
    v: Array
    largest: Array
    t: int = 0

    @classmethod
    def zero(cls, theta: Array) -> Moments:
        """Return the memory before the first step."""
        nothing = np.zeros_like(theta)
        return cls(m=nothing, v=nothing, largest=nothing)

    def after(self, gradient: Array, settings: Settings) -> Moments:
        """Return the memory with one more gradient in it."""
        v = settings.beta2 * self.v + (1.0 - settings.beta2) * gradient**2  # Eq. (2)
        return Moments(
            m=settings.beta1 * self.m + (1.0 - settings.beta1) * gradient,  # Eq. (1)
            v=v,
            largest=np.maximum(self.largest, v),  # Eq. (5)
            t=self.t + 1,
        )


def adam(
    theta: Array, moments: Moments, gradient: Array, settings: Settings, *, correct: bool = True
) -> tuple[Array, Moments]:
    """Return parameters and memory after a step of Adam.

    Args:
        theta: the parameters.
        moments: the memory before the step.
        gradient: of the loss at theta.
        settings: the four numbers.
        correct: whether the bias of the averages is corrected, Eq. (3).
    """
    moments = moments.after(gradient, settings)
    return theta - _step(moments, moments.v, settings, correct), moments  # Eq. (4)


def amsgrad(
    theta: Array, moments: Moments, gradient: Array, settings: Settings, *, correct: bool = True
) -> tuple[Array, Moments]:
    """Return parameters and memory after a step of AMSGrad; arguments as for `adam`."""
    moments = moments.after(gradient, settings)
    return theta - _step(moments, moments.largest, settings, correct), moments  # Eq. (6)


def enlargement(t: int, settings: Settings) -> float:
    """Return the factor by which step t is larger where Eq. (3) is left out (epsilon aside)."""
    return (1.0 - settings.beta1**t) / math.sqrt(1.0 - settings.beta2**t)  # Eq. (7)


def _step(moments: Moments, second: Array, settings: Settings, correct: bool) -> Array:
    """Return what is subtracted from the parameters."""
    m = moments.m
    if correct:
        m = m / (1.0 - settings.beta1**moments.t)  # Eq. (3)
        second = second / (1.0 - settings.beta2**moments.t)
    step: Array = settings.alpha * m / (np.sqrt(second) + settings.epsilon)
    return step
