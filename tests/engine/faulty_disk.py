"""A stand-in for the module `os` that fails, dies or loses power at the k-th change on the disk.

Everything is really done on the real file system, except flushing, which is only remembered: at
`lose_power` what was not flushed is gone, as on a disk whose cache was lost.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any, NoReturn

EFFECTS = ("open", "write", "fsync", "replace", "mkdir", "unlink", "ftruncate", "pwrite")


class Died(BaseException):
    """The process is dead: nothing after this line touches the disk."""


class FaultyDisk:
    def __init__(self, at: int | None = None, how: str = "error") -> None:
        self.at, self.how = at, how
        self.calls: list[str] = []
        self.dead = False
        self.paths: dict[int, Path] = {}
        self.unflushed: set[Path] = set()
        self.entries: list[tuple[str, Path, bytes | None]] = []  # changes in folders, not flushed

    def __getattr__(self, name: str) -> Any:
        if name not in EFFECTS:
            return getattr(os, name)
        return lambda *arguments, **options: self._effect(name, *arguments, **options)

    @property
    def fired(self) -> bool:
        return self.at is not None and len(self.calls) > self.at

    def _effect(self, name: str, *arguments: Any, **options: Any) -> Any:
        if self.dead:
            raise Died
        if name == "open" and not arguments[1] & os.O_CREAT:
            return self._do(name, *arguments, **options)
        index = len(self.calls)
        self.calls.append(name)
        if self.how == "full" and self.fired and name in ("open", "write", "mkdir", "pwrite"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if index != self.at or self.how == "full":
            return self._do(name, *arguments, **options)
        if self.how == "error":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.how == "die halfway" and name == "write":
            self._do(name, arguments[0], arguments[1][: len(arguments[1]) // 2])
        elif self.how == "die after":
            self._do(name, *arguments, **options)
        return self.die()

    def die(self) -> NoReturn:
        self.dead = True
        raise Died

    def _do(self, name: str, *arguments: Any, **options: Any) -> Any:
        if name == "fsync":
            return self._flush(self.paths[arguments[0]])
        if name == "replace":
            source, target = map(Path, arguments)
            old = target.read_bytes() if target.exists() else None
            self.entries.append(("replace", target, old))
            if source in self.unflushed:
                self.unflushed.remove(source)
                self.unflushed.add(target)
        if name == "mkdir":
            self.entries.append(("mkdir", Path(arguments[0]), None))
        result = getattr(os, name)(*arguments, **options)
        if name == "open":
            self.paths[result] = Path(arguments[0])
        if name == "write":
            self.unflushed.add(self.paths[arguments[0]])
        return result

    def _flush(self, path: Path) -> None:
        self.unflushed.discard(path)
        self.entries = [one for one in self.entries if one[1].parent != path]

    def lose_power(self, *, names: bool) -> None:
        """Lose what was not flushed: contents, and, if `names`, the folders' lists as well."""
        for path in self.unflushed:
            if path.exists():
                path.write_bytes(b"")
        for kind, path, old in reversed(self.entries if names else []):
            if kind == "mkdir":
                shutil.rmtree(path, ignore_errors=True)
            elif old is not None:
                path.write_bytes(old)
            else:
                path.unlink(missing_ok=True)
