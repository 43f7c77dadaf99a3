"""The word2vec lab: fair texts, counts and measures that are what they say.

Catches: twins that a letter or a frequency gives away, a shuffled text with other words in it,
counts, information and singular vectors that differ from their equations, an analogy answered with
one of its own words, questions with unknown words that are counted, arms that differ in more than
the header says.
"""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy import sparse, stats

from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.lab import replaced
from practicum.labs.sequences.word2vec import experiment
from practicum.labs.sequences.word2vec.counting import (
    counted_vectors,
    neighbours,
    positive_information,
)
from practicum.labs.sequences.word2vec.experiment import ARMS, text_of, trial
from practicum.labs.sequences.word2vec.measuring import agreement, answered, nearest, twins_found
from practicum.labs.sequences.word2vec.text import Corpus, corpus, spelled, with_twins

TINY = {
    "size": 5000, "twins": 7, "twin_count": 15, "dimension": 6, "passes": 1.0, "points": 3,
    "positions": 32, "shared": 16,
}  # fmt: skip


def small(*words: int) -> Corpus:
    text = torch.tensor(words)
    counts = torch.bincount(text)
    names = tuple("abcdefghijkl"[: len(counts)])
    return Corpus(names, text, counts, torch.empty(0, 2, dtype=torch.long))


def test_words_are_runs_of_letters() -> None:
    assert spelled("The <unk> co-op's 12 Naïve\n = C = ") == [
        "the", "co", "op", "s", "na", "ve", "c",
    ]  # fmt: skip


def test_the_text_at_hand_keeps_its_order_and_drops_rare_words() -> None:
    whole = corpus("pydoc", 2000, 5)

    assert whole.counts.tolist() == sorted(whole.counts.tolist(), reverse=True)
    assert whole.counts.min() >= 5
    assert torch.equal(torch.bincount(whole.text), whole.counts)
    known = set(whole.words)
    from practicum.data import load_text

    kept = [w for w in spelled(load_text("pydoc").train)[:2000] if w in known]
    assert [whole.words[i] for i in whole.text.tolist()] == kept


def test_twins_share_the_occurrences_of_a_word_and_nothing_else_changes() -> None:
    whole = corpus("pydoc", None, 5)
    spared = frozenset(whole.words[:20])
    split = with_twins(whole, 50, 60, spared, torch.Generator().manual_seed(1))
    back = torch.arange(len(split.words))
    back[split.twins[:, 1]] = split.twins[:, 0]

    assert torch.equal(back[split.text], whole.text)
    assert torch.equal(torch.bincount(split.text, minlength=len(back)), split.counts)
    halves = split.counts[split.twins]
    assert torch.equal(halves.sum(1), whole.counts[split.twins[:, 0]])
    assert bool((halves.sum(1) >= 60).all())
    z = (halves[:, 0] - halves[:, 1]) / halves.sum(1).sqrt()
    assert float(z.abs().max()) < 4  # fair coins
    assert float(z.std()) == pytest.approx(1, abs=0.35)
    assert not spared & {split.words[i] for i in split.twins[:, 0].tolist()}
    with pytest.raises(PracticumError, match="lower `twins`"):
        with_twins(whole, 5000, 60, spared, torch.Generator())


def test_shuffled_words_are_the_same_words() -> None:
    text = text_of(replaced(ARMS["skip-gram"], TINY), streams(3).order())
    mixed = text_of(replaced(ARMS["shuffled"], TINY), streams(3).order())

    assert torch.equal(text.twins, mixed.twins)
    assert torch.equal(torch.bincount(mixed.text), torch.bincount(text.text))
    assert not torch.equal(mixed.text, text.text)
    assert not torch.equal(
        text.twins, text_of(replaced(ARMS["cbow"], TINY), streams(4).order()).twins
    )


def test_arms_differ_only_in_what_the_header_says() -> None:
    first = ARMS["skip-gram"]
    for name, changes in {
        "cbow": {"method": "cbow", "rate": ARMS["cbow"].rate},
        "ppmi-svd": {"method": "ppmi-svd"},
        "shuffled": {"order": "shuffled"},
        "random": {"method": "random"},
    }.items():
        assert {**asdict(first), **changes} == asdict(ARMS[name])


def naive_counts(text: list[int], vocabulary: int, most: int) -> np.ndarray:
    found = np.zeros((vocabulary, vocabulary))
    for i, word in enumerate(text):
        for j, other in enumerate(text):
            if 0 < abs(i - j) <= most:
                found[word, other] += (most + 1 - abs(i - j)) / most
    return found


def test_counts_and_information_are_those_of_the_equations() -> None:
    text = torch.randint(6, (40,), generator=torch.Generator().manual_seed(0))
    counts = naive_counts(text.tolist(), 7, 3)  # word 6 never occurs

    np.testing.assert_allclose(neighbours(text, 7, 3).toarray(), counts, rtol=1e-12)
    chance = counts.sum(0) ** 0.75
    chance /= chance.sum()
    expected = np.zeros((7, 7))
    for w in range(7):
        for c in range(7):
            if counts[w, c]:
                expected[w, c] = max(0, math.log(counts[w, c] / counts[w].sum() / chance[c]))
    found = positive_information(sparse.csr_array(counts)).toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (expected > 0).any()
    assert (expected[counts > 0] == 0).any()


