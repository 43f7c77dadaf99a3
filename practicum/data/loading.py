"""From a name to the data set in memory, once per process."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

from practicum.data.cards import card
from practicum.data.store import root
from practicum.errors import PracticumError

if TYPE_CHECKING:
    from practicum.data.dataset import Dataset

_LOADERS = {
    "digits": "bundled:load_digits",
    "iris": "bundled:load_iris",
    "wine": "bundled:load_wine",
    "breast-cancer": "bundled:load_breast_cancer",
    "diabetes": "bundled:load_diabetes",
    "mnist": "images:load_mnist",
    "fashion-mnist": "images:load_fashion_mnist",
}
"""Data set to module and function; imported when first asked for."""


def load(name: str) -> Dataset:
    """Return a data set as tensors.

    The result is shared within the process: never change its tensors in place.

    Raises:
        PracticumError: no such set, its files are missing or damaged, or it is not tensors (the
            message names the function that hands it out).
    """
    this = card(name)
    if this.form != "tensors":
        raise PracticumError(_other_form(name, this.form))
    folder = str(root()) if this.files else ""
    return _cached(name, folder)  # type: ignore[no-any-return]  # the table holds names only


def _other_form(name: str, form: str) -> str:
    how = f"load_{form}({name!r})" if form != "files" else f"paths({name!r})"
    return f"{name} is no set of tensors; it is handed out by practicum.data.{how}"


@cache
def _cached(name: str, folder: str) -> Any:
    """Load once per process and data folder."""
    module, function = _LOADERS[name].split(":")
    return getattr(importlib.import_module(f"practicum.data.{module}"), function)()
