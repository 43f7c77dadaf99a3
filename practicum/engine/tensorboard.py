"""TensorBoard events of finished trials: every measure, for whoever likes to look there.

tensorboard --logdir runs/<lab>/<run>/events
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_events(
    folder: Path, values: Mapping[str, Any], steps: Mapping[str, Sequence[float]]
) -> None:
    """Write one finished trial's measures.

    Events repeat what the trial's file holds; a failure to write them is reported and loses
    nothing.

    Args:
        folder: where the events of this trial go.
        values: measure to a number, or to a curve [points].
        steps: for each curve, [points].
    """
    from torch.utils.tensorboard import SummaryWriter

    try:
        with contextlib.closing(SummaryWriter(str(folder))) as writer:
            for name, value in values.items():
                numbers = value if isinstance(value, list) else [value]
                for step, number in zip(steps.get(name, range(len(numbers))), numbers, strict=True):
                    if not isinstance(number, list):  # TensorBoard has no table of curves
                        writer.add_scalar(name, float(number), int(step))
    except OSError as error:
        logging.getLogger(__name__).warning("no TensorBoard events in %s: %s", folder, error)
