"""Adversarial training: a generator learns from a network that tells its products from real data.

Papers: I. Goodfellow et al., "Generative adversarial nets", NIPS 2014, arXiv:1406.2661 (minimax and
non-saturating games). I. Gulrajani et al., "Improved training of Wasserstein GANs", NIPS 2017,
arXiv:1704.00028v3, algorithm 1 (gradient penalty). T. Salimans et al., "Improved techniques for
training GANs", NIPS 2016, arXiv:1606.03498, section 3.4 (one-sided label smoothing).

Equations (numbered for this file; D(x) = sigmoid(l(x)), l the discriminator's logit, f the same
network as a critic, x real, z noise, x~ = G(z); all averages are over examples):
    (1)  V = E log D(x) + E log(1 - D(x~))                     the game: min over G, max over D
    (2)  J_D = -E[(1 - s) log D(x) + s log(1 - D(x))] - E log(1 - D(x~))      s = 0 gives -V
    (3)  J_G = E log(1 - D(x~))                                minimax
    (4)  J_G = -E log D(x~)                                    non-saturating
    (5)  J_f = E f(x~) - E f(x) + lambda P,   P = E (|d f(x^) / d x^| - 1)^2
    (6)  x^ = e x + (1 - e) x~, e uniform in [0, 1), one number for each example
    (7)  J_G = -E f(x~)
    (8)  best D for a fixed G: ((1 - s) p) / (p + q) with p, q the densities of x and x~
With s = 0 and q = p, V is -log 4 at (8). At the minimum of J_f, -J_f estimates the Wasserstein-1
distance of p and q; it is that distance for large lambda if one is the other shifted.

Algorithm, one step:
    1. The batch is cut into n_critic parts. For each: draw z, move D (or f) down (2) (or (5)), with
       G held fixed.
    2. Draw z, as many as one part has examples; move G down (3), (4) or (7), with D held fixed.

Shapes: B examples of a part, Z numbers of noise an example.

Deviations:
    1. Real and generated examples pass the discriminator in batches of their own.
    2. The smoothed targets are for real examples only; the third paper explains why.
Known failure signs: J_D near 0 (D wins; under (3) the generator then gets no gradient); x~ that are
all alike, however low J_G is; under (5) a critic whose slope is far from 1, or one with batch
normalisation, for which the slope at one example is not defined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.func import grad

from practicum.engine.noise import Noise
from practicum.engine.updates import Batch, Networks, Update
from practicum.errors import PracticumError, unknown

OBJECTIVES = ("minimax", "non-saturating", "wasserstein")
GENERATOR, DISCRIMINATOR = "generator", "main"
"""The optimizers of the two players; `Recipe.networks` are "generator" and "discriminator"."""

Judge = Callable[..., Any]


def discriminator_loss(
    real: Float[Tensor, "B"], made: Float[Tensor, "C"], *, smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Return J_D of Eq. (2) from the logits of real and generated examples.

    Args:
        real: l(x).
        made: l(x~).
        smoothing: s; the target of real examples is 1 - s.
    """
    right = (1 - smoothing) * F.softplus(-real)  # -log sigmoid(l) = softplus(-l)
    return (right + smoothing * F.softplus(real)).mean() + F.softplus(made).mean()  # Eq. (2)


def generator_loss(made: Float[Tensor, "B"], objective: str) -> Float[Tensor, ""]:
    """Return J_G from the outputs on generated examples.

    Args:
        made: l(x~), or f(x~).
        objective: "minimax", "non-saturating" or "wasserstein".

    Raises:
        PracticumError: no such objective.
    """
    if objective == "minimax":
        return -F.softplus(made).mean()  # Eq. (3): log(1 - sigmoid(l)) = -softplus(l)
    if objective == "non-saturating":
        return F.softplus(-made).mean()  # Eq. (4)
    if objective == "wasserstein":
        return -made.mean()  # Eq. (7)
    raise unknown("objective", objective, OBJECTIVES)


def between(
    real: Float[Tensor, "B *shape"], made: Float[Tensor, "B *shape"], share: Float[Tensor, "B"]
) -> Float[Tensor, "B *shape"]:
    """Return x^ of Eq. (6), each example on the line between its real and its generated one."""
    e = share.reshape(-1, *[1] * (real.dim() - 1))
    return e * real + (1 - e) * made


