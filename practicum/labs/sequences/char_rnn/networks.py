"""The networks of the lab `char-rnn`, all with as many parameters as the LSTM."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.errors import unknown
from practicum.nn.gpt2 import GPT2, GPT2Config
from practicum.nn.gru import GRU
from practicum.nn.lstm import LSTM
from practicum.nn.recurrent import Recurrent, State
from practicum.nn.rnn import RNN

if TYPE_CHECKING:
    from practicum.labs.sequences.char_rnn.experiment import Setup

KINDS: dict[str, Callable[..., Recurrent]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


class CharRNN(nn.Module):
    """A recurrent network from characters to the logits of what follows each.

        x_t = one-hot(w_t)                                   (1)
        h_t, s_t = recurrent(x_t, s_{t-1})                   (2) several layers
        logits_t = W h_t + b                                 (3)

    Args:
        kind: "lstm", "gru" or "rnn".
        vocabulary: V.
        hidden: units of each layer.
        layers: layers on top of one another.
        forget: what is added to the forget gates of an LSTM at the start.

    Raises:
        PracticumError: no such kind, or a size below 1.
    """

    def __init__(
        self, kind: str, vocabulary: int, hidden: int, layers: int, forget: float = 1.0
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise unknown("recurrent network", kind, KINDS)
        self.vocabulary = vocabulary
        self.recurrent = KINDS[kind](vocabulary, hidden, layers=layers)
        self.output = nn.Linear(hidden, vocabulary)
        if kind == "lstm":
            with torch.no_grad():
                for layer in range(layers):
                    self.recurrent.weights(layer)[2][hidden : 2 * hidden] += forget

    def forward(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Return the logits of what follows each token, from an empty state."""
        return self.read(tokens)[0]

    def read(
        self, tokens: Int[Tensor, "B T"], state: State | None = None
    ) -> tuple[Float[Tensor, "B T V"], State]:
        """Return the logits, and the state to read on from."""
        x = F.one_hot(tokens, self.vocabulary).to(self.output.weight.dtype)  # Eq. (1)
        h, state = self.recurrent(x, state)  # Eq. (2)
        logits: Tensor = self.output(h)  # Eq. (3)
        return logits, state


def build(setup: Setup, vocabulary: int) -> nn.Module:
    """Build the arm's network, as large as the LSTM with `setup.hidden` units."""
    width = setup.hidden if setup.network == "lstm" else matched(setup, vocabulary)
    return _build(setup, vocabulary, width)


def _build(setup: Setup, vocabulary: int, width: int) -> nn.Module:
    if setup.network != "transformer":
        return CharRNN(setup.network, vocabulary, width, setup.layers)
    return GPT2(
        GPT2Config(
            vocabulary=vocabulary,
            positions=setup.block,
            width=width,
            layers=setup.layers,
            heads=setup.heads,
            dropout=0.0,
        )
    )


def matched(setup: Setup, vocabulary: int) -> int:
    """Return the width at which the arm's network has as many parameters as the LSTM, nearly."""
    step = setup.heads if setup.network == "transformer" else 1
    with torch.device("meta"):  # counting draws no weights
        goal = size(CharRNN("lstm", vocabulary, setup.hidden, setup.layers))
        width, nearest = step, size(_build(setup, vocabulary, step))
        while nearest < goal:
            wider = size(_build(setup, vocabulary, width + step))
            if abs(wider - goal) > abs(nearest - goal):
                break
            width, nearest = width + step, wider
    return width


def size(network: nn.Module) -> int:
    """Return the number of trainable numbers of a network."""
    return sum(one.numel() for one in network.parameters())


@torch.no_grad()
def carried_losses(network: CharRNN, tokens: Int[Tensor, "n"], block: int) -> Float[Tensor, "m T"]:
    """Return the loss of each character of a text that is read from beginning to end, in nats.

    The state is carried from window to window; `autoregressive.losses` begins each with none.
    """
    whole = (len(tokens) - 1) // block * block
    logits, _ = network.read(tokens[:whole].unsqueeze(0))
    each = F.cross_entropy(logits[0], tokens[1 : whole + 1], reduction="none")
    return each.double().view(-1, block)
