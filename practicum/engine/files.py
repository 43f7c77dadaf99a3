"""Files that are whole or not there: written atomically, and never trusted when damaged.

A file is written beside its place under a temporary name, flushed to the disk (fsync), renamed over
the old one, and the folder is flushed too. A crash at any instant leaves the old file or the new
one. What is read back is compared with the checksum inside; one changed byte anywhere is noticed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from practicum.errors import PracticumError

if TYPE_CHECKING:
    from torch import Tensor

AGAIN = "run the same command again"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_SUFFIX = ".partial"


class Damaged(PracticumError):
    """A file is not what was written; the message names it, what is wrong, and what to do."""


def write_atomic(path: str | Path, data: bytes) -> None:
    """Write a whole file, or leave the old one as it was.

    When this returns, the file survives a power cut.

    Raises:
        PracticumError: disk full, no permission, or another fault of the file system. Only if
            flushing the folder is what failed is the new file (whole) in the old one's place.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}")
    try:
        try:
            _write_and_flush(partial, data)
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise
        flush_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def _write_and_flush(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Flush a folder's own list of names: a rename is on the disk only after this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: str | Path) -> None:
    """Create a folder and its missing parents so that they survive a power cut.

    Raises:
        PracticumError: the file system refuses.
    """
    folder = Path(folder)
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        with suppress(FileExistsError):
            os.mkdir(folder)
        flush_folder(folder.parent)
    except OSError as error:
        raise unwritable(folder, error) from error


def move(old: Path, new: Path) -> None:
    """Rename a file durably.

    Raises:
        PracticumError: the file system refuses.
    """
    try:
        os.replace(old, new)
        flush_folder(new.parent)
    except OSError as error:
        raise unwritable(new, error) from error


def remove_partial(folder: Path) -> None:
    """Remove what a killed writer left half written; only for a folder's one locked writer."""
    for partial in folder.glob(f".*{_SUFFIX}"):
        with suppress(OSError):
            os.unlink(partial)


def unwritable(path: Path, error: OSError) -> PracticumError:
    """Say in words why a file could not be written, and what to do."""
    kept = "what was finished before is kept"
    if error.errno in _FULL:
        why = f"disk full while writing {path}; {kept}; free space and {AGAIN}"
    elif error.errno in _FORBIDDEN:
        why = f"no permission to write {path} ({error.strerror}); {kept}; allow it and {AGAIN}"
    else:
        why = f"could not write {path} ({error.strerror or error}); {kept}; mend it and {AGAIN}"
    return PracticumError(why)


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: arrays as lists, non-finite floats as strings.

    Floats keep every bit; `nan`, `inf` and `-inf` become strings, which `float` reads back.

    Raises:
        TypeError: the value has a part that JSON cannot hold.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"a key in a JSON file is text, not {key!r}")
        return {key: plain(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):  # NumPy and torch
        return plain(value.tolist())
    raise TypeError(f"a JSON file cannot hold {type(value).__name__}: {value!r}")


def canonical(body: Any) -> bytes:
    """Return the one byte string of a body: UTF-8 JSON, keys sorted, no blanks."""
    text = json.dumps(
        plain(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest(body: Any) -> str:
    """Return the SHA-256 of a body's canonical bytes, in hexadecimal."""
    return hashlib.sha256(canonical(body)).hexdigest()


def write_json(path: str | Path, body: Any) -> None:
    """Write a body and its checksum atomically, laid out for people.

    Raises:
        PracticumError: the file system refuses.
        TypeError: the body has a part that JSON cannot hold.
    """
    write_atomic(path, _file_bytes(plain(body)))


def _file_bytes(body: Any) -> bytes:
    return (_layout({"sha256": digest(body), "body": body}) + "\n").encode()


def _layout(body: Any, margin: str = "") -> str:
    """Lay JSON out with one entry a line, but a list of plain values on one line."""
    inner = margin + " "
    if isinstance(body, dict) and body:
        entries = [f"{inner}{_text(key)}: {_layout(body[key], inner)}" for key in body]
        return "{\n" + ",\n".join(entries) + f"\n{margin}}}"
    if isinstance(body, list) and any(isinstance(one, dict | list) for one in body):
        return "[\n" + ",\n".join(inner + _layout(one, inner) for one in body) + f"\n{margin}]"
    return _text(body)


def _text(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, allow_nan=False)


def read_json(path: str | Path) -> Any:
    """Read a body that `write_json` wrote, and prove that it is the same.

    Raises:
        Damaged: one byte or more differs from what was written; the message says how.
        PracticumError: the file is missing or cannot be read.
    """
    path = Path(path)
    raw = _read(path)
    wrapped = _parse(path, raw)
    if not isinstance(wrapped, dict) or wrapped.keys() != {"sha256", "body"}:
        raise _damaged(path, "it lacks its checksum")
    body = wrapped["body"]
    try:
        same = digest(body) == wrapped["sha256"] and _file_bytes(plain(body)) == raw
    except UnicodeEncodeError:  # an escaped half of a surrogate pair, which is never written
        same = False
    if not same:
        raise _damaged(path, "its contents do not match its checksum")
    return body


def _parse(path: Path, raw: bytes) -> Any:
    try:
        text = raw.decode()
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise _damaged(path, f"byte {error.start} is no text") from None
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        what = f"cut off after {len(raw)} bytes" if cut else f"no JSON at character {error.pos}"
        raise _damaged(path, what) from None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"no JSON ({error})") from None


def _read(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise PracticumError(f"{path} is missing; {AGAIN}") from None
    except OSError as error:
        raise PracticumError(f"cannot read {path} ({error.strerror or error})") from error
    if not raw:
        raise _damaged(path, "it is empty")
    return raw


def _damaged(path: Path, what: str) -> Damaged:
    return Damaged(f"{path} is damaged: {what}; {AGAIN}")


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over names, types, shapes and bits of tensors, in order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(_bits(tensor))
    return total.hexdigest()


def _bits(tensor: Tensor) -> memoryview:
    import torch

    return tensor.reshape(-1).view(torch.uint8).numpy().data


_NO_SUM = b"0" * 64
_BEFORE_SUM = b'"sha256":"'


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as one safetensors file whose metadata hold a checksum of the whole file.

    Raises:
        PracticumError: the file system refuses.
    """
    from safetensors.torch import save

    # Tied weights share memory, which the format refuses: each gets its own copy.
    own = {name: tensors[name].detach().cpu().contiguous().clone() for name in tensors}
    raw = bytearray(save(own, metadata={"sha256": _NO_SUM.decode()}))
    start = raw.index(_BEFORE_SUM + _NO_SUM) + len(_BEFORE_SUM)
    raw[start : start + 64] = hashlib.sha256(raw).hexdigest().encode()
    write_atomic(path, bytes(raw))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read tensors that `write_tensors` wrote, and prove that they are the same.

    Raises:
        Damaged: one byte or more differs from what was written.
        PracticumError: the file is missing or cannot be read.
    """
    from safetensors.torch import load

    # The format does not align tensors; torch computes on unaligned memory with other bits.
    return {name: tensor.clone() for name, tensor in load(check_tensors(path)).items()}


def check_tensors(path: str | Path) -> bytes:
    """Return the bytes of a file of tensors, proved to be those written; needs no torch.

    Raises:
        Damaged: one byte or more differs from what was written.
        PracticumError: the file is missing or cannot be read.
    """
    path = Path(path)
    raw = _read(path)
    header_end = 8 + int.from_bytes(raw[:8], "little")
    if header_end > len(raw):
        raise _damaged(path, f"cut off after {len(raw)} bytes")
    start = raw.find(_BEFORE_SUM, 8, header_end) + len(_BEFORE_SUM)
    if start < 8 + len(_BEFORE_SUM) or start + 64 > header_end:
        raise _damaged(path, "it lacks its checksum")
    view = memoryview(raw)
    total = hashlib.sha256(view[:start])
    total.update(_NO_SUM)
    total.update(view[start + 64 :])
    if total.hexdigest().encode() != view[start : start + 64]:
        raise _damaged(path, "its contents do not match its checksum")
    return raw
