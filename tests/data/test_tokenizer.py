"""Byte pairs: what goes in comes out, the merges are those of the paper, and a file keeps all.

Catches: texts that do not come back (spaces, accents, line ends), merges that are not the most
frequent pair, a special token cut in pieces, two trainings that differ, a loaded encoding that is
another one, and a bare ImportError where the library is missing.
"""

from __future__ import annotations

import importlib
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from practicum.data import tokenizer
from practicum.data.tokenizer import BYTES, BytePairs
from practicum.errors import PracticumError

TEXT = "low low low low low lower lower newest newest newest newest newest newest widest widest"


@pytest.fixture
def library() -> None:
    pytest.importorskip("tokenizers", reason='needs tokenizers: pip install -e ".[text]"')


def merged(text: str, times: int) -> list[str]:
    """Merge the most frequent pair of neighbours inside words, by hand."""
    words = Counter(tuple("\u0120" * (i > 0) + word) for i, word in enumerate(text.split()))
    pieces = []
    for _ in range(times):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        best = max(pairs.values())
        winners = [pair for pair, count in pairs.items() if count == best]
        assert len(winners) == 1, "the text of this test must have no ties"
        pieces.append("".join(winners[0]))
        joined: Counter[tuple[str, ...]] = Counter()
        for word, count in words.items():
            new: list[str] = []
            for letter in word:
                if new and (new[-1], letter) == winners[0]:
                    new[-1] += letter
                else:
                    new.append(letter)
            joined[tuple(new)] += count
        words = joined
    return pieces


@pytest.mark.usefixtures("library")
def test_the_first_merges_are_the_most_frequent_pairs() -> None:
    text = "aab aab aab aab aab aac aac aac xab xab zy"
    made = BytePairs.train([text], BYTES + 2)

    assert made.size == BYTES + 2
    assert [made.piece(BYTES + i) for i in range(2)] == merged(text, 2)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("text", ["", " two  spaces\n\tand a tab ", "naïve 中文 🙂", "lowest </s>"])
def test_any_text_comes_back(text: str) -> None:
    made = BytePairs.train([TEXT], 300)

    assert made.decode(made.encode(text)) == text
    assert max(made.encode(text), default=0) < made.size


@pytest.mark.usefixtures("library")
def test_more_tokens_make_texts_shorter_and_the_size_is_kept() -> None:
    small, large = (BytePairs.train([TEXT], size) for size in (BYTES, BYTES + 12))

    assert (small.size, large.size) == (BYTES, BYTES + 12)
    assert len(small.encode(TEXT)) == len(TEXT.encode())
    assert len(large.encode(TEXT)) < len(TEXT) / 2


@pytest.mark.usefixtures("library")
def test_special_tokens_come_first_and_are_never_cut() -> None:
    made = BytePairs.train([TEXT], 280, special=("<pad>", "<end>"))

    assert made.special == {"<pad>": 0, "<end>": 1}
    assert made.encode("low<end>low").count(1) == 1
    assert made.decode(made.encode("low<end>low")) == "low<end>low"
    assert not set(made.encode("< end>")) & {0, 1}


@pytest.mark.usefixtures("library")
def test_the_same_text_gives_the_same_tokens_and_a_file_keeps_them(tmp_path: Path) -> None:
    first, second = (BytePairs.train([TEXT], 270, special=("<end>",)) for _ in range(2))
    first.save(tmp_path / "pairs.json")
    read = BytePairs.load(tmp_path / "pairs.json")

    for other in (second, read):
        assert other.special == first.special
        assert [other.piece(i) for i in range(other.size)] == [
            first.piece(i) for i in range(first.size)
        ]
        assert other.encode(TEXT + " slower") == first.encode(TEXT + " slower")


@pytest.mark.usefixtures("library")
def test_bad_settings_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(PracticumError, match="no room for 256 bytes and 1 special"):
        BytePairs.train([TEXT], 256, special=("<end>",))
    with pytest.raises(PracticumError, match="must differ"):
        BytePairs.train([TEXT], 300, special=("<end>", "<end>"))
    (tmp_path / "x.json").write_text("{}")
    for name in ("x.json", "none.json"):
        with pytest.raises(PracticumError, match=name):
            BytePairs.load(tmp_path / name)
    made = BytePairs.train([TEXT], 260)
    for number in (-1, made.size):
        with pytest.raises(PracticumError, match="no token"):
            made.decode([number])
        with pytest.raises(PracticumError, match="no token"):
            made.piece(number)


def test_without_the_library_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(PracticumError, match=r"pip install .*\[text\]"):
        BytePairs.train([TEXT], 300)
    assert tokenizer.INSTALL
