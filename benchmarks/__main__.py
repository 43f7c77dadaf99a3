"""`python -m benchmarks [NAME ...]`: measure, print a table each, keep figures, fill the page."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.measure import ROOT, Others, Result, about

ORDER = (
    "startup",
    "overhead",
    "autograd",
    "digits",
    "lenet",
    "gcn",
    "gpt",
    "eight",
    "samplers",
    "agents",
    "cartpole",
    "word2vec",
)


def present() -> list[str]:
    """Return the benchmarks that are there, quick ones first."""
    return [name for name in ORDER if find_spec(f"benchmarks.{name}")]


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(present())}; all")
    made.add_argument("--repeats", type=int, help="rounds; each benchmark has its own number")
    made.add_argument("--quick", action="store_true", help="tiny, to see that it works; not kept")
    made.add_argument("--images", type=int, help="lenet: training images (60000 is all of them)")
    made.add_argument("--into", type=Path, help="folder for the JSON; the page is then left alone")
    return made


def measured(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one benchmark; return what goes into its file."""
    module = importlib.import_module(f"benchmarks.{name}")
    run: Callable[..., Result] | None = getattr(module, "run", None)
    takes = inspect.signature(run).parameters if run else ("repeats",)
    flags = [f"--repeats {arguments.repeats}"] if arguments.repeats else []
    flags += [f"--images {arguments.images}"] if arguments.images and "images" in takes else []
    flags += ["--quick"] if arguments.quick else []
    variable = ["PRACTICUM_DATA=..."] if os.environ.get("PRACTICUM_DATA") else []
    command = " ".join([*variable, "python -m benchmarks", name, *flags])
    others = Others()
    if run is None:
        return alone(name, arguments.repeats) | about(command, others.cores())
    given = {key: value for key, value in vars(arguments).items() if key in takes}
    return run(**given).to_json() | about(command, others.cores())


def alone(name: str, repeats: int | None) -> dict[str, Any]:
    """Run a benchmark that is a program of its own; return what it left in its file."""
    program = [sys.executable, "-m", f"benchmarks.{name}"]
    program += ["--repeats", str(repeats)] if repeats else []
    subprocess.run(program, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    text = (page.RESULTS / f"{name}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return the exit code: 0, or 2 for an unknown name."""
    arguments = parser().parse_args(argv)
    names = arguments.names or present()
    unknown = [name for name in names if name not in present()]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are {', '.join(present())}", file=sys.stderr)
        return 2
    folder = arguments.into or page.RESULTS
    keeps = arguments.into is not None or not arguments.quick
    for name in names:
        if arguments.quick and not hasattr(importlib.import_module(f"benchmarks.{name}"), "run"):
            print(f"{name} has no quick form: left out", file=sys.stderr)
            continue
        result = measured(name, arguments)
        print(f"\n## {result.get('title', name)}\n\n{page.table(result)}", flush=True)
        if keeps:
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
            (folder / f"{name}.json").write_text(text, encoding="utf-8")
    if keeps and arguments.into is None:
        page.update()
    return 0


if __name__ == "__main__":
    sys.exit(main())
