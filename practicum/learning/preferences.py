"""Learning from preferences: which of two answers is better, not how good one is.

Papers: Christiano et al., "Deep reinforcement learning from human preferences", arXiv:1706.03741v4
(reward from comparisons). Ouyang et al., "Training language models to follow instructions with
human feedback", arXiv:2203.02155v1 (reward model, then PPO held to a reference). Rafailov et al.,
"Direct preference optimization: your language model is secretly a reward model", arXiv:2305.18290v3
(DPO). Model of the choice: Bradley and Terry, "Rank analysis of incomplete block designs",
Biometrika 39 (1952) 324-345.

Equations, for a prompt x, a better answer y_w and a worse one y_l (numbers of the DPO paper where
it has them):
    (1)  p(y_w > y_l | x) = sigma(r(x, y_w) - r(x, y_l))
    (2)  L_r = - mean of log sigma(r(x, y_w) - r(x, y_l))                      the reward model
    (3)  maximise the mean of r(x, y) - beta log(pi(y | x) / pi_ref(y | x))    by PPO
    (7)  L_DPO = - mean of log sigma(m),   m = beta log(pi(y_w | x) / pi_ref(y_w | x))
                                             - beta log(pi(y_l | x) / pi_ref(y_l | x))

Algorithm of (3), one iteration: write texts with the policy as it is; pay every token
- beta log(pi / pi_ref) and the last one r as well; then PPO's epochs (`practicum.learning.ppo`).

Networks: "main" is a `LanguagePolicy`, "reference" one that nothing moves, "reward" a
`RewardModel`.

Known failure signs: the learned reward rises while what it stands for falls (the policy has left
the texts that the reward model knows: beta is too small); answers of one kind only; log pi of the
better answers that falls together with that of the worse ones in (7), while the margin rises.

Shapes: L lanes, N texts, B pairs, P tokens of a prompt, T of an answer, S = P + T.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from practicum.engine.experience import Act, Begin
from practicum.engine.noise import Noise
from practicum.engine.seeds import streams
from practicum.engine.updates import Batch, Networks
from practicum.learning.ppo import Details, advantages
from practicum.nn.actor_critic import log_probability, sample

Judge = Callable[[Int[Tensor, "*N S"]], Float[Tensor, "*N"]]
"""The true reward of texts, where it is known."""


def reward_loss(
    networks: Networks, batch: Batch, noise: Noise
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return Eq. (2) of a batch (better texts [B, S], worse texts [B, S])."""
    better, worse = batch
    margin = networks["reward"](better) - networks["reward"](worse)
    return -F.logsigmoid(margin).mean(), {}


def answer_log_probability(
    policy: Callable[..., tuple[Tensor, Tensor]], text: Int[Tensor, "B S"]
) -> Float[Tensor, "B"]:
    """Return log pi(y | x) of whole answers, in nats."""
    logits, _ = policy(text)
    return log_probability(logits, text[:, -logits.shape[1] :]).sum(-1)


