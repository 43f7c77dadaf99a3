"""What could be wrong here: two writers of one run; a lock that outlives its holder; a refusal that
does not say who writes where; two commands, begun together, that take the same folder.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from practicum.engine.record import Record
from practicum.errors import PracticumError
from tests.engine.chores import PROTOCOL
from tests.engine.processes import start


def test_a_second_process_is_refused_until_the_first_is_gone_even_by_kill(tmp_path: Path) -> None:
    record = Record.create(tmp_path, PROTOCOL)
    with start("hold_lock", str(tmp_path)) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            assert record.state == "locked"
            refused = pytest.raises(PracticumError, match=f"{record.path} .* process {holder.pid} ")
            with refused, record.lock():
                pytest.fail("two writers")
            record.finished()  # reading is free
        finally:
            holder.kill()
    assert record.state == "unfinished"
    with record.lock():
        record.save_trial("plain", 0, {"error": 1.0})
        with pytest.raises(PracticumError, match=f"process {os.getpid()} "), record.lock():
            pytest.fail("two writers in one process")


def test_without_the_lock_nothing_is_written(tmp_path: Path) -> None:
    record = Record.create(tmp_path, PROTOCOL)
    for write in (
        lambda: record.save_trial("plain", 0, {"error": 1.0}),
        lambda: record.save_verdicts([]),
        lambda: record.save_weights("plain", 0, {}),
        record.repair,
    ):
        with pytest.raises(RuntimeError, match="without its lock"):
            write()
    with record.lock():
        pass
    with pytest.raises(RuntimeError, match="without its lock"):
        record.repair()


def test_commands_begun_together_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: Record.create(tmp_path, PROTOCOL).path, range(24)))
    assert len(set(made)) == 24
    assert all(Record.open(path).state == "unfinished" for path in made)
