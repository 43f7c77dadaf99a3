"""docs/library.md: every network and every way of learning, from the first lines of their files."""

from __future__ import annotations

import ast
from pathlib import Path

import practicum
from practicum.engine.files import write_atomic

ROOMS = {
    "nn": (
        "Networks",
        "Plain `torch.nn.Module`s. Each file opens with definition, paper, numbered equations, "
        "shapes and deviations.",
    ),
    "learning": (
        "Ways of learning",
        "Losses for `engine.fit` and `engine.train`, steps for `engine.loop`, and what gathers "
        "experience. Each file opens with what is minimised and the signs of failure.",
    ),
}


def page(root: Path = Path(practicum.__file__).parent) -> str:
    """Return the page as Markdown.

    Args:
        root: the package's folder.
    """
    lines = [
        "# Networks and ways of learning",
        "",
        "Everything here can be imported by itself: `from practicum.nn.lstm import LSTM`. This "
        "page is written by `python -m practicum.report.results`.",
    ]
    for room, (title, about) in ROOMS.items():
        lines += ["", f"## {title}", "", about, "", "| file | idea |", "|---|---|"]
        for file in sorted((root / room).glob("[!_]*.py")):
            lines.append(f"| [{file.stem}](../practicum/{room}/{file.name}) | {idea(file)} |")
    return "\n".join(lines) + "\n"


def idea(file: Path) -> str:
    """Return the first sentence of a file's docstring, without its full stop.

    Raises:
        ValueError: it has none.
    """
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    if not text:
        raise ValueError(f"{file} opens with no docstring")
    return text.split("\n\n")[0].replace("\n", " ").removesuffix(".")


def write_library(path: Path) -> None:
    """Write the page."""
    write_atomic(path, page().encode())
