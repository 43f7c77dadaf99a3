"""The Hopfield network: would catch a lost or kept diagonal, a wrong sign, a tie that turns a unit,
fields that go stale while units turn, states of a batch that touch each other, and a theory whose
limit is not the one in the literature.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.errors import PracticumError
from practicum.learning.hebbian import outer_product
from practicum.nn.hopfield import (
    Hopfield,
    critical_load,
    load_for,
    overlap,
    retrieval_overlap,
)


def bits(seed: int, count: int, units: int) -> Tensor:
    drawn = np.random.default_rng(seed).integers(0, 2, size=(count, units))
    return torch.from_numpy(drawn * 2.0 - 1.0).float()


def naive_settle(
    weights: list[list[float]], state: list[float], order: np.random.Generator, sweeps: int
) -> list[float]:
    """One state, one unit at a time, two loops."""
    n, s = len(state), list(state)
    for _ in range(sweeps):
        turned = False
        for i in order.permutation(n):
            h = sum(weights[i][j] * s[j] for j in range(n))
            new = s[i] if h == 0 else (1.0 if h > 0 else -1.0)
            turned = turned or new != s[i]
            s[i] = new
        if not turned:
            break
    return s


@pytest.mark.parametrize(("count", "units"), [(3, 11), (7, 16), (20, 24)])
def test_a_batch_settles_where_a_naive_double_loop_takes_each_state_alone(
    count: int, units: int
) -> None:
    weights = outer_product(bits(0, count, units))
    starts = bits(1, 5, units)
    # The batch shares its order of updating until the last state rests: a naive state that rested
    # earlier is not changed by further sweeps.
    ours = Hopfield(weights).settle(starts, np.random.default_rng(9), sweeps=60)
    for state, end in zip(starts.tolist(), ours.states.tolist(), strict=True):
        assert naive_settle(weights.tolist(), state, np.random.default_rng(9), 60) == end
    assert bool(ours.at_rest.all())
    assert not torch.equal(ours.states, starts)


def test_the_twin_tells_wrong_sign_and_kept_diagonal_apart() -> None:
    patterns, starts = bits(0, 8, 20), bits(1, 6, 20)
    twin = [
        naive_settle(outer_product(patterns).tolist(), s, np.random.default_rng(9), 60)
        for s in starts.tolist()
    ]
    for wrong in (-outer_product(patterns), outer_product(patterns, keep_diagonal=True)):
        end = Hopfield(wrong).settle(starts, np.random.default_rng(9), sweeps=60).states
        assert end.tolist() != twin


def test_the_energy_equals_a_double_loop() -> None:
    weights, states = outer_product(bits(0, 4, 9)), bits(3, 2, 9)
    naive = [
        -0.5 * sum(weights[i][j] * s[i] * s[j] for i in range(9) for j in range(9)) / 9
        for s in states
    ]
    torch.testing.assert_close(Hopfield(weights).energy(states), torch.stack(naive))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 30), units=st.integers(2, 24))
def test_one_unit_at_a_time_never_raises_the_energy(seed: int, count: int, units: int) -> None:
    network = Hopfield(outer_product(bits(seed, count, units)))
    state, order = bits(seed + 1, 3, units), np.random.default_rng(seed)
    before = network.energy(state)
    for _ in range(6):
        state = network.settle(state, order, sweeps=1).states
        after = network.energy(state)
        assert bool((after <= before).all())
        before = after


def test_all_units_at_once_raise_the_energy_and_go_to_and_fro() -> None:
    # Two units that each want to be the other: updated together they swap for ever.
    network = Hopfield(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    start = torch.tensor([[1.0, -1.0]])
    for sweeps in (5, 6):
        end = network.settle_together(start, sweeps=sweeps)
        assert not bool(end.at_rest.any())
    assert bool(network.settle(start, np.random.default_rng(0)).at_rest.all())
    # Of the two states that take turns one has the higher energy: every other update raises it.
    overloaded = Hopfield(outer_product(bits(0, 12, 60)))
    ends = overloaded.settle_together(bits(1, 40, 60))
    cycling = ends.states[~ends.at_rest]
    assert len(cycling)
    other = overloaded.settle_together(cycling, sweeps=1).states
    assert bool((overloaded.energy(cycling) != overloaded.energy(other)).any())


def test_updates_all_at_once_stop_early_only_where_more_would_change_nothing() -> None:
    network, starts = Hopfield(outer_product(bits(0, 12, 60))), bits(1, 40, 60)
    early = network.settle_together(starts, sweeps=500)
    assert early.sweeps < 500
    later = network.settle_together(early.states, sweeps=2)
    assert torch.equal(later.states, early.states)
    assert torch.equal(later.at_rest, early.at_rest)


def test_a_single_stored_pattern_is_recalled_from_any_closer_half() -> None:
    pattern = bits(2, 1, 31)
    network = Hopfield(outer_product(pattern))
    start = pattern.clone()
    start[0, :15] *= -1  # 15 of 31 bits wrong
    assert torch.equal(network.settle(start, np.random.default_rng(0)).states, pattern)
    start[0, 15] *= -1  # 16 of 31: now the mirror image is closer
    assert torch.equal(network.settle(start, np.random.default_rng(0)).states, -pattern)


def test_a_field_of_zero_leaves_the_unit_as_it_is() -> None:
    network = Hopfield(torch.zeros(3, 3))
    start = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
    assert torch.equal(network.settle(start, np.random.default_rng(0)).states, start)
    assert torch.equal(network.settle_together(start).states, start)


def test_settling_does_not_change_its_arguments() -> None:
    patterns = bits(0, 9, 12)
    network, start = Hopfield(outer_product(patterns)), bits(1, 4, 12)
    kept, couplings = start.clone(), network.couplings.clone()
    network.settle(start, np.random.default_rng(0))
    network.settle_together(start)
    assert torch.equal(start, kept)
    assert torch.equal(network.couplings, couplings)


def test_the_budget_of_sweeps_is_kept_and_an_unfinished_state_says_so() -> None:
    network, start = Hopfield(outer_product(bits(0, 40, 60))), bits(1, 20, 60)
    short = network.settle(start, np.random.default_rng(0), sweeps=1)
    assert short.sweeps == 1
    assert not bool(short.at_rest.all())


def test_overlap_counts_agreeing_bits() -> None:
    one = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    assert overlap(one, one).tolist() == [1.0]
    assert overlap(one, -one).tolist() == [-1.0]
    assert overlap(one, torch.tensor([[1.0, 1.0, -1.0, 1.0]])).tolist() == [0.5]


def test_couplings_that_are_not_symmetric_are_refused() -> None:
    with pytest.raises(PracticumError, match="symmetric"):
        Hopfield(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
    with pytest.raises(PracticumError, match="symmetric"):
        Hopfield(torch.zeros(2, 3))


def test_the_theory_has_its_limit_where_the_literature_has_it() -> None:
    limit, at_limit = critical_load()
    assert limit == pytest.approx(0.138, abs=0.0005)
    assert at_limit == pytest.approx(0.967, abs=0.0005)
    assert retrieval_overlap(limit + 1e-6) == 0.0
    assert retrieval_overlap(limit - 1e-6) > 0.96


@pytest.mark.parametrize("load", [0.02, 0.08, 0.13])
def test_the_theory_solves_the_equations_it_was_reduced_from(load: float) -> None:
    m = retrieval_overlap(load)
    # Amit, Gutfreund and Sompolinsky at zero temperature: iterate m, C and r as they stand.
    overlap_now, c = 1.0, 0.0
    for _ in range(4000):
        noise = np.sqrt(load) / (1.0 - c)  # sqrt(load r)
        c = float(np.sqrt(2.0 / np.pi) / noise * np.exp(-(overlap_now**2) / (2.0 * noise**2)))
        overlap_now = float(torch.erf(torch.tensor(overlap_now / (noise * np.sqrt(2.0)))))
    assert m == pytest.approx(overlap_now, abs=1e-5)


def test_the_theory_falls_with_the_load_and_refuses_none() -> None:
    values = [retrieval_overlap(load) for load in (0.01, 0.05, 0.1, 0.13)]
    assert values == sorted(values, reverse=True)
    assert load_for(1.5) > load_for(3.0)
    with pytest.raises(PracticumError, match="above zero"):
        retrieval_overlap(0.0)
