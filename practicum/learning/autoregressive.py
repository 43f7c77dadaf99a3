"""Autoregressive training: predict every token of a text from those before it.

Source: Bengio, Ducharme, Vincent, Jauvin, "A neural probabilistic language model", JMLR 3 (2003)
1137-1155, section 1 (the factorisation). Teacher forcing: Williams, Zipser, "A learning algorithm
for continually running fully recurrent neural networks", Neural Computation 1 (1989) 270-280. The
numbering is ours.

What is minimised, for a text w_1 ... w_n of V different tokens:
    p(w_1 ... w_n) = prod_t p(w_t | w_1 ... w_{t-1})                   (1) the chain rule
    l_t = - log p(w_{t+1} | w_{s+1} ... w_t)                           (2) nats; s: window's start
    J   = mean over the B windows and T positions of a batch of l_t    (3)
    bits a token = J / log 2                                           (4)
    perplexity   = exp J                                               (5)

Algorithm:
    1. A window is T + 1 tokens in a row; its first T are read, its last T are to be predicted.
    2. While training, the network reads the text's own tokens, not its predictions (teacher
       forcing), so all positions of a window are predicted at once.
    3. Windows begin anywhere in the text. They are views of one long tensor: a million windows
       take no more memory than the text, and `engine.fit` draws them like any examples.
    4. Held-out text is cut into windows side by side, so that each token is predicted once.

Shapes: B windows, T positions read, S = T + 1 tokens of a window, V tokens.

Known failure signs: J that stays at the entropy of single tokens: the network ignores what it
read. J near 0 from the start: it can see the token that it predicts (a missing causal mask, or
targets that are not shifted). A held-out loss that rises while J falls: the text is short for the
network. Early positions of a window have little to read, so a longer T lowers J with the same
network: compare losses at one T only.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.engine.updates import Batch
from practicum.errors import PracticumError

AT_ONCE = 128  # windows that are in memory together when losses are measured


def alphabet(*texts: str) -> str:
    """Return the different characters of some texts, in the order of their code points."""
    return "".join(sorted(set().union(*texts)))


def encode(text: str, characters: str) -> Int[Tensor, "n"]:
    """Return the number of each character in an alphabet.

    Raises:
        PracticumError: the text has a character that the alphabet lacks.
    """
    number = {one: i for i, one in enumerate(characters)}
    missing = set(text) - set(number)
    if missing:
        raise PracticumError(f"the alphabet lacks {''.join(sorted(missing))!r}")
    return torch.tensor([number[one] for one in text], dtype=torch.long)


def decode(tokens: Int[Tensor, "n"], characters: str) -> str:
    """Return the text whose characters have these numbers."""
    return "".join(characters[i] for i in tokens.tolist())


def windows(tokens: Int[Tensor, "n"], length: int, *, step: int = 1) -> Int[Tensor, "m S"]:
    """Return windows of `length` + 1 tokens, as views of the text: never write into them.

    Args:
        tokens: the text.
        length: T, positions that are read (and predicted) in a window.
        step: tokens from one window's start to the next; T puts targets side by side.

    Raises:
        PracticumError: the text is too short for one window, or a size is below 1.
    """
    if length < 1 or step < 1:
        raise PracticumError(f"a window of {length} tokens every {step}: both must be at least 1")
    if len(tokens) <= length:
        raise PracticumError(
            f"a text of {len(tokens)} tokens has no window of {length} and one more; "
            "take a longer text or a shorter window"
        )
    return tokens.unfold(0, length + 1, step)


def next_token_loss(
    network: Callable[..., Tensor], batch: Batch, noise: Noise
) -> Float[Tensor, ""]:
    """Return the mean loss of a batch (windows [B, T + 1],), in nats a token."""
    (window,) = batch
    logits = network(window[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())  # Eqs. (2), (3)


@torch.no_grad()
def losses(network: Callable[..., Tensor], held_out: Int[Tensor, "m S"]) -> Float[Tensor, "m T"]:
    """Return the loss of every target of some windows, in nats, in double precision."""
    found = []
    for window in torch.split(held_out, AT_ONCE):
        logits = network(window[:, :-1])
        each = F.cross_entropy(logits.transpose(1, 2), window[:, 1:], reduction="none")  # Eq. (2)
        found.append(each.double())
    return torch.cat(found)


def bits(nats: float) -> float:
    """Return a loss in bits a token."""
    return nats / math.log(2)  # Eq. (4)


def perplexity(nats: float) -> float:
    """Return how many equally likely tokens would be as hard to guess."""
    return math.exp(nats)  # Eq. (5)


@torch.no_grad()
def sample(
    network: Callable[..., Tensor],
    prompt: Int[Tensor, "n"],
    steps: int,
    *,
    context: int,
    generator: torch.Generator,
    temperature: float = 1.0,
) -> Int[Tensor, "steps"]:
    """Draw tokens from Eq. (1), one after another, from what the network says follows.

    Args:
        network: tokens [1, t] to logits [1, t, V].
        prompt: what the text begins with; at least one token.
        steps: tokens to draw.
        context: at most so many of the last tokens are read, as in training.
        generator: where draws come from; on the CPU.
        temperature: the logits are divided by it.

    Raises:
        PracticumError: an empty prompt, or a temperature or context that cannot be.
    """
    if len(prompt) < 1 or context < 1 or not temperature > 0:
        raise PracticumError("sampling needs a prompt, a context of 1 or more, a temperature > 0")
    text = prompt
    for _ in range(steps):
        logits = network(text[-context:].unsqueeze(0))[0, -1]
        chances = (logits.double() / temperature).softmax(0).cpu()
        new = torch.multinomial(chances, 1, generator=generator)
        text = torch.cat((text, new.to(text.device)))
    return text[len(prompt) :]
