"""Interrupted and resumed, the same bits: step checkpoints.

Would catch: anything that decides the next step and is not in the file (a generator, the position
within an epoch, batch norm's statistics, an optimizer's moments, AutoClip's history, a half-filled
mean), a file that is trusted although a byte of it changed, a checkpoint taken before its step was
measured. Not here: that the write itself is atomic (test_files.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from practicum.engine.checkpoint import Checkpoint
from practicum.engine.clipping import AutoClip
from practicum.engine.evaluation import Evaluation, points
from practicum.engine.events import Event, Moment, Observer
from practicum.engine.fit import fit
from practicum.engine.loop import loop
from practicum.engine.optimizers import SGD, AdamW, build
from practicum.engine.schedules import Cosine
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.source import Batches
from practicum.engine.state import State
from practicum.engine.train import Trained
from practicum.engine.updates import Update, gradient_step

STEPS, SEED = 12, 3
_made = torch.Generator().manual_seed(2)
X, Y = torch.randn(14, 4, generator=_made), torch.randint(3, (14,), generator=_made)


def deep() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 3)
    )


def loss(networks: Any, batch: tuple[Tensor, ...], noise: Any) -> tuple[Tensor, dict[str, Tensor]]:
    x = batch[0] + 0.1 * noise.normal(len(batch[0]), 4)
    return F.cross_entropy(networks["network"](x), batch[1]), {}


def measure(networks: Any) -> dict[str, Tensor]:
    torch.rand(2)
    return {"error": F.cross_entropy(networks["network"](X), Y)}


class Stopped(BaseException):
    """Ctrl-C, as the engine's poll raises it."""


class Killed(BaseException):
    """The process dies inside a step; nothing is told to anybody."""


Outcome = tuple[dict[str, Any], dict[str, list[float]]]


