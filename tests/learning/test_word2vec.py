"""Negative sampling: closed forms against autograd of the loss, pair by pair, in float64.

Catches: a gradient that is not that of Eq. (4) (CBOW's missing division among others), windows
that take in the middle word or words behind the text's end, noise words weighted wrongly, a noise
distribution without its power, subsampling at other rates than Eq. (5), a rate that does not fall.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.engine.loop import loop
from practicum.engine.noise import GlobalNoise
from practicum.engine.state import State
from practicum.errors import PracticumError
from practicum.learning.word2vec import (
    NOBODY,
    Gradients,
    Model,
    gradients,
    keep_chance,
    noise_distribution,
    pair_loss,
    passages,
    steps_of,
    window,
    word2vec,
)
from practicum.nn.word2vec import Word2Vec

V, D, T, C, N, K = 9, 5, 7, 3, 4, 2
COUNTS = torch.tensor([400, 90, 60, 20, 10, 9, 8, 2, 1])


def network(vocabulary: int = V) -> Word2Vec:
    made = Word2Vec(vocabulary, D).double()
    torch.nn.init.normal_(made.input)
    torch.nn.init.normal_(made.output)
    return made


def passage() -> Tensor:
    words = torch.randint(V, (T + 2 * C,))
    words[:2] = NOBODY  # the beginning of a text
    words[-5:] = NOBODY  # its end, in the middle of the positions
    return words


def pairs(model: Model, words: list[int], reach: list[int]) -> list[tuple[list[int], int]]:
    """Walk through the text: what is read, and what is asked."""
    found = []
    for t, r in enumerate(reach):
        i = t + C
        around = [
            words[j]
            for j in range(i - r, i + r + 1)
            if j != i and words[j] != NOBODY and words[i] != NOBODY
        ]
        if model == "skip-gram":
            found += [([words[i]], word) for word in around]
        elif around:
            found.append((around, words[i]))
    return found


def naive(
    model: Model, made: Word2Vec, words: list[int], reach: list[int], noise: list[int]
) -> tuple[float, Tensor, Tensor, int]:
    """Return autograd's answer: the loss pair by pair, and its gradient."""
    made.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    listed = pairs(model, words, reach)
    for read, asked in listed:
        h = made.input[torch.tensor(read)].mean(0)
        total = total - torch.log(torch.sigmoid(made.output[asked] @ h))
        for one in noise:
            chance = torch.sigmoid(-(made.output[one] @ h))
            total = total - K / len(noise) * torch.log(chance)
    total.backward()
    assert made.input.grad is not None
    assert made.output.grad is not None
    return float(total.detach()), made.input.grad, made.output.grad, len(listed)


def spread(found: Gradients, made: Word2Vec) -> tuple[Tensor, Tensor]:
    into = torch.zeros_like(made.input).index_add_(0, found.rows_in, found.of_in)
    return into, torch.zeros_like(made.output).index_add_(0, found.rows_out, found.of_out)


