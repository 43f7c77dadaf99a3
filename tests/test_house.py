"""The rules of the house, read from the sources.

Would catch: a room that imports from one below it (inside a function, too), a command line that
waits for torch, files and functions that grow beyond reading, a public name without a docstring,
state hidden in a module, a silenced checker or a skipped test without its reason. Every rule is
tried on a planted violation first.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "practicum"
SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}
TESTS = {
    path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "tests").rglob("*.py")
}

ROOMS = (
    "autograd",
    "nn",
    "data",
    "engine",
    "learning",
    "inside",
    "evidence",
    "labs",
    "report",
    "classroom",
    "cli",
)
HEAVY = ("torch", "pandas", "matplotlib", "scipy", "sklearn", "statsmodels")
FILE_LINES, FUNCTION_LINES = 400, 60

parsed = functools.cache(ast.parse)

# What may be longer, and why. An entry that is not needed any more fails the test.
LONGER: dict[str, str] = {}

# Module globals that are filled while the program runs, and why.
REGISTRIES: dict[str, str] = {}


# --- one-way imports


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Every module that a source imports, wherever in it, with the line."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            # `from practicum import data` imports practicum.data
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and "import_module" in ast.dump(node.func):
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def wrong_ways(path: str, source: str) -> list[str]:
    """Imports of a file from rooms that are not above its own."""
    inner = path.removeprefix("practicum/").removesuffix(".py").split("/")
    found = []
    for line, name in imported(source):
        parts = name.split(".")
        if parts[0] != "practicum" or len(parts) < 2 or parts[1] in ("errors", "__version__"):
            continue
        if inner[0] in ROOMS:
            fine = parts[1] in ROOMS[: ROOMS.index(inner[0]) + 1]
        else:
            fine = inner == ["__main__"] and parts[1] == "cli"
        if not fine:
            found.append(f"{path}:{line} imports {name}")
    return found


PLANTED = {
    "practicum/engine/loop.py": "from practicum.labs.lab import Lab",
    "practicum/nn/mlp.py": "import practicum.engine.loop",
    "practicum/data/cards.py": "def f():\n    from practicum import cli",
    "practicum/errors.py": "import practicum.nn.mlp",
    "practicum/__init__.py": "from practicum.engine import loop",
    "practicum/evidence/means.py": "importlib.import_module('practicum.report.view')",
    "practicum/report/view.py": "if True:\n    from practicum.cli.main import main",
    "practicum/labs/x/y/experiment.py": "from practicum.corridor import door",
}


@pytest.mark.parametrize("path", PLANTED)
def test_the_import_rule_sees_a_planted_violation(path: str) -> None:
    assert wrong_ways(path, PLANTED[path])
    assert not wrong_ways("practicum/cli/main.py", "from practicum.labs import lab\nimport torch")
    assert not wrong_ways("practicum/nn/a.py", "from practicum.errors import PracticumError")


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_rooms_import_only_from_rooms_above(path: str) -> None:
    assert wrong_ways(path, SOURCES[path]) == []


def test_every_package_is_a_room() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(ROOMS)


# --- nothing heavy before it is needed


def modules_after(program: str) -> set[str]:
    """The top-level modules loaded in a fresh interpreter by a program."""
    tail = "\nimport sys; print('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program) + tail],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    return set(ran.stdout.splitlines()[-1].split())


LIST = """
    import runpy, sys
    sys.argv = ["practicum", "list"]
    try:
        runpy.run_module("practicum", run_name="__main__")
    except SystemExit as end:
        assert not end.code, end.code
