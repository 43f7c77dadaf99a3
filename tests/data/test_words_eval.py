"""Analogy questions and WordSim-353: sections stand where they belong, and nothing is lost.

Catches: a heading read as a question, a semantic section counted as grammar, words that keep their
capitals, columns exchanged.
"""

from __future__ import annotations

import pytest

from practicum.data import where
from practicum.data.words_eval import load_questions, load_similarities, parse_questions
from practicum.errors import PracticumError

SMALL = """: family
Boy girl brother sister
: gram3-comparative

bad worse big bigger
cold colder big bigger
"""


def test_sections_about_grammar_are_told_from_the_others() -> None:
    found = parse_questions(SMALL)

    assert found.semantic == (("boy", "girl", "brother", "sister"),)
    assert found.syntactic == (
        ("bad", "worse", "big", "bigger"),
        ("cold", "colder", "big", "bigger"),
    )


@pytest.mark.parametrize("text", ["a b c d\n", ": family\na b c\n", ": family\na b c d e\n"])
def test_a_line_that_is_no_question_is_named(text: str) -> None:
    with pytest.raises(PracticumError, match=f"line {text.count(chr(10))}"):
        parse_questions(text)


@pytest.mark.data
def test_the_published_questions_have_their_known_numbers() -> None:
    if where("word2vec-eval") is None:
        pytest.skip("the data folder has no word2vec-eval")
    found = load_questions()

    assert (len(found.semantic), len(found.syntactic)) == (8869, 10675)  # 19,544 in all
    assert found.semantic[0] == ("athens", "greece", "baghdad", "iraq")
    assert ("bad", "worse", "big", "bigger") in found.syntactic


@pytest.mark.data
def test_the_published_pairs_keep_their_scores() -> None:
    if where("wordsim353") is None:
        pytest.skip("the data folder has no wordsim353")
    found = load_similarities()
    score = dict(zip(found.pairs, found.scores, strict=True))

    assert len(found.pairs) == 353
    assert score["tiger", "tiger"] == 10.0
    assert score["stock", "cd"] == 1.31
