"""How the lab gets its vectors: by negative sampling, by counting, or by chance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.events import Event, Moment
from practicum.engine.loop import loop
from practicum.engine.noise import GlobalNoise
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.state import State
from practicum.labs.sequences.word2vec.text import Corpus
from practicum.learning.word2vec import (
    Model,
    keep_chance,
    noise_distribution,
    passages,
    steps_of,
    word2vec,
)
from practicum.nn.word2vec import Word2Vec

REPORT_EVERY = 50


@dataclass(frozen=True)
class Learnt:
    """What a training gave.

    Attributes:
        vectors: [V, D], the input vectors.
        losses: mean loss of a pair in each part of the training, in nats.
        diverged: whether a loss was not finite; the vectors are then those before it.
    """

    vectors: Float[Tensor, "V D"]
    losses: list[float]
    diverged: bool


def learn(
    model: Model,
    whole: Corpus,
    seed: int,
    services: Services,
    *,
    order: torch.Generator,
    dimension: int,
    window: int,
    negatives: int,
    shared: int,
    positions: int,
    threshold: float,
    rate: float,
    passes: float,
    points: int,
) -> Learnt:
    """Train one network on a text; the settings are those of the experiment's setup."""
    with streams(seed).init():
        network = Word2Vec(len(whole.words), dimension)
    network.to(device=services.device, dtype=services.dtype)
    keep = keep_chance(whole.counts, threshold)
    steps = max(points, steps_of(whole.text, keep, passes, positions))
    step = word2vec(
        model,
        noise_distribution(whole.counts),
        most=window,
        negatives=negatives,
        shared=shared,
        rate=rate,
        steps=steps,
    )
    sums, many = [0.0] * points, [0] * points

    def observe(moment: Moment) -> None:
        if moment.event is not Event.STEPPED:
            return
        done = moment.state.step
        part = (done - 1) * points // steps
        sums[part] += float(moment.metrics["loss"])
        many[part] += 1
        if done % REPORT_EVERY == 0 or done == steps:
            services.progress(done, steps)

    source = passages(whole.text, keep, positions=positions, most=window, generator=order)
    with streams(seed).noise():
        state = loop(
            step,
            State(networks={"main": network}),
            (passage.to(services.device) for passage in source),
            steps=steps,
            noise=GlobalNoise(services.device),
            observers=[observe],
            poll=services.poll,
        )
    losses = [a / n if n else float("nan") for a, n in zip(sums, many, strict=True)]
    return Learnt(network.input.detach().cpu().float(), losses, "diverged" in state.counters)
