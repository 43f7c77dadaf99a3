"""Linear and softmax regression, and their exact optima, against loops and scikit-learn.

Would catch: an objective that sums where it should average, a decay that is doubled or that spares
the intercept, a closed form of another objective, an optimum that is not one, a certificate that
promises too much.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from practicum.errors import PracticumError
from practicum.nn.linear import (
    LinearModel,
    excess_bound,
    softmax_objective,
    softmax_optimum,
    squared_objective,
    squared_optimum,
    with_constant,
)

N, D, K = 41, 5, 3
_made = torch.Generator().manual_seed(4)
X = torch.randn(N, D, generator=_made, dtype=torch.float64)
W = torch.randn(D, K, generator=_made, dtype=torch.float64)
VALUES = X @ W + torch.randn(N, K, generator=_made, dtype=torch.float64)
CLASSES = torch.multinomial((X @ W).softmax(1), 1, generator=_made)[:, 0]


def test_outputs_are_weighted_sums_of_flattened_examples() -> None:
    model = LinearModel(6, 2, deviation=1.0).double()
    x = torch.randn(3, 2, 3, dtype=torch.float64)
    weight = model.weight.detach()
    for i in range(3):
        for k in range(2):
            flat = x[i].flatten().tolist()
            total = sum(v * float(weight[j, k]) for j, v in enumerate(flat))
            assert float(model(x)[i, k].detach()) == pytest.approx(total)
    assert not LinearModel(6, 2).weight.any()


def test_the_constant_is_the_last_feature() -> None:
    rows = with_constant(X.reshape(N, 1, D))
    assert torch.equal(rows[:, :D], X)
    assert torch.equal(rows[:, D], torch.ones(N, dtype=torch.float64))


def naive(kind: str, decay: float) -> float:
    total = 0.0
    for i in range(N):
        z = [sum(float(X[i, j] * W[j, k]) for j in range(D)) for k in range(K)]
        if kind == "squared":
            total += sum((z[k] - float(VALUES[i, k])) ** 2 for k in range(K)) / 2
        else:
            total -= z[int(CLASSES[i])] - math.log(sum(math.exp(one) for one in z))
    return total / N + decay / 2 * sum(float(w) ** 2 for w in W.flatten())


def test_objectives_equal_the_sums_written_out() -> None:
    assert float(squared_objective(W, X, VALUES, 0.3)) == pytest.approx(naive("squared", 0.3))
    assert float(softmax_objective(W, X, CLASSES, 0.3)) == pytest.approx(naive("softmax", 0.3))
    assert float(softmax_objective(W, X, CLASSES, 0.3)) != pytest.approx(naive("softmax", 0.6))


def test_the_closed_form_is_scikit_learns_ridge_and_has_no_gradient() -> None:
    ours = squared_optimum(X, VALUES, 0.2).requires_grad_()
    peer = Ridge(alpha=0.2 * N, fit_intercept=False, solver="cholesky").fit(X, VALUES)
    np.testing.assert_allclose(ours.detach(), peer.coef_.T, rtol=1e-10)
    (gradient,) = torch.autograd.grad(squared_objective(ours, X, VALUES, 0.2), ours)
    assert float(gradient.abs().max()) < 1e-13
    # The optimum of another decay does not pass.
    other = squared_optimum(X, VALUES, 0.1).requires_grad_()
    (gradient,) = torch.autograd.grad(squared_objective(other, X, VALUES, 0.2), other)
    assert float(gradient.abs().max()) > 1e-2


@pytest.mark.parametrize("decay", [0.01, 0.3])
def test_the_softmax_optimum_is_scikit_learns_to_1e_10(decay: float) -> None:
    ours = softmax_optimum(X, CLASSES, K, decay)
    peer = LogisticRegression(
        C=1 / (decay * N), fit_intercept=False, solver="lbfgs", tol=1e-12, max_iter=10000
    ).fit(X, CLASSES)
    theirs = torch.from_numpy(np.ascontiguousarray(peer.coef_.T))
    reached = float(softmax_objective(ours, X, CLASSES, decay))
    assert abs(reached - float(softmax_objective(theirs, X, CLASSES, decay))) < 1e-10
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_certificate_never_promises_too_much() -> None:
    decay = 0.05
    best = softmax_optimum(X, CLASSES, K, decay, tolerance=1e-13)
    lowest = float(softmax_objective(best, X, CLASSES, decay))
    for distance in (1e-4, 1e-2, 1.0):
        near = (best + distance * W).requires_grad_()
        value = softmax_objective(near, X, CLASSES, decay)
        (gradient,) = torch.autograd.grad(value, near)
        excess = float(value.detach()) - lowest
        assert 0 < excess <= excess_bound(gradient, decay)
        assert excess > excess_bound(gradient, decay) / 1000


def test_without_a_decay_or_enough_digits_there_is_no_optimum() -> None:
    with pytest.raises(PracticumError, match="decay"):
        softmax_optimum(X, CLASSES, K, 0.0)
    with pytest.raises(PracticumError, match="known only to"):
        softmax_optimum(X.float(), CLASSES, K, 1e-4, tolerance=1e-16)
