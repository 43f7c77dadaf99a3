"""A language model as a policy and as a judge: GPT-2 with a value head, or with a reward head.

Papers: Ouyang et al., "Training language models to follow instructions with human feedback",
arXiv:2203.02155v1, section 3.5 and appendix C. Stiennon et al., "Learning to summarize from human
feedback", arXiv:2009.01325v3, section 3.4.

Equations, for a prompt x_1 ... x_P and an answer y_1 ... y_T, h the network's last hidden layer:
    (1)  pi(y_t | x, y_<t) = softmax(W_e h_{P+t-1})          the policy: W_e is the embedding
    (2)  V(x, y_<t) = w_V h_{P+t-1} + b_V                    what the answer is still worth
    (3)  r(x, y) = w_r h_{P+T} + b_r                         the reward, read at the last token

Shapes: B texts, P tokens of a prompt, T of an answer, S = P + T, V tokens of the vocabulary.

Deviations:
    1. Policy and value share one network; the papers use two.
    2. Answers have one length, so that the last token is where it is.
    3. b_r cancels in every comparison of two texts, so no gradient reaches it: it is a buffer,
       0 until it is set. Stiennon et al. set it so that texts of people have mean 0.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.gpt2 import GPT2, GPT2Config


class LanguagePolicy(nn.Module):
    """Answers prompts, and judges what it has written so far.

    Args:
        config: sizes of the GPT-2.
        prompt: P, tokens that every text begins with.

    Raises:
        PracticumError: no token of a prompt (the first token of an answer follows something), or
            sizes that do not fit one another.
    """

    def __init__(self, config: GPT2Config, prompt: int) -> None:
        super().__init__()
        if prompt < 1:
            raise PracticumError(f"a prompt of {prompt} tokens; at least one is needed")
        self.prompt = prompt
        self.body = GPT2(config)
        self.value = nn.Linear(config.width, 1)
        nn.init.zeros_(self.value.weight)  # before it has learned, every text is worth the same
        nn.init.zeros_(self.value.bias)

    def forward(
        self, text: Int[Tensor, "B S"]
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T"]]:
        """Return the logits of every token of the answer, Eq. (1), and the values, Eq. (2).

        What stands at a place of the answer has no influence on the logits of that place or of
        any before it, so a text may be handed over that is not yet written to its end.
        """
        h = self.body.hidden(text)[:, self.prompt - 1 : -1]
        return h @ self.body.wte.weight.T, self.value(h).squeeze(-1)


class RewardModel(nn.Module):
    """Says how good a text is.

    Args:
        config: sizes of the GPT-2.
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.body = GPT2(config)
        self.reward = nn.Linear(config.width, 1, bias=False)
        self.offset = nn.Buffer(torch.zeros(1))

    def forward(self, text: Int[Tensor, "B S"]) -> Float[Tensor, "B"]:
        """Return Eq. (3)."""
        reward: Tensor = self.reward(self.body.hidden(text)[:, -1]) + self.offset
        return reward.squeeze(-1)
