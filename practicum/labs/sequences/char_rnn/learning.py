"""How an arm of the lab `char-rnn` learns, and what is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.engine.clipping import ClipNorm
from practicum.engine.evaluation import points
from practicum.engine.fit import fit
from practicum.engine.optimizers import Adam
from practicum.engine.schedules import Cosine
from practicum.engine.services import Measurements, Services
from practicum.labs.characters import corpus, window_losses, write
from practicum.labs.sequences.char_rnn.networks import CharRNN, build, carried_losses, size
from practicum.learning import autoregressive
from practicum.learning.ngrams import KneserNey

if TYPE_CHECKING:
    from practicum.labs.sequences.char_rnn.experiment import Setup

WATCHED = 100  # validation windows that are looked at while learning


def learn(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train the arm's network, once for every seed."""
    text = corpus(setup)
    train, validation, test = services.place(text.train, text.validation, text.test)
    block = setup.block
    watched = autoregressive.windows(validation, block, step=block)[:WATCHED]

    def evaluate(network: Callable[..., Tensor], seed: int) -> dict[str, Tensor]:
        return {"validation_loss": autoregressive.losses(network, watched).mean()}

    warmup = round(setup.warmup * setup.steps)
    run = fit(
        lambda: build(setup, len(text.characters)),
        loss=autoregressive.next_token_loss,
        optimizer=Adam(lr=setup.rate),
        schedule=Cosine(steps=setup.steps, warmup=warmup, floor=setup.floor),
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
    held = autoregressive.windows(test, block, step=block)
    fresh = [autoregressive.losses(one, held).cpu() for one in networks]
    gains = [carrying(one, test, block, lost) for one, lost in zip(networks, fresh, strict=True)]
    weights = run.weights()
    for one, seed, lost, kept in zip(networks, seeds, run.diverged, weights, strict=True):
        kept["written"] = write(one, train, setup.sampled, block, seed, lost=bool(lost))
    return Measurements(
        values={
            **measured(fresh),
            "gain_of_carrying": torch.stack(gains),
            "parameters": torch.tensor([float(size(one)) for one in networks]),
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
    text, block = corpus(setup), setup.block
    table = KneserNey(text.train, setup.order, len(text.characters))
    validation, test = (window_losses(table, part, block) for part in (text.validation, text.test))
    at = points(setup.steps, max(1, setup.steps // setup.points))
    return Measurements(
        values={
            **measured([test] * len(seeds)),
            "gain_of_carrying": torch.zeros(len(seeds)),
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
    losses: Sequence[Float[Tensor, "m T"]],
) -> Mapping[str, Float[Tensor, "seeds *points"]]:
    """Return the measures that follow from each seed's losses on the test text."""
    return {
        "test_loss": torch.stack([one.mean() for one in losses]),
        "position_loss": torch.stack([one.mean(0) for one in losses]),
    }


def carrying(
    network: nn.Module, test: Int[Tensor, "t"], block: int, fresh: Float[Tensor, "m T"]
) -> Float[Tensor, ""]:
    """Return what carrying the state gains, in nats; a network without a state gains 0."""
    if not isinstance(network, CharRNN):
        return torch.zeros((), dtype=torch.float64)
    return fresh.mean() - carried_losses(network, test, block).cpu().mean()