"""


@pytest.mark.parametrize(
    "program",
    ["import practicum", "import practicum.errors", "import practicum.evidence", LIST],
    ids=["practicum", "errors", "evidence", "list"],
)
def test_what_must_answer_at_once_imports_nothing_heavy(program: str) -> None:
    loaded = modules_after(program)
    assert "practicum" in loaded
    assert not loaded & set(HEAVY)


def test_a_heavy_import_would_be_seen() -> None:
    assert "torch" in modules_after("import practicum.engine.seeds")


# --- sizes


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    lines = (function.end_lineno or 0) - function.lineno + 1
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0)


def too_long(path: str, source: str) -> dict[str, int]:
    """What in a file is beyond the limits, with its lines."""
    found = {path: lines} if (lines := source.count("\n")) > FILE_LINES else {}
    for node in ast.walk(parsed(source)):
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if function and (lines := body_lines(node)) > FUNCTION_LINES:
            found[f"{path}:{node.name}"] = lines
    return found


def test_the_size_rule_sees_a_planted_violation() -> None:
    long = "def f():\n    '''Doc.'''\n" + "    x = 1\n" * FUNCTION_LINES
    assert too_long("a.py", long) == {"a.py:f": FUNCTION_LINES + 1}
    assert not too_long("a.py", "def f():\n" + "    x = 1\n" * (FUNCTION_LINES - 1))
    assert too_long("a.py", "x = 1\n" * (FILE_LINES + 1)) == {"a.py": FILE_LINES + 1}


def test_files_and_functions_can_be_read_in_one_sitting() -> None:
    found: dict[str, int] = {}
    for path, source in SOURCES.items():
        found |= too_long(path, source)
    assert {name: lines for name, lines in found.items() if name not in LONGER} == {}


def test_no_exception_from_the_sizes_is_listed_in_vain() -> None:
    needed = {name for path, source in SOURCES.items() for name in too_long(path, source)}
    assert set(LONGER) <= needed
    assert all(LONGER.values())
    assert len(LONGER) <= 5


# --- docstrings


def undocumented(path: str, source: str) -> list[str]:
    """Public modules, classes, functions and methods without a docstring."""
    tree = parsed(source)
    found = [] if ast.get_docstring(tree) else [path]

    def look(node: ast.Module | ast.ClassDef, prefix: str) -> None:
        for one in node.body:
            named = isinstance(one, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if not named or one.name.startswith("_"):
                continue
            if not ast.get_docstring(one):
                found.append(f"{prefix}{one.name}")
            if isinstance(one, ast.ClassDef):
                look(one, f"{prefix}{one.name}.")

    look(tree, f"{path}:")
    return found


def test_the_docstring_rule_sees_a_planted_violation() -> None:
    source = "class A:\n    '''Doc.'''\n    def f(self): ...\n    def _g(self): ...\ndef h(): ...\n"
    assert undocumented("a.py", source) == ["a.py", "a.py:A.f", "a.py:h"]


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_everything_public_has_a_docstring(path: str) -> None:
    # A network's forward is its equations, which the header of the file writes out.
    found = [name for name in undocumented(path, SOURCES[path]) if not name.endswith(".forward")]
    assert found == []


# --- state in modules

MUTABLE_CALLS = {"dict", "list", "set", "defaultdict", "deque", "OrderedDict", "Counter"}
MUTABLE_NODES = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
WRITERS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"}
WRITERS |= {"reverse", "setdefault", "sort", "update"}


def tables(tree: ast.Module) -> set[str]:
    """Module globals that are dicts, lists or sets."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            called = node.value.func if isinstance(node.value, ast.Call) else None
            call = getattr(called, "id", getattr(called, "attr", None))
            if isinstance(node.value, MUTABLE_NODES) or call in MUTABLE_CALLS:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def written(tree: ast.Module) -> set[str]:
    """Names that a source changes in place (`a[...] = `, `del a[...]`, `a |= `, `a.append()`)."""
    names = set()
    for node in ast.walk(tree):
        changed: ast.AST | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            changed = node.value
        elif isinstance(node, ast.AugAssign):
            changed = node.target
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            changed = node.func.value if node.func.attr in WRITERS else None
        elif isinstance(node, ast.Global):
            names |= set(node.names)
        names.add(getattr(changed, "id", getattr(changed, "attr", "")))
    return names


def globals_that_change(sources: dict[str, str]) -> set[str]:
    """Tables that are written to after they are made, or not named as constants; `global`s."""
    trees = {path: parsed(source) for path, source in sources.items()}
    changed = set().union(*(written(tree) for tree in trees.values()))
    found = {
        f"{path}:{name}"
        for path, tree in trees.items()
        for name in tables(tree) - {"__all__"}
        if name in changed or name != name.upper()
    }
    for path, tree in trees.items():
        rebound = [node.names for node in ast.walk(tree) if isinstance(node, ast.Global)]
        found |= {f"{path}:{name}" for names in rebound for name in names}
    return found


