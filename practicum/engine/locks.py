"""One writer at a time: a lock that the kernel takes back when its holder dies, kill -9 included.

The lock is `flock` on an open file; the file itself stays and only says who held it last.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from practicum.engine.files import unwritable
from practicum.errors import PracticumError

_TRIES = 10
_SECONDS_BETWEEN_TRIES = 0.02


@contextmanager
def exclusive(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Within, this process alone holds the lock file; it is created if need be.

    Args:
        path: the lock file; its folder is what the message names.
        wait: wait for another holder instead of refusing.

    Raises:
        PracticumError: another process holds it (named with its id), or the file system refuses.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        try:
            taken = _take(descriptor, wait)
        except OSError as error:
            raise unwritable(path, error) from error
        if not taken:
            raise PracticumError(
                f"{path.parent} is being written by {_said(descriptor)}; wait until it ends, stop "
                "it, or start another run with --fresh"
            )
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)  # also gives the lock back


def _take(descriptor: int, wait: bool) -> bool:
    if wait:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    for _ in range(_TRIES):  # `holder` below takes the lock for an instant
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_SECONDS_BETWEEN_TRIES)
        else:
            return True
    return False


def _sign(descriptor: int) -> None:
    start = datetime.now().astimezone().isoformat(timespec="seconds")
    who = {"pid": os.getpid(), "host": socket.gethostname(), "start": start}
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(who).encode(), 0)
    except OSError:
        pass  # on a full disk the lock still holds; only the name of its holder is missing


def holder(path: Path) -> str | None:
    """Say who holds a lock file, or return None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _said(descriptor: int) -> str:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {who['pid']} on {who['host']} since {who['start']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
