"""What a full run leaves under `results/`: small, exact, and enough to redo it.

Numbers are not rounded. Curves are kept as their mean and the half-width of its 95 % interval, at
no more than 60 of their steps; the record itself has every seed's curve.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from practicum.engine import files
from practicum.errors import PracticumError
from practicum.report import view

if TYPE_CHECKING:
    from practicum.engine.record import Record

POINTS = 60
"""The most points that a published curve has."""

PARTS = (
    "lab", "command", "protocol", "protocol_sha256", "verdicts", "diverged", "values", "curves",
    "environment", "date",
)  # fmt: skip


def published(record: Record, command: str, day: date) -> dict[str, Any]:
    """Return a finished run as the body of results/<lab>.json.

    Args:
        record: a run with all its trials and verdicts.
        command: the exact command that does it again.
        day: when it was finished.
    """
    columns = view.columns(record)
    numbers = [one for one in columns if not one.curve]
    values = {
        arm: {one.name: _values(record, one, arm) for one in numbers if _values(record, one, arm)}
        for arm in record.arms
    }
    body = {
        "lab": record.lab,
        "command": command,
        "protocol": record.protocol,
        "protocol_sha256": record.sha256,
        "verdicts": record.verdicts,
        "diverged": {arm: int(np.sum(record.diverged(arm))) for arm in record.arms},
        "values": values,
        "curves": {one.name: _curve(record, one) for one in columns if one.curve},
        "environment": {**record.protocol["versions"], **record.protocol["arithmetic"]},
        "date": day.isoformat(),
    }
    plain: dict[str, Any] = files.plain(body)
    return plain


def write(path: str | Path, body: dict[str, Any]) -> None:
    """Write a published result, checksum included.

    Raises:
        PracticumError: the file system refuses.
    """
    files.write_json(path, body)


def read(path: str | Path) -> dict[str, Any]:
    """Read a published result.

    Raises:
        files.Damaged: the file is not what was written; the message names it.
        PracticumError: it lacks a part, or its protocol is not the one its hash names.
    """
    body = files.read_json(path)
    missing = [part for part in PARTS if part not in body] if isinstance(body, dict) else PARTS
    if missing:
        raise PracticumError(f"{path} is no published result: it lacks {', '.join(missing)}")
    if files.digest(body["protocol"]) != body["protocol_sha256"]:
        raise PracticumError(
            f"{path}: the protocol is not the one that its hash names; do `make results` again"
        )
    return dict(body)


def thinned(points: int, most: int = POINTS) -> Int[Array, "kept"]:
    """Return which of so many points are kept: evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, points - 1, min(points, most)).round().astype(np.int64))


def _values(record: Record, column: view.Column, arm: str) -> list[float] | None:
    cell = view.cell(record, column, arm)
    return None if cell is None else [float(one) for one in cell.values]


def _curve(record: Record, column: view.Column) -> dict[str, Any]:
    steps = record.steps(column.name)
    kept = thinned(len(steps))
    means, halves = {}, {}
    for arm in record.arms:
        values = view.values(record, column.name, arm)
        if values is not None:
            pairs = [view.mean_and_half_width(_finite(values[:, i])) for i in kept]
            means[arm] = [mean for mean, _ in pairs]
            halves[arm] = [half for _, half in pairs]
    return {"steps": [float(one) for one in steps[kept]], "mean": means, "half_width": halves}


def _finite(values: Any) -> Any:
    return values[np.isfinite(values)]
