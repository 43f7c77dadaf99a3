"""A lab in words: what `practicum show` prints. Reads the literals; imports nothing heavy."""

from __future__ import annotations

import ast
import textwrap

from practicum.labs.catalogue import Entry

WIDTH = 96


def describe(entry: Entry) -> str:
    """Return the lab's page as text."""
    tree = ast.parse((entry.path / "experiment.py").read_text(encoding="utf-8"))
    scales = ", ".join(f"{name} ({seeds} seeds)" for name, seeds in entry.scales.items())
    lines = [
        entry.title,
        _wrapped(entry.source),
        *([] if entry.origin == "practicum" else [f"from the package {entry.origin}"]),
        "",
        (ast.get_docstring(tree) or "").partition("\n")[2].strip(),
        "",
        "Claims",
        *(_wrapped(claim, "  - ") for claim in entry.claims),
        "",
        f"Arms    {', '.join(entry.arms)}",
        f"Data    {', '.join(entry.data) or 'made by the lab itself'}",
        f"Scales  {scales}",
        *(_wrapped(f"Except  {name}: {why}") for name, why in entry.exceptions.items()),
        "",
        "Settings (change them with --set field=value or --set arm.field=value)",
        *settings(tree),
        "",
        f"Lesson: practicum show {entry.name} --lesson",
        f"Run it: practicum run {entry.name}",
    ]
    return "\n".join(lines)


def settings(tree: ast.Module) -> list[str]:
    """Return one line for each setting: name, default, what it is, unit, the paper's value."""
    rows = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "Setup":
            rows = [_row(field) for field in node.body if isinstance(field, ast.AnnAssign)]
    width = max((len(row[0]) for row in rows), default=0)
    return [f"  {name:<{width}}  {text}" for name, text in rows]


def _row(field: ast.AnnAssign) -> tuple[str, str]:
    name = ast.unparse(field.target)
    if not isinstance(field.value, ast.Call):
        return name, ast.unparse(field.value) if field.value else ""
    words = [ast.unparse(one) for one in field.value.args]
    about = {one.arg: one.value for one in field.value.keywords}
    says = ast.literal_eval(field.value.args[1]) if len(words) > 1 else ""
    unit = f" {ast.literal_eval(about['unit'])}" if "unit" in about else ""
    paper = f"; the paper: {ast.unparse(about['paper'])}" if "paper" in about else ""
    return name, f"{says} (default {words[0]}{unit}{paper})"


def _wrapped(text: str, first: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first))
