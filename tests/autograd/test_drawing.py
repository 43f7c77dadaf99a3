"""The graph as a picture: well-formed, complete, readable.

Would catch: a drawing that a browser cannot read, nodes that lie on each other, lines that run
backwards, a name that is taken for markup.
"""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from practicum import autograd as ag
from practicum.autograd import Tensor, drawing

SVG = "{http://www.w3.org/2000/svg}"


def example() -> Tensor:
    x, w = Tensor(np.ones((2, 3)), "x < y & z"), Tensor(np.ones((3, 4)), "w")
    b = Tensor(np.ones(4), "b")
    h = ag.tanh(x @ w + b)
    return (h * h).mean() + (b * 0.5).sum()


def test_every_node_and_every_edge_is_drawn() -> None:
    y = example()
    nodes = ag.graph(y)
    root = ElementTree.fromstring(ag.svg(y))
    assert len(root.findall(f"{SVG}rect")) == len(nodes)
    assert len(root.findall(f"{SVG}path")) == sum(len(node.parents) for node in nodes)
    texts = [one.text for one in root.findall(f"{SVG}text")]
    assert {"x < y & z", "w", "b", "tanh", "@", "sum", "0.5", "2 × 3", "number"} <= set(texts)


def test_nodes_stay_inside_and_apart_and_lines_run_forwards() -> None:
    y = example()
    (dw,) = ag.gradients(y, [ag.graph(y)[1]], differentiable=True)
    places = drawing.layout(y, dw)
    assert len(places) == len(ag.graph(y, dw)) > 15
    assert len(set(places.values())) == len(places)
    for node, (column, _) in places.items():
        assert all(places[parent][0] < column for parent in node.parents)
    heights: dict[int, list[float]] = {}
    for column, height in places.values():
        heights.setdefault(column, []).append(height)
    for column in heights.values():
        assert np.diff(sorted(column)).min(initial=1.0) >= 1.0
    root = ElementTree.fromstring(ag.svg(y, dw))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for box in root.findall(f"{SVG}rect"):
        at = {name: float(box.attrib[name]) for name in ("x", "y", "width", "height")}
        assert 0 <= at["x"] <= width - at["width"]
        assert 0 <= at["y"] <= height - at["height"]


def test_one_lonely_number_can_be_drawn() -> None:
    assert "3.14" in ag.svg(Tensor(3.1416))


def test_the_same_graph_is_drawn_the_same() -> None:
    assert ag.svg(example()) == ag.svg(example())


# --- the engine as a whole


def test_the_engine_is_small_and_needs_nothing_but_numpy() -> None:
    sources = {path.name: path.read_text() for path in Path(drawing.__file__).parent.glob("*.py")}
    assert sum(text.count("\n") for text in sources.values()) < 500
    known = {"__future__", "collections", "html", "numpy", "practicum", "typing"}
    for name, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                assert node.module is not None
                assert node.module.split(".")[0] in known, name
                if node.module.startswith("practicum"):
                    assert node.module.startswith(("practicum.autograd", "practicum.errors")), name
            elif isinstance(node, ast.Import):
                assert {one.name for one in node.names} <= {"numpy"}, name
