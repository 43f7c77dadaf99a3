"""The PPO lab: arms differ only as the header says, and what is measured is what it is called.

Catches: arms with other starts or draws, a clip that matters where the ratio is 1, a detail that is
not switched off, a far ratio that is counted as near, curves averaged over the wrong points, a
random control that learns or that another seed moves.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.agents.ppo.acting import Watched, at_random, far
from practicum.labs.agents.ppo.experiment import ARMS, Setup, measured, recipe, trial
from practicum.labs.lab import replaced
from practicum.learning.environments import sizes
from practicum.learning.ppo import Details
from practicum.nn.actor_critic import ActorCritic, log_probability

TINY = {"iterations": 3, "copies": 2, "horizon": 16, "epochs": 2}


def tiny(arm: str, **changes: object) -> Setup:
    changed: Setup = replaced(ARMS[arm], {**TINY, **changes})
    return changed


def test_each_arm_differs_from_ppo_only_in_what_its_name_says() -> None:
    ppo = asdict(ARMS["ppo"])
    differ = {
        arm: {name for name, value in asdict(setup).items() if value != ppo[name]}
        for arm, setup in ARMS.items()
    }
    assert differ == {
        "ppo": set(),
        "no-clip": {"clip"},
        "no-clip-slow": {"clip", "rate"},
        "one-epoch": {"epochs"},
        "no-details": {
            "normalize", "orthogonal", "anneal", "gradient_norm", "adam_epsilon", "bootstrap_cuts",
        },
        "no-normalization": {"normalize"},
        "plain-weights": {"orthogonal"},
        "constant-rate": {"anneal"},
        "monte-carlo": {"trace"},
        "random": {"player"},
    }  # fmt: skip


def test_a_clip_changes_nothing_where_each_sample_is_used_once() -> None:
    clipped = trial(tiny("one-epoch", epochs=1, rate=0.01), [5], Services())
    free = trial(tiny("one-epoch", epochs=1, rate=0.01, clip=None), [5], Services())
    for name, tensor in clipped.weights[0].items():
        torch.testing.assert_close(tensor, free.weights[0][name], rtol=0, atol=0)
    several = trial(tiny("ppo", epochs=8, rate=0.01), [5], Services())
    several_free = trial(tiny("no-clip", epochs=8, rate=0.01), [5], Services())
    name = "main.policy.weight"
    assert not torch.equal(several.weights[0][name], several_free.weights[0][name])


@pytest.mark.parametrize(
    "arm", ["no-details", "no-normalization", "plain-weights", "constant-rate", "monte-carlo"]
)
def test_every_detail_that_is_left_out_changes_the_weights(arm: str) -> None:
    with_it, without = (trial(tiny(one), [5], Services()).weights[0] for one in ("ppo", arm))
    assert any(not torch.equal(with_it[name], without[name]) for name in with_it)


def test_the_first_batch_is_the_same_in_arms_with_the_same_first_weights() -> None:
    first = {
        arm: trial(tiny(arm, iterations=1), [5], Services()).values["returns"]
        for arm in ("ppo", "no-clip", "no-clip-slow", "no-normalization", "monte-carlo")
    }
    assert all(torch.equal(one, first["ppo"]) for one in first.values())


def test_far_counts_ratios_on_both_sides_of_one() -> None:
    ratio = torch.tensor([[0.5, 0.79, 0.81, 1.0, 1.19, 1.21, 3.0, 1.0], [1.0] * 8])
    assert far(ratio.log()).tolist() == [50.0, 0.0]


def test_watched_compares_the_policy_of_now_with_that_of_the_batch() -> None:
    with streams(3).init():
        network = ActorCritic(4, 2)

    def act(name: str, s: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            return tuple(one.unsqueeze(0) for one in network(s[0]))

    watched = Watched(Details(copies=2, horizon=16, epochs=1), "CartPole-v1", [3], act)
    s, a, log_old = (one[0] for one in watched.next()[:3])
    assert watched.report(0)["far"] == 0.0
    watched.next()  # asked again after a new batch, and after the weights have moved
    with torch.no_grad():
        network.policy.weight.mul_(300.0)
    s, a, log_old = (one[0] for one in watched._batch[:3])
    ratio = (log_probability(network(s)[0], a) - log_old).exp().detach()
    share = 100 * np.mean([one < 0.8 or one > 1.2 for one in ratio.tolist()])
    assert share > 0
    assert watched.report(0)["far"] == pytest.approx(share)


def test_measures_are_means_over_all_and_over_the_last_tenth() -> None:
    returns = torch.arange(40.0).reshape(2, 20)
    found = measured(returns, 2 * returns, torch.arange(20)).values
    assert found["return_over_training"].tolist() == [9.5, 29.5]
    assert found["final_return"].tolist() == [18.5, 38.5]
    assert found["far_ratios"].tolist() == [19.0, 59.0]


def test_the_random_player_does_not_learn_and_depends_on_its_seed_alone() -> None:
    alone = trial(tiny("random"), [7], Services()).values["returns"]
    among = trial(tiny("random"), [2, 7], Services()).values["returns"]
    assert torch.equal(alone[0], among[1])
    assert not torch.equal(among[0], among[1])
    long = at_random("CartPole-v1", 1, 8, 32, 30, Services())
    assert 15 < float(long.mean()) < 32  # a pole falls after about 22 blind pushes


def test_curves_lie_on_environment_steps() -> None:
    learned, blind = (trial(tiny(arm), [5], Services()) for arm in ("ppo", "random"))
    for one in (learned, blind):
        assert one.steps["returns"].tolist() == [32, 64, 96]
        assert one.values["returns"].shape == (1, 3)


def test_lanes_give_each_seed_what_it_gets_alone() -> None:
    lanes = Services(arithmetic=Arithmetic(path="lanes", lane_group=3, precision="float64"))
    loop = Services(arithmetic=Arithmetic(precision="float64"))
    together = trial(tiny("no-clip", rate=0.02), [4, 5, 6], lanes).values
    alone = trial(tiny("no-clip", rate=0.02), [5], loop).values
    assert float(alone["far"].max()) > 0
    for name in ("returns", "far"):
        torch.testing.assert_close(together[name][1], alone[name][0], rtol=1e-6, atol=1e-9)


def test_the_rate_falls_only_where_the_arm_says_so() -> None:
    (falling,) = recipe(ARMS["ppo"]).updates
    assert falling.schedule is not None
    assert [falling.schedule(step) for step in (0, 19, 20, 780)] == pytest.approx(
        [1.0, 1.0, 0.975, 0.025]
    )
    (level,) = recipe(ARMS["constant-rate"]).updates
    assert level.schedule is None


def test_sizes_are_those_of_the_environment() -> None:
    assert sizes("CartPole-v1") == (4, 2)
    assert sizes("Acrobot-v1") == (6, 3)


@pytest.mark.parametrize("environment", ["CartPole-v9", "Pendulum-v1", "FrozenLake-v1"])
def test_an_environment_that_does_not_fit_is_named(environment: str) -> None:
    with pytest.raises(PracticumError, match=environment):
        trial(replace(ARMS["ppo"], environment=environment), [0], Services())
