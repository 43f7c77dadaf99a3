"""The policy that direct preference optimization trains: the same as PPO's, without a value."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.nn.gpt2 import GPT2, GPT2Config


class Author(nn.Module):
    """A `LanguagePolicy` that does not judge what it writes: every value is 0.

    Args:
        config: sizes of the GPT-2.
        prompt: P, tokens that every text begins with.
    """

    def __init__(self, config: GPT2Config, prompt: int) -> None:
        super().__init__()
        self.prompt = prompt
        self.body = GPT2(config)

    def forward(
        self, text: Int[Tensor, "B S"]
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T"]]:
        """Return the logits of every token of the answer, and zeros."""
        h = self.body.hidden(text)[:, self.prompt - 1 : -1]
        return h @ self.body.wte.weight.T, h.new_zeros(h.shape[:2])
