"""The lab `gpt`: would catch a ladder whose steps differ in more than width, parameters that are
not those on the axis, a workload that is not the public one, a target on other text than it is
said to be, and a test text that has a say in learning.
"""

from __future__ import annotations

import math

import pytest
import torch

from practicum.engine.optimizers import AdamW
from practicum.engine.schedules import Cosine
from practicum.engine.services import Services
from practicum.evidence import Outcomes, judge
from practicum.labs.attention.gpt import experiment, learning
from practicum.labs.attention.gpt.experiment import ARMS, CLAIMS, SCALES, Setup, trial
from practicum.labs.attention.gpt.learning import measured, parameters, target
from practicum.labs.characters import Corpus, corpus
from practicum.labs.lab import load, replaced, setups_at
from practicum.learning.ngrams import KneserNey

TINY = {"layers": 1, "heads": 2, "block": 6, "steps": 3, "points": 2, "sampled": 3}
TINY |= {"train_size": 600, "held_size": 60}
LADDER = ("width-16", "width-32", "width-64", "width-128")
LAB = load(experiment.__name__)


def text(train: list[int], validation: list[int], test: list[int]) -> Corpus:
    """Return a corpus of an alphabet of four."""
    parts = [torch.tensor(part) for part in (train, validation, test)]
    return Corpus(train=parts[0], validation=parts[1], test=parts[2], characters="abcd")


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_the_ladder_differs_in_width_and_rate_only(scale: str) -> None:
    setups = setups_at(LAB, SCALES[scale], {})
    for arm in LADDER:
        other = setups["width-128"]
        assert (
            replaced(other, {"width": setups[arm].width, "rate": setups[arm].rate}) == (setups[arm])
        )
        assert arm == f"width-{setups[arm].width}"


def test_the_axis_has_the_parameters_at_full_within_the_biases_and_norms() -> None:
    setups = setups_at(LAB, SCALES["full"], {})
    claimed = dict(next(claim for claim in CLAIMS if claim.kind == "slope").spec()["points"])
    for arm in LADDER:
        width, found = setups[arm].width, parameters(setups[arm], 65)
        biases_and_norms = 4 * 13 * width + 2 * width
        assert claimed[arm] == 12 * 4 * width**2 == found - biases_and_norms


def test_the_workload_is_the_public_one() -> None:
    setup = setups_at(LAB, SCALES["full"], {})["nanogpt"]
    assert (setup.layers, setup.heads, setup.width, setup.block) == (4, 4, 128, 64)
    assert (setup.batch_size, setup.steps, setup.rate, setup.warmup) == (12, 2000, 1e-3, 100)
    assert (setup.clip, setup.decay, setup.floor) == (1.0, 0.1, 0.1)
    assert SCALES["full"].data == "tinyshakespeare"
    assert setup.target == pytest.approx(1.88 + 0.05)


def test_what_is_handed_to_the_engine_is_the_public_schedule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = {}

    class Enough(Exception):
        pass

    def fit(*args: object, **settings: object) -> None:
        seen.update(settings)
        raise Enough

    monkeypatch.setattr(learning, "fit", fit)
    setup = replaced(setups_at(LAB, SCALES["full"], {})["nanogpt"], {"data": "pydoc"})
    with pytest.raises(Enough):
        trial(setup, [0], Services())
    assert seen["optimizer"] == AdamW(lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    schedule = seen["schedule"]
    assert isinstance(schedule, Cosine)
    rates = [schedule(step) for step in (0, 99, 1050, 2000)]
    assert rates == pytest.approx([0.01, 1.0, 0.55, 0.1], abs=1e-3)


def test_the_target_is_compared_on_the_last_tenth() -> None:
    losses = [torch.full((3, 4), 2.0)], [torch.full((1, 4), 4.0)]
    found = measured(Setup(target=1.5, block=4), text([0] * 9, [0] * 13, [0] * 5), *losses)
    assert found["last_tenth_loss"].tolist() == [2.5]  # each character counts once
    assert found["above_target"].tolist() == [1.0]
    assert found["test_loss"].tolist() == [4.0]
    assert found["log_loss"].tolist() == pytest.approx([math.log(4)])


def test_without_a_public_figure_the_target_is_the_loss_of_pairs() -> None:
    parts = text([0, 1, 2, 3, 0, 1, 2, 0, 1] * 9, [0, 1, 2, 3, 0, 1, 1], [3, 0, 1, 2, 0])
    pairs = KneserNey(parts.train, 2, 4)
    each = [*pairs.losses(parts.validation)[1:7].tolist(), *pairs.losses(parts.test)[1:5].tolist()]
    assert target(Setup(block=2), parts) == pytest.approx(sum(each) / len(each))
    found = trial(replaced(ARMS["bigram"], TINY), [0], Services()).values
    assert float(found["above_target"][0]) == pytest.approx(0.0, abs=1e-12)


def test_the_test_text_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = replaced(ARMS["width-16"], TINY)
    before = trial(setup, [4], Services())

    def other(setup: Setup) -> Corpus:
        real = corpus(setup)
        return Corpus(
            train=real.train,
            validation=real.validation,
            test=real.test.flip(0),
            characters=real.characters,
        )

    monkeypatch.setattr(learning, "corpus", other)
    after = trial(setup, [4], Services())
    for name, tensor in before.weights[0].items():
        assert torch.equal(tensor, after.weights[0][name])
    assert not torch.equal(before.values["test_loss"], after.values["test_loss"])
    assert torch.equal(before.values["validation_loss"], after.values["validation_loss"])


def test_counts_know_nothing_of_the_seed_and_longer_ones_are_better() -> None:
    big = {"train_size": 30000, "held_size": 2000}
    losses = [
        trial(replaced(ARMS[arm], big), [0, 1], Services()).values["test_loss"]
        for arm in ("unigram", "bigram", "five-gram")
    ]
    assert all(float(one[0]) == float(one[1]) for one in losses)
    assert math.log(103) > losses[0][0] > losses[1][0] > losses[2][0]


def verdicts(bend: float) -> list[str]:
    """Return the verdicts on a made-up power law whose last point is moved down by a factor."""
    generator = torch.Generator().manual_seed(0)
    values = {}
    for arm, n in zip(LADDER, (12288, 49152, 196608, 786432), strict=True):
        noise = 0.002 * torch.randn(10, generator=generator).double()
        losses = 4 * n**-0.05 * torch.exp(noise - (bend if arm == "width-128" else 0.0))
        values[arm] = {
            "test_loss": losses.numpy(),
            "log_loss": losses.log().numpy(),
            "above_target": (losses - 2.1).numpy(),
        }
    values["nanogpt"] = values["width-128"]
    values["five-gram"] = {"test_loss": torch.linspace(1.5, 1.5001, 10).numpy()}
    found = judge(CLAIMS, Outcomes(seeds=tuple(range(10)), values=values), experiment.MEASURES)
    return [one.verdict for one in found]


def test_a_made_up_power_law_is_found_and_a_bent_one_is_not() -> None:
    assert verdicts(0.0) == ["supported"] * 5
    assert verdicts(0.06)[3] == "refuted"  # the last step is worth too much
    assert verdicts(-0.1)[2] == "refuted"  # the last step raises the loss
    assert verdicts(-0.1)[0] == "refuted"
