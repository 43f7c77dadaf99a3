"""Files on this machine: found, verified, named when they are missing or damaged.

Would catch: a damaged file believed, a good one in another compression refused, an error that does
not name the file or the way out, PRACTICUM_DATA ignored.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from practicum.data import check, load, own_sha256, paths, root, where
from practicum.data.cards import Card
from practicum.errors import PracticumError

Register = Callable[..., Card]
TRAIN = "train-images-idx3-ubyte.gz"


@pytest.fixture
def there(tiny: Register, folder: Path, contents: dict[str, bytes]) -> Path:
    """The folder of the small set, with all of its files."""
    tiny("a")
    (folder / "mnist").mkdir()
    for name, data in contents.items():
        (folder / "mnist" / name).write_bytes(data)
    return folder / "mnist"


def test_whole_files_are_ok_and_found(there: Path) -> None:
    assert {state.state for state in check("mnist")} == {"ok"}
    assert where("mnist") == there
    assert paths("mnist")[TRAIN] == there / TRAIN
    assert load("mnist").test[0].shape == (7, 1, 5, 4)


def test_a_set_that_is_not_there_is_nowhere(tiny: Register, folder: Path) -> None:
    tiny("a")

    assert where("mnist") is None
    assert {state.state for state in check("mnist")} == {"missing"}


def test_a_missing_set_says_every_way_to_get_it(tiny: Register, folder: Path) -> None:
    tiny("a")

    with pytest.raises(PracticumError) as error:
        load("mnist")

    for part in ("practicum data get mnist", "PRACTICUM_DATA", f"mnist/{TRAIN}", "--data digits"):
        assert part in str(error.value)


def test_a_missing_set_without_addresses_does_not_advise_to_download_it(
    tiny: Register, folder: Path
) -> None:
    tiny()

    with pytest.raises(PracticumError) as error:
        load("mnist")

    assert "data get" not in str(error.value)
    assert "PRACTICUM_DATA" in str(error.value)


@pytest.mark.parametrize("harm", ["flip a bit", "truncate", "empty", "not gzip", "append"])
def test_a_damaged_file_is_named_and_left_alone(
    harm: str, there: Path, contents: dict[str, bytes]
) -> None:
    whole = contents[TRAIN]
    middle = len(whole) // 2
    harmed = {
        "flip a bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "truncate": whole[:-9],
        "empty": b"",
        "not gzip": b"<html>please sign in</html>",
        "append": whole + gzip.compress(b"more"),
    }[harm]
    (there / TRAIN).write_bytes(harmed)

    states = {Path(state.file).name: state for state in check("mnist")}
    with pytest.raises(PracticumError) as error:
        load("mnist")

    assert states[TRAIN].state == "damaged"
    assert [state.state for state in states.values()].count("ok") == 3
    for part in (str(there / TRAIN), "expected", "found", "nothing was deleted", "data get mnist"):
        assert part in str(error.value)
    assert (there / TRAIN).read_bytes() == harmed


def test_the_same_content_is_accepted_in_another_compression_or_none(
    there: Path, contents: dict[str, bytes]
) -> None:
    before = load("mnist")
    content = gzip.decompress(contents[TRAIN])
    (there / TRAIN).write_bytes(gzip.compress(content, 1, mtime=99))
    labels = "train-labels-idx1-ubyte.gz"
    (there / labels).unlink()
    (there / labels.removesuffix(".gz")).write_bytes(gzip.decompress(contents[labels]))

    assert {state.state for state in check("mnist")} == {"ok"}
    assert load("mnist").sha256 == before.sha256


def test_another_data_folder_is_looked_at(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("mnist")
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("PRACTICUM_DATA", str(other))

    with pytest.raises(PracticumError, match="not on this machine"):
        load("mnist")  # although the other folder's is in memory


@pytest.mark.parametrize(
    ("name", "instead"),
    [("mnist", "`--data digits` needs"), ("wikitext-2", "`--data pydoc` needs"),
     ("cora", "`--data karate` needs"), ("sst2", "`practicum data list` shows which")],
)  # fmt: skip
def test_what_is_missing_names_a_set_that_could_stand_in_for_it(
    name: str, instead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRACTICUM_DATA", str(tmp_path))
    with pytest.raises(PracticumError, match=instead):
        paths(name)


def test_without_the_variable_the_users_cache_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRACTICUM_DATA", raising=False)

    assert root().name == "practicum"


@pytest.mark.parametrize("what", ["absent", "a file"])
def test_a_variable_that_names_no_folder_is_told(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    if what == "a file":
        path.write_text("no folder")
    monkeypatch.setenv("PRACTICUM_DATA", str(path))

    with pytest.raises(PracticumError, match=r"PRACTICUM_DATA is .* no folder"):
        root()


def test_a_set_always_at_hand_has_no_files() -> None:
    assert check("digits") == ()
    assert where("digits") is None
    with pytest.raises(PracticumError, match="always at hand"):
        paths("digits")


def test_the_checksum_of_a_folder_is_what_the_documented_command_prints(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "a b").mkdir(parents=True)
    for name, text in (("z.txt", "z"), ("a b/é.txt", "e"), ("a-b.txt", "x")):
        (folder / name).write_text(text, encoding="utf-8")
    # printed by the command of docs/data.md for these three files
    printed = "c89bc4fe2a68261706b4c41cef66902d03d5c2d347d59fcec73abc74fe5bbe8c"

    found = own_sha256(folder)

    assert found == printed
    assert check(f"{folder}", found)[0].state == "ok"
    (folder / "z.txt").write_text("y")
    assert check(f"{folder}", found)[0].state == "damaged"
    (folder / "z.txt").write_text("z")
    (folder / "z.txt").rename(folder / "y.txt")
    assert check(f"{folder}", found)[0].state == "damaged"


def test_a_checksum_is_refused_for_a_set_that_has_its_own() -> None:
    with pytest.raises(PracticumError, match="in its card"):
        check("digits", "0" * 64)
