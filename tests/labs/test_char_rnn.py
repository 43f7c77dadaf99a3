"""The lab `char-rnn`: would catch networks of other sizes, arms that see other text, losses of
other characters for tables than for networks, a state that is not carried or carried from nowhere,
and a test text that has a say in learning.
"""

from __future__ import annotations

import math

import pytest
import torch

from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs import characters
from practicum.labs.characters import Corpus, corpus, folded, window_losses
from practicum.labs.lab import load, replaced, setups_at
from practicum.labs.sequences.char_rnn import experiment, learning
from practicum.labs.sequences.char_rnn.experiment import ARMS, SCALES, Setup, trial
from practicum.labs.sequences.char_rnn.networks import CharRNN, build, carried_losses, size
from practicum.learning import autoregressive
from practicum.learning.ngrams import KneserNey

TINY = {"hidden": 8, "heads": 2, "block": 5, "batch_size": 4, "steps": 3, "points": 2}
TINY |= {"train_size": 600, "held_size": 60, "sampled": 3}
LAB = load(experiment.__name__)
NETWORKS = [arm for arm, setup in ARMS.items() if setup.network != "counts"]


@pytest.mark.parametrize("scale", ["quick", "full"])
@pytest.mark.parametrize("vocabulary", [65, 103])
def test_all_networks_have_as_many_parameters_as_the_lstm(scale: str, vocabulary: int) -> None:
    changes = {name: value for name, value in SCALES[scale].set.items() if "." not in name}
    with torch.device("meta"):
        sizes = [size(build(replaced(ARMS[arm], changes), vocabulary)) for arm in NETWORKS]
    assert max(abs(one / sizes[0] - 1) for one in sizes) < 0.04


def test_arms_differ_in_the_network_and_its_rate_only() -> None:
    for arm in NETWORKS:
        same = replaced(ARMS["lstm"], {"network": ARMS[arm].network, "rate": ARMS[arm].rate})
        assert same == ARMS[arm]


def test_one_pass_reads_as_many_characters_as_the_text_has() -> None:
    quick = Setup()
    for setup, length in ((quick, 418543), (setups_at(LAB, SCALES["full"], {})["lstm"], 1003854)):
        assert setup.steps * setup.batch_size * setup.block / length == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_reading_on_is_reading_in_one_go(kind: str) -> None:
    torch.manual_seed(0)
    network = CharRNN(kind, 7, 6, 2).double()
    text = torch.randint(7, (2, 11))
    whole, _ = network.read(text)
    first, state = network.read(text[:, :4])
    rest, _ = network.read(text[:, 4:], state)
    torch.testing.assert_close(torch.cat((first, rest), 1), whole)
    assert not torch.allclose(network(text[:, 4:]), rest)


def test_carried_losses_are_those_of_the_same_characters_read_from_the_beginning() -> None:
    torch.manual_seed(0)
    network, text = CharRNN("lstm", 7, 6, 1).double(), torch.randint(7, (33,))
    carried = carried_losses(network, text, 5)
    logs = network(text[:-1].unsqueeze(0))[0].log_softmax(-1)
    expected = [-float(logs[t, text[t + 1]].detach()) for t in range(30)]
    assert carried.flatten().tolist() == pytest.approx(expected)
    fresh = autoregressive.losses(network, autoregressive.windows(text, 5, step=5))
    assert fresh.shape == carried.shape
    torch.testing.assert_close(fresh[0], carried[0])  # the first window has nothing before it
    assert not torch.allclose(fresh[1:], carried[1:])


def test_forget_gates_start_open_and_nothing_else_is_moved() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = CharRNN("lstm", 7, 6, 2)
        torch.manual_seed(1)
        plain = CharRNN("lstm", 7, 6, 2, forget=0.0)
    ours, before = network.state_dict(), plain.state_dict()
    for name in ours:
        moved = ours[name] - before[name]
        if name in ("recurrent.bias_ih_l0", "recurrent.bias_ih_l1"):
            assert moved[6:12].tolist() == pytest.approx([1.0] * 6)
            moved = torch.cat((moved[:6], moved[12:]))
        assert not moved.any()


def test_tables_are_asked_for_the_characters_that_networks_are_asked_for() -> None:
    g = torch.Generator().manual_seed(3)
    table = KneserNey(torch.randint(4, (200,), generator=g), 3, 4)
    text = torch.randint(4, (33,), generator=g)
    losses = window_losses(table, text, 5)
    asked = autoregressive.windows(text, 5, step=5)
    assert losses.shape == asked[:, 1:].shape
    for window, found in zip(asked, losses, strict=True):
        for t in range(1, 6):  # what stands before the window would change the first
            alone = table.losses(window[: t + 1])[t]
            torch.testing.assert_close(found[t - 1], alone, rtol=0, atol=0)
    on = table.losses(text)[1:31].view(6, 5)
    assert torch.equal(losses[:, 1:], on[:, 1:])
    assert not torch.equal(losses[:, 0], on[:, 0])


def test_networks_see_the_same_windows_and_the_test_text_chooses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = replaced(ARMS["gru"], TINY)
    before = trial(setup, [4], Services())

    def other(setup: Setup) -> Corpus:
        real = corpus(setup)
        return Corpus(
            train=real.train,
            validation=real.validation,
            test=real.test.flip(0),
            characters=real.characters,
        )

    monkeypatch.setattr(learning, "corpus", other)
    after = trial(setup, [4], Services())
    for name, tensor in before.weights[0].items():
        assert torch.equal(tensor, after.weights[0][name])
    assert not torch.equal(before.values["test_loss"], after.values["test_loss"])
    assert torch.equal(before.values["validation_loss"], after.values["validation_loss"])


def test_what_networks_and_tables_measure_hangs_together() -> None:
    for arm in ("lstm", "transformer", "bigram"):
        found = trial(replaced(ARMS[arm], TINY), [0, 1], Services()).values
        mean = torch.as_tensor(found["position_loss"]).mean(1)
        assert torch.allclose(mean.double(), torch.as_tensor(found["test_loss"]).double())
        assert (found["gain_of_carrying"] != 0).all() == (arm == "lstm")


def test_counts_know_nothing_of_the_seed_and_longer_ones_are_better() -> None:
    big = {"train_size": 30000, "held_size": 2000}
    losses = [
        trial(replaced(ARMS[arm], big), [0, 1], Services()).values["test_loss"]
        for arm in ("unigram", "bigram", "five-gram")
    ]
    assert all(float(one[0]) == float(one[1]) for one in losses)
    assert math.log(103) > losses[0][0] > losses[1][0] > losses[2][0]


def test_a_network_whose_training_diverged_writes_nothing() -> None:
    network = CharRNN("rnn", 7, 6, 1)
    text = torch.tensor([1, 2, 3, 4, 5])
    assert characters.write(network, text, 6, 4, 0, lost=True).tolist() == [0] * 6
    assert characters.write(network, text, 6, 4, 0, lost=False).any()


def test_parts_too_short_for_a_window_are_refused() -> None:
    with pytest.raises(PracticumError, match="lower block"):
        corpus(replaced(Setup(), {"held_size": 40, "block": 40}))


def test_writing_is_shown_in_lines_of_one_length() -> None:
    lines = folded("a\nb" * 200).split("\n")
    assert len(lines) == characters.LINES
    assert {len(line) for line in lines} == {characters.COLUMNS}
    assert "\n" not in lines[0]
