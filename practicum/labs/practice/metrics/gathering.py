"""From one dictionary of measures for each seed to what a trial hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from practicum.engine.services import Measurements
from practicum.engine.train import Trained


def gather(
    rows: Sequence[Mapping[str, Any]],
    steps: Mapping[str, Any] | None = None,
    trained: Trained | None = None,
) -> Measurements:
    """Put the seeds' measures side by side.

    Args:
        rows: the measures of each seed.
        steps: for each curve, where its points lie.
        trained: the networks that were trained, if any were.
    """
    return Measurements(
        values={name: np.stack([row[name] for row in rows]) for name in rows[0]},
        diverged=None if trained is None else trained.diverged,
        steps=steps or {},
        weights=() if trained is None else trained.weights(),
    )
