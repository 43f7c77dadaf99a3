"""Variational learning: raise a lower bound on the likelihood where the likelihood has no formula.

Papers: D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", arXiv:1312.6114v11 (KW).
Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted autoencoders", arXiv:1509.00519.
S. R. Bowman et al., "Generating sentences from a continuous space", CoNLL 2016, arXiv:1511.06349
(the divergence weighted from 0 up to 1). A. Mnih and D. J. Rezende, "Variational inference for
Monte Carlo objectives", ICML 2016, arXiv:1602.06725 (a sample's baseline from the other samples).

Minimised, as the mean over a batch (going on from `practicum.nn.vae`; z_1 ... z_S are drawn from
q(z | x), f is the decoder's and g the encoder's weights, b the weight of the divergence):
    (9)  J = b KL(q || p) - 1/S sum over s of log p(x | z_s)                     KW (7), (10)
    (10) z_s = m + exp(s / 2) e_s, so dJ/dg goes through z_s        reparameterised: KW (4), (9)
    (11) dJ/dg = b dKL/dg - 1/S sum over s of (l_s - c_s) d log q(z_s | x)/dg     score function
         with l_s = log p(x | z_s), c_s = mean of l_r over r other than s, z_s held fixed
    (12) J = - log (1/S sum over s of w_s), w_s = p(x, z_s) / q(z_s | x)   importance-weighted
    (13) b = min(1, t / T) after t steps: annealing; without it b = 1

Eq. (11) has the same mean as the gradient of Eq. (9) by Eq. (10), and a larger variance.

Measured, for an honest comparison (`estimate`): Eq. (9) with b = 1, and minus Eq. (12) for several
S. Both lie below log p(x) in the mean, the second the closer the more samples; a difference of two
models' bounds is no difference of their likelihoods unless S is large.

Shapes: S samples an example, B examples, D inputs, Z units of the code.

Known failure signs: units whose divergence is near zero for every example (collapse; count them
with `active_units`); Eq. (9) with b below 1 is no bound and must not be reported; a likelihood of
bits on grey values; Eq. (12) for many S that still rises steeply is no estimate of log p(x) yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.engine.noise import Noise
from practicum.engine.updates import Batch, Loss, Networks
from practicum.errors import PracticumError, unknown
from practicum.nn.vae import VAE, Pass, divergence, importance_bound, log_bernoulli

Likelihood = Callable[[Tensor, Tensor], Tensor]
"""(outputs of the decoder [S, B, D], inputs [B, D]) -> log p(x | z), [S, B]."""

LOG_2_PI = math.log(2 * math.pi)
ESTIMATORS = ("reparameterised", "score", "importance")
ROWS = 5000  # codes that are decoded together when bounds are estimated


class WarmUp(nn.Module):
    """The weight of the divergence, which counts the training steps by itself.

    The count is a buffer, so it belongs to the state of a run: it is in checkpoints, and every lane
    has its own. Give it to a recipe as the network "warm_up", without an optimizer.

    Args:
        steps: T, the steps until the weight is 1.

    Raises:
        PracticumError: fewer than one step.
    """

    done: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        if steps < 1:
            raise PracticumError(f"a warm-up of {steps} steps; it needs at least one")
        self.steps = steps
        self.register_buffer("done", torch.zeros(()))

    def forward(self) -> Float[Tensor, ""]:
        """Return the weight; while training, count one more step."""
        weight = (self.done / self.steps).clamp(max=1.0)  # Eq. (13)
        if self.training:
            self.done.add_(1.0)
        return weight


def variational(
    estimator: str = "reparameterised",
    *,
    samples: int = 1,
    likelihood: Likelihood = log_bernoulli,
) -> Loss:
    """Return the loss of an `Update`: J of a batch, in nats for one example.

    It uses `networks["network"]`, called like `practicum.nn.vae.VAE`, and the weight of
    `networks["warm_up"]` if there is one. A batch is a tuple whose first part is [B, D].

    Args:
        estimator: "reparameterised" is Eq. (9) with Eq. (10), "score" is Eq. (9) with Eq. (11),
            "importance" is Eq. (12).
        samples: S.
        likelihood: log p(x | z).

    Raises:
        PracticumError: no such estimator, too few samples for it; from the loss, an annealed
            importance-weighted bound.
    """
    if estimator not in ESTIMATORS:
        raise unknown("estimator", estimator, ESTIMATORS)
    fewest = 2 if estimator == "score" else 1
    if samples < fewest:
        raise PracticumError(f"{samples} samples; {estimator} needs at least {fewest}")

    def loss(
        networks: Networks, batch: Batch, noise: Noise
    ) -> tuple[Float[Tensor, ""], Mapping[str, Tensor]]:
        x, network = batch[0], vae_of(networks)
        passed = network(x, noise.normal(samples, len(x), width(network)).to(x.dtype))
        if estimator == "importance":
            if "warm_up" in networks:
                raise PracticumError("the importance-weighted bound has no divergence to anneal")
            return -importance_bound(passed, likelihood(passed.output, x)).mean(), {}  # Eq. (12)
        weight = networks["warm_up"]() if "warm_up" in networks else 1.0
        if estimator == "score":
            misfit = -by_score(network, passed, x, likelihood)
        else:
            misfit = -likelihood(passed.output, x).mean(0)  # Eq. (10): z carries gradients
        closed = divergence(passed.mean, passed.log_variance).sum(1)
        return (weight * closed + misfit).mean(), {}  # Eq. (9)

    return loss


def vae_of(networks: Networks) -> VAE:
    """Return the network that is trained.

    Raises:
        PracticumError: it is no variational autoencoder.
    """
    network = networks["network"]
    if not isinstance(network, VAE):
        raise PracticumError(f"variational learning trains a VAE, not {type(network).__name__}")
    return network


def width(network: VAE) -> int:
    """Return Z, the units of the code."""
    first = network.decoder.layers[0]
    assert isinstance(first, nn.Linear)
    return first.in_features


def by_score(
    network: VAE, passed: Pass, x: Float[Tensor, "B D"], likelihood: Likelihood
) -> Float[Tensor, "B"]:
    """Return the mean log p(x | z_s), with the gradient of Eq. (11) for the encoder."""
    code_SBZ = passed.code.detach()
    output_SBD = network.decoder(code_SBZ.flatten(0, 1)).unflatten(0, code_SBZ.shape[:2])
    l_SB = likelihood(output_SBD, x)
    signal_SB = l_SB.detach()
    others_SB = (signal_SB.sum(0) - signal_SB) / (len(signal_SB) - 1)  # c_s
    log_q_SB = log_posterior(code_SBZ, passed.mean, passed.log_variance)
    path_SB = (signal_SB - others_SB) * (log_q_SB - log_q_SB.detach())  # zero, with a gradient
    return (l_SB + path_SB).mean(0)  # Eq. (11)


def log_posterior(
    code: Float[Tensor, "S B Z"],
    mean: Float[Tensor, "B Z"],
    log_variance: Float[Tensor, "B Z"],
) -> Float[Tensor, "S B"]:
    """Return log q(z | x) of given codes, in nats."""
    squared = (code - mean).square() / log_variance.exp()
    return -(squared + log_variance + LOG_2_PI).sum(2) / 2


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is known of the likelihood of some examples, in nats.

    Attributes:
        elbo: [B] Eq. (9) with b = 1, times -1.
        bounds: [B, sizes] Eq. (12) times -1, one column for each number of samples.
        divergence: [B, Z] of every unit of the code.
        mean: [B, Z] the encoder's m.
    """

    elbo: Float[Tensor, "B"]
    bounds: Float[Tensor, "B sizes"]
    divergence: Float[Tensor, "B Z"]
    mean: Float[Tensor, "B Z"]


