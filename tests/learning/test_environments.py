"""Copies of environments for several seeds, against one environment stepped by hand.

Would catch: a last observation that is the next episode's first, an end that is told for a cut, a
return that runs over an end, a seed that meets what another met.
"""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch

from practicum.engine.seeds import streams
from practicum.errors import PracticumError
from practicum.learning.environments import Environments

SEEDS, COPIES, STEPS = (3, 8, 5), 2, 230


def played(seeds: tuple[int, ...], name: str = "CartPole-v1", clever: bool = True):
    """Play a rule that keeps some poles up for long; return the copies and what was seen."""
    copies, seen = Environments(name, seeds, COPIES), []
    for step in range(STEPS):
        o = copies.observations
        actions = (o[..., 2] + o[..., 3] > 0).long() if clever else torch.zeros(o.shape[:2]).long()
        actions[:, 1] = step % 2  # the second copy falls soon
        seen.append((o, actions, copies.step(actions)))
    return copies, seen


def test_against_one_environment_by_hand() -> None:
    copies, seen = played(SEEDS)
    cut = 0
    for lane, seed in enumerate(SEEDS):
        for copy in range(COPIES):
            one = gymnasium.make("CartPole-v1")
            o, _ = one.reset(seed=streams(seed).number("order") + copy)
            total, totals = 0.0, []
            for before, actions, found in seen:
                assert np.array_equal(before[lane, copy], o)
                o, reward, ended, truncated, _ = one.step(int(actions[lane, copy]))
                total += float(reward)
                assert np.array_equal(found.after[lane, copy], o)
                assert found.reward[lane, copy] == reward
                assert found.terminated[lane, copy] == ended
                assert found.truncated[lane, copy] == truncated
                cut += truncated
                if ended or truncated:
                    totals.append(total)
                    total, o = 0.0, one.reset()[0]
            if copy == 1:
                assert len(totals) > 3, "no episode ended: the test says nothing"
    assert copies.steps == STEPS
    assert cut == 0


def test_returns_are_of_the_last_finished_episodes() -> None:
    copies, seen = played(SEEDS)
    for lane in range(len(SEEDS)):
        lengths, running = [], [0, 0]
        for _, _, found in seen:
            for copy in range(COPIES):
                running[copy] += 1  # CartPole pays one a step
                if found.ended[lane, copy]:
                    lengths.append(running[copy])
                    running[copy] = 0
        assert list(copies.finished[lane]) == lengths[-20:]
        assert copies.mean_return(lane) == pytest.approx(np.mean(lengths[-20:]))


def test_a_cut_is_no_end() -> None:
    """MountainCar never ends without a plan; the clock cuts it after 200 steps."""
    _, seen = played(SEEDS, "MountainCar-v0", clever=False)
    truncated = [bool(found.truncated.all()) for _, _, found in seen]
    assert [step for step, yes in enumerate(truncated) if yes] == [199]
    assert not any(bool(found.terminated.any()) for _, _, found in seen)
    old, new = seen[199][2].after, seen[200][0]
    assert bool(((old - new).abs().amax(-1) > 1e-4).all())  # the last is not the next one's first


def test_before_the_first_end_the_running_ones_count() -> None:
    copies = Environments("CartPole-v1", (1,), 3)
    assert copies.mean_return(0) == 0
    copies.step(torch.zeros(1, 3).long())
    assert copies.mean_return(0) == 1


def test_a_restart_forgets_what_was_under_way() -> None:
    copies = Environments("CartPole-v1", (1, 2), 3)
    for _ in range(5):
        copies.step(torch.zeros(2, 3).long())
    leaning = copies.observations.abs().amax()
    copies.restart()
    assert copies.observations.abs().amax() <= 0.05 < leaning  # where CartPole begins
    assert copies.mean_return(0) == 0
    other = Environments("CartPole-v1", (2,), 3)
    assert not torch.equal(copies.observations[1:], other.observations)  # another beginning
    other.restart()
    assert torch.equal(copies.observations[1:], other.observations)  # whatever was before


def test_a_seed_meets_the_same_in_any_company() -> None:
    _, together = played(SEEDS)
    _, alone = played((5,))
    for (_, _, ours), (_, _, theirs) in zip(together, alone, strict=True):
        assert torch.equal(ours.after[2:], theirs.after)


def test_bad_names_and_numbers_are_refused() -> None:
    with pytest.raises(PracticumError, match="CartPole-v1"):
        Environments("CartPol-v1", (1,), 2)
    with pytest.raises(PracticumError, match="at least one"):
        Environments("CartPole-v1", (1,), 0)
