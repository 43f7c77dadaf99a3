"""A small GPT's loss falls with its number of parameters as a power, and meets a public figure.

Question
    Does the loss of a GPT on held-out characters fall as a power of its parameters when all sizes
    read the same text for as many updates? Does ours reach the loss that nanoGPT's README gives for
    its workload on a laptop?

What would refute it
    A step up the ladder of sizes does not lower the loss. The exponent is above -0.02. In
    logarithms the last step is worth more, or less, than the first by over 0.04. The workload
    misses its target with some seed. It predicts better than counts of five characters.

Arms and what is held equal
    width-16 ... width-128   GPT-2 of this width; each step has four times the parameters
    nanogpt                  the public workload: width 128, twice the updates, the published rate
    unigram, bigram          controls: counts of characters, and of pairs
    five-gram                control: counts of five characters, Kneser-Ney smoothing
    The sizes have, at each seed, the same windows in the same order, updates, depth, heads,
    optimizer and schedule. Depth is fixed, so width alone makes the parameters: 12 layers width^2
    without embeddings, biases and norms, the number on the horizontal axis (at quick there are half
    as many layers, which moves all points alike and leaves exponents as they are). Tokens are
    equalised, not computation. Each size has its own learning rate: the best of 1e-3, 3e-3, 1e-2
    and 3e-2 by the validation loss of one seed that no run uses (1000), at quick; with 500 updates
    at full the three smaller sizes preferred the same of 3e-3 and 1e-2. nanogpt keeps the
    published 1e-3.

Primary measure
    test_loss, nats a character, on the last twentieth of the text. The target is compared on the
    last tenth, which is nanoGPT's validation part. At full the target is 1.93: the public 1.88,
    and 0.05 since it was estimated from 20 batches. Elsewhere there is no public figure, and the
    target is the loss of the counts of pairs, and nanogpt has 600 updates at quick.

Smallest effect that matters
    0.02 nats between losses; 0.01 in the exponent.

Pitfalls of naive reproductions
    1.88 is one run's noisy estimate, and of validation text. 1.4697, the other figure of the same
    README, is the best of many looks at the validation text. Losses of different windows cannot be
    compared: a longer one gives more to read. Counting embeddings as parameters bends the curve at
    its small end. A small text is soon used up: beyond some size the curve bends back.
    Tables of counts that read on across the borders of windows, where networks begin with nothing:
    so it was in the first verdict published here. They begin each window with nothing now.
    Deviations from nanoGPT: our GPT-2 has biases, weight decay also acts on biases, norms and
    embeddings, and windows are drawn without replacement.
    The loss of the counts, which has nothing random, was known before the claims were fixed; no
    network's was. Changed after the pilots of seed 1000, before any other run: the workload was at
    first the top of the ladder, but its rate is not the best one; now it is an arm of its own, and
    the sizes, all tuned, have half its updates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, bounded, interaction, lower, ordered, slope
from practicum.labs import figures as draw
from practicum.labs.attention.gpt import pictures
from practicum.labs.attention.gpt.learning import count, learn
from practicum.labs.characters import written
from practicum.labs.lab import Scale, setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "A small GPT's loss falls as a power of its parameters"
SOURCE = (
    "Radford, Wu, Child, Luan, Amodei, Sutskever 2019, Language models are unsupervised multitask "
    "learners; the power law: Kaplan et al. 2020, arXiv:2001.08361; the workload: nanoGPT's README"
)
YEAR = 2019
DATA = ("pydoc", "tinyshakespeare")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    data: str = setting("pydoc", "text", paper="WebText")
    train_size: int | None = setting(None, "characters to learn from; none: all", low=100)
    held_size: int | None = setting(None, "held-out characters of each part; none: all", low=20)
    order: int | None = setting(None, "length of the runs counted; none: a network", low=1, high=8)
    width: int = setting(128, "E, width of the network", paper=768, low=4)
    layers: int = setting(2, "layers", paper=12, low=1)
    heads: int = setting(4, "heads", paper=12, low=1)
    block: int = setting(32, "T, characters read", unit="characters", paper=1024, low=1)
    batch_size: int = setting(12, "windows an update", unit="windows", paper=512, low=1)
    steps: int = setting(400, "updates", unit="updates", low=1)
    rate: float = setting(3e-3, "highest learning rate")
    warmup: int = setting(40, "updates on which the rate rises", unit="updates", low=0)
    floor: float = setting(0.1, "rate at the end, as a share of the highest", low=0, high=1)
    decay: float = setting(0.1, "weight decay", low=0)
    clip: float = setting(1.0, "gradients are scaled to at most this norm")
    points: int = setting(8, "evaluations on the way", low=1)
    target: float | None = setting(
        None, "loss to reach on the last tenth; none: that of counts of pairs", unit="nats"
    )
    sampled: int = setting(300, "characters written at the end", unit="characters", low=1)


ARMS = {
    "width-16": Setup(width=16, rate=1e-2),
    "width-32": Setup(width=32, rate=1e-2),
    "width-64": Setup(width=64, rate=1e-2),
    "width-128": Setup(width=128, rate=3e-3),
    "nanogpt": Setup(width=128, rate=1e-3, steps=600),
    "unigram": Setup(order=1),
    "bigram": Setup(order=2),
    "five-gram": Setup(order=5),
}

MEASURES = (
    Measure(
        "test_loss",
        unit="nats",
        better="lower",
        says="mean loss of a character of the last twentieth of the text",
        diverged=4.2,
    ),
    Measure("log_loss", better="lower", says="natural logarithm of the test loss", diverged=1.435),
    Measure(
        "last_tenth_loss",
        unit="nats",
        better="lower",
        says="mean loss of a character of the last tenth of the text",
        diverged=4.2,
    ),
    Measure(
        "above_target",
        unit="nats",
        better="lower",
        says="loss on the last tenth minus the target",
        diverged=4.2,
    ),
    Measure("parameters", better="neither", says="trainable numbers but for embeddings"),
    Measure(
        "validation_loss",
        unit="nats",
        better="lower",
        says="mean loss of a character of the last twentieth but one, by share of the updates",
        diverged=4.2,
    ),
    Measure(
        "position_loss",
        unit="nats",
        better="lower",
        says="mean test loss by how many characters of the window were read",
        diverged=4.2,
    ),
)

CLAIMS = (
    bounded(
        "above_target",
        arms=("nanogpt",),
        at_most=0.0,
        rare=0.5,
        sentence="nanoGPT's workload reaches its target with every seed (at full: the public 1.88 "
        "nats plus 0.05).",
    ),
    slope(
        "test_loss",
        over={"width-16": 12288, "width-32": 49152, "width-64": 196608, "width-128": 786432},
        setting="parameters",
        log_x=True,
        log_y=True,
        at_most=-0.02,
        matters=0.01,
        sentence="The loss falls as a power of the parameters, with an exponent below -0.02.",
    ),
    ordered(
        "test_loss",
        falling=("width-16", "width-32", "width-64", "width-128"),
        matters=0.02,
        sentence="Every fourfold number of parameters lowers the loss.",
    ),
    interaction(
        "log_loss",
        neither="width-16",
        first="width-32",
        second="width-64",
        both="width-128",
        at_least=-0.04,
        at_most=0.04,
        matters=0.02,
        sentence="In logarithms the last fourfold step is worth as much as the first, to 0.04.",
    ),
    lower(
        "test_loss",
        "five-gram",
        than="nanogpt",
        matters=0.02,
        sentence="A table of five-character counts still predicts better than nanoGPT's workload.",
    ),
)

_FULL = {
    "layers": 4,
    "block": 64,
    "warmup": 100,
    "steps": 1000,
    "nanogpt.steps": 2000,
    "target": 1.93,
}
SCALES = {
    "smoke": Scale(
        seeds=2,
        set={
            "layers": 1,
            "heads": 2,
            "block": 6,
            "steps": 3,
            "points": 2,
            "train_size": 2000,
            "held_size": 100,
            "sampled": 40,
        },
    ),
    "quick": Scale(seeds=6),
    "full": Scale(seeds=10, data="tinyshakespeare", set=_FULL),
    "paper": Scale(
        seeds=10, data="tinyshakespeare", set={**_FULL, "steps": 10000, "nanogpt.steps": 10000}
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train the arm's network, or count, and measure it on the held-out text."""
    if setup.order is not None:
        return count(setup, seeds, services)
    return learn(setup, seeds, services)


def figures(record: Record) -> dict[str, Figure]:
    """Draw loss against parameters, over updates and over positions, and what networks write."""
    networks = [arm for arm in record.arms if record.setups[arm]["order"] is None]
    return {
        "Test loss against parameters, both axes logarithmic, mean and 95 % interval; dotted: "
        "tables of counts": pictures.ladder(record, networks),
        "Validation loss while learning, mean and 95 % interval": draw.curves(
            record, "validation_loss", x_label="updates done (%)", each_seed=False
        ),
        "Test loss by the number of characters that the window gave to read": draw.curves(
            record, "position_loss", x_label="characters read", log_x=True, each_seed=False
        ),
        "What the networks of the first seed write": written(record, networks),
    }
