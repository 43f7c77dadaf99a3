"""How an arm of the lab `bert` learns words, then classes; and the controls that learn no words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.engine.clipping import ClipNorm
from practicum.engine.fit import fit
from practicum.engine.noise import GlobalNoise, Noise
from practicum.engine.optimizers import AdamW
from practicum.engine.schedules import Cosine
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Batch, Networks, Update
from practicum.labs.attention.bert.networks import Classifier, Guesser
from practicum.labs.attention.bert.words import MASK, PADDING, SPECIAL, Corpus, shuffled
from practicum.labs.splitting import split
from practicum.learning.masked_language_modelling import Masking, masked_loss
from practicum.nn.bert import BERTConfig

if TYPE_CHECKING:
    from practicum.labs.attention.bert.experiment import Setup

WATCHED = 400  # validation sentences on which guesses are measured
POOL = 0  # whose draws hide the validation words, for every seed alike


def config_of(setup: Setup, words: int, dropout: float) -> BERTConfig:
    """Return the sizes of an arm's network."""
    return BERTConfig(
        vocabulary=words,
        positions=setup.length,
        segments=1,
        width=setup.width,
        layers=setup.layers,
        heads=setup.heads,
        hidden=4 * setup.width,
        dropout=dropout,
        next_sentence=False,
    )


def masking(setup: Setup, words: int) -> Masking:
    """Return how words are hidden."""
    return Masking(mask=MASK, words=words, special=len(SPECIAL), share=setup.share)


def next_word_loss(network: Callable[..., Tensor], batch: Batch, noise: Noise) -> Float[Tensor, ""]:
    """Return the mean loss of the words given those before them; special ones are no targets."""
    (tokens,) = batch
    target, logits = tokens[:, 1:].flatten(), network(tokens[:, :-1]).flatten(0, 1)
    each = F.cross_entropy(logits, target, reduction="none")
    weight = (target >= len(SPECIAL)).to(each.dtype)
    return (each * weight).sum() / weight.sum().clamp(min=1)


def pretrain(setup: Setup, text: Corpus, seeds: Sequence[int], services: Services) -> Trained:
    """Let the network guess words of the text, once for every seed."""
    words = len(text.vocabulary)
    causal, hidden = setup.method == "left-to-right", masking(setup, words)
    read = shuffled(text.text) if setup.shuffle else text.text
    data, watched = services.place(read, text.validation[0][:WATCHED])

    def loss(network: Callable[..., Tensor], batch: Batch, noise: Noise) -> Tensor:
        if causal:
            return next_word_loss(network, batch, noise)
        return masked_loss(network, batch, noise, masking=hidden, padding=PADDING)[0]

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        with streams(POOL).noise():
            return {"guessing_loss": loss(network, (watched,), GlobalNoise(services.device))}

    return fit(
        lambda: Guesser(config_of(setup, words, 0.0), causal=causal),
        loss=loss,
        optimizer=AdamW(lr=setup.rate, weight_decay=setup.decay),
        schedule=Cosine(steps=setup.steps, warmup=setup.steps // 10),
        clip=ClipNorm(norm=1.0),
        data=(data,),
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=evaluate,
        seeds=seeds,
        services=services,
        name="words",
    )


def tune(
    setup: Setup,
    text: Corpus,
    labels: int,
    encoders: Mapping[int, Mapping[str, Tensor]],
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Learn the classes of so many labelled sentences, every tensor of the network moving.

    Args:
        setup: the arm.
        text: the sentences.
        labels: labelled sentences.
        encoders: by seed, the tensors of the encoder to begin with; empty: as it is drawn.
        seeds: the seeds.
        services: what the engine handed to the trial.
    """
    causal, words = setup.method == "left-to-right", len(text.vocabulary)

    def loss(networks: Networks, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        tokens, classes = batch
        return F.cross_entropy(networks["network"](tokens), classes), {}

    config = config_of(setup, words, setup.dropout)
    recipe = Recipe(
        networks={"network": lambda: Classifier(config, len(text.classes), causal=causal)},
        optimizers={
            "main": Trains(
                spec=AdamW(lr=setup.tune_rate, weight_decay=setup.decay), networks=("network",)
            )
        },
        updates=(
            Update(
                loss=loss,
                clip=ClipNorm(norm=1.0),
                schedule=Cosine(steps=setup.tune_steps, warmup=setup.tune_steps // 10),
            ),
        ),
        data=services.place(*text.train),
        batch_size=setup.tune_batch,
        steps=setup.tune_steps,
        rows=lambda seed: labelled(text, labels, seed, setup.data),
        initial=(lambda seed: {"network": encoders[seed]}) if encoders else None,
        name=f"labels-{labels}",
    )
    return train(recipe, seeds, services)


def labelled(text: Corpus, labels: int, seed: int, data: str) -> Int[Tensor, "labels"]:
    """Return the rows of a seed's labelled sentences: the same in all arms, fewer among more."""
    return split(labels, 0, of=len(text.train[0]), seed=seed, data=data)[0]


def encoder(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a Guesser that a Classifier begins with."""
    return {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.startswith(("bert.transform", "bert.bias"))
    }


def learn(
    setup: Setup, text: Corpus, seeds: Sequence[int], services: Services
) -> tuple[list[Trained], Trained | None]:
    """Train the arm's networks: for every number of labels, and first for words if it does."""
    first = None if setup.method == "scratch" else pretrain(setup, text, seeds, services)
    known = (
        {}
        if first is None
        else {
            seed: encoder(one["network"]) for seed, one in zip(seeds, first.networks, strict=True)
        }
    )
    return [tune(setup, text, n, known, seeds, services) for n in setup.labels], first
