"""Gradient clipping against torch and against a naive twin.

Would catch: a norm of each parameter instead of all of them, AutoClip's percentile taken without
the current norm or over one step only, a factor above 1 (clipping must never enlarge), a lane that
looks at its neighbours' norms, a history that is lost between steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from practicum.engine.clipping import AutoClip, Clip, ClipNorm
from practicum.engine.loop import loop
from practicum.engine.state import State
from practicum.engine.updates import Update, gradient_step

PERCENTILES = [0.0, 10.0, 33.3, 50.0, 100.0]


def naive_factors(norms: list[float], percentile: float) -> list[float]:
    """AutoClip for one lane: at each step the percentile of the whole history so far."""
    factors = []
    for step in range(len(norms)):
        limit = np.percentile(norms[: step + 1], percentile)
        factors.append(min(1.0, limit / (norms[step] + 1e-6)))
    return factors


def without_the_current_norm(norms: list[float], percentile: float) -> list[float]:
    limits = [np.inf, *(np.percentile(norms[:i], percentile) for i in range(1, len(norms)))]
    return [min(1.0, limit / (n + 1e-6)) for limit, n in zip(limits, norms, strict=True)]


def run_rule(clip: Clip, norms: Tensor) -> Tensor:
    """Feed norms [steps, lanes] to a rule; return the factors, same shape."""
    seen, factors = None, []
    for row in norms:
        factor, seen = clip(row, seen)
        factors.append(factor)
    return torch.stack(factors)


def some_norms(steps: int, lanes: int) -> Tensor:
    generator = torch.Generator().manual_seed(steps)
    return torch.randn(steps, lanes, generator=generator, dtype=torch.float64).exp()


@pytest.mark.parametrize("percentile", PERCENTILES)
def test_autoclip_equals_the_percentile_of_the_whole_history_in_every_lane(
    percentile: float,
) -> None:
    norms = some_norms(13, 4)
    factors = run_rule(AutoClip(percentile=percentile), norms)
    for lane in range(4):
        expected = naive_factors(norms[:, lane].tolist(), percentile)
        np.testing.assert_allclose(factors[:, lane].numpy(), expected, rtol=1e-12)


def test_autoclip_without_the_current_norm_would_be_noticed() -> None:
    norms = some_norms(13, 1)
    factors = run_rule(AutoClip(percentile=50.0), norms)[:, 0].numpy()
    assert not np.allclose(factors, without_the_current_norm(norms[:, 0].tolist(), 50.0), rtol=1e-3)


def test_autoclip_known_answer() -> None:
    # History 4; 4 2; 4 2 8: medians 4, 3, 4. The norms 4, 2 and 8 become 4, 2 and 4.
    factors = run_rule(AutoClip(percentile=50.0), torch.tensor([[4.0], [2.0], [8.0]]))
    torch.testing.assert_close(factors[:, 0], torch.tensor([1.0, 1.0, 0.5]), rtol=1e-6, atol=1e-6)


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12),
    st.floats(0, 100),
    st.integers(1, 4),
)
def test_a_lane_does_not_see_its_neighbours_and_is_never_enlarged(
    norms: list[float], percentile: float, lanes: int
) -> None:
    alone = torch.tensor(norms, dtype=torch.float64)[:, None]
    others = some_norms(len(norms), lanes)
    clip = AutoClip(percentile=percentile)
    together = run_rule(clip, torch.cat([others, alone], dim=1))[:, -1]
    assert torch.equal(together, run_rule(clip, alone)[:, 0])
    assert (together <= 1).all()
    assert (together >= 0).all()


@pytest.mark.parametrize("clip", [AutoClip(), ClipNorm(norm=1.0)], ids=["auto", "norm"])
def test_a_lane_of_nan_leaves_the_others_alone(clip: Clip) -> None:
    norms = some_norms(6, 3)
    poisoned = norms.clone()
    poisoned[2:, 1] = float("nan")
    healthy = [0, 2]
    assert torch.equal(run_rule(clip, norms)[:, healthy], run_rule(clip, poisoned)[:, healthy])


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_a_fixed_norm_is_reached_or_left_alone(norm: float, limit: float) -> None:
    factor, seen = ClipNorm(norm=limit)(torch.tensor([norm], dtype=torch.float64), None)
    assert seen is None
    after = norm * float(factor)
    assert after == pytest.approx(min(norm, limit), rel=2e-3)  # torch's 1e-6 against 1e-3
    assert float(factor) <= 1


# --- in a step


def unequal() -> nn.Module:
    """Two parameters whose gradients have very different norms."""
    network = nn.Linear(3, 2)
    with torch.no_grad():
        network.weight.copy_(torch.arange(6.0).reshape(2, 3))
        network.bias.copy_(torch.tensor([0.5, -1.0]))
    return network


BATCHES = [torch.arange(12.0).reshape(4, 3).sin() * scale for scale in (1, 5, 0.3, 2, 9)]


def after(clip: Clip | None) -> tuple[nn.Module, State]:
    network = unequal()
    state = State({"n": network}, {"main": torch.optim.SGD(network.parameters(), lr=0.1)})
    update = Update(loss=lambda nets, x, noise: (nets["n"](x[0]).square().sum(), {}), clip=clip)
    loop(gradient_step([update], {"main": 0.1}), state, ((b,) for b in BATCHES), steps=5)
    return network, state


def by_hand(clip: Callable[[list[nn.Parameter]], Any]) -> nn.Module:
    network = unequal()
    for batch in BATCHES:
        network.zero_grad()
        network(batch).square().sum().backward()
        clip(list(network.parameters()))
        with torch.no_grad():
            for p in network.parameters():
                p.add_(p.grad, alpha=-0.1)  # type: ignore[arg-type]
    return network


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, one.parameters(), other.parameters()))


@pytest.mark.parametrize("limit", [0.1, 1.0, 20.0, 1e6])
def test_a_fixed_norm_gives_the_bits_of_torch(limit: float) -> None:
    network, state = after(ClipNorm(norm=limit))
    assert equal(network, by_hand(lambda ps: nn.utils.clip_grad_norm_(ps, limit)))
    assert not state.buffers
    if limit < 1e6:
        each = by_hand(lambda ps: [nn.utils.clip_grad_norm_([p], limit) for p in ps])
        assert not equal(network, each)
        assert not equal(network, after(None)[0])


def naive_autoclip(percentile: float, *, whole: bool) -> Callable[[list[nn.Parameter]], None]:
    history: list[list[float]] = [[], []]

    def clip(parameters: list[nn.Parameter]) -> None:
        groups = [parameters] if whole else [[p] for p in parameters]
        for group, seen in zip(groups, history, strict=False):
            norm = sum(float(p.grad.double().square().sum()) for p in group) ** 0.5  # type: ignore[union-attr]
            seen.append(norm)
            factor = min(1.0, np.percentile(seen, percentile) / (norm + 1e-6))
            for p in group:
                p.grad *= factor  # type: ignore[operator]

    return clip


def test_autoclip_in_a_step_equals_the_naive_twin_and_keeps_all_norms() -> None:
    network, state = after(AutoClip(percentile=25.0))
    expected = by_hand(naive_autoclip(25.0, whole=True))
    for ours, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert state.buffers["norms/main"].shape == (1, 5)
    each = by_hand(naive_autoclip(25.0, whole=False))
    assert any(
        not torch.allclose(a, b, rtol=1e-3)
        for a, b in zip(network.parameters(), each.parameters(), strict=True)
    )


def test_two_optimizers_remember_their_own_norms() -> None:
    networks: dict[str, nn.Module] = {"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)}
    state = State(
        networks, {k: torch.optim.SGD(v.parameters(), lr=0.0) for k, v in networks.items()}
    )
    updates = [
        Update(
            loss=lambda nets, x, noise, k=k, s=s: (s * nets[k].weight.sum(), {}),  # type: ignore[misc]
            optimizer=k,
            clip=AutoClip(),
        )
        for k, s in (("a", 3.0), ("b", 5.0))
    ]
    rates = {"a": 0.0, "b": 0.0}
    loop(gradient_step(updates, rates), state, itertools.repeat(()), steps=2)  # type: ignore[arg-type]
    assert state.buffers["norms/a"].tolist() == [[3.0, 3.0]]
    assert state.buffers["norms/b"].tolist() == [[5.0, 5.0]]
