"""Two runs called equal that differ in a bit, a changed setting that is not named: caught here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from practicum.engine.record import Record
from practicum.errors import PracticumError
from practicum.report.compare import changes, compare


def test_a_run_and_its_repetition_have_the_same_bits(
    record: Record, toy: SimpleNamespace, tmp_path: Path
) -> None:
    found = compare(record, toy.make(tmp_path))
    assert found.changes == ()
    assert found.same_bits
    assert len(found.numbers) == 9  # 3 arms, 3 measures, the diverged trial's nan among them
    assert "the same in every part" in str(found)
    assert "same bits in 9" in str(found)


def test_the_one_changed_setting_is_named_and_the_difference_has_an_interval(
    record: Record, toy: SimpleNamespace, tmp_path: Path
) -> None:
    other = toy.make(tmp_path, rate=0.25, bump=0.5)
    found = compare(record, other)
    assert [str(one) for one in found.changes] == ["setting dropout.rate: 0.5 → 0.25"]
    different = [one for one in found.numbers if not one.same_bits]
    assert [(one.arm, one.measure) for one in different] == [("dropout", "test error")]
    assert different[0].largest == pytest.approx(0.5)
    assert different[0].difference.startswith("+0.5 points, 95 % CI")
    # Read from the other side, the sign turns round.
    assert "second − first: −0.5 points" in str(compare(other, record))


def test_one_flipped_last_bit_is_no_longer_the_same_bits(
    record: Record, toy: SimpleNamespace, tmp_path: Path
) -> None:
    found = compare(record, toy.make(tmp_path, bump=float(np.spacing(7.0))))
    assert not found.same_bits
    assert "largest difference" in str(found)


def test_only_the_seeds_that_both_runs_have_are_compared(
    record: Record, toy: SimpleNamespace, tmp_path: Path
) -> None:
    other = toy.make(tmp_path, seeds=(4, 5, 9))
    found = compare(record, other)
    assert found.seeds == (4, 5)
    assert found.same_bits  # row 4 of one is row 0 of the other
    assert [one.part for one in found.changes] == ["seeds"]


def test_runs_without_a_common_seed_are_not_called_equal(
    record: Record, toy: SimpleNamespace, tmp_path: Path
) -> None:
    text = str(compare(record, toy.make(tmp_path, seeds=(10, 11))))
    assert "nothing to compare" in text
    assert "same bits" not in text


def test_data_arithmetic_versions_and_claims_that_differ_are_named() -> None:
    first = {
        "data": {"digits": "aa"},
        "arithmetic": {"threads": 1, "planned": "0.3 s"},
        "versions": {"torch": "2.13"},
        "claims": [{"sentence": "A wins", "by": 0.0}, {"sentence": "B wins"}],
        "precision": "float32",
        "command": "practicum run toy",
    }
    second = {
        "data": {"digits": "bb"},
        "arithmetic": {"threads": 2, "planned": "0.4 s"},
        "versions": {"torch": "2.14"},
        "claims": [{"sentence": "A wins", "by": 1.0}],
        "precision": "float64",
        "command": "practicum run toy --seeds 3",
    }
    assert [str(one) for one in changes(first, second)] == [
        "data digits: aa → bb",
        "claim A wins: stated differently",
        "claim B wins: only in the first run",
        "arithmetic threads: 1 → 2",
        "version torch: 2.13 → 2.14",
        "precision: float32 → float64",
    ]


def test_runs_of_different_labs_are_refused(record: Record) -> None:
    stranger = SimpleNamespace(lab="hopfield")
    with pytest.raises(PracticumError, match="two runs of the same lab"):
        compare(record, stranger)  # type: ignore[arg-type]  # only the name is read
