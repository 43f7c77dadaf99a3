"""What is measured of a policy: its own fresh answers, and its place between reward and distance.

    nats  = mean of log(pi(y | x) / pi_ref(y | x)), y from pi: an estimate of KL(pi, pi_ref)   (1)
    best of n from pi_ref lies at most log n - (n - 1) / n nats from it                        (2)
    frontier = mean over distances from 0 to K of the gain, joined by straight lines           (3)

Source of (2): Beirami et al., "Theoretical guarantees on the best-of-n alignment policy", 2024.

Shapes: B texts, P characters of a prompt, T of an answer, S = P + T.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.nn.actor_critic import log_probability
from practicum.nn.gpt2 import GPT2

GRID = 61  # distances at which (3) is read


@torch.no_grad()
def write(
    body: GPT2, prompts: Int[Tensor, "B P"], length: int, generator: torch.Generator
) -> Int[Tensor, "B S"]:
    """Let a network answer every prompt once, at temperature 1."""
    return body.generate(prompts, length, temperature=1.0, generator=generator)


@torch.no_grad()
def answers(body: GPT2, text: Int[Tensor, "B S"], prompt: int) -> Float[Tensor, "B"]:
    """Return log pi(y | x) of whole answers, in nats."""
    logits = body(text[:, :-1])[:, prompt - 1 :]
    return log_probability(logits, text[:, prompt:]).sum(-1)


def nats(body: GPT2, reference: GPT2, text: Int[Tensor, "B S"], prompt: int) -> float:
    """Return Eq. (1); the texts must be the policy's own."""
    return float((answers(body, text, prompt) - answers(reference, text, prompt)).mean())


def nats_of_best(n: int) -> float:
    """Return Eq. (2)."""
    return math.log(n) - (n - 1) / n


@torch.no_grad()
def best_of(
    reference: GPT2,
    prompts: Int[Tensor, "B P"],
    length: int,
    judge: Callable[[Tensor], Tensor],
    n: int,
    generator: torch.Generator,
) -> Int[Tensor, "B S"]:
    """Let the reference answer every prompt n times; keep what the judge likes best."""
    text = write(reference, prompts.repeat_interleave(n, 0), length, generator)
    best = judge(text).view(-1, n).argmax(1)
    return text.view(len(prompts), n, -1)[torch.arange(len(prompts)), best]


def frontier(distances: Sequence[float], gains: Sequence[float], far: float) -> float:
    """Return Eq. (3); the first point is (0, 0), and beyond the farthest the gain stays as it is.

    Args:
        distances: nats of each policy; what the estimate puts below 0 counts as 0.
        gains: true reward of each, above that of the reference.
        far: K.

    Returns:
        The mean at `GRID` equal steps from 0 to K; nan if a number is not finite.
    """
    x, y = np.maximum(np.array([0.0, *distances]), 0.0), np.array([0.0, *gains])
    if not np.isfinite([x, y]).all():
        return math.nan
    order = np.argsort(x, kind="stable")
    return float(np.interp(np.linspace(0, far, GRID), x[order], y[order]).mean())
