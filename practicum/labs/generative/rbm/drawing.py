"""The figures of the lab `rbm` that no other lab has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def filters(record: Record, arm: str, count: int = 40) -> Figure:
    """Draw what the first hidden units of the first seed look for, dark against, light for."""
    weight = record.weights(arm, record.seeds[0])["weight"].double().numpy()
    side = round(len(weight) ** 0.5)
    shown = weight.T[:count].reshape(-1, side, side)
    largest = float(np.abs(shown).max()) or 1.0
    return draw.tiles(shown, columns=10, low=-largest, high=largest)


def dreams(record: Record, arms: list[str], count: int = 10) -> Figure:
    """Draw some fantasies of the first seed, one row for each arm."""
    rows = []
    for arm in arms:
        v = record.weights(arm, record.seeds[0])["fantasies"].double().numpy()[:count]
        side = round(v.shape[1] ** 0.5)
        rows.append(v.reshape(-1, side, side))
    return draw.tiles(np.concatenate(rows), columns=count, low=0.0, high=1.0)
