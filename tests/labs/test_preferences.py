"""The preferences lab: the judge's taste, who is shown what, and where a policy stands.

Catches: vowels of the prompt that count, choices turned the wrong way, arms that begin with other
references or pairs, distances on texts of the wrong policy, a frontier that is joined wrongly, a
best answer that is the worst.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError
from practicum.labs.agents.preferences import measuring
from practicum.labs.agents.preferences.experiment import ARMS, SCALES, Setup, trial
from practicum.labs.agents.preferences.learning import config, learn_reward
from practicum.labs.agents.preferences.networks import Author
from practicum.labs.agents.preferences.texts import LETTERS, plain, prefers_first, taste, texts
from practicum.labs.agents.preferences.trials import ask
from practicum.labs.lab import replaced
from practicum.learning.autoregressive import decode, encode
from practicum.nn.gpt2 import GPT2
from practicum.nn.language_policy import LanguagePolicy

TINY = {key: value for key, value in SCALES["smoke"].set.items() if "." not in key}
PRICES = (0.25, 0.03)


def tiny(arm: str, **changes: object) -> Setup:
    more = {"prices": PRICES} if ARMS[arm].prices else {"tries": (2, 4)}
    return replaced(ARMS[arm], TINY | more | changes)


def author(seed: int, setup: Setup) -> GPT2:
    torch.manual_seed(seed)
    made = GPT2(config(setup)).double().eval()
    for one in made.parameters():
        torch.nn.init.normal_(one, std=0.4)
    return made


@cache
def tried(arm: str) -> Measurements:
    return trial(tiny(arm), [4], Services())


def test_texts_keep_letters_and_one_blank_for_the_rest() -> None:
    assert plain("It's 5 O'clock,\n\nJo!") == "it s o clock jo "


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("aeiou ", -2), ("banana", 0), ("xyz  y", -3), ("aaaaaa", -3), ("oh no ", -1)],
)
def test_the_taste_of_an_answer(answer: str, expected: float) -> None:
    for prompt in ("ee", "xx"):  # whose own vowels do not count
        assert taste(encode(prompt + answer, LETTERS), 2).item() == expected


def test_choices_follow_bradley_and_terry_with_errors() -> None:
    u = (torch.arange(100_000) + 0.5) / 100_000
    first, second = torch.full((len(u),), -1.0), torch.full((len(u),), -3.0)
    for flips in (0.0, 0.1):
        share = prefers_first(first, second, u, strength=0.7, flips=flips).double().mean().item()
        likely = math.exp(-0.7) / (math.exp(-0.7) + math.exp(-2.1))
        assert share == pytest.approx(likely - flips * (2 * likely - 1), abs=1e-4)


def test_what_is_called_better_is_better_but_for_the_turned_and_the_shuffled() -> None:
    setup = tiny("dpo", pairs=600, strength=50.0, flips=0.0)
    about = texts(setup.data, setup.prompt, setup.length, setup.fresh)
    reference = author(1, setup).float()

    def wins(**changes: object) -> float:
        better, worse = ask(
            replaced(setup, changes), about, reference, streams(2).generator("noise")
        )
        assert torch.equal(better[:, : setup.prompt], worse[:, : setup.prompt])
        gap = taste(better, setup.prompt) - taste(worse, setup.prompt)
        return (gap[gap != 0] > 0).double().mean().item()

    assert wins() == 1.0
    assert wins(flips=0.1) == pytest.approx(0.9, abs=0.05)
    assert wins(shuffled=True) == pytest.approx(0.5, abs=0.1)


def test_shuffling_keeps_the_pairs_and_the_number_of_first_choices() -> None:
    setup = tiny("ppo-learned", pairs=200)
    about = texts(setup.data, setup.prompt, setup.length, setup.fresh)
    reference = author(1, setup).float()
    found = [
        ask(replaced(setup, {"shuffled": s}), about, reference, streams(2).generator("noise"))
        for s in (False, True)
    ]
    both = [
        {
            frozenset((tuple(a), tuple(b)))
            for a, b in zip(*map(torch.Tensor.tolist, one), strict=True)
        }
        for one in found
    ]
    assert both[0] == both[1]
    assert not torch.equal(found[0][0], found[1][0])


def test_arms_of_a_seed_begin_alike() -> None:
    """Every arm finds the same reference, writes the same first answers, and pays as it says."""
    first = tried("ppo-true")
    for arm in ("ppo-learned", "ppo-shuffled", "dpo", "best-of-n"):
        other = tried(arm)
        assert torch.equal(first.values["reference_reward"], other.values["reference_reward"])
        assert torch.equal(first.weights[0]["written0"], other.weights[0]["written0"])
        for name in first.weights[0]:
            if name.startswith("reference."):
                assert torch.equal(first.weights[0][name], other.weights[0][name]), (arm, name)


def test_arms_differ_only_in_what_the_header_says() -> None:
    def settings(arm: str) -> dict[str, object]:
        own = ("method", "judge", "shuffled", "prices", "tries")
        return {k: v for k, v in asdict(ARMS[arm]).items() if k not in own}

    assert all(settings(arm) == settings("ppo-true") for arm in ARMS)
    assert replaced(ARMS["ppo-true"], {"judge": "learned"}) == ARMS["ppo-learned"]


def test_the_policies_of_both_methods_are_the_same_function() -> None:
    setup = tiny("dpo")
    ours, theirs = Author(config(setup), 2), LanguagePolicy(config(setup), 2)
    theirs.body.load_state_dict(ours.body.state_dict())
    text = torch.randint(27, (3, 6), generator=torch.Generator().manual_seed(1))
    assert torch.equal(ours(text)[0], theirs(text)[0])
    assert not ours(text)[1].any()


def test_the_distance_is_an_unbiased_estimate() -> None:
    """Answers of two characters are enumerated; the mean over many draws must agree."""
    setup = tiny("dpo", prompt=2, length=2)
    policy, reference = author(1, setup), author(2, setup)
    prompt = encode("ab", LETTERS)
    each = torch.cartesian_prod(torch.arange(27), torch.arange(27))
    everything = torch.cat([prompt.expand(len(each), 2), each], 1)
    log_pi, log_ref = (measuring.answers(one, everything, 2) for one in (policy, reference))
    assert log_pi.exp().sum().item() == pytest.approx(1)
    exact = (log_pi.exp() * (log_pi - log_ref)).sum().item()
    drawn = measuring.write(policy, prompt.expand(4000, 2), 2, torch.Generator().manual_seed(3))
    spread = (log_pi.exp() * (log_pi - log_ref - exact).square()).sum().sqrt().item()
    found = measuring.nats(policy, reference, drawn, 2)
    assert abs(found - exact) < 4 * spread / 4000**0.5
    others = measuring.write(reference, prompt.expand(4000, 2), 2, torch.Generator().manual_seed(3))
    assert abs(measuring.nats(policy, reference, others, 2) - exact) > 8 * spread / 4000**0.5


def test_the_best_of_n_is_the_one_that_the_judge_likes() -> None:
    setup = tiny("best-of-n")
    reference = author(1, setup)
    prompts = torch.randint(27, (5, 2), generator=torch.Generator().manual_seed(1))
    g = torch.Generator()
    best = measuring.best_of(reference, prompts, 4, lambda t: taste(t, 2), 6, g.manual_seed(9))
    all_of = measuring.write(reference, prompts.repeat_interleave(6, 0), 4, g.manual_seed(9))
    for row, prompt in enumerate(prompts):
        assert torch.equal(best[row, :2], prompt)
        most = max(taste(one, 2).item() for one in all_of[6 * row : 6 * row + 6])
        assert taste(best[row], 2).item() == most
    assert measuring.nats_of_best(1) == 0
    assert measuring.nats_of_best(4) == pytest.approx(1.386294 - 0.75, abs=1e-6)


def test_the_frontier_of_known_points() -> None:
    assert measuring.frontier([2.0], [3.0], 2.0) == pytest.approx(1.5)  # a straight line from 0
    assert measuring.frontier([1.0], [3.0], 2.0) == pytest.approx(2.25, rel=0.01)  # then flat
    assert measuring.frontier([4.0, 1.0], [0.0, 3.0], 1.0) == pytest.approx(1.5)  # sorted
    assert measuring.frontier([-0.1], [3.0], 2.0) > 2.9  # an estimate below 0 counts as 0
    assert math.isnan(measuring.frontier([1.0], [math.nan], 2.0))


@given(
    st.lists(
        st.tuples(st.floats(0.01, 5), st.floats(-4, 4)), min_size=1, max_size=4,
        unique_by=lambda one: round(one[0], 2),
    ),
    st.floats(0.1, 3),
)  # fmt: skip
def test_the_frontier_scales_with_the_gain_and_stays_between(
    points: list[tuple[float, float]], factor: float
) -> None:
    x, y = zip(*points, strict=True)
    found = measuring.frontier(x, y, 2.0)
    assert min(0, *y) - 1e-9 <= found <= max(0, *y) + 1e-9
    scaled = measuring.frontier(x, [factor * one for one in y], 2.0)
    assert scaled == pytest.approx(factor * found, abs=1e-9)
    turned = measuring.frontier(x[::-1], y[::-1], 2.0)
    assert turned == pytest.approx(found, abs=1e-9)


def test_a_reward_model_learns_the_taste_and_people_have_mean_zero() -> None:
    setup = tiny("ppo-learned", width=16, reward_steps=80, reward_batch=32, reward_rate=0.01)
    about = texts(setup.data, 2, 4, 8)
    made = torch.Generator().manual_seed(1)
    first, second = torch.randint(27, (2, 800, 6), generator=made)
    swap = (taste(first, 2) >= taste(second, 2)).unsqueeze(1)
    pairs = torch.where(swap, first, second), torch.where(swap, second, first)
    train_on = pairs[0][None, :600], pairs[1][None, :600]
    (model,) = learn_reward(setup, train_on, about.people, [3], Services())
    with torch.no_grad():
        assert model(about.people).mean().abs() < 1e-4
        better, worse = (model(one[600:]) for one in pairs)
    clear = (taste(pairs[0], 2) > taste(pairs[1], 2))[600:]
    assert (better > worse)[clear].double().mean() > 0.75


def test_measures_follow_from_the_points() -> None:
    values = {name: one[0] for name, one in tried("dpo").values.items()}
    true, nats = values["true"][:2].tolist(), values["nats"][:2].tolist()
    assert values["frontier"].item() == pytest.approx(measuring.frontier(nats, true, 2.0))
    assert values["gain"].item() == true[0]
    assert values["lost"].item() == true[0] - true[1]
    assert values["chosen_moved"] == values["chosen_path"][-1]
    assert torch.isnan(values["true"][2:]).all()


def test_what_is_written_begins_with_the_prompt() -> None:
    weights = tried("ppo-true").weights[0]
    starts = [{decode(one, LETTERS)[:2] for one in weights[f"written{i}"]} for i in range(3)]
    assert starts[0] == starts[1] == starts[2]


@pytest.mark.parametrize(
    "changes", [{"prices": (0.1,)}, {"prices": (1.0,) * 5}, {"points": 7}, {"fresh": 10**7}]
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(PracticumError):
        trial(tiny("ppo-true", **changes), [0], Services())
