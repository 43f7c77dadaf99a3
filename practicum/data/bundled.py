"""The sets that scikit-learn carries: no download, small, real.

digits: the grey levels 0 to 16 become [0, 1]; shape [n, 1, 8, 8]. Every set is split once and for
all by `practicum.data.splits` into 80 % for training and 20 % for the final test, stratified by
class (diabetes, a regression, without strata). Tables keep their original units: see
`Dataset.standardized`. diabetes is taken unscaled for the same reason: scikit-learn's scaled copy
was scaled with the test rows' statistics too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from practicum.data.cards import card
from practicum.data.dataset import Dataset, from_arrays
from practicum.data.splits import split_rows

_DIGITS_LEVELS = 16.0


def load_digits() -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits: 1,437 for training, 360 for the test."""
    source = datasets.load_digits()
    x = np.asarray(source.images, np.uint8)[:, None]  # whole numbers 0 to 16, stored as float64
    return _split("digits", x, source.target, tuple("0123456789"), _DIGITS_LEVELS)


def load_iris() -> Dataset:
    """Return Fisher's and Anderson's iris: 150 flowers, 4 lengths in cm, 3 species."""
    return _table("iris", datasets.load_iris())


def load_wine() -> Dataset:
    """Return the wine recognition set: 178 wines, 13 chemical measures, 3 growers."""
    return _table("wine", datasets.load_wine())


def load_breast_cancer() -> Dataset:
    """Return the Wisconsin diagnostic set: 569 tumours, 30 measures, malignant or benign."""
    return _table("breast-cancer", datasets.load_breast_cancer())


def load_diabetes() -> Dataset:
    """Return the diabetes set: 442 patients, 10 measures, progression after a year (float32)."""
    source = datasets.load_diabetes(scaled=False)
    return _split("diabetes", source.data, source.target.astype(np.float64), ())


def _table(name: str, source: Any) -> Dataset:
    return _split(name, source.data, source.target, tuple(map(str, source.target_names)))


def _split(
    name: str, x: NDArray[Any], y: NDArray[Any], classes: tuple[str, ...], scale: float = 1.0
) -> Dataset:
    strata = y if classes else np.zeros(len(y))
    rest, held = split_rows(name, strata)
    if classes:
        y = y.astype(np.int64)  # the platform's own integer type would change the checksum
    return from_arrays(
        card(name), (x[rest], y[rest]), (x[held], y[held]), scale=scale, classes=classes
    )
