"""Data sets and generators; each returns tensors and a card (source, size, licence, citation)."""

from __future__ import annotations

from practicum.data.cards import Card, FileCard, card, names
from practicum.data.loading import load
from practicum.data.store import FileState, check, paths, root, where

__all__ = [
    "Card",
    "FileCard",
    "FileState",
    "card",
    "check",
    "load",
    "names",
    "paths",
    "root",
    "where",
]
