"""What is measured of an arm of the lab `bert`, and what is kept to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.labs.attention.bert.networks import Guesser, attention
from practicum.labs.attention.bert.words import MASK, PADDING, SPECIAL, Corpus
from practicum.learning.supervised import error_percent

if TYPE_CHECKING:
    from practicum.labs.attention.bert.experiment import Setup

AT_ONCE = 256  # sentences read at once
BLANKS = 6  # sentences with a blank that are shown
BEST = 4  # guesses that are kept of each


@torch.no_grad()
def accuracy(
    network: nn.Module, part: tuple[Int[Tensor, "n T"], Int[Tensor, "n"]]
) -> Float[Tensor, ""]:
    """Return the percentage of sentences that get their class."""
    logits = torch.cat([network(some) for some in torch.split(part[0], AT_ONCE)])
    return 100 - error_percent(logits, part[1])


def accuracies(
    runs: Sequence[Trained], text: Corpus, services: Services
) -> Float[Tensor, "2 seeds labels"]:
    """Return test and validation accuracy of the last networks, by number of labels."""
    found = []
    for part in (text.test, text.validation):
        tokens, classes = services.place(*part)
        found.append(
            torch.stack(
                [
                    torch.stack(
                        [
                            accuracy(one["network"].eval(), (tokens, classes)).cpu()
                            for one in run.networks
                        ]
                    )
                    for run in runs
                ],
                dim=1,
            )
        )
    return torch.stack(found)


def measures(
    setup: Setup, found: Float[Tensor, "2 seeds labels"]
) -> Mapping[str, Float[Tensor, "seeds *labels"]]:
    """Return the measures that follow from test and validation accuracy by number of labels."""
    test, validation = found
    few, many = test[:, setup.labels.index(setup.few)], test[:, -1]
    return {
        "accuracy_few": few,
        "accuracy_many": many,
        "worth": many - few,
        "accuracy": test,
        "validation_accuracy": validation,
    }


def blanks(text: Corpus) -> tuple[Int[Tensor, "n T"], Int[Tensor, "n"]]:
    """Return test sentences to be shown, and where each has its blank: in its middle.

    They are the first short ones whose words are all known; if there are none, the first ones.
    """
    tokens = text.test[0]
    lengths = (tokens != PADDING).sum(1)
    known = (tokens[:, 1:] >= len(SPECIAL)).sum(1) == lengths - 1
    good = known & (lengths > 6) & (lengths < min(14, tokens.shape[1]))
    order = torch.argsort((~good).to(torch.int), stable=True)[:BLANKS]
    return tokens[order], lengths[order] // 2


@torch.no_grad()
def looked_at(network: nn.Module, text: Corpus) -> dict[str, Tensor]:
    """Return the guesses for the blanks, best first, and the attention to one whole sentence."""
    guesser = cast("Guesser", network.eval())
    device = next(guesser.parameters()).device
    tokens, at = (one.to(device) for one in blanks(text))
    rows = torch.arange(len(tokens), device=device)
    shown, asked = tokens.clone(), at
    if guesser.causal:
        asked = at - 1  # what follows the word before the blank
    else:
        shown[rows, at] = MASK
    logits = guesser(shown)[rows, asked]
    logits[:, : len(SPECIAL)] = -torch.inf
    sentence = tokens[0][tokens[0] != PADDING]
    return {
        "guesses": logits.topk(BEST).indices.cpu(),
        "attention": attention(guesser.bert, sentence, causal=guesser.causal).cpu(),
    }
