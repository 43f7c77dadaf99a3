"""The lab on LSTM: its two tasks, its network without a forget gate, and honest guessing.

Catches: a marker outside the first ten or the first half, an answer that is not the sum, padding
that changes an answer; a forget gate that is not held open; a guess that is counted too cheaply,
accepted after a mistake, or answered by another network than the one that was found; arms that do
not share what they should.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.engine.noise import GlobalNoise
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import replaced
from practicum.labs.sequences.lstm.data import Sequences, draw
from practicum.labs.sequences.lstm.experiment import (
    ARMS,
    CHECK_STREAM,
    Setup,
    budget,
    first_time,
    sequences,
    trial,
)
from practicum.labs.sequences.lstm.guessing import REACH, answers, guess, passed, size
from practicum.labs.sequences.lstm.learning import HELD_OPEN, Reader, build, right_percent
from practicum.nn.lstm import LSTM

TINY = {
    "length": 22, "steps": 4, "points": 2, "batch_size": 6, "check_size": 20, "test_size": 50
}  # fmt: skip


def drawn(task: str, count: int, length: int, seed: int = 0, informative: int = 3) -> Sequences:
    with streams(seed).noise():
        return draw(GlobalNoise(), task, count, length, informative)


@settings(max_examples=15, deadline=None)
@given(st.integers(22, 70), st.integers(0, 4))
def test_the_adding_problem_is_the_papers(length: int, seed: int) -> None:
    task = drawn("adding", 60, length, seed)
    assert task.x.shape == (60, length + length // 10, 2)
    for x, last, target in zip(task.x, task.last.tolist(), task.target.tolist(), strict=True):
        assert length <= last + 1 <= length + length // 10
        numbers, markers = x[:, 0].tolist(), x[:, 1].tolist()
        assert markers[0] == markers[last] == -1
        marked = [t for t, marker in enumerate(markers) if marker == 1]
        assert len(marked) in (1, 2)  # one of the two may have been the first pair
        assert all(t < length // 2 for t in marked)
        assert min(marked) < 10 or len(marked) == 1
        assert markers.count(0) == len(markers) - 2 - len(marked)
        assert target == pytest.approx(0.5 + sum(numbers[t] for t in marked) / 4, abs=1e-6)
        assert all(abs(number) <= 1 for number in numbers)
        assert not any(numbers[last + 1 :])


def test_both_marked_pairs_are_anywhere_they_may_be() -> None:
    task = drawn("adding", 4000, 40)
    where = (task.x[..., 1] == 1).sum(0)
    assert where.nonzero()[:, 0].tolist() == list(range(1, 20))
    assert float(where[1:10].float().mean()) > 2 * float(where[10:20].float().mean())


def test_the_constant_answer_has_the_squared_error_that_the_lesson_states() -> None:
    target = drawn("adding", 20000, 60).target
    # The first pair counts as zero: it is the first one marked in 1 of 10, the second in 0.9 of 29.
    expected = 1 / 3 / 16 * (2 - 1 / 10 - 0.9 / 29)
    assert float(((target - 0.5) ** 2).mean()) == pytest.approx(expected, rel=0.03)
    assert float(target.mean()) == pytest.approx(0.5, abs=0.005)


def test_the_two_sequence_problem_tells_its_class_at_the_beginning_only() -> None:
    task = drawn("two-sequence", 3000, 50, informative=2)
    sign = 2 * task.target - 1
    assert torch.equal(task.x[:, 0, 0], sign)
    assert torch.equal(task.x[:, 1, 0], sign)
    rest = task.x[:, 2:50, 0]
    assert float(rest.var()) == pytest.approx(0.2, rel=0.03)
    assert abs(float((rest.mean(1) * sign).mean())) < 0.01
    assert float(task.target.mean()) == pytest.approx(0.5, abs=0.05)


def test_sequences_that_are_too_short_are_refused() -> None:
    with pytest.raises(PracticumError, match="22 or more"):
        drawn("adding", 2, 21)
    with pytest.raises(PracticumError, match="informative"):
        drawn("two-sequence", 2, 30, informative=31)


@pytest.mark.parametrize("learner", ["lstm 1997", "lstm", "rnn"])
def test_padding_changes_no_answer(learner: str) -> None:
    torch.manual_seed(0)
    network = build(Setup(learner=learner, hidden=7))
    task = drawn("adding", 12, 30)
    said = network(task.x, task.last)
    for b, last in enumerate(task.last.tolist()):
        alone = network(task.x[b : b + 1, : last + 1], task.last[b : b + 1])
        torch.testing.assert_close(alone[0], said[b])


def test_the_gate_that_is_held_open_is_no_gate_in_values_and_gradients() -> None:
    torch.manual_seed(0)
    held = build(Setup(learner="lstm 1997", hidden=5)).double()
    without = Reader(LSTM(2, 5, forget_gate=False)).double()
    modern = build(Setup(learner="lstm", hidden=5)).double()
    for other in (without, modern):
        other.load_state_dict(held.state_dict())
    modern.body.weights(0)[2].data[5:10] = 1.0  # its own forget bias
    task = drawn("adding", 9, 40)
    x, last = task.x.double(), task.last
    found, expected, gated = (one(x, last) for one in (held, without, modern))
    assert torch.equal(found, expected)
    assert not torch.allclose(found, gated)
    found.sum().backward()
    expected.sum().backward()
    for (name, one), two in zip(held.named_parameters(), without.parameters(), strict=True):
        assert one.grad is not None, name
        torch.testing.assert_close(one.grad, two.grad)
        if "body" in name:
            assert not one.grad[5:10].any()  # the gate stays where it is
    assert held.body.weights(0)[2][5:10].tolist() == [HELD_OPEN] * 5


def test_an_answer_is_right_below_the_tolerance() -> None:
    said, target = torch.tensor([0.5, 0.5, 0.5, 0.5]), torch.tensor([0.53, 0.55, 0.58, 0.62])
    assert float(right_percent(said, target, "adding")) == 25.0
    assert float(right_percent(said, target, "two-sequence")) == 75.0


def by_hand(weights: list[float], x: list[list[float]], hidden: int) -> float:
    """Return the output unit's last value, unit by unit."""
    units, inputs = hidden + 1, len(x[0])
    w_in = [weights[u * inputs : (u + 1) * inputs] for u in range(units)]
    rest = weights[units * inputs :]
    w_rec = [rest[u * units : (u + 1) * units] for u in range(units)]
    b = [*rest[units * units :], 0.0]
    state = [0.0] * units
    for now in x:
        net = [
            sum(w * v for w, v in zip(w_in[u], now, strict=True))
            + sum(w * v for w, v in zip(w_rec[u], state, strict=True))
            + b[u]
            for u in range(units)
        ]
        state = [1 / (1 + math.exp(-one)) for one in net]
    return state[-1]


