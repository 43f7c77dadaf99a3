"""The computation graph as a picture: inputs on the left, the result on the right.

A node's column is its longest way from an input, its place there the mean height of its neighbours
(K. Sugiyama, S. Tagawa, M. Toda, IEEE Trans. Systems, Man, and Cybernetics 11(2), 109-125, 1981).
"""

from __future__ import annotations

from html import escape

import numpy as np

from practicum.autograd.backward import graph
from practicum.autograd.tensor import Tensor

WIDE, HIGH, BOX_WIDE, BOX_HIGH = 118, 58, 88, 36  # column to column, node to node, a node; pixels
SWEEPS = 8


def layout(*results: Tensor) -> dict[Tensor, tuple[int, float]]:
    """Return column and height (0 is the middle) of every tensor behind the results."""
    nodes = graph(*results)
    near, column = {node: list(node.parents) for node in nodes}, dict[Tensor, int]()
    for node in nodes:
        column[node] = max((column[one] + 1 for one in node.parents), default=0)
        for parent in node.parents:
            near[parent].append(node)
    for node in nodes:  # an input stands just before its first use
        if not node.parents:
            column[node] = min((column[one] for one in near[node]), default=1) - 1
    height = {node: float(i) for i, node in enumerate(nodes)}
    for x in [*range(max(column.values()) + 1)] * SWEEPS:
        here = [node for node in nodes if column[node] == x]
        wish = {one: float(np.mean([height[m] for m in near[one] or [one]])) for one in here}
        for rank, node in enumerate(sorted(here, key=wish.__getitem__)):
            height[node] = rank - (len(here) - 1) / 2
    return {node: (column[node], height[node]) for node in nodes}


def caption(node: Tensor) -> str:
    """Return a node's name, or the value of a constant that has none."""
    return node.name or (f"{node.value.item():.3g}" if node.value.size == 1 else "constant")


def svg(*results: Tensor) -> str:
    """Return the graph behind the results as an SVG document: operations, names and shapes."""
    places = layout(*results)
    top, (w, h) = min(y for _, y in places.values()), (BOX_WIDE / 2, BOX_HIGH / 2)
    at = {n: ((x + 0.5) * WIDE, (y - top + 0.5) * HIGH) for n, (x, y) in places.items()}
    lines, boxes = "", ""
    for node, (x, y) in at.items():
        for a, b in (at[parent] for parent in node.parents):
            bend = (
                f"{a + w:.0f} {b:.0f}C{x - w:.0f} {b:.0f} {a + w:.0f} {y:.0f} {x - w:.0f} {y:.0f}"
            )
            lines += f'<path d="M{bend}" fill="none" stroke="#808080"/>'
        boxes += (
            f'<rect x="{x - w:.0f}" y="{y - h:.0f}" width="{BOX_WIDE}" height="{BOX_HIGH}" rx="6" '
            f'fill="{"#ffffff" if node.parents else "#e8e8e8"}" stroke="#0a74b8"/>'
            f'<text x="{x:.0f}" y="{y - 3:.0f}">{escape(caption(node))}</text><text x="{x:.0f}" '
            f'y="{y + 12:.0f}" font-size="10">{" × ".join(map(str, node.shape)) or "number"}</text>'
        )
    size = (
        f"{max(x for x, _ in at.values()) + WIDE / 2} {max(y for _, y in at.values()) + HIGH / 2}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif" '
        f'font-size="13" text-anchor="middle">{lines}{boxes}</svg>\n'
    )
