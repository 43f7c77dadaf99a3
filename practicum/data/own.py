"""A folder or file of the user's own as a data set: `--data ./folder` or `--data set.npz`.

Three layouts are read:

1. idx files under MNIST's names: {train,t10k}-images-idx3-ubyte and
   {train,t10k}-labels-idx1-ubyte, each with or without .gz;
2. one .npz file (or a folder with just one) holding x_train, y_train, x_test, y_test and, if
   wanted, x_validation, y_validation; bytes are taken as levels 0 to 255, numbers as they are;
3. images in folders by class: train/<class>/*.png and test/<class>/*.png, or <class>/*.png, of
   which a fixed fifth of each class becomes the test part. All of one size; grey or colour.

The checksum is of the entries that were read, not of the files.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from practicum.data.cards import Card
from practicum.data.dataset import Dataset, from_arrays
from practicum.data.idx import parse_idx
from practicum.data.images import LEVELS, idx_part
from practicum.data.splits import split_rows
from practicum.data.store import unzipped
from practicum.errors import PracticumError

Arrays = tuple[NDArray[Any], NDArray[Any]]

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".tif", ".tiff", ".gif")
_IDX = tuple(
    f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
)
_LAYOUTS = (
    "expected idx files under MNIST's names, one .npz file with x_train, y_train, x_test, y_test, "
    "or images in folders by class (train/<class>/*.png and test/<class>/*.png, or <class>/*.png)"
)


def load_own(this: Card, path: Path) -> Dataset:
    """Read a user's folder or .npz file.

    Raises:
        PracticumError: none of the layouts, or a file in it is not what its name says.
    """
    try:
        if path.is_file():
            return _npz(this, path)
        packed = sorted(path.glob("*.npz"))
        if any((path / f"{name}{end}").is_file() for name in _IDX for end in ("", ".gz")):
            return _idx(this, path)
        if len(packed) == 1:
            return _npz(this, packed[0])
        return _pictures(this, path)
    except OSError as error:
        raise PracticumError(
            f"cannot read {error.filename or path}: {error.strerror or error}; correct the file or "
            "its permission"
        ) from error


def _idx(this: Card, folder: Path) -> Dataset:
    arrays = {name: _idx_array(folder, name) for name in _IDX}
    train, test = (idx_part(arrays, prefix) for prefix in ("train", "t10k"))
    return _assemble(this, {"train": train, "test": test})


def _idx_array(folder: Path, name: str) -> NDArray[np.uint8]:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            try:
                return parse_idx(unzipped(path.read_bytes()), str(path))
            except zlib.error as error:
                raise PracticumError(f"{path} is damaged: {error}; get it again") from error
    raise PracticumError(f"{folder} has idx files, but no {name} or {name}.gz; add it")


def _npz(this: Card, path: Path) -> Dataset:
    try:
        # opened here, because numpy leaves the file open when it turns out to be none of its own
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise PracticumError(
            f"{path} is no .npz file of plain arrays ({error}); write it with numpy.savez"
        ) from error
    wanted = [f"{side}_{part}" for part in ("train", "test") for side in "xy"]
    absent = [name for name in wanted if name not in arrays]
    if absent:
        raise PracticumError(
            f"{path} has no array {', '.join(absent)}; it has {', '.join(arrays) or 'none'}"
        )
    names = ["train", "test"] + ["validation"] * ("x_validation" in arrays)
    if "validation" in names and "y_validation" not in arrays:
        raise PracticumError(f"{path} has x_validation but no y_validation; add it")
    return _assemble(this, {name: (arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in names})


def _pictures(this: Card, folder: Path) -> Dataset:
    has_parts = (folder / "train").is_dir() and (folder / "test").is_dir()
    tops = [folder / "train", folder / "test"] if has_parts else [folder]
    classes = [_classes(top) for top in tops]
    if not classes[0]:
        raise PracticumError(f"cannot read {folder} as a data set: {_LAYOUTS}")
    if classes[0] != classes[-1]:
        raise PracticumError(
            f"train and test of {folder} have different classes: {', '.join(classes[0])} and "
            f"{', '.join(classes[-1])}; give both the same folders"
        )
    parts = [_part(top, classes[0]) for top in tops]
    shapes = {part[0].shape[1:] for part in parts}
    if len(shapes) > 1:
        raise PracticumError(f"images of {folder} differ between train and test: {shapes}")
    if has_parts:
        train, test = parts
    else:
        x, y = parts[0]
        rest, held = split_rows("own", y)
        if not len(held):
            raise PracticumError(
                f"{folder} has too few images a class for a test part (at least 3); add some, or "
                "make folders train and test"
            )
        train, test = (x[rest], y[rest]), (x[held], y[held])
    return _assemble(this, {"train": train, "test": test}, classes[0])


def _classes(top: Path) -> tuple[str, ...]:
    """Return the names of the folders that hold images, in alphabetical order."""
    return tuple(sorted(one.name for one in top.iterdir() if one.is_dir() and _images(one)))


def _images(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.suffix.lower() in _PICTURES)


def _part(top: Path, classes: tuple[str, ...]) -> Arrays:
    """Read the images of one part: [n, channels, height, width] bytes, and class numbers."""
    paths = [(path, number) for number, name in enumerate(classes) for path in _images(top / name)]
    pictures = [_picture(path) for path, _ in paths]
    if any(one.ndim == 3 for one in pictures):  # one in colour makes all of them colour
        pictures = [one if one.ndim == 3 else np.stack([one] * 3) for one in pictures]
    else:
        pictures = [one[None] for one in pictures]
    for (path, _), one in zip(paths, pictures, strict=True):
        if one.shape != pictures[0].shape:
            raise PracticumError(
                f"images must all have one size: {path} has {one.shape[1:]} pixels, "
                f"{paths[0][0]} has {pictures[0].shape[1:]} (height, width); scale them first"
            )
    return np.stack(pictures), np.array([number for _, number in paths])


def _picture(path: Path) -> NDArray[np.uint8]:
    """Return the bytes of an image: [height, width], or [3, height, width] in colour."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            if file.mode in ("1", "L", "LA"):
                return np.asarray(file.convert("L"))
            return np.ascontiguousarray(np.asarray(file.convert("RGB")).transpose(2, 0, 1))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the image's
        raise PracticumError(f"{path} is no image that can be read: {error}") from error


