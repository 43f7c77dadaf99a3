"""How an arm of the lab `gpt` learns, by gradients or by counting, and what is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.clipping import ClipNorm
from practicum.engine.evaluation import points
from practicum.engine.fit import fit
from practicum.engine.optimizers import AdamW
from practicum.engine.schedules import Cosine
from practicum.engine.services import Measurements, Services
from practicum.labs.characters import Corpus, corpus, window_losses, write
from practicum.learning import autoregressive
from practicum.learning.ngrams import KneserNey
from practicum.nn.gpt2 import GPT2, GPT2Config

if TYPE_CHECKING:
    from practicum.labs.attention.gpt.experiment import Setup

WATCHED = 100  # validation windows that are looked at while learning


def learn(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train the arm's network, once for every seed."""
    text = corpus(setup)
    train, validation, test = services.place(text.train, text.validation, text.test)
    block = setup.block
    watched = autoregressive.windows(validation, block, step=block)[:WATCHED]

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        return {"validation_loss": autoregressive.losses(network, watched).mean()}

    run = fit(
        lambda: build(setup, len(text.characters)),
        loss=autoregressive.next_token_loss,
        optimizer=AdamW(lr=setup.rate, betas=(0.9, 0.99), weight_decay=setup.decay),
        schedule=Cosine(steps=setup.steps, warmup=setup.warmup, floor=setup.floor),
        clip=ClipNorm(norm=setup.clip),
        data=(autoregressive.windows(train, block),),
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=evaluate,
        seeds=seeds,
        services=services,
    )
    networks = [parts["network"].eval() for parts in run.networks]
    each = {
        part: [
            autoregressive.losses(one, autoregressive.windows(tokens, block, step=block)).cpu()
            for one in networks
        ]
        for part, tokens in (("validation", validation), ("test", test))
    }
    weights = run.weights()
    for one, seed, lost, kept in zip(networks, seeds, run.diverged, weights, strict=True):
        kept["written"] = write(one, train, setup.sampled, block, seed, lost=bool(lost))
    size = parameters(setup, len(text.characters))
    values = measured(setup, text, each["validation"], each["test"])
    return Measurements(
        values={
            **values,
            "parameters": torch.full((len(seeds),), float(size)),
            "validation_loss": run.curves["validation_loss"],
        },
        diverged=run.diverged,
        steps={
            "validation_loss": 100 * run.steps / setup.steps,
            "position_loss": torch.arange(1, block + 1),
        },
        weights=weights,
    )


def count(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Count the arm's runs of characters; every seed gets the same."""
    assert setup.order is not None
    text, block = corpus(setup), setup.block
    table = KneserNey(text.train, setup.order, len(text.characters))
    validation, test = (window_losses(table, part, block) for part in (text.validation, text.test))
    at = points(setup.steps, max(1, setup.steps // setup.points))
    values = measured(setup, text, [validation] * len(seeds), [test] * len(seeds))
    return Measurements(
        values={
            **values,
            "parameters": torch.zeros(len(seeds)),
            "validation_loss": validation[:WATCHED].mean().expand(len(seeds), len(at)).clone(),
        },
        diverged=torch.zeros(len(seeds), dtype=torch.bool),
        steps={
            "validation_loss": 100 * torch.tensor(at) / setup.steps,
            "position_loss": torch.arange(1, block + 1),
        },
    )


def measured(
    setup: Setup,
    text: Corpus,
    validation: Sequence[Float[Tensor, "v T"]],
    test: Sequence[Float[Tensor, "t T"]],
) -> Mapping[str, Float[Tensor, "seeds *points"]]:
    """Return the measures that follow from each seed's losses on the two held-out parts."""
    both = zip(validation, test, strict=True)
    tenth = torch.stack([torch.cat(one).mean() for one in both])
    mean = torch.stack([one.mean() for one in test])
    return {
        "test_loss": mean,
        "log_loss": mean.log(),
        "last_tenth_loss": tenth,
        "above_target": tenth - target(setup, text),
        "position_loss": torch.stack([one.mean(0) for one in test]),
    }


def target(setup: Setup, text: Corpus) -> float:
    """Return the loss to reach on the last tenth of the text, in nats."""
    if setup.target is not None:
        return setup.target
    pairs = KneserNey(text.train, 2, len(text.characters))
    parts = [window_losses(pairs, part, setup.block) for part in (text.validation, text.test)]
    return float(torch.cat(parts).mean())


def build(setup: Setup, vocabulary: int) -> GPT2:
    """Build the arm's network."""
    return GPT2(
        GPT2Config(
            vocabulary=vocabulary,
            positions=setup.block,
            width=setup.width,
            layers=setup.layers,
            heads=setup.heads,
            dropout=0.0,
        )
    )


def parameters(setup: Setup, vocabulary: int) -> int:
    """Return how many trainable numbers the arm's network has, embeddings aside."""
    with torch.device("meta"):
        network = build(setup, vocabulary)
    embeddings = {id(one.weight) for one in (network.wte, network.wpe)}
    return sum(one.numel() for one in network.parameters() if id(one) not in embeddings)
