"""Learning from preferences: formulas pair by pair, texts token by token, a reward that is reached.

Would catch: the better and the worse exchanged, a reference that is trained, a distance with the
wrong sign, a reward that is paid at every token, DPO whose optimum is another policy's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.engine.updates import Update
from practicum.learning.ppo import Details, ppo_loss
from practicum.learning.preferences import (
    Writing,
    Writings,
    answer_log_probability,
    dpo_loss,
    reward_loss,
)
from practicum.nn.gpt2 import GPT2Config
from practicum.nn.language_policy import LanguagePolicy, RewardModel

P, T, V, BETA = 2, 3, 5, 0.3
CONFIG = GPT2Config(vocabulary=V, positions=P + T, width=8, layers=1, heads=2, dropout=0.0)


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(6)
    made = {
        "main": LanguagePolicy(CONFIG, P),
        "reference": LanguagePolicy(CONFIG, P),
        "reward": RewardModel(CONFIG),
    }
    for one in made.values():
        for parameter in one.double().parameters():
            nn.init.normal_(parameter, std=0.5)
    return made


def pairs(B: int = 4) -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(3)
    better, worse = torch.randint(V, (2, B, P + T), generator=made)
    worse[:, :P] = better[:, :P]
    return better, worse


def log_pi(policy: nn.Module, text: Tensor) -> Tensor:
    """Return log pi of one answer, token by token."""
    logits, _ = policy(text.unsqueeze(0))
    total = torch.zeros((), dtype=torch.float64)
    for t in range(T):
        z = logits[0, t]
        total = total + (z[text[P + t]].exp() / z.exp().sum()).log()
    return total


def same(ours: Tensor, theirs: Tensor, made: dict[str, nn.Module], moved: str) -> None:
    found = []
    for loss in (ours, theirs):
        for one in made.values():
            one.zero_grad()
        loss.backward()
        found.append({n: p.grad for n, p in made[moved].named_parameters() if p.grad is not None})
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-12)
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=0, atol=1e-11)


def test_the_reward_models_loss_pair_by_pair() -> None:
    made, batch = networks(), pairs()
    theirs = torch.zeros((), dtype=torch.float64)
    for better, worse in zip(*batch, strict=True):
        r_w, r_l = (made["reward"](one.unsqueeze(0))[0] for one in (better, worse))
        theirs = theirs - (r_w.exp() / (r_w.exp() + r_l.exp())).log() / len(batch[0])
    same(reward_loss(made, batch, GlobalNoise())[0], theirs, made, "reward")


def test_dpo_pair_by_pair() -> None:
    made, batch = networks(), pairs()
    theirs = torch.zeros((), dtype=torch.float64)
    margins = []
    for better, worse in zip(*batch, strict=True):
        ratio = [
            log_pi(made["main"], one) - log_pi(made["reference"], one).detach()
            for one in (better, worse)
        ]
        margins.append((ratio[0] - ratio[1]).item())
        a, b = ((BETA * one).exp() for one in ratio)
        theirs = theirs - (a / (a + b)).log() / len(batch[0])
    ours, metrics = dpo_loss(made, batch, GlobalNoise(), beta=BETA)
    assert metrics["margin"].item() == pytest.approx(sum(margins) / len(margins))
    same(ours, theirs, made, "main")
    made = networks()
    dpo_loss(made, batch, GlobalNoise(), beta=BETA)[0].backward()
    assert all(one.grad is None for one in made["reference"].parameters())


def test_exchanged_answers_are_noticed() -> None:
    made, (better, worse) = networks(), pairs()
    for loss in (reward_loss, partial(dpo_loss, beta=BETA)):
        right, wrong = (
            loss(made, batch, GlobalNoise())[0].item()
            for batch in ((better, worse), (worse, better))
        )
        assert abs(right - wrong) > 1e-3


def test_an_unmoved_policy_has_no_opinion() -> None:
    made = networks()
    made["main"].load_state_dict(made["reference"].state_dict())
    loss, metrics = dpo_loss(made, pairs(), GlobalNoise(), beta=BETA)
    assert loss.item() == pytest.approx(math.log(2))
    assert metrics["better"].item() == pytest.approx(0, abs=1e-12)


def test_dpo_finds_the_tilted_reference() -> None:
    """With preferences by (1) of a known reward, the optimum is pi_ref exp(r / beta), normalised.

    Four answers of one token, all pairs weighted by their probability of being preferred.
    """
    ref, r = torch.tensor([0.4, 0.3, 0.2, 0.1]).double(), torch.tensor([0.0, 1.0, -1.0, 2.0])
    r = r.double()

    class One(nn.Module):
        def __init__(self, logits: Tensor) -> None:
            super().__init__()
            self.logits = nn.Parameter(logits)

        def forward(self, text: Tensor) -> tuple[Tensor, Tensor]:
            return self.logits.expand(len(text), 1, 4), torch.zeros(len(text), 1)

    made = {"main": One(ref.log()), "reference": One(ref.log())}
    optimizer = torch.optim.LBFGS(made["main"].parameters(), max_iter=200, tolerance_grad=1e-12)
    rows = [(i, j) for i in range(4) for j in range(4) if i != j]

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = torch.zeros((), dtype=torch.float64)
        for i, j in rows:
            batch = torch.tensor([[0, i]]), torch.tensor([[0, j]])
            chance = torch.sigmoid(r[i] - r[j])
            total = total + chance * dpo_loss(made, batch, GlobalNoise(), beta=0.7)[0]
        total.backward()
        return total

    optimizer.step(closure)
    tilted = ref * (r / 0.7).exp()
    found = torch.softmax(made["main"].logits.detach(), 0)
    torch.testing.assert_close(found, tilted / tilted.sum(), rtol=0, atol=1e-5)


def judge(text: Tensor) -> Tensor:
    """Return how often token 4 stands in the answer."""
    return (text[..., P:] == 4).double().sum(-1)


def writing(learned: bool, **more: Any) -> Writing:
    details = Details(discount=1.0, trace=1.0, copies=6, horizon=1, epochs=2, minibatches=2)
    settings = {"prompts": pairs()[0][:, :P], "length": T, "beta": BETA, "judge": judge}
    return Writing(**(settings | {"details": details, "learned": learned} | more))


def acting(made: dict[str, nn.Module]) -> Callable[..., Any]:
    def act(name: str, text: Tensor) -> Any:
        with torch.no_grad():
            found = [made[name](lane) for lane in text]
        if name == "reward":
            return torch.stack(found)
        return tuple(torch.stack(parts) for parts in zip(*found, strict=True))

    return act


@pytest.mark.parametrize("learned", [False, True])
def test_what_a_text_is_paid(learned: bool) -> None:
    """With lambda 1 the return is what is paid from a token on; it is added up here by hand."""
    made = networks()
    writings = Writings(writing(learned), (3, 8), acting(made))
    batches = [writings.next() for _ in range(2)]
    texts, answers, log_old, A, gain, value = (
        torch.cat([batch[part] for batch in batches], 1) for part in range(6)
    )
    prompts = {tuple(one.tolist()) for one in pairs()[0][:, :P]}
    for lane in range(2):
        distances = []
        for n in range(6):
            text = texts[lane, n]
            assert tuple(text[:P].tolist()) in prompts
            assert torch.equal(text[P:], answers[lane, n])
            steps = []
            for name in ("main", "reference"):
                with torch.no_grad():
                    logits, V_t = made[name](text.unsqueeze(0))
                each = [float(torch.log_softmax(logits[0, t], 0)[text[P + t]]) for t in range(T)]
                steps.append(each)
                if name == "main":
                    assert log_old[lane, n].tolist() == pytest.approx(each)
                    assert value[lane, n].tolist() == pytest.approx(V_t[0].tolist())
            far = [a - b for a, b in zip(*steps, strict=True)]
            distances.append(sum(far))
            paid = made["reward"](text.unsqueeze(0)).item() if learned else float(judge(text))
            for t in range(T):
                expected = paid - BETA * sum(far[t:])
                assert gain[lane, n, t].item() == pytest.approx(expected, abs=1e-9)
                found = A[lane, n, t].item()
                assert found == pytest.approx(expected - value[lane, n, t].item(), abs=1e-9)
        report = writings.report(lane)
        assert report["nats"] == pytest.approx(sum(distances) / 6)
        assert report["true"] == pytest.approx(float(judge(texts[lane]).mean()))


def test_texts_follow_the_policy() -> None:
    """First tokens of many texts, against the policy's own probabilities."""
    made = networks()
    details = Details(discount=1.0, copies=2000, horizon=1, epochs=1)
    one_prompt = pairs()[0][:1, :P]
    writings = Writings(writing(False, prompts=one_prompt, details=details), (5,), acting(made))
    first = writings.next()[1][0, :, 0]
    logits, _ = made["main"](torch.cat([one_prompt, torch.zeros(1, T).long()], 1))
    chances = torch.softmax(logits[0, 0], 0)
    counts = torch.bincount(first, minlength=V) / 2000
    assert (counts - chances).abs().max() < 5 * math.sqrt(0.25 / 2000)


