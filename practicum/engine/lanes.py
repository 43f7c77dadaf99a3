"""Many seeds in one program: the lanes path of `train`.

Every seed of a group is built exactly as the loop builds it; its parameters then become rows of
stacked tensors that one traced program differentiates and one optimizer moves. Each lane has its
own batches, noise, clipping memory and evaluation, so a seed's numbers do not depend on which
others run beside it: for a given group size they are the same bits in any company and position.
They agree with the loop's to rounding.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from practicum.engine.checkpoint import Checkpoint
from practicum.engine.evaluation import Evaluation, points
from practicum.engine.events import Event, Moment
from practicum.engine.experience import acting_alone
from practicum.engine.lane_batches import lane_parts, lane_source
from practicum.engine.lane_draws import LaneGenerators
from practicum.engine.lane_layout import Stacked, Whole, check_alike, plan_leaves
from practicum.engine.lane_program import Program, Rehearsal, rehearse, trace, trace_call
from practicum.engine.optimizers import ELEMENTWISE, build
from practicum.engine.seeds import generator_states, set_generator_states, streams
from practicum.engine.services import Services
from practicum.engine.state import State
from practicum.engine.train import Recipe, Reporting, Trained, autocasting, begin, gather
from practicum.engine.updates import Batch, Update
from practicum.errors import PracticumError

SMALLEST_GROUP = 2  # one lane alone goes to other kernels than several


def train_lanes(recipe: Recipe, seeds: Sequence[int], services: Services) -> Trained:
    """Train the recipe once for every seed, `arithmetic.lane_group` seeds at a time.

    The last group is filled up with copies of its first seed, so that every seed is always
    computed in a group of the same size.

    Raises:
        PracticumError: the recipe cannot run in lanes; the message names the part that cannot.
    """
    _check_optimizers(recipe)
    size = max(SMALLEST_GROUP, services.arithmetic.lane_group)
    histories: list[Mapping[str, Sequence[float]]] = []
    states: list[State] = []
    for start in range(0, len(seeds), size):
        members = list(seeds[start : start + size])
        group = Group(recipe, members, size, services)
        group.train()
        histories += [group.evaluations[lane].history for lane in range(len(members))]
        states += group.states[: len(members)]
    return gather(recipe, histories, states)


def lanes_problem(recipe: Recipe, services: Services) -> str | None:
    """Return why a recipe cannot run in lanes, or None if it can; nothing is trained."""
    try:
        _check_optimizers(recipe)
        group = Group(recipe, [0, 1], SMALLEST_GROUP, services)
        batch = group.batches.next()
        for number, update in enumerate(group.updates):
            for part in lane_parts(batch, update.accumulate):
                group.program(number, update, part, batch)
    except PracticumError as problem:
        return str(problem)
    return None


def _check_optimizers(recipe: Recipe) -> None:
    for name, one in recipe.optimizers.items():
        kind = type(one.spec).__name__
        if kind not in ELEMENTWISE:
            raise PracticumError(
                f"optimizer {name!r} is {kind}, whose update is not elementwise: lanes would mix. "
                f"Elementwise are {', '.join(ELEMENTWISE)}; others run seed by seed in workers"
            )


class Group:
    """Some seeds that train together.

    Attributes:
        seeds: one for each lane; the last ones may repeat the first, as filling.
        states: for each lane the networks of its seed; they get the numbers at evaluations, when a
            lane diverges, and at the end.
        stacked: all lanes' numbers.
        optimizers: by name; they move the leaves of `stacked`.
        buffers: what clipping rules remember, lanes first.
        diverged: lane to the step at which it left the finite numbers; its seed's networks keep
            the numbers from before, while the lane itself goes on unheeded.
    """

    def __init__(
        self, recipe: Recipe, members: Sequence[int], size: int, services: Services
    ) -> None:
        self.recipe, self.services, self.members = recipe, services, tuple(members)
        self.seeds = (*members, *[members[0]] * (size - len(members)))
        self.updates = autocasting(recipe.updates, services)
        self.states = [begin(recipe, seed, services) for seed in self.seeds]
        self.wholes = [Whole(state.networks) for state in self.states]
        check_alike(self.wholes)
        self.noise = LaneGenerators([streams(seed) for seed in self.seeds])
        self.batches = lane_source(recipe, self.seeds, self._act, services)
        experience = getattr(self.batches, "experience", None)
        self.evaluations = [
            Evaluation(
                recipe.evaluate_of(seed, experience, lane),
                points(recipe.steps, recipe.every),
                services.autocast,
            )
            for lane, seed in enumerate(self.seeds)
        ]
        self._rehearsals: dict[Any, Rehearsal] = {}
        self._programs: dict[Any, Program] = {}
        self._calls: dict[Any, Callable[..., Any]] = {}
        self.stacked = Stacked(self._plan(), self.wholes)
        self.optimizers = self._optimizers()
        self.buffers: dict[str, Tensor] = {}
        self.diverged: dict[int, int] = {}
        self.clock = State(counters={"step": 0})
        self._losses: list[list[float]] = []  # of the steps since the last evaluation

    def _plan(self) -> Any:
        """Rehearse every update on the first batch, and lay out what they move."""
        act = acting_alone(self.states[0].networks, self.services)
        batch = lane_source(self.recipe, self.seeds[:1], act, self.services).next()
        used = []
        for number, update in enumerate(self.updates):
            parts = lane_parts(batch, update.accumulate)
            used.append(
                frozenset().union(*(self._rehearse(number, update, part).used for part in parts))
            )
        return plan_leaves(self.states[0], self.wholes[0], used)

    def _rehearse(self, number: int, update: Update, part: Batch) -> Rehearsal:
        key = (number, *(one.shape[1:] for one in part))
        if key not in self._rehearsals:
            first = tuple(one[0] for one in part)
            whole = self.wholes[0]
            self._rehearsals[key] = rehearse(update.loss, whole, first, self.services.device)
        return self._rehearsals[key]

    def _optimizers(self) -> dict[str, Optimizer]:
        built = {}
        for name, one in self.recipe.optimizers.items():
            mine = [
                tensor
                for leaf, tensor in zip(self.stacked.plan, self.stacked.leaves, strict=True)
                if name in leaf.optimizers
            ]
            if mine:
                built[name] = build(one.spec, mine, fused=self.services.arithmetic.fused)
        return built

    def program(self, number: int, update: Update, part: Batch, batch: Batch) -> Program:
        """Return the traced program of an update for this shape of batch."""
        key = (number, batch[0].shape[1], *(one.shape for one in part))
        if key not in self._programs:
            moves = [
                i
                for i, leaf in enumerate(self.stacked.plan)
                if update.optimizer in leaf.optimizers and number in leaf.used
            ]
            self._programs[key] = trace(
                update.loss,
                self.wholes[0],
                self.stacked,
                moves,
                part,
                self._rehearse(number, update, part),
                over=batch[0].shape[1] / part[0].shape[1],
                device=self.services.device,
                compile=self.services.arithmetic.compile,
            )
        return self._programs[key]

    def _act(self, name: str, *inputs: Tensor) -> Any:
        """Let all lanes' networks of one name act; see `practicum.engine.experience`."""
        inputs = self.services.place(*inputs)
        key = (name, *((one.shape, one.dtype) for one in inputs))
        if key not in self._calls:
            self._calls[key] = trace_call(name, self.wholes[0], self.stacked, inputs)
        with torch.no_grad():
            return self._calls[key](*self.stacked.tensors, *inputs)

    def train(self) -> None:
        """Train to the last step, or until every seed has diverged; go on from a checkpoint."""
        reporting = Reporting(self.recipe.steps, self.services)
        with streams(self.seeds[0]).noise(), torch.no_grad():
            checkpoint = self._checkpoint()
            if checkpoint is not None:
                checkpoint.restore(self.clock)
            while self.clock.step < self.recipe.steps and len(self._alive()) > 0:
                self._step(self.batches.next())
                moment = Moment(Event.STEPPED, self.clock, {}, _tell_nobody)
                reporting(moment)
                if checkpoint is not None:
                    checkpoint(moment)
                self._poll(checkpoint)
            for lane in self._alive():
                self.stacked.copy_lane(lane, self.wholes[lane])
        if checkpoint is not None:
            checkpoint.remove()

    def _alive(self) -> list[int]:
        return [lane for lane in range(len(self.members)) if lane not in self.diverged]

    def _checkpoint(self) -> Checkpoint | None:
        if self.services.checkpoint is None or not self.batches.resumable:
            return None
        name = hashlib.sha256(repr(self.seeds).encode()).hexdigest()[:8]
        path = self.services.checkpoint / f"{self.recipe.name}-{self.seeds[0]}-lanes-{name}.pt"
        return Checkpoint(path, {"group": self})

    def _poll(self, checkpoint: Checkpoint | None) -> None:
        if self.services.poll is None:
            return
        try:
            self.services.poll()
        except BaseException:
            if checkpoint is not None:
                checkpoint(Moment(Event.INTERRUPTED, self.clock, {}, _tell_nobody))
            raise

    def _step(self, batch: Batch) -> None:
        losses = [float("nan")] * len(self.seeds)
        for number, update in enumerate(self.updates):
            values = self._update(number, update, batch)
            if update.optimizer == "main":
                losses = values
        self._losses.append(losses)
        self.clock.counters["step"] += 1
        for one in self.recipe.follows:
            if one.due(self.clock.step):
                one.move(self.stacked.of(one.follower), self.stacked.of(one.leader))
        if self.clock.step in self.evaluations[0].at:
            for lane in self._alive():
                self._evaluate(lane, Event.STEPPED)
            self._losses = []

    def _update(self, number: int, update: Update, batch: Batch) -> list[float]:
        """Carry out one update for all lanes; return each lane's loss."""
        optimizer = self.optimizers.get(update.optimizer)
        if optimizer is not None:
            optimizer.zero_grad()
        values, reported = [0.0] * len(self.seeds), None
        gradients: list[Tensor | None] = []
        moves: tuple[int, ...] = ()
        for part in lane_parts(batch, update.accumulate):
            program = self.program(number, update, part, batch)
            self.noise.fill(program.draws, program.memory)
            losses, reported, *found = program.run(*self.stacked.tensors, *part, *program.memory)
            values = [a + b for a, b in zip(values, losses.tolist(), strict=True)]
            self._watch(values)
            gradients = _sum(gradients, found)
            moves = program.moves
        if update.clip is not None:
            gradients = self._clipped(update, gradients)
        for i, gradient in zip(moves, gradients, strict=True):
            self.stacked.leaves[i].grad = gradient
        if optimizer is not None:
            if update.schedule is not None:
                rate = self.recipe.rates[update.optimizer] * update.schedule(self.clock.step)
                for group in optimizer.param_groups:
                    group["lr"] = rate
            optimizer.step()
        return values if reported is None else reported.tolist()

    def _watch(self, losses: Sequence[float]) -> None:
        """Freeze the seeds whose loss is not finite, at the state before this update."""
        if all(map(math.isfinite, losses)):
            return
        for lane in self._alive():
            if not math.isfinite(losses[lane]):
                self._evaluate(lane, Event.DIVERGED)
                self.diverged[lane] = self.clock.step
                self.states[lane].counters["diverged"] = self.clock.step

    def _clipped(self, update: Update, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return the gradients scaled by what the rule says of each lane's own norm."""
        assert update.clip is not None
        found = [one for one in gradients if one is not None]
        norms = torch.stack([torch.linalg.vector_norm(one, dim=1) for one in found])
        memory = f"norms/{update.optimizer}"
        factors, seen = update.clip(
            torch.linalg.vector_norm(norms, dim=0), self.buffers.get(memory)
        )
        if seen is not None:
            self.buffers[memory] = seen
        return [None if one is None else one * factors.unsqueeze(1) for one in gradients]

    def _evaluate(self, lane: int, event: Event) -> None:
        """Tell a lane's evaluation what happened, with its seed's networks up to date."""
        state, evaluation = self.states[lane], self.evaluations[lane]
        self.stacked.copy_lane(lane, self.wholes[lane])
        state.counters["step"] = self.clock.step
        losses = [row[lane] for row in self._losses]
        metrics = {}
        if event is Event.STEPPED:  # which counts the last step's loss itself
            metrics["loss"] = losses.pop()
        evaluation.collect(losses)
        before = generator_states()
        set_generator_states(self.noise.states(lane))  # what an evaluation in the loop would find
        evaluation(Moment(event, state, metrics, _tell_nobody))
        set_generator_states(before)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides the next step and what was measured, for a checkpoint."""
        return {
            "stacked": self.stacked.state_dict(),
            "optimizers": {name: one.state_dict() for name, one in self.optimizers.items()},
            "buffers": dict(self.buffers),
            "noise": self.noise.state_dict(),
            "batches": self.batches.state_dict(),
            "evaluations": [one.state_dict() for one in self.evaluations],
            "losses": self._losses,
            "diverged": dict(self.diverged),
            "frozen": {lane: self.wholes[lane].state_dict() for lane in self.diverged},
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.stacked.load_state_dict(saved["stacked"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(saved["optimizers"][name])
        self.buffers = dict(saved["buffers"])
        self.noise.load_state_dict(saved["noise"])
        self.batches.load_state_dict(saved["batches"])
        for evaluation, one in zip(self.evaluations, saved["evaluations"], strict=True):
            evaluation.load_state_dict(one)
        self._losses, self.diverged = saved["losses"], dict(saved["diverged"])
        for lane, tensors in saved["frozen"].items():
            self.wholes[lane].load_state_dict(tensors)
            self.states[lane].counters["diverged"] = self.diverged[lane]


def _sum(total: list[Tensor | None], more: list[Tensor | None]) -> list[Tensor | None]:
    if not total:
        return more
    return [b if a is None else a if b is None else a + b for a, b in zip(total, more, strict=True)]


def _tell_nobody(event: Event, metrics: Mapping[str, Any]) -> None:
    """Observers of lanes have no observers."""
