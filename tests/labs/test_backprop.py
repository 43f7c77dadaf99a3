"""The lab `backprop`: would catch targets that are not mirror symmetry, a measure of the weights
that other weights pass, an unsolved start that counts as anything but unsolved, arms with another
start, a sum taken for a mean, a bound of 57 that some unit breaks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.services import Services
from practicum.labs import runner
from practicum.labs.lab import load, replaced
from practicum.labs.protocol import Request
from practicum.labs.training.backprop import experiment, symmetry
from practicum.labs.training.backprop.experiment import (
    ARMS,
    BEST_UNIT,
    initial,
    shuffled,
    structure,
    trial,
)
from practicum.learning import back_propagation as bp

SHORT = {"sweeps": 60, "points": 3}
PAPER = np.array([1.0, -2.0, 4.0, -4.0, 2.0, -1.0])
OTHER = np.array([3.0, -2.0, 4.0, -4.0, 2.0, -3.0])


def network(weights: np.ndarray, scale: float = 12.0) -> bp.Weights:
    """Return the paper's solution with one unit's weights, the other's being the opposite."""
    bias = [-0.5 * scale]
    hidden = np.stack([np.append(scale * weights, bias), np.append(-scale * weights, bias)], axis=1)
    return bp.Weights(hidden=hidden[None], output=np.array([[-20.0], [-20.0], [10.0]])[None])


def test_the_lab_is_whole() -> None:
    lab = load(experiment.__name__)
    assert (lab.name, lab.topic) == ("backprop", "training")


def test_eight_of_the_sixty_four_patterns_are_their_own_mirror_image() -> None:
    x, d = symmetry.cases()
    assert x.shape == (64, 6)
    assert len({tuple(row) for row in x}) == 64
    for row, wanted in zip(x, d[:, 0], strict=True):
        assert wanted == float(row.tolist() == row.tolist()[::-1])
    assert d.sum() == 8  # always "no" is right on the other 56


@pytest.mark.parametrize("weights", [PAPER, OTHER, PAPER[[2, 0, 1, 4, 5, 3]]])
def test_antisymmetric_weights_solve_it_if_no_sizes_balance_each_other(weights: np.ndarray) -> None:
    x, d = symmetry.cases()
    answers = bp.outputs(network(weights), x)[0]
    assert np.array_equal(answers > 0.5, d > 0.5)


@pytest.mark.parametrize(
    "weights",
    [
        np.array([1.0, -2.0, 3.0, -3.0, 2.0, -1.0]),  # 1 + 2 = 3
        np.array([1.0, -2.0, 4.0, 4.0, 2.0, 1.0]),  # symmetric
        np.array([1.0, -2.0, 4.0, -1.0, 2.0, -4.0]),  # mirrored at the wrong places
    ],
)
def test_other_weights_do_not_solve_it(weights: np.ndarray) -> None:
    x, d = symmetry.cases()
    assert not np.array_equal(bp.outputs(network(weights), x)[0] > 0.5, d > 0.5)


def alike(hidden: np.ndarray, solved: float = 1.0) -> tuple[float, float]:
    weights = bp.Weights(hidden=hidden, output=np.zeros((1, 3, 1)))
    found = structure(weights, np.array([solved]))
    return float(found["as in the paper"][0]), float(found["another way"][0])


def test_the_papers_weights_are_recognised_in_any_order_sign_and_scale() -> None:
    for weights in (PAPER, -0.3 * PAPER, PAPER[[2, 0, 1, 4, 5, 3]]):
        assert alike(network(weights).hidden) == (1.0, 0.0)


def test_other_weights_are_not_taken_for_the_papers() -> None:
    assert alike(network(OTHER).hidden) == (0.0, 1.0)
    crooked = network(PAPER).hidden.copy()
    crooked[0, 0, 0] += 0.2 * np.abs(crooked[0, :6, 0]).max()  # no longer antisymmetric
    assert alike(crooked) == (0.0, 1.0)
    same = network(PAPER).hidden.copy()
    same[0, :, 1] = same[0, :, 0]  # both units the same, not opposite
    assert alike(same) == (0.0, 1.0)
    mixed = network(PAPER).hidden.copy()
    mixed[0, :6, 1] = -np.array([4.0, -1.0, 2.0, -2.0, 1.0, -4.0])  # 1:2:4, elsewhere
    assert alike(mixed) == (0.0, 1.0)


def test_a_start_that_did_not_solve_it_has_neither_the_papers_weights_nor_others() -> None:
    assert alike(network(PAPER).hidden, solved=0.0) == (0.0, 0.0)
    assert alike(network(OTHER).hidden, solved=0.0) == (0.0, 0.0)


