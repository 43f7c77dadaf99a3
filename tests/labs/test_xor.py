"""The lab `xor`: would catch a search that misses units or counts functions that no unit computes,
a target that is not parity, arms that do not share their start, a solved run that is not solved,
linear hidden units that are not linear, figures that fail when an arm or a kind of run is missing.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs import runner
from practicum.labs.beginnings.xor import experiment, linear
from practicum.labs.beginnings.xor.drawing import rebuilt
from practicum.labs.beginnings.xor.experiment import ARMS, initial, targets, trial
from practicum.labs.lab import load, replaced
from practicum.labs.protocol import Request
from practicum.learning import back_propagation as bp

SHORT = {"sweeps": 300, "points": 3}


def separable(values: tuple[bool, ...] | np.ndarray) -> bool:
    """Return whether a plane separates the values, by linear programming: the peer."""
    bits = round(math.log2(len(values)))
    x = np.array([[*point, 1.0] for point in itertools.product((0.0, 1.0), repeat=bits)])
    turned = np.where(values, 1.0, -1.0)[:, None] * x
    return bool(
        linprog(
            np.zeros(bits + 1), A_ub=-turned, b_ub=-np.ones(len(x)), bounds=(None, None)
        ).success
    )


def test_the_lab_is_whole() -> None:
    lab = load(experiment.__name__)
    assert (lab.name, lab.topic) == ("xor", "beginnings")


def test_all_sixteen_functions_of_two_bits_are_decided_and_xor_is_beyond_each_unit() -> None:
    """The proof by enumeration: 14 dichotomies of the four points, none with more than 3 of XOR."""
    xor = np.array([False, True, True, False])
    linear_ones = [f for f in itertools.product((False, True), repeat=4) if separable(f)]
    assert len(linear_ones) == 14 == linear.number_computable(2)
    assert max(int((np.array(f) == xor).sum()) for f in linear_ones) == 3
    assert linear.best(2) == 0.75
    assert np.array_equal(linear.parity(2), xor)


def test_the_search_over_three_bits_equals_a_search_without_any_shortcut() -> None:
    parity = np.array([sum(p) % 2 == 1 for p in itertools.product((0, 1), repeat=3)])
    ones = [f for f in itertools.product((False, True), repeat=8) if separable(f)]
    assert len(ones) == linear.number_computable(3) == 104
    assert max(float((np.array(f) == parity).mean()) for f in ones) == linear.best(3)


def test_certificates_agree_with_linear_programming_for_every_monotone_function() -> None:
    functions = linear.monotone(4)
    assert len(functions) == 168
    contradictory = linear.contradictory(functions)
    assert contradictory.any()
    assert [not separable(one) for one in functions] == contradictory.tolist()


def test_the_counts_of_computable_functions_are_the_known_ones() -> None:
    """Known answers: Dedekind's numbers, and threshold functions of 1 to 5 variables."""
    assert [len(linear.monotone(n)) for n in range(6)] == [2, 3, 6, 20, 168, 7581]
    assert [linear.number_computable(n) for n in range(1, 6)] == [4, 14, 104, 1882, 94572]


def test_the_best_share_is_that_of_the_formula() -> None:
    for n in range(1, 6):
        assert linear.best(n) == linear.best_in_theory(n)
    assert [linear.best(n) for n in (2, 3, 4, 5)] == [3 / 4, 3 / 4, 11 / 16, 11 / 16]
    falling = [linear.best_in_theory(n) for n in range(2, 200)]
    assert all(after <= before for before, after in itertools.pairwise(falling))
    assert 0.5 < falling[-1] < 0.53