def gradient_penalty(critic: Judge, x: Float[Tensor, "B *shape"]) -> Float[Tensor, ""]:
    """Return P of Eq. (5) at the points x.

    It can be differentiated by the critic's parameters. The critic must judge every example by
    itself; one that compares the examples of a batch has no slope at one of them.
    """
    slopes = grad(lambda points: critic(points).sum())(x).flatten(1)
    penalty: Tensor = ((torch.linalg.vector_norm(slopes, dim=1) - 1) ** 2).mean()  # Eq. (5)
    return penalty


def critic_loss(
    critic: Judge,
    real: Float[Tensor, "B *shape"],
    made: Float[Tensor, "B *shape"],
    share: Float[Tensor, "B"],
    weight: float,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return J_f of Eq. (5), and by name the estimate of the distance and the penalty P.

    Args:
        critic: f.
        real: x.
        made: x~.
        share: e.
        weight: lambda.
    """
    distance = critic(real).mean() - critic(made).mean()
    penalty = gradient_penalty(critic, between(real, made, share))
    found = {"distance": distance.detach(), "penalty": penalty.detach()}
    return weight * penalty - distance, found  # Eq. (5)


def adversarial(
    objective: str = "non-saturating",
    *,
    noise: int,
    n_critic: int = 1,
    smoothing: float = 0.0,
    penalty: float = 10.0,
) -> tuple[Update, ...]:
    """Return the updates of one step of the game, for `Recipe(updates=...)`.

    The recipe names its networks "generator" and "discriminator" and its optimizers "generator"
    and "main" (the discriminator's, so that the curve "loss" is J_D or J_f). A batch's first tensor
    is the real examples.

    Args:
        objective: "minimax", "non-saturating" or "wasserstein".
        noise: Z.
        n_critic: discriminator updates a step, each on a part of the batch of its own.
        smoothing: s of Eq. (2); not for "wasserstein".
        penalty: lambda of Eq. (5); "wasserstein" only.

    Raises:
        PracticumError: no such objective, or a number outside its range; from a step, a batch with
            fewer examples than n_critic.
    """
    if objective not in OBJECTIVES:
        raise unknown("objective", objective, OBJECTIVES)
    if noise < 1 or n_critic < 1:
        raise PracticumError(f"noise {noise} and n_critic {n_critic}: both must be at least 1")
    if not 0 <= smoothing < 0.5 or (smoothing and objective == "wasserstein"):
        raise PracticumError(
            f"label smoothing {smoothing} with {objective}; it is at least 0 and below 0.5, and a "
            "Wasserstein critic has no labels"
        )
    if penalty < 0:
        raise PracticumError(f"the penalty's weight is {penalty}; it must be at least 0")
    wasserstein = objective == "wasserstein"

    def judging(part: int) -> Update:
        def loss(
            networks: Networks, batch: Batch, draws: Noise
        ) -> tuple[Tensor, Mapping[str, Tensor]]:
            real, judge = _part(batch, n_critic, part), networks["discriminator"]
            made = _made(networks, real, draws, noise).detach()
            if wasserstein:
                share = draws.uniform(len(real)).to(real.dtype)
                return critic_loss(judge, real, made, share, penalty)
            return discriminator_loss(judge(real), judge(made), smoothing=smoothing), {}

        return Update(loss=loss, optimizer=DISCRIMINATOR)

    def making(
        networks: Networks, batch: Batch, draws: Noise
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        made = _made(networks, _part(batch, n_critic, 0), draws, noise)
        return generator_loss(networks["discriminator"](made), objective), {}

    return (
        *(judging(part) for part in range(n_critic)),
        Update(loss=making, optimizer=GENERATOR),
    )


def _part(batch: Batch, parts: int, which: int) -> Tensor:
    """Return one of the parts of the real examples; sizes differ by at most one."""
    if len(batch[0]) < parts:
        raise PracticumError(
            f"a batch of {len(batch[0])} examples cannot be cut into n_critic = {parts} parts; "
            "the last batch of an epoch has what is left over, so choose a batch size that divides "
            "the number of examples"
        )
    return batch[0].tensor_split(parts)[which]


def _made(networks: Networks, like: Tensor, draws: Noise, noise: int) -> Tensor:
    """Return as many generated examples as there are in `like`."""
    made: Tensor = networks["generator"](draws.normal(len(like), noise).to(like.dtype))
    return made