def learned(path: str, seeds: tuple[int, ...] = (3, 4, 5), steps: int = 24) -> Trained:
    details = Details(
        discount=1.0, trace=0.95, copies=16, horizon=1, epochs=2, minibatches=2, entropy_share=0.0
    )
    what = writing(False, beta=0.05, details=details)
    recipe = Recipe(
        networks={name: partial(LanguagePolicy, CONFIG, P) for name in ("main", "reference")},
        optimizers={"main": Trains(spec=Adam(lr=0.02), networks=("main",))},
        updates=(Update(loss=partial(ppo_loss, details)),),
        experience=what.experience(),
        initial=lambda seed: dict.fromkeys(("main", "reference"), _begin(seed)),
        steps=steps,
        every=4,
    )
    arithmetic = Arithmetic(path=path, lane_group=3, precision="float64")
    return train(recipe, seeds, Services(arithmetic=arithmetic))


def _begin(seed: int) -> dict[str, Tensor]:
    with streams(seed).init():
        return LanguagePolicy(CONFIG, P).state_dict()


def test_ppo_on_texts_gains_reward_and_leaves_the_reference_alone() -> None:
    trained = learned("loop", steps=60)
    true, nats = trained.curves["true"], trained.curves["nats"]
    assert nats[:, 0].abs().max() < 1e-9  # the first texts are the reference's own
    assert true[:, -1].min() > 1.5 > 1.2 > true[:, 0].max()  # 3 is the most
    assert nats[:, -1].min() > 0.3
    for seed, made in zip((3, 4, 5), trained.networks, strict=True):
        for name, tensor in _begin(seed).items():
            assert torch.equal(made["reference"].state_dict()[name], tensor.double()), name


def test_lanes_write_and_learn_as_the_loop_does() -> None:
    loop, lanes = learned("loop"), learned("lanes")
    for name, curve in loop.curves.items():
        torch.testing.assert_close(lanes.curves[name], curve, rtol=0, atol=1e-7)
    for ours, theirs in zip(lanes.weights(), loop.weights(), strict=True):
        for name in theirs:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-6)


def test_a_whole_answers_probability() -> None:
    made, (text, _) = networks(), pairs()
    found = answer_log_probability(made["main"], text).tolist()
    assert found == pytest.approx([log_pi(made["main"], one).item() for one in text])


def test_an_interrupted_writing_goes_on_as_if_nothing_had_happened() -> None:
    made = networks()
    whole, begun, resumed = (Writings(writing(True), (3, 8), acting(made)) for _ in range(3))
    before = [whole.next() for _ in range(7)]
    for _ in range(3):
        begun.next()
    saved = copy.deepcopy(begun.state_dict())
    begun.next()  # what is done after saving does not matter
    resumed.load_state_dict(saved)
    for expected in before[3:]:
        for ours, theirs in zip(resumed.next(), expected, strict=True):
            assert torch.equal(ours, theirs)
    assert resumed.report(1) == whole.report(1)
