"""Rendered letters that can be read, and the karate club as Zachary published it.

Would catch: blank, cut-off or tilted pictures, one font's letter standing for another's, typefaces
of the test in training, a mistyped friendship, edges listed twice or with a wrong end.
"""

from __future__ import annotations

from pathlib import Path

import networkx
import pytest
import torch

from practicum.data import load, load_graph, sha256
from practicum.data.letters import _TEST, _TRAIN, alphabet
from practicum.errors import PracticumError


def test_every_letter_stands_whole_inside_its_margin() -> None:
    letters = load("letters")

    for x, y in (letters.train, letters.test):
        pictures = x[:, 0]
        frame = pictures.clone()
        frame[:, 1:-1, 1:-1] = 0
        assert float(frame.max()) == 0.0  # ink nowhere in the margin
        rows, columns = (pictures.amax(d) > 0 for d in (2, 1))
        assert (torch.maximum(rows.sum(1), columns.sum(1)) == 14).all()  # and it fills what it may
        assert pictures.mean((1, 2)).min() > 0.03
        assert y.bincount(minlength=26).unique().numel() == 1
    assert letters.classes[0] == "A"
    assert letters.classes[25] == "Z"


def test_no_two_letters_of_a_font_look_the_same() -> None:
    x, _ = load("letters").train
    fonts = x.reshape(-1, 26, 16 * 16)

    for font in fonts:
        distances = torch.cdist(font, font) + 9 * torch.eye(26)
        assert float(distances.min()) > 1


def test_known_letters_have_their_shapes() -> None:
    letters = dict(zip(load("letters").classes, load("letters").train[0][:26, 0], strict=True))

    assert float(letters["I"][2:14].mean(0).max()) > 0.9  # one upright stroke
    assert (letters["I"].amax(0) > 0).sum() < 6
    ink = letters["O"][:, letters["O"].amax(0) > 0]
    assert torch.allclose(ink, ink.flip(1), atol=0.2)  # left like right
    assert float(letters["O"][7:9, 7:9].max()) == 0.0  # hollow
    assert float(letters["L"][-3:-1].mean()) > 2 * float(letters["L"][1:3].mean())  # foot below


def test_letters_can_be_read_in_a_typeface_that_was_not_learnt() -> None:
    letters = load("letters")
    (x, y), (x_test, y_test) = letters.train, letters.test
    nearest = torch.cdist(x_test.flatten(1), x.flatten(1)).argmin(1)
    shuffled = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]

    assert (y[nearest] == y_test).float().mean() > 0.8
    assert (shuffled[nearest] == y_test).float().mean() < 0.2


def test_typefaces_are_in_one_part_only() -> None:
    families = [{font[:4] for font in fonts} for fonts in (_TRAIN, _TEST)]

    assert families[0].isdisjoint(families[1])
    assert len(load("letters").train[1]) == 26 * len(_TRAIN)
    assert len(load("letters").test[1]) == 26 * len(_TEST)


@pytest.mark.parametrize("content", [None, b"no font"])
def test_a_font_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.ttf"
    if content:
        path.write_bytes(content)

    with pytest.raises(PracticumError, match=r"x\.ttf"):
        alphabet(path)


def test_the_karate_club_has_its_members_friendships_and_factions() -> None:
    club = load_graph("karate")
    degrees = club.edges.flatten().bincount(minlength=34)

    assert club.x.shape == (34, 34)
    assert club.edges.shape == (2, 78)
    assert int(degrees.sum()) == 2 * 78
    assert int(degrees.min()) == 1
    assert [int(degrees[node]) for node in (0, 33, 32, 2, 1)] == [16, 17, 12, 10, 9]
    assert (club.edges[0] < club.edges[1]).all()
    assert len({tuple(edge) for edge in club.edges.T.tolist()}) == 78
    assert club.y.bincount().tolist() == [17, 17]
    assert club.y[[0, 33]].tolist() == [0, 1]


def test_the_karate_club_is_that_of_networkx() -> None:
    club, peer = load_graph("karate"), networkx.karate_club_graph()

    assert {tuple(edge) for edge in club.edges.T.tolist()} == {tuple(sorted(e)) for e in peer.edges}
    factions = [peer.nodes[node]["club"] for node in range(34)]
    assert club.y.tolist() == [int(faction != "Mr. Hi") for faction in factions]


def test_leaders_are_learnt_from_and_the_others_are_the_test() -> None:
    club = load_graph("karate")

    assert club.train.tolist() == [0, 33]
    assert sorted([*club.train.tolist(), *club.test.tolist()]) == list(range(34))
    assert club.validation.numel() == 0
    assert len(sha256("karate")) == 64
