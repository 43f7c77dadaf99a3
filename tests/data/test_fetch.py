"""Downloads, from a server on this machine.

Would catch: a wrong or cut-off file kept under a whole one's name, a mirror not tried, a file
overwritten, a form that is as good refused, errors that do not say what to do.
"""

from __future__ import annotations

import gzip
import io
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from practicum.data import check, fetch, get, get_url, load
from practicum.data.cards import Card
from practicum.errors import PracticumError
from tests.data.conftest import Server, sha256

Register = Callable[..., Card]
TRAIN = "train-images-idx3-ubyte.gz"


def left(folder: Path) -> set[str]:
    """Return every file below a folder, hidden ones too."""
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}


@pytest.fixture
def served(server: Server, contents: dict[str, bytes]) -> Server:
    server.bodies = {f"/a/{name}": data for name, data in contents.items()}
    return server


def test_a_set_is_downloaded_verified_and_loads(
    served: Server, tiny: Register, folder: Path, arrays: dict[str, np.ndarray]
) -> None:
    card = tiny("a")
    seen: list[tuple[int, int]] = []

    paths = get("mnist", lambda done, of: seen.append((done, of)))

    assert [one.name for one in paths] == [file.path.split("/")[1] for file in card.files]
    assert left(folder) == {file.path for file in card.files}
    x, y = load("mnist").train
    assert np.array_equal((x[:, 0] * 255).round().numpy(), arrays["train-images-idx3-ubyte"])
    assert np.array_equal(y.numpy(), arrays["train-labels-idx1-ubyte"])
    done = [now for now, _ in seen]
    assert {of for _, of in seen} == {card.bytes}
    assert done[-1] == card.bytes
    assert all(0 <= now <= card.bytes for now in done)


def test_what_is_there_is_not_downloaded_again(
    served: Server, tiny: Register, folder: Path
) -> None:
    tiny("a")
    get("mnist")
    (folder / "mnist" / TRAIN).unlink()
    served.asked.clear()

    get("mnist")

    assert served.asked == [f"/a/{TRAIN}"]


def test_a_second_address_is_tried_when_the_first_does_not_answer(
    served: Server, tiny: Register, folder: Path
) -> None:
    tiny("gone", "a")

    get("mnist")

    assert {state.state for state in check("mnist")} == {"ok"}
    assert served.asked[:2] == [f"/gone/{TRAIN}", f"/a/{TRAIN}"]


def test_a_second_address_is_tried_when_the_first_gives_another_file(
    served: Server, tiny: Register, folder: Path
) -> None:
    served.bodies[f"/bad/{TRAIN}"] = gzip.compress(b"<html>moved</html>")
    tiny("bad", "a")

    get("mnist")

    assert {state.state for state in check("mnist")} == {"ok"}


