"""The policy gradient lab: five estimators of the same episodes, and learners that differ in one.

Catches: estimators that see other episodes or other weights than they should, a gradient of the
critic's weights, a biased estimator that the lab would call unbiased, a measure of length that
noise makes longer, a random control that learns.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from practicum.engine.noise import GlobalNoise
from practicum.engine.services import Services
from practicum.engine.updates import Batch
from practicum.labs.agents.policy_gradient.estimating import (
    ESTIMATORS,
    along,
    gradients,
    loss,
    of_batch,
    own_mean,
    shortened,
    variance,
)
from practicum.labs.agents.policy_gradient.experiment import ARMS, Setup, first, gathering, trial
from practicum.labs.lab import replaced
from practicum.learning.policy_gradient import others_mean
from practicum.nn.actor_critic import ActorCritic, log_probability

TINY = {"updates": 3, "longest": 15, "episodes": 3, "batches": 4, "hidden": (6,)}
RAGGED = torch.tensor([[1.0, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]], dtype=torch.float64)


def tiny(arm: str, **changes: object) -> Setup:
    changed: Setup = replaced(ARMS[arm], {**TINY, **changes})
    return changed


def batch(seed: int = 0) -> Batch:
    made = torch.Generator().manual_seed(seed)
    E, T = RAGGED.shape
    s = torch.randn(E, T, 4, generator=made, dtype=torch.float64)
    a = torch.randint(2, (E, T), generator=made)
    gains = torch.randn(E, T, generator=made, dtype=torch.float64) * RAGGED
    return s, a, gains, RAGGED


def network(seed: int = 0) -> ActorCritic:
    torch.manual_seed(seed)
    return ActorCritic(4, 2, hidden=(5,), orthogonal=False).double()


def by_hand(policy: ActorCritic, given: Batch, name: str) -> Tensor:
    """Return Eq. (3), one step of one episode after the other."""
    s, a, gains, lasted = given
    weights = [*policy.actor.parameters(), *policy.policy.parameters()]
    total = torch.zeros(sum(one.numel() for one in weights), dtype=torch.float64)
    for e in range(len(gains)):
        for t in range(int(lasted[e].sum())):
            logits, value = policy(s[e, t : t + 1])
            log_pi = log_probability(logits, a[e, t : t + 1])
            there = [float(gains[o, t]) for o in range(len(gains)) if lasted[o, t]]
            others = [float(gains[o, t]) for o in range(len(gains)) if lasted[o, t] and o != e]
            weight = {
                "return": float(gains[e, 0]),
                "to-go": float(gains[e, t]),
                "mean": float(gains[e, t]) - (sum(others) / len(others) if others else 0.0),
                "value": float(gains[e, t] - value.detach()),
                "own-mean": float(gains[e, t]) - sum(there) / len(there),
            }[name]
            parts = torch.autograd.grad(log_pi.sum(), weights)
            total += weight * torch.cat([one.flatten() for one in parts])
    return total / len(gains)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_each_estimator_is_the_sum_by_hand(name: str) -> None:
    policy, given = network(), batch()
    found = of_batch(policy, given)
    torch.testing.assert_close(found[name], by_hand(policy, given, name), rtol=0, atol=1e-12)
    wrong = [other for other in ESTIMATORS if other != name]
    assert all((found[name] - by_hand(policy, given, one)).abs().max() > 1e-3 for one in wrong)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_ones_own_mean_shrinks_the_surprise_by_what_is_known(seed: int) -> None:
    *_, gains, lasted = batch(seed)
    n = lasted.sum(0)
    ours = (gains - own_mean(gains, lasted)) * lasted
    right = (gains - others_mean(gains, lasted)) * lasted
    several = n > 1
    torch.testing.assert_close(ours[:, several], (right * (n - 1) / n.clamp(min=1))[:, several])
    assert float(ours[:, n == 1].abs().max()) < 1e-12


def test_the_learners_loss_is_minus_the_estimate() -> None:
    policy, given = network(), batch()
    for name in ("mean", "value", "own-mean"):
        value, _ = loss({"main": policy}, given, GlobalNoise(), baseline=name)
        weights = [*policy.actor.parameters(), *policy.policy.parameters()]
        mine = torch.cat([one.flatten() for one in torch.autograd.grad(value, weights)])
        torch.testing.assert_close(-mine, of_batch(policy, given)[name])


def test_leaving_out_the_empty_end_changes_no_gradient() -> None:
    policy, given = network(), batch()
    short = shortened(given)
    assert short[0].shape[1] == 4
    for name, one in of_batch(policy, short).items():
        torch.testing.assert_close(one, of_batch(policy, given)[name], rtol=0, atol=1e-12)


def test_variance_is_the_sum_over_weights() -> None:
    gradient = torch.tensor([[1.0, 0.0], [3.0, 4.0], [5.0, 8.0]])
    assert float(variance(gradient)) == pytest.approx(4.0 + 16.0)


def test_length_is_one_for_equal_means_and_finds_a_short_one() -> None:
    made = torch.Generator().manual_seed(0)
    signal = torch.randn(30, generator=made, dtype=torch.float64)

    def noisy(share: float, spread: float) -> Tensor:
        noise = torch.randn(4000, 30, generator=made, dtype=torch.float64)
        return share * signal + spread * noise

    found = along({"mean": noisy(1, 1), "return": noisy(1, 5), "own-mean": noisy(0.8, 0.5)})
    assert float(found["mean"]) == 1.0
    assert float(found["return"]) == pytest.approx(1.0, abs=0.1)
    assert float(found["own-mean"]) == pytest.approx(0.8, abs=0.05)


def test_noise_alone_has_no_length_along_another_half() -> None:
    made = torch.Generator().manual_seed(1)
    signal = torch.ones(500, dtype=torch.float64)
    noise = torch.randn(40, 500, generator=made, dtype=torch.float64)
    found = along({"mean": signal.repeat(40, 1), "return": signal + 30 * noise})
    naive = (signal + 30 * noise).mean(0).square().sum() / 500  # its own direction
    assert float(naive) > 10
    assert float(found["return"]) == pytest.approx(1.0, abs=0.7)


def test_measuring_moves_no_weight_and_begins_with_the_learners_weights_and_episodes() -> None:
    setup = tiny("start")
    policy = first(setup, 4, Services())
    before = {name: one.clone() for name, one in policy.state_dict().items()}
    found = gradients(policy, 4, gathering(setup), "CartPole-v1", 4, Services())
    assert all(torch.equal(one, before[name]) for name, one in policy.state_dict().items())
    assert {len(one) for one in found.values()} == {4}
    one_update = trial(tiny("mean", updates=1, rate=0.0), [4], Services()).weights[0]
    for name, one in before.items():
        assert torch.equal(one, one_update[f"main.{name}"])


def test_learners_begin_with_the_same_batch_and_then_part() -> None:
    names = ("return", "to-go", "mean", "value")
    learned = {arm: trial(tiny(arm, rate=0.05), [5], Services()) for arm in names}
    start = learned["return"].values["returns"][0, 0]
    assert all(one.values["returns"][0, 0] == start for one in learned.values())
    weights = [one.weights[0]["main.policy.weight"] for one in learned.values()]
    for i, one in enumerate(weights):
        assert all(not torch.equal(one, other) for other in weights[i + 1 :])


def test_the_critic_learns_only_where_it_is_the_baseline() -> None:
    setup = tiny("to-go")
    start = first(setup, 5, Services()).state_dict()
    for arm in ("to-go", "mean", "value"):
        learned = trial(tiny(arm, rate=0.05), [5], Services()).weights[0]
        same = torch.equal(learned["main.value.weight"], start["value.weight"])
        assert same == (arm != "value")


def test_learners_differ_in_their_estimator_only() -> None:
    plain = asdict(ARMS["to-go"])
    for arm in ("return", "mean", "value"):
        differ = {name for name, value in asdict(ARMS[arm]).items() if value != plain[name]}
        assert differ == ({"to_go"} if arm == "return" else {"baseline"})


def test_the_random_player_does_not_learn_and_depends_on_its_seed_alone() -> None:
    play = partial(trial, tiny("random", longest=200, updates=8, episodes=8))
    alone, among = play([7], Services()), play([2, 7], Services())
    assert torch.equal(alone.values["returns"][0], among.values["returns"][1])
    assert 17 < float(among.values["return_over_training"].mean()) < 28
