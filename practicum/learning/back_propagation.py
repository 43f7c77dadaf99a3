"""Back-propagation as its paper states it: one change of the weights for each sweep over all cases.

Paper: D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating
errors", Nature 323 (1986) 533-536.

Equations, numbered as in the paper:
    (1)  x_j = sum_i y_i w_ji                      total input of unit j; a bias is the weight
                                                   of an extra input that is always 1
    (2)  y_j = 1 / (1 + exp(-x_j))                 its output
    (3)  E = 1/2 sum_c sum_j (y_jc - d_jc)^2       error, summed over cases c and output units j
    (4)  dE/dy_j = y_j - d_j                       at an output unit, for one case
    (5)  dE/dx_j = dE/dy_j  y_j (1 - y_j)
    (6)  dE/dw_ji = dE/dx_j  y_i                   summed over the cases
    (7)  dE/dy_i = sum_j dE/dx_j  w_ji             one layer further back
    (8)  Dw = -epsilon dE/dw                       gradient descent; Eq. (9) with alpha = 0
    (9)  Dw(t) = -epsilon dE/dw(t) + alpha Dw(t-1) with acceleration

Shapes: S seeds, n cases, I inputs, H hidden units, K outputs, F = H (+ I with direct connections).

`practicum.engine.fit` with full batches and `SGD(momentum=alpha)` computes the same weights (a test
says so). Here the equations themselves are the subject, every sweep looks at every output, and all
seeds go through one sweep together.

Deviations from the paper:
    1. Eq. (2) is computed as (1 + tanh(x / 2)) / 2, the same function, which cannot overflow.
    2. `linear` hidden units leave Eq. (2) out; they are a control and not in the paper.

Signs of trouble: the error E is a sum. With its mean over n cases in its place every step is n
times shorter at the same epsilon.
Cost: about 6 n (I H + F K) multiplications a sweep and seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from practicum.engine.services import Services
from practicum.errors import PracticumError

REPORT_EVERY = 25  # sweeps between two progress reports
Targets = Float[Array, "n K"] | Float[Array, "S n K"]
"""Desired outputs, 0 or 1: the same for all seeds, or each seed its own."""

HALF = 0.5 - 1e-9  # nearer to 1/2 than this, rounding decides on which side of it an output is
CLOSE = 0.1  # the stricter of the two criteria of success: every output within this of its target


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of one hidden layer and the outputs, for many seeds; biases are the last rows.

    Attributes:
        hidden: from inputs and constant to hidden units; H may be 0.
        output: from hidden units, inputs (where these are connected directly) and constant to
            output units.
        linear: whether hidden units pass on their total input as it is.
    """

    hidden: Float[Array, "S i H"]
    output: Float[Array, "S f K"]
    linear: bool = False

    @property
    def direct(self) -> bool:
        """Whether inputs are connected to the output units."""
        return bool(self.output.shape[1] > self.hidden.shape[2] + 1)


def draw(
    generators: Sequence[np.random.Generator],
    *,
    inputs: int,
    hidden: int,
    outputs: int = 1,
    direct: bool = False,
    linear: bool = False,
    spread: float,
) -> Weights:
    """Draw initial weights and biases, uniform between -spread and spread.

    Args:
        generators: one for each seed.
        inputs: I.
        hidden: H; 0 for a network without hidden units, which needs direct connections.
        outputs: K.
        direct: connect the inputs to the output units as well.
        linear: hidden units pass on their total input as it is.
        spread: largest size of a weight.

    Raises:
        PracticumError: neither hidden units nor direct connections, so that nothing is connected.
    """
    if hidden == 0 and not direct:
        raise PracticumError("a network without hidden units needs direct connections")
    features = hidden + (inputs if direct else 0)
    first, last = (inputs + 1, hidden), (features + 1, outputs)
    drawn = [
        tuple(one.uniform(-spread, spread, shape) for shape in (first, last)) for one in generators
    ]
    return Weights(
        hidden=np.stack([one for one, _ in drawn]),
        output=np.stack([one for _, one in drawn]),
        linear=linear,
    )


def outputs(weights: Weights, x: Float[Array, "n I"]) -> Float[Array, "S n K"]:
    """Return the outputs of every seed's network for every case."""
    return _forward(weights, _with_constant(x))[2]


def gradient(weights: Weights, x: Float[Array, "n I"], d: Targets) -> Weights:
    """Return dE/dw, in the shape of the weights."""
    x_nI = _with_constant(x)
    hidden, output = _backward(weights, x_nI, d, *_forward(weights, x_nI))
    return Weights(hidden=hidden, output=output, linear=weights.linear)


def _with_constant(x: Float[Array, "n I"]) -> Float[Array, "n i"]:
    return np.concatenate((x, np.ones((len(x), 1))), axis=1)


