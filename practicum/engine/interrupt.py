"""Ctrl-C ends the step, not the work: a flag that training polls between two steps.

The first SIGINT or SIGTERM only sets the flag; the step in hand ends, finished trials are written,
and the same command continues later. A second one stops at once (`KeyboardInterrupt`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The work was asked to stop, and stopped between two steps.

    No `Exception`: like `KeyboardInterrupt`, it passes through code that catches those.
    """


class Interrupt:
    """Whether this process was asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        """Ask the process to stop after the step in hand."""
        self.requested = True

    def check(self) -> None:
        """Return at once, or stop here; called between two steps.

        Raises:
            Interrupted: somebody asked to stop.
        """
        if self.requested:
            raise Interrupted("stopped as asked; run the same command again to go on")


@cache
def here() -> Interrupt:
    """Return this process's one flag; signals belong to processes, so there is one."""
    return Interrupt()


@contextmanager
def listening() -> Iterator[Interrupt]:
    """Within, SIGINT and SIGTERM set the flag, and a second one raises `KeyboardInterrupt`.

    Outside the main thread, where Python lets nobody handle signals, the flag alone is there.
    """
    stop = here()
    stop.requested = False

    def heard(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.request()

    main = threading.current_thread() is threading.main_thread()
    before = [(one, signal.signal(one, heard)) for one in SIGNALS] if main else []
    try:
        yield stop
    finally:
        stop.requested = False  # the work that was asked to stop has: what comes next was not
        for one, handler in before:
            # None stands for a handler that was not set from Python and cannot be set again.
            signal.signal(one, signal.SIG_DFL if handler is None else handler)


def listen_in_worker() -> None:
    """Let SIGINT, however often it comes, only set the flag of this worker process.

    A terminal sends Ctrl-C to the whole group and the parent forwards it as well, so a worker gets
    it twice. SIGTERM stays deadly: it is how a pool ends its workers.
    """
    stop = here()
    signal.signal(signal.SIGINT, lambda number, frame: stop.request())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The parent starts workers with SIGINT held back until this handler is there.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
