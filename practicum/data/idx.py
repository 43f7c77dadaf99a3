"""The idx format of the MNIST files: a header of big-endian integers, then the array's bytes.

    bytes 0-1  zero
    byte  2    type of the entries: 0x08 for unsigned bytes, the only one that these sets use
    byte  3    number of dimensions D
    then       D unsigned 32-bit big-endian sizes
    then       the entries, last dimension fastest

Source: the description on http://yann.lecun.com/exdb/mnist/ (section "file formats").
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from practicum.errors import PracticumError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_UNSIGNED_BYTE = 0x08


def parse_idx(data: bytes, name: str) -> NDArray[np.uint8]:
    """Return the array in the bytes of an idx file; a view, not a copy.

    Args:
        data: the uncompressed bytes.
        name: how errors call the file.

    Raises:
        PracticumError: not an idx file of unsigned bytes, or fewer or more bytes than announced.
    """
    import numpy as np

    if len(data) < 4 or data[:2] != b"\0\0":
        raise PracticumError(f"{name} is no idx file: it must start with two zero bytes")
    if data[2] != _UNSIGNED_BYTE:
        raise PracticumError(
            f"{name} holds entries of type 0x{data[2]:02x}; expected unsigned bytes (0x08)"
        )
    dimensions = data[3]
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise PracticumError(f"{name} ends inside its header: {len(data)} of {start} bytes")
    shape = struct.unpack(f">{dimensions}I", data[4:start])
    expected = start + math.prod(shape)
    if len(data) != expected:
        raise PracticumError(
            f"{name} has {len(data)} bytes, but its header announces {expected}; it is damaged"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
