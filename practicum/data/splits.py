"""Fixed splits: which rows are for the final test, the same everywhere and for ever.

Rows are ranked by the SHA-256 of "<name>/<row number>", class by class, and the first share of
every class is the test part. No generator of random numbers is involved, so the split cannot
change with the version of a library.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from practicum.errors import PracticumError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def split_rows(
    name: str, labels: NDArray[Any], share: float = 0.2
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row numbers (rest, held out), both ascending; stratified by label.

    Args:
        name: makes the ranks; another name gives another split.
        labels: [n] the class of each row; give zeros for a split without strata.
        share: part of each class that is held out, rounded to the nearest row (halves up).
    """
    import numpy as np

    if not 0 < share < 1:
        raise PracticumError(f"the share held out lies between 0 and 1, not {share}")
    held = [
        row
        for label in np.unique(labels).tolist()
        for row in _first(name, np.flatnonzero(labels == label).tolist(), share)
    ]
    mask = np.zeros(len(labels), bool)
    mask[held] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _first(name: str, rows: list[int], share: float) -> list[int]:
    """Return the share of the rows whose hashes come first."""
    ranked = sorted(rows, key=lambda row: hashlib.sha256(f"{name}/{row}".encode()).digest())
    return ranked[: int(len(rows) * share + 0.5)]
