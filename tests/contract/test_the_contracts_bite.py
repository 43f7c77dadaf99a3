"""Each contract accepts the lab that `practicum new-lab` lays out, and rejects it when broken.

Catches: a contract that checks nothing. One small package is laid out; each of its labs is the
template with one thing broken in it, the way it goes wrong in practice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from practicum.errors import PracticumError
from practicum.labs import catalogue, layout
from practicum.report import lesson_results
from tests.contract import contracts
from tests.contract.contracts import Broken, Subject

NETWORK = "MLP(x[0].numel(), setup.hidden, int(y.max()) + 1)"
ERRORS = '"test_error": torch.stack(errors)'
END = "\n\ndef trial("
CHECKED = ("gradients", "state", "lanes")
EXCEPT = 'DATA = ("digits", "mnist", "fashion-mnist")'

IDLE = """

class Idle(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.idle = inner, torch.nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return self.inner(x)
"""
CUT_OFF = """

class CutOff(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.first, self.inner = torch.nn.Linear(64, 64), inner

    def forward(self, x):
        return self.inner(x.flatten(1) + self.first(x.flatten(1)).detach())
"""
FORGETFUL = """

class Forgetful(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, x):
        self.calls += 1  # no buffer: a checkpoint does not have it
        return self.inner(x) / (1 + 0.1 * self.calls)
"""
LOOKING = """

class Looking(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x * 2 if x.mean() > 0.3 else x)
"""


def replaced(old: str, new: str, added: str = "") -> Callable[[str], str]:
    """Return the change of a text that replaces a part, and adds some more before the trial."""

    def change(text: str) -> str:
        assert old in text, f"the template lacks {old!r}"
        return text.replace(old, new, 1).replace(END, added + END, 1)

    return change


# lab: (file, change, contract that it breaks, words of the message)
BROKEN = {
    "idle-part": (
        "experiment.py",
        replaced(NETWORK, f"Idle({NETWORK})", IDLE),
        "gradients",
        "network.idle never gets a gradient",
    ),
    "cut-off-part": (
        "experiment.py",
        replaced(NETWORK, f"CutOff({NETWORK})", CUT_OFF),
        "gradients",
        "network.first.weight never gets a gradient",
    ),
    "trains-nothing": (
        "experiment.py",
        replaced(
            "    images = load(setup.data)\n",
            "    noise = [float(streams(s).numpy('noise').normal()) for s in seeds]\n"
            "    return Measurements(values={'test_error': noise})\n"
            "    images = load(setup.data)\n",
        ),
        "gradients",
        "say why in EXCEPTIONS",
    ),
    "forgetful": (
        "experiment.py",
        replaced(NETWORK, f"Forgetful({NETWORK})", FORGETFUL),
        "state",
        "after an interruption",
    ),
    "one-name": (
        "experiment.py",
        lambda text: text.replace('name=f"rate-{rate}"', 'name="one"').replace(
            '"rates": (0.1,)', '"rates": (0.1, 0.2)'
        ),
        "state",
        "names of their own",
    ),
    "keeps-services": (
        "experiment.py",
        replaced("        services=services,\n", "        services=Services(),\n"),
        "state",
        "does not hand the engine",
    ),
    "looks-at-numbers": (
        "experiment.py",
        replaced(NETWORK, f"Looking({NETWORK})", LOOKING),
        "lanes",
        "cannot run in lanes",
    ),
    "other-in-lanes": (
        "experiment.py",
        replaced("SGD(lr=rate", "SGD(lr=rate if services.arithmetic.path == 'loop' else 2 * rate"),
        "lanes",
        "in lanes",
    ),
    "needless": (
        "experiment.py",
        replaced(EXCEPT, EXCEPT + f"\nEXCEPTIONS = {dict.fromkeys(CHECKED, 'no')}"),
        "gradients",
        "is not needed",
    ),
    "other-every-time": (
        "experiment.py",
        replaced(
            ERRORS,
            '"test_error": torch.stack(errors) + torch.rand(len(seeds), dtype=torch.float64)',
        ),
        "same_bits",
        "again, among other seeds",
    ),
    "neighbours": (
        "experiment.py",
        replaced(ERRORS, '"test_error": torch.stack(errors) + 1e-9 * len(seeds)'),
        "same_bits",
        "again, among other seeds",
    ),
    "untrue": (
        "experiment.py",
        replaced(END, '\nglobals()["TITLE"] = "Another title"\n' + END),
        "tells_the_truth",
        "Another title",
    ),
    "fails": (
        "experiment.py",
        replaced("    images = load(setup.data)\n", "    images = load(setup.dta)\n"),
        "runs_to_verdicts",
        "dta",
    ),
    "blank": (
        "experiment.py",
        replaced(
            "    return {\n        \"Test error of every seed",
            "    import matplotlib.figure\n\n"
            '    return {"Nothing": matplotlib.figure.Figure()}\n'
            "    return {\n        \"Test error of every seed",
        ),
        "figures_show_something",
        "Nothing: blank",
    ),
    "header-missing": (
        "experiment.py",
        replaced("Pitfalls of naive", "Traps of naive"),
        "header",
        "Pitfalls",
    ),
    "misspelt": (
        "lesson.md",
        replaced("--set steps=20", "--set stesp=20"),
        "lesson",
        "did you mean 'steps'",
    ),
    "impossible": (
        "lesson.md",
        replaced("--set steps=20", "--set batch_size=5000"),
        "lesson",
        "does not fit",
    ),
    "one-question": (
        "lesson.md",
        lambda text: text.replace("$ practicum run", "$ practicum-run"),
        "lesson",
        "three are needed",
    ),
}  # fmt: skip

CONTRACTS: dict[str, Callable[[Subject], None]] = {
    "gradients": lambda lab: contracts.holds("gradients", contracts.gradients, lab),
    "state": lambda lab: contracts.holds("state", contracts.state_round_trips, lab),
    "lanes": lambda lab: contracts.holds("lanes", contracts.lanes_equal_loop, lab),
    "same_bits": contracts.same_bits,
    "tells_the_truth": contracts.tells_the_truth,
    "runs_to_verdicts": contracts.runs_to_verdicts,
    "figures_show_something": contracts.figures_show_something,
    "lesson": contracts.lesson_commands_run,
    "header": contracts.header_says_what_would_refute_it,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on the path with one package of sound and broken labs, announced as installed."""
    root = tmp_path_factory.mktemp("site")
    names = ["sound", *BROKEN]
    for name in names:
        made = layout.plan(f"society/{name}", root, package="broken_labs", into=Path())
        layout.write(made)
    for name, (file, change, _, _) in BROKEN.items():
        path = root / "broken_labs" / "society" / name.replace("-", "_") / file
        path.write_text(change(path.read_text()))
    info = root / "broken_labs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-labs\nVersion: 1.0\n")
    modules = {name: f"broken_labs.society.{name.replace('-', '_')}.experiment" for name in names}
    lines = [f"{name} = {module}\n" for name, module in modules.items()]
    (info / "entry_points.txt").write_text("[practicum.labs]\n" + "".join(lines))
    sys.path.insert(0, str(root))
    catalogue._all.cache_clear()
    yield root
    sys.path.remove(str(root))
    catalogue._all.cache_clear()


def subject(name: str, root: Path) -> Subject:
    return Subject(catalogue.find(name), root / "runs")


@pytest.fixture(scope="module")
def sound(site: Path) -> Subject:
    return subject("sound", site)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_lab_that_is_laid_out_keeps_every_contract(contract: str, sound: Subject) -> None:
    assert sound.entry.origin == "broken-labs"
    CONTRACTS[contract](sound)


@pytest.mark.parametrize("name", BROKEN)
def test_a_lab_that_breaks_a_contract_is_rejected(name: str, site: Path) -> None:
    _, _, contract, words = BROKEN[name]
    broken = subject(name, site)
    with pytest.raises((Broken, PracticumError, AttributeError), match=words or None):
        CONTRACTS[contract](broken)


@pytest.mark.parametrize("contract", CHECKED)
def test_an_exception_is_accepted_only_where_it_is_needed(contract: str, site: Path) -> None:
    with pytest.raises(Broken, match=f"EXCEPTIONS\\['{contract}'\\] is not needed"):
        CONTRACTS[contract](subject("needless", site))


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("idle-part", "gradients"),
        ("forgetful", "state"),
        ("looks-at-numbers", "lanes"),
        *(("trains-nothing", contract) for contract in CHECKED),
    ],
)
def test_a_declared_exception_is_accepted(name: str, contract: str, site: Path) -> None:
    lab = subject(name, site)
    lab.entry.exceptions[contract] = "because it is so"
    try:
        CONTRACTS[contract](lab)
    finally:
        del lab.entry.exceptions[contract]


def test_a_number_typed_into_the_lessons_results_is_noticed(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    text = catalogue.find("dropout").lesson.read_text()
    lesson = tmp_path / "lesson.md"
    lesson.write_text(text)
    assert lesson_results.is_current(lesson, root / "results" / "dropout.json")
    lesson.write_text(text.replace("−1.54 points", "−2.54 points"))
    assert lesson.read_text() != text
    assert not lesson_results.is_current(lesson, root / "results" / "dropout.json")