@pytest.mark.parametrize(("task", "hidden"), [("adding", 1), ("two-sequence", 2), ("adding", 3)])
def test_guessed_networks_answer_as_unit_by_unit(task: str, hidden: int) -> None:
    torch.manual_seed(0)
    there = drawn(task, 4, 24)
    x = there.x.double()
    weights = 3 * torch.randn(5, size(x.shape[2], hidden), dtype=torch.float64)
    found = answers(weights, x, there.last, hidden)
    for g in range(5):
        for s in range(4):
            read = x[s, : int(there.last[s]) + 1].tolist()
            expected = by_hand(weights[g].tolist(), read, hidden)
            assert float(found[g, s]) == pytest.approx(expected, abs=1e-12)
    swapped = answers(weights.flip(1), x, there.last, hidden)
    assert not torch.allclose(found, swapped)


def test_a_network_is_dropped_at_its_first_mistake() -> None:
    torch.manual_seed(0)
    there = drawn("two-sequence", 30, 25)
    weights = REACH * (2 * torch.rand(3000, size(1, 1)) - 1)
    count = passed(weights, there, 1, 0.1)
    right = (answers(weights, there.x, there.last, 1) - there.target).abs() < 0.1
    for mine, row in zip(count.tolist(), right.tolist(), strict=True):
        assert mine == (row.index(False) if False in row else len(row))
    assert int(count.max()) > 8  # networks that go beyond what all read are among them


