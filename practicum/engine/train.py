"""From a recipe and seeds to trained networks, by the path that the arithmetic names.

A recipe is a complete description of gradient training; the loop path trains seed after seed with
`loop`, the lanes path trains a group of seeds at once (`lanes.py`). Both give the same numbers to
rounding. Rules that are not gradient updates call `loop` themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from practicum.engine.checkpoint import Checkpoint
from practicum.engine.evaluation import Evaluate, Evaluation, points
from practicum.engine.events import Event, Moment, Observer
from practicum.engine.experience import Alone, Begin, Experience, acting_alone
from practicum.engine.following import Follow, following, start
from practicum.engine.loop import loop
from practicum.engine.noise import GlobalNoise, Noise
from practicum.engine.optimizers import OptimizerSpec, build
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.source import Batches
from practicum.engine.state import State
from practicum.engine.updates import Batch, Loss, Networks, Update, gradient_step
from practicum.errors import PracticumError, unknown

REPORT_EVERY = 25  # steps between two progress reports


@dataclass(frozen=True, kw_only=True)
class Trains:
    """Which networks an optimizer trains, and how."""

    spec: OptimizerSpec
    networks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A complete description of gradient training.

    Attributes:
        networks: builders by name; called in this order under the seed's initialisation stream.
        optimizers: what each optimizer trains.
        updates: the updates of one step, in order.
        steps: how many steps.
        data: tensors with the examples as first axis, all of the same length.
        batch_size: examples a step.
        experience: makes the batches instead of data, from the networks as they are now.
        follows: networks that follow another (targets, averages); they move after every step.
        rows: for a seed, the indices of the examples it trains on; None: all.
        initial: for a seed, tensors with which networks begin, by network and name (from an earlier
            training); what it leaves out begins as built.
        evaluate: (networks, seed) -> measures; run in evaluation mode without gradients.
        every: steps between evaluations; None: only at the end.
        name: tells several trainings of one trial apart (in checkpoints).

    Raises:
        PracticumError: it has both data and experience, or neither.
    """

    networks: Mapping[str, Callable[[], nn.Module]]
    optimizers: Mapping[str, Trains]
    updates: Sequence[Update]
    steps: int
    data: tuple[Tensor, ...] = ()
    batch_size: int = 1
    experience: Begin | None = None
    follows: Sequence[Follow] = ()
    rows: Callable[[int], Int[Tensor, "n"]] | None = None
    initial: Callable[[int], Mapping[str, Mapping[str, Tensor]]] | None = None
    evaluate: Callable[[Networks, int], Mapping[str, Tensor | float]] | None = None
    every: int | None = None
    name: str = "training"

    def __post_init__(self) -> None:
        if bool(self.data) == (self.experience is not None):
            raise PracticumError("a recipe learns either from data or from experience; give one")

    @property
    def rates(self) -> dict[str, float]:
        """The unscheduled learning rate of each optimizer."""
        return {name: one.spec.lr for name, one in self.optimizers.items()}

    def evaluate_of(
        self, seed: int, experience: Experience | None = None, lane: int = 0
    ) -> Evaluate | None:
        """Return what measures one seed; None: only the loss is measured.

        Args:
            seed: the seed.
            experience: whose report on the seed is measured too.
            lane: the seed's lane in it.
        """
        if self.evaluate is None and experience is None:
            return None

        def evaluate(networks: Networks) -> Mapping[str, Tensor | float]:
            measured = {} if self.evaluate is None else self.evaluate(networks, seed)
            reported = {} if experience is None else experience.report(lane)
            for name in measured.keys() & reported.keys():
                raise PracticumError(
                    f"{name!r} is measured by the recipe's `evaluate` and reported by its "
                    "experience; give yours another name"
                )
            return {**measured, **reported}

        return evaluate

    def rows_of(self, seed: int) -> Int[Tensor, "n"] | None:
        """Return the indices of the examples that a seed trains on; None: all."""
        return None if self.rows is None else self.rows(seed)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training gave, with the seeds as leading axis.

    Attributes:
        steps: [points] the steps at which it was evaluated.
        curves: measure name to [seeds, points]; NaN from the point where a seed diverged.
        diverged: [seeds] whether training left the finite numbers.
        networks: per seed, the final networks by name.
    """

    steps: Int[Tensor, "points"]
    curves: Mapping[str, Float[Tensor, "seeds points"]]
    diverged: Bool[Tensor, "seeds"]
    networks: tuple[Mapping[str, nn.Module], ...] = field(repr=False)

    def final(self, measure: str) -> Float[Tensor, "seeds"]:
        """Return a measure after the last step, [seeds]."""
        return self.curves[measure][:, -1]

    def weights(self) -> tuple[dict[str, Tensor], ...]:
        """Return per seed the final tensors, parameters and buffers, by name."""
        return tuple(
            {
                f"{name}.{key}": tensor
                for name, network in networks.items()
                for key, tensor in network.state_dict().items()
            }
            for networks in self.networks
        )


def train(recipe: Recipe, seeds: Sequence[int], services: Services) -> Trained:
    """Train the recipe once for every seed.

    Raises:
        PracticumError: the batch size does not fit the data, or the recipe cannot run in lanes.
    """
    if services.arithmetic.path == "lanes":
        from practicum.engine.lanes import train_lanes

        return train_lanes(recipe, seeds, services)
    ran = [_train_one(recipe, seed, services) for seed in seeds]
    return gather(recipe, [one[0] for one in ran], [one[1] for one in ran])


def gather(
    recipe: Recipe,
    histories: Sequence[Mapping[str, Sequence[float]]],
    states: Sequence[State],
) -> Trained:
    """Put the seeds' histories side by side; what a diverged seed did not reach is NaN."""
    at = points(recipe.steps, recipe.every)
    names = {name: None for history in histories for name in history}
    curves = {name: torch.full((len(histories), len(at)), float("nan")).double() for name in names}
    for row, history in enumerate(histories):
        for name, values in history.items():
            curves[name][row, : len(values)] = torch.tensor(values, dtype=torch.float64)
    diverged = torch.tensor(["diverged" in state.counters for state in states])
    for curve in curves.values():
        curve[diverged, -1] = float("nan")  # a diverged seed has no final value
    return Trained(
        steps=torch.tensor(at),
        curves=curves,
        diverged=diverged,
        networks=tuple(state.networks for state in states),
    )


