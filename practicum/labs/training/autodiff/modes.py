"""Four ways to a gradient, each with the operations that it takes.

    reverse      one sweep from the result back to the inputs                               (1)
    forward      one pass for each input i, in the direction of its unit vector             (2)
    differences  (f(w + h e_i) - f(w - h e_i)) / 2h                                         (3)
    complex step Im f(w + i h e_i) / h                                                      (4)

Equation (4): W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real
functions", SIAM Review 40(1), 110-112, 1998. Nothing is subtracted in it, so h may be so small that
its square vanishes beside one, and the result is right up to rounding.

Shapes: n inputs; derivatives along k of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from practicum import autograd as ag
from practicum.autograd import Tensor
from practicum.labs.training.autodiff.forward import derivative
from practicum.labs.training.autodiff.programs import Array, Task
from practicum.labs.training.autodiff.scalar import Value, backward, order

Chosen = NDArray[np.int64]
STEP = 1e-30  # of Eq. (4)


def value_operations(task: Task) -> int:
    """Return the operations of the value alone."""
    return ag.operations(task.program(Tensor(task.at)))


def reverse(task: Task) -> tuple[Array, int, float]:
    """Return the gradient [n], the operations of the value, and those of both."""
    w = Tensor(task.at)
    value = task.program(w)
    (gradient,) = ag.gradients(value, [w])  # Eq. (1)
    counted = ag.operations(value)
    # Values that the backward sweep takes over are constants in it: nothing is counted twice.
    return gradient.value, counted, counted + ag.operations(gradient)


def forward(task: Task, chosen: Chosen) -> tuple[Array, int, float]:
    """Return derivatives [k], the operations of the value, and those of all n passes.

    The passes for the chosen inputs are run; the others are taken to cost their mean.
    """
    slopes, costs = [], []
    for i in chosen:
        direction = np.zeros(len(task.at))
        direction[i] = 1.0
        slope, cost = derivative(task.program, task.at, direction)  # Eq. (2)
        slopes.append(slope)
        costs.append(cost)
    return np.array(slopes), value_operations(task), len(task.at) * float(np.mean(costs))


def scalar(task: Task) -> tuple[Array, int, float]:
    """Return the gradient [n] by single numbers, the operations of the value, and those of both.

    The program must pick its inputs one by one.
    """
    inputs = [Value(float(one)) for one in task.at]
    result = task.program(inputs)
    counted = sum(bool(one.parents) for one in order(result))
    swept = backward(result)
    return np.array([one.gradient for one in inputs]), counted, counted + swept


def differences(task: Task, chosen: Chosen, h: float) -> Array:
    """Return derivatives [k] by central differences with step h."""
    found = []
    for i in chosen:
        up, down = task.at.copy(), task.at.copy()
        up[i] += h
        down[i] -= h
        rise = task.program(Tensor(up)).value - task.program(Tensor(down)).value
        found.append(float(rise) / (2.0 * h))  # Eq. (3)
    return np.array(found)


def complex_step(task: Task, chosen: Chosen) -> Array:
    """Return derivatives [k] by complex step."""
    found = []
    for i in chosen:
        w = task.at.astype(np.complex128)
        w[i] += 1j * STEP
        found.append(float(task.program(Tensor(w)).value.imag) / STEP)  # Eq. (4)
    return np.array(found)