@pytest.mark.parametrize("model", ["skip-gram", "cbow"])
@pytest.mark.parametrize("seed", range(3))
def test_loss_and_gradient_are_those_of_autograd(model: Model, seed: int) -> None:
    torch.manual_seed(seed)
    made, words = network(), passage()
    reach, noise = torch.randint(1, C + 1, (T,)), torch.randint(V, (N,))
    near = window(words, reach, C)

    found = gradients(model, made, words, near, noise, K)

    loss, into, out, many = naive(model, made, words.tolist(), reach.tolist(), noise.tolist())
    assert float(found.loss) == pytest.approx(loss, rel=1e-12)
    assert int(found.pairs) == many
    mine = spread(found, made)
    torch.testing.assert_close(mine[0], into, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(mine[1], out, rtol=1e-11, atol=1e-12)


def test_the_comparison_rejects_the_gradient_of_the_widespread_programs() -> None:
    torch.manual_seed(0)
    made, words = network(), passage()
    reach, noise = torch.full((T,), C), torch.randint(V, (N,))
    near = window(words, reach, C)
    found = gradients("cbow", made, words, near, noise, K)
    whole = replace(found, of_in=found.of_in * near.sum(1).max())  # not shared among the words

    _, into, _, _ = naive("cbow", made, words.tolist(), reach.tolist(), noise.tolist())

    assert torch.allclose(spread(found, made)[0], into)
    assert not torch.allclose(spread(whole, made)[0], into)


@pytest.mark.parametrize("model", ["skip-gram", "cbow"])
def test_the_loss_of_pairs_is_the_same_sum(model: Model) -> None:
    torch.manual_seed(5)
    made, words = network(), passage()
    reach, noise = torch.randint(1, C + 1, (T,)), torch.randint(V, (N,))
    listed = pairs(model, words.tolist(), reach.tolist())
    widest = max(len(read) for read, _ in listed)
    read = torch.tensor([(one + [0] * widest)[:widest] for one, _ in listed])
    there = torch.tensor([[i < len(one) for i in range(widest)] for one, _ in listed])
    asked = torch.tensor([word for _, word in listed])

    loss = pair_loss(made, read, there, asked, noise.expand(len(listed), N), K)

    found = gradients(model, made, words, window(words, reach, C), noise, K)
    assert float(loss.detach()) == pytest.approx(float(found.loss), rel=1e-12)


@pytest.mark.parametrize("model", ["skip-gram", "cbow"])
def test_shared_noise_words_have_the_expectation_of_the_equation(model: Model) -> None:
    torch.manual_seed(1)
    made, words = network(), passage()
    near = window(words, torch.randint(1, C + 1, (T,)), C)
    chances = noise_distribution(COUNTS)

    each = [gradients(model, made, words, near, torch.tensor([w]), K) for w in range(V)]
    mean = sum(p * float(one.loss) for p, one in zip(chances, each, strict=True))

    exact = 0.0
    for t, row in enumerate(near):
        around = words[row.nonzero()[:, 0]]
        if not len(around):
            continue
        middle = words[t + C].reshape(1)
        read = (middle, around) if model == "skip-gram" else (around, middle)
        h = made.input[read[0]].mean(0).detach()
        good = torch.log(torch.sigmoid(made.output[read[1]].detach() @ h))
        bad = torch.log(torch.sigmoid(-(made.output.detach() @ h)))
        exact -= float((good + K * (chances * bad).sum()).sum())  # Eq. (4) as it stands
    assert float(mean) == pytest.approx(exact, rel=1e-12)


def test_noise_words_follow_their_counts_to_three_quarters() -> None:
    chances = noise_distribution(torch.tensor([16, 1, 81]))

    torch.testing.assert_close(chances, torch.tensor([8, 1, 27], dtype=torch.float64) / 36)
    assert not torch.allclose(chances, noise_distribution(torch.tensor([16, 1, 81]), power=1.0))


def test_the_step_draws_noise_words_with_these_chances() -> None:
    class Quantiles(GlobalNoise):
        def integers(self, high: int, *shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.long)

        def uniform(self, *shape: int) -> Tensor:
            return (torch.arange(shape[0]) + 0.5) / shape[0]  # every quantile once

    made = Word2Vec(V, 1)
    torch.nn.init.ones_(made.input)
    made.input.data[1:] = 0
    many, chances = 100_000, noise_distribution(COUNTS)
    step = word2vec("skip-gram", chances, most=1, negatives=1, shared=many, rate=1.0, steps=1)
    step(State(networks={"main": made}), torch.tensor([0, 0, NOBODY]), Quantiles())

    # one pair, h = 1, all scores 0: each noise word w moves by - rate (1 / N) sigma(0) = - P(w) / 2
    moved = -2 * made.output.detach()[:, 0].double()
    moved[0] += 1  # the word that is there moves by 1 / 2 the other way
    torch.testing.assert_close(moved, chances, rtol=0, atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 8), st.data())
def test_a_window_holds_the_words_at_most_so_far_away(
    most: int, positions: int, data: st.DataObject
) -> None:
    size = positions + 2 * most
    words = data.draw(st.lists(st.integers(-1, 3), min_size=size, max_size=size))
    reach = data.draw(st.lists(st.integers(1, most), min_size=positions, max_size=positions))

    found = window(torch.tensor(words), torch.tensor(reach), most)

    for t, r in enumerate(reach):
        i = t + most
        expected = [
            j
            for j in range(size)
            if 0 < abs(i - j) <= r and words[j] != NOBODY and words[i] != NOBODY
        ]
        assert found[t].nonzero()[:, 0].tolist() == expected