def _assemble(this: Card, parts: Mapping[str, Arrays], classes: tuple[str, ...] = ()) -> Dataset:
    """Check that the parts belong together and make tensors of them."""
    for name, (x, y) in parts.items():
        _check_part(this.name, name, x, y)
    shapes = {name: x.shape[1:] for name, (x, _) in parts.items()}
    if len(set(shapes.values())) > 1:
        raise PracticumError(
            f"the parts of {this.name} have examples of different shapes: {shapes}"
        )
    kinds = {np.issubdtype(y.dtype, np.integer) for _, y in parts.values()}
    if len(kinds) > 1:
        raise PracticumError(f"{this.name} has class numbers in one part and values in another")
    is_bytes = {x.dtype == np.uint8 for x, _ in parts.values()}
    if len(is_bytes) > 1:
        raise PracticumError(
            f"{this.name} has bytes (levels 0 to 255) in one part and other numbers in another"
        )
    if kinds.pop() and not classes:
        classes = tuple(map(str, range(max(int(y.max()) for _, y in parts.values()) + 1)))
    return from_arrays(
        this,
        parts["train"],
        parts["test"],
        validation=parts.get("validation"),
        scale=LEVELS if is_bytes.pop() else 1.0,
        classes=classes,
    )


def _check_part(name: str, part: str, x: NDArray[Any], y: NDArray[Any]) -> None:
    where = f"the {part} part of {name}"
    if y.ndim != 1 or x.ndim < 2 or len(x) != len(y) or not len(y):
        raise PracticumError(
            f"{where} has inputs of shape {x.shape} and targets of shape {y.shape}; expected "
            "[n, ...] and [n] with n > 0"
        )
    if not all(np.issubdtype(one.dtype, np.number) for one in (x, y)):
        raise PracticumError(
            f"{where} holds {x.dtype} and {y.dtype}; both must be numbers (class numbers from 0)"
        )
    if any(np.issubdtype(one.dtype, np.complexfloating) for one in (x, y)):
        raise PracticumError(f"{where} holds complex numbers; give real ones")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise PracticumError(f"{where} holds numbers that are not finite; remove or replace them")
    if np.issubdtype(y.dtype, np.integer) and y.min() < 0:
        raise PracticumError(f"{where} has the class number {y.min()}; classes count from 0")
