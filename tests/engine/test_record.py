"""What could be wrong here: an interrupted run that loses or repeats a finished trial, or ends with
other contents than an undisturbed one; two writers; a damaged file that is believed, or that takes
finished trials with it; a command that continues the wrong run.

A whole run is lived again and again, with a fault at every single change it makes on the disk: the
call fails, the disk is full from there on, the process dies before, after or halfway through it,
or the power goes. Not covered: the training in between (bits of a trial are the loop's matter).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from practicum.engine import files, locks
from practicum.engine.protocol import request_digest
from practicum.engine.record import Record, find, folders
from practicum.errors import PracticumError
from tests.engine.chores import PROTOCOL, WITH_WEIGHTS, contents, live, outcome
from tests.engine.faulty_disk import Died, FaultyDisk

REQUEST = request_digest(PROTOCOL)
PAIRS = [(arm, seed) for arm in PROTOCOL["arms"] for seed in PROTOCOL["seeds"]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("undisturbed")
    live(root)
    return contents(root)


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Count the changes on the disk that a whole run makes."""
    disk = FaultyDisk()
    with pytest.MonkeyPatch.context() as patch:
        install(patch, disk)
        live(tmp_path_factory.mktemp("counted") / "runs")
    assert {"open", "write", "fsync", "replace", "mkdir", "pwrite"} <= set(disk.calls)
    return len(disk.calls)


def install(patch: pytest.MonkeyPatch, disk: Any) -> None:
    patch.setattr(files, "os", disk)
    patch.setattr(locks, "os", disk)


