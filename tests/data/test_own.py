"""Folders and files of the user's own: three layouts, and errors that say what is wrong with them.

Would catch: labels mixed up between classes or parts, levels scaled twice or not at all, a changed
folder answered from memory, a traceback for a folder that is none of the layouts.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from practicum.data import card, check, is_path, load, where
from practicum.errors import PracticumError
from tests.data.conftest import idx_bytes

Arrays = dict[str, np.ndarray]


def picture(path: Path, value: int, size: tuple[int, int] = (6, 4), mode: str = "L") -> None:
    """Write an image of one level; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 255)).save(path)


@pytest.fixture
def numbers() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (8, 3, 5)).astype(np.uint8),
        "y_train": np.arange(8) % 3,
        "x_test": rng.integers(0, 256, (4, 3, 5)).astype(np.uint8),
        "y_test": np.arange(4) % 2,
    }


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_read(packed: bool, arrays: Arrays, tmp_path: Path) -> None:
    for name, array in arrays.items():
        data = idx_bytes(array)
        path = tmp_path / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(data) if packed else data)

    mine = load(str(tmp_path))

    assert mine.train[0].shape == (13, 1, 5, 4)
    expected = arrays["train-images-idx3-ubyte"][:, None].astype(np.float32) / np.float32(255)
    assert np.array_equal(mine.train[0].numpy(), expected)
    assert mine.test[1].tolist() == arrays["t10k-labels-idx1-ubyte"].tolist()
    assert mine.card.kind == "own"


@pytest.mark.parametrize("as_file", [True, False])
def test_an_npz_file_is_read(as_file: bool, numbers: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, **numbers)

    mine = load(str(path if as_file else tmp_path))

    expected = numbers["x_train"].astype(np.float32) / np.float32(255)
    assert np.array_equal(mine.train[0].numpy(), expected)
    assert mine.train[1].tolist() == numbers["y_train"].tolist()
    assert mine.classes == ("0", "1", "2")
    assert mine.validation is None


def test_numbers_in_an_npz_file_are_taken_as_they_are(numbers: Arrays, tmp_path: Path) -> None:
    x = {name: a.astype(np.float64) * 3 for name, a in numbers.items() if name[0] == "x"}
    y = {name: a + 0.5 for name, a in numbers.items() if name[0] == "y"}
    more = {"x_validation": x["x_test"][:2], "y_validation": y["y_test"][:2]}
    np.savez(tmp_path / "set.npz", **x, **y, **more)

    mine = load(str(tmp_path))

    assert np.array_equal(mine.train[0].numpy(), x["x_train"].astype(np.float32))
    assert mine.train[1].dtype == torch.float32
    assert mine.classes == ()
    assert mine.validation is not None
    assert mine.validation[0].shape == (2, 3, 5)


def test_images_in_class_folders_are_read_with_the_right_labels(tmp_path: Path) -> None:
    for part, n in (("train", 3), ("test", 2)):
        for level, name in ((10, "dog"), (200, "cat")):
            for i in range(n):
                picture(tmp_path / part / name / f"{i}.png", level + i)
    (tmp_path / "train" / "dog" / "notes.txt").write_text("not an image")

    mine = load(str(tmp_path))

    assert mine.classes == ("cat", "dog")
    assert mine.train[0].shape == (6, 1, 4, 6)
    levels = (mine.train[0][:, 0, 0, 0] * 255).round().int().tolist()
    assert levels == [200, 201, 202, 10, 11, 12]
    assert mine.train[1].tolist() == [0, 0, 0, 1, 1, 1]
    assert len(mine.test[1]) == 4


def test_one_image_in_colour_makes_all_of_them_colour(tmp_path: Path) -> None:
    for i in range(5):
        picture(tmp_path / "a" / f"{i}.png", 100)
        picture(tmp_path / "b" / f"{i}.jpg", 100, mode="RGB")

    mine = load(str(tmp_path))

    assert mine.train[0].shape[1:] == (3, 4, 6)
    grey = mine.train[0][mine.train[1] == 0][0]
    assert torch.equal(grey[0], grey[2])
    colour = mine.train[0][mine.train[1] == 1][0]
    assert colour[2].min() > 0.9 > 0.2 > colour[1].max()


