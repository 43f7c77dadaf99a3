"""Linear regression and softmax regression: one layer of weighted sums, and its exact optimum.

Source: Bishop, "Pattern Recognition and Machine Learning", Springer 2006, sections 3.1 and 4.3;
the numbering is ours.

Equations (mean over n examples; lambda, the decay, is the same for every weight):
    z_i  = W' x_i                                                        (1) outputs
    F(W) = 1/(2n) sum_i |z_i - y_i|^2 + lambda/2 |W|^2                   (2) linear regression
    F(W) = -1/n sum_i log softmax(z_i)[y_i] + lambda/2 |W|^2             (3) softmax regression
    W*   = (X'X/n + lambda I)^-1 X'y/n                                   (4) the minimum of (2)
    F(W) - F(W*) <= |grad F(W)|^2 / (2 lambda)                           (5) both are convex enough

Two classes of softmax regression are logistic regression. There is no intercept: append a feature
that is always 1 (`with_constant`), and the intercept is one more weight, decayed as the others.

Shapes: n examples, D features, K outputs; W is [D, K].

Deviation: Eq. (3) has no closed minimum. `softmax_optimum` walks there by L-BFGS and uses Eq. (5)
as its certificate: with a decay, a short gradient proves that nothing lower is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from practicum.errors import PracticumError


class LinearModel(nn.Module):
    """Weighted sums of the features, one for each output.

    Args:
        inputs: D, numbers per example after flattening.
        outputs: K.
        deviation: of the normal distribution that the first weights are drawn from.
    """

    def __init__(self, inputs: int, outputs: int, *, deviation: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(deviation * torch.randn(inputs, outputs))

    def forward(self, x: Float[Tensor, "n *features"]) -> Float[Tensor, "n K"]:
        """Return the outputs before any softmax."""
        z: Tensor = x.flatten(1) @ self.weight  # Eq. (1)
        return z


def with_constant(x: Float[Tensor, "n *features"]) -> Float[Tensor, "n D"]:
    """Return the examples as rows with a last feature that is always 1."""
    return torch.cat((x.flatten(1), x.new_ones(len(x), 1)), 1)


def squared_objective(
    weight: Float[Tensor, "D K"], x: Float[Tensor, "n D"], y: Float[Tensor, "n K"], decay: float
) -> Float[Tensor, ""]:
    """Return Eq. (2), in half squared units of y."""
    misfit: Tensor = (x @ weight - y).square().sum() / (2 * len(x))
    return misfit + decay / 2 * weight.square().sum()


def softmax_objective(
    weight: Float[Tensor, "D K"], x: Float[Tensor, "n D"], y: Int[Tensor, "n"], decay: float
) -> Float[Tensor, ""]:
    """Return Eq. (3), in nats."""
    return F.cross_entropy(x @ weight, y) + decay / 2 * weight.square().sum()


def squared_optimum(
    x: Float[Tensor, "n D"], y: Float[Tensor, "n K"], decay: float
) -> Float[Tensor, "D K"]:
    """Return the weights that minimise Eq. (2)."""
    moment = x.T @ x / len(x) + decay * torch.eye(x.shape[1], dtype=x.dtype)
    weight: Tensor = torch.linalg.solve(moment, x.T @ y / len(x))  # Eq. (4)
    return weight


def softmax_optimum(
    x: Float[Tensor, "n D"],
    y: Int[Tensor, "n"],
    classes: int,
    decay: float,
    *,
    tolerance: float = 1e-10,
) -> Float[Tensor, "D K"]:
    """Return weights whose objective, Eq. (3), is proved to be within `tolerance` of the minimum.

    Args:
        x: examples in float64.
        y: class numbers.
        classes: K.
        decay: lambda, above zero.
        tolerance: the largest excess that Eq. (5) may leave, in nats.

    Raises:
        PracticumError: no decay, or the certificate is not reached.
    """
    from scipy.optimize import minimize

    if not decay > 0:
        raise PracticumError(f"the decay is {decay}; without one above 0 there may be no optimum")
    shape = (x.shape[1], classes)

    def value_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight = torch.as_tensor(flat, dtype=x.dtype).reshape(shape).requires_grad_()
        value = softmax_objective(weight, x, y, decay)
        (gradient,) = torch.autograd.grad(value, weight)
        return value.item(), gradient.flatten().double().numpy()

    # Begun anew where it stopped: a fresh memory goes on where an old one stalls.
    flat = np.zeros(shape[0] * shape[1])
    enough = (2 * decay * tolerance) ** 0.5
    for _ in range(5):
        options: Any = {
            "maxiter": 5000,
            "maxfun": 20000,
            "ftol": 0.0,
            "gtol": enough / len(flat) ** 0.5,
        }
        flat = minimize(value_and_gradient, flat, jac=True, method="L-BFGS-B", options=options).x
        gap = excess_bound(torch.as_tensor(value_and_gradient(flat)[1]), decay)
        if gap <= tolerance:
            return torch.as_tensor(flat, dtype=x.dtype).reshape(shape)
    raise PracticumError(
        f"the optimum is known only to {gap:.1e} nats, not to {tolerance:.0e}; standardise the "
        "features, use float64, or raise the decay"
    )


def excess_bound(gradient: Float[Tensor, "*shape"], decay: float) -> float:
    """Return the most by which an objective with this gradient can exceed its minimum, Eq. (5)."""
    return float(gradient.square().sum()) / (2 * decay)
