"""One trial: a reference, its pairs, a judge, policies at several prices, and what they came to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.engine.train import Trained
from practicum.labs.agents.preferences import measuring
from practicum.labs.agents.preferences.learning import (
    Pairs,
    Weights,
    improve,
    learn_reward,
    learn_to_write,
    prefer,
)
from practicum.labs.agents.preferences.texts import Texts, prefers_first, taste, texts
from practicum.nn.gpt2 import GPT2
from practicum.nn.language_policy import RewardModel

if TYPE_CHECKING:
    from practicum.labs.agents.preferences.experiment import Setup

SHOWN = 6  # answers of each policy that are kept for the picture
PATHS = ("reward", "true", "nats", "chosen", "rejected")
NAN = math.nan


@dataclass
class Found:
    """What was measured of one seed, point by point (a point: a price, or an n of best-of-n)."""

    true: list[float] = field(default_factory=list)
    learned: list[float] = field(default_factory=list)
    nats: list[float] = field(default_factory=list)
    texts: list[Tensor] = field(default_factory=list)


def run(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Do an arm's trial for every seed."""
    about = texts(setup.data, setup.prompt, setup.length, setup.fresh)
    learned = learn_to_write(setup, about, seeds, services)
    references = [_gpt2(one["network"]) for one in learned.networks]
    begin = [one.state_dict() for one in references]
    draws = [streams(seed).generator("noise") for seed in seeds]
    drawn = [ask(setup, about, one, g) for one, g in zip(references, draws, strict=True)]
    pairs = torch.stack([one[0] for one in drawn]), torch.stack([one[1] for one in drawn])
    models = None
    if setup.judge == "learned":
        models = learn_reward(setup, pairs, about.people, seeds, services)
    trained = _policies(setup, about, pairs, models, begin, seeds, services)
    diverged = learned.diverged.clone()
    for one in trained:
        diverged |= one.diverged
    found = []
    for i, reference in enumerate(references):
        bodies = [_gpt2(one.networks[i]["main"].body) for one in trained]
        model = None if models is None else models[i]
        state = draws[i].get_state()
        found.append(
            Found() if diverged[i] else _measured(setup, about, reference, bodies, model, state)
        )
    paths = _paths(setup, trained, len(seeds))
    return Measurements(
        values={
            **_values(setup, found),
            **{f"{name}_path": one for name, one in paths.items()},
            "chosen_moved": paths["chosen"][:, -1],
        },
        diverged=diverged,
        steps={
            **{name: torch.arange(1, setup.slots + 1) for name in ("true", "learned", "nats")},
            **{f"{name}_path": 100 * (torch.arange(setup.points) + 1) / setup.points
               for name in PATHS},
        },
        weights=tuple(
            _kept(begin[i], [_gpt2(policies.networks[i]["main"].body) for policies in trained], one)
            for i, one in enumerate(found)
        ),
    )  # fmt: skip


def ask(
    setup: Setup, about: Texts, reference: GPT2, generator: torch.Generator
) -> tuple[Int[Tensor, "n S"], Int[Tensor, "n S"]]:
    """Let the reference write pairs of answers, and have the better of each named.

    Returns:
        The texts called better, and those called worse.
    """
    n = setup.pairs
    at = torch.randint(len(about.prompts), (n,), generator=generator)
    both = about.prompts[at].repeat(2, 1)
    first, second = measuring.write(reference, both, setup.length, generator).chunk(2)
    chosen = prefers_first(
        taste(first, setup.prompt),
        taste(second, setup.prompt),
        torch.rand(n, generator=generator),
        strength=setup.strength,
        flips=setup.flips,
    )
    order = torch.randperm(n, generator=generator)
    if setup.shuffled:
        chosen = chosen[order]
    swap = chosen.unsqueeze(1)
    return torch.where(swap, first, second), torch.where(swap, second, first)


def _policies(
    setup: Setup,
    about: Texts,
    pairs: Pairs,
    models: Sequence[RewardModel] | None,
    begin: Weights,
    seeds: Sequence[int],
    services: Services,
) -> list[Trained]:
    if setup.method == "ppo":
        return [
            improve(setup, about, price, models, begin, seeds, services) for price in setup.prices
        ]
    if setup.method == "dpo":
        return [prefer(setup, pairs, price, begin, seeds, services) for price in setup.prices]
    return []


def _measured(
    setup: Setup,
    about: Texts,
    reference: GPT2,
    bodies: Sequence[GPT2],
    model: RewardModel | None,
    state: Tensor,
) -> Found:
    """Measure the reference, then every policy, all on the same draws."""
    found = Found()

    def fresh() -> torch.Generator:
        generator = torch.Generator()
        generator.set_state(state)
        return generator

    def add(text: Tensor, nats: float) -> None:
        found.true.append(float(taste(text, setup.prompt).mean()))
        with torch.no_grad():
            found.learned.append(NAN if model is None else float(model(text).mean()))
        found.nats.append(nats)
        found.texts.append(text[:SHOWN])

    add(measuring.write(reference, about.held, setup.length, fresh()), 0.0)
    for body in bodies:
        text = measuring.write(body, about.held, setup.length, fresh())
        add(text, measuring.nats(body, reference, text, setup.prompt))
    if setup.method == "best":
        assert model is not None
        for n in setup.tries:
            text = measuring.best_of(reference, about.held, setup.length, model, n, fresh())
            add(text, measuring.nats_of_best(n))
    return found


def _values(setup: Setup, found: Sequence[Found]) -> dict[str, Tensor]:
    """Return the measures that follow from the points; what an arm has not is nan."""

    def gains(name: str) -> Tensor:
        rows = []
        for one in found:
            numbers: list[float] = getattr(one, name)
            more = [x - numbers[0] for x in numbers[1:]] if numbers else []
            rows.append(more + [NAN] * (setup.slots - len(more)))
        return torch.tensor(rows, dtype=torch.float64)

    true, learned, nats = gains("true"), gains("learned"), gains("nats")
    points = setup.count
    each = [
        measuring.frontier(nats[i, :points].tolist(), true[i, :points].tolist(), setup.far)
        if one.true else NAN
        for i, one in enumerate(found)
    ]  # fmt: skip
    nothing = torch.zeros(len(found), dtype=torch.float64)
    return {
        "reference_reward": torch.tensor([one.true[0] if one.true else NAN for one in found]),
        "frontier": torch.tensor(each, dtype=torch.float64),
        "gain": true[:, points - 2] if points else nothing,
        "lost": true[:, points - 2] - true[:, points - 1] if points else nothing,
        "true": true,
        "learned": learned,
        "nats": nats,
    }


def _paths(setup: Setup, trained: Sequence[Trained], seeds: int) -> dict[str, Tensor]:
    """Return what was measured while the policy of the lowest price learned."""
    nothing = torch.full((seeds, setup.points), NAN, dtype=torch.float64)
    curves = dict.fromkeys(PATHS, nothing)
    if trained:
        curves |= {name: one for name, one in trained[-1].curves.items() if name in PATHS}
    return curves


def _kept(begin: dict[str, Tensor], bodies: Sequence[GPT2], found: Found) -> dict[str, Tensor]:
    """Return the weights of a trial: the reference, the policies, and some of their answers."""
    kept = {f"reference.{name}": one for name, one in begin.items()}
    for number, body in enumerate(bodies, 1):
        kept |= {f"policy{number}.{name}": one for name, one in body.state_dict().items()}
    return kept | {f"written{number}": one for number, one in enumerate(found.texts)}


def _gpt2(network: object) -> GPT2:
    assert isinstance(network, GPT2)
    return network.cpu().eval()