def test_the_numbers_of_the_weights_are_those_of_the_formulas() -> None:
    w = np.array([0.9, -2.2, 4.0, -4.0, 1.8, -1.1])[None, :, None]
    assert symmetry.antisymmetry(w)[0, 0] == pytest.approx(0.4 / 4.0)
    assert symmetry.ratios(w)[0, :, 0] == pytest.approx([2.0, 4.0])
    assert symmetry.off_ratio(w)[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert symmetry.off_ratio(OTHER[None, :, None])[0, 0] == pytest.approx(1.0)
    both = np.stack([PAPER, -PAPER], axis=1)[None]
    assert symmetry.opposition(both)[0] == pytest.approx(-1.0)


def test_one_unit_gets_fifty_seven_and_no_random_one_gets_more() -> None:
    x, d = symmetry.cases()
    random = np.random.default_rng(0)
    directions = random.normal(size=(4000, 6)) * random.choice([0.1, 1.0], size=(4000, 6))
    scores = directions @ x.T  # [units, patterns]
    order = np.argsort(-scores, axis=1)
    # With the threshold after the j-th pattern the first j are answered yes.
    gains = np.cumsum(np.where(d[order, 0] > 0.5, 1, -1), axis=1)
    best = 56 + int(gains.max())
    assert best == BEST_UNIT
    corner = (x - 0.5) @ np.ones(6) > 2.5  # yes to 111111 only
    assert int((corner == (d[:, 0] > 0.5)).sum()) == BEST_UNIT


def test_all_arms_with_hidden_units_start_from_the_same_weights() -> None:
    start = initial(ARMS["6-2-1"], (2, 5))
    assert np.abs(start.hidden).max() <= 0.3
    assert not np.array_equal(start.hidden[0], start.hidden[1])
    for arm in ("shuffled", "mean gradient", "no momentum", "long steps"):
        other = initial(ARMS[arm], (2, 5))
        assert np.array_equal(start.hidden, other.hidden), arm
        assert np.array_equal(start.output, other.output), arm


def test_shuffled_targets_are_as_many_and_the_seeds_own() -> None:
    d = symmetry.cases()[1]
    one, other = shuffled(d, 0), shuffled(d, 1)
    assert one.sum() == other.sum() == 8
    assert not np.array_equal(one, other)
    assert np.array_equal(one, shuffled(d, 0))
    assert not np.array_equal(one, d)


def test_the_mean_arm_takes_steps_sixty_four_times_as_short() -> None:
    mean = trial(replaced(ARMS["mean gradient"], SHORT), (1,), Services()).values
    by_hand = {**SHORT, "epsilon": 0.1 / 64}
    assert np.array_equal(
        mean["weight"], trial(replaced(ARMS["6-2-1"], by_hand), (1,), Services()).values["weight"]
    )
    longer = trial(replaced(ARMS["6-2-1"], SHORT), (1,), Services()).values["weight"]
    assert not np.allclose(mean["weight"], longer, atol=1e-3)


def test_the_long_steps_go_as_far_in_the_long_run_as_momentum_does() -> None:
    momentum, long = ARMS["6-2-1"], ARMS["long steps"]
    assert long.alpha == ARMS["no momentum"].alpha == 0
    assert long.epsilon == pytest.approx(momentum.epsilon / (1 - momentum.alpha))
    assert ARMS["no momentum"].epsilon == momentum.epsilon


def test_solved_and_quick_are_read_off_the_last_answers() -> None:
    """A short run with long steps: some seeds solve it, some do not; the weights tell which."""
    setup = replaced(ARMS["long steps"], {"sweeps": 800, "points": 4, "quick": 700})
    seeds = tuple(range(8))
    values = trial(setup, seeds, Services()).values
    assert 0 < values["solved"].sum() < len(seeds)
    x, d = symmetry.cases()
    for row in range(len(seeds)):
        numbers = values["weight"][row]
        last = bp.Weights(
            hidden=numbers[:14].reshape(1, 7, 2), output=numbers[14:].reshape(1, 3, 1)
        )
        right = int(((bp.outputs(last, x)[0] > 0.5) == (d > 0.5)).sum())
        assert values["right"][row] == right
        assert values["solved"][row] == float(right == 64)
        quick = values["solved"][row] and values["sweeps"][row] <= 700
        assert values["as quick as the paper"][row] == float(quick)
        kinds = values["as in the paper"][row] + values["another way"][row]
        assert kinds == values["solved"][row]


@pytest.mark.parametrize("hidden", [0, 1, 2, 3])
def test_any_number_of_hidden_units_can_be_measured(hidden: int) -> None:
    values = trial(replaced(ARMS["6-2-1"], {**SHORT, "hidden": hidden}), (0, 1), Services()).values
    assert np.array_equal(values["as in the paper"] + values["another way"], values["solved"])


def test_a_run_with_more_hidden_units_in_one_arm_ends_with_verdicts_and_figures(
    tmp_path: Path,
) -> None:
    request = Request(lab="backprop", scale="smoke", set={"6-2-1.hidden": "3"}, seeds=(0, 1))
    record = runner.run(request, tmp_path, workers=1)
    assert len(record.verdicts) == len(experiment.CLAIMS)
    assert len(experiment.figures(record)) == 2


@pytest.mark.parametrize("arm", ARMS)
def test_a_group_of_seeds_gives_the_bits_of_one_after_the_other(arm: str) -> None:
    setup = replaced(ARMS[arm], SHORT)
    lanes = Services(arithmetic=Arithmetic(path="lanes", lane_group=3, precision="float64"))
    together = trial(setup, (4, 1, 7), lanes).values
    for row, seed in enumerate((4, 1, 7)):
        alone = trial(setup, (seed,), Services()).values
        for name, value in alone.items():
            assert np.array_equal(value[0], together[name][row]), name
