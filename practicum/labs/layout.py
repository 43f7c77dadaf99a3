"""Laying out a new lab: a copy of `template/` under its own name, in the checkout or in a package.

Nothing is written before everything was checked, and no file that exists is touched.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from dataclasses import dataclass
from pathlib import Path

from practicum.engine.files import make_folder, write_atomic
from practicum.errors import PracticumError, unknown
from practicum.labs import catalogue

TEMPLATE = Path(__file__).parent / "template"
LAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PACKAGE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
description = "Labs for Practicum"
requires-python = ">=3.11"
dependencies = ["practicum"]

[project.entry-points."practicum.labs"]
{entry}

[tool.setuptools.packages.find]
include = ["{package}", "{package}.*"]

[tool.setuptools.package-data]
"*" = ["*.md"]
"""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a lab is laid out.

    Attributes:
        lab: the lab's name, with dashes.
        topic: its topic.
        package: package of the lab's module, `practicum.labs` in the checkout.
        root: the folder that everything lies in.
        labs: the package's folder.
        test: the test file.
    """

    lab: str
    topic: str
    package: str
    root: Path
    labs: Path
    test: Path

    @property
    def module(self) -> str:
        """The lab's package, the parent of `experiment`."""
        return f"{self.package}.{self.topic}.{self.folder.name}"

    @property
    def folder(self) -> Path:
        """The lab's folder."""
        return self.labs / self.topic / self.lab.replace("-", "_")

    @property
    def ours(self) -> bool:
        """Whether the lab lies in Practicum's own checkout."""
        return self.package == "practicum.labs"

    @property
    def entry(self) -> str:
        """The line that announces the lab among a package's entry points."""
        return f'{self.lab} = "{self.module}.experiment"'


def plan(name: str, here: Path, *, package: str | None = None, into: Path | None = None) -> Layout:
    """Decide where a lab goes, and check that it can go there; nothing is written.

    Args:
        name: `TOPIC/NAME`.
        here: the folder that the command was started in.
        package: package of its own that the lab goes to; None: the checkout, if `here` is one.
        into: folder of that package; None: a folder of the package's name.

    Raises:
        PracticumError: a bad name, an unknown topic, an existing lab, or nowhere to put it.
    """
    topic, lab = _names(name)
    folder = lab.replace("-", "_")
    if package is None and into is None:
        if not _is_checkout(here):
            raise PracticumError(
                f"{here} is no checkout of Practicum; go to one, or give --package NAME to begin "
                "a package of your own"
            )
        labs = here / "practicum" / "labs"
        test = here / "tests" / "labs" / f"test_{folder}.py"
        made = Layout(
            lab=lab, topic=topic, package="practicum.labs", root=here, labs=labs, test=test
        )
    else:
        root = here / (into or Path(package or ""))
        package = package or root.resolve().name.replace("-", "_").lower()
        _check_package(package, root)
        test = root / "tests" / f"test_{folder}.py"
        made = Layout(
            lab=lab, topic=topic, package=package, root=root, labs=root / package, test=test
        )
    for path in (made.folder, made.test):
        if path.exists():
            raise PracticumError(f"{path} is there already; nothing was written")
    return made


def write(layout: Layout) -> list[Path]:
    """Write the lab's files; return them, the experiment first.

    Raises:
        PracticumError: the file system refuses.
    """
    files = {
        layout.folder / "experiment.py": _text("experiment.py", layout),
        layout.folder / "lesson.md": _text("lesson.md", layout),
        layout.test: _text("test_lab.py", layout),
        layout.folder / "__init__.py": f'"""The lab {layout.lab}."""\n',
    }
    around = {
        layout.folder.parent / "__init__.py": f'"""Labs on {layout.topic}."""\n',
        layout.labs / "__init__.py": '"""Labs for Practicum."""\n',
    }
    if not layout.ours:
        around[layout.root / "pyproject.toml"] = PYPROJECT.format(
            distribution=layout.package.replace("_", "-"),
            package=layout.package,
            entry=layout.entry,
        )
    files |= {path: text for path, text in around.items() if not path.exists()}
    for path, text in files.items():
        make_folder(path.parent)
        write_atomic(path, text.encode())
    return list(files)


def _names(name: str) -> tuple[str, str]:
    topic, slash, lab = name.partition("/")
    if not slash or "/" in lab:
        raise PracticumError(
            f"{name!r} is no TOPIC/NAME; for instance training/weight-decay. Topics are: "
            + ", ".join(catalogue.TOPICS)
        )
    if topic not in catalogue.TOPICS:
        raise unknown("topic", topic, catalogue.TOPICS)
    if not LAB.fullmatch(lab) or keyword.iskeyword(lab):
        raise PracticumError(
            f"{lab!r} cannot name a lab; a name is words of lower-case letters and digits with "
            "dashes between, such as weight-decay"
        )
    for entry in catalogue.entries():
        if entry.name == lab:
            raise PracticumError(
                f"there is a lab {lab!r} already, on {entry.topic} in {entry.path}; take another "
                "name"
            )
    return topic, lab


def _is_checkout(folder: Path) -> bool:
    labs = folder / "practicum" / "labs"
    return (labs / "catalogue.py").is_file() and (folder / "tests" / "labs").is_dir()


def _check_package(package: str, root: Path) -> None:
    if not PACKAGE.fullmatch(package) or keyword.iskeyword(package):
        raise PracticumError(
            f"{package!r} cannot name a package; give --package NAME, words of lower-case letters "
            "and digits with underscores between, such as my_labs"
        )
    if (root / "pyproject.toml").exists() and (root / package).is_dir():
        return  # a further lab of one's own package
    if (root / "pyproject.toml").exists():
        raise PracticumError(
            f"{root} is another project already (it has a pyproject.toml); give --into an empty "
            "folder, or --package the name of that project's package"
        )
    if importlib.util.find_spec(package) is not None:
        raise PracticumError(f"a module named {package!r} is installed already; take another name")


def _text(file: str, layout: Layout) -> str:
    text = (TEMPLATE / file).read_text(encoding="utf-8")
    text = text.replace("practicum.labs.template", layout.module)
    return text.replace("template-lab", layout.lab).replace("template lab", f"lab {layout.lab}")
