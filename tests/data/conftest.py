"""A tiny data set of the registry's kind, and a server on this machine that hands out its files."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from practicum.data import cards
from practicum.data.cards import Card, FileCard


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def idx_bytes(array: np.ndarray) -> bytes:
    """Write an array of bytes in the idx format, one entry at a time."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    return header + b"".join(struct.pack("B", int(entry)) for entry in array.reshape(-1))


@dataclass
class Server:
    """What a path answers: bytes, a status, or a body that is cut off; and what was asked for."""

    address: str
    bodies: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    encoded: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            if self.path not in state.bodies:
                self.send_error(404)
                return
            body = state.bodies[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            if self.path in state.encoded:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if self.path in state.cut else body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        state = Server(f"http://127.0.0.1:{httpd.server_port}")
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield state
        httpd.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("PRACTICUM_DATA", str(folder))
    return folder


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """The four arrays of a small MNIST: 13 and 7 images of 5x4 pixels."""
    rng = np.random.default_rng(0)
    made = {}
    for prefix, n in (("train", 13), ("t10k", 7)):
        made[f"{prefix}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 5, 4)).astype(np.uint8)
        made[f"{prefix}-labels-idx1-ubyte"] = rng.integers(0, 3, n).astype(np.uint8)
    return made


@pytest.fixture
def contents(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    """The files of the small MNIST, by their names."""
    return {f"{n}.gz": gzip.compress(idx_bytes(a), mtime=0) for n, a in arrays.items()}


@pytest.fixture
def tiny(
    contents: dict[str, bytes], server: Server, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Card]:
    """Put a small set in the place of "mnist" in the registry; its files are on the server."""

    def register(*mirrors: str, archive: str = "") -> Card:
        files = tuple(
            FileCard(
                path=f"mnist/{name}",
                bytes=len(data),
                sha256=sha256(data),
                sha256_uncompressed=sha256(gzip.decompress(data)),
                urls=tuple(f"{server.address}/{mirror}/{name}" for mirror in mirrors),
            )
            for name, data in contents.items()
        )
        card = Card(
            name="mnist",
            title="a small set",
            what="20 images",
            kind="images",
            form="tensors",
            licence="none",
            citation="none",
            source="http://127.0.0.1/",
            files=files,
            archive=archive,
        )
        others = dict(cards.registry())
        monkeypatch.setattr(cards, "registry", lambda: {**others, "mnist": card})
        return card

    return register