def test_counted_vectors_span_the_largest_directions() -> None:
    text = torch.randint(30, (3000,), generator=torch.Generator().manual_seed(0)) ** 2 // 30
    vocabulary = int(text.max()) + 1
    u, s, _ = np.linalg.svd(positive_information(neighbours(text, vocabulary, 2)).toarray())

    found = counted_vectors(text, vocabulary, most=2, dimension=4, number=1).double().numpy()

    exact = (u[:, :4] * s[:4]) @ u[:, :4].T
    assert np.linalg.norm(found @ found.T - exact) < 0.02 * np.linalg.norm(exact)
    wide = counted_vectors(text, vocabulary, most=2, dimension=vocabulary + 3, number=1)
    assert wide.shape == (vocabulary, vocabulary + 3)
    assert not wide[:, vocabulary:].any()


def cosine(u: torch.Tensor, v: torch.Tensor) -> float:
    return float(u @ v / u.norm() / v.norm())


def test_measures_are_those_of_the_equations() -> None:
    generator = torch.Generator().manual_seed(2)
    vectors = torch.randn(9, 3, generator=generator).double()
    number = {name: i for i, name in enumerate("abcdefghi")}
    twins = torch.tensor([[0, 5], [2, 7], [1, 8], [3, 4]])
    hits = 0
    for pair in twins.tolist():
        for mine, other in (pair, pair[::-1]):
            alike = {w: cosine(vectors[mine], vectors[w]) for w in range(9) if w != mine}
            best = max(alike, key=alike.__getitem__)
            hits += best == other
            assert int(nearest(vectors, torch.tensor([mine]), 2)[0, 0]) == best
    assert twins_found(vectors, twins) == 100 * hits / 8

    questions = [(a, b, c, d) for a in "abc" for b in "de" for c in "fg" for d in "hia" if d != a]
    right = fooled = 0
    for one in questions:
        a, b, c, d = (number[word] for word in one)
        u = torch.nn.functional.normalize(vectors, dim=1)
        alike = [cosine(u[w], u[b] - u[a] + u[c]) for w in range(9)]
        fooled += int(np.argmax(alike)) == d
        right += max((w for w in range(9) if w not in (a, b, c)), key=alike.__getitem__) == d
    asked = [*questions, ("a", "b", "c", "unknown"), ("unknown", "b", "c", "d")]
    assert answered(vectors, number, asked) == (
        pytest.approx(100 * right / len(questions)),
        pytest.approx(100 * len(questions) / (len(questions) + 2)),
    )
    assert 0 < right != fooled
    assert math.isnan(answered(vectors, number, [("x", "y", "z", "a")])[0])

    pairs, scores = [("a", "b"), ("c", "x"), ("d", "e"), ("f", "g"), ("h", "i")], [3, 9, 1, 2, 5]
    cosines = [cosine(vectors[number[a]], vectors[number[b]]) for a, b in pairs if b != "x"]
    found = agreement(vectors, number, pairs, scores)
    assert found == (pytest.approx(stats.spearmanr(cosines, [3, 1, 2, 5]).statistic), 80.0)


def test_published_questions_are_asked_of_the_words_that_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from practicum.data.words_eval import Questions, Similarities

    whole = small(*range(6), *range(6))
    monkeypatch.setattr(
        experiment,
        "load_questions",
        lambda: Questions((("a", "b", "c", "d"), ("a", "b", "c", "z")), (("a", "b", "e", "f"),)),
    )
    monkeypatch.setattr(
        experiment, "load_similarities", lambda: Similarities((("a", "b"), ("c", "d")), (1.0, 2.0))
    )
    vectors = torch.eye(6)[[0, 1, 2, 3, 4, 5]]
    vectors[3] = vectors[1] - vectors[0] + vectors[2]
    setup = replaced(ARMS["skip-gram"], {"questions": "published"})
    found = experiment.asked(setup, whole, vectors)

    assert (found["semantic"], found["semantic_coverage"]) == (100.0, 50.0)
    assert (found["syntactic"], found["syntactic_coverage"]) == (0.0, 100.0)
    assert found["pair_coverage"] == 100.0
    assert all(math.isnan(one) for one in experiment.asked(ARMS["cbow"], whole, vectors).values())


def test_neighbours_teach_and_shuffling_takes_it_away() -> None:
    longer = {
        **TINY,
        "size": 20000,
        "twins": 20,
        "twin_count": 40,
        "dimension": 20,
        "passes": 12.0,
        "shared": 128,
        "rate": 0.05,
    }
    found = {
        arm: float(trial(replaced(ARMS[arm], longer), [1000], Services()).values["twins"][0])
        for arm in ("skip-gram", "ppmi-svd", "shuffled", "random")
    }

    assert min(found["skip-gram"], found["ppmi-svd"]) > 15
    assert max(found["shuffled"], found["random"]) < 8


def test_a_rate_that_is_too_large_is_reported_as_diverged() -> None:
    measured = trial(replaced(ARMS["skip-gram"], {**TINY, "rate": 1e6}), [0], Services())

    assert measured.diverged.tolist() == [True]
