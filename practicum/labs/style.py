"""The look of every figure: colours, markers and line styles, ink and paper.

Colours, markers and line styles together tell the arms apart (no picture depends on colour alone),
and each colour has a contrast of at least 3 : 1 on white and on the report's dark paper. Ink is
pure black and paper pure white: the report replaces exactly these two with the reader's own text
and page colour, so that one figure serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PAPER, MUTED = "#000000", "#ffffff", "#808080"
COLOURS = ("#0a74b8", "#d8480f", "#8f3ff0", "#0f9d58", "#b8737c", "#8a8035")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (3, 3)), (0, (8, 2)), "-.")
WIDTH = 5.8  # inches; narrow, so that the text stays readable on a phone

_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same figure everywhere
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": MUTED,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the house style inside this block."""
    import matplotlib as mpl

    with mpl.rc_context(cast(Any, _STYLE)):  # the stubs want the keys as literals
        yield


def canvas(
    rows: int = 1,
    columns: int = 1,
    *,
    height: float = 3.2,
    width: float = WIDTH,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure in the house style and its axes, row by row.

    Args:
        rows: rows of axes.
        columns: columns of axes.
        height: of the whole figure, in inches.
        width: of the whole figure, in inches.
        sharex: whether all axes share the horizontal scale.
        sharey: whether all axes share the vertical scale.
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(width, height), layout="constrained")
        made = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    return figure, list(made.flat)


def looks(arms: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return each arm's colour, marker and line style, the same in every figure of a lab."""
    return {
        arm: {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": DASHES[(i + i // len(COLOURS)) % len(DASHES)],
        }
        for i, arm in enumerate(arms)
    }