def _logistic(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    value: Float[Array, "*shape"] = 0.5 * (1.0 + np.tanh(0.5 * x))  # Eq. (2)
    return value


def _forward(
    weights: Weights, x_nI: Float[Array, "n i"]
) -> tuple[Float[Array, "S n H"], Float[Array, "S n f"], Float[Array, "S n K"]]:
    """Return the outputs of the hidden units, all that feeds the output units, and the outputs."""
    total_SnH = x_nI @ weights.hidden  # Eq. (1)
    y_SnH = total_SnH if weights.linear else _logistic(total_SnH)
    beside = x_nI if weights.direct else x_nI[:, -1:]  # the constant is the last column
    y_SnF = np.concatenate((y_SnH, np.broadcast_to(beside, (len(y_SnH), *beside.shape))), axis=2)
    return y_SnH, y_SnF, _logistic(y_SnF @ weights.output)  # Eq. (1), Eq. (2)


def _backward(
    weights: Weights,
    x_nI: Float[Array, "n i"],
    d: Targets,
    y_SnH: Float[Array, "S n H"],
    y_SnF: Float[Array, "S n f"],
    y_SnK: Float[Array, "S n K"],
) -> tuple[Float[Array, "S i H"], Float[Array, "S f K"]]:
    by_y = y_SnK - d  # Eq. (4)
    by_x = by_y * y_SnK * (1.0 - y_SnK)  # Eq. (5)
    to_output = y_SnF.transpose(0, 2, 1) @ by_x  # Eq. (6)
    from_hidden = weights.output[:, : y_SnH.shape[2]]
    by_y = by_x @ from_hidden.transpose(0, 2, 1)  # Eq. (7)
    by_x = by_y if weights.linear else by_y * y_SnH * (1.0 - y_SnH)  # Eq. (5)
    return x_nI.T @ by_x, to_output  # Eq. (6)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What many sweeps left.

    Attributes:
        weights: after the last sweep.
        steps: the sweeps at which the curves were taken, 0 among them.
        error: E at these sweeps.
        wrong: cases at these sweeps in which some output is not on its target's side of 1/2, by
            more than rounding.
        most_right: the most cases that were not wrong at any sweep.
        right_since: sweeps after which every output is on its target's side of 1/2 and stays there
            to the end; infinity if it is not there at the end.
        close_since: the same for outputs within 0.1 of their targets.
    """

    weights: Weights
    steps: Float[Array, "points"]
    error: Float[Array, "S points"]
    wrong: Float[Array, "S points"]
    most_right: Float[Array, "S"]
    right_since: Float[Array, "S"]
    close_since: Float[Array, "S"]


def learn(
    weights: Weights,
    x: Float[Array, "n I"],
    d: Targets,
    *,
    epsilon: float,
    alpha: float,
    sweeps: int,
    every: int,
    services: Services,
) -> Learned:
    """Sweep over all cases and change the weights after each sweep, Eq. (9).

    Args:
        weights: where to start.
        x: inputs of the cases.
        d: desired outputs, the same for all seeds or each seed its own.
        epsilon: the learning rate, for the gradient summed over the cases.
        alpha: how much of the last change is made again.
        sweeps: changes made.
        every: sweeps between two points of the curves.
        services: told of every sweep, and asked whether to stop.
    """
    x_nI, hidden, output = _with_constant(x), weights.hidden.copy(), weights.output.copy()
    by_hidden, by_output = np.zeros_like(hidden), np.zeros_like(output)
    now = Weights(hidden=hidden, output=output, linear=weights.linear)  # changed in place below
    curves: list[tuple[int, Float[Array, "S"], Float[Array, "S"]]] = []
    most_right = np.zeros(len(hidden))
    last_wrong = np.full((2, len(hidden)), -1.0)  # by criterion: right side, close
    for sweep in range(sweeps + 1):
        y_SnH, y_SnF, y_SnK = _forward(now, x_nI)
        distance = np.abs(y_SnK - d).max(axis=2)
        wrong = ~(distance < HALF)  # a half is wrong, and so is what is not a number
        most_right = np.maximum(most_right, (~wrong).sum(axis=1))
        last_wrong[0, wrong.any(axis=1)] = sweep
        last_wrong[1, ~(distance.max(axis=1) <= CLOSE)] = sweep
        if sweep % every == 0 or sweep == sweeps:
            error = 0.5 * np.square(y_SnK - d).sum(axis=(1, 2))  # Eq. (3)
            curves.append((sweep, error, wrong.sum(axis=1).astype(np.float64)))
        if sweep == sweeps:
            break
        gradients = _backward(now, x_nI, d, y_SnH, y_SnF, y_SnK)
        for w, change, g in zip((hidden, output), (by_hidden, by_output), gradients, strict=True):
            change *= alpha
            change -= epsilon * g  # Eq. (9)
            w += change
        _tell(services, sweep + 1, sweeps)
    since = np.where(last_wrong < sweeps, last_wrong + 1, np.inf)
    return Learned(
        weights=now,
        steps=np.array([step for step, _, _ in curves], dtype=np.float64),
        error=np.stack([error for _, error, _ in curves], axis=1),
        wrong=np.stack([count for _, _, count in curves], axis=1),
        most_right=most_right,
        right_since=since[0],
        close_since=since[1],
    )


def _tell(services: Services, done: int, sweeps: int) -> None:
    if services.probe is not None:
        services.probe(done, sweeps)
    if done % REPORT_EVERY == 0 or done == sweeps:
        services.progress(done, sweeps)
    if services.poll is not None:
        services.poll()
