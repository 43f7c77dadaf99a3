"""Data sets and generators; each returns tensors and a card (source, size, licence, citation).

Importing this package imports neither torch nor scikit-learn nor pandas: listing is instant.
"""

from __future__ import annotations

from practicum.data.cards import Card, FileCard, card, is_path, names
from practicum.data.fetch import get, get_url
from practicum.data.loading import load, load_graph, load_table, load_text, load_words, sha256
from practicum.data.store import FileState, check, own_sha256, paths, root, where
from practicum.data.synthetic import Separable, blobs, rings, separable, two_moons, xor

__all__ = [
    "Card",
    "FileCard",
    "FileState",
    "Separable",
    "blobs",
    "card",
    "check",
    "get",
    "get_url",
    "is_path",
    "load",
    "load_graph",
    "load_table",
    "load_text",
    "load_words",
    "names",
    "own_sha256",
    "paths",
    "rings",
    "root",
    "separable",
    "sha256",
    "two_moons",
    "where",
    "xor",
]
