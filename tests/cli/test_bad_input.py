"""Bad input: a clear message, exit code 2, no traceback, nothing lost and nothing begun.

Catches: a mistake that ends in a traceback or exit code 0 or 1, a message that does not name what
is wrong or what would be right, a run folder left behind by a request that could not be met.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer

Practicum = Callable[..., Answer]

# arguments, then texts of which each must be in the message
BAD: list[tuple[str, tuple[str, ...]]] = [
    ("rnu dropout", ("rnu", "run")),
    ("run", ("LAB",)),
    ("run dropuot", ("dropuot", "did you mean 'dropout'")),
    ("run dropout hopfeld", ("did you mean 'hopfield'",)),
    ("run dropout --scael smoke", ("--scael", "--scale")),
    ("run dropout --scale smok", ("no scale named 'smok'", "did you mean 'smoke'")),
    ("run dropout --scale", ("--scale", "requires an argument")),
    ("run dropout --seeds many", ("--seeds 'many'", "count (20)")),
    ("run dropout --seeds 0", ("--seeds '0'",)),
    ("run dropout --seeds=-3", ("--seeds '-3'",)),
    ("run dropout --seeds 9-3", ("--seeds '9-3'",)),
    ("run dropout --seeds 3,3", ("--seeds '3,3'", "different")),
    ("run dropout --seeds 1.5", ("--seeds '1.5'",)),
    ("run dropout --data mnits", ("mnits", "did you mean 'mnist'")),
    ("run dropout --data mnist", ("mnist", "practicum data get mnist", "PRACTICUM_DATA")),
    ("run dropout --scale full", ("mnist", "practicum data get mnist")),
    ("run momentum --data digits", ("--data", "makes its own data")),
    ("run dropout --data digits --set data=digits", ("contradict",)),
    ("run dropout --set steps", ("'steps'", "field=value")),
    ("run dropout --set =3", ("'=3'", "field=value")),
    ("run dropout --set stesp=3", ("no setting named 'stesp'", "did you mean 'steps'")),
    ("run dropout --set plian.steps=3", ("no arm named 'plian'", "did you mean 'plain'")),
    ("run dropout --set plain.stesp=3", ("no setting named 'stesp'", "'steps'")),
    ("run dropout --set steps=many", ("'steps'", "'many'", "a whole number")),
    ("run dropout --set steps=1.5", ("'steps'", "a whole number")),
    ("run dropout --set dropout=half", ("'dropout'", "a number")),
    ("run dropout --set dropout=1.5", ("'dropout'", "at most 0.95")),
    ("run dropout --set dropout=nan", ("'dropout'",)),
    ("run dropout --set steps=0", ("'steps'", "at least 1")),
    ("run dropout --set hidden=a,b", ("'hidden'", "whole number")),
    ("run dropout --set steps=3 --set steps=4", ("'steps'", "twice")),
    ("run dropout --set train_size=5000", ("train_size 5000", "more than")),
    ("run dropout --set batch_size=500", ("batch size 500", "200")),
    ("run dropout --scale smoke --set batch_size=5000", ("batch size 5000", "200")),
    ("run dropout --scale smoke --data karate", ("karate",)),
    ("run dropout --seeds 1-99999999999", ("100000",)),
    ("run perceptron --compile", ("perceptron computes in float64", "--compile")),
    ("run perceptron --precision bfloat16", ("perceptron computes in float64",)),
    ("run dropout --plan --json", ("--plan", "--json")),
    ("run dropout --workers=-1", ("--workers",)),
    ("run dropout --workers two", ("--workers", "valid int")),
    ("run dropout --device cudo", ("no device named 'cudo'", "'cuda'")),
    ("run dropout --precision float23", ("no precision named", "'float32'")),
    ("run dropout --plan --fresh", ("--plan", "--fresh")),
    ("run dropout --runs no-data/file/x --scale smoke", ("no-data/file",)),
    ("report dropout", ("dropout is no run",)),
    ("report runs/none", ("runs/none is no run", "practicum runs")),
    ("open dropout", ("dropout is no run",)),
    ("compare runs/none", ("RUN",)),
    ("compare runs/none runs/nothing", ("runs/none is no run",)),
    ("runs dropout", ("dropout",)),
    ("show dropuot", ("did you mean 'dropout'",)),
    ("show", ("LAB",)),
    ("list --topic visoin", ("no topic named 'visoin'", "'vision'")),
    ("list zebra", ("zebra", "practicum list")),
    ("data", ("data",)),
    ("data gte mnist", ("gte", "get")),
    ("data get mnits", ("did you mean 'mnist'",)),
    ("data get http://127.0.0.1:9/file", ("--sha256",)),
    ("data get mnist --sha256 00", ("--sha256", "URL")),
    ("data check mnits", ("did you mean 'mnist'",)),
    ("data where mnits", ("did you mean 'mnist'",)),
    ("selftest evidense", ("no self-test named", "'evidence'")),
    ("selftest evidence --pairs 3", ("--pairs", "60")),
]


@pytest.mark.parametrize(("command", "says"), BAD, ids=[command for command, _ in BAD])
def test_bad_input_is_told_clearly_and_begins_nothing(
    practicum: Practicum, tmp_path: Path, command: str, says: tuple[str, ...]
) -> None:
    (tmp_path / "no-data" / "file").write_text("a file where a folder should be")
    answer = practicum(*command.split())
    told = answer.err + (answer.out if command == "data" else "")
    assert answer.code == 2, told
    assert "Traceback" not in told
    for text in says:
        assert text in told.replace("\n", " "), told
    assert not list(tmp_path.glob("runs/*/*/protocol.json")), "no run may have been begun"


def test_a_data_folder_that_is_no_folder_is_named(
    practicum: Practicum, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PRACTICUM_DATA", str(tmp_path / "nowhere"))
    answer = practicum("run", "dropout", "--data", "mnist")
    assert answer.code == 2
    assert "PRACTICUM_DATA" in answer.err
    assert "nowhere" in answer.err


def test_a_damaged_data_file_is_named_and_kept(practicum: Practicum, tmp_path: Path) -> None:
    file = tmp_path / "no-data" / "mnist" / "train-images-idx3-ubyte.gz"
    file.parent.mkdir()
    file.write_bytes(b"not what it should be")
    answer = practicum("run", "dropout", "--data", "mnist")
    assert answer.code == 2
    assert "train-images-idx3-ubyte.gz" in answer.err
    assert file.read_bytes() == b"not what it should be"


def test_cuda_without_a_device_is_told(
    practicum: Practicum, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    answer = practicum("run", "dropout", "--device", "cuda")
    assert answer.code == 2
    assert "--device cpu" in answer.err


@pytest.fixture
def finished(practicum: Practicum, tmp_path: Path) -> Path:
    """A finished smoke run of the quickest lab."""
    answer = practicum("run", "momentum", "--scale", "smoke", "--workers", "1", "--quiet")
    assert answer.code == 0, answer.err
    (protocol,) = tmp_path.glob("runs/momentum/*/protocol.json")
    return protocol.parent


def test_a_damaged_trial_is_named_and_only_it_is_run_again(
    practicum: Practicum, finished: Path
) -> None:
    trials = sorted((finished / "trials").glob("*.json"))
    before = {path.name: path.read_bytes() for path in trials}
    damaged = bytearray(before[trials[0].name])
    damaged[len(damaged) // 2] ^= 1
    trials[0].write_bytes(damaged)

    answer = practicum("report", str(finished))
    assert answer.code == 2
    assert "Traceback" not in answer.err

    answer = practicum("run", "momentum", "--scale", "smoke", "--workers", "1")
    assert answer.code == 0, answer.err
    assert trials[0].name in answer.err
    after = {path.name: path.read_bytes() for path in (finished / "trials").glob("*.json")}
    untouched = set(before) - {trials[0].name}
    assert all(after[name] == before[name] for name in untouched)
    assert set(after) == set(before)


def test_a_damaged_protocol_is_named(practicum: Practicum, finished: Path) -> None:
    for name in ("protocol.json", "protocol.copy.json"):
        (finished / name).write_text("{")
    answer = practicum("report", str(finished))
    assert answer.code == 2
    assert "protocol.json" in answer.err


def test_the_report_of_an_unfinished_run_says_how_to_go_on(
    practicum: Practicum, finished: Path
) -> None:
    (finished / "verdict.json").unlink()
    answer = practicum("report", "momentum")
    assert answer.code == 2
    assert "practicum run momentum --scale smoke" in answer.err


def test_a_run_that_another_process_writes_is_refused(practicum: Practicum, finished: Path) -> None:
    import fcntl

    (finished / "verdict.json").unlink()
    with (finished / "lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        answer = practicum("run", "momentum", "--scale", "smoke", "--workers", "1")
    assert answer.code == 2
    assert str(finished.name) in answer.err


def test_a_full_disk_is_named_and_keeps_the_finished_trials(
    practicum: Practicum, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    lost = sorted((finished / "trials").glob("*.json"))[0]
    (finished / "verdict.json").unlink()
    lost.unlink()
    left = len(list((finished / "trials").glob("*.json")))
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 20 and os.fstat(descriptor).st_size == 0 and b"sha256" in bytes(data[:20]):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    answer = practicum("run", "momentum", "--scale", "smoke", "--workers", "1")
    assert answer.code == 2
    assert "disk full" in answer.err
    monkeypatch.setattr(os, "write", write)
    assert len(list((finished / "trials").glob("*.json"))) == left
    shutil.rmtree(finished)
