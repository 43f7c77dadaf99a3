"""`doctor` and `selftest`: what is installed and what is missing; whether the statistics hold."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from practicum import __version__
from practicum.errors import unknown

# What an extra brings, by the module that shows it is there.
EXTRAS = {
    "rl": "ale_py",
    "text": "transformers",
    "tune": "optuna",
    "cluster": "ray",
    "classroom": "yaml",
}


def doctor() -> None:
    """Say what is installed, which device there is, what is missing and how to get it."""
    import torch

    from practicum import data

    rows = [
        ("practicum", f"{__version__} in {Path(__file__).parents[1]}"),
        ("python", f"{platform.python_version()} ({sys.executable})"),
        ("torch", f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"),
        ("cores", f"{os.cpu_count()}; trials run in as many one-thread workers"),
        ("device", _devices()),
        ("disk", f"{shutil.disk_usage('.').free / 2**30:.1f} GiB free here"),
        ("data folder", f"{data.root()} (PRACTICUM_DATA names another)"),
    ]
    for name in data.names():
        if not data.card(name).always_at_hand:
            at_hand = data.where(name) is not None
            rows.append((f"data {name}", "at hand" if at_hand else f"practicum data get {name}"))
    for extra, module in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        how = "installed" if there else f'pip install "practicum[{extra}]" -c constraints.txt'
        rows.append((f"extra {extra}", how))
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    rows.append(("C++ compiler", compiler or "none; --compile needs one (Debian: g++)"))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        typer.echo(f"{name:<{width}}  {text}")


def _devices() -> str:
    import torch

    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name()}), cpu"
    return "cpu (no CUDA device was found)"


def selftest(
    what: Annotated[str, typer.Argument(help="What to test: evidence.")] = "evidence",
    pairs: Annotated[int, typer.Option(min=20, help="Pairs of arms in the A/A run.")] = 2000,
    out: Annotated[Path | None, typer.Option(help="Write the record to this JSON file.")] = None,
) -> None:
    """Test the statistics on real training: identical arms must rarely get a verdict."""
    if what != "evidence":
        raise unknown("self-test", what, ["evidence"])
    from practicum.labs.selftest import evidence

    passed = evidence(pairs=pairs, out=out, say=typer.echo)
    raise typer.Exit(0 if passed else 1)
