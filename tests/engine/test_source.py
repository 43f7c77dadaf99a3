"""Batches of tensors in memory against the plain generator.

Would catch: an example left out or seen twice in an epoch, the same order every epoch, inputs and
targets that come apart, a small last batch lost or kept against the setting, a resumed run that
repeats or skips a batch.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.engine.source import Batches, Resumable
from practicum.errors import PracticumError


def plain(
    data: tuple[Tensor, ...],
    batch_size: int,
    order: torch.Generator,
    rows: Tensor | None = None,
    *,
    drop_last: bool = False,
) -> Iterator[tuple[Tensor, ...]]:
    if rows is not None:
        data = tuple(one[rows] for one in data)
    while True:
        for index in torch.randperm(len(data[0]), generator=order).split(batch_size):
            if len(index) == batch_size or not drop_last:
                yield tuple(one[index] for one in data)


def made(n: int) -> tuple[Tensor, Tensor]:
    """Each example's target is its number, and its inputs say the same."""
    return torch.arange(n)[:, None].repeat(1, 3).float(), torch.arange(n)


sizes = st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@given(sizes, st.integers(0, 5), st.booleans())
def test_batches_are_those_of_the_plain_generator(
    size: tuple[int, int], seed: int, drop_last: bool
) -> None:
    n, batch = size
    data = made(n)
    ours = Batches(data, batch, streams(seed).order(), drop_last=drop_last)
    theirs = plain(data, batch, streams(seed).order(), drop_last=drop_last)
    for one, other in itertools.islice(zip(ours, theirs, strict=False), 3 * (n // batch) + 4):
        assert all(map(torch.equal, one, other))


@given(sizes, st.integers(0, 5))
def test_every_example_comes_once_an_epoch_with_its_own_target(
    size: tuple[int, int], seed: int
) -> None:
    n, batch = size
    source = Batches(made(n), batch, streams(seed).order())
    epochs = []
    for _ in range(2):
        drawn = list(itertools.islice(source, -(-n // batch)))
        assert all((x[:, 0] == y).all() for x, y in drawn)
        epochs.append(torch.cat([y for _, y in drawn]))
        assert epochs[-1].sort().values.tolist() == list(range(n))
    if n > 8:
        assert not torch.equal(*epochs)  # shuffled anew; the same order twice has odds under 1e-5


@given(sizes, st.data())
def test_a_subset_of_rows_gives_only_those_rows(size: tuple[int, int], data: Any) -> None:
    n, batch = size
    rows = torch.arange(n)[n - batch :]
    ours = Batches(made(n), batch, streams(1).order(), rows)
    theirs = plain(made(n), batch, streams(1).order(), rows)
    for one, other in itertools.islice(zip(ours, theirs, strict=False), 4):
        assert all(map(torch.equal, one, other))
        assert set(one[1].tolist()) == set(rows.tolist())


@given(sizes, st.integers(0, 40), st.booleans())
def test_a_source_resumed_anywhere_goes_on_with_the_same_batches(
    size: tuple[int, int], before: int, drop_last: bool
) -> None:
    n, batch = size
    source = Batches(made(n), batch, streams(3).order(), drop_last=drop_last)
    for _ in itertools.islice(source, before):
        pass
    saved = copy.deepcopy(source.state_dict())
    expected = [y.tolist() for _, y in itertools.islice(source, 9)]
    resumed = Batches(made(n), batch, streams(77).order(), drop_last=drop_last)
    resumed.load_state_dict(saved)
    assert [y.tolist() for _, y in itertools.islice(resumed, 9)] == expected
    source.load_state_dict(saved)  # the one that ran on goes back as well
    assert [y.tolist() for _, y in itertools.islice(source, 9)] == expected


def test_a_position_without_the_cursor_or_without_the_generator_would_be_noticed() -> None:
    source = Batches(made(20), 3, streams(3).order())
    for _ in itertools.islice(source, 9):
        pass
    saved = source.state_dict()
    expected = [y.tolist() for _, y in itertools.islice(source, 5)]
    for lost in ({**saved, "cursor": 0}, {**saved, "order": streams(3).order().get_state()}):
        resumed = Batches(made(20), 3, streams(3).order())
        resumed.load_state_dict(lost)
        assert [y.tolist() for _, y in itertools.islice(resumed, 5)] != expected


def test_an_unshuffled_source_would_be_noticed() -> None:
    first = next(Batches(made(30), 30, streams(0).order()))[1]
    assert first.tolist() != list(range(30))


@pytest.mark.parametrize("batch", [0, -2, 8])
def test_a_batch_size_that_does_not_fit_is_an_error_that_names_both_numbers(batch: int) -> None:
    with pytest.raises(PracticumError, match=rf"batch size {batch} does not fit 7 "):
        Batches(made(7), batch, streams(0).order())


def test_batches_are_resumable_and_a_plain_generator_is_not() -> None:
    assert isinstance(Batches(made(3), 1, streams(0).order()), Resumable)
    assert not isinstance(plain(made(3), 1, streams(0).order()), Resumable)
