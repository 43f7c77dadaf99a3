"""The seq2seq lab: its tasks by hand, and what it claims to hold equal.

Catches: sums that are wrong or badly written, a test sum that was trained turned round, arms of a
task with other examples or another start, a test that uses validation pairs, places counted wrong.
"""

from __future__ import annotations

import pytest
import torch

from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import replaced
from practicum.labs.sequences.seq2seq.data import PLUS, addition, copying, turned
from practicum.labs.sequences.seq2seq.experiment import (
    ARMS,
    Setup,
    build,
    examples,
    measures_of,
    places,
    trial,
)
from practicum.nn.seq2seq import END, PAD, Seq2Seq

TINY = {
    "length": 3, "train_size": 48, "validation_size": 8, "test_size": 8, "hidden": 6, "width": 3,
    "batch_size": 16, "steps": 6, "points": 2,
}  # fmt: skip


def read(words: list[int]) -> str:
    """A source or target of the sums as text."""
    signs = {PAD: "", END: "#", PLUS: "+"}
    return "".join(signs.get(word, str(word - 3)) for word in words)


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_the_sums_are_right_and_written_without_leading_zeros(digits: int) -> None:
    pairs = addition(40, digits)
    seen = set()
    for source, target in zip(pairs.source.tolist(), pairs.target.tolist(), strict=True):
        a, b = (int(part) for part in read(source).split("+"))
        assert read(target) == f"{a + b}#"
        assert len(str(a)) == len(str(b)) == digits
        seen.add(frozenset((a, b)))
    assert len(seen) == 40  # neither twice nor turned round
    assert int(max(pairs.source.max(), pairs.target.max())) < pairs.words
    assert turned(pairs).source[0].tolist() == pairs.source[0].tolist()[::-1]
    assert torch.equal(turned(pairs).target, pairs.target)


def test_all_sums_are_drawn_where_all_are_asked_for_and_no_more() -> None:
    pairs = addition(45, 1)
    drawn = {frozenset(map(int, read(one).split("+"))) for one in pairs.source.tolist()}
    assert len(drawn) == 45
    with pytest.raises(PracticumError, match="there are 45 sums"):
        addition(46, 1)


def test_copies_are_copies() -> None:
    pairs = copying(20, 4, 5)
    assert torch.equal(pairs.target[:, :-1], pairs.source)
    assert (pairs.target[:, -1] == END).all()
    assert set(pairs.source.flatten().tolist()) == {3, 4, 5, 6, 7}


def test_arms_differ_only_in_what_the_header_says() -> None:
    arms = {name: replaced(setup, {"rate": 0.01}) for name, setup in ARMS.items()}  # the tuned one
    assert replaced(arms["copy"], {"reverse": True}) == arms["copy-reversed"]
    assert replaced(arms["copy"], {"reads": "always"}) == arms["copy-always"]
    assert replaced(arms["addition"], {"reverse": True}) == arms["addition-reversed"]
    assert replaced(arms["addition"], {"blind": True}) == arms["addition-blind"]
    assert replaced(arms["copy"], {"task": "addition"}) == arms["addition"]
    assert {setup.rate for setup in ARMS.values()} <= {0.005, 0.01, 0.02}


def test_arms_of_a_task_share_their_examples() -> None:
    plain, other = (examples(replaced(ARMS[a], TINY)) for a in ("addition", "addition-reversed"))
    assert torch.equal(plain.target, other.target)
    assert torch.equal(plain.source, other.source.flip(1))
    blind = examples(replaced(ARMS["addition-blind"], TINY))
    assert torch.equal(plain.target, blind.target)
    assert torch.equal(plain.source[0], blind.source[1])


def test_the_test_pairs_choose_nothing_and_are_not_trained_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = replaced(ARMS["copy"], TINY)
    before = trial(setup, [3], Services())
    real = copying(64, 3, 10)
    real.target[-8:, :-1] = real.target[-8:, :-1].roll(1, 0)
    monkeypatch.setattr(
        "practicum.labs.sequences.seq2seq.experiment.copying", lambda n, length, symbols: real
    )
    after = trial(setup, [3], Services())
    for name, one in before.weights[0].items():
        assert torch.equal(one, after.weights[0][name])
    assert torch.equal(before.values["validation_nll"], after.values["validation_nll"])
    assert not torch.equal(before.values["nll"], after.values["nll"])


def test_the_measures_of_a_network_that_always_says_the_same() -> None:
    setup = replaced(ARMS["addition"], TINY)
    network = build(setup, PLUS + 1)
    assert isinstance(network, Seq2Seq)
    with torch.no_grad():
        network.output.weight.zero_()
        network.output.bias.zero_()
        network.output.bias[END] = 9.0
    target = torch.tensor([[5, 6, END, PAD], [7, 8, 9, END], [END, PAD, PAD, PAD]])
    found = measures_of(setup, network, examples(setup).source[:3], target)
    assert float(found["right_sequences"]) == pytest.approx(100 / 3)
    assert float(found["right_words"]) == pytest.approx(100 / 8)  # after END it says PAD
    assert float(found["right_words_given"]) == pytest.approx(100 * 3 / 8)
    assert found["wrong_at"].tolist() == pytest.approx([200 / 3, 100, 50, 0])
    assert places(setup) == 4
    assert places(replaced(setup, {"length": 5})) == 6


def test_beams_and_the_networks_own_words_can_be_chosen() -> None:
    changes = {**TINY, "forced": 0.5, "beam": 2, "layers": 2, "cell": "gru"}
    setup = replaced(ARMS["copy-always"], changes)
    measured = trial(setup, [0], Services())
    assert not measured.diverged.any()
    assert measured.values["wrong_at"].shape == (1, 4)


def test_what_adam_learns_is_learned() -> None:
    changes = {**TINY, "length": 2, "symbols": 3, "hidden": 16, "steps": 250, "train_size": 200}
    measured = trial(replaced(Setup(), changes), [0], Services())
    assert float(measured.values["right_sequences"][0]) == 100
