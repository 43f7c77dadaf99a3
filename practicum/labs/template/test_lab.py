"""The template lab: what it claims to hold equal must be equal, and only validation may choose.

Catches: arms with other images; training images that choose the learning rate; a diverged rate
that is chosen. CHANGE: one test for every promise of the header, and for every formula of your own
an independent computation that a broken variant of it fails.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from practicum.engine.services import Services
from practicum.labs.template.experiment import ARMS, Setup, split, trial

SHORT = Setup(steps=20, points=2, train_size=60, validation_size=60)


def test_both_arms_get_the_same_images() -> None:
    """A paired comparison needs the same images in the same roles at every seed."""
    for seed in (0, 1):
        linear, hidden = (split(ARMS[arm], 1437, seed) for arm in ("linear", "hidden"))
        assert all(torch.equal(a, b) for a, b in zip(linear, hidden, strict=True))
    assert not torch.equal(split(Setup(), 1437, 0)[0], split(Setup(), 1437, 1)[0])


def test_no_training_image_chooses_the_learning_rate() -> None:
    """Validation error on training images would prefer the rate that overfits."""
    training, validation = split(Setup(), 1437, 0)
    assert not set(training.tolist()) & set(validation.tolist())
    assert len(set(training.tolist())) == Setup().train_size


def test_a_rate_that_diverges_is_never_chosen() -> None:
    """A rate of 1e38 leaves the finite numbers; beside it, the sound one is kept."""
    alone = trial(replace(SHORT, rates=(0.1,)), [0], Services())
    beside = trial(replace(SHORT, rates=(1e38, 0.1)), [0], Services())
    lost = trial(replace(SHORT, rates=(1e38,)), [0], Services())
    assert torch.equal(beside.values["test_error"], alone.values["test_error"])
    assert lost.diverged.tolist() == [True]
    assert beside.diverged.tolist() == [False]
