"""Generators of small synthetic sets, in NumPy; every one draws from the generator it is given.

Points come as float64 [n, dim]; class numbers as int64 [n] from 0; the signs of `separable` are
-1 and +1, as the perceptron wants them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from practicum.errors import PracticumError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Points = tuple[NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Separable:
    """A linearly separable set whose largest margin is known exactly.

    Attributes:
        x: [n, dim] points in the unit ball; the largest norm is 1.
        y: [n] signs, -1 or +1.
        direction: [dim] the unit vector w with the largest min over i of y_i w·x_i.
        margin: that largest minimum, for hyperplanes through the origin.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64]
    direction: NDArray[np.float64]
    margin: float


def separable(n: int, dim: int, margin: float, generator: np.random.Generator) -> Separable:
    """Draw a set in the unit ball (R = 1) whose largest margin through the origin is `margin`.

    With z_i = y_i x_i, the largest margin is the distance of the convex hull of the z_i from the
    origin. The first two points are z = margin w ± sqrt(1 - margin²) u with u orthogonal to w: they
    have norm 1, and their middle is margin w. All others have w·z >= margin, so margin w is the
    hull's nearest point and no direction separates by more. Their component along w is uniform
    between margin and 1, the rest uniform in the ball that is left. Signs are fair coins, except
    that the first two points have one of each.

    Raises:
        PracticumError: fewer than 2 points or dimensions, or a margin outside (0, 1).
    """
    import numpy as np

    _at_least("points", n, 2)
    _at_least("dimensions", dim, 2)
    if not 0 < margin < 1:
        raise PracticumError(f"the margin lies between 0 and 1 (the radius is 1), not {margin}")
    direction = _unit(generator.standard_normal((1, dim)))[0]
    aside = generator.standard_normal((n, dim))
    aside = _unit(aside - np.outer(aside @ direction, direction))
    along = generator.uniform(margin, 1, n)
    radius = generator.uniform(0, 1, n) ** (1 / (dim - 1))
    aside[1], along[:2], radius[:2] = -aside[0], margin, 1
    width = radius * np.sqrt(1 - along**2)
    z = np.outer(along, direction) + width[:, None] * aside
    y = generator.choice(np.array([-1, 1]), n)
    y[:2] = 1, -1
    return Separable(y[:, None] * z, y, direction, margin)


def blobs(
    n: int, centres: NDArray[np.float64], deviation: float, generator: np.random.Generator
) -> Points:
    """Draw n points of round normal clouds; class i lies around centres[i], classes in turn."""
    import numpy as np

    _at_least("points", n, 1)
    _not_negative("deviation", deviation)
    y = np.arange(n) % len(centres)
    x = centres[y] + deviation * generator.standard_normal((n, centres.shape[1]))
    return x, y


def xor(n: int, deviation: float, generator: np.random.Generator) -> Points:
    """Draw clouds around (±1, ±1), class 1 where the signs differ: no line separates them."""
    import numpy as np

    corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    x, corner = blobs(n, corners, deviation, generator)
    return x, np.array([0, 1, 1, 0])[corner]


def two_moons(n: int, deviation: float, generator: np.random.Generator) -> Points:
    """Draw two interleaved half circles of radius 1 with normal noise; classes in turn.

    Class 0: (cos t, sin t); class 1: (1 - cos t, 1/2 - sin t); t uniform between 0 and pi.
    """
    import numpy as np

    _at_least("points", n, 1)
    _not_negative("deviation", deviation)
    y = np.arange(n) % 2
    t = generator.uniform(0, np.pi, n)
    upper = np.stack([np.cos(t), np.sin(t)], 1)
    x = np.where(y[:, None] == 0, upper, np.array([1, 0.5]) - upper)
    return x + deviation * generator.standard_normal((n, 2)), y


def rings(n: int, deviation: float, generator: np.random.Generator) -> Points:
    """Draw two circles around the origin, radius 1/2 (class 0) and 1 (class 1), with noise."""
    import numpy as np

    _at_least("points", n, 1)
    _not_negative("deviation", deviation)
    y = np.arange(n) % 2
    t = generator.uniform(0, 2 * np.pi, n)
    circle = np.stack([np.cos(t), np.sin(t)], 1) * np.where(y == 0, 0.5, 1.0)[:, None]
    return circle + deviation * generator.standard_normal((n, 2)), y


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    lengths: NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


def _at_least(what: str, number: int, least: int) -> None:
    if number < least:
        raise PracticumError(f"at least {least} {what} are needed, not {number}")


def _not_negative(what: str, number: float) -> None:
    if not number >= 0:
        raise PracticumError(f"the {what} is a number >= 0, not {number}")
