"""What the pages say is what happens.

Would catch: a command on a page that errors or whose option does not exist, an example output that
has drifted from what is printed, a file of a record that looks different, a figure of the
statistics that nobody computed, a link to nowhere, a page that is not in the index.

The five walk-through pages are followed from top to bottom, each in an empty folder: console blocks
are typed, Python blocks executed, and what the page shows is compared with what comes out (numbers,
dates and hashes aside). Commands elsewhere are run if they are cheap, and parsed otherwise.
"""

from __future__ import annotations

import contextlib
import glob
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer

from practicum.cli.main import app, main
from practicum.cli.running import read_changes
from practicum.data import is_path
from practicum.engine.files import read_json
from practicum.evidence.coverage import CASES, t_coverage
from practicum.labs import catalogue
from practicum.labs.lab import load, setups_at

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WALKED = (
    "first-fifteen-minutes",
    "how-a-verdict-is-made",
    "reading-a-record",
    "adding-a-lab",
    "published-weights",
)
IN_A_CHECKOUT = "adding-a-lab"  # its commands and changes (diff blocks) are made in a copy
OTHERS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"] + [
    path for path in sorted(DOCS.glob("*.md")) if path.stem not in WALKED
]

# Commands on the pages that no test types, and why.
NOT_RUN = {
    "make demo": "installs, and runs a lab at quick",
    ". .venv/bin/activate": "changes the reader's shell",
    "pip install --no-deps -e my_labs": "installs; the test announces the package instead",
    "tensorboard --logdir runs/dropout": "starts a server",
    'python -m pytest tests/contract tests/labs/test_weight_decay.py -k "weight and decay"': (
        "the contracts of a freshly laid out lab are tested with the layout"
    ),
}
LONG = ("selftest", "get")  # verbs that are parsed only; so is `run` unless it is a smoke run


# --- reading a page


@dataclass
class Command:
    """One `$ ` line and what the page shows below it."""

    text: str
    line: int
    shown: list[str] = field(default_factory=list)


@dataclass
class Block:
    """One fenced block."""

    kind: str
    line: int
    lines: list[str]

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def commands(self) -> list[Command]:
        found: list[Command] = []
        for offset, line in enumerate(self.lines):
            if line.startswith("$ "):
                found.append(Command(line[2:], self.line + offset + 1))
            else:
                assert found, f"line {self.line + offset + 1}: output before any command"
                found[-1].shown.append(line)
        return found


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
            if inside:
                found.append(Block(line[3:].strip(), number, []))
        elif inside:
            found[-1].lines.append(line)
    assert not inside, f"{page}: a block is not closed"
    return found


# --- comparing what is shown with what is printed

RUN_NAME = re.compile(r"\d{4}-\d\d-\d\d-[0-9a-f]{4,}")
NUMBER = re.compile(r"[−+-]?(\d[\d.,]*( × 10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)?|∞)")


def masked(text: str) -> str:
    """The text with spaces, numbers, dates and hashes made equal."""
    text = NUMBER.sub("#", RUN_NAME.sub("RUN", text))
    return " ".join(re.sub(r"p [<=] #", "p #", text).split())


def missing(shown: str, printed: str) -> str | None:
    """The first piece that is shown and not printed, in order; `...` stands for anything."""
    rest = masked(printed)
    for piece in filter(None, map(str.strip, masked(shown.replace("...", "\0")).split("\0"))):
        _, found, rest = rest.partition(piece)
        if not found:
            return piece
    return None


def test_a_drifted_example_is_seen() -> None:
    printed = "  verdict  UNDECIDED  +2.2 points, CI −1 … +5 (p < 0.1)\n  report  a/2026-01-01-ab12"
    assert missing("verdict  UNDECIDED  −7.1 points, ... (p = 0.2)", printed) is None
    assert missing("...\nreport a/2027-11-30-ffff00", printed) is None
    assert missing("verdict  SUPPORTED", printed) == "verdict SUPPORTED"
    assert missing("report\n...\nverdict", printed) == "verdict"


# --- typing a command


def parse(words: list[str]) -> dict[str, Any]:
    """Parse `practicum ...` without running it; return the verb's parameters.

    Raises whatever the option parser raises.
    """
    command: Any = typer.main.get_command(app)
    if words[1:] in (["run"], ["show"], ["compare"], ["new-lab"]):
        return {}  # a sentence about the verb
    arguments, name = words[1:], "practicum"
    if arguments and arguments[0].startswith("-"):  # its options act as soon as they are parsed
        known = {option for one in command.params for option in one.opts} | {"--help"}
        assert arguments[0] in known, f"practicum has no option {arguments[0]}"
        return {}
    while hasattr(command, "get_command"):
        context = command.make_context(name, [], resilient_parsing=True)
        verb = arguments.pop(0) if arguments else ""
        found = command.get_command(context, verb)
        assert found is not None, f"practicum has no verb {verb!r}"
        command, name = found, verb
    parameters: dict[str, Any] = command.make_context(name, arguments).params
    return {"verb": name, **parameters}


