"""The runner: which run a command continues, whoever computes the trials, whatever was finished.

Catches: a finished run that is run again, a fresh one that is not, bits that depend on the executor
or on the number of workers or on what had been finished, a group of lanes that is finished in part
with other bits, a protocol without its arithmetic, events or weights that are missing.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.record import Record
from practicum.engine.services import Measurements
from practicum.errors import PracticumError
from practicum.labs import performing, runner
from practicum.labs.protocol import Request

REQUEST = Request(lab="dropout", scale="smoke", seeds=(0, 1, 2), set={"steps": "12"})


def outcome(record: Record) -> dict[str, Any]:
    found = {}
    for path in sorted((record.path / "trials").glob("*.json")):
        body = json.loads(path.read_text())["body"]
        found[path.name] = [body[key] for key in ("values", "steps", "diverged", "weights")]
    return {**found, "verdicts": record.verdicts}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return runner.run(REQUEST, tmp_path_factory.mktemp("reference"), workers=1)


def test_any_executor_gives_the_same_bits(reference: Record, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        other = runner.run(REQUEST, tmp_path, executor=executor, workers=1)
    assert outcome(other) == outcome(reference)


def test_two_workers_give_the_same_bits(reference: Record, tmp_path: Path) -> None:
    assert outcome(runner.run(REQUEST, tmp_path, workers=2)) == outcome(reference)


def test_added_seeds_do_not_change_the_others(reference: Record, tmp_path: Path) -> None:
    request = Request(lab="dropout", scale="smoke", seeds=(4, 1, 0), set={"steps": "12"})
    more = outcome(runner.run(request, tmp_path, workers=1))
    for name, trial in outcome(reference).items():
        if name.endswith(("--0.json", "--1.json")):
            assert more[name] == trial


def test_a_finished_run_is_shown_and_a_fresh_one_begun(tmp_path: Path) -> None:
    told = []
    listener = runner.Listener(
        begun=lambda record, resumed, damaged: told.append((record.path, resumed))
    )
    for fresh in (False, False, True):
        runner.run(REQUEST, tmp_path, workers=1, fresh=fresh, listener=listener)
    (first, began), (second, resumed), (third, began_again) = told
    assert (began, resumed, began_again) == (False, True, False)
    assert first == second
    assert third != first


def test_the_protocol_names_the_arithmetic_and_why(reference: Record) -> None:
    arithmetic = reference.protocol["arithmetic"]
    assert arithmetic["path"] == "loop"
    assert {"threads", "precision", "torch", "capability", "planned", "fused"} <= set(arithmetic)
    assert reference.protocol["command"] == REQUEST.command()
    assert set(reference.protocol["data"]) == {"digits"}


def test_events_and_the_first_seeds_weights_are_kept(reference: Record) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(reference.path / "events" / "plain" / "seed-1"))
    events.Reload()
    (scalar,) = events.Scalars("test_error")
    assert scalar.value == pytest.approx(reference.values("test_error", "plain")[1])
    assert len(events.Scalars("validation_error")) == len(reference.steps("validation_error"))
    weights = reference.weights("plain", 0)
    assert any("weight" in name for name in weights)
    with pytest.raises(PracticumError):
        reference.weights("plain", 1)


def test_a_group_of_lanes_finished_in_part_is_done_again_with_the_same_bits(
    tmp_path: Path,
) -> None:
    lanes = Arithmetic(path="lanes", lane_group=2)
    record = runner.run(REQUEST, tmp_path, workers=1, pinned=lambda request_sha256: lanes)
    before = outcome(record)
    (record.path / "verdict.json").unlink()
    (record.path / "trials" / "dropout--1.json").unlink()
    (record.path / "trials" / "plain--2.json").unlink()
    again = runner.run(REQUEST, tmp_path, workers=1)
    assert again.path == record.path
    assert outcome(again) == before
    assert again.protocol["arithmetic"]["lane_group"] == 2


def test_a_published_results_arithmetic_is_taken_without_timing(tmp_path: Path) -> None:
    lanes = Arithmetic(path="lanes", lane_group=3)
    record = runner.run(REQUEST, tmp_path, workers=1, pinned=lambda request_sha256: lanes)
    assert record.protocol["arithmetic"]["path"] == "lanes"
    assert "published" in record.protocol["arithmetic"]["planned"]


def test_a_run_of_another_machine_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = runner.run(REQUEST, tmp_path, workers=1)
    spec = Arithmetic.spec
    monkeypatch.setattr(Arithmetic, "spec", lambda self: {**spec(self), "capability": "OTHER"})
    assert runner.run(REQUEST, tmp_path, workers=1).path != record.path


def test_measurements_without_the_seeds_in_front_are_refused() -> None:
    wrong = Measurements(values={"error": np.zeros((2, 3))})
    with pytest.raises(PracticumError, match="leading axis is the 3 seeds"):
        performing.split(wrong, [0, 1, 2], keep=0)
