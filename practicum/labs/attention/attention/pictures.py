"""The attention lab's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def figures(record: Record) -> dict[str, Figure]:
    """Draw right words and answers by length, where the weights lie, and the loss over time."""
    longest = record.setups[record.arms[0]]["longest"]
    length = f"source words (training ends at {longest})"
    found = {
        "Right words by length, the right words before them given": draw.curves(
            record, "right_words", x_label=length
        ),
        "Answers right to the last word by length, own words fed back": draw.curves(
            record, "right_sequences", x_label=length
        ),
    }
    looking = [arm for arm in record.arms if record.setups[arm]["reads"] not in ("start", "always")]
    if looking:
        found["Weights of the source words (columns) for each word of the answer (rows)"] = maps(
            record, looking
        )
    found["Validation loss while training, mean and 95 % interval"] = draw.curves(
        record, "validation_nll", x_label="updates done (%)", each_seed=False
    )
    return found


def maps(record: Record, arms: list[str]) -> Figure:
    """Draw the mean weights of the first seed: neighbours are exchanged, END is the last row."""
    seed = record.seeds[0]
    shown = np.stack([record.weights(arm, seed)["map"].double().numpy() for arm in arms])
    return draw.tiles(shown, arms, columns=len(arms), low=0.0, high=1.0)
