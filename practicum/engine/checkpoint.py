"""Step checkpoints, for trials longer than about a minute.

A checkpoint holds the state, the source's position, the noise generator and what was measured: with
it a run continues with the same bits. It is written atomically with a checksum; a damaged one is
set aside by name, and the trial starts again from its seed.
"""

from __future__ import annotations

import hashlib
import io
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from practicum.engine.events import Event, Moment
from practicum.engine.files import make_folder, write_atomic
from practicum.engine.seeds import generator_states, set_generator_states
from practicum.engine.source import Resumable

SECONDS_BETWEEN = 60.0


class Checkpoint:
    """An observer that writes the run now and then, and when it is interrupted.

    Attributes:
        path: the file; one run has one, replaced by each newer one.
        parts: everything besides the state that decides the next step.
        seconds: least time between two checkpoints.
    """

    def __init__(
        self, path: Path, parts: dict[str, Resumable], *, seconds: float = SECONDS_BETWEEN
    ) -> None:
        self.path, self.parts, self.seconds = path, parts, seconds
        self._last = time.monotonic()

    def __call__(self, moment: Moment) -> None:
        """Write after a step if the last checkpoint is old enough, and on interruption."""
        due = moment.event is Event.STEPPED and time.monotonic() - self._last >= self.seconds
        if due or moment.event is Event.INTERRUPTED:
            self.write(moment.state)
            self._last = time.monotonic()
            moment.tell(Event.CHECKPOINTED, {})

    def write(self, state: Resumable) -> None:
        """Write the run as it stands."""
        saved: dict[str, Any] = {name: one.state_dict() for name, one in self.parts.items()}
        saved |= {"state": state.state_dict(), "noise": generator_states()}
        buffer = io.BytesIO()
        torch.save(saved, buffer)
        body = buffer.getvalue()
        make_folder(self.path.parent)
        write_atomic(self.path, hashlib.sha256(body).digest() + body)

    def restore(self, state: Resumable) -> bool:
        """Go to the written checkpoint; return whether there was an intact one."""
        if not self.path.exists():
            return False
        content = self.path.read_bytes()
        digest, body = content[:32], content[32:]
        if hashlib.sha256(body).digest() != digest:
            aside = self.path.with_suffix(".damaged")
            self.path.rename(aside)
            warnings.warn(f"{aside} is damaged; its trial starts again", stacklevel=2)
            return False
        saved = torch.load(io.BytesIO(body), weights_only=True)
        state.load_state_dict(saved["state"])
        for name, part in self.parts.items():
            part.load_state_dict(saved[name])
        set_generator_states(saved["noise"])
        return True

    def remove(self) -> None:
        """Remove the file, once the trial's outcome is kept elsewhere or it has ended."""
        self.path.unlink(missing_ok=True)