def faults(root: Path, disk: FaultyDisk, power: str, expected: dict[str, bytes]) -> list[str]:
    """Live a run on a faulty disk, then continue it on a good one; return what went wrong."""
    wrong: list[str] = []
    saved: list[tuple[str, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        install(patch, disk)
        try:
            live(root, lambda arm, seed: saved.append((arm, seed)))
        except Died:
            pass
        except PracticumError as error:
            if str(root.parent) not in str(error) or "run the same command again" not in str(error):
                wrong.append(f"the message does not help: {error}")
    if power != "stays":
        disk.lose_power(names=power == "names go too")
    repeated: list[tuple[str, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        install(patch, FaultyDisk())  # a good disk, but one that does not wait for flushing
        try:
            said = live(root, lambda arm, seed: repeated.append((arm, seed)))
        except PracticumError as error:
            return [*wrong, f"cannot be continued: {error}"]
    wrong += [f"half a file under its final name: {one}" for one in said]
    wrong += [f"finished trial lost: {pair}" for pair in saved if pair in repeated]
    after = contents(root)
    wrong += [f"other contents: {n}" for n in expected if after.get(n) != expected[n]]
    return wrong + [f"left behind: {name}" for name in after if name not in expected]


@pytest.mark.parametrize(
    ("how", "power"),
    [
        ("error", "stays"),
        ("full", "stays"),
        ("die halfway", "stays"),
        ("die after", "stays"),
        ("die after", "goes"),
        ("die after", "names go too"),
    ],
)
def test_a_fault_at_any_change_on_the_disk_loses_nothing(
    tmp_path: Path, undisturbed: dict[str, bytes], changes: int, how: str, power: str
) -> None:
    for at in range(changes):
        disk = FaultyDisk(at, how)
        wrong = faults(tmp_path / str(at) / "runs", disk, power, undisturbed)
        assert wrong == [], f"{how} at change {at} of {changes} ({disk.calls[at]})"
        assert disk.fired


def write_in_place(path: Path, data: bytes) -> None:
    descriptor = files.os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    files.os.write(descriptor, data)
    files.os.fsync(descriptor)
    files.os.close(descriptor)
    files.flush_folder(Path(path).parent)


def write_without(*left_out: str) -> Callable[[Path, bytes], None]:
    def write(path: Path, data: bytes) -> None:
        partial = Path(path).with_name(".x.partial")
        descriptor = files.os.open(partial, os.O_WRONLY | os.O_CREAT, 0o666)
        files.os.write(descriptor, data)
        if "flush" not in left_out:
            files.os.fsync(descriptor)
        files.os.close(descriptor)
        files.os.replace(partial, path)
        if "folder" not in left_out:
            files.flush_folder(Path(path).parent)

    return write


@pytest.mark.parametrize(
    ("writer", "how", "power"),
    [
        (write_in_place, "die halfway", "stays"),
        (write_without("flush"), "die after", "goes"),
        (write_without("folder"), "die after", "names go too"),
    ],
    ids=["in place", "file not flushed", "folder not flushed"],
)
def test_a_writer_with_one_step_left_out_is_caught(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: dict[str, bytes],
    writer: Any,
    how: str,
    power: str,
) -> None:
    monkeypatch.setattr(files, "write_atomic", writer)

    def caught(at: int) -> bool:
        return bool(faults(tmp_path / str(at) / "runs", FaultyDisk(at, how), power, undisturbed))

    assert any(caught(at) for at in range(50))
    # The stand-in itself is no disturbance: without a fault the same writer does well.
    assert faults(tmp_path / "well" / "runs", FaultyDisk(), "stays", undisturbed) == []


@pytest.mark.parametrize("at", [5, 11, 20, 24, 30, 39])
def test_a_killed_process_is_continued_to_the_same_bytes(tmp_path: Path, at: int) -> None:
    killed = subprocess.run(chore("live_and_be_killed", str(tmp_path / "a"), str(at)), check=False)
    assert killed.returncode == -signal.SIGKILL
    live(tmp_path / "a", keep=None)
    live(tmp_path / "b", keep=None)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def chore(*words: str) -> list[str]:
    return [sys.executable, "-m", "tests.engine.chores", *words]


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "of another run"])
def test_any_damaged_file_is_named_and_only_its_trial_is_repeated(
    tmp_path: Path, undisturbed: dict[str, bytes], damage: str
) -> None:
    for number, name in enumerate(undisturbed):
        root = tmp_path / str(number)
        live(root)
        path = root / name
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 4
        new = {"flipped": bytes(raw), "cut": raw[:-9], "empty": b""}.get(damage)
        if new is None:
            files.write_json(path, {"arm": "plain", "seed": 0, "protocol": "00", "verdicts": []})
        else:
            path.write_bytes(new)
        record = Record.open(folders(root, "toy")[0])
        if path.parent.name == "trials":
            with pytest.raises(files.Damaged, match=path.name):
                record.outcomes()
        if path.name == "verdict.json":
            with pytest.raises(files.Damaged, match=path.name):
                _ = record.verdicts
        if path.suffix == ".safetensors":
            with pytest.raises(files.Damaged, match=path.name):
                record.weights(*WITH_WEIGHTS)
        assert record.state == ("finished" if "protocol" in name else "unfinished")
        repeated: list[tuple[str, int]] = []
        said = live(root, lambda arm, seed, repeated=repeated: repeated.append((arm, seed)))
        assert len(said) == 1
        assert str(path) in said[0]
        expected = 1 if path.parent.name in ("trials", "weights") else 0
        assert len(repeated) == expected, name
        after = contents(root)
        assert {key: after[key] for key in undisturbed} == undisturbed
        kept = [key for key in after if key not in undisturbed]
        assert kept == ([] if "protocol" in path.name else [f"{name}.damaged"])


def test_a_protocol_damaged_in_both_copies_is_named_and_nothing_is_overwritten(
    tmp_path: Path,
) -> None:
    live(tmp_path)
    path = folders(tmp_path, "toy")[0]
    for name in ("protocol.json", "protocol.copy.json"):
        (path / name).write_bytes(b"{")
    before = contents(tmp_path)
    for act in (lambda: Record.open(path), lambda: find(tmp_path, "toy", REQUEST)):
        with pytest.raises(files.Damaged, match=r"protocol\.json .*cut off.* --fresh"):
            act()
    assert contents(tmp_path) == before


def test_a_full_disk_in_the_middle_keeps_the_trials_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record.create(tmp_path, PROTOCOL)
    with record.lock():
        record.save_trial("plain", 0, {"error": 1.0})
        monkeypatch.setattr(files, "os", FaultyDisk(0, "full"))
        with pytest.raises(PracticumError, match=r"disk full while writing .*plain--1\.json"):
            record.save_trial("plain", 1, {"error": 2.0})
    assert Record.open(record.path).finished() == {("plain", 0)}


def test_the_newest_run_with_the_same_request_is_found_whatever_arithmetic_chose(
    tmp_path: Path,
) -> None:
    lanes = {**PROTOCOL, "arithmetic": {"path": "lanes"}}
    other = {**PROTOCOL, "seeds": [0, 1, 2]}
    assert find(tmp_path, "toy", REQUEST) is None
    first = Record.create(tmp_path, PROTOCOL, today=date(2026, 1, 31))
    second = Record.create(tmp_path, PROTOCOL, today=date(2026, 1, 31))
    third = Record.create(tmp_path, PROTOCOL, today=date(2026, 1, 31))
    assert [one.path.name[15:] for one in (first, second, third)] == ["", "-2", "-3"]
    older = Record.create(tmp_path, lanes, today=date(2025, 12, 1))
    unrelated = Record.create(tmp_path, other, today=date(2026, 2, 1))
    (tmp_path / "toy" / "2027-01-01-abcd").mkdir()  # a creation that was interrupted: no run
    assert found(tmp_path) == third.path
    newer = Record.create(tmp_path, lanes, today=date(2026, 2, 1))
    assert newer.request == older.request == first.request == REQUEST != unrelated.request
    assert found(tmp_path) == newer.path
    by_loop = find(tmp_path, "toy", REQUEST, lambda p: p["arithmetic"]["path"] == "loop")
    assert by_loop is not None
    assert by_loop.path == third.path
    assert find(tmp_path, "other-lab", REQUEST) is None


def found(root: Path) -> Path | None:
    record = find(root, "toy", REQUEST)
    return record and record.path


def test_a_run_is_finished_only_with_every_trial_and_the_verdict(tmp_path: Path) -> None:
    record = Record.create(tmp_path, PROTOCOL)
    with record.lock():
        for done, (arm, seed) in enumerate(PAIRS):
            with pytest.raises(PracticumError, match=rf"no verdict yet: {done} of 4 trials"):
                _ = record.verdicts
            with pytest.raises(PracticumError, match=f"{arm}' with seed {seed} .* not finished"):
                record.save_verdicts([])
            with pytest.raises(PracticumError, match="run the same command again to go on"):
                record.values("error", arm)
            record.save_trial(arm, seed, **outcome(arm, seed))
        assert record.state == "locked"
    assert record.state == "unfinished"
    with record.lock():
        record.save_verdicts([{"verdict": "refuted"}])
    assert record.state == Record.open(record.path).state == "finished"
    assert record.verdicts == [{"verdict": "refuted"}]


def test_what_was_saved_is_read_back_in_the_order_of_the_protocol(tmp_path: Path) -> None:
    live(tmp_path)
    record = Record.open(folders(tmp_path, "toy")[0])
    assert (record.lab, record.scale, record.seeds) == ("toy", "smoke", (0, 1))
    assert record.arms == ("plain", "p=0.5")  # not sorted
    assert record.setups == PROTOCOL["arms"]
    assert record.measures == ("error", "loss")
    assert record.values("error", "p=0.5").tolist() == [1 / 8, 2 / 8]
    expected = [[0.125, np.nan, -np.inf], [0.25, np.nan, -np.inf]]
    assert np.array_equal(record.values("loss", "p=0.5"), expected, equal_nan=True)
    assert record.steps("loss").tolist() == [0, 10, 20]
    assert record.diverged("plain").tolist() == [False, True]
    assert record.seconds("plain").tolist() == [0.25, 0.25]
    assert record.frame("error")["value"].tolist() == [1 / 8, 2 / 8, 1 / 8, 2 / 8]
    assert record.frame("loss").columns.tolist() == ["arm", "seed", "step", "value"]
    assert record.frame("loss")["step"].tolist() == [0, 10, 20] * 4
    weights = record.weights("plain", 0)
    assert torch.equal(weights["w"], torch.arange(3.0))
    assert record.weights_digest("plain", 0) == files.digest_tensors(weights)
    assert record.weights_digest("plain", 1) is None
    fields = record.outcomes()
    assert fields["seeds"] == (0, 1)
    assert np.array_equal(fields["values"]["plain"]["error"], record.values("error", "plain"))
    assert fields["diverged"]["p=0.5"].tolist() == [False, True]


def test_a_repeated_trial_with_other_bits_is_an_error_and_with_the_same_ones_is_none(
    tmp_path: Path,
) -> None:
    record = Record.create(tmp_path, PROTOCOL)
    with record.lock():
        record.save_trial("plain", 0, {"error": 0.0}, seconds=1.0)
        record.save_trial("plain", 0, {"error": 0.0}, seconds=2.0)
        for other in ({"error": -0.0}, {"error": 5e-324}, {"error": 0.0, "loss": 1.0}):
            with pytest.raises(PracticumError, match=r"plain--0\.json holds other bits"):
                record.save_trial("plain", 0, other)
    assert files.read_json(record.path / "trials" / "plain--0.json")["seconds"] == 1.0


def test_arms_with_odd_names_have_files_of_their_own(tmp_path: Path) -> None:
    arms = ["a/b", "a%2Fb", "..", "λ → ∞", "a b", "a--1", "a"]
    odd = {**PROTOCOL, "arms": {arm: {} for arm in arms}, "seeds": [1]}
    record = Record.create(tmp_path, odd)
    with record.lock():
        for number, arm in enumerate(arms):
            record.save_trial(arm, 1, {"error": float(number)})
    again = Record.open(record.path)
    assert [again.values("error", arm).tolist() for arm in arms] == [[n] for n in range(7)]
    assert len(list((record.path / "trials").iterdir())) == 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lab": ""}, "needs 'lab'"),
        ({"lab": "../up"}, "cannot name a folder"),
        ({"arms": {}}, "needs 'arms'"),
        ({"arms": {"Adam": {}, "adam": {}}}, "upper and lower case"),
        ({"seeds": [0, 1, 0]}, "named twice"),
    ],
)
def test_a_protocol_that_cannot_be_recorded_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(PracticumError, match=said):
        Record.create(tmp_path, {**PROTOCOL, **change})
    assert list(tmp_path.iterdir()) == []


def test_wrong_names_are_answered_with_the_near_one(tmp_path: Path) -> None:
    live(tmp_path)
    record = Record.open(folders(tmp_path, "toy")[0])
    for act, said in [
        (lambda: record.values("eror", "plain"), "did you mean 'error'"),
        (lambda: record.values("error", "plian"), "did you mean 'plain'"),
        (lambda: record.steps("los"), "did you mean 'loss'"),
        (lambda: record.weights("p=0.5", 0), "is missing"),
        (lambda: Record.open(tmp_path), "no run"),
    ]:
        with pytest.raises(PracticumError, match=said):
            act()
    with suppress(PracticumError), record.lock():
        record.save_trial("plain", 7, {})
        pytest.fail("seed 7 is none of the protocol's")
