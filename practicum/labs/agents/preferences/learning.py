"""The trainings of a trial: the reference, the reward model, and the policies of both methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor, nn

from practicum.engine.clipping import ClipNorm
from practicum.engine.fit import fit
from practicum.engine.optimizers import Adam
from practicum.engine.schedules import LinearDecay
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Networks, Update
from practicum.labs.agents.preferences.networks import Author
from practicum.labs.agents.preferences.texts import LETTERS, Texts, taste
from practicum.learning.autoregressive import next_token_loss, windows
from practicum.learning.ppo import Details, ppo_loss
from practicum.learning.preferences import (
    Writing,
    answer_log_probability,
    dpo_loss,
    reward_loss,
)
from practicum.nn.gpt2 import GPT2, GPT2Config
from practicum.nn.language_policy import LanguagePolicy, RewardModel

if TYPE_CHECKING:
    from practicum.labs.agents.preferences.experiment import Setup

WATCHED = 128  # pairs whose log-probabilities are followed while DPO learns
Weights = Sequence[Mapping[str, Tensor]]
"""Per seed, the tensors of a GPT-2."""
Pairs = tuple[Int[Tensor, "seeds n S"], Int[Tensor, "seeds n S"]]
"""Per seed, the texts called better and those called worse."""


def config(setup: Setup) -> GPT2Config:
    """Return the sizes of every network of a trial."""
    return GPT2Config(
        vocabulary=len(LETTERS),
        positions=setup.prompt + setup.length,
        width=setup.width,
        layers=setup.layers,
        heads=setup.heads,
        dropout=0.0,
    )


def learn_to_write(setup: Setup, texts: Texts, seeds: Sequence[int], services: Services) -> Trained:
    """Train each seed's reference to predict the next character of the training text."""
    return fit(
        lambda: GPT2(config(setup)),
        loss=next_token_loss,
        optimizer=Adam(lr=setup.reference_rate),
        schedule=LinearDecay(steps=setup.reference_steps, floor=0.1),
        data=(windows(texts.train, setup.prompt + setup.length - 1),),
        batch_size=setup.reference_batch,
        steps=setup.reference_steps,
        seeds=seeds,
        services=services,
        name="reference",
    )


def learn_reward(
    setup: Setup,
    pairs: Pairs,
    people: Int[Tensor, "n S"],
    seeds: Sequence[int],
    services: Services,
) -> tuple[RewardModel, ...]:
    """Train each seed's reward model from its pairs; people's texts get the mean reward 0."""
    recipe = Recipe(
        networks={"reward": lambda: RewardModel(config(setup))},
        optimizers={"main": Trains(spec=Adam(lr=setup.reward_rate), networks=("reward",))},
        updates=(
            Update(
                loss=reward_loss,
                clip=ClipNorm(norm=1.0),
                schedule=LinearDecay(steps=setup.reward_steps),
            ),
        ),
        steps=setup.reward_steps,
        data=tuple(part.flatten(0, 1) for part in pairs),
        rows=_rows(pairs, seeds),
        batch_size=setup.reward_batch,
        name="reward",
    )
    trained = train(recipe, seeds, services)
    models = []
    for networks in trained.networks:
        model = networks["reward"].cpu().eval()
        assert isinstance(model, RewardModel)
        with torch.no_grad():
            model.offset.sub_(model(people).mean())
        models.append(model)
    return tuple(models)


def improve(
    setup: Setup,
    texts: Texts,
    price: float,
    models: Sequence[RewardModel] | None,
    begin: Weights,
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train each seed's "main" by PPO for its reward model, or r*; curves reward, true, nats."""
    details = Details(
        discount=1.0,
        trace=setup.trace,
        entropy_share=0.0,
        copies=setup.copies,
        horizon=1,
        epochs=setup.epochs,
        minibatches=setup.minibatches,
    )
    writing = Writing(
        prompts=texts.prompts,
        length=setup.length,
        beta=price,
        judge=lambda text: taste(text, setup.prompt) - texts.usual,
        learned=models is not None,
        details=details,
    )
    networks: dict[str, Callable[[], nn.Module]] = {
        name: partial(LanguagePolicy, config(setup), setup.prompt) for name in ("main", "reference")
    }
    first = _initial(begin, seeds, "main", "reference")
    place = {seed: i for i, seed in enumerate(seeds)}

    def initial(seed: int) -> Mapping[str, Mapping[str, Tensor]]:
        if models is None:
            return first(seed)
        return {**first(seed), "reward": models[place[seed]].state_dict()}

    if models is not None:
        networks["reward"] = lambda: RewardModel(config(setup))
    steps = setup.iterations * details.updates
    recipe = Recipe(
        networks=networks,
        optimizers={"main": Trains(spec=Adam(lr=setup.ppo_rate), networks=("main",))},
        updates=(
            Update(
                loss=partial(ppo_loss, details),
                clip=ClipNorm(norm=1.0),
                schedule=LinearDecay(steps=steps, floor=0.1),
            ),
        ),
        steps=steps,
        every=steps // setup.points,
        experience=writing.experience(),
        initial=initial,
        name=f"ppo-{price:g}",
    )
    return train(recipe, seeds, services)


def prefer(
    setup: Setup,
    pairs: Pairs,
    price: float,
    begin: Weights,
    seeds: Sequence[int],
    services: Services,
) -> Trained:
    """Train each seed's policy by DPO.

    Returns:
        The network "main"; the curves "chosen" and "rejected", mean log(pi / pi_ref) of the better
        and of the worse answers of the seed's first pairs, in nats.
    """
    place = {seed: i for i, seed in enumerate(seeds)}
    watched = services.place(*(part[:, :WATCHED] for part in pairs))

    def evaluate(networks: Networks, seed: int) -> dict[str, Tensor]:
        moved = [
            answer_log_probability(networks["main"], part[place[seed]])
            - answer_log_probability(networks["reference"], part[place[seed]])
            for part in watched
        ]
        return {"chosen": moved[0].mean(), "rejected": moved[1].mean()}

    recipe = Recipe(
        networks={
            name: partial(Author, config(setup), setup.prompt) for name in ("main", "reference")
        },
        optimizers={"main": Trains(spec=Adam(lr=setup.dpo_rate), networks=("main",))},
        updates=(
            Update(
                loss=partial(dpo_loss, beta=price),
                clip=ClipNorm(norm=1.0),
                schedule=LinearDecay(steps=setup.dpo_steps, floor=0.1),
            ),
        ),
        steps=setup.dpo_steps,
        every=setup.dpo_steps // setup.points,
        data=tuple(part.flatten(0, 1) for part in pairs),
        rows=_rows(pairs, seeds),
        batch_size=setup.dpo_batch,
        initial=_initial(begin, seeds, "main", "reference"),
        evaluate=evaluate,
        name=f"dpo-{price:g}",
    )
    return train(recipe, seeds, services)


def _rows(pairs: Pairs, seeds: Sequence[int]) -> Callable[[int], Int[Tensor, "n"]]:
    n, place = pairs[0].shape[1], {seed: i for i, seed in enumerate(seeds)}
    return lambda seed: torch.arange(n) + n * place[seed]


def _initial(
    begin: Weights, seeds: Sequence[int], *names: str
) -> Callable[[int], Mapping[str, Mapping[str, Tensor]]]:
    """Return each seed's beginning: the reference's GPT-2 in networks of some names."""
    place = {seed: i for i, seed in enumerate(seeds)}
    return lambda seed: {
        name: {f"body.{key}": tensor for key, tensor in begin[place[seed]].items()}
        for name in names
    }
