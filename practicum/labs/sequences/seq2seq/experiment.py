"""An encoder and a decoder copy better when the source is turned round.

Question
    A recurrent network reads a sequence into one vector, another one writes the answer from it. Is
    it easier to learn when the source is read backwards, although nothing else is changed? Does it
    help the decoder to see the vector at every step? Can the pair learn to add numbers as text?

What would refute it
    Turned round, the test loss of copying or of adding is not lower, or sums are not right more
    often. A decoder that sees the vector at every step has no lower loss. Adding learns no more
    than what the answers alone show.

Arms and what is held equal
    copy                LSTM to LSTM, the answer is the source; the vector is only the start
    copy-reversed       the same, sources turned round
    copy-always         as copy, and the decoder reads the vector at every step
    addition            "47+85" to "132"; the vector is only the start
    addition-reversed   the same, sources turned round
    addition-blind      control: every answer has another example's source
    Within a task: examples, their order, initial weights (but for what copy-always has more),
    number of updates, optimizer, budget of tuning. No attention anywhere.
    Tuning: each arm's rate of Adam is the best of 0.005, 0.01, 0.02 by validation loss, mean
    of the pilot seeds 1000 and 1001 at the quick scale; these seeds are in no run. A first pilot of
    the arm `copy` alone, with 6 words and 1000 updates, came near to perfect copying, where nothing
    is left to compare; so it is 10 words and 700 updates.

Primary measure
    nll: test loss in nats a word, END counted, the right words before it given.

Smallest effect that matters
    0.1 nats a word for copying, 0.05 for adding, 5 points of right sums. Fixed before any run.

Data
    Drawn by rule; the papers translated. Multi30k, which is at hand as files, is left out: its
    vocabulary alone costs more than a run may take. So nothing here speaks about translation.

Pitfalls of naive reproductions
    A loss with the right words given beside one with the network's own words fed back: they are
    not to be compared; here nll is the first kind, right_sequences the second. Padding that counts.
    Sums in the test that were trained with their numbers exchanged. Long training: both arms copy
    perfectly, and no difference is left. The gain depends on how source and answer are aligned;
    reversing is a remedy for copying-like tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.engine.clipping import ClipNorm
from practicum.engine.fit import fit
from practicum.engine.optimizers import Adam
from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, higher, lower
from practicum.labs import figures as draw
from practicum.labs.lab import Scale, setting
from practicum.labs.sequences.seq2seq.data import Pairs, addition, blinded, copying, turned
from practicum.labs.splitting import split
from practicum.learning.sequence_to_sequence import (
    free_running,
    inputs_of,
    right_sequences,
    right_words,
    teacher_forcing,
    token_cross_entropy,
)
from practicum.nn.seq2seq import PAD, Seq2Seq

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "An encoder and a decoder learn more easily when the source is turned round"
SOURCE = (
    "Sutskever, Vinyals, Le 2014, Sequence to sequence learning with neural networks, "
    "arXiv:1409.3215; Cho et al. 2014, Learning phrase representations using RNN encoder-decoder "
    "for statistical machine translation, arXiv:1406.1078"
)
YEAR = 2014
DATA = ()


@dataclass(frozen=True)
class Setup:
    """One arm."""

    task: str = setting("copy", "what is asked", choices=("copy", "addition"))
    reverse: bool = setting(False, "whether sources are turned round", paper=True)
    blind: bool = setting(False, "whether every answer gets another example's source")
    length: int = setting(10, "words to copy", unit="words", low=1)
    symbols: int = setting(10, "different words to copy", low=2)
    digits: int = setting(2, "digits of each number", low=1, high=8)
    train_size: int = setting(3000, "training pairs", unit="pairs", low=1)
    validation_size: int = setting(300, "validation pairs", unit="pairs", low=1)
    test_size: int = setting(500, "test pairs", unit="pairs", low=1)
    cell: str = setting("lstm", "recurrent unit", paper="lstm", choices=("rnn", "lstm", "gru"))
    reads: str = setting(
        "start",
        "whether the decoder gets the vector as its start, or at every step too",
        paper="start",
        choices=("start", "always"),
    )
    width: int = setting(16, "numbers of an embedding", paper=1000, low=1)
    hidden: int = setting(48, "hidden units", paper=1000, low=1)
    layers: int = setting(1, "layers of each network", paper=4, low=1)
    rate: float = setting(0.01, "learning rate of Adam", low=0.0)
    clip: float = setting(5.0, "largest norm of a gradient", paper=5.0, low=0.0)
    forced: float = setting(1.0, "probability that a right word is fed in training", low=0, high=1)
    batch_size: int = setting(32, "pairs an update", unit="pairs", paper=128, low=1)
    steps: int = setting(700, "updates", unit="updates", low=1)
    points: int = setting(10, "evaluations on the way", low=1)
    beam: int = setting(1, "beams in the test; 1 is greedy", paper=12, low=1)
    alpha: float = setting(0.0, "length penalty of the beams")


ARMS = {
    "copy": Setup(),
    "copy-reversed": Setup(reverse=True, rate=0.02),
    "copy-always": Setup(reads="always"),
    "addition": Setup(task="addition"),
    "addition-reversed": Setup(task="addition", reverse=True, rate=0.02),
    "addition-blind": Setup(task="addition", blind=True, rate=0.005),
}

MEASURES = (
    Measure(
        "nll",
        unit="nats a word",
        better="lower",
        says="test loss, the right words before each word given",
        diverged=2.64,
    ),
    Measure(
        "right_sequences",
        unit="%",
        better="higher",
        says="test answers right to the last word, the network's own words fed back",
        diverged=0.0,
    ),
    Measure(
        "right_words",
        unit="%",
        better="higher",
        says="test words right, the network's own words fed back",
        diverged=0.0,
    ),
    Measure(
        "right_words_given",
        unit="%",
        better="higher",
        says="test words right, the right words before each word given",
        diverged=0.0,
    ),
    Measure(
        "wrong_at",
        unit="%",
        better="lower",
        says="test words wrong at each place of the answer, the right words before given",
    ),
    Measure(
        "validation_nll",
        unit="nats a word",
        better="lower",
        says="validation loss by share of the updates, the right words before each word given",
        diverged=2.64,
    ),
)

CLAIMS = (
    lower(
        "nll",
        "copy-reversed",
        than="copy",
        matters=0.1,
        sentence="Turning the source round lowers the test loss of copying.",
    ),
    lower(
        "nll",
        "addition-reversed",
        than="addition",
        matters=0.05,
        sentence="Turning the source round lowers the test loss of adding.",
    ),
    higher(
        "right_sequences",
        "addition-reversed",
        than="addition",
        matters=5.0,
        sentence="Turning the source round makes more sums right.",
    ),
    lower(
        "nll",
        "copy-always",
        than="copy",
        matters=0.1,
        sentence="A decoder that sees the vector at every step copies with a lower test loss.",
    ),
    lower(
        "nll",
        "addition",
        than="addition-blind",
        matters=0.05,
        sentence="Adding learns more than the answers alone show.",
    ),
)

SCALES = {
    "smoke": Scale(
        seeds=2,
        set={
            "length": 3,
            "train_size": 48,
            "validation_size": 8,
            "test_size": 8,
            "hidden": 6,
            "width": 3,
            "batch_size": 16,
            "steps": 4,
            "points": 2,
        },
    ),
    "quick": Scale(seeds=5),
    "full": Scale(
        seeds=10,
        set={"hidden": 64, "batch_size": 64, "length": 12, "steps": 1600, "test_size": 700},
    ),
    "paper": Scale(
        seeds=10,
        set={
            "width": 1000,
            "hidden": 1000,
            "layers": 4,
            "length": 20,
            "digits": 4,
            "batch_size": 128,
            "train_size": 50000,
            "steps": 20000,
            "beam": 12,
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train once for every seed; measure the last network on the test pairs."""
    pairs = examples(setup)
    source, target = services.place(pairs.source, pairs.target)
    pool = len(source) - setup.test_size

    def rows(seed: int) -> tuple[Tensor, Tensor]:
        return split(
            setup.train_size, setup.validation_size, of=pool, seed=seed, data=f"the {setup.task}s"
        )

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        at = rows(seed)[1]
        return {"validation_nll": loss_of(network, source[at], target[at])}

    trained = fit(
        partial(build, setup, pairs.words),
        loss=teacher_forcing if setup.forced == 1 else free_running(setup.forced),
        optimizer=Adam(lr=setup.rate),
        data=(source, target),
        rows=lambda seed: rows(seed)[0],
        batch_size=setup.batch_size,
        steps=setup.steps,
        clip=ClipNorm(norm=setup.clip),
        evaluate=evaluate,
        every=max(1, setup.steps // setup.points),
        seeds=seeds,
        services=services,
    )
    measured = [
        measures_of(setup, cast("Seq2Seq", one["network"].eval()), source[pool:], target[pool:])
        for one in trained.networks
    ]
    values = {name: torch.stack([one[name] for one in measured]) for name in measured[0]}
    return Measurements(
        values={**values, "validation_nll": trained.curves["validation_nll"]},
        diverged=trained.diverged,
        steps={
            "validation_nll": 100 * trained.steps / setup.steps,
            "wrong_at": torch.arange(1, places(setup) + 1),
        },
        weights=trained.weights(),
    )


def examples(setup: Setup) -> Pairs:
    """Return the pool of an arm's task; the last `test_size` pairs are for testing."""
    n = setup.train_size + setup.validation_size + setup.test_size
    if setup.task == "copy":
        pairs = copying(n, setup.length, setup.symbols)
    else:
        pairs = addition(n, setup.digits)
    pairs = turned(pairs) if setup.reverse else pairs
    return blinded(pairs) if setup.blind else pairs


def build(setup: Setup, words: int) -> nn.Module:
    """Return an arm's network."""
    return Seq2Seq(
        words,
        words,
        width=setup.width,
        hidden=setup.hidden,
        cell=setup.cell,
        layers=setup.layers,
        reads=setup.reads,
    )


def places(setup: Setup) -> int:
    """Return the words of the longest answer of both tasks, END among them."""
    return max(setup.length + 1, setup.digits + 2)


def loss_of(network: Callable[..., Tensor], source: Tensor, target: Tensor) -> Tensor:
    """Return the loss in nats a word, the right words given."""
    return token_cross_entropy(network(source, inputs_of(target)), target)


@torch.no_grad()
def measures_of(
    setup: Setup, network: Seq2Seq, source: Tensor, target: Tensor
) -> dict[str, Float[Tensor, "..."]]:
    """Return what is measured on the test pairs."""
    logits = network(source, inputs_of(target))
    steps = target.shape[1]
    if setup.beam == 1:
        words, _ = network.greedy(source, steps)
    else:
        words = network.beam(source, steps, size=setup.beam, alpha=setup.alpha).words[:, 0]
    given = logits.argmax(-1)
    wrong = torch.full((places(setup),), torch.nan, dtype=torch.float64)
    there = target != PAD
    wrong[:steps] = 100 * ((given != target) & there).sum(0).double() / there.sum(0)
    return {
        "nll": token_cross_entropy(logits, target).double(),
        "right_sequences": right_sequences(words, target),
        "right_words": right_words(words, target),
        "right_words_given": right_words(given, target),
        "wrong_at": wrong,
    }


def figures(record: Record) -> dict[str, Figure]:
    """Draw losses and right answers seed by seed, wrong words by place, and the loss over time."""
    copies: dict[str, Any] = {"arms": [arm for arm in record.arms if arm.startswith("copy")]}
    return {
        "Test loss of every seed; lines join the arms of one seed": draw.dots(record, "nll"),
        "Answers right to the last word": draw.dots(record, "right_sequences"),
        "Copying: where in the answer the wrong words are": draw.curves(
            record, "wrong_at", x_label="place in the answer", **copies
        ),
        "Validation loss while training, mean and 95 % interval": draw.curves(
            record, "validation_nll", x_label="updates done (%)", each_seed=False
        ),
    }
