"""Pairs of sentences: a translation stays with its source, and words are cut as promised.

Catches: source and target exchanged, validation sentences in the test, lines shifted by a rare line
break, umlauts cut out of words, a damaged or missing file that is passed over.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from practicum.data import cards, where
from practicum.data.cards import Card, FileCard
from practicum.data.pairs import Part, aligned, load_pairs, tokenised
from practicum.errors import PracticumError

SMALL = {
    "train.de": "Ein Hund.\nZwei Hunde.\nKein Hund!\n",
    "train.en": "A dog.\nTwo dogs.\nNo dog!\n",
    "val.de": "Ein Mann.\n",
    "val.en": "A man.\n",
    "test_2016_flickr.de": "Eine Frau.\n",
    "test_2016_flickr.en": "A woman.\n",
    "test_2017_flickr.de": "Ein Kind.\n",
    "test_2017_flickr.en": "A child.\n",
}


def folder_of(root: Path, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put small texts in the place of Multi30k, with a card that knows their checksums."""
    folder = root / "multi30k"
    folder.mkdir()
    files = []
    for name, text in texts.items():
        packed = gzip.compress(text.encode(), mtime=0)
        (folder / f"{name}.gz").write_bytes(packed)
        files.append(
            FileCard(
                path=f"multi30k/{name}.gz",
                bytes=len(packed),
                sha256=hashlib.sha256(packed).hexdigest(),
                sha256_uncompressed=hashlib.sha256(text.encode()).hexdigest(),
                urls=("http://127.0.0.1/none",),
            )
        )
    small = Card(
        name="multi30k", title="a small set", what="6 pairs", kind="pairs of sentences",
        form="files", licence="none", citation="none", source="http://127.0.0.1/",
        files=tuple(files),
    )  # fmt: skip
    others = dict(cards.registry())
    monkeypatch.setattr(cards, "registry", lambda: {**others, "multi30k": small})
    monkeypatch.setenv("PRACTICUM_DATA", str(root))
    return folder


def test_the_parts_are_the_published_ones_in_both_directions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path, SMALL, monkeypatch)

    found = load_pairs("multi30k")

    german, english = ("ein hund .", "zwei hunde .", "kein hund !"), ("a dog .", "two dogs .")
    assert found.train == Part(german, (*english, "no dog !"))
    assert found.validation == Part(("ein mann .",), ("a man .",))
    assert found.test == Part(("eine frau .",), ("a woman .",))
    back = load_pairs("multi30k", source="en", target="de")
    assert back.train == Part(found.train.target, found.train.source)


def test_a_missing_file_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path, SMALL, monkeypatch)
    (folder / "val.en.gz").unlink()

    with pytest.raises(PracticumError, match=r"val\.en\.gz.*practicum data get multi30k"):
        load_pairs("multi30k")


@pytest.mark.parametrize("kept", [30, 7])
def test_a_file_whose_gzip_data_are_cut_off_is_named(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder_of(tmp_path, SMALL, monkeypatch) / "train.de.gz"
    file.write_bytes(file.read_bytes()[:kept])

    with pytest.raises(PracticumError, match=r"damaged.*train\.de\.gz"):
        load_pairs("multi30k")


def test_files_of_unequal_length_are_named_with_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = {**SMALL, "train.en": SMALL["train.en"] + "One more.\n"}
    folder_of(tmp_path, longer, monkeypatch)

    with pytest.raises(PracticumError, match=r"train\.de\.gz has 3 lines and train\.en\.gz 4"):
        load_pairs("multi30k")


def test_a_line_without_words_is_named() -> None:
    with pytest.raises(PracticumError, match="target, line 2: no words"):
        aligned("Ein.\nZwei.\n", "One.\n \n")
    with pytest.raises(PracticumError, match="source, line 1: no words"):
        aligned("", "")


def test_other_sets_and_languages_are_refused() -> None:
    with pytest.raises(PracticumError, match="multi30k"):
        load_pairs("sst2")
    with pytest.raises(PracticumError, match="no language named 'fr'"):
        load_pairs("multi30k", target="fr")


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Two T-shirts.", "two t - shirts ."),
        ("  Männer  GRÜSSEN\tweiße Büsche ", "männer grüssen weiße büsche"),
        ("A man's 2 dogs, 10th_row!", "a man ' s 2 dogs , 10 th _ row !"),
        ("Bu\u0308sche", "büsche"),  # u and a separate diaeresis
        ('"Hi…"', '" hi … "'),
    ],
)
def test_words_are_runs_of_letters_and_marks_stand_alone(sentence: str, words: str) -> None:
    assert tokenised(sentence) == words


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Mn", "Mc", "Me"])))
def test_nothing_is_lost_but_space_and_capitals_and_a_second_time_changes_nothing(
    sentence: str,
) -> None:
    once = tokenised(sentence)

    assert tokenised(once) == once
    squeezed = tokenised("".join(sentence.split())).replace(" ", "")
    assert once.replace(" ", "") == squeezed


def test_a_rare_line_break_inside_a_sentence_shifts_nothing() -> None:
    found = aligned("Ein\u2028Hund.\nZwei.\n", "A\x85dog.\nTwo.\n")

    assert found == Part(("ein hund .", "zwei ."), ("a dog .", "two ."))


@pytest.mark.data
def test_the_published_pairs_have_their_known_numbers() -> None:
    if where("multi30k") is None:
        pytest.skip("the data folder has no multi30k; `practicum data get multi30k` gets it")
    found = load_pairs("multi30k")

    sizes = [len(one.source) for one in (found.train, found.validation, found.test)]
    assert sizes == [29000, 1014, 1000]
    assert found.train.source[2] == "ein kleines mädchen klettert in ein spielhaus aus holz ."
    assert found.train.target[2] == "a little girl climbing into a wooden playhouse ."
    lengths = sorted(len(one.split()) for one in found.test.source)
    assert sum(n > 20 for n in lengths) < 50  # captions are short: length needs other data
