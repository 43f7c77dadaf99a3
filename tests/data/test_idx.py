"""The idx reader: byte order, order of the axes, and files that are not what they say.

Would catch: sizes read little-endian, rows and columns exchanged, bytes taken as signed, a short
or long file read as if it were whole.
"""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from practicum.data.idx import parse_idx
from practicum.errors import PracticumError


def naive(data: bytes) -> list[object]:
    """Read an idx file with nested lists, entry by entry, from the format's description."""
    sizes = [struct.unpack(">I", data[4 + 4 * d : 8 + 4 * d])[0] for d in range(data[3])]
    entries = iter(data[4 + 4 * len(sizes) :])

    def level(depth: int) -> object:
        if depth == len(sizes):
            return next(entries)
        return [level(depth + 1) for _ in range(sizes[depth])]

    return level(0)


@given(
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_reads_what_a_naive_reader_reads(shape: list[int], seed: int) -> None:
    body = np.random.default_rng(seed).integers(0, 256, math.prod(shape)).astype(np.uint8)
    data = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body.tobytes()

    array = parse_idx(data, "x")

    assert array.dtype == np.uint8
    assert array.shape == tuple(shape)
    assert array.tolist() == naive(data)


def test_a_known_file_is_read_row_by_row() -> None:
    data = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])

    assert parse_idx(data, "x").tolist() == [[1, 2, 3], [4, 5, 255]]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "two zero bytes"),
        (b"\x89PNG....", "two zero bytes"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 0]), "0x0d"),
        (bytes([0, 0, 8, 3, 0, 0, 0, 1]), "ends inside its header"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2]), "announces 11"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3, 4]), "announces 11"),
        (bytes([0, 0, 8, 1, 3, 0, 0, 0, 1, 2, 3]), "announces"),  # sizes in the wrong byte order
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_by_name(data: bytes, says: str) -> None:
    with pytest.raises(PracticumError, match=says) as error:
        parse_idx(data, "my-file")
    assert "my-file" in str(error.value)
