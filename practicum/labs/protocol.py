"""From what was asked for to the protocol: everything that is fixed before the first trial."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import practicum
from practicum.engine.arithmetic import Arithmetic
from practicum.errors import PracticumError, unknown
from practicum.labs.lab import Lab, fields, setups_at

FORMAT = 1


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
            first, last = text.split("-")
            found = tuple(range(int(first), int(last) + 1))
        else:
            found = tuple(range(int(text)))
    except ValueError:
        found = ()
    if not found or len(set(found)) != len(found) or min(found) < 0:
        raise PracticumError(
            f"--seeds {text!r} is not understood; give a count (20), a range (10-29) or a list "
            "of different seeds (3,5,8)"
        )
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
        "precision": request.precision,
        "compile": request.compile,
    }


def complete(description: Mapping[str, Any], arithmetic: Arithmetic, reason: str) -> dict[str, Any]:
    """Return the whole protocol: the description, the arithmetic, why it was chosen, versions."""
    return {
        **description,
        "arithmetic": {**arithmetic.spec(), "planned": reason},
        "versions": versions(),
    }


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
    import numpy
    import torch

    return {
        "practicum": practicum.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


def _hashes(arms: Mapping[str, Any]) -> dict[str, str]:
    from practicum.data import sha256

    names = {setup.data for setup in arms.values() if "data" in fields(setup)}
    return {name: sha256(name) for name in sorted(names)}
