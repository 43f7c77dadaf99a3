"""A new lab is laid out whole or not at all, and a package of labs works once it is installed.

Catches: a layout that does not run, tramples on what is there, or writes half of it before it finds
out that a name is bad; a package whose lesson is not installed, or whose lab is not announced, is
not marked as another package's, or cannot be reported. That what is laid out keeps every contract
is shown in tests/contract/test_the_contracts_bite.py.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from practicum.errors import PracticumError
from practicum.labs import catalogue, layout

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a checkout."""
    (tmp_path / "practicum" / "labs").mkdir(parents=True)
    (tmp_path / "practicum" / "labs" / "__init__.py").write_text('"""Labs."""\n')
    (tmp_path / "practicum" / "labs" / "catalogue.py").touch()
    (tmp_path / "tests" / "labs").mkdir(parents=True)
    return tmp_path


def test_in_a_checkout_it_lies_among_the_others(checkout: Path) -> None:
    made = layout.plan("society/fair-price", checkout)
    written = {path.relative_to(checkout).as_posix() for path in layout.write(made)}
    home = "practicum/labs/society"
    assert written == {
        f"{home}/fair_price/experiment.py",
        f"{home}/fair_price/lesson.md",
        f"{home}/fair_price/__init__.py",
        f"{home}/__init__.py",
        "tests/labs/test_fair_price.py",
    }
    assert (checkout / "practicum/labs/__init__.py").read_text() == '"""Labs."""\n'
    file = checkout / home / "fair_price" / "experiment.py"
    entry = catalogue.read(file, f"{made.module}.experiment", "practicum")
    assert (entry.name, entry.topic) == ("fair-price", "society")
    lesson = entry.lesson.read_text()
    assert lesson.count("$ practicum run fair-price") == 4
    test = (checkout / "tests/labs/test_fair_price.py").read_text()
    assert "from practicum.labs.society.fair_price.experiment import" in test
    for text in (lesson, test, file.read_text()):
        assert "template" not in text
        assert "CHANGE" in text


def test_the_tests_that_are_laid_out_pass() -> None:
    from practicum.labs.template import test_lab

    tests = [one for name, one in vars(test_lab).items() if name.startswith("test_")]
    assert len(tests) == 3
    for one in tests:
        one()


def test_a_second_lab_joins_the_first_ones_package(tmp_path: Path) -> None:
    first = layout.plan("training/one-lab", tmp_path, package="my_labs")
    layout.write(first)
    project = (tmp_path / "my_labs" / "pyproject.toml").read_text()
    second = layout.plan("training/two", tmp_path, into=Path("my_labs"))
    written = layout.write(second)
    assert second.package == "my_labs"
    assert len(written) == 4
    assert (tmp_path / "my_labs" / "pyproject.toml").read_text() == project
    assert second.entry == 'two = "my_labs.training.two.experiment"'


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("weight-decay", "is no TOPIC/NAME"),
        ("training/weight/decay", "is no TOPIC/NAME"),
        ("", "is no TOPIC/NAME"),
        ("trainig/weight-decay", "did you mean 'training'"),
        ("training/", "cannot name a lab"),
        ("training/Weight", "cannot name a lab"),
        ("training/weight_decay", "cannot name a lab"),
        ("training/-x", "cannot name a lab"),
        ("training/../x", "is no TOPIC/NAME"),
        ("training/lambda", "cannot name a lab"),
        ("vision/dropout", "there is a lab 'dropout' already, on training"),
    ],
)
def test_a_bad_name_is_refused_and_nothing_is_written(checkout: Path, name: str, says: str) -> None:
    before = sorted(checkout.rglob("*"))
    with pytest.raises(PracticumError, match=says):
        layout.plan(name, checkout)
    assert sorted(checkout.rglob("*")) == before


@pytest.mark.parametrize(
    ("package", "into", "says"),
    [
        ("My-Labs", None, "cannot name a package"),
        ("class", None, "cannot name a package"),
        ("json", None, "is installed already"),
        ("practicum", None, "is installed already"),
        (None, "9 lives", "cannot name a package"),
        ("my_labs", "other", "is another project already"),
    ],
)
def test_a_bad_package_is_refused(
    tmp_path: Path, package: str | None, into: str | None, says: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pyproject.toml").touch()
    folder = None if into is None else Path(into)
    with pytest.raises(PracticumError, match=says):
        layout.plan("training/x", tmp_path, package=package, into=folder)


def test_what_is_there_is_never_written_over(checkout: Path) -> None:
    made = layout.plan("society/fair-price", checkout)
    made.test.write_text("mine")
    with pytest.raises(PracticumError, match=r"test_fair_price\.py is there already"):
        layout.plan("society/fair-price", checkout)
    assert made.test.read_text() == "mine"


def test_outside_of_a_checkout_a_package_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(PracticumError, match="give --package NAME"):
        layout.plan("training/x", tmp_path)


def test_the_template_is_no_lab_of_its_own() -> None:
    assert "template" not in {entry.name for entry in catalogue.entries()}
    tree = ast.parse((layout.TEMPLATE / "experiment.py").read_text())
    assert ast.get_docstring(tree)


# --- a real package, installed by pip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Lay out a package with the command, install it with pip into a folder of its own."""
    home, site = tmp_path_factory.mktemp("elsewhere"), tmp_path_factory.mktemp("site")
    arguments = ["new-lab", "society/fair-price", "--package", "their_labs"]
    practicum(arguments, home, ROOT)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)),
            str(home / "their_labs"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return {"home": home, "site": site}


def practicum(arguments: list[str], home: Path, *path: Path) -> str:
    """Call the command line in a process of its own; return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "practicum", *arguments],
        cwd=home,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.skipif(
    importlib.util.find_spec("setuptools") is None, reason="pip cannot build without setuptools"
)
def test_a_lab_of_an_installed_package_is_listed_run_and_reported_as_such(
    installed: dict[str, Path],
) -> None:
    home, path = installed["home"], (ROOT, installed["site"])
    listed = practicum(["list", "fair-price"], home, *path)
    assert "fair-price  A hidden layer lowers test error on digits (1986)  [their-labs]" in listed
    assert "from the package their-labs" in practicum(["show", "fair-price"], home, *path)
    lesson = practicum(["show", "fair-price", "--lesson"], home, *path)
    assert "$ practicum run fair-price" in lesson  # the package has its lesson with it
    result = json.loads(practicum(["run", "fair-price", "--scale", "smoke", "--json"], home, *path))
    assert result["lab"] == "fair-price"
    assert len(result["verdicts"]) == 1
    page = Path(home, result["report"]).read_text()
    assert "from the package their_labs" in page
    assert "What does a hidden layer add?" in page
    assert "fair-price" not in practicum(["list"], home, ROOT)  # where it is not installed


def test_what_new_lab_says_can_be_done(installed: dict[str, Path], tmp_path: Path) -> None:
    said = practicum(["new-lab", "agents/two-arms", "--package", "more_labs"], tmp_path, ROOT)
    files = [line for line in said.splitlines() if line.startswith("more_labs/")]
    assert len(files) == 7
    assert all((tmp_path / file).is_file() for file in files)
    assert "pip install --no-deps -e more_labs" in said
    assert "practicum run two-arms --scale smoke" in said
