"""The real files, where PRACTICUM_DATA has them: what the cards say is what is in them.

Would catch: a wrong checksum or count in a card, a reader that is right on invented files only.
"""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest
import torch

from practicum.data import (
    card,
    check,
    load,
    load_graph,
    load_table,
    load_text,
    load_words,
    names,
    paths,
    sha256,
    where,
)
from practicum.data.cards import Card

pytestmark = pytest.mark.data


def there(name: str) -> Card:
    """Return the card of a set; skip the test when the folder has not all of its files."""
    if where(name) is None:
        pytest.skip(f"the data folder has no {name}")
    return card(name)


FETCHED = [name for name in names() if card(name).files]


@pytest.mark.parametrize("name", FETCHED)
def test_every_file_is_what_its_card_says(name: str) -> None:
    one = there(name)

    for file, state in zip(one.files, check(name), strict=True):
        assert state.state == "ok"
        if state.path is not None and state.path.name == file.path.rsplit("/", 1)[-1]:
            assert state.path.stat().st_size == file.bytes
    assert len(sha256(name)) == 64


@pytest.mark.parametrize(("name", "mean"), [("mnist", 0.1307), ("fashion-mnist", 0.2860)])
def test_the_images_of_mnist_have_the_known_counts_and_mean(name: str, mean: float) -> None:
    there(name)
    images = load(name)

    assert images.train[0].shape == (60000, 1, 28, 28)
    assert images.test[0].shape == (10000, 1, 28, 28)
    assert float(images.train[0].mean()) == pytest.approx(mean, abs=5e-5)
    assert float(images.train[0].max()) == 1.0
    if name == "mnist":
        assert images.train[1][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
        assert int((images.train[1] == 0).sum()) == 5923
    else:
        assert images.train[1].bincount().tolist() == [6000] * 10
    part = images.split_validation(10000)
    assert part.validation is not None
    assert abs(len(part.validation[1]) - 10000) <= 5


def test_records_of_cifar_agree_with_their_file_names() -> None:
    there("cifar10-subset")
    images = load("cifar10-subset")
    listed = paths("cifar10-subset")["cifar10_subset_train.filenames.txt"].read_text().split()

    named = [images.classes.index(re.split("[/_]", name)[0]) for name in listed]

    assert images.train[1].tolist() == named
    assert images.train[1].bincount().tolist() == [1000] * 10
    right = images.train[
        0
    ]  # neighbours in a picture are alike; with the axes mixed up they are not
    wrong = right.flatten(1).reshape(-1, 32, 32, 3).permute(0, 3, 1, 2)
    roughness = [(x[..., 1:] - x[..., :-1]).abs().mean() for x in (right, wrong)]
    assert roughness[0] < 0.8 * roughness[1]


def test_cora_is_the_public_split() -> None:
    there("cora")
    graph = load_graph("cora")

    assert graph.x.shape == (2708, 1433)
    assert int(graph.x.sum()) == 49216
    assert graph.edges.shape == (2, 5278)
    assert (graph.edges[0] < graph.edges[1]).all()
    assert graph.y[graph.train].bincount().tolist() == [20] * 7
    assert (len(graph.train), len(graph.validation), len(graph.test)) == (140, 500, 1000)
    everyone = torch.cat([graph.train, graph.validation, graph.test])
    assert len(everyone.unique()) == len(everyone)


def test_texts_are_whole() -> None:
    there("tinyshakespeare")
    text = load_text("tinyshakespeare")
    whole = text.train + text.validation + text.test

    assert len(whole) == 1115394
    assert len(set(whole)) == 65
    assert whole == paths("tinyshakespeare")["input.txt"].read_text()


def test_wikitext_has_its_tokens() -> None:
    there("wikitext-2")
    text = load_text("wikitext-2")

    for part, tokens in (
        (text.train, 2088628),
        (text.validation, 217646),
        (text.test, 245569),
    ):
        assert sum(len(line.split()) + 1 for line in part.splitlines()) == tokens
    assert gzip.decompress(paths("wikitext-2")["test.txt.gz"].read_bytes()).decode() == text.test


def test_no_surname_is_in_both_parts() -> None:
    there("surnames")
    words = load_words("surnames")

    assert len(words.train[0]) + len(words.test[0]) == 20050
    assert set(words.train[0]).isdisjoint(words.test[0])
    assert 0.18 < len(words.test[0]) / 20050 < 0.22
    assert len(words.classes) == 18
    for part in (words.train, words.test):
        assert set(part[1]) == set(range(18))
        assert not any(word != word.strip() or not word for word in part[0])
    known = dict(zip(words.train[0] + words.test[0], words.train[1] + words.test[1], strict=True))
    assert words.classes[known["Kobayashi"]] == "Japanese"


def test_tables_have_their_rows() -> None:
    there("compas")
    compas = load_table("compas")

    assert compas.frame.shape == (7214, 53)
    assert int(compas.frame["two_year_recid"].sum()) == 3251
    compas.frame.loc[:, "age"] = 0
    assert int(load_table("compas").frame["age"].max()) > 0  # the copy was the caller's own


def test_the_solubilities_are_numbers() -> None:
    there("esol")
    frame = load_table("esol").frame

    assert len(frame) == 1128
    assert np.isfinite(frame["measured log solubility in mols per litre"]).all()


def test_every_spoken_digit_is_there() -> None:
    there("fsdd")
    found = [re.fullmatch(r"recordings/(\d)_([a-z]+)_(\d+)\.wav", name) for name in paths("fsdd")]

    assert len(found) == 3000
    assert all(found)
    assert len({one.group(2) for one in found if one}) == 6
