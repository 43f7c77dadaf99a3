"""The promises of every lab, each as a function that raises where a lab breaks it.

A lab under test is a `Subject`: its entry, its module, one smoke record, and one further pass of
all its trials, watched; the contracts share them. `test_labs.py` holds every lab to them, and
`test_the_contracts_bite.py` shows that each rejects a lab that is broken on purpose.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from practicum.engine import train
from practicum.engine.arithmetic import Arithmetic
from practicum.engine.interrupt import Interrupted
from practicum.engine.record import Record
from practicum.engine.services import Measurements, Services
from practicum.engine.state import State
from practicum.errors import PracticumError
from practicum.labs import performing, protocol, runner
from practicum.labs.catalogue import Entry
from practicum.labs.lab import Lab, load, setups_at
from practicum.labs.protocol import Request

COMMAND = re.compile(r"^\$ (practicum .*)$", re.MULTILINE)
VERBS = ("run", "show", "open", "list", "data", "compare")
STEPS_TRIED = 200

# In float64 at smoke, lanes and loop differ by rounding only: sums in another order, some steps on.
VALUES = {"rtol": 1e-6, "atol": 1e-9}
WEIGHTS = {"rtol": 1e-6, "atol": 1e-7}


class Broken(AssertionError):
    """A lab breaks a promise; the message says which and where."""


class NothingToCheck(Exception):
    """A lab does nothing that the promise is about."""


@dataclass
class Watched:
    """What was seen of the training inside one trial.

    Attributes:
        states: of every training by `engine.train`, networks and optimizers.
        moved: by id, each parameter that an optimizer moves, and whether it ever had a gradient
            that is not zero. The parameter is kept, so that no other gets its id.
        steps: (step, steps in all) of every step that the engine told of.
    """

    states: list[State] = field(default_factory=list)
    moved: dict[int, tuple[torch.Tensor, bool]] = field(default_factory=dict)
    steps: list[tuple[int, int]] = field(default_factory=list)


@contextmanager
def watching() -> Iterator[Watched]:
    """Within, watch every torch optimizer, and every training that the engine's loop begins."""
    seen, begin = Watched(), train.begin

    def began(*arguments: Any) -> State:
        seen.states.append(begin(*arguments))
        return seen.states[-1]

    def before_step(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        for group in optimizer.param_groups:
            for one in group["params"]:
                there = one.grad is not None and bool(torch.count_nonzero(one.grad))
                seen.moved[id(one)] = (one, there or seen.moved.get(id(one), (one, False))[1])

    handle = register_optimizer_step_pre_hook(before_step)
    train.begin = began
    try:
        yield seen
    finally:
        train.begin = begin
        handle.remove()


@dataclass
class Subject:
    """A lab that is held to the contracts.

    Attributes:
        entry: what the catalogue says of it.
        root: folder of smoke records; a finished one there is used again.
    """

    entry: Entry
    root: Path

    @cached_property
    def lab(self) -> Lab:
        """The lab's module."""
        return load(self.entry.module)

    @cached_property
    def record(self) -> Record:
        """One smoke run."""
        return runner.run(Request(lab=self.entry.name, scale="smoke"), self.root, workers=1)

    @cached_property
    def setups(self) -> dict[str, Any]:
        """Every arm's setup at smoke."""
        return protocol.setups(self.lab, Request(lab=self.entry.name, scale="smoke"))

    @property
    def services(self) -> Services:
        """What the record's own trials were handed."""
        return Services(
            arithmetic=runner.reference(self.lab, Request(lab=self.entry.name, scale="smoke"))
        )

    @cached_property
    def again(self) -> dict[str, tuple[list[dict[str, Any]], Watched]]:
        """All seeds in one call, the last first: results in that order, and what was seen."""
        found, seeds = {}, self.record.seeds[::-1]  # the record is made before anything is watched
        for arm, setup in self.setups.items():
            with watching() as seen:
                services = replace(
                    self.services,
                    probe=lambda done, of, seen=seen: seen.steps.append((done, of)),
                )
                results = trial(self.lab, setup, seeds, services)
            found[arm] = (results, seen)
        return found

    @property
    def trained(self) -> list[str]:
        """The arms that train through the engine."""
        return [arm for arm, (_, seen) in self.again.items() if seen.states]


def trial(
    lab: Lab, setup: Any, seeds: Sequence[int], services: Services, *, keep: int = -1
) -> list[dict[str, Any]]:
    """Return what a trial measured, seed by seed; the weights of the seed `keep` whole."""
    return performing.split(lab.trial(setup, list(seeds), services), list(seeds), keep=keep)


def holds(name: str, contract: Callable[[Subject], None], subject: Subject) -> None:
    """Hold a lab to a contract from which EXCEPTIONS may except it, if that is needed."""
    if name not in subject.entry.exceptions:
        with suppress(NothingToCheck):
            contract(subject)
        return
    try:
        contract(subject)
    except (Broken, PracticumError, NothingToCheck):
        return
    raise Broken(f"EXCEPTIONS[{name!r}] is not needed: the contract holds; take it out")


def tells_the_truth(subject: Subject) -> None:
    """What the catalogue reads without running the file is what the module says."""
    entry, lab = subject.entry, subject.lab
    said = (entry.name, entry.topic, entry.title, entry.source, entry.year, entry.data)
    same(said, (lab.name, lab.topic, lab.title, lab.source, lab.year, lab.data), "literals")
    same(entry.arms, tuple(lab.arms), "arms")
    same(entry.claims, tuple(claim.sentence for claim in lab.claims), "claims")
    same(entry.scales, {name: scale.seeds for name, scale in lab.scales.items()}, "scales")
    require(lab.scales["full"].seeds >= 10, "full has fewer than ten seeds")


def runs_to_verdicts(subject: Subject) -> None:
    """A smoke run ends with one verdict for each claim."""
    verdicts = subject.record.verdicts
    same([one["sentence"] for one in verdicts], list(subject.entry.claims), "verdicts")
    require(
        {one["verdict"] for one in verdicts} <= {"supported", "refuted", "undecided"},
        "a verdict is none of supported, refuted, undecided",
    )


def same_bits(subject: Subject) -> None:
    """A seed gives the same bits a second time, and in other company and order.

    The record's trials were done one seed at a time (the loop), so a seed that sees its neighbours
    gives other bits here, and so does a trial that draws from anything but its seed.
    """
    for arm, (results, _) in subject.again.items():
        for seed, one in zip(subject.record.seeds[::-1], results, strict=True):
            _same_as_record(subject.record, arm, seed, one, "again, among other seeds")


def _same_as_record(record: Record, arm: str, seed: int, one: dict[str, Any], when: str) -> None:
    place = record.seeds.index(seed)
    for name, value in one["values"].items():
        there = record.values(name, arm)[place]
        if not np.array_equal(np.asarray(value, float), there, equal_nan=True):
            raise Broken(f"arm {arm}, seed {seed}, {name}: {value} {when}, at first {there}")
    same(one["digest"], record.weights_digest(arm, seed), f"arm {arm}, seed {seed}: weights {when}")


def gradients(subject: Subject) -> None:
    """Every parameter of every trained network gets a gradient that is not zero.

    Watched are all torch optimizers, so a loop written by hand is seen too. A parameter that is
    frozen openly (`requires_grad` is false) needs none.
    """
    if not any(seen.moved for _, seen in subject.again.values()):
        raise Broken(
            'no torch optimizer moved anything; say why in EXCEPTIONS = {"gradients": "..."}'
        )
    for arm, (_, seen) in subject.again.items():
        names = _names(seen.states)
        for one, there in seen.moved.values():
            name = names.get(id(one), f"a parameter of shape {tuple(one.shape)}")
            require(there, f"arm {arm}: {name} never gets a gradient other than zero")
        for name, one in _of_trained(seen):
            require(id(one) in seen.moved, f"arm {arm}: no optimizer moves {name}")


def _names(states: Sequence[State]) -> dict[int, str]:
    return {
        id(one): f"{network}.{name}"
        for state in states
        for network, module in state.networks.items()
        for name, one in module.named_parameters()
    }


def _of_trained(seen: Watched) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every parameter, not frozen, of the networks of which a part was trained."""
    for state in seen.states:
        for network, module in state.networks.items():
            if any(id(one) in seen.moved for one in module.parameters()):
                for name, one in module.named_parameters():
                    if one.requires_grad:
                        yield f"{network}.{name}", one


def state_round_trips(subject: Subject) -> None:
    """A trial that is interrupted in the middle of its last training ends with the same bits.

    The second call reads networks, optimizers, streams and what was measured from the checkpoint.
    """
    if not subject.trained:
        raise NothingToCheck
    for arm in subject.trained:
        seen = subject.again[arm][1]
        require(
            bool(seen.steps), f"arm {arm}: the trial does not hand the engine its own services on"
        )
        seeds = subject.record.seeds
        trainings = max(1, len(seen.states) // len(seeds))
        folder = subject.root / "checkpoints" / subject.entry.name / arm
        cut = Cut(trainings)
        services = replace(subject.services, checkpoint=folder, probe=cut.probe, poll=cut.poll)
        with suppress(Interrupted):
            trial(subject.lab, subject.setups[arm], seeds[-1:], services)
        require(cut.done, f"arm {arm}: its last training was never reached with one seed alone")
        resumed = Cut(None)
        services = replace(services, probe=resumed.probe, poll=None)
        (one,) = trial(subject.lab, subject.setups[arm], seeds[-1:], services)
        went_on = [] if cut.step == cut.of else [cut.step + 1]
        same(
            resumed.begun[:trainings],
            [1] * (trainings - 1) + went_on,
            f"arm {arm}: the steps at which trainings began after an interruption at step "
            f"{cut.step} of the last one (do all have names of their own?)",
        )
        _same_as_record(subject.record, arm, seeds[-1], one, "after an interruption")


class Cut:
    """Interrupts the given training in its middle; tells at which steps trainings began."""

    def __init__(self, training: int | None) -> None:
        self.training, self.step, self.of = training, 0, 0
        self.begun: list[int] = []
        self.done = False
        self._last = (0, 0)

    def probe(self, done: int, of: int) -> None:
        if done != self._last[0] + 1 or of != self._last[1]:
            self.begun.append(done)
        self._last = (done, of) if done < of else (0, 0)
        if len(self.begun) == self.training and done == max(1, of // 2):
            self.done, self.step, self.of = True, done, of

    def poll(self) -> None:
        if self.done:
            raise Interrupted


def lanes_equal_loop(subject: Subject) -> None:
    """Trained together in one program, seeds give what they give one after the other.

    In float64; measures to 1e-6 of their size, weights to 1e-7 (`VALUES`, `WEIGHTS`).
    """
    if not subject.trained:
        raise NothingToCheck
    seeds = subject.record.seeds[:2]
    lanes = Arithmetic(path="lanes", lane_group=len(seeds), precision="float64")
    for arm in subject.trained:
        setup = subject.setups[arm]
        loop = subject.lab.trial(setup, seeds, Services(arithmetic=Arithmetic(precision="float64")))
        try:
            there = subject.lab.trial(setup, seeds, Services(arithmetic=lanes))
        except PracticumError as error:
            raise Broken(f"arm {arm} cannot run in lanes: {error}") from None
        _close(arm, loop, there)


def _close(arm: str, loop: Measurements, lanes: Measurements) -> None:
    for name, value in loop.values.items():
        one, other = (np.asarray(measured, float) for measured in (value, lanes.values[name]))
        if one.shape != other.shape or not np.allclose(one, other, equal_nan=True, **VALUES):
            raise Broken(f"arm {arm}, {name}: {other} in lanes, {one} in the loop")
    for mine, theirs in zip(loop.weights, lanes.weights, strict=True):
        for name, tensor in mine.items():
            if not torch.allclose(
                tensor.double(), theirs[name].double(), equal_nan=True, **WEIGHTS
            ):
                raise Broken(f"arm {arm}: {name} in lanes is not the loop's")


def figures_show_something(subject: Subject) -> None:
    """There are figures with captions, and none is blank."""
    from matplotlib.image import imread

    figures = subject.lab.figures(subject.record)
    require(bool(figures), "there is no figure")
    for caption, figure in figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=50)
        buffer.seek(0)
        image = imread(buffer)
        require(bool(caption), "a figure has no caption")
        require((image[..., :3] < 0.5).any(axis=-1).mean() > 0.002, f"{caption}: blank")


def lesson_commands_run(subject: Subject) -> None:
    """The lesson asks three questions or more, and each command does what it says, at smoke.

    A command without settings is the smoke record itself. With settings, the arms that they change
    are tried with one seed; a trial of more than `STEPS_TRIED` steps is left there.
    """
    commands = COMMAND.findall(subject.entry.lesson.read_text(encoding="utf-8"))
    require(len(commands) >= 3, f"the lesson has {len(commands)} commands; three are needed")
    for command in commands:
        words = shlex.split(command)
        require(words[1] in VERBS, f"{command}: no such verb")
        if words[1] != "run" or "--data" in words:
            continue
        same(words[2], subject.entry.name, command)
        pairs = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        changes = dict(pair.split("=", 1) for pair in pairs)
        smoke = subject.lab.scales["smoke"]
        for arm, setup in setups_at(subject.lab, smoke, changes).items():
            if setup != subject.setups[arm]:
                services = replace(subject.services, poll=_patience(STEPS_TRIED))
                with suppress(Interrupted):
                    trial(subject.lab, setup, subject.record.seeds[:1], services)


def _patience(steps: int) -> Callable[[], None]:
    """Return what interrupts a trial after so many steps."""
    left = iter(range(steps))

    def poll() -> None:
        if next(left, None) is None:
            raise Interrupted

    return poll


def header_says_what_would_refute_it(subject: Subject) -> None:
    """The header states question, refutation, arms, measure, smallest effect and pitfalls."""
    for part in ("Question", "refute", "Arms", "Primary measure", "Smallest effect", "Pitfalls"):
        require(part in subject.lab.header, f"the header lacks {part!r}")


def same(one: Any, other: Any, what: str) -> None:
    """Require two things to be equal."""
    require(one == other, f"{what}: {one!r} is not {other!r}")


def require(condition: Any, what: str) -> None:
    """Raise `Broken` unless the condition holds."""
    if not condition:
        raise Broken(what)