def dpo_loss(
    networks: Networks, batch: Batch, noise: Noise, *, beta: float
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return Eq. (7) of a batch (better texts [B, S], worse texts [B, S]).

    The metrics "better" and "margin" are the means of log(pi / pi_ref) of the better answers, and
    of m / beta.
    """
    moved = [
        answer_log_probability(networks["main"], text)
        - answer_log_probability(networks["reference"], text).detach()
        for text in batch
    ]
    margin = moved[0] - moved[1]
    loss = -F.logsigmoid(beta * margin).mean()  # Eq. (7)
    return loss, {"better": moved[0].mean().detach(), "margin": margin.mean().detach()}


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How texts are written and paid.

    Attributes:
        prompts: [n, P]; each text begins with one of them, drawn at random.
        length: T, tokens of an answer.
        beta: price of a nat of distance from the reference.
        judge: the true reward; it is reported, and paid if no reward was learned.
        learned: whether the network "reward" pays.
        details: of PPO; `copies` is the number of texts N, and `horizon` is not used.
    """

    prompts: Int[Tensor, "n P"]
    length: int
    beta: float
    judge: Judge
    learned: bool = True
    details: Details = field(default_factory=lambda: Details(discount=1.0, copies=32, horizon=1))

    def experience(self) -> Begin:
        """Return what makes the minibatches of `ppo_loss`."""
        return partial(Writings, self)


class Writings:
    """Texts of the policy as it is, paid by Eq. (3), in shuffled minibatches."""

    def __init__(self, writing: Writing, seeds: Sequence[int], act: Act) -> None:
        self.writing, self.act = writing, act
        self._order = [streams(seed).order() for seed in seeds]
        self._left: list[Tensor] = []
        self._samples: Batch = ()
        self._means: dict[str, Tensor] = {}

    def next(self) -> Batch:
        """Return the next minibatch: text, answer, log pi_old, A, return, V_old; lanes first."""
        if not self._left:
            self._samples = self._write()
            details = self.writing.details
            epochs = [
                torch.stack([torch.randperm(details.copies, generator=one) for one in self._order])
                for _ in range(details.epochs)
            ]
            self._left = [p for epoch in epochs for p in epoch.chunk(details.minibatches, dim=1)]
        index = self._left.pop()
        rows = torch.arange(len(index)).unsqueeze(1)
        return tuple(one[rows, index] for one in self._samples)

    def report(self, lane: int) -> Mapping[str, float]:
        """Return means over the last texts: paid reward, true reward, and nats from the reference.

        The last is the mean of log(pi / pi_ref) over whole answers of the policy: an unbiased
        estimate of KL(pi, pi_ref).
        """
        return {name: float(one[lane]) for name, one in self._means.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what is left of the texts, and where the draws are."""
        return {
            "order": [one.get_state() for one in self._order],
            "left": list(self._left),
            "samples": self._samples,
            "means": dict(self._means),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        for one, state in zip(self._order, saved["order"], strict=True):
            one.set_state(state)
        self._left, self._samples = list(saved["left"]), tuple(saved["samples"])
        self._means = dict(saved["means"])

    def _write(self) -> Batch:
        writing, N, T = self.writing, self.writing.details.copies, self.writing.length
        prompts = torch.stack(
            [
                writing.prompts[torch.randint(len(writing.prompts), (N,), generator=one)]
                for one in self._order
            ]
        )
        u = torch.stack([torch.rand(T, N, generator=one) for one in self._order], 1)  # [T, L, N]
        blank = prompts.new_zeros(len(prompts), N, T)
        text = torch.cat([prompts, blank], 2)
        start = prompts.shape[2]
        for t in range(T):
            logits, _ = self.act("main", text)
            text[:, :, start + t] = sample(logits[:, :, t], u[t].to(logits))
        answer = text[:, :, start:]
        logits, value = self.act("main", text)
        log_pi = log_probability(logits, answer)
        distance = log_pi - log_probability(self.act("reference", text)[0], answer)
        judged = writing.judge(text)
        paid = self.act("reward", text) if writing.learned else judged.to(value)
        reward = -writing.beta * distance
        reward[:, :, -1] += paid
        self._means = {
            "reward": paid.mean(1),
            "true": judged.mean(1),
            "nats": distance.sum(2).mean(1),
        }
        A = self._advantages(reward, value)
        return text, answer, log_pi, A, A + value, value

    def _advantages(
        self, reward: Float[Tensor, "L N T"], value: Float[Tensor, "L N T"]
    ) -> Float[Tensor, "L N T"]:
        future = torch.cat([value[..., 1:], torch.zeros_like(value[..., :1])], -1)
        ended = torch.zeros_like(reward, dtype=torch.bool)
        ended[..., -1] = True
        turned = (one.movedim(-1, 0) for one in (reward, value, future, ended))
        details = self.writing.details
        found = advantages(*turned, discount=details.discount, trace=details.trace)
        return found.movedim(0, -1)