@given(st.integers(2, 7), st.integers(0, 10_000))
@settings(max_examples=60)
def test_no_random_unit_beats_the_formula(bits: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    x = linear.cases(bits)
    agree = ((x - 0.5) @ random.normal(size=bits) > random.normal()) == linear.parity(bits)
    assert linear.best_in_theory(bits) >= max(agree.mean(), 1 - agree.mean())


def test_weights_that_are_found_compute_their_functions() -> None:
    functions = linear.units(4)
    weights = linear.weights_for(functions)
    x = np.concatenate((linear.cases(4), np.ones((16, 1))), axis=1)
    assert np.array_equal(weights @ x.T > 0, functions)


def test_a_function_that_no_unit_computes_has_no_weights_and_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(linear, "MISTAKES", 200)
    with pytest.raises(PracticumError, match="no weights found for 1"):
        linear.weights_for(linear.parity(2)[None])
    with pytest.raises(PracticumError, match="1 to 5 bits"):
        linear.units(6)


def test_targets_are_parity_or_and() -> None:
    assert targets(ARMS["one unit"]).tolist() == [False, True, True, False]
    assert targets(ARMS["one unit, AND"]).tolist() == [False, False, False, True]
    three = targets(ARMS["one unit, 3 bits"])
    assert three.tolist() == [False, True, True, False, True, False, False, True]


def test_xor_and_and_start_from_the_same_weights_and_seeds_differ() -> None:
    one, other = (initial(ARMS[arm], (3, 4)) for arm in ("one unit", "one unit, AND"))
    assert np.array_equal(one.output, other.output)
    assert not np.array_equal(one.output[0], one.output[1])
    assert np.abs(one.output).max() <= ARMS["one unit"].spread


def test_arms_differ_only_in_what_their_names_say() -> None:
    named = {"task", "bits", "hidden", "direct", "linear"}
    default = ARMS["2-2-1"]
    for setup in ARMS.values():
        for name in ("epsilon", "alpha", "spread", "sweeps", "points"):
            assert getattr(setup, name) == getattr(default, name)
    assert {*named, "epsilon", "alpha", "spread", "sweeps", "points"} == set(
        type(default).__dataclass_fields__
    )


def test_a_run_is_solved_exactly_if_its_last_answers_are_right() -> None:
    setup = replaced(ARMS["2-2-1"], SHORT)
    seeds = tuple(range(12))
    values = trial(setup, seeds, Services()).values
    assert 0 < values["solved"].sum() < len(seeds)
    x, wanted = linear.cases(2), linear.parity(2)
    for row in range(len(seeds)):
        answers = bp.outputs(rebuilt(values["weight"][row]), x)[0, :, 0] > 0.5
        assert values["solved"][row] == float(np.array_equal(answers, wanted))
        assert (values["sweeps"][row] < setup.sweeps) == bool(values["solved"][row])
        assert values["best on the way"][row] >= (answers == wanted).mean()


def test_rounding_does_not_solve_xor() -> None:
    """Known case: this start of the linear network is at one half, and its last bits spell XOR."""
    values = trial(ARMS["linear hidden"], (96,), Services()).values
    assert values["best on the way"] == 0.75
    assert values["solved"] == 0


def test_a_unit_ends_at_one_half_everywhere() -> None:
    values = trial(replaced(ARMS["one unit"], {"sweeps": 2000}), (0, 1), Services()).values
    np.testing.assert_allclose(values["error"][:, -1], 0.5, atol=1e-9)
    assert (values["best on the way"] <= 0.75).all()
    assert (values["best on the way"] >= 0.5).all()


def test_linear_hidden_units_are_one_unit_and_the_logistic_function_is_what_helps() -> None:
    """The product of the two layers gives the same answers; with the logistic function, not so."""
    network = initial(ARMS["linear hidden"], (7,))
    x = linear.cases(2)
    into, out = network.hidden[0], network.output[0]
    totals = np.concatenate((x, np.ones((4, 1))), axis=1) @ into @ out[:-1] + out[-1]
    one_unit = 1 / (1 + np.exp(-totals))
    np.testing.assert_allclose(bp.outputs(network, x)[0], one_unit, rtol=1e-12)
    curved = bp.Weights(hidden=network.hidden, output=network.output)
    assert not np.allclose(bp.outputs(curved, x)[0], one_unit, rtol=1e-3)


@pytest.mark.parametrize("arm", ["one unit, 5 bits", "direct 2-1-1", "2-8-1"])
def test_a_group_of_seeds_gives_the_bits_of_one_after_the_other(arm: str) -> None:
    setup = replaced(ARMS[arm], SHORT)
    lanes = Services(arithmetic=Arithmetic(path="lanes", lane_group=3, precision="float64"))
    together = trial(setup, (4, 1, 7), lanes).values
    for row, seed in enumerate((4, 1, 7)):
        alone = trial(setup, (seed,), Services()).values
        for name, value in alone.items():
            assert np.array_equal(value[0], together[name][row]), name


def test_a_run_over_three_bits_ends_with_verdicts_and_without_the_picture_of_the_square(
    tmp_path: Path,
) -> None:
    request = Request(lab="xor", scale="smoke", set={"bits": "3", "sweeps": "40"}, seeds=(0, 1))
    record = runner.run(request, tmp_path, workers=1)
    assert len(record.verdicts) == len(experiment.CLAIMS)
    assert len(experiment.figures(record)) == 3
