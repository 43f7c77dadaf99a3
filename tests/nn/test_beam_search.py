"""Beam search against brute force over all sequences, and against greedy decoding.

Would catch: a penalty that is forgotten or multiplied, a beam that loses its state or takes that of
its neighbour, an ended sequence that goes on, is counted again or pays for padding, the empty
sequence counted K times, sources that mix, results in the wrong order.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.errors import PracticumError
from practicum.nn.beam_search import Beams, beam_search, length_penalty

PAD, BEGIN, END = 0, 1, 2
V, H = 4, 3


class Toy:
    """A language whose next word depends on the source and on every word before."""

    def __init__(self, seed: int, sources: int = 2) -> None:
        g = torch.Generator().manual_seed(seed)
        self.first = torch.randn(sources, H, generator=g, dtype=torch.float64)
        self.a = torch.randn(H, H, generator=g, dtype=torch.float64)
        self.e = torch.randn(V, H, generator=g, dtype=torch.float64)
        self.u = 2 * torch.randn(H, V, generator=g, dtype=torch.float64)

    def step(self, word: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.tanh(state @ self.a + self.e[word])
        return (state @ self.u).log_softmax(-1), state

    def log_prob(self, source: int, words: tuple[int, ...]) -> float:
        """log P of one sequence, word by word."""
        state, total, last = self.first[source : source + 1], 0.0, BEGIN
        for word in words:
            log_p, state = self.step(torch.tensor([last]), state)
            total, last = total + float(log_p[0, word]), word
        return total

    def search(self, size: int, steps: int, alpha: float = 0.0, select: object = None) -> Beams:
        chosen = (lambda state, rows: state[rows]) if select is None else select
        return beam_search(
            self.step,
            self.first,
            chosen,  # type: ignore[arg-type]  # a broken one, on purpose
            begin=torch.full((len(self.first),), BEGIN),
            end=END,
            pad=PAD,
            steps=steps,
            size=size,
            alpha=alpha,
        )


def sequences(steps: int) -> list[tuple[int, ...]]:
    """All that end within so many words, and all that are so long and have not ended."""
    others = [word for word in range(V) if word != END]
    found: list[tuple[int, ...]] = []
    for n in range(steps):
        found += [(*one, END) for one in itertools.product(others, repeat=n)]
    return found + list(itertools.product(others, repeat=steps))


def brute_force(
    toy: Toy, source: int, steps: int, alpha: float
) -> list[tuple[float, tuple[int, ...]]]:
    """Every sequence with its score by (14), the best first."""
    scored = [
        (toy.log_prob(source, one) / ((5 + len(one)) ** alpha / 6**alpha), one)
        for one in sequences(steps)
    ]
    return sorted(scored, reverse=True)


def agrees(found: Beams, toy: Toy, steps: int, alpha: float) -> bool:
    """Whether a search found all sequences in the order of brute force."""
    for source in range(len(toy.first)):
        right = brute_force(toy, source, steps, alpha)
        for k, (score, words) in enumerate(right):
            padded = [*words, *[PAD] * (steps - len(words))]
            if (
                found.words[source, k].tolist() != padded
                or not math.isclose(float(found.scores[source, k]), score, rel_tol=1e-12)
                or int(found.lengths[source, k]) != len(words)
            ):
                return False
    return True


def test_the_language_sums_to_one() -> None:
    toy = Toy(0)
    total = sum(math.exp(toy.log_prob(0, one)) for one in sequences(4))
    assert total == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_wide_beam_is_brute_force(steps: int, alpha: float) -> None:
    toy = Toy(steps)
    size = len(sequences(steps))
    assert agrees(toy.search(size, steps, alpha), toy, steps, alpha)


def test_the_comparison_rejects_broken_searches() -> None:
    toy, steps = Toy(4), 4
    size = len(sequences(steps))
    assert not agrees(toy.search(size, steps, 0.0), toy, steps, 1.0)  # the penalty forgotten
    assert not agrees(toy.search(size, steps, -1.0), toy, steps, 1.0)  # or multiplied
    lost = lambda state, rows: state[rows] if len(state) < size else state  # noqa: E731
    assert not agrees(toy.search(size, steps, select=lost), toy, steps, 0.0)


@given(seed=st.integers(0, 10_000), steps=st.integers(1, 7), alpha=st.floats(0, 1.5))
@settings(max_examples=40, deadline=None)
def test_one_beam_is_greedy(seed: int, steps: int, alpha: float) -> None:
    toy = Toy(seed, sources=3)
    found = toy.search(1, steps, alpha)
    for source in range(3):
        words: list[int] = []
        state, last = toy.first[source : source + 1], BEGIN
        while len(words) < steps and last != END:
            log_p, state = toy.step(torch.tensor([last]), state)
            last = int(log_p.argmax())
            words.append(last)
        assert found.words[source, 0].tolist() == [*words, *[PAD] * (steps - len(words))]


@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 9),
    steps=st.integers(1, 6),
    alpha=st.floats(0, 1.5),
)
@settings(max_examples=40, deadline=None)
def test_what_is_found_has_the_scores_it_says_and_is_in_order(
    seed: int, size: int, steps: int, alpha: float
) -> None:
    toy = Toy(seed)
    found = toy.search(size, steps, alpha)
    assert (found.scores[:, :-1] >= found.scores[:, 1:]).all()
    for source in range(2):
        seen = set()
        for k in range(size):
            n = int(found.lengths[source, k])
            if found.log_probs[source, k] == -math.inf:
                continue
            words = tuple(found.words[source, k].tolist())
            assert END not in words[: n - 1]
            assert n == steps or words[n - 1] == END
            assert set(words[n:]) <= {PAD}
            seen.add(words[:n])
            log_p = toy.log_prob(source, words[:n])
            assert float(found.log_probs[source, k]) == pytest.approx(log_p, abs=1e-10)
            assert float(found.scores[source, k]) == pytest.approx(
                log_p / ((5 + n) / 6) ** alpha, abs=1e-10
            )
        assert len(seen) == int((found.log_probs[source] > -math.inf).sum())


def test_the_length_penalty_lets_a_longer_sequence_win() -> None:
    # "END" has log 0.5; "3 3 END" has log 0.5 * 0.9 * 0.9 = log 0.405.
    def step(word: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        p = torch.zeros(len(word), V, dtype=torch.float64)
        p[:, END] = torch.tensor([0.5, 0.1, 0.9, 1.0]).double()[place]
        p[:, 3] = 1 - p[:, END]
        return p.log(), place + 1

    for alpha, words in ((0.0, [END, PAD, PAD]), (1.0, [3, 3, END])):
        found = beam_search(
            step,
            torch.zeros(1, dtype=torch.long),
            lambda state, rows: state[rows],
            begin=torch.tensor([BEGIN]),
            end=END,
            pad=PAD,
            steps=3,
            size=4,
            alpha=alpha,
        )
        assert found.words[0, 0].tolist() == words
    # By hand: log 0.5 = -0.693, log 0.405 = -0.904; with alpha 1 the latter is divided by 8/6.
    assert float(found.scores[0, 0]) == pytest.approx(math.log(0.405) / (8 / 6))


def test_the_penalty_is_that_of_the_paper() -> None:
    lp = length_penalty(torch.tensor([1, 7, 13]), 1.0)
    assert lp.tolist() == pytest.approx([1, 2, 3])
    assert length_penalty(torch.tensor([7]), 0.5).item() == pytest.approx(math.sqrt(2))


def test_no_beam_and_no_step_are_refused() -> None:
    for size, steps in ((0, 1), (1, 0)):
        with pytest.raises(PracticumError, match="needs 1 of each"):
            Toy(0).search(size, steps)
