"""From what was asked for to the protocol: everything that is fixed before the first trial."""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import practicum
from practicum.engine.arithmetic import Arithmetic
from practicum.errors import PracticumError, unknown
from practicum.labs.lab import Lab, fields, setups_at

FORMAT = 1
MOST_SEEDS = 100_000


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command asks for.

    Attributes:
        lab: the lab's name.
        scale: smoke, quick, full or paper.
        seeds: which seeds; None: the scale's number, from 0.
        data: data set; None: the scale's, else the arms' own.
        set: settings changed, `field` or `arm.field` to value or text.
        device: "cpu" or "cuda".
        precision: float32, float64 or bfloat16.
        compile: whether torch.compile is used.
    """

    lab: str
    scale: str = "quick"
    seeds: tuple[int, ...] | None = None
    data: str | None = None
    set: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    precision: str = "float32"
    compile: bool = False

    def command(self) -> str:
        """Return the command line that asks for the same."""
        words = ["practicum", "run", self.lab]
        if self.scale != "quick":
            words += ["--scale", self.scale]
        if self.seeds is not None:
            words += ["--seeds", seeds_text(self.seeds)]
        if self.data is not None:
            words += ["--data", self.data]
        for key, value in self.set.items():
            words += ["--set", f"{key}={value}"]
        for name, default in (("device", "cpu"), ("precision", "float32")):
            if getattr(self, name) != default:
                words += [f"--{name}", getattr(self, name)]
        return shlex.join([*words, *(["--compile"] if self.compile else [])])


def seeds_text(seeds: Sequence[int]) -> str:
    """Write seeds as `read_seeds` reads them: 20 is 0 to 19, else 10-19, else 3,5,8."""
    if list(seeds) == list(range(len(seeds))):
        return str(len(seeds))
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")


def read_seeds(text: str) -> tuple[int, ...]:
    """Read seeds: a count (20: the seeds 0 to 19), a range (10-29), or a list (3,5,8).

    Raises:
        PracticumError: the text is none of these, names a seed twice, or names none.
    """
    try:
        if "," in text:
            found = tuple(int(one) for one in text.split(",") if one)
        elif "-" in text[1:]:
            first, last = (int(one) for one in text.split("-"))
            found = tuple(range(first, min(last, first + MOST_SEEDS) + 1))
        else:
            found = tuple(range(min(int(text), MOST_SEEDS + 1)))
    except (ValueError, OverflowError, MemoryError):
        found = ()
    if not found or len(set(found)) != len(found) or min(found) < 0:
        raise PracticumError(
            f"--seeds {text!r} is not understood; give a count (20), a range (10-29) or a list "
            "of different seeds (3,5,8)"
        )
    if len(found) > MOST_SEEDS:
        raise PracticumError(f"--seeds {text!r} asks for more than {MOST_SEEDS} seeds")
    return found


def setups(lab: Lab, request: Request) -> dict[str, Any]:
    """Return every arm's setup as the request wants it.

    Raises:
        PracticumError: unknown scale, setting or data set, or the lab has no data to choose.
    """
    if request.scale not in lab.scales:
        raise unknown("scale", request.scale, lab.scales)
    scale = lab.scales[request.scale]
    data = request.data or scale.data
    changes = dict(request.set)
    if request.data is not None:
        if not lab.data:
            raise PracticumError(f"lab {lab.name} makes its own data; --data has no meaning there")
        if "data" in request.set:
            raise PracticumError("--data and --set data=... contradict each other; give one")
    if data is not None:
        changes["data"] = data
    return setups_at(lab, scale, changes)


def seeds(lab: Lab, request: Request) -> tuple[int, ...]:
    """Return the seeds of the request."""
    return request.seeds or tuple(range(lab.scales[request.scale].seeds))


def describe(lab: Lab, request: Request) -> dict[str, Any]:
    """Return the protocol but for the arithmetic: what is asked, fixed before anything runs.

    Raises:
        PracticumError: the request does not fit the lab, or its data are missing or damaged.
    """
    arms = setups(lab, request)
    return {
        "format": FORMAT,
        "lab": lab.name,
        "title": lab.title,
        "scale": request.scale,
        "claims": [claim.spec() for claim in lab.claims],
        "measures": [measure.spec() for measure in lab.measures],
        "arms": {name: asdict(setup) for name, setup in arms.items()},
        "seeds": list(seeds(lab, request)),
        "data": _hashes(arms),
        "command": request.command(),
        "device": request.device,
        "precision": lab.precision or request.precision,
        "compile": request.compile,
        "code": code(lab),
    }


def complete(description: Mapping[str, Any], arithmetic: Arithmetic, reason: str) -> dict[str, Any]:
    """Return the whole protocol: the description, the arithmetic, why it was chosen, versions."""
    return {
        **description,
        "arithmetic": {**arithmetic.spec(), "planned": reason},
        "versions": versions(),
        "environment": environment(),
    }


def code(lab: Lab) -> str:
    """Return the hash of the lab's own code: the syntax beside its experiment, docstrings aside.

    A lab that was changed asks for something else; a comment, a docstring or EXCEPTIONS, which only
    the tests read, changes nothing.
    """
    total = hashlib.sha256()
    for file in sorted(Path(inspect.getfile(lab.trial)).parent.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_docstring(body[0]):
                body.pop(0)
        tree.body = [node for node in tree.body if not _is_for_tests(node)]
        total.update(f"{file.name}\n{ast.dump(tree)}\n".encode())
    return total.hexdigest()


def _is_for_tests(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(one, ast.Name) and one.id == "EXCEPTIONS" for one in targets)


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def arithmetic_of(protocol: Mapping[str, Any]) -> Arithmetic:
    """Return the arithmetic that a protocol fixed."""
    names = Arithmetic.__dataclass_fields__
    return Arithmetic(**{k: v for k, v in protocol["arithmetic"].items() if k in names})


def may_continue(protocol: Mapping[str, Any]) -> bool:
    """Tell whether this machine computes a protocol's bits: same torch build, CPU and versions."""
    spec = {key: value for key, value in protocol["arithmetic"].items() if key != "planned"}
    return spec == arithmetic_of(protocol).spec() and protocol["versions"] == versions()


def versions() -> dict[str, str]:
    """Return the versions that a run depends on."""
    found = {name: metadata.version(name) for name in ("torch", "numpy", "scipy", "statsmodels")}
    return {
        "practicum": practicum.__version__,
        "library": _library(),
        "python": platform.python_version(),
        **found,
    }


@cache
def _library() -> str:
    """Return the hash of the code that every lab shares."""
    root, total = Path(practicum.__file__).parent, hashlib.sha256()
    for room in ("nn", "data", "engine", "learning", "evidence"):
        for file in sorted((root / room).glob("*.py")):
            total.update(f"{room}/{file.name}\n".encode() + file.read_bytes())
    return total.hexdigest()


def environment() -> dict[str, str]:
    """Return the machine and the day: no part of what decides the bits, but good to know."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((one.partition(":")[2].strip() for one in lines if "model name" in one), model)
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": f"{model}, {os.cpu_count()} cores",
        "begun": date.today().isoformat(),
    }


def _hashes(arms: Mapping[str, Any]) -> dict[str, str]:
    from practicum.data import sha256

    names = {setup.data for setup in arms.values() if "data" in fields(setup)} - {""}
    return {name: sha256(name) for name in sorted(names)}
