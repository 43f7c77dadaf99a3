"""The attention lab: its language by hand, and what it measures of networks that are known.

Catches: a target that does not belong to its source, a place counted from the wrong end, padding
that is translated, test pairs that are trained on, arms with other pairs, an alignment that is
measured against the wrong word, a fall with the wrong sign.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.attention.attention import measuring
from practicum.labs.attention.attention.data import dictionary, draw, origins
from practicum.labs.attention.attention.experiment import ARMS, Setup, build, trial
from practicum.labs.attention.attention.measuring import attention_map, lengths_of, measures_of
from practicum.labs.lab import replaced
from practicum.nn.seq2seq import BEGIN, END, PAD, Seq2Seq

TINY = {
    "longest": 3, "beyond": 4, "symbols": 4, "train_size": 32, "validation_size": 6, "test_size": 6,
    "hidden": 6, "width": 3, "batch_size": 16, "steps": 4, "points": 2,
}  # fmt: skip


def test_the_language_is_translated_by_the_dictionary_with_neighbours_exchanged() -> None:
    words = dictionary(7)
    assert sorted(words.tolist()) == list(range(3, 10))
    pairs = draw(200, 1, 5, 7, streams(1).order())
    assert set(pairs.lengths.tolist()) == {1, 2, 3, 4, 5}
    for source, n, target in zip(
        pairs.source.tolist(), pairs.lengths.tolist(), pairs.target.tolist(), strict=True
    ):
        read = [int(words[x - 3]) for x in source[:n]]
        for i in range(0, n - 1, 2):
            read[i], read[i + 1] = read[i + 1], read[i]
        assert target == [*read, END, *[PAD] * (5 - n)]
        assert source[n:] == [PAD] * (5 - n)


def test_origins_say_where_each_target_word_comes_from() -> None:
    assert origins(5).tolist() == [1, 0, 3, 2, 4]
    assert origins(4).tolist() == [1, 0, 3, 2]
    pairs = draw(10, 5, 5, 7, streams(1).order())
    expected = dictionary(7)[pairs.source[:, origins(5)] - 3]
    assert torch.equal(pairs.target[:, :5], expected)


class Known(Seq2Seq):
    """Knows the language, but errs at chosen lengths, and looks where it is told."""

    def __init__(self, symbols: int, wrong: tuple[int, ...], shift: int) -> None:
        super().__init__(symbols + 3, symbols + 3, width=2, hidden=2, reads="dot")
        self.words, self.wrong, self.shift = dictionary(symbols), wrong, shift

    def answer(self, source: Tensor) -> Tensor:
        said = self.words[source[:, origins(source.shape[1])] - 3]
        if source.shape[1] in self.wrong:
            said[:, 0] = PAD
        return torch.cat((said, torch.full_like(said[:, :1], END)), 1)

    def forward(self, source: Tensor, *_: object) -> Tensor:
        return 9.0 * torch.nn.functional.one_hot(self.answer(source), len(self.words) + 3)

    def greedy(self, source: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        return self.answer(source), torch.empty(0)


def test_what_is_measured_of_networks_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    g = streams(2).order()
    tests = {}
    for length in (2, 4, 6):
        pairs = draw(8, length, length, 5, g)
        tests[length] = (pairs.source, pairs.target)
    network = Known(5, wrong=(4,), shift=0)
    looked = torch.nn.functional.one_hot(torch.cat((origins(4), torch.tensor([0]))), 4).double()
    monkeypatch.setattr(measuring, "attention_of", lambda *_: looked.expand(8, -1, -1))
    found = measures_of(network, tests, 4)
    assert found["right_words"].tolist() == pytest.approx([100, 80, 100])
    assert found["right_sequences"].tolist() == [100, 0, 100]
    assert float(found["fall"]) == pytest.approx(20)
    assert float(found["right_beyond"]) == 100
    assert float(found["aligned"]) == 100
    assert float(found["nll"]) == pytest.approx(9 / 5, abs=0.01)
    monkeypatch.setattr(measuring, "attention_of", lambda *_: looked.flip(1).expand(8, -1, -1))
    assert float(measures_of(network, tests, 4)["aligned"]) == 0  # 2 3 0 1 is nowhere 1 0 3 2


def test_the_map_is_the_mean_of_what_decoding_by_hand_sees() -> None:
    torch.manual_seed(0)
    network = build(replaced(Setup(), {"symbols": 5, "hidden": 6, "width": 3}))
    assert isinstance(network, Seq2Seq)
    pairs = draw(4, 3, 3, 5, streams(2).order())
    total = torch.zeros(4, 3)
    with torch.no_grad():
        for b in range(4):
            reading = network.start(pairs.source[b : b + 1])
            fed = [BEGIN, *pairs.target[b, :-1].tolist()]
            for i, token in enumerate(fed):
                _, reading, weights = network.step(torch.tensor([token]), reading)
                total[i] += weights[0] / 4
    assert torch.allclose(attention_map(network, pairs.source, pairs.target), total, atol=1e-6)


def test_the_tested_lengths_hold_both_ends_and_what_is_beyond() -> None:
    assert lengths_of(2, 8, 12) == [2, 5, 8, 10, 12]
    assert lengths_of(2, 3, 4) == [2, 3, 4]


def test_arms_differ_only_in_what_they_read() -> None:
    for name, setup in ARMS.items():
        same = {"reads": "additive", "feeding": False, "rate": 0.005}
        assert replaced(setup, same) == ARMS["additive"], name
        assert setup.rate in (0.005, 0.015)  # the tuned one
    sizes = {
        name: sum(p.numel() for p in build(setup).parameters()) for name, setup in ARMS.items()
    }
    h = Setup().hidden
    assert sizes["fixed"] == sizes["mean"]
    assert sizes["additive"] == sizes["fixed"] + 2 * h * h + h


def test_the_test_pairs_change_no_weight_and_arms_share_their_pairs() -> None:
    setup = replaced(ARMS["additive"], TINY)
    few, many = (trial(replaced(setup, {"test_size": n}), [3], Services()) for n in (6, 7))
    for name, one in few.weights[0].items():
        assert name == "map" or torch.equal(one, many.weights[0][name])
    untrained = {"rate": 0.0}
    start = trial(replaced(setup, untrained), [3], Services()).weights[0]
    other = trial(replaced(ARMS["mean"], {**TINY, **untrained}), [3], Services()).weights[0]
    assert torch.equal(start["network.source.weight"], other["network.source.weight"])
    weight = "network.encoder.weight_ih_l0_reverse"
    assert torch.equal(start[weight], other[weight])


def test_lengths_that_do_not_rise_are_refused() -> None:
    for changes in ({"longest": 2}, {"beyond": 8}):
        with pytest.raises(PracticumError, match="must rise"):
            trial(replaced(Setup(), changes), [0], Services())