def estimate(
    network: VAE,
    x: Float[Tensor, "B D"],
    generator: torch.Generator,
    *,
    sizes: Sequence[int] = (1, 5, 50),
    likelihood: Likelihood = log_bernoulli,
) -> Estimate:
    """Estimate the bounds of each example; every size shares the draws of the largest one.

    A size that divides the number of draws uses all of them, in groups, and averages the groups. So
    of two sizes of which one divides the other, the larger never gives the lower bound.

    Args:
        network: the model.
        x: examples.
        generator: of the normal numbers; a CPU generator.
        sizes: numbers of samples S; each must divide the largest.
        likelihood: log p(x | z).

    Raises:
        PracticumError: a size does not divide the largest.
    """
    most = max(sizes, default=0)
    if most < 1 or any(size < 1 or most % size for size in sizes):
        raise PracticumError(
            f"sizes {tuple(sizes)}; each must be at least 1 and divide the largest"
        )
    found: list[tuple[Tensor, ...]] = []
    with torch.no_grad():
        for part in torch.split(x, max(1, ROWS // most)):
            drawn = torch.randn(
                (most, len(part), width(network)), generator=generator, dtype=x.dtype
            )
            passed = network(part, drawn.to(x.device))
            l_SB = likelihood(passed.output, part)
            closed_BZ = divergence(passed.mean, passed.log_variance)
            weights_SB = log_weights(passed, l_SB)
            columns = [grouped(weights_SB, size) for size in sizes]
            elbo = l_SB.mean(0) - closed_BZ.sum(1)
            found.append((elbo, torch.stack(columns, 1), closed_BZ, passed.mean))
    elbo, bounds, closed, mean = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Estimate(elbo=elbo, bounds=bounds, divergence=closed, mean=mean)


def log_weights(passed: Pass, log_likelihood: Float[Tensor, "S B"]) -> Float[Tensor, "S B"]:
    """Return log w_s of every sample; the bound of S samples is Eq. (12) times -1 of them."""
    prior = -(passed.code.square() + LOG_2_PI).sum(2) / 2
    return log_likelihood + prior - log_posterior(passed.code, passed.mean, passed.log_variance)


def grouped(log_w: Float[Tensor, "S B"], size: int) -> Float[Tensor, "B"]:
    """Return Eq. (12) times -1 for groups of `size` samples, the mean over the groups."""
    groups = log_w.reshape(-1, size, *log_w.shape[1:])
    return (torch.logsumexp(groups, 1) - math.log(size)).mean(0)  # Eq. (12)


def active_units(mean: Float[Tensor, "B Z"], least: float = 0.01) -> Float[Tensor, ""]:
    """Return the number of units of the code whose mean varies over examples.

    A unit is active if the variance of m over the examples is above `least`.

    Source: Burda, Grosse and Salakhutdinov, section 5.2, where the limit is 0.01.
    """
    return (mean.var(0) > least).double().sum()