def test_sequences_read_are_those_of_one_network_after_the_other() -> None:
    there = drawn("two-sequence", 64, 30, seed=9)
    found = guess(there, hidden=1, tolerance=0.1, budget=40000, seed=1000, services=Services())
    assert found.passed == 64
    generator = streams(1000).generator("initialisation")
    read = 0
    while True:
        block = REACH * (2 * torch.rand(512, size(1, 1), generator=generator) - 1)
        for weights in block:
            right = (answers(weights[None], there.x, there.last, 1)[0] - there.target).abs() < 0.1
            if right.all():
                assert read + 64 == found.sequences
                assert torch.equal(weights, found.weights)
                return
            read += right.tolist().index(False) + 1


def test_guessing_stops_at_its_budget_and_answers_with_the_best_it_may_have_seen() -> None:
    there = drawn("adding", 64, 30)
    found = guess(there, hidden=1, tolerance=0.04, budget=50, seed=0, services=Services())
    assert found.sequences == 50
    assert 0 <= found.passed < 64
    right = (answers(found.weights[None], there.x, there.last, 1)[0] - there.target).abs() < 0.04
    assert right.tolist().index(False) == found.passed


def test_the_first_time_is_the_first_and_the_budget_if_never() -> None:
    right = torch.tensor([[10.0, 99.0, 98.0, 100.0], [0.0, 1.0, 2.0, 98.9]])
    read = torch.tensor([20, 40, 60, 80])
    assert first_time(right, read, 99.0, 90).tolist() == [40.0, 90.0]


def parameters(setup: Setup) -> int:
    return sum(one.numel() for one in build(setup).parameters())


def test_the_plain_network_has_as_many_parameters() -> None:
    assert parameters(ARMS["rnn"]) == pytest.approx(parameters(ARMS["lstm"]), rel=0.03)


def test_arms_of_a_task_share_what_the_header_says() -> None:
    lstm = ARMS["lstm"]
    assert replaced(lstm, {"learner": "lstm", "rate": ARMS["forget"].rate}) == ARMS["forget"]
    for arm in ("forget", "rnn", "guess", "mean"):
        assert budget(ARMS[arm]) == budget(lstm)
        assert ARMS[arm].length == lstm.length
    assert budget(ARMS["two-lstm"]) == budget(ARMS["two-guess"])
    one, two = (
        sequences(ARMS[arm], CHECK_STREAM, 9, Services()) for arm in ("two-lstm", "two-guess")
    )
    assert torch.equal(one.x, two.x)


def test_the_lstms_of_a_seed_start_with_the_same_weights_but_for_two_gates_biases() -> None:
    starts: list[dict[str, Tensor]] = []
    for arm in ("lstm", "forget"):
        with streams(2).init():
            starts.append(dict(build(ARMS[arm]).state_dict()))
    held, modern = starts
    for name, one in held.items():
        rows = (one != modern[name]).nonzero()[:, 0].tolist()
        # Blocks of 16 rows: input gate, forget gate, cell, output gate.
        expected = {"body.bias_ih_l0": [*range(32)], "body.bias_hh_l0": [*range(16)]}
        assert rows == expected.get(name, [])
    assert held["body.bias_ih_l0"][:16].tolist() == [-3.0] * 16
    assert not held["body.bias_hh_l0"][:16].any()
    assert modern["body.bias_ih_l0"][16:32].tolist() == [1.0] * 16


def test_the_mean_and_a_guess_are_measured_like_the_rest() -> None:
    mean = trial(replaced(ARMS["mean"], TINY), [0, 1], Services())
    target = sequences(replaced(ARMS["mean"], TINY), 1_000_000, 50, Services()).target
    expected = float(((target - 0.5) ** 2).mean())
    assert mean.values["squared_error"].tolist() == pytest.approx([expected] * 2)
    found = trial(replaced(ARMS["guess"], TINY), [0], Services())
    assert found.values["sequences"].tolist() == [24.0]
