"""The losses against sums over single words, and the measures against counts by hand.

Would catch: padding that counts, targets that are fed one step too early, a coin that is turned
round or tossed for the first word, a mean over sequences in place of words, a right sequence
without its END.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.fit import fit
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.learning.sequence_to_sequence import (
    free_running,
    inputs_of,
    right_sequences,
    right_words,
    teacher_forcing,
    token_cross_entropy,
)
from practicum.nn.seq2seq import BEGIN, END, PAD, Seq2Seq

TARGET = torch.tensor([[4, 3, END, PAD], [5, END, PAD, PAD], [3, 3, 4, END]])
SOURCE = torch.tensor([[3, 4, 5], [3, 3, 0], [5, 0, 0]])
LENGTHS = torch.tensor([3, 2, 1])


class Uniform(GlobalNoise):
    """Uniform numbers that are given."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.numbers = numbers

    def uniform(self, *shape: int) -> Tensor:
        assert shape == tuple(self.numbers.shape)
        return self.numbers


def made() -> Seq2Seq:
    torch.manual_seed(3)
    network = Seq2Seq(6, 6, width=3, hidden=4, reads="general").double()
    for one in network.parameters():
        nn.init.normal_(one)
    return network


def naive(network: Seq2Seq, fed: list[list[int | None]]) -> Tensor:
    """J, one word at a time and without padding; None feeds the most likely word."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for b, target in enumerate(TARGET.tolist()):
        n = target.index(END) + 1
        reading = network.start(SOURCE[b : b + 1, : int(LENGTHS[b])])
        token = torch.tensor([BEGIN])
        for i in range(n):
            logits, reading, _ = network.step(token, reading)
            total = total - logits[0].log_softmax(-1)[target[i]]
            count += 1
            given = fed[b][i]
            token = logits.argmax(-1) if given is None else torch.tensor([given])
    return total / count


def same(ours: Tensor, theirs: Tensor, network: Seq2Seq) -> bool:
    leaves = list(network.parameters())
    a, b = (torch.autograd.grad(one, leaves, retain_graph=True) for one in (ours, theirs))
    return torch.allclose(ours, theirs, rtol=1e-12) and all(
        torch.allclose(p, q, rtol=1e-9, atol=1e-12) for p, q in zip(a, b, strict=True)
    )


def test_inputs_are_the_target_one_step_later() -> None:
    assert inputs_of(TARGET).tolist() == [
        [BEGIN, 4, 3, END],
        [BEGIN, 5, END, PAD],
        [BEGIN, 3, 3, 4],
    ]


def test_teacher_forcing_equals_the_words_one_by_one_in_value_and_gradient() -> None:
    network = made()
    loss = teacher_forcing(network, (SOURCE, TARGET, LENGTHS), GlobalNoise())
    right: list[list[int | None]] = TARGET.tolist()
    assert same(loss, naive(network, right), network)
    free: list[list[int | None]] = [[None] * 4] * 3
    assert not same(loss, naive(network, free), network)
    # Padding that counts, and lengths that are not handed on, are seen.
    logits = network(SOURCE, inputs_of(TARGET), LENGTHS)
    assert not same(nn.functional.cross_entropy(logits.mT, TARGET), naive(network, right), network)
    unmasked = teacher_forcing(network, (SOURCE, TARGET), GlobalNoise())
    assert not same(unmasked, naive(network, right), network)


def test_free_running_feeds_what_the_coins_say() -> None:
    network = made()
    coins = torch.tensor([[0.9, 0.1, 0.9, 0.0], [0.0, 0.9, 0.0, 0.0], [0.9, 0.2, 0.9, 0.2]])
    # The coin at i says whether the word at i - 1 is the target's; BEGIN is always fed.
    fed: list[list[int | None]] = [
        [4, None, PAD, PAD],
        [None, PAD, PAD, PAD],
        [3, None, 4, PAD],
    ]
    batch = (SOURCE, TARGET, LENGTHS)
    ours = free_running(0.5)(network, batch, Uniform(coins))
    assert same(ours, naive(network, fed), network)
    assert not same(free_running(0.5)(network, batch, Uniform(1 - coins)), ours, network)
    forced = free_running(1.0)(network, batch, GlobalNoise())
    assert same(forced, teacher_forcing(network, batch, GlobalNoise()), network)
    assert same(
        free_running()(network, batch, GlobalNoise()), naive(network, [[None] * 4] * 3), network
    )


def test_free_running_takes_batches_without_lengths() -> None:
    network = made()
    ours = free_running(1.0)(network, (SOURCE, TARGET), GlobalNoise())
    assert same(ours, teacher_forcing(network, (SOURCE, TARGET), GlobalNoise()), network)


def test_no_idea_costs_the_logarithm_of_the_vocabulary() -> None:
    assert float(token_cross_entropy(torch.zeros(3, 4, 6), TARGET)) == pytest.approx(math.log(6))
    # One word, all wrong but for padding: the sure loss of the others is their mean.
    sure = 50.0 * nn.functional.one_hot(TARGET, 6)
    assert float(token_cross_entropy(sure, TARGET)) == pytest.approx(0, abs=1e-9)


def test_right_words_and_sequences_are_counted() -> None:
    words = torch.tensor([[4, 3, END, 5], [5, 5, PAD, PAD], [3, 3, 4, 3]])
    assert float(right_words(words, TARGET)) == pytest.approx(100 * 7 / 9)
    assert float(right_sequences(words, TARGET)) == pytest.approx(100 / 3)
    assert float(right_words(TARGET, TARGET)) == 100
    assert float(right_sequences(TARGET, TARGET)) == 100


@pytest.mark.parametrize("forced", [1.0, 0.5])
def test_training_in_lanes_equals_the_loop(forced: float) -> None:
    loss: Any = free_running(forced)
    trained = [
        fit(
            lambda: Seq2Seq(6, 6, width=2, hidden=3, cell="gru"),
            loss=loss,
            optimizer=Adam(lr=0.01),
            data=(SOURCE, TARGET, LENGTHS),
            batch_size=3,
            steps=3,
            seeds=(1, 2),
            services=Services(arithmetic=Arithmetic(path=path, lane_group=2, precision="float64")),
        )
        for path in ("loop", "lanes")
    ]
    for ours, theirs in zip(trained[0].weights(), trained[1].weights(), strict=True):
        for a, b in zip(ours.values(), theirs.values(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_teacher_forcing_learns_a_tiny_language() -> None:
    trained = fit(
        lambda: Seq2Seq(6, 6, width=6, hidden=12),
        loss=teacher_forcing,
        optimizer=Adam(lr=0.03),
        data=(SOURCE, TARGET, LENGTHS),
        batch_size=3,
        steps=80,
        seeds=(0,),
        services=Services(),
    )
    network = trained.networks[0]["network"]
    assert isinstance(network, Seq2Seq)
    words, _ = network.greedy(SOURCE, 4, LENGTHS)
    assert float(right_sequences(words, TARGET)) == 100


def test_a_coin_that_is_none_is_refused() -> None:
    with pytest.raises(PracticumError, match="between 0 and 1"):
        free_running(1.5)
