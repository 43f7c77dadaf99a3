"""The scores lab: what differs between its arms, and what is measured.

Catches: arms that differ in more than the score, a scale that is not the root of the width, weights
of padding counted as looks, a sharpness over the rows beyond a target's end.
"""

from __future__ import annotations

import math

import pytest
import torch

from practicum.engine.services import Services
from practicum.labs.attention.scores.experiment import ARMS, SCALES, Setup, build, trial
from practicum.labs.attention.scores.measuring import looked, sharpness
from practicum.labs.lab import replaced
from practicum.nn.seq2seq import END, PAD

TINY = {
    "known": 20, "train_size": 24, "pool": 32, "validation_size": 6, "test_size": 6, "width": 4,
    "hidden": 6, "batch_size": 8, "steps": 2, "points": 1,
}  # fmt: skip


def test_arms_differ_in_what_is_read_in_width_and_in_their_tuned_rate_only() -> None:
    plain = {"reads": "scaled", "feeding": False, "hidden": Setup().hidden, "rate": Setup().rate}
    assert all(replaced(setup, plain) == Setup() for setup in ARMS.values())
    wide = [name for name, setup in ARMS.items() if setup.hidden == 4 * Setup().hidden]
    assert wide == ["dot-wide", "scaled-wide"]
    full = SCALES["full"].set
    assert full["dot-wide.hidden"] == full["scaled-wide.hidden"] == 4 * full["hidden"]


@pytest.mark.parametrize("hidden", [4, 16])
def test_the_plain_score_is_the_scaled_one_times_the_root_of_the_width(hidden: int) -> None:
    source, lengths = torch.tensor([[5, 6, 7, 8]]), torch.tensor([4])
    target = torch.tensor([[4, 5, END]])
    weights = {}
    for arm in ("dot", "scaled"):
        torch.manual_seed(1)
        network = build(replaced(ARMS[arm], {**TINY, "hidden": hidden}), 9, 11)
        for one in network.parameters():
            one.data *= 4  # so that the scores differ
        weights[arm] = looked(network, source, target, lengths).double()
    scores = {arm: one.log() - one.log().mean(2, keepdim=True) for arm, one in weights.items()}
    assert float(scores["dot"].abs().max()) > 0.5
    expected = math.sqrt(hidden) * scores["scaled"]
    torch.testing.assert_close(scores["dot"], expected, rtol=1e-4, atol=1e-4)


def test_nobody_looks_at_padding_and_rows_beyond_the_end_are_nothing() -> None:
    torch.manual_seed(0)
    network = build(replaced(ARMS["additive"], TINY), 9, 11)
    source, lengths = torch.tensor([[5, 6, 7], [8, PAD, PAD]]), torch.tensor([3, 1])
    target = torch.tensor([[4, 5, END], [END, PAD, PAD]])
    weights = looked(network, source, target, lengths)
    torch.testing.assert_close(weights[0].sum(1), torch.ones(3))
    assert weights[1].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    long = torch.tensor([[5, 6, 7, PAD], [8, PAD, PAD, PAD]])
    more = looked(network, long, target, lengths)
    torch.testing.assert_close(more[:, :, :3], weights)
    assert float(more[:, :, 3].abs().max()) == 0


def test_sharpness_is_the_mean_of_the_largest_weights_of_words() -> None:
    target = torch.tensor([[4, END], [END, PAD]])
    weights = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], [[0.0, 0.9, 0.1], [0, 0, 0]]])
    assert float(sharpness(weights, target)) == pytest.approx(100 * (0.5 + 0.8 + 0.9) / 3)


def test_the_mean_is_as_sharp_as_its_sources_are_short() -> None:
    found = trial(replaced(ARMS["mean"], TINY), [3], Services())
    torch.manual_seed(0)
    network = build(replaced(ARMS["mean"], TINY), 20, 20)
    source, target = torch.tensor([[5, 6, 7, 8], [8, 4, PAD, PAD]]), torch.tensor([[END], [END]])
    weights = looked(network, source, target, torch.tensor([4, 2]))
    assert float(sharpness(weights, target)) == pytest.approx(37.5)
    assert 0 < float(found.values["sharpness"]) < 50


def test_dot_and_scaled_start_alike_and_see_the_same_examples() -> None:
    still = {**TINY, "rate": 0.0}
    a, b = (trial(replaced(ARMS[arm], still), [3], Services()) for arm in ("dot", "scaled"))
    names = [name for name in a.weights[0] if name != "looked"]
    assert all(torch.equal(a.weights[0][name], b.weights[0][name]) for name in names)
    assert not torch.equal(a.values["nll"], b.values["nll"])
    assert torch.equal(a.values["parameters"], b.values["parameters"])
