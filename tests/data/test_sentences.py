"""Sentences with a class: lines read as they stand, sections of the help split without a leak.

Catches: a label cut from the wrong end, a broken line that is passed over, a sentence of two
sections that gets a class, or stands in two parts, or is read as further text beside a part.
"""

from __future__ import annotations

import pytest

from practicum.data import where
from practicum.data.sentences import SECTIONS, load_sentences, parse, sections, split_sentences
from practicum.errors import PracticumError


def test_lines_are_words_a_tab_and_a_class() -> None:
    found = parse("A fine  film\t1\nnot , at all\t0\n")

    assert found.sentences == ("a fine film", "not , at all")
    assert found.classes == (1, 0)


@pytest.mark.parametrize("line", ["no class", "two\t2", "\t1", "the class first\t1\tand more"])
def test_a_line_that_is_something_else_is_named(line: str) -> None:
    with pytest.raises(PracticumError, match="line 2"):
        parse(f"fine\t1\n{line}\n")


def test_sentences_end_where_marks_do_and_short_ones_are_left_out() -> None:
    text = "Read the file\nline by line. It is (e.g. here) closed.\n\nToo short.\n\n=====\n"

    assert split_sentences(text) == [
        "read the file line by line .",
        "it is ( e . g . here ) closed .",
    ]


def test_only_sentences_of_one_chosen_section_are_labelled() -> None:
    own = {name: [f"this is only in {name} number {i} ." for i in range(40)] for name in "abc"}
    both = "this one stands in two of them ."
    texts = {
        name: "\n\n".join(one.capitalize() for one in [*lines, *([both] if name in "ab" else [])])
        for name, lines in own.items()
    }
    found = sections(texts, ("b", "a"))

    parts = [found.train, found.validation, found.test]
    pairs = [pair for part in parts for pair in zip(part.sentences, part.classes, strict=True)]
    assert sorted(pairs) == sorted([(one, 0) for one in own["b"]] + [(one, 1) for one in own["a"]])
    assert sorted(found.further) == sorted([*own["c"], both])
    assert found.classes == ("b", "a")
    assert len(parts[0].sentences) > len(parts[2].sentences) > len(parts[1].sentences) > 0


def test_the_parts_of_the_help_share_no_sentence_and_have_every_class() -> None:
    found = load_sentences("pydoc")
    parts = [set(part.sentences) for part in (found.train, found.validation, found.test)]

    whole = parts[0] | parts[1] | parts[2] | set(found.further)
    assert len(whole) == sum(map(len, parts)) + len(found.further)
    for part in (found.train, found.validation, found.test):
        assert set(part.classes) == set(range(len(SECTIONS)))
    assert len(found.train.sentences) > 300  # what the lab `bert` asks for at most


def test_unknown_sets_and_sections_are_refused() -> None:
    with pytest.raises(PracticumError, match="sst2"):
        load_sentences("sst")
    with pytest.raises(PracticumError, match="types"):
        sections({"types": "x"}, ("type",))


@pytest.mark.data
def test_the_published_reviews_have_their_known_numbers() -> None:
    if where("sst2") is None:
        pytest.skip("the data folder has no sst2")
    found = load_sentences("sst2")

    assert [len(part.sentences) for part in (found.train, found.validation, found.test)] == [
        6920,
        872,
        1821,
    ]
    assert [sum(part.classes) for part in (found.train, found.validation, found.test)] == [
        3610,
        444,
        909,
    ]
    assert found.validation.sentences[0] == "one long string of cliches"
    assert found.classes[found.validation.classes[0]] == "negative"
