"""`doctor` and `selftest`: what is installed and what is missing; whether the statistics hold."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from practicum import __version__
from practicum.errors import PracticumError, unknown

# What an extra brings, by the module that shows it is there.
EXTRAS = {
    "rl": "ale_py",
    "text": "transformers",
    "tune": "optuna",
    "cluster": "ray",
    "classroom": "yaml",
    "dev": "pytest",
}
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "statsmodels", "matplotlib", "tensorboard")


def doctor() -> None:
    """Say what is installed, which device there is, what is missing and how to get it."""
    rows: list[tuple[str, Callable[[], str]]] = [
        ("practicum", lambda: f"{__version__} in {Path(__file__).parents[2]}"),
        ("python", lambda: f"{platform.python_version()} ({sys.executable})"),
        *((name, partial(_version, name)) for name in PACKAGES),
        ("cores", lambda: f"{os.cpu_count()}; trials run in as many one-thread workers"),
        ("device", _devices),
        ("disk", lambda: f"{shutil.disk_usage('.').free / 2**30:.1f} GiB free here"),
        ("C++ compiler", lambda: _program("c++", "g++", "clang++") or "none; --compile needs one"),
        ("browser", lambda: _program("chromium") or "no chromium; only `make soak` uses it"),
        *((f"extra {name}", partial(_extra, name)) for name in EXTRAS),
        ("data folder", _data_folder),
        *_data_rows(),
    ]
    width = max(len(name) for name, _ in rows)
    for name, tell in rows:
        try:
            text = tell()
        except PracticumError as error:  # one fault must not hide the other rows
            text = f"FAULT: {error}"
        typer.echo(f"{name:<{width}}  {text}")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "MISSING: pip install -e . -c constraints.txt"


def _extra(name: str) -> str:
    if importlib.util.find_spec(EXTRAS[name]) is not None:
        return "installed"
    return f'pip install -e ".[{name}]" -c constraints.txt'


def _program(*names: str) -> str | None:
    return next((found for found in map(shutil.which, names) if found), None)


def _data_folder() -> str:
    from practicum import data

    return f"{data.root()} (PRACTICUM_DATA names another)"


def _data_rows() -> list[tuple[str, Callable[[], str]]]:
    from practicum import data

    fetched = [name for name in data.names() if not data.card(name).always_at_hand]
    return [(f"data {name}", partial(_data_row, name)) for name in fetched]


def _data_row(name: str) -> str:
    from practicum import data

    return "at hand" if data.where(name) is not None else f"practicum data get {name}"


def _devices() -> str:
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name()}), cpu"
    return f"cpu with {capability} (no CUDA device was found)"


def selftest(
    what: Annotated[str, typer.Argument(help="What to test: evidence.")] = "evidence",
    pairs: Annotated[int, typer.Option(min=60, help="Pairs of arms in the A/A run.")] = 2000,
    out: Annotated[Path | None, typer.Option(help="Write the record to this JSON file.")] = None,
) -> None:
    """Test the statistics on real training: identical arms must rarely get a verdict."""
    if what != "evidence":
        raise unknown("self-test", what, ["evidence"])
    from practicum.engine.files import make_folder
    from practicum.labs.selftest import evidence

    if out is not None:
        make_folder(out.parent)  # before minutes of training, not after
    passed = evidence(pairs=pairs, out=out, say=typer.echo)
    raise typer.Exit(0 if passed else 1)