@pytest.mark.parametrize("spoil", ["missing", "other", "cut", "bit"])
def test_nothing_is_kept_of_a_bad_download(
    spoil: str, served: Server, tiny: Register, folder: Path
) -> None:
    tiny("a")
    path = f"/a/{TRAIN}"
    if spoil == "missing":
        del served.bodies[path]
    elif spoil == "other":
        served.bodies[path] = b"<html>moved</html>"
    elif spoil == "cut":
        served.cut.add(path)
    else:
        data = bytearray(served.bodies[path])
        data[len(data) // 2] ^= 1
        served.bodies[path] = bytes(data)

    with pytest.raises(PracticumError, match="could not download mnist/train") as error:
        get("mnist")

    assert left(folder) == set()
    assert "PRACTICUM_DATA" in str(error.value)
    expected = {"missing": "404", "cut": "broke before the end"}.get(spoil, "expected")
    assert expected in str(error.value)


def test_a_host_that_does_not_answer_is_told_in_words(server: Server, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but it does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"

        with pytest.raises(PracticumError, match="could not download") as error:
            get_url(url, "0" * 64)

    assert "refused" in str(error.value)
    assert "object at" not in str(error.value)


def test_an_uncompressed_form_is_kept_under_its_own_name(
    served: Server, tiny: Register, folder: Path
) -> None:
    served.bodies = {path: gzip.decompress(data) for path, data in served.bodies.items()}
    card = tiny("a")

    get("mnist")

    assert left(folder) == {file.path.removesuffix(".gz") for file in card.files}
    assert load("mnist").train[0].shape == (13, 1, 5, 4)


def test_a_file_that_the_server_unpacks_on_the_way_is_accepted(
    served: Server, tiny: Register, folder: Path
) -> None:
    served.encoded = set(served.bodies)  # the client undoes the content encoding
    card = tiny("a")

    get("mnist")

    assert left(folder) == {file.path.removesuffix(".gz") for file in card.files}


def test_another_compression_of_the_same_content_is_accepted(
    served: Server, tiny: Register, folder: Path
) -> None:
    served.bodies = {
        path: gzip.compress(gzip.decompress(data), 1, mtime=7)
        for path, data in served.bodies.items()
    }
    card = tiny("a")

    get("mnist")

    assert left(folder) == {file.path for file in card.files}
    assert {state.state for state in check("mnist")} == {"ok"}


def test_a_damaged_file_is_not_overwritten(served: Server, tiny: Register, folder: Path) -> None:
    tiny("a")
    (folder / "mnist").mkdir()
    (folder / "mnist" / TRAIN).write_bytes(b"my own notes")

    with pytest.raises(PracticumError, match="move it away"):
        get("mnist")

    assert (folder / "mnist" / TRAIN).read_bytes() == b"my own notes"
    assert served.asked == []


def test_a_set_without_an_address_says_that_it_must_come_by_hand(
    server: Server, tiny: Register, folder: Path
) -> None:
    tiny()

    with pytest.raises(PracticumError, match="cannot be downloaded") as error:
        get("mnist")

    assert "PRACTICUM_DATA" in str(error.value)


def test_a_set_always_at_hand_needs_no_download(folder: Path) -> None:
    assert get("digits") == ()
    assert left(folder) == set()


def test_the_files_of_a_set_come_out_of_one_archive(
    server: Server, contents: dict[str, bytes], tiny: Register, folder: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("repository-1f3a/README.md", "not wanted")
        for name, data in contents.items():
            archive.writestr(f"repository-1f3a/{name}", data)
    server.bodies["/all.zip"] = packed.getvalue()
    card = tiny(archive=f"{server.address}/all.zip")

    get("mnist")

    assert left(folder) == {file.path for file in card.files}
    assert server.asked == ["/all.zip"]


@pytest.mark.parametrize("spoil", ["no zip", "member missing", "member wrong"])
def test_an_archive_that_is_not_the_expected_one_leaves_no_wrong_file(
    spoil: str, server: Server, contents: dict[str, bytes], tiny: Register, folder: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, (name, data) in enumerate(contents.items()):
            if number != 1 or spoil == "member wrong":
                archive.writestr(f"repo/{name}", data if number != 1 else b"another")
    server.bodies["/all.zip"] = b"no zip" if spoil == "no zip" else packed.getvalue()
    tiny(archive=f"{server.address}/all.zip")

    with pytest.raises(PracticumError, match="could not download mnist"):
        get("mnist")

    assert left(folder) <= {f"mnist/{TRAIN}"}  # the first member was right and is whole
    assert "damaged" not in {state.state for state in check("mnist")}


def test_a_full_disk_is_told_and_leaves_nothing(
    served: Server, tiny: Register, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(url: str, to: Path, progress: object) -> None:
        with open("/dev/full", "wb", 0) as file:
            file.write(b"x")

    tiny("a")
    monkeypatch.setattr(fetch, "_fetch", full)

    with pytest.raises(PracticumError, match="disk is full"):
        get("mnist")

    assert left(folder) == set()


def test_a_folder_that_may_not_be_written_is_told(
    served: Server, tiny: Register, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    tiny("a")
    monkeypatch.setattr(Path, "mkdir", forbidden)  # chmod does not stop the superuser

    with pytest.raises(PracticumError, match="no permission"):
        get("mnist")


def test_an_interrupted_download_leaves_nothing(
    served: Server, tiny: Register, folder: Path
) -> None:
    def interrupt(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    tiny("a")
    with pytest.raises(KeyboardInterrupt):
        get("mnist", interrupt)

    assert left(folder) == set()
    assert list((folder / "mnist").iterdir()) == []


def test_a_failure_at_the_last_moment_leaves_nothing(
    served: Server, tiny: Register, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    tiny("a")
    monkeypatch.setattr(fetch.os, "replace", broken)

    with pytest.raises(PracticumError, match="Input/output error"):
        get("mnist")

    assert left(folder) == set()


# ---- any address whose checksum the user gives


def test_any_address_is_downloaded_when_its_checksum_is_right(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    server.bodies["/x/set.npz?v=1"] = b"content"

    path = get_url(f"{server.address}/x/set.npz?v=1", sha256(b"content").upper())
    again = get_url(f"{server.address}/x/set.npz?v=1", sha256(b"content"))
    other = get_url(f"{server.address}/x/set.npz?v=1", sha256(b"content"), tmp_path / "new")

    assert path == again == folder / "own" / "set.npz"
    assert path.read_bytes() == b"content"
    assert other == tmp_path / "new" / "set.npz"
    assert len(server.asked) == 2  # the second call found the file


def test_another_content_at_an_address_is_not_kept(server: Server, folder: Path) -> None:
    server.bodies["/set.npz"] = b"content"

    with pytest.raises(PracticumError, match="expected 0000") as error:
        get_url(f"{server.address}/set.npz", "0" * 64)

    assert sha256(b"content") in str(error.value)
    assert left(folder) == set()


def test_another_file_of_the_same_name_is_not_overwritten(server: Server, folder: Path) -> None:
    server.bodies["/set.npz"] = b"content"
    (folder / "own").mkdir()
    (folder / "own" / "set.npz").write_bytes(b"older")

    with pytest.raises(PracticumError, match="not overwritten"):
        get_url(f"{server.address}/set.npz", sha256(b"content"))

    assert (folder / "own" / "set.npz").read_bytes() == b"older"


@pytest.mark.parametrize(
    ("url", "checksum", "says"),
    [
        ("http://127.0.0.1/x", "abc", "64 hexadecimal"),
        ("http://127.0.0.1/x", "g" * 64, "64 hexadecimal"),
        ("ftp://127.0.0.1/x", "0" * 64, "no address"),
        ("http://127.0.0.1/", "0" * 64, "no address"),
        ("http://127.0.0.1/a/..", "0" * 64, "no address"),
        ("set.npz", "0" * 64, "no address"),
    ],
)
def test_a_bad_address_or_checksum_is_refused_before_anything_is_asked(
    url: str, checksum: str, says: str, folder: Path
) -> None:
    with pytest.raises(PracticumError, match=says):
        get_url(url, checksum)
