"""BLEU against answers worked out by hand, the paper's examples, and sacrebleu where it is there.

Catches: repeated words that count more than once, clipping over all references together, a mean of
sentences in place of the corpus, the brevity penalty turned round, precisions of order 0.
"""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from practicum.errors import PracticumError
from practicum.learning.bleu import brevity_penalty, clipped, corpus_bleu, ngrams

# The paper's examples, section 2.1.
PARTY = [
    "it is a guide to action that ensures that the military will forever heed party commands",
    "it is the guiding principle which guarantees the military forces always being under the "
    "command of the party",
    "it is the practical guide for the army always to heed the directions of the party",
]
GOOD = (
    "it is a guide to action which ensures that the military always obeys the commands of the party"
)
BAD = "it is to insure the troops forever hearing the activity guidebook that party direct"
MATS = ["the cat is on the mat", "there is a cat on the mat"]

WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=9)
CORPUS = st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=3)), min_size=1, max_size=5)


def cut(sentence: str) -> list[str]:
    return sentence.split()


def precisions(candidate: str, references: list[str]) -> tuple[float, ...]:
    return corpus_bleu([candidate.split()], [[one.split() for one in references]]).precisions


def test_the_papers_precisions_come_out() -> None:
    assert precisions("the the the the the the the", MATS)[0] == pytest.approx(2 / 7)
    assert precisions("the the the the the the the", MATS)[1] == 0
    assert precisions(GOOD, PARTY)[:2] == pytest.approx((17 / 18, 10 / 17))
    assert precisions(BAD, PARTY)[:2] == pytest.approx((8 / 14, 1 / 13))


def test_a_small_corpus_worked_out_by_hand() -> None:
    # One word of five is wrong; then the second candidate is a word short and has no wrong one.
    candidates = [cut("a b c d x"), cut("a b c d e f")]
    references = [[cut("a b c d e")], [cut("a b c d e f g")]]

    found = corpus_bleu(candidates, references)

    assert found.precisions == pytest.approx((10 / 11, 8 / 9, 6 / 7, 4 / 5))
    assert (found.length, found.reference_length) == (11, 12)
    assert found.brevity == pytest.approx(math.exp(-1 / 11))
    product = (10 / 11) * (8 / 9) * (6 / 7) * (4 / 5)
    assert found.score == pytest.approx(100 * math.exp(-1 / 11) * product**0.25)
    each = [corpus_bleu([c], [r]).score for c, r in zip(candidates, references, strict=True)]
    assert found.score != pytest.approx(sum(each) / 2)  # not the mean of the sentences


def test_clipping_is_by_the_best_single_reference() -> None:
    counted = clipped(ngrams(cut("a a a"), 1), [ngrams(["a", "a"], 1), ngrams(["a"], 1)])
    assert counted == 2  # neither 3, nor their sum


def test_the_nearest_reference_gives_the_length_and_of_two_the_shorter() -> None:
    several = [["a"] * n for n in (2, 7, 9)]
    assert corpus_bleu([["a"] * 8], [several]).reference_length == 7
    assert corpus_bleu([["a"] * 4], [several]).reference_length == 2


def test_only_what_is_too_short_is_punished() -> None:
    assert brevity_penalty(11, 10) == 1
    assert brevity_penalty(10, 10) == 1
    assert brevity_penalty(5, 10) == pytest.approx(math.exp(-1))
    assert brevity_penalty(0, 10) == 0


def test_without_a_right_run_of_four_the_score_is_zero() -> None:
    assert corpus_bleu([cut("a b c x")], [[cut("a b c d")]]).score == 0
    assert corpus_bleu([cut("a b c")], [[cut("a b c")]]).score == 0  # none is long enough
    assert corpus_bleu([cut("a b c")], [[cut("a b c")]], order=3).score == pytest.approx(100)
    assert corpus_bleu([[]], [[cut("a b")]]).score == 0


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(PracticumError, match="0 candidates"):
        corpus_bleu([], [])
    with pytest.raises(PracticumError, match="1 candidates and 2"):
        corpus_bleu([["a"]], [[["a"]], [["a"]]])
    with pytest.raises(PracticumError, match="a reference for each"):
        corpus_bleu([["a"]], [[]])
    with pytest.raises(PracticumError, match="order is 0"):
        corpus_bleu([["a"]], [[["a"]]], order=0)


@given(CORPUS)
def test_scores_lie_in_range_and_the_order_of_sentences_does_not_matter(
    corpus: list[tuple[list[str], list[list[str]]]],
) -> None:
    candidates, references = [c for c, _ in corpus], [r for _, r in corpus]
    found = corpus_bleu(candidates, references, order=2)

    assert 0 <= found.score <= 100 + 1e-9
    assert all(0 <= p <= 1 for p in found.precisions)
    assert corpus_bleu(candidates[::-1], references[::-1], order=2) == found
    twice = corpus_bleu(candidates * 2, references * 2, order=2)
    assert twice.score == pytest.approx(found.score)


@given(CORPUS)
def test_a_reference_scores_a_hundred_and_one_more_reference_never_lowers_precision(
    corpus: list[tuple[list[str], list[list[str]]]],
) -> None:
    candidates, references = [c for c, _ in corpus], [r for _, r in corpus]
    same = corpus_bleu([r[0] for r in references], references, order=1)
    assert same.score == pytest.approx(100)
    one = corpus_bleu(candidates, [r[:1] for r in references])
    several = corpus_bleu(candidates, references)
    assert all(a <= b for a, b in zip(one.precisions, several.precisions, strict=True))


@pytest.mark.parametrize("references", [1, 3])
def test_sacrebleu_gives_the_same(references: int) -> None:
    sacrebleu = pytest.importorskip(
        "sacrebleu", reason="sacrebleu is not installed; `pip install sacrebleu` lifts this"
    )
    draw = random.Random(references)
    for _ in range(40):
        right = [
            [draw.choices("abcdefgh", k=draw.randint(4, 14)) for _ in range(references)]
            for _ in range(draw.randint(1, 12))
        ]
        said = [
            [word if draw.random() < 0.8 else "x" for word in one[0]][: draw.randint(3, 14)]
            for one in right
        ]
        theirs = sacrebleu.corpus_bleu(
            [" ".join(one) for one in said],
            [[" ".join(one[i]) for one in right] for i in range(references)],
            tokenize="none",
            smooth_method="none",
            force=True,
        )
        ours = corpus_bleu(said, right)
        assert ours.score == pytest.approx(theirs.score, abs=1e-9)
        assert ours.brevity == pytest.approx(theirs.bp)
        assert [100 * p for p in ours.precisions] == pytest.approx(theirs.precisions)
