"""The tests that a researcher may choose from, for thousands of studies at once.

Sources: Student, "The probable error of a mean", Biometrika 6 (1908) 1-25; Fisher, "Statistical
methods for research workers", 1925 (the t-test of a regression coefficient).

Equations, for one study with design X, outcomes y and residuals e = y - X b:
    b   = (X' X)^-1 X' y                                     (1)
    s^2 = e' e / (n - p)                                     (2)
    t_j = b_j / (s sqrt((X' X)^-1_jj)),  n - p degrees       (3)
With one column for the condition and one of ones, Eq. (3) is the t-test of two groups with a common
variance; for two groups that are given by sums it is written out:
    t   = (m_1 - m_2) / sqrt(s^2 (1/n_1 + 1/n_2))            (4)

Shapes: S studies, n observations, p columns of the design, K outcomes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array


def coefficient_p(
    x: Float[Array, "S n p"], y: Float[Array, "S n K"], column: int
) -> Float[Array, "S K"]:
    """Return the two-sided p of one column's coefficient, for each study and outcome.

    Designs hold small whole numbers, so a determinant below one half is a zero: such a study has no
    answer (everyone in it is of one group), and its p is 1.
    """
    n, p = x.shape[1:]
    gram = x.transpose(0, 2, 1) @ x  # [S, p, p]
    lost = np.abs(np.linalg.det(gram)) < 0.5
    inverse = np.linalg.inv(np.where(lost[:, None, None], np.eye(p), gram))
    b = inverse @ (x.transpose(0, 2, 1) @ y)  # Eq. (1)
    variance = np.square(y - x @ b).sum(axis=1) / (n - p)  # Eq. (2)
    error = np.sqrt(variance * inverse[:, column, column, None])
    answer = p_of_t(b[:, column] / error, n - p)  # Eq. (3)
    answer[lost] = 1.0
    return answer


def t_test_p(
    first: Float[Array, "*studies n"], second: Float[Array, "*studies m"]
) -> Float[Array, "*studies"]:
    """Return the two-sided p of the t-test of two groups with a common variance."""
    one, two = sums(first), sums(second)
    return p_from_sums(one, two, np.array(first.shape[-1]), np.array(second.shape[-1]))


def sums(
    x: Float[Array, "*studies n"],
) -> tuple[Float[Array, "*studies"], Float[Array, "*studies"]]:
    """Return the sum and the sum of squares of each study's observations."""
    return x.sum(axis=-1), np.square(x).sum(axis=-1)


def p_from_sums(
    first: tuple[Array, Array], second: tuple[Array, Array], n: Array, m: Array
) -> Array:
    """Return the two-sided p of Eq. (4) from (sum, sum of squares) of two groups of n and m.

    Two groups without any spread and with equal means have p = 1.
    """
    (sum_1, square_1), (sum_2, square_2) = first, second
    within = (square_1 - sum_1**2 / n) + (square_2 - sum_2**2 / m)
    variance = np.maximum(within, 0.0) / (n + m - 2)
    difference = sum_1 / n - sum_2 / m
    with np.errstate(divide="ignore", invalid="ignore"):
        t = difference / np.sqrt(variance * (1.0 / n + 1.0 / m))
    return p_of_t(np.nan_to_num(t, nan=0.0), n + m - 2)


def p_of_t(t: Array, degrees: int | Array) -> Array:
    """Return the two-sided p of Student's t."""
    from scipy.special import stdtr

    p: Array = 2.0 * stdtr(degrees, -np.abs(t))
    return p
