"""Attention keeps long sequences right where one vector for all words does not.

Question
    Does a decoder that looks at all source words lose less with length than one that gets a single
    vector? Beyond the lengths of training, too? Is it the choosing, or would the plain mean of the
    source do? Do the simple scores do as well as the additive one, and does input feeding help?

What would refute it
    The share of right words falls as much with length under attention; at a length never trained it
    is not higher; the mean of the source has no higher loss; the dot score's loss differs by 0.1
    nats a word or more; input feeding does not lower the loss; the largest weight lies on the word
    that is translated in half of the cases or less.

Arms and what is held equal
    fixed         the decoder reads the encoder's last state at every step (Cho)
    mean          control: it reads the mean of all the encoder's states; a short way back to every
                  word, without a choice
    additive      it reads an average weighted by its last state (Bahdanau)
    dot           its new state weighs, by the dot product; the average goes to the output (Luong)
    dot-feeding   the same, and the output before is read, too (Luong)
    All: two-way GRU encoder, GRU decoder, the same output layer; pairs, their order, number of
    updates, optimizer, budget of tuning. `additive` has 2 H^2 + H numbers more than `fixed` and
    `mean`, `dot` fewer. Initial weights are drawn alike; where shapes differ, they differ.
    Tuning: each arm's rate of Adam is the better of 0.005 and 0.015 by validation loss of the pilot
    seed 1000, at the quick scale but with 500 updates; this seed is in no run.

Primary measure
    fall: points by which right words fall from the shortest to the longest trained length, the
    right words before each one given, so that mistakes do not add up.

Smallest effect that matters
    5 points; 0.1 nats a word for losses; 10 points for the alignment. Fixed before any run.

Data
    Drawn by rule: word by word with neighbours exchanged. Multi30k has too few long sentences to
    test length. So nothing here speaks about translation between real languages.

Pitfalls of naive reproductions
    Updates are equalised; one vector learns more slowly, and "cannot" is not what is measured.
    Mistakes that add up: with its own words fed back, every network is worse on longer answers.
    Networks of different size or output layers. A comparison on the training's lengths only, or
    without saying which they are. Maps of weights shown as proof of what a network uses: a state
    also knows its neighbours, so weights may lie beside the word and the answer still be right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from practicum.engine.clipping import ClipNorm
from practicum.engine.fit import fit
from practicum.engine.optimizers import Adam
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError
from practicum.evidence import Measure, equivalent, higher, lower
from practicum.labs.attention.attention import measuring, pictures
from practicum.labs.attention.attention.data import FIRST, POOL, draw
from practicum.labs.lab import Scale, setting
from practicum.labs.splitting import split
from practicum.learning.sequence_to_sequence import inputs_of, teacher_forcing, token_cross_entropy
from practicum.nn.seq2seq import Seq2Seq

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Attention keeps long sequences right where one vector does not"
SOURCE = (
    "Bahdanau, Cho, Bengio 2014, Neural machine translation by jointly learning to align and "
    "translate, arXiv:1409.0473; Luong, Pham, Manning 2015, Effective approaches to "
    "attention-based neural machine translation, arXiv:1508.04025"
)
YEAR = 2014
DATA = ()


@dataclass(frozen=True)
class Setup:
    """One arm."""

    reads: str = setting(
        "additive",
        "what the decoder reads of the source",
        choices=("start", "always", "mean", "additive", "dot", "scaled", "general"),
    )
    feeding: bool = setting(False, "whether it reads its output before, too; dot to general only")
    shortest: int = setting(2, "words of the shortest training source", unit="words", low=1)
    longest: int = setting(8, "words of the longest training source", unit="words", low=2)
    beyond: int = setting(12, "words of the test sources longer than all", unit="words", low=2)
    symbols: int = setting(10, "different words", low=2)
    train_size: int = setting(3000, "training pairs", unit="pairs", low=1)
    validation_size: int = setting(300, "validation pairs", unit="pairs", low=1)
    test_size: int = setting(200, "test pairs of each length", unit="pairs", low=1)
    cell: str = setting("gru", "recurrent unit", paper="gru", choices=("rnn", "lstm", "gru"))
    width: int = setting(16, "numbers of an embedding", paper=620, low=1)
    hidden: int = setting(32, "hidden units of the decoder, and of both directions", low=2)
    rate: float = setting(0.015, "learning rate of Adam", low=0.0)
    clip: float = setting(1.0, "largest norm of a gradient", paper=1.0, low=0.0)
    batch_size: int = setting(32, "pairs an update", unit="pairs", paper=80, low=1)
    steps: int = setting(350, "updates", unit="updates", low=1)
    points: int = setting(5, "evaluations on the way", low=1)


ARMS = {
    "fixed": Setup(reads="always"),
    "mean": Setup(reads="mean"),
    "additive": Setup(rate=0.005),
    "dot": Setup(reads="dot"),
    "dot-feeding": Setup(reads="dot", feeding=True),
}

MEASURES = (
    Measure(
        "fall",
        unit="%",
        better="lower",
        says="right words at the shortest trained length minus those at the longest",
        diverged=100.0,
    ),
    Measure(
        "nll",
        unit="nats a word",
        better="lower",
        says="test loss at the longest trained length, the right words before given",
        diverged=2.56,
    ),
    Measure(
        "right_beyond",
        unit="%",
        better="higher",
        says="test words right at the length beyond training, the right words before given",
        diverged=0.0,
    ),
    Measure(
        "aligned",
        unit="%",
        better="higher",
        says="words at the longest trained length whose largest weight is on the word translated; "
        "without attention, the first word counts as the largest",
        diverged=0.0,
    ),
    Measure(
        "right_words",
        unit="%",
        better="higher",
        says="test words right by length, the right words before given",
    ),
    Measure(
        "right_sequences",
        unit="%",
        better="higher",
        says="test answers right to the last word by length, the network's own words fed back",
    ),
    Measure(
        "validation_nll",
        unit="nats a word",
        better="lower",
        says="validation loss by share of the updates, the right words before given",
        diverged=2.56,
    ),
)

CLAIMS = (
    lower(
        "fall",
        "additive",
        than="fixed",
        matters=5.0,
        sentence="With additive attention right words fall less with length than with one vector.",
    ),
    higher(
        "right_beyond",
        "additive",
        than="fixed",
        matters=5.0,
        sentence="The same at a length beyond training: additive attention has more words right.",
    ),
    lower(
        "nll",
        "additive",
        than="mean",
        matters=0.1,
        sentence="A mean of the source without a choice has a higher loss than additive attention.",
    ),
    equivalent(
        "nll",
        "dot",
        to="additive",
        within=0.1,
        sentence="The dot score's loss is that of the additive one (within 0.1 nats a word).",
    ),
    lower(
        "nll",
        "dot-feeding",
        than="dot",
        matters=0.1,
        sentence="Input feeding lowers the loss of the dot score.",
    ),
    higher(
        "aligned",
        "additive",
        than=50.0,
        matters=10.0,
        sentence="Additive attention looks most at the word it translates, in over half of cases.",
    ),
)

SCALES = {
    "smoke": Scale(
        seeds=2,
        set={
            "longest": 3,
            "beyond": 4,
            "symbols": 4,
            "train_size": 32,
            "validation_size": 6,
            "test_size": 6,
            "hidden": 6,
            "width": 3,
            "batch_size": 16,
            "steps": 3,
            "points": 1,
        },
    ),
    "quick": Scale(seeds=5),
    "full": Scale(
        seeds=10,
        set={"longest": 10, "beyond": 16, "steps": 800, "points": 10, "train_size": 10000},
    ),
    "paper": Scale(
        seeds=10,
        set={
            "longest": 30,
            "beyond": 50,
            "symbols": 1000,
            "width": 620,
            "hidden": 1000,
            "batch_size": 80,
            "train_size": 100000,
            "steps": 20000,
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train once for every seed; measure the last network at every length."""
    if setup.longest <= setup.shortest or setup.beyond <= setup.longest:
        raise PracticumError(
            f"lengths {setup.shortest}, {setup.longest} and {setup.beyond}: shortest, longest and "
            "beyond must rise"
        )
    g = streams(POOL).order()
    pool = setup.train_size + setup.validation_size
    pairs = draw(pool, setup.shortest, setup.longest, setup.symbols, g)
    source, target, lengths = services.place(pairs.source, pairs.target, pairs.lengths)
    tests = {
        length: services.place(pairs.source, pairs.target)
        for length in measuring.lengths_of(setup.shortest, setup.longest, setup.beyond)
        for pairs in [draw(setup.test_size, length, length, setup.symbols, g)]
    }

    def rows(seed: int) -> tuple[Tensor, Tensor]:
        sizes = setup.train_size, setup.validation_size
        return split(*sizes, of=pool, seed=seed, data="the language")

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        at = rows(seed)[1]
        logits = network(source[at], inputs_of(target[at]), lengths[at])
        return {"validation_nll": token_cross_entropy(logits, target[at])}

    trained = fit(
        partial(build, setup),
        loss=teacher_forcing,
        optimizer=Adam(lr=setup.rate),
        data=(source, target, lengths),
        rows=lambda seed: rows(seed)[0],
        batch_size=setup.batch_size,
        steps=setup.steps,
        clip=ClipNorm(norm=setup.clip),
        evaluate=evaluate,
        every=max(1, setup.steps // setup.points),
        seeds=seeds,
        services=services,
    )
    networks = [cast("Seq2Seq", one["network"].eval()) for one in trained.networks]
    measured = [measuring.measures_of(one, tests, setup.longest) for one in networks]
    values = {name: torch.stack([one[name] for one in measured]) for name in measured[0]}
    maps = [measuring.attention_map(one, *tests[setup.longest]) for one in networks]
    by_length = torch.tensor(list(tests))
    return Measurements(
        values={**values, "validation_nll": trained.curves["validation_nll"]},
        diverged=trained.diverged,
        steps={
            "validation_nll": 100 * trained.steps / setup.steps,
            "right_words": by_length,
            "right_sequences": by_length,
        },
        weights=tuple(
            {**one, "map": found} for one, found in zip(trained.weights(), maps, strict=True)
        ),
    )


def build(setup: Setup) -> nn.Module:
    """Return an arm's network."""
    words = FIRST + setup.symbols
    return Seq2Seq(
        words,
        words,
        width=setup.width,
        hidden=setup.hidden,
        cell=setup.cell,
        reads=setup.reads,
        feeding=setup.feeding,
        bidirectional=True,
    )


def figures(record: Record) -> dict[str, Figure]:
    """Draw right words and answers by length, where the weights lie, and the loss over time."""
    return pictures.figures(record)
