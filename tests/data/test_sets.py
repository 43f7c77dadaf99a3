"""Cards, splits, checksums and what importing costs.

Would catch: a card without a loader or licence, rows in two parts, a split or checksum that
depends on the machine, test statistics leaking into the training part, torch imported by a list.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import datasets

import practicum.data as data
from practicum.data import card, load, load_graph, load_table, load_text, load_words, names
from practicum.data.cards import registry
from practicum.data.dataset import digest, from_arrays
from practicum.data.loading import _LOADERS
from practicum.data.page import renewed
from practicum.data.splits import split_rows
from practicum.errors import PracticumError

BUNDLED = ("digits", "iris", "wine", "breast-cancer", "diabetes")
SOURCES = {
    "digits": lambda: (datasets.load_digits().images / 16, datasets.load_digits().target),
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast-cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True, scaled=False),
}


# ---- cards


@pytest.mark.parametrize("name", names())
def test_every_card_is_complete_and_has_a_way_to_load(name: str) -> None:
    one = card(name)

    for text in (one.title, one.what, one.kind, one.licence, one.citation, one.source):
        assert text.strip() == text != ""
    assert one.always_at_hand == (not one.files)
    if one.form not in ("table", "files"):
        assert name in _LOADERS
    if one.form == "tensors":
        assert set(one.shapes) == {"x", "y"}
    if one.form in ("table", "files"):
        assert one.files
    json.dumps(asdict(one))


def test_every_file_has_a_place_a_size_and_checksums() -> None:
    files = [file for one in registry().values() for file in one.files]

    assert len({file.path for file in files}) == len(files)
    for file in files:
        assert file.bytes > 0
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.path.endswith(".gz") == bool(file.sha256_uncompressed)
        assert all(url.startswith(("https://", "http://")) for url in file.urls)
        assert ".." not in Path(file.path).parts
    orphans = {file.path.split("/")[0] for file in files} - set(registry())
    assert not orphans


def test_loaders_are_of_registered_sets_only() -> None:
    assert set(_LOADERS) <= set(names())


def test_names_begin_with_what_is_at_hand() -> None:
    at_hand = [card(name).always_at_hand for name in names()]

    assert at_hand == sorted(at_hand, reverse=True)
    assert names()[0] == "digits"


def test_a_wrong_name_is_answered_with_the_near_one() -> None:
    with pytest.raises(PracticumError, match="did you mean 'fashion-mnist'"):
        load("fashon-mnist")


@pytest.mark.parametrize(
    ("loader", "name", "right"),
    [
        (load, "pydoc", "load_text"),
        (load, "karate", "load_graph"),
        (load, "compas", "load_table"),
        (load, "surnames", "load_words"),
        (load, "multi30k", "paths"),
        (load_text, "digits", r"practicum\.data\.load\("),
        (load_graph, "pydoc", "load_text"),
        (load_words, "karate", "load_graph"),
        (load_table, "wnut17", "paths"),
    ],
)
def test_a_set_in_another_form_names_the_function_that_hands_it_out(
    loader: object, name: str, right: str
) -> None:
    with pytest.raises(PracticumError, match=right):
        loader(name)  # type: ignore[operator]  # each is a loader


def test_listing_imports_no_heavy_package() -> None:
    program = (
        "import sys, practicum.data as d; [d.card(n) for n in d.names()];"
        "heavy = {'torch', 'numpy', 'sklearn', 'pandas', 'scipy', 'matplotlib', 'PIL', 'pooch',"
        " 'requests'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_the_page_of_the_data_sets_is_up_to_date() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")

    assert page == renewed(page), "run: python -m practicum.data.page"
    x, y = load("digits").train
    assert f"float32 {list(x.shape)}" in page
    assert f"int64 {list(y.shape)}" in page


# ---- splits


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 1000),
)
def test_parts_are_disjoint_complete_and_stratified(
    counts: list[int], share: float, seed: int
) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))

    rest, held = split_rows("x", labels, share)

    assert sorted([*rest, *held]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        assert (labels[held] == label).sum() == int(count * share + 0.5)


def test_the_split_is_the_documented_rule() -> None:
    labels = np.array([0] * 5 + [1] * 10)
    ranks = [hashlib.sha256(f"name/{row}".encode()).hexdigest() for row in range(15)]
    expected = sorted(range(5), key=ranks.__getitem__)[:1]
    expected += sorted(range(5, 15), key=ranks.__getitem__)[:2]

    assert split_rows("name", labels)[1].tolist() == sorted(expected)
    assert split_rows("other", labels)[1].tolist() != sorted(expected)


def test_a_split_by_row_number_would_be_noticed() -> None:
    _, held = split_rows("digits", np.zeros(1000, int))

    assert held.max() - held.min() > 900  # no block of neighbours: writers follow each other
    assert abs(np.diff(held).mean() - 5) < 0.5


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_set_holds_each_source_row_once(name: str) -> None:
    x, y = SOURCES[name]()
    loaded = load(name)
    rows = torch.cat([loaded.train[0], loaded.test[0]]).flatten(1).numpy()
    targets = torch.cat([loaded.train[1], loaded.test[1]]).numpy()

    whole = np.column_stack([x.reshape(len(x), -1).astype(np.float32), y.astype(np.float32)])
    mine = np.column_stack([rows, targets.astype(np.float32)])

    assert np.array_equal(whole[np.lexsort(whole.T)], mine[np.lexsort(mine.T)])
    assert loaded.train[0].shape[1:] == card(name).shapes["x"]
    assert loaded.train[0].dtype == torch.float32
    assert loaded.train[1].dtype == (torch.float32 if name == "diabetes" else torch.int64)


def test_digits_are_grey_levels_between_zero_and_one_in_every_class() -> None:
    digits = load("digits")

    for x, y in (digits.train, digits.test):
        assert float(x.min()) == 0.0
        assert float(x.max()) == 1.0
        assert torch.equal(x * 16, (x * 16).round())
        assert y.bincount(minlength=10).min() >= 0.09 * len(y)
    assert (len(digits.train[1]), len(digits.test[1])) == (1438, 359)


def test_the_counts_of_the_cards_are_those_of_the_data() -> None:
    for name in (*BUNDLED, "letters"):
        loaded = load(name)
        for part in (loaded.train, loaded.test):
            assert f"{len(part[1])}" in card(name).what.replace(",", "")


# ---- validation and standardising


@pytest.mark.parametrize("name", ["digits", "wine", "diabetes"])
def test_validation_rows_leave_the_training_part_and_nothing_else_changes(name: str) -> None:
    whole = load(name)
    size = len(whole.train[1]) // 4

    part = whole.split_validation(size)

    assert part.validation is not None
    assert abs(len(part.validation[1]) - size) <= 5
    together = torch.cat([part.train[0], part.validation[0]]).flatten(1).numpy()
    before = whole.train[0].flatten(1).numpy()
    assert np.array_equal(together[np.lexsort(together.T)], before[np.lexsort(before.T)])
    assert part.test is whole.test
    assert part.sha256 not in (whole.sha256, whole.split_validation(size + 1).sha256)
    again = whole.split_validation(size)
    assert again.validation is not None
    assert torch.equal(again.validation[0], part.validation[0])
    assert whole.validation is None


@pytest.mark.parametrize("size", [0, -1, 120, 1000])
def test_an_impossible_validation_size_is_refused(size: int) -> None:
    with pytest.raises(PracticumError, match="give 1 to 119"):
        load("iris").split_validation(size)


def test_a_second_validation_part_is_refused() -> None:
    with pytest.raises(PracticumError, match="already"):
        load("iris").split_validation(30).split_validation(30)


def test_standardising_uses_the_training_part_alone() -> None:
    raw, scaled = load("wine"), load("wine").standardized()
    train, test = raw.train[0].double().numpy(), raw.test[0].double().numpy()

    assert np.allclose(scaled.train[0].mean(0), 0, atol=1e-6)
    assert np.allclose(scaled.train[0].std(0, unbiased=False), 1, atol=1e-5)
    expected = (test - train.mean(0)) / train.std(0)
    assert np.allclose(scaled.test[0].numpy(), expected, atol=1e-5)
    leaky = (test - np.r_[train, test].mean(0)) / np.r_[train, test].std(0)
    assert not np.allclose(scaled.test[0].numpy(), leaky, atol=1e-3)


def test_a_constant_feature_is_standardised_to_zero() -> None:
    x, y = np.array([[3.0, 1], [3, 2], [3, 3]]), np.array([0, 1, 0])

    scaled = from_arrays(card("iris"), (x, y), (x, y)).standardized()

    assert torch.equal(scaled.train[0][:, 0], torch.zeros(3))
    assert scaled.train[0].isfinite().all()


# ---- checksums


def test_the_checksum_of_digits_is_the_same_everywhere() -> None:
    # whole numbers and a split by hashes: no arithmetic is in it that could differ
    known = "0190355700823ad3fa7ab8004e7d9fe090c914a5f25671846fec08965108309c"

    assert load("digits").sha256 == known == data.sha256("digits")


def test_the_checksum_is_that_of_the_stored_entries() -> None:
    x, y = np.array([[1, 2], [3, 4], [5, 6]], np.uint8), np.array([0, 1, 0])
    body = b"train.x |u1 (3, 2)\n" + bytes([1, 2, 3, 4, 5, 6])
    body += b"train.y <i8 (3,)\n" + b"".join(n.to_bytes(8, "little") for n in (0, 1, 0))
    body += b"test.x |u1 (1, 2)\n" + bytes([1, 2]) + b"test.y <i8 (1,)\n" + bytes(8)

    found = from_arrays(card("iris"), (x, y), (x[:1], y[:1])).sha256

    assert found == hashlib.sha256(body).hexdigest()


def test_the_checksum_does_not_depend_on_memory_layout_or_byte_order() -> None:
    array = np.arange(12, dtype="<i4").reshape(3, 4)

    assert digest({"a": array}) == digest({"a": np.asfortranarray(array)})
    assert digest({"a": array}) == digest({"a": array.astype(">i4")})


@pytest.mark.parametrize("change", ["entry", "order", "part", "type", "shape"])
def test_any_change_of_the_data_changes_the_checksum(change: str) -> None:
    x, y = np.arange(12, dtype=np.uint8).reshape(6, 2), np.arange(6) % 2
    before = from_arrays(card("iris"), (x[:4], y[:4]), (x[4:], y[4:])).sha256
    train, test = (x[:4], y[:4]), (x[4:], y[4:])
    if change == "entry":
        train = (np.where(x[:4] == 3, 9, x[:4]).astype(np.uint8), y[:4])
    elif change == "order":
        train = (x[:4][::-1], y[:4][::-1])
    elif change == "part":
        train, test = (x[:3], y[:3]), (x[3:], y[3:])
    elif change == "type":
        train = (x[:4].astype(np.int16), y[:4])
    else:
        train = (x[:4].reshape(4, 1, 2), y[:4])

    assert from_arrays(card("iris"), train, test).sha256 != before


def test_a_set_is_loaded_once_per_process() -> None:
    assert load("digits") is load("digits")


def test_a_card_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        card("digits").name = "x"  # type: ignore[misc]  # that is the point
    assert replace(card("digits"), name="x").name == "x"


# ---- text at hand


def test_the_documentation_text_is_english_and_cut_in_order() -> None:
    text = load_text("pydoc")
    whole = text.train + text.validation + text.test

    assert len(whole) > 100_000
    assert whole.lower().count(" the ") > 1000
    assert len(text.train) == len(whole) * 90 // 100
    assert len(text.train + text.validation) == len(whole) * 95 // 100
    assert data.sha256("pydoc") == text.sha256
    assert load_text("pydoc") is text