def run(
    path: Path | None,
    *,
    stop: int | None = None,
    kill: int | None = None,
    seconds: float = 1e9,
    forget: str = "",
    early: bool = False,
) -> Outcome:
    """Train 14 examples in batches of 5, 5, 4; begin anew or go on from the file.

    Args:
        path: the checkpoint.
        stop: interrupt after this step.
        kill: die inside this step.
        seconds: least time between checkpoints.
        forget: a part left out of the checkpoint ("source", "evaluation", "noise").
        early: let the checkpoint be written before the evaluation of its step.
    """
    with streams(SEED).init():
        network = deep()
    optimizer = build(AdamW(lr=0.02), network.parameters())
    state = State({"network": network}, {"main": optimizer})
    source = Batches((X, Y), 5, streams(SEED).order())
    evaluation = Evaluation(measure, points(STEPS, 5))
    observers: list[Observer] = [evaluation]
    update = Update(
        loss=loss, clip=AutoClip(percentile=30.0), schedule=Cosine(steps=STEPS, warmup=3)
    )
    ordinary = gradient_step([update], {"main": 0.02})

    def step(state: State, batch: Any, noise: Any) -> Any:
        if state.step + 1 == kill:
            noise.normal(1)
            raise Killed
        return ordinary(state, batch, noise)

    def poll() -> None:
        if state.step == stop:
            raise Stopped

    with streams(SEED).noise():
        if path is not None:
            parts = {"source": source, "evaluation": evaluation}
            parts.pop(forget, None)
            checkpoint = Checkpoint(path, parts, seconds=seconds)
            if checkpoint.restore(state) and forget == "noise":
                torch.manual_seed(streams(SEED).number("noise"))
            observers.insert(0 if early else 1, checkpoint)
        state = loop(step, state, source, steps=STEPS, observers=observers, poll=poll)
    return state.state_dict(), evaluation.history


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every tensor and number in nested dicts and lists, by path."""
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, one in pairs for k, v in flat(one, f"{name}/{key}").items()}
    return {name: value}


def same(one: Outcome, other: Outcome) -> bool:
    """Whether weights, buffers, optimizer, counters and history have the same bits."""
    a, b = flat(one), flat(other)
    return list(a) == list(b) and all(
        torch.equal(a[k], b[k]) if isinstance(a[k], Tensor) else a[k] == b[k] for k in a
    )


@pytest.fixture(scope="module")
def whole() -> Outcome:
    return run(None)


def test_the_comparison_sees_weights_optimizer_clip_history_and_curves(whole: Outcome) -> None:
    names = flat(whole)
    for part in ("running_var", "exp_avg_sq", "norms/main", "counters/step", "/error/2"):
        assert any(part in name for name in names), part
    assert same(whole, run(None))


@pytest.mark.parametrize("stop", range(1, STEPS + 1))
def test_interrupted_after_any_step_it_ends_with_the_same_bits(
    stop: int, whole: Outcome, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    with pytest.raises(Stopped):
        run(path, stop=stop)
    torch.manual_seed(stop)  # another process has another global generator
    assert same(run(path), whole)


@pytest.mark.parametrize("kill", range(1, STEPS + 1))
def test_killed_inside_any_step_it_goes_on_from_the_last_checkpoint_with_the_same_bits(
    kill: int, whole: Outcome, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    with pytest.raises(Killed):
        run(path, kill=kill, seconds=0.0)
    assert path.exists() == (kill > 1)
    assert same(run(path), whole)


def test_interrupted_after_every_single_step_it_ends_with_the_same_bits(
    whole: Outcome, tmp_path: Path
) -> None:
    for stop in range(1, STEPS + 1):
        with pytest.raises(Stopped):
            run(tmp_path / "run.pt", stop=stop)
    assert same(run(tmp_path / "run.pt"), whole)


@pytest.mark.parametrize("forget", ["source", "evaluation", "noise"])
def test_a_checkpoint_that_lacks_a_part_would_be_noticed(
    forget: str, whole: Outcome, tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        run(tmp_path / "run.pt", stop=7, forget=forget)
    assert not same(run(tmp_path / "run.pt", forget=forget), whole)


def test_a_checkpoint_written_before_its_step_is_measured_would_be_noticed(
    whole: Outcome, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    with pytest.raises(Killed):
        run(path, kill=8, seconds=0.0, early=True)
    assert not same(run(path), whole)


@pytest.mark.parametrize("where", [0, 20, 32, 40, 0.3, 0.6, 0.9, -1])
def test_a_flipped_byte_is_named_and_the_run_starts_again_with_the_same_final_bits(
    where: float, whole: Outcome, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    with pytest.raises(Stopped):
        run(path, stop=8)
    content = bytearray(path.read_bytes())
    content[int(where * len(content)) if isinstance(where, float) else where] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"run\.damaged is damaged; its trial starts again"):
        assert same(run(path), whole)
    assert (tmp_path / "run.damaged").read_bytes() == content
    assert not path.exists()


@pytest.mark.parametrize("length", [0, 5, 32, 33, 700])
def test_a_truncated_checkpoint_is_damaged_too(length: int, whole: Outcome, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    with pytest.raises(Stopped):
        run(path, stop=2)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.warns(UserWarning, match="damaged"):
        assert same(run(path), whole)


def test_a_checkpoint_is_written_when_the_last_is_old_enough_and_says_so(tmp_path: Path) -> None:
    def written(seconds: float) -> list[int]:
        state, at = State(counters={"step": 0}), []
        checkpoint = Checkpoint(tmp_path / "run.pt", {}, seconds=seconds)

        def note(moment: Moment) -> None:
            if moment.event is Event.CHECKPOINTED:
                at.append(moment.state.step)

        def nothing(state: State, batch: int, noise: Any) -> tuple[State, dict[str, Any]]:
            return state, {}

        loop(nothing, state, iter(range(3)), steps=3, observers=[checkpoint, note])
        checkpoint.remove()
        checkpoint.remove()  # also when there is none
        return at

    assert written(0.0) == [1, 2, 3]
    assert written(1e9) == []
    assert not (tmp_path / "run.pt").exists()


# --- through fit, as a trial uses it


def trained(
    folder: Path | None,
    *,
    poll: Callable[[], None] | None = None,
    spec: Any = None,
    name: str = "a",
) -> Trained:
    return fit(
        deep,
        loss=lambda network, batch, noise: loss({"network": network}, batch, noise)[0],
        optimizer=spec or SGD(lr=0.05, momentum=0.9, nesterov=True),
        data=(X, Y),
        batch_size=5,
        steps=STEPS,
        seeds=[1, 2],
        services=Services(checkpoint=folder, poll=poll),
        evaluate=lambda network, seed: {"error": F.cross_entropy(network(X), Y)},
        every=5,
        accumulate=2,
        name=name,
    )


def after_polls(count: int) -> Callable[[], None]:
    left = [count]

    def poll() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Stopped

    return poll


@pytest.mark.parametrize("spec", [None, AdamW(lr=0.02)], ids=["momentum", "adamw"])
@pytest.mark.parametrize("polls", [1, 5, 12, 13, 20, 24])
def test_a_trial_of_two_seeds_interrupted_anywhere_has_the_same_bits(
    polls: int, spec: Any, tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, poll=after_polls(polls), spec=spec)
    resumed, expected = trained(tmp_path, spec=spec), trained(None, spec=spec)
    for ours, theirs in zip(resumed.weights(), expected.weights(), strict=True):
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for name, curve in expected.curves.items():
        assert torch.equal(resumed.curves[name], curve)
    assert not list(tmp_path.iterdir())  # a finished training leaves no checkpoint behind


def test_two_trainings_of_a_trial_keep_apart(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, poll=after_polls(5), name="a")
    other = trained(tmp_path, name="b", spec=SGD(lr=0.5))
    expected = trained(None, name="b", spec=SGD(lr=0.5))
    assert torch.equal(other.curves["loss"], expected.curves["loss"])
    assert [one.name for one in tmp_path.iterdir()] == ["a-1.pt"]


def test_a_checkpoint_makes_the_folder_that_is_not_there_yet(
    whole: Outcome, tmp_path: Path
) -> None:
    path = tmp_path / "not" / "there" / "run.pt"
    with pytest.raises(Stopped):
        run(path, stop=2)
    assert path.exists()
    assert same(run(path), whole)
