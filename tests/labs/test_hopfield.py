"""The lab `hopfield`: would catch arms that store different patterns, a diagonal that slips in, a
load measured in the wrong unit, a recall that never starts at the pattern, a seed that depends on
its neighbours, and a wrong network that the measures would not notice.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from practicum.engine.services import Services
from practicum.labs.beginnings.hopfield import experiment
from practicum.labs.beginnings.hopfield.experiment import ARMS, Setup, trial
from practicum.labs.lab import load, replaced
from practicum.nn import hopfield

SMOKE = experiment.SCALES["smoke"].set
ONE = Setup(units=200, loads=())


def test_the_lab_is_whole() -> None:
    lab = load(experiment.__name__)
    assert (lab.name, lab.topic) == ("hopfield", "beginnings")


@pytest.mark.parametrize("arm", ARMS)
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    setup = replaced(ARMS[arm], SMOKE)
    together = trial(setup, (4, 1, 7), Services()).values
    alone = trial(setup, (7,), Services()).values
    for name, values in together.items():
        assert np.array_equal(values[2], alone[name][0]), name


def test_seeds_differ() -> None:
    overloaded = replaced(ONE, {"beyond": 0.3})
    curves = trial(overloaded, (0, 1, 2), Services()).values["overlap"]
    assert len({tuple(row) for row in curves.tolist()}) == 3


def test_curves_and_numbers_at_a_load_agree() -> None:
    measured = trial(ONE, (0,), Services())
    loads = measured.steps["overlap"].tolist()
    assert loads == [0.1, 0.138, 0.18]
    at = measured.values
    assert at["overlap at the limit"][0] == at["overlap"][0, 1]
    assert at["exact below"][0] == at["exact"][0, 0]
    assert at["collapse"][0] == at["overlap"][0, 1] - at["overlap"][0, 2]


def test_arms_of_one_size_store_the_same_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[torch.Tensor] = []
    kept = experiment.outer_product

    def spy(patterns: torch.Tensor, *, keep_diagonal: bool) -> torch.Tensor:
        stored.append(patterns)
        return kept(patterns, keep_diagonal=keep_diagonal)

    monkeypatch.setattr(experiment, "outer_product", spy)
    setups = [ARMS[arm] for arm in ("1000 units", "diagonal kept", "all at once", "not stored")]
    for setup in setups:
        trial(replaced(setup, {"units": 50, "loads": (0.05,)}), (2,), Services())
    each = len(stored) // 4
    assert each == 5
    for other in range(1, 4):
        for i in range(each):
            assert torch.equal(stored[i], stored[other * each + i])
    assert sorted(len(one) for one in stored[:each]) == [2, 3, 5, 7, 9]


def test_the_network_has_no_self_coupling_unless_the_arm_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    diagonals = []
    kept = hopfield.Hopfield.__init__

    def spy(self: hopfield.Hopfield, couplings: torch.Tensor) -> None:
        diagonals.append(float(couplings.diagonal().abs().max()))
        kept(self, couplings)

    monkeypatch.setattr(hopfield.Hopfield, "__init__", spy)
    trial(replaced(ARMS["1000 units"], SMOKE), (0,), Services())
    assert max(diagonals) == 0.0
    diagonals.clear()
    trial(replaced(ARMS["diagonal kept"], SMOKE), (0,), Services())
    assert min(diagonals) > 0.0


def test_few_patterns_are_recalled_exactly_and_many_are_not() -> None:
    few = trial(replaced(ONE, {"loads": (0.02,)}), (0, 1), Services()).values
    assert (few["exact"][:, 0] == 1.0).all()
    assert (few["exact when sparse"] == 1.0).all()
    many = trial(replaced(ONE, {"beyond": 0.4}), (0, 1), Services()).values
    assert (many["overlap beyond"] < 0.7).all()


def test_states_that_were_not_stored_drift_away() -> None:
    stored = trial(ONE, (0,), Services()).values["overlap below"][0]
    other = trial(replaced(ONE, {"start": "not stored"}), (0,), Services()).values
    assert stored > 0.95
    assert other["overlap below"][0] < 0.5
    assert other["exact below"][0] == 0.0


def test_a_rule_with_the_wrong_sign_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = experiment.outer_product
    monkeypatch.setattr(experiment, "outer_product", lambda patterns, **how: -kept(patterns, **how))
    assert trial(ONE, (0,), Services()).values["overlap below"][0] < 0.5


def test_a_seed_averages_as_many_networks_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    kept = experiment._recall

    def spy(*arguments: object) -> object:
        drawn.append(1)
        return kept(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(experiment, "_recall", spy)
    trial(replaced(ONE, {"networks": 3, "units": 40}), (0, 1), Services())
    assert len(drawn) == 2 * 3 * 4
