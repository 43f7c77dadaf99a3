"""Image sets in files: MNIST and Fashion-MNIST (idx), and a subset of CIFAR-10 (binary records).

Levels 0 to 255 become float32 in [0, 1]. Training and test parts are the publisher's; there is no
validation part: take one out of the training part with `Dataset.split_validation`, or by seed.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from practicum.data.cards import card
from practicum.data.dataset import Dataset, from_arrays
from practicum.data.idx import parse_idx
from practicum.data.store import content
from practicum.errors import PracticumError

LEVELS = 255.0

_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _load_idx(name: str, classes: tuple[str, ...]) -> Dataset:
    this = card(name)
    arrays = {
        file.path.split("/")[1].removesuffix(".gz"): parse_idx(content(file, this), file.path)
        for file in this.files
    }
    parts = [idx_part(arrays, prefix) for prefix in ("train", "t10k")]
    return from_arrays(this, *parts, scale=LEVELS, classes=classes)


def idx_part(
    arrays: dict[str, NDArray[np.uint8]], prefix: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images [n, 1, height, width] and labels [n] of one part, checked to belong together.

    Raises:
        PracticumError: wrong number of dimensions, or not as many labels as images.
    """
    images = arrays[f"{prefix}-images-idx3-ubyte"]
    labels = arrays[f"{prefix}-labels-idx1-ubyte"]
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise PracticumError(
            f"the {prefix} files do not belong together: images have shape {images.shape}, labels "
            f"{labels.shape}; expected [n, height, width] and [n]"
        )
    return images[:, None], labels


load_mnist = partial(_load_idx, "mnist", tuple("0123456789"))
load_fashion_mnist = partial(_load_idx, "fashion-mnist", _FASHION)


def load_cifar10_subset() -> Dataset:
    """Return 10,000 training and 2,000 test images of CIFAR-10: [n, 3, 32, 32], red first."""
    this = card("cifar10-subset")
    files = {file.path.split("/")[1]: file for file in this.files}
    parts = [
        _records(content(files[f"cifar10_subset_{part}.bin.gz"], this))
        for part in ("train", "test")
    ]
    classes = content(files["batches.meta.txt"], this).decode().split()
    return from_arrays(this, *parts, scale=LEVELS, classes=tuple(classes))


def _records(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Take records of one label byte and 3,072 bytes of an image apart."""
    rows = np.frombuffer(data, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]
