"""A small finished run with everything in it that a report must cope with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from practicum.engine.record import Record
from practicum.evidence import Measure, Outcomes, higher, judge, lower
from practicum.labs import figures
from practicum.labs.lab import Lab, Scale, setting

HOSTILE = '<script>alert("x")</script> & "quotes"'
COMMAND = "practicum run toy --seeds 6 --set dropout.rate=0.5"
SEEDS = tuple(range(6))


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    rate: float = setting(0.0, f"share of units left out {HOSTILE}", paper=0.5, low=0, high=1)
    width: int = setting(32, "hidden units", unit="units", paper=2048)
    layers: tuple[int, ...] = setting((3, 2), "units of each layer", paper=(3, 2))


MEASURES = (
    Measure("test_error", unit="%", better="lower", says="share of wrong answers", diverged=90.0),
    Measure("loss", unit="nats", better="lower", says="mean cross-entropy on the test images"),
    Measure("accuracy", better="higher", says="1 - test_error / 100"),
)
CLAIMS = (
    lower("test_error", "dropout", than="plain", matters=0.5, sentence="Dropout lowers the error"),
    higher("accuracy", "<b>wide</b>", than="plain", matters=0.1, sentence=f"Wide wins {HOSTILE}"),
)
ARMS = {"plain": Setup(), "dropout": Setup(rate=0.5), "<b>wide</b>": Setup(width=64)}


def draw(record: Record) -> dict[str, Any]:
    return {
        f"Test error of every seed {HOSTILE}": figures.dots(record, "test_error"),
        "Loss while training": figures.curves(record, "loss", log_y=True),
        "Error against width": figures.against(record, "test_error", "width", log_x=True),
    }


def no_trial(setup: Any, seeds: Any, services: Any) -> Any:
    raise AssertionError("a report runs nothing")


def make_lab() -> Lab:
    scale = Scale(seeds=len(SEEDS))
    return Lab(
        name="toy",
        topic="training",
        title=f"A toy lab {HOSTILE}",
        source="Author, A. and Writer, B.: A paper. Journal of Toys 1 (2014).",
        year=2014,
        data=(),
        arms=ARMS,
        measures=MEASURES,
        claims=CLAIMS,
        scales={"smoke": scale, "quick": scale, "full": scale, "paper": scale},
        trial=no_trial,
        figures=draw,
        module="toy",
        header="Question\n    Does it work?",
    )


@pytest.fixture(scope="session")
def lab() -> Lab:
    return make_lab()


def trial_values(arm: str, seed: int) -> dict[str, Any]:
    """Known numbers: no two are equal, so that a swapped row or column shows."""
    shift = {"plain": 8.0, "dropout": 6.5, "<b>wide</b>": 7.9}[arm]
    error = float(shift + 0.1 * np.sin(1 + seed) + 0.013 * seed * len(arm))
    return {
        "test_error": error,
        "loss": (np.exp(-np.linspace(0, 2, 9)) + 0.01 * error + 0.001 * seed).tolist(),
        "accuracy": 1 - error / 100,
    }


def make_record(
    root: Path, *, rate: float = 0.5, bump: float = 0.0, seeds: tuple[int, ...] = SEEDS
) -> Record:
    protocol = {
        "format": 1,
        "lab": "toy",
        "title": f"A toy lab {HOSTILE}",
        "scale": "quick",
        "claims": [claim.spec() for claim in CLAIMS],
        "measures": [measure.spec() for measure in MEASURES],
        "arms": {
            "plain": {"rate": 0.0, "width": 32, "layers": (3, 2)},
            "dropout": {"rate": rate, "width": 32, "layers": (3, 2)},
            "<b>wide</b>": {"rate": 0.0, "width": 64, "layers": (3, 2)},
        },
        "seeds": list(seeds),
        "data": {"no-such-set": "ab" * 32},
        "arithmetic": {"path": "loop", "threads": 1, "torch": "2.13.0"},
        "versions": {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.4", "practicum": "0.1.0"},
    }
    record = Record.create(root, protocol, today=date(2026, 1, 31))
    steps = {"loss": list(range(0, 90, 10))}
    with record.lock():
        for arm in record.arms:
            for seed in record.seeds:
                values = trial_values(arm, seed)
                values["test_error"] += bump * (arm == "dropout")
                lost = (arm, seed) == ("<b>wide</b>", 3)
                if lost:
                    values["test_error"] = float("nan")
                record.save_trial(arm, seed, values, steps, diverged=lost, seconds=0.5)
        found = judge(CLAIMS, Outcomes(**record.outcomes()), MEASURES)
        record.save_verdicts([one.to_json() for one in found])
    return record


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The run; a test that changes files takes a copy."""
    return make_record(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def toy() -> SimpleNamespace:
    """What the run was made from, for tests that compare with it or make another one."""
    return SimpleNamespace(
        make=make_record,
        values=trial_values,
        hostile=HOSTILE,
        command=COMMAND,
        seeds=SEEDS,
        measures=MEASURES,
    )