def test_folders_without_parts_are_split_by_class(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(10):
            picture(tmp_path / name / f"{i}.png", i)

    mine = load(str(tmp_path))

    assert mine.test[1].tolist() == [0, 0, 1, 1]
    assert len(mine.train[1]) == 16


def test_a_changed_folder_is_read_again(numbers: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **numbers)
    before = load(str(tmp_path))
    assert load(str(tmp_path)) is before
    numbers["x_train"][0, 0, 0] ^= 1
    np.savez_compressed(tmp_path / "set.npz", **numbers)

    assert load(str(tmp_path)).sha256 != before.sha256


def test_a_path_is_told_from_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "digits").mkdir()

    assert [is_path(name) for name in ("photos", "./x", "a/b", "~/x", "x.npz")] == [True] * 5
    assert [is_path(name) for name in ("digits", "mnist", "nothing", "")] == [False] * 4
    assert (card("photos").kind, card("photos").title) == ("own", "photos")
    assert where("photos") == tmp_path / "photos"
    assert check("photos")[0].state == "ok"


def test_a_path_that_does_not_exist_is_told() -> None:
    with pytest.raises(PracticumError, match="does not exist"):
        load("./nothing-here")


def test_a_folder_of_no_layout_says_which_are_read(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")

    with pytest.raises(PracticumError, match=r"idx files .* \.npz .* folders by class"):
        load(str(tmp_path))


def test_a_missing_idx_file_is_named(arrays: Arrays, tmp_path: Path) -> None:
    for name, array in list(arrays.items())[:3]:
        (tmp_path / name).write_bytes(idx_bytes(array))

    with pytest.raises(PracticumError, match="no t10k-labels-idx1-ubyte"):
        load(str(tmp_path))


def test_idx_files_that_do_not_belong_together_are_refused(arrays: Arrays, tmp_path: Path) -> None:
    arrays["train-labels-idx1-ubyte"] = arrays["train-labels-idx1-ubyte"][:-1]
    for name, array in arrays.items():
        (tmp_path / name).write_bytes(idx_bytes(array))

    with pytest.raises(PracticumError, match="do not belong together"):
        load(str(tmp_path))


def test_a_damaged_gzip_file_is_named(arrays: Arrays, tmp_path: Path) -> None:
    for name, array in arrays.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array))[:-12])

    with pytest.raises(PracticumError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y_test": None}, "no array y_test"),
        ({"y_train": np.arange(7)}, r"shape \(7,\)"),
        ({"y_train": np.zeros((8, 2), int)}, r"expected \[n, ...\] and \[n\]"),
        ({"x_test": np.zeros((4, 3, 6), np.uint8)}, "different shapes"),
        ({"x_test": np.zeros((0, 3, 5), np.uint8), "y_test": np.zeros(0, int)}, "n > 0"),
        ({"y_train": np.arange(8) - 1}, "class number -1"),
        ({"x_test": np.full((4, 3, 5), np.nan)}, "not finite"),
        ({"x_test": np.zeros((4, 3, 5))}, "bytes"),
        ({"y_test": np.arange(4) / 2}, "class numbers in one part"),
        ({"y_train": np.array(list("abcdefgh"))}, "must be numbers"),
        ({"y_train": np.array([None] * 8)}, "plain arrays"),
        ({"x_validation": np.zeros((4, 3, 5), np.uint8)}, "no y_validation"),
        ({"x_test": np.zeros((4, 3, 5), complex)}, "complex"),
    ],
)
def test_arrays_that_make_no_set_are_refused(
    change: dict[str, np.ndarray | None], says: str, numbers: Arrays, tmp_path: Path
) -> None:
    made = {name: a for name, a in {**numbers, **change}.items() if a is not None}
    np.savez(tmp_path / "set.npz", **made)

    with pytest.raises(PracticumError, match=says):
        load(str(tmp_path))


@pytest.mark.parametrize("body", [b"", b"no zip", b"PK\x03\x04cut"])
def test_a_file_that_is_no_npz_is_refused(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(body)

    with pytest.raises(PracticumError, match="plain arrays"):
        load(str(path))


def test_images_of_different_sizes_are_refused_by_name(tmp_path: Path) -> None:
    for i in range(5):
        picture(tmp_path / "a" / f"{i}.png", 1, (6, 4) if i < 4 else (7, 4))

    with pytest.raises(PracticumError, match=r"4\.png has \(4, 7\)"):
        load(str(tmp_path))


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", 1)
    (tmp_path / "a" / "2.png").write_bytes(b"no image")

    with pytest.raises(PracticumError, match=r"2\.png is no image"):
        load(str(tmp_path))


def test_a_cut_off_image_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", 1, (60, 40))
    path = tmp_path / "a" / "2.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 60)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:900])

    with pytest.raises(PracticumError, match=r"2\.png"):
        load(str(tmp_path))


def test_classes_that_differ_between_the_parts_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "a" / "1.png", 1)
    picture(tmp_path / "test" / "b" / "1.png", 1)

    with pytest.raises(PracticumError, match="different classes: a and b"):
        load(str(tmp_path))


def test_too_few_images_for_a_test_part_are_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / name / "1.png", 1)

    with pytest.raises(PracticumError, match="too few images"):
        load(str(tmp_path))
