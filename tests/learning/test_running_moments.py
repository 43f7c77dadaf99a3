"""Running moments against NumPy's over everything at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from practicum.learning.running_moments import RunningMoments


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 1000))
def test_parts_give_the_moments_of_the_whole(sizes: list[int], seed: int) -> None:
    made = np.random.default_rng(seed)
    parts = [3 + 5 * made.standard_normal((2, n, 3)) for n in sizes]
    moments = RunningMoments((2, 1, 3))
    for part in parts:
        moments.add(torch.from_numpy(part))
    whole = np.concatenate(parts, 1)
    np.testing.assert_allclose(moments.mean[:, 0], whole.mean(1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(moments.variance[:, 0], whole.var(1), rtol=0, atol=1e-11)


def test_lanes_and_columns_do_not_mix() -> None:
    moments = RunningMoments((2, 1, 1))
    moments.add(torch.tensor([[[1.0], [3.0]], [[10.0], [10.0]]]))
    assert moments.mean.flatten().tolist() == [2, 10]
    assert moments.variance.flatten().tolist() == [1, 0]
    normal = moments.normal(torch.tensor([[[4.0]], [[10.0]]]))
    assert normal.flatten().tolist() == pytest.approx([2, 0], abs=1e-6)
