"""One smoke record a lab, shared by all contracts and by all processes of a test run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from practicum.labs.catalogue import Entry
from tests.contract.contracts import Subject


@pytest.fixture(scope="session")
def subject_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Entry], Subject]:
    """Return the subject of an entry, always the same one."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # of all workers: a record that one has made, the others read
    subjects: dict[str, Subject] = {}

    def find(entry: Entry) -> Subject:
        if entry.name not in subjects:
            subjects[entry.name] = prepared(entry, root / "contract-runs")
        return subjects[entry.name]

    return find


def prepared(entry: Entry, root: Path) -> Subject:
    """Return a subject whose record is there, made by this process or another one."""
    root.mkdir(exist_ok=True)
    subject = Subject(entry, root)
    with open(root / f"{entry.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subject.record.verdicts  # noqa: B018  # making it is what the lock is for
    # Checkpoints belong to one process.
    subject.root = root / os.environ.get("PYTEST_XDIST_WORKER", "alone")
    return subject
