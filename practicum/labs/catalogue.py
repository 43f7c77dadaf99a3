"""Which labs there are, read from their `experiment.py` without running it.

Title, source, year, data, arms' names, claims' sentences and scales are literals in the file; the
syntax tree gives them in about a millisecond a lab, and torch stays unimported.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from practicum.errors import PracticumError, unknown

TOPICS = (
    "practice",
    "beginnings",
    "training",
    "generalization",
    "vision",
    "sequences",
    "attention",
    "generative",
    "graphs",
    "agents",
    "interpretability",
    "society",
)

CONTRACTS = {
    "gradients": "every parameter of every trained network gets a gradient that is not zero",
    "state": "networks, optimizers and streams survive a checkpoint in the middle of a trial",
    "lanes": "many seeds trained at once give what they give one after the other",
}
"""What a lab may be excepted from: `EXCEPTIONS = {"lanes": "why it cannot hold"}`."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the catalogue knows of a lab.

    Attributes:
        name: the lab's name, as on the command line.
        topic: the folder it lies in.
        title: the claim in a few words.
        source: authors, year, title, venue.
        year: of the source.
        data: names of the data sets it accepts, the default first.
        arms: names of its arms.
        claims: the claims' sentences.
        scales: seeds of each scale.
        module: the module to import.
        origin: "practicum", or the distribution that brought it.
        path: its folder.
        exceptions: contracts that cannot hold for it, and why.
    """

    name: str
    topic: str
    title: str
    source: str
    year: int
    data: tuple[str, ...]
    arms: tuple[str, ...]
    claims: tuple[str, ...]
    scales: dict[str, int]
    module: str
    origin: str
    path: Path
    exceptions: dict[str, str] = field(default_factory=dict)

    def matches(self, text: str) -> bool:
        """Tell whether any of the words people would look for contains the text."""
        words = (self.name, self.topic, self.title, self.source, str(self.year), *self.claims)
        return text.casefold() in " ".join(words).casefold()

    def plain(self) -> dict[str, Any]:
        """Return the entry as JSON can hold it."""
        return {key: value for key, value in asdict(self).items() if key != "path"}

    @property
    def lesson(self) -> Path:
        """The lesson's file."""
        return self.path / "lesson.md"


def entries() -> tuple[Entry, ...]:
    """Return every lab that can be read, ours and those of other packages, by topic and name."""
    return _all()[0]


def problems() -> dict[str, str]:
    """Return the labs that cannot be read, by name, and why; the others are not harmed."""
    return dict(_all()[1])


def find(name: str) -> Entry:
    """Return the lab of that name.

    Raises:
        PracticumError: there is none (the near one is named), or it cannot be read.
    """
    if name in problems():
        raise PracticumError(problems()[name])
    for entry in entries():
        if entry.name == name:
            return entry
    raise unknown("lab", name, [entry.name for entry in entries()])


@cache
def _all() -> tuple[tuple[Entry, ...], dict[str, str]]:
    found: dict[str, Entry] = {}
    wrong: dict[str, str] = {}
    for name, module, origin in _sources():
        try:
            file = _file(module) if origin != "practicum" else _ours(module)
            name = file.parts[-2].replace("_", "-")
            if name in found:
                raise PracticumError(
                    f"two labs are named {name!r}: {found[name].module} is kept, {module} is not"
                )
            found[name] = read(file, module, origin)
        except (PracticumError, SyntaxError, ImportError, ValueError, OSError) as error:
            wrong[f"{name} of {origin}" if name in found else name] = str(error)
    return tuple(sorted(found.values(), key=lambda e: (TOPICS.index(e.topic), e.name))), wrong


def _sources() -> Iterator[tuple[str, str, str]]:
    """Yield (name, module, origin)."""
    for file in Path(__file__).parent.glob("*/*/experiment.py"):
        topic, lab = file.parts[-3:-1]
        yield lab.replace("_", "-"), f"practicum.labs.{topic}.{lab}.experiment", "practicum"
    for point in entry_points(group="practicum.labs"):
        yield point.name, point.value, point.dist.name if point.dist else point.name


def _ours(module: str) -> Path:
    return Path(__file__).parents[2].joinpath(*module.split(".")).with_suffix(".py")


def _file(module: str) -> Path:
    """Return the file of another package's lab; its parent packages are imported, not itself."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise PracticumError(f"the module {module} is not there")
    if len(module.split(".")) < 3:
        raise PracticumError(f"{module}: a lab's module is PACKAGE.TOPIC.LAB.experiment")
    return Path(spec.origin)


def read(file: Path, module: str, origin: str) -> Entry:
    """Read one lab's literals.

    Raises:
        PracticumError: the file lacks a part, or a part is no literal.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    parts = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    try:
        topic = file.parts[-3]
        if topic not in TOPICS:
            raise PracticumError(f"{file}: its topic {topic!r} is none of {', '.join(TOPICS)}")
        return Entry(
            name=file.parts[-2].replace("_", "-"),
            topic=topic,
            title=ast.literal_eval(parts["TITLE"]),
            source=ast.literal_eval(parts["SOURCE"]),
            year=ast.literal_eval(parts["YEAR"]),
            data=ast.literal_eval(parts["DATA"]),
            arms=tuple(_keys(parts["ARMS"])),
            claims=tuple(_keyword(one, "sentence") for one in _elements(parts["CLAIMS"])),
            scales=dict(
                zip(
                    _keys(parts["SCALES"]),
                    (_keyword(one, "seeds") for one in _values(parts["SCALES"])),
                    strict=True,
                )
            ),
            module=module,
            origin=origin,
            path=file.parent,
            exceptions=_exceptions(parts.get("EXCEPTIONS")),
        )
    except KeyError as missing:
        raise PracticumError(f"{file} lacks {missing.args[0]}; a lab needs it") from None
    except (ValueError, TypeError, AttributeError):
        raise PracticumError(
            f"{file}: TITLE, SOURCE, YEAR, DATA, the names in ARMS and SCALES, `seeds` of each "
            "scale, `sentence` of each claim and EXCEPTIONS must be literals"
        ) from None


def _exceptions(node: ast.expr | None) -> dict[str, str]:
    """Read EXCEPTIONS, contract to reason.

    Raises:
        PracticumError: no such contract (the near one is named), or a reason is missing.
    """
    found = {} if node is None else dict(ast.literal_eval(node))
    for contract, reason in found.items():
        if contract not in CONTRACTS:
            raise unknown("contract in EXCEPTIONS", str(contract), CONTRACTS)
        if not isinstance(reason, str) or not reason.strip():
            raise PracticumError(
                f"EXCEPTIONS[{contract!r}] is {reason!r}; say in a sentence why it cannot hold"
            )
    return found


def _keys(node: ast.expr) -> list[Any]:
    if not isinstance(node, ast.Dict):
        raise ValueError("ARMS and SCALES are dict displays")
    return [ast.literal_eval(key) for key in node.keys if key is not None]


def _values(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, ast.Dict):
        raise ValueError("ARMS and SCALES are dict displays")
    return node.values


def _elements(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, ast.Tuple | ast.List):
        raise ValueError("CLAIMS is a tuple display")
    return node.elts


def _keyword(node: ast.expr, name: str) -> Any:
    if not isinstance(node, ast.Call):
        raise ValueError("claims and scales are calls")
    for keyword in node.keywords:
        if keyword.arg == name:
            return ast.literal_eval(keyword.value)
    raise KeyError(f"`{name}` in {ast.unparse(node)[:60]}")
