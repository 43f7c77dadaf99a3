"""How an arm of the lab `transformer` trains at one learning rate, and what is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from practicum.engine.fit import fit
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.errors import PracticumError
from practicum.labs.attention.transformer.networks import InverseSquareRoot, build, reading
from practicum.labs.attention.transformer.tasks import Sequences, blanked, draw, unseen
from practicum.learning.sequence_to_sequence import (
    inputs_of,
    right_sequences,
    right_words,
    teacher_forcing,
)
from practicum.nn.seq2seq import BEGIN
from practicum.nn.transformer import Transformer

if TYPE_CHECKING:
    from practicum.labs.attention.transformer.experiment import Setup

SPARE = 4  # times as many test sequences are drawn as are kept, since training has seen some


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A seed's sequences; every arm gets the same (but for a blank source).

    Attributes:
        train: what it learns from.
        validation: what chooses the learning rate.
        test: of the trained lengths, none of them among `train`, so that few are short.
        longer: longer than any trained one.
        longest: all of the longest trained length, for pictures of the attention.
    """

    train: Sequences
    validation: Sequences
    test: Sequences
    longer: Sequences
    longest: Sequences


def drawn(setup: Setup, seed: int, services: Services) -> Drawn:
    """Draw a seed's sequences.

    Raises:
        PracticumError: training leaves too few sequences for the test.
    """
    generator = streams(seed).generator("order")

    def some(count: int, shortest: int, longest: int) -> Sequences:
        return draw(setup.task, count, (shortest, longest), setup.kinds, generator)

    def placed(found: Sequences) -> Sequences:
        return Sequences(*services.place(*(blanked(found) if setup.blank else found)))

    usual, n = (setup.shortest, setup.longest), setup.longest
    train = some(setup.train_size, *usual)
    validation = some(setup.validation_size, *usual)
    test = unseen(some(SPARE * setup.test_size, *usual), train)
    if len(test.source) < setup.test_size:
        raise PracticumError(
            f"of {SPARE * setup.test_size} sequences drawn, training has not seen "
            f"{len(test.source)}, and test_size is {setup.test_size}; raise longest or kinds, or "
            "lower train_size"
        )
    return Drawn(
        train=placed(train),
        validation=placed(validation),
        test=placed(Sequences(*(part[: setup.test_size] for part in test))),
        longer=placed(some(setup.test_size, n + 1, n + setup.beyond)),
        longest=placed(some(setup.validation_size, n, n)),
    )


def train(
    setup: Setup,
    rate: float,
    data: Mapping[int, Drawn],
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train every seed at one learning rate, measuring validation loss on the way."""
    mine = {seed: i * setup.train_size for i, seed in enumerate(seeds)}
    together = tuple(
        torch.cat(parts) for parts in zip(*(data[s].train for s in seeds), strict=True)
    )
    return fit(
        lambda: build(setup),
        loss=teacher_forcing,
        optimizer=Adam(lr=rate, betas=(0.9, 0.98), eps=1e-9),
        schedule=InverseSquareRoot(warmup=setup.warmup, rises=setup.rises),
        data=together,
        rows=lambda seed: mine[seed] + torch.arange(setup.train_size),
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=lambda network, seed: {"validation_loss": loss_on(network, data[seed].validation)},
        seeds=seeds,
        services=services,
        name=f"rate-{rate}",
    )


def loss_on(network: Callable[..., Tensor], sequences: Sequences) -> Tensor:
    """Return the teacher-forced cross-entropy, nats a token."""
    with torch.no_grad():
        return teacher_forcing(network, tuple(sequences), GlobalNoise())


def measured(network: Transformer, data: Drawn) -> dict[str, Tensor]:
    """Return what is measured of a trained network."""
    network, test = network.eval(), data.test
    words = network.generate(test.source, BEGIN, test.target.shape[1], test.lengths)
    return {
        "loss": loss_on(network, test),
        "longer_loss": loss_on(network, data.longer),
        "word_error": 100 - right_words(words, test.target),
        "sequence_error": 100 - right_sequences(words, test.target),
    }


def looking(network: Transformer, data: Drawn) -> Tensor:
    """Return where each head of the last layer looks, [N, T, S], mean over sequences."""
    seen = data.longest
    return reading(network.eval(), seen.source, inputs_of(seen.target), seen.lengths).mean(0)


def network_of(run: Trained, number: int) -> Transformer:
    """Return a seed's trained network."""
    return cast(Transformer, run.networks[number]["network"])