def test_the_rule_on_globals_sees_a_planted_violation() -> None:
    for source in (
        "a = {}",
        "a: list[int] = []",
        "A = {}\ndef f():\n    A[1] = 2",
        "A: dict[str, int] = {1: 2}\ndef f():\n    del A[1]",
        "A = [x for x in y]\nA.append(1)",
        "A = collections.defaultdict(list)\ndef f():\n    A.update(b)",
        "A = set()\nA |= {1}",
        "def f():\n    global A\n    A = 1",
    ):
        assert len(globals_that_change({"a.py": source})) == 1, source
    assert globals_that_change({"a.py": "A = []", "b.py": "import a\na.A.append(1)"}) == {"a.py:A"}
    for source in ("A = (1, 2)", "A = {1: 2}", "def f():\n    a = {}\n    a[1] = 2", "a = f()"):
        assert not globals_that_change({"a.py": source}), source


def test_modules_hold_no_state_outside_the_listed_registries() -> None:
    found = globals_that_change(SOURCES)
    assert found - set(REGISTRIES) == set()
    assert set(REGISTRIES) <= found  # none is listed in vain


# --- no silence without a reason

SILENCED = re.compile(r"#\s*(type:\s*ignore|noqa|pragma)(.*)$", re.MULTILINE)
REASONED = re.compile(r"^(\[[\w,\s-]+\]|: [A-Z0-9, ]+)\s+#? ?\S.*$")


def silenced(path: str, source: str) -> list[str]:
    """Checker comments without a code or without a reason behind it."""
    return [
        f"{path}: {match.group(0)}"
        for match in SILENCED.finditer(source)
        if not REASONED.match(match.group(2))
    ]


def test_the_rule_on_silenced_checkers_sees_a_planted_violation() -> None:
    for mark in ("type: ignore", "noqa", "noqa: E501", "type: ignore[misc]"):
        assert silenced("a.py", f"x = 1  # {mark}\n"), mark
    assert not silenced("a.py", "x = 1  # " + "type: ignore[misc]  # torch leaves it unannotated\n")


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_no_checker_is_silenced_without_a_reason_and_nothing_is_left_to_do(path: str) -> None:
    assert silenced(path, SOURCES[path]) == []
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", SOURCES[path])


def star_imports(source: str) -> list[int]:
    """Lines that import everything from a module."""
    return [
        node.lineno
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]


def test_nothing_imports_everything() -> None:
    assert star_imports("from os import *") == [1]
    assert {path for path, source in (SOURCES | TESTS).items() if star_imports(source)} == set()


def reasonless_skips(path: str, source: str) -> list[str]:
    """Skips and expected failures that do not say why."""
    found = []
    tree = parsed(source)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        bare = isinstance(node, ast.Attribute) and id(node) not in called
        if bare and ast.unparse(node) in ("pytest.mark.skip", "pytest.mark.xfail", "unittest.skip"):
            found.append(f"{path}:{node.lineno}")
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {keyword.arg for keyword in node.keywords}
            needs = name in (f"pytest.mark.{one}" for one in ("skip", "skipif", "xfail"))
            if (needs and not given & {"reason"}) or (
                name in ("pytest.skip", "pytest.xfail") and not node.args and "reason" not in given
            ):
                found.append(f"{path}:{node.lineno}")
    return found


def test_every_skip_says_why() -> None:
    for planted in (
        "@pytest.mark.skip\ndef test_a(): ...",
        "@pytest.mark.skipif(True)\ndef test_a(): ...",
        "pytest.skip()",
        "x = pytest.mark.xfail(strict=True)",
    ):
        assert reasonless_skips("a.py", planted), planted
    assert not reasonless_skips("a.py", "pytest.skip('no CUDA')\nx = pytest.mark.skip(reason=why)")
    found = [one for path, source in TESTS.items() for one in reasonless_skips(path, source)]
    assert found == []
