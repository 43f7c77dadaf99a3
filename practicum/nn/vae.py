"""The variational autoencoder: a code that is drawn, and a bound on the likelihood that trains it.

Papers: D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014,
arXiv:1312.6114. Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted autoencoders",
ICLR 2016, arXiv:1509.00519 (the tighter bound).

Equations (numbered for this file):
    (1)  q(z | x) = normal(m(x), diag exp(s(x)))     encoder; s is the logarithm of the variance
    (2)  z = m + exp(s / 2) e,  e ~ normal(0, I)     reparameterisation: gradients reach m and s
    (3)  KL(q || p) = 1/2 sum over k of (m_k^2 + exp(s_k) - s_k - 1),  p(z) = normal(0, I)
    (4)  ELBO = mean over samples of log p(x | z) - KL(q || p)         <= log p(x)
    (5)  log w = log p(x | z) + log p(z) - log q(z | x)
    (6)  L_S = log (1/S sum over samples of w)                         <= log p(x), tighter
    (7)  log p(x | z) = sum over d of x_d o_d - log(1 + exp o_d)       bits, from logits o
    (8)  log p(x | z) = - sum over d of (x_d - o_d)^2 / (2 r^2) + log(2 pi r^2) / 2

Everything is in nats for one example, summed over inputs and over units of the code.

Shapes: S samples an example, B examples, D inputs, Z units of the code.

Deviations from Kingma and Welling:
    1. Encoder and decoder are `practicum.nn.mlp`; tanh as in the paper, any depth.
    2. The spread r of Eq. (8) is given, not learnt for every input.

Known failure signs: Eq. (3) near zero for most units of the code (collapse: the decoder ignores
them); with grey values Eq. (7) is no likelihood, and not to be compared with that of bits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.mlp import MLP


class Pass(NamedTuple):
    """What one pass through a variational autoencoder leaves.

    Attributes:
        output: [S, B, D] logits or means, before any squashing.
        code: [S, B, Z] the drawn codes z.
        mean: [B, Z] m.
        log_variance: [B, Z] s.
    """

    output: Tensor
    code: Tensor
    mean: Tensor
    log_variance: Tensor


class VAE(nn.Module):
    """A variational autoencoder with a diagonal normal posterior.

    Args:
        inputs: D.
        hidden: units of the encoder's hidden layers; the decoder has them in reverse.
        code: Z.
        activation: of the hidden units.

    Raises:
        PracticumError: a code without units, or no such activation.
    """

    def __init__(
        self, inputs: int, hidden: tuple[int, ...], code: int, *, activation: str = "tanh"
    ) -> None:
        super().__init__()
        if code < 1:
            raise PracticumError(f"a code of {code} units; it needs at least one")
        self.encoder = MLP(inputs, hidden, 2 * code, activation=activation)
        self.decoder = MLP(code, hidden[::-1], inputs, activation=activation)

    def forward(self, x: Float[Tensor, "B D"], noise: Float[Tensor, "S B Z"]) -> Pass:
        """Encode, draw codes with the given standard normal numbers, decode."""
        mean_BZ, log_variance_BZ = self.encoder(x).chunk(2, dim=1)  # Eq. (1)
        code_SBZ = mean_BZ + (log_variance_BZ / 2).exp() * noise  # Eq. (2)
        output_SBD = self.decoder(code_SBZ.flatten(0, 1)).unflatten(0, code_SBZ.shape[:2])
        return Pass(output_SBD, code_SBZ, mean_BZ, log_variance_BZ)


def divergence(
    mean: Float[Tensor, "B Z"], log_variance: Float[Tensor, "B Z"]
) -> Float[Tensor, "B Z"]:
    """Return KL(q || p) of every unit of the code, in nats; their sum is Eq. (3)."""
    return (mean.square() + log_variance.exp() - log_variance - 1) / 2  # Eq. (3)


def log_bernoulli(logits: Float[Tensor, "S B D"], x: Float[Tensor, "B D"]) -> Float[Tensor, "S B"]:
    """Return log p(x | z) for bits."""
    return (x * logits - F.softplus(logits)).sum(2)  # Eq. (7)


def log_gaussian(
    mean: Float[Tensor, "S B D"], x: Float[Tensor, "B D"], *, spread: float
) -> Float[Tensor, "S B"]:
    """Return log p(x | z) for real numbers with a standard deviation that is known.

    Raises:
        PracticumError: the spread is not above zero.
    """
    if not spread > 0:
        raise PracticumError(f"a standard deviation of {spread}; it must be above 0")
    misfit = ((x - mean) / spread).square() + math.log(2 * math.pi * spread**2)
    return -(misfit / 2).sum(2)  # Eq. (8)


def elbo(passed: Pass, log_likelihood: Float[Tensor, "S B"]) -> Float[Tensor, "B"]:
    """Return the evidence lower bound of each example, with the divergence in closed form."""
    closed: Tensor = divergence(passed.mean, passed.log_variance).sum(1)
    return log_likelihood.mean(0) - closed  # Eq. (4)


def importance_bound(passed: Pass, log_likelihood: Float[Tensor, "S B"]) -> Float[Tensor, "B"]:
    """Return the importance-weighted bound of each example."""
    variance = passed.log_variance.exp()
    of_q = (passed.code - passed.mean).square() / variance + passed.log_variance
    log_w = log_likelihood + (of_q - passed.code.square()).sum(2) / 2  # Eq. (5), 2 pi cancels
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))  # Eq. (6)