def check_run(parameters: dict[str, Any], laid_out: Container[str] = ()) -> None:
    """Check that the labs, scale, data and settings of a `run` exist; nothing is trained."""
    for name in [one for one in parameters["labs"] if one not in laid_out]:
        lab = load(catalogue.find(name).module)
        setups_at(lab, lab.scales[parameters["scale"]], read_changes(parameters["changes"] or []))
        data = parameters["data"]
        assert not data or is_path(data) or data in lab.data


def is_long(words: list[str]) -> bool:
    verbs = [word for word in words[1:3] if not word.startswith("-")]
    if words[1] == "run":
        return "smoke" not in words
    return any(verb in LONG for verb in verbs)


def test_a_wrong_option_verb_or_setting_is_seen() -> None:
    check_run(parse(shlex.split("practicum run dropout --set dropout.dropout=0.8 --data mnist")))
    for wrong in (
        "practicum run dropout --scales quick",
        "practicum lists",
        "practicum data fetch mnist",
        "practicum report",
        "practicum --versions",
        "practicum run dropuot",
        "practicum run dropout --set droput=1",
        "practicum run dropout --set dropout.dropout=x",
        "practicum run dropout --scale tiny",
    ):
        with pytest.raises(BaseException):  # noqa: B017  # the parser's own errors, and ours
            check_run(parse(shlex.split(wrong)))


# --- following a page


