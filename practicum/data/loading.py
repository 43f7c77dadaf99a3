"""From a name to the data set in memory, once per process."""

from __future__ import annotations

import hashlib
import importlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from practicum.data.cards import Form, card, is_path
from practicum.data.store import root, verified
from practicum.errors import PracticumError

if TYPE_CHECKING:
    from practicum.data.dataset import Dataset
    from practicum.data.graphs import Graph
    from practicum.data.texts import Table, Text, Words

_LOADERS = {
    "digits": "bundled:load_digits",
    "iris": "bundled:load_iris",
    "wine": "bundled:load_wine",
    "breast-cancer": "bundled:load_breast_cancer",
    "diabetes": "bundled:load_diabetes",
    "letters": "letters:load_letters",
    "pydoc": "texts:load_pydoc",
    "karate": "graphs:load_karate",
    "mnist": "images:load_mnist",
    "fashion-mnist": "images:load_fashion_mnist",
    "cifar10-subset": "images:load_cifar10_subset",
    "tinyshakespeare": "texts:load_tinyshakespeare",
    "wikitext-2": "texts:load_wikitext_2",
    "surnames": "texts:load_surnames",
    "cora": "graphs:load_cora",
}
"""Data set to module and function; imported when first asked for."""

_KEPT = 4  # data sets kept in memory: MNIST alone takes 220 MB


def load(name: str) -> Dataset:
    """Return a data set as tensors: a registered one, or a folder or .npz file of the user's own.

    The result is shared within the process: never change its tensors in place. MNIST takes about
    220 MB as float32.

    Raises:
        PracticumError: no such set, its files are missing or damaged, or it is not tensors (the
            message names the function that hands it out).
    """
    return cast("Dataset", _load(name, "tensors"))


def load_text(name: str) -> Text:
    """Return a text in three parts; raises as `load`."""
    return cast("Text", _load(name, "text"))


def load_words(name: str) -> Words:
    """Return words with their classes; raises as `load`."""
    return cast("Words", _load(name, "words"))


def load_graph(name: str) -> Graph:
    """Return a graph with node features and classes; raises as `load`."""
    return cast("Graph", _load(name, "graph"))


def load_table(name: str) -> Table:
    """Return a published table as a fresh pandas data frame; raises as `load`."""
    from practicum.data.texts import load_csv

    _refuse_other_form(name, "table")
    return load_csv(name)


def sha256(name: str) -> str:
    """Return what identifies a data set's content in a protocol, whatever its form.

    It is the checksum of the entries as loaded; for a set that is handed out as files, of the
    list of their checksums.
    """
    this = card(name)
    if this.form == "table":
        return load_table(name).sha256
    if this.form == "files":
        for file in this.files:
            verified(file, this)
        # a file may lie here compressed in another way, so the cards' checksums are what counts
        lines = "".join(f"{file.sha256}  {file.path}\n" for file in this.files)
        return hashlib.sha256(lines.encode()).hexdigest()
    return cast("str", _load(name, this.form).sha256)


def _load(name: str, form: Form) -> Any:
    _refuse_other_form(name, form)
    if is_path(name):
        path = Path(name).expanduser().absolute()
        return _own(name, path, _traces(path))
    return _registered(name, str(root()) if card(name).files else "")


def _refuse_other_form(name: str, form: Form) -> None:
    this = card(name)
    if this.form == form:
        return
    kinds = {
        "tensors": "tensors: use practicum.data.load",
        "text": "text: use practicum.data.load_text",
        "words": "words with classes: use practicum.data.load_words",
        "graph": "a graph: use practicum.data.load_graph",
        "table": "a table: use practicum.data.load_table",
        "files": "verified files: use practicum.data.paths",
    }
    raise PracticumError(f"{name} is handed out as {kinds[this.form]}({name!r})")


@lru_cache(_KEPT)
def _registered(name: str, _folder: str) -> Any:
    """Load once per process; the folder is a key, so that another PRACTICUM_DATA is looked at."""
    module, function = _LOADERS[name].split(":")
    return getattr(importlib.import_module(f"practicum.data.{module}"), function)()


@lru_cache(_KEPT)
def _own(name: str, path: Path, _traces: tuple[tuple[str, int, int], ...]) -> Any:
    """Load an own set once per process, and again when a file in it changed."""
    from practicum.data.own import load_own

    return load_own(card(name), path)


def _traces(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of change of every file: cheap signs that something changed."""
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    return tuple((str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in files)