def begin(recipe: Recipe, seed: int, services: Services) -> State:
    """Build a seed's networks and optimizers.

    Raises:
        PracticumError: `initial` names a network or a tensor that there is not.
    """
    arithmetic = services.arithmetic
    with streams(seed).init():
        networks = {name: build_one() for name, build_one in recipe.networks.items()}
    if recipe.initial is not None:
        _load(networks, recipe.initial(seed))
    start(recipe.follows, networks)
    for network in networks.values():
        network.to(device=services.device, dtype=services.dtype)
    optimizers = {
        name: build(
            one.spec,
            # A tensor that two networks share is one parameter, and moves once.
            dict.fromkeys(p for network in one.networks for p in networks[network].parameters()),
            fused=arithmetic.fused,
        )
        for name, one in recipe.optimizers.items()
    }
    return State(networks=networks, optimizers=optimizers)


def _load(networks: Mapping[str, nn.Module], initial: Mapping[str, Mapping[str, Tensor]]) -> None:
    for name, tensors in initial.items():
        if name not in networks:
            raise unknown("network", name, networks)
        extra = networks[name].load_state_dict(tensors, strict=False).unexpected_keys
        if extra:
            raise PracticumError(f"network {name!r} has no tensor called {', '.join(extra)}")


def _train_one(
    recipe: Recipe, seed: int, services: Services
) -> tuple[dict[str, list[float]], State]:
    """Train one seed with the loop; return what was measured, and the final state."""
    state = begin(recipe, seed, services)
    source = _source(recipe, seed, state, services)
    experience = source.experience if isinstance(source, Alone) else None
    evaluation = Evaluation(
        recipe.evaluate_of(seed, experience), points(recipe.steps, recipe.every), services.autocast
    )
    observers: list[Observer] = [evaluation, Reporting(recipe.steps, services)]
    with streams(seed).noise():
        checkpoint = None
        if services.checkpoint is not None and source.resumable:
            path = services.checkpoint / f"{recipe.name}-{seed}.pt"
            checkpoint = Checkpoint(path, {"source": source, "evaluation": evaluation})
            checkpoint.restore(state)
            observers.append(checkpoint)
        updates = autocasting(compiled(recipe.updates, services), services)
        state = loop(
            following(gradient_step(updates, recipe.rates), recipe.follows),
            state,
            source,
            steps=recipe.steps,
            noise=GlobalNoise(services.device),
            observers=observers,
            poll=services.poll,
        )
    if checkpoint is not None:
        checkpoint.remove()
    return evaluation.history, state


def _source(recipe: Recipe, seed: int, state: State, services: Services) -> Batches | Alone:
    if recipe.experience is not None:
        act = acting_alone(state.networks, services)
        return Alone(recipe.experience((seed,), act), services)
    return Batches(
        services.place(*recipe.data), recipe.batch_size, streams(seed).order(), recipe.rows_of(seed)
    )


def autocasting(updates: Sequence[Update], services: Services) -> Sequence[Update]:
    """Return the updates, each loss computed under autocast if the arithmetic says so.

    Autocast keeps its rounded copies of the weights until it is left, so one context around
    several steps would compute every loss with the weights of the first.
    """
    if services.arithmetic.precision != "bfloat16":
        return updates
    return [replace(update, loss=partial(_autocast, update.loss, services)) for update in updates]


def _autocast(
    loss: Loss, services: Services, networks: Networks, batch: Batch, noise: Noise
) -> tuple[Tensor, Mapping[str, Tensor]]:
    with services.autocast():
        return loss(networks, batch, noise)


def compiled(updates: Sequence[Update], services: Services) -> Sequence[Update]:
    """Return the updates, their losses compiled if the arithmetic says so."""
    if not services.arithmetic.compile:
        return updates
    return [replace(update, loss=_compile(update.loss)) for update in updates]


def _compile(loss: Loss) -> Loss:
    compiled_loss: Loss = torch.compile(loss)
    return compiled_loss


class Reporting:
    """An observer that reports progress, and times steps for the planner."""

    def __init__(self, steps: int, services: Services) -> None:
        self.steps, self.services = steps, services

    def __call__(self, moment: Moment) -> None:
        """Report a step."""
        if moment.event is not Event.STEPPED:
            return
        done = moment.state.step
        if self.services.probe is not None:
            self.services.probe(done, self.steps)
        if done % REPORT_EVERY == 0 or done == self.steps:
            self.services.progress(done, self.steps)
