"""How the error flows back through time: exact factors, step by step, and the paper's regularizer.

Source: Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks",
ICML 2013, arXiv:1211.5063v2. Equations, numbered as there; x_t is what a unit receives, h_t =
tanh(x_t) what it gives, and E the loss of one sequence, at its end:
    x_t = W_rec h_{t-1} + W_in u_t + b                                              (2)
    dx_t / dx_k = product over t >= i > k of W_rec diag(tanh'(x_{i-1}))             (5)
    Omega = sum over k of (|| dE/dx_{k+1} dx_{k+1}/dx_k || / || dE/dx_{k+1} || - 1)^2   (9)

The ratio in (9) is the factor by which the error grows or shrinks in one step back. The product of
these factors is how much of the error of the end reaches a time step; so the same walk measures the
gradient and gives Omega. Errors are scaled to length 1 at every step: nothing underflows, however
long the sequence.

As in the paper, only the immediate effect of W_rec on Omega is differentiated: the errors and the
states count as constants.

Deviations:
    1. The ratio is that of each sequence, and Omega the mean over sequences.
    2. The sum over k is a mean over k, so that the weight of Omega means the same at every length.

Shapes: B sequences, T time steps, H hidden units, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.nn.rnn import RNN

TINY = 1e-12  # length below which an error has no direction


class Classifier(nn.Module):
    """A plain recurrent network whose last state is classified by a linear layer.

    Args:
        inputs: numbers at each time step.
        hidden: H.
        classes: C.
        radius: spectral radius of the first W_rec.
        orthogonal: whether the first W_rec is radius times an orthogonal matrix; otherwise its
            entries are normal numbers, all scaled to that radius.
    """

    def __init__(
        self, inputs: int, hidden: int, classes: int, *, radius: float, orthogonal: bool
    ) -> None:
        super().__init__()
        self.rnn = RNN(inputs, hidden)
        self.readout = nn.Linear(hidden, classes)
        w = torch.randn(hidden, hidden)
        if orthogonal:
            w = torch.linalg.qr(w).Q
        (_, w_hh, *_) = self.rnn.weights(0)
        with torch.no_grad():
            w_hh.copy_(w * (radius / spectral_radius(w)))

    def forward(
        self, x: Float[Tensor, "B T D"], y: Int[Tensor, "B"] | None = None
    ) -> tuple[Float[Tensor, "B C"], Float[Tensor, "S B"] | None]:
        """Return the logits and, if the classes are given, the factors of the error's way back.

        The factors are those of `factors`, of the cross-entropy of each sequence.
        """
        h_BTH, _ = self.rnn(x)
        logits_BC = self.readout(h_BTH[:, -1])
        if y is None:
            return logits_BC, None
        with torch.no_grad():
            wrong_BC = logits_BC.softmax(1) - F.one_hot(y, logits_BC.shape[1])
            end_BH = wrong_BC @ self.readout.weight
        return logits_BC, factors(h_BTH.detach(), self.rnn.weights(0)[1], end_BH)


def spectral_radius(w: Float[Tensor, "H H"]) -> float:
    """Return the largest absolute value of an eigenvalue."""
    return float(torch.linalg.eigvals(w.detach().double()).abs().max())


def factors(
    h_BTH: Float[Tensor, "B T H"], w_HH: Float[Tensor, "H H"], end_BH: Float[Tensor, "B H"]
) -> Float[Tensor, "S B"]:
    """Return || dE/dx_k || / || dE/dx_{k+1} || for k = 1 .. T-1, [T-1, B]; the earliest k first.

    Differentiable with respect to `w_HH` as the paper has it: errors and states are constants.

    Args:
        h_BTH: the states tanh(x_t).
        w_HH: W_rec.
        end_BH: dE/dh_T.
    """
    slopes_TBH = (1 - h_BTH.detach() ** 2).transpose(0, 1)  # tanh'(x_t)
    with torch.no_grad():
        error_BH = unit(end_BH * slopes_TBH[-1])
        errors = []
        for t in range(len(slopes_TBH) - 2, -1, -1):
            errors.append(error_BH)  # of x_{t+1}
            error_BH = unit((error_BH @ w_HH) * slopes_TBH[t])  # Eq. (5), one factor
        errors_SBH = torch.stack(errors[::-1])
    back_SBH = (errors_SBH @ w_HH) * slopes_TBH[:-1]
    return (back_SBH.square().sum(-1) + TINY**2).sqrt()


def unit(error_BH: Float[Tensor, "B H"]) -> Float[Tensor, "B H"]:
    """Return the errors scaled to length 1."""
    length_B1: Tensor = torch.linalg.vector_norm(error_BH, dim=-1, keepdim=True)
    return error_BH / length_B1.clamp(min=TINY)


def omega(factors_SB: Float[Tensor, "S B"]) -> Float[Tensor, ""]:
    """Return the regularizer: how far the factors are from 1, squared."""
    return (factors_SB - 1).square().mean()  # Eq. (9), deviations 1 and 2


def log_norms(factors_SB: Float[Tensor, "S B"]) -> Float[Tensor, "S"]:
    """Return the mean over sequences of log10 || dE/dx_{T-lag} || / || dE/dx_T ||, lags from 1."""
    return factors_SB.double().log10().flip(0).cumsum(0).mean(1)  # product of Eq. (5)


def growth(factors_SB: Float[Tensor, "S B"]) -> Float[Tensor, ""]:
    """Return the factor of one step back, geometric mean over time steps and sequences."""
    return factors_SB.double().log().mean().exp()