class Reader:
    """Follows one page in a folder, in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.names: dict[str, Any] = {}
        self.opened: list[str] = []
        empty = folder.parent / "no-data"
        empty.mkdir()
        monkeypatch.setenv("PRACTICUM_DATA", str(empty))
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        monkeypatch.chdir(folder)

        def no_browser(address: str) -> bool:
            self.opened.append(address)
            return True

        monkeypatch.setattr("webbrowser.open", no_browser)

    def type(self, text: str) -> str | None:
        """Type a command; return what it printed, None if it is not run."""
        if text in NOT_RUN:
            return None
        words = shlex.split(text)
        if words[0] == "ls":
            return self.shell(text)
        assert words[0] == "practicum", f"{text!r} is not run, and NOT_RUN gives no reason"
        if is_long(words):
            self.check(words)
            return None
        return self.practicum(
            [one for word in words for one in (sorted(glob.glob(word)) or [word])]
        )

    def check(self, words: list[str]) -> None:
        parameters = parse(words)
        if parameters["verb"] == "run":
            check_run(parameters)

    def shell(self, text: str) -> str:
        ran = subprocess.run(
            text, shell=True, cwd=self.folder, capture_output=True, text=True, check=True
        )
        return ran.stdout

    def practicum(self, words: list[str]) -> str:
        self.monkeypatch.setattr(sys, "argv", words)
        out, err, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        printed = err.getvalue() + "\n" + out.getvalue()
        assert code == 0, f"{shlex.join(words)} ended with {code}:\n{printed}"
        return printed

    def python(self, source: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(source, "page", "exec"), self.names)
        return out.getvalue()


class CheckoutReader(Reader):
    """Follows a page in a copy of the checkout, in processes of its own that import the copy."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, monkeypatch)
        shutil.copytree(ROOT / "practicum", folder / "practicum")
        (folder / "tests" / "labs").mkdir(parents=True)
        self.path = [str(folder)]

    def type(self, text: str) -> str | None:
        if text.startswith("pip install --no-deps -e "):
            self.announce(self.folder / text.split()[-1])
        return super().type(text)

    def announce(self, project: Path) -> None:
        """What pip would do: make the project importable, and its entry points known."""
        about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        known = self.folder / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
        known.mkdir()
        text = f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
        (known / "METADATA").write_text(text)
        lines = [
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
            for group, points in about["entry-points"].items()
        ]
        (known / "entry_points.txt").write_text("\n".join(lines))
        self.path.append(str(project))

    def check(self, words: list[str]) -> None:
        parse(words)  # its lab is known to the copy only

    def practicum(self, words: list[str]) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(self.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{shlex.join(words)}:\n{ran.stderr}"
        return ran.stderr + "\n" + ran.stdout


def follow(page: Path, reader: Reader) -> Iterator[str]:
    """Follow a page; yield each command or file that was looked at."""
    printed = ""
    for block in blocks(page):
        where = f"{page.name}, line {block.line}"
        if block.kind == "console":
            for command in block.commands():
                answer = reader.type(command.text)
                yield command.text
                if answer is not None:
                    gap = missing("\n".join(command.shown), answer)
                    assert gap is None, (
                        f"{page.name}, line {command.line}: `{command.text}` does not print "
                        f"{gap!r}, but\n{answer}"
                    )
        elif block.kind == "python":
            printed = reader.python(block.text)
        elif block.kind == "text":
            assert block.text == printed, f"{where}: this is printed:\n{printed}"
        elif block.kind.startswith("json "):
            (path,) = Path(".").glob(f"runs/*/*/{block.kind.removeprefix('json ')}")
            compare(json.loads(block.text), json.loads(path.read_text()), where)
            yield path.name
        elif block.kind == "diff":
            (path,) = Path(".").glob("practicum/labs/*/weight_decay/experiment.py")
            path.write_text(patched(path.read_text(), block.lines, where))
        elif block.kind == "toml":
            assert block.text in Path("my_labs/pyproject.toml").read_text(), where
        else:
            raise AssertionError(f"{where}: no test knows blocks of kind {block.kind!r}")


def patched(text: str, diff: list[str], where: str) -> str:
    """Apply one change, which must fit in exactly one place."""
    old = "".join(line[1:] + "\n" for line in diff if line[:1] in (" ", "-"))
    new = "".join(line[1:] + "\n" for line in diff if line[:1] in (" ", "+"))
    assert text.count(old) == 1, f"{where}: fits in {text.count(old)} places"
    return text.replace(old, new)


LOOSE = ("versions", "environment", "command")


def compare(shown: Any, real: Any, where: str, exact: bool = False) -> None:
    """Compare an example with the file: names, texts and settings are equal, numbers may differ."""
    if isinstance(shown, dict):
        assert isinstance(real, dict), where
        for key, value in shown.items():
            assert key in real, f"{where}: the file has no {key!r}"
            if key not in LOOSE:
                compare(value, real[key], f"{where}, {key}", exact or key in ("arms", "seeds"))
    elif isinstance(shown, list):
        assert isinstance(real, list), where
        assert len(shown) <= len(real), where
        for one, other in zip(shown, real, strict=False):
            compare(one, other, where, exact)
    elif isinstance(shown, str) and shown.endswith("..."):
        assert isinstance(real, str), where
        hashed = re.fullmatch(r"[0-9a-f]{8,}\.\.\.", shown)
        gap = None if hashed else missing(shown, real)
        assert gap is None, f"{where}: {real!r}"
    elif isinstance(shown, float | int) and not isinstance(shown, bool) and not exact:
        assert isinstance(real, float | int), f"{where}: {real!r} is no number"
    else:
        assert shown == real, f"{where}: {real!r}"


def test_a_wrong_example_of_a_file_is_seen() -> None:
    real = {"a": [{"b": 1.5, "c": "deep"}], "arms": {"x": 3}, "h": "0123456789abcdef"}
    compare({"a": [{"b": 2.5}], "arms": {"x": 3}, "h": "ffffffffff..."}, real, "")
    for wrong in ({"z": 1}, {"a": [{"c": "flat"}]}, {"arms": {"x": 4}}, {"a": [{"b": "1.5"}]}):
        with pytest.raises(AssertionError):
            compare(wrong, real, "")


@pytest.mark.parametrize("name", WALKED)
def test_a_page_can_be_followed_from_top_to_bottom(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    kind: Callable[..., Reader] = CheckoutReader if name == IN_A_CHECKOUT else Reader
    reader = kind(folder, monkeypatch)
    page = DOCS / f"{name}.md"
    seen = list(follow(page, reader))
    assert seen or any(block.kind == "python" for block in blocks(page))
    assert len(reader.opened) == sum("practicum open" in one for one in seen)


def test_a_page_with_a_broken_command_or_example_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    reader = Reader(folder, monkeypatch)
    for broken in (
        "```console\n$ practicum show dropuot\n```\n",
        "```console\n$ practicum list\nno such lab\n```\n",
        "```console\n$ practicum run dropout --fast\n```\n",
        "```console\n$ rm -r runs\n```\n",
        "```python\nprint(1)\n```\n```text\n2\n```\n",
        "```sh\nls\n```\n",
    ):
        page = tmp_path / "page.md"
        page.write_text(broken)
        with pytest.raises(BaseException):  # noqa: B017  # the parser's own errors, and ours
            list(follow(page, reader))


def test_every_command_that_is_not_run_stands_on_a_page() -> None:
    typed = {
        command.text
        for name in WALKED
        for block in blocks(DOCS / f"{name}.md")
        if block.kind == "console"
        for command in block.commands()
    }
    assert set(NOT_RUN) <= typed
    assert all(NOT_RUN.values())


# --- commands on the other pages

CODE = re.compile(r"`(practicum [^`]+)`")
SHORTHAND = {"practicum data list|get|where|check"}  # names several verbs at once
CHEAP = ("list", "show", "runs", "doctor", "where")


def commands_in(page: Path) -> list[str]:
    """`practicum ...` in indented or fenced blocks (comments cut off) and between backticks."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^(?: {4}|\$ )(?:\.venv/bin/)?(practicum .*)$", text, re.MULTILINE)
    found = [re.sub(r"\s+#.*$", "", one) for one in found]
    found += [" ".join(one.split()) for one in CODE.findall(text)]
    return [one for one in dict.fromkeys(found) if one not in SHORTHAND]


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_commands_in_other_pages_exist_and_the_cheap_ones_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    reader = Reader(folder, monkeypatch)
    commands = [shlex.split(text) for text in commands_in(page)]
    made = [words[2] for words in commands if words[1] == "new-lab" and len(words) > 2]
    laid_out = {name.split("/")[-1] for name in made}
    for words in commands:
        parameters = parse(words)
        placeholder = any(re.fullmatch(r"[A-Z][A-Z/|]+|.*<.*", word) for word in words)
        if parameters.get("verb") == "run" and not placeholder:
            check_run(parameters, laid_out)
        elif words[1] in CHEAP and not placeholder and page.parent == ROOT:
            reader.practicum(words)


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_python_in_other_pages_runs_where_it_imports_what_it_needs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks without an import are sketches of a signature or of a loop."""
    folder = tmp_path / "here"
    folder.mkdir()
    reader = Reader(folder, monkeypatch)
    for block in blocks(page):
        if block.kind == "python" and block.text.startswith(("from ", "import ")):
            reader.python(block.text)


def test_the_readme_has_commands_to_check() -> None:
    assert {"practicum list", "practicum run dropout"} <= set(commands_in(ROOT / "README.md"))
    assert commands_in(ROOT / "CONTRIBUTING.md")


# --- figures, links and the index


def between(page: Path, mark: str) -> str:
    found = re.search(
        rf"<!-- {mark} -->\n(.*?)<!-- end -->", page.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found, f"{page.name} has no place <!-- {mark} -->"
    return found.group(1).strip("\n")


def coverage_table() -> str:
    rows = ["| differences | covers, % | warned, % | covers if not warned, % |"]
    rows.append("| --- | ---: | ---: | ---: |")
    for case in CASES:
        found = t_coverage(case, 10)
        numbers = (found.covered, found.flagged, found.covered_unflagged)
        rows.append(f"| {case.name} | " + " | ".join(f"{100 * x:.1f}" for x in numbers) + " |")
    return "\n".join(rows)


def selftest_tables() -> dict[str, str]:
    record = read_json(ROOT / "results" / "selftest" / "evidence.json")
    aa, power = record["aa"], record["power"]
    rows = [
        "| pairs of ten seeds | should be | pairs | share, % | exact 95 % interval |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    false = aa["supported"] + aa["refuted"]
    for what, should, count, of, low, high in (
        ("no difference, but a verdict", 5, false, aa["pairs"], aa["low"], aa["high"]),
        ("known effect, found", 80, power["found"], power["pairs"], power["low"], power["high"]),
    ):
        share = f"{count:,} of {of:,} | {100 * count / of:.2f}"
        rows.append(f"| {what} | {should} % | {share} | {100 * low:.2f} to {100 * high:.2f} |")
    rows.append(
        f"| known effect, its opposite found | 0 % | {power['opposite']} of {power['pairs']:,} | "
        f"{100 * power['opposite'] / power['pairs']:.2f} | |"
    )
    tenths = aa["tenths"]
    head = "| " + " | ".join(f"to {(i + 1) / 10:.1f}" for i in range(10)) + " |"
    rule = "|" + " ---: |" * 10
    body = "| " + " | ".join(str(one) for one in tenths) + " |"
    return {"selftest": "\n".join(rows), "tenths": f"{head}\n{rule}\n{body}"}


def test_the_figures_of_the_statistics_are_the_computed_ones() -> None:
    page = DOCS / "how-a-verdict-is-made.md"
    for mark, table in {"coverage": coverage_table(), **selftest_tables()}.items():
        assert between(page, mark) == table, f"between <!-- {mark} --> belongs\n{table}"


def test_this_page_and_the_full_rules_show_the_same_coverage() -> None:
    rows = between(DOCS / "how-a-verdict-is-made.md", "coverage").splitlines()[2:]
    full = (DOCS / "evidence.md").read_text(encoding="utf-8")
    for row in rows:
        name, covers, warned, unwarned = (cell.strip() for cell in row.strip("| ").split("|"))
        (line,) = [one for one in full.splitlines() if one.startswith(f"| {name} |")]
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        assert [cells[2], cells[5], cells[8]] == [covers, warned, unwarned]


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target} has no such heading"


def test_the_index_leads_to_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in DOCS.glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"({name}" not in index} == set()
