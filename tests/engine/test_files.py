"""What could be wrong here: a half-written file that is believed, a changed byte that goes
unnoticed, a float that comes back with another last bit, an old file that a failed write destroyed,
rubbish left beside it, an error that does not say which file or what to do.

Not covered: losing power in the middle of a whole run (test_record.py).
"""

from __future__ import annotations

import errno
import json
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from practicum.engine import files
from practicum.errors import PracticumError
from tests.engine.faulty_disk import FaultyDisk

BODY = {"arm": "p=½", "values": {"error": 0.1, "curve": [1e-300, -0.0, 3]}, "none": None, "t": [[]]}
bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def numbers_of(body: Any) -> list[bytes]:
    """List the bits of every number, in order."""
    if isinstance(body, dict):
        return [bits for key in body for bits in numbers_of(body[key])]
    if isinstance(body, list):
        return [bits for one in body for bits in numbers_of(one)]
    return [struct.pack("<d", body)] if isinstance(body, float) else []


@given(bodies)
def test_a_body_comes_back_with_every_bit(
    tmp_path_factory: pytest.TempPathFactory, body: Any
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    files.write_json(path, body)
    back = files.read_json(path)
    assert back == files.plain(body)
    finite = [bits for bits in numbers_of(body) if math.isfinite(struct.unpack("<d", bits)[0])]
    assert numbers_of(back) == finite


def test_floats_that_are_not_finite_are_stored_as_words_that_float_reads(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a", {"x": [float("nan"), float("inf"), np.float32("-inf"), 1.5]})
    words = files.read_json(tmp_path / "a")["x"]
    assert words == ["nan", "inf", "-inf", 1.5]
    assert np.array_equal(np.array(words, float), [np.nan, np.inf, -np.inf, 1.5], equal_nan=True)


def test_arrays_and_tensors_are_stored_as_exact_lists() -> None:
    third = np.float32(1) / np.float32(3)
    assert files.plain({"a": third, "b": torch.tensor([[True], [False]]), "c": (np.int64(7),)}) == {
        "a": float(third),
        "b": [[True], [False]],
        "c": [7],
    }


@pytest.mark.parametrize("body", [{1: 2}, {"a": {3, 4}}, object(), {"a": Path("b")}])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path: Path, body: Any) -> None:
    with pytest.raises(TypeError, match="JSON"):
        files.write_json(tmp_path / "a.json", body)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_does_not_depend_on_the_order_of_keys_but_on_everything_else() -> None:
    assert files.digest({"a": 1, "b": [1, 2]}) == files.digest({"b": (1, 2), "a": 1})
    others = [{"a": 1, "b": [2, 1]}, {"a": 1.0, "b": [1, 2]}, {"a": "1", "b": [1, 2]}, {"a": 1}]
    assert files.digest({"a": 1, "b": [1, 2]}) not in map(files.digest, others)


def unnoticed(path: Path, read: Callable[[Path], Any], bits: int) -> list[str]:
    """Try flipped bits in every byte, every cut, a longer file; return the changes not noticed."""
    whole, missed = path.read_bytes(), []
    changed = [(f"cut at {n}", whole[:n]) for n in range(len(whole))]
    changed += [("longer", whole + b"\n"), ("doubled", whole * 2)]
    for at in range(len(whole)):
        for bit in ((at + n) % 8 for n in range(bits)):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            changed.append((f"bit {bit} of byte {at}", bytes(flipped)))
    for what, raw in changed:
        path.write_bytes(raw)
        try:
            read(path)
        except files.Damaged as damaged:
            said = str(damaged)
            if str(path) not in said or "run the same command again" not in said:
                missed.append(f"{what}: the message does not help: {said}")
        else:
            missed.append(what)
    path.write_bytes(whole)
    return missed


def test_flipped_bits_in_any_byte_and_every_cut_of_a_json_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trial.json"
    files.write_json(path, BODY)
    assert unnoticed(path, files.read_json, bits=3) == []


def test_a_reader_that_trusts_its_file_is_caught(tmp_path: Path) -> None:
    path = tmp_path / "trial.json"
    files.write_json(path, BODY)

    def trusting(path: Path) -> Any:
        try:
            return json.loads(path.read_bytes())["body"]
        except (ValueError, KeyError):
            raise files.Damaged(f"{path}; run the same command again") from None

    assert len(unnoticed(path, trusting, bits=1)) > 20


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "empty"),
        (b'{\n "sha256": "ab', "cut off after 16 bytes"),
        (b'{"sha256": 1 "body": 2}\n', "no JSON at character"),
        (b"\xff\xfe", "byte 0 is no text"),
        (b"[1]", "lacks its checksum"),
        (b'{"sha256": "", "body": NaN}', "do not match"),
        (b'{"sha256": "", "body": "\\ud800"}', "do not match"),
        (b'{"sha256": "", "body": ' + b"9" * 5000 + b"}", "no JSON"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_the_message_says_what_is_wrong(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "a.json").write_bytes(raw)
    with pytest.raises(files.Damaged, match=said):
        files.read_json(tmp_path / "a.json")


def test_a_missing_file_and_an_unreadable_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(PracticumError, match=r"b\.json is missing"):
        files.read_json(tmp_path / "b.json")
    with pytest.raises(PracticumError, match="cannot read"):
        files.read_json(tmp_path)


TENSORS = {
    "odd": torch.arange(3, dtype=torch.uint8),
    "deep.weight": torch.linspace(-1, 1, 6).reshape(2, 3).t(),
    "number": torch.tensor(0.1, dtype=torch.float64),
    "none": torch.empty(0, 4),
    "half": torch.tensor([float("nan"), -0.0], dtype=torch.bfloat16),
    "yes": torch.tensor([True]),
    "0" * 64: torch.tensor([1]),
}


def test_tensors_come_back_with_every_bit_aligned_and_untied(tmp_path: Path) -> None:
    tied = {**TENSORS, "tied": TENSORS["deep.weight"]}
    files.write_tensors(tmp_path / "w", tied)
    back = files.read_tensors(tmp_path / "w")
    assert back.keys() == tied.keys()
    assert files.digest_tensors(back) == files.digest_tensors(tied)
    for name, tensor in tied.items():
        assert back[name].dtype == tensor.dtype
        assert back[name].shape == tensor.shape
        assert torch.equal(back[name].nan_to_num(7), tensor.nan_to_num(7))
        assert back[name].numel() == 0 or back[name].data_ptr() % 64 == 0
        back[name].zero_()  # its own memory, and writable
    assert back["number"] == 0


def test_the_digest_of_tensors_sees_names_types_shapes_and_bits() -> None:
    one = {"a": torch.tensor([[0.0, 1.0]]), "b": torch.tensor([2.0])}
    others = [
        {"b": one["a"], "a": one["b"]},
        {**one, "a": one["a"].t()},
        {**one, "a": one["a"].view(torch.int32)},
        {**one, "a": torch.tensor([[-0.0, 1.0]])},
        {"a": one["a"]},
    ]
    digests = {files.digest_tensors(tensors) for tensors in [one, *others]}
    assert len(digests) == 1 + len(others)
    assert files.digest_tensors(dict(reversed(one.items()))) == files.digest_tensors(one)


def test_a_flipped_bit_in_any_byte_and_every_cut_of_a_tensor_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    files.write_tensors(path, TENSORS)
    assert unnoticed(path, files.read_tensors, bits=1) == []


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[FaultyDisk], FaultyDisk]:
    def install(disk: FaultyDisk) -> FaultyDisk:
        monkeypatch.setattr(files, "os", disk)
        return disk

    return install


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "disk full while writing .*free space and run the same command again"),
        (errno.EDQUOT, "disk full while writing .*free space and run the same command again"),
        (errno.EACCES, "no permission to write .*run the same command again"),
        (errno.EROFS, "no permission to write .*run the same command again"),
        (errno.EIO, "could not write .*run the same command again"),
    ],
)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_failed_write_names_the_file_keeps_the_old_one_and_leaves_no_rubbish(
    tmp_path: Path, faulty: Callable[[FaultyDisk], FaultyDisk], call: str, number: int, said: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    class Failing(FaultyDisk):
        def _do(self, name: str, *arguments: Any, **options: Any) -> Any:
            if name == call:
                raise OSError(number, os.strerror(number))
            return super()._do(name, *arguments, **options)

    faulty(Failing())
    with pytest.raises(PracticumError, match=said) as caught:
        files.write_atomic(path, b"new")
    assert str(path) in str(caught.value)
    assert "what was finished before is kept" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_a_write_that_takes_a_few_bytes_at_a_time_still_writes_all(
    tmp_path: Path, faulty: Callable[[FaultyDisk], FaultyDisk]
) -> None:
    class Slow(FaultyDisk):
        def _do(self, name: str, *arguments: Any, **options: Any) -> Any:
            if name == "write":
                arguments = (arguments[0], arguments[1][:7])
            return super()._do(name, *arguments, **options)

    disk = faulty(Slow())
    files.write_atomic(tmp_path / "a", bytes(range(100)))
    assert (tmp_path / "a").read_bytes() == bytes(range(100))
    assert disk.calls.count("write") == 15


def test_the_order_is_write_flush_rename_flush_the_folder(
    tmp_path: Path, faulty: Callable[[FaultyDisk], FaultyDisk]
) -> None:
    disk = faulty(FaultyDisk())
    files.write_atomic(tmp_path / "a", b"x")
    assert disk.calls == ["open", "write", "fsync", "replace", "fsync"]
    assert disk.unflushed == set()
    assert disk.entries == []


def test_a_new_file_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        files.write_atomic(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_folder_under_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PracticumError, match=r"could not write .*file/inner"):
        files.make_folder(tmp_path / "file" / "inner")