def test_frequent_words_are_kept_at_the_rate_of_the_equation() -> None:
    counts = torch.tensor([900, 90, 9, 1])
    keep = keep_chance(counts, 0.009)

    torch.testing.assert_close(keep[:2], torch.tensor([0.1, 0.1**0.5], dtype=torch.float64))
    assert keep[2:].tolist() == [1.0, 1.0]
    assert keep_chance(counts, 0).tolist() == [1.0] * 4
    text = torch.arange(4).repeat_interleave(counts * 20)
    source = passages(text, keep, positions=64, most=2, generator=torch.Generator().manual_seed(0))
    steps = steps_of(text, keep, 1, 64)
    seen = torch.cat([one[2:-2] for one in islice(source, steps + 3)])
    kept = torch.bincount(seen[seen >= 0], minlength=4)[:2]
    assert kept.tolist() == pytest.approx((keep * counts * 20)[:2].tolist(), rel=0.12)


def test_every_kept_word_is_in_the_middle_once_with_its_neighbours() -> None:
    text = torch.arange(23)
    source = passages(
        text, torch.ones(23), positions=5, most=2, generator=torch.Generator().manual_seed(0)
    )
    found = list(islice(source, 10))  # two passes of 5 passages

    middles = torch.cat([one[2:-2] for one in found[:5]])
    assert middles.tolist() == [*range(23), NOBODY, NOBODY]
    assert found[0].tolist() == [NOBODY, NOBODY, *range(7)]
    assert found[1].tolist() == list(range(3, 12))
    assert [one.tolist() for one in found[5:]] == [one.tolist() for one in found[:5]]
    assert steps_of(text, torch.ones(23), 10, 5) == 46


def test_a_text_without_words_is_refused() -> None:
    with pytest.raises(PracticumError, match="a text with words"):
        next(
            passages(
                torch.empty(0, dtype=torch.long),
                torch.ones(3),
                positions=2,
                most=1,
                generator=torch.Generator(),
            )
        )


def test_the_rate_falls_in_a_straight_line() -> None:
    torch.manual_seed(0)
    words, chances = torch.tensor([0, 1, 2, 3]), torch.eye(V)[4].double()
    start, moved = network().float(), []
    for at in (0, 5, 9):
        made = Word2Vec(V, D)
        made.load_state_dict(start.state_dict())
        step = word2vec("cbow", chances, most=1, negatives=1, shared=1, rate=0.1, steps=10)
        loop(
            step,
            State(networks={"main": made}, counters={"step": at}),
            iter([words]),
            steps=at + 1,
        )
        moved.append(float((made.output - start.output).detach().norm()))
    assert moved[1] / moved[0] == pytest.approx(0.5, rel=1e-3)
    assert moved[2] / moved[0] == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("model", ["skip-gram", "cbow"])
def test_words_with_the_same_neighbours_come_together(model: Model) -> None:
    torch.manual_seed(0)
    cats, foods = torch.tensor([0, 1]), torch.tensor([2, 3])
    text = torch.stack(
        [cats[torch.randint(2, (1500,))], torch.full((1500,), 4), foods[torch.randint(2, (1500,))]],
        dim=1,
    ).flatten()
    counts = torch.bincount(text)
    made = Word2Vec(5, 4)
    step = word2vec(
        model, noise_distribution(counts), most=1, negatives=3, shared=32, rate=0.05, steps=600
    )
    source = passages(
        text, keep_chance(counts, 0), positions=16, most=1, generator=torch.Generator()
    )
    loop(step, State(networks={"main": made}), source, steps=600)

    u = torch.nn.functional.normalize(made.input.detach(), dim=1)
    assert float(u[0] @ u[1]) > 0.9
    assert float(u[2] @ u[3]) > 0.9
    assert float(u[0] @ u[4]) < 0.5


def test_a_loss_that_is_not_finite_is_told_before_anything_moves() -> None:
    made = Word2Vec(V, D)
    made.output.data[3] = math.inf
    before = made.input.detach().clone()
    step = word2vec(
        "skip-gram", noise_distribution(COUNTS), most=1, negatives=1, shared=8, rate=1.0, steps=5
    )
    state = loop(step, State(networks={"main": made}), iter([torch.tensor([0, 3, 3, 0])]), steps=1)

    assert state.counters["diverged"] == 0
    assert torch.equal(made.input.detach(), before)


def test_bad_settings_are_named() -> None:
    chances = noise_distribution(COUNTS)
    with pytest.raises(PracticumError, match="at least one of each"):
        word2vec("cbow", chances, most=0, negatives=1, shared=1, rate=1.0, steps=1)
    step = word2vec("cbow", chances, most=1, negatives=1, shared=1, rate=1.0, steps=1)
    with pytest.raises(PracticumError, match="trains a Word2Vec"):
        loop(
            step,
            State(networks={"main": torch.nn.Linear(1, 1)}),
            iter([torch.tensor([0, 1, 2])]),
            steps=1,
        )
