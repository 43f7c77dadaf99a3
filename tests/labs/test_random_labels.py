"""The lab `random-labels`: would catch arms with other images, starts or batches, labels that are
drawn anew in every epoch, a share of random labels that is off, a shuffle that loses pixels or
differs between training and test, a seed that depends on its neighbours.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from practicum.data import load as load_data
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.generalization.random_labels import experiment
from practicum.labs.generalization.random_labels.experiment import (
    ARMS,
    DOSES,
    FITTED,
    Setup,
    prepared,
    trial,
)
from practicum.labs.generalization.random_labels.randomized import randomized, whitened
from practicum.labs.lab import load, replaced
from practicum.nn.mlp import MLP

TINY = {"train_size": 60, "steps": 20, "every": 10, "batch_size": 30}


def tiny(arm: str) -> Setup:
    setup: Setup = replaced(ARMS[arm], TINY)
    return setup


def test_the_lab_is_whole() -> None:
    lab = load(experiment.__name__)
    assert (lab.name, lab.topic) == ("random-labels", "generalization")


# --- what is randomized


def test_corruptions_of_a_seed_are_nested_and_share_their_random_labels() -> None:
    images = [prepared(ARMS[arm], 3) for arm in DOSES]
    for one in images[1:]:
        assert torch.equal(one.x, images[0].x)
        assert torch.equal(one.true, images[0].true)
    assert torch.equal(images[0].y, images[0].true)
    changed = [one.y != one.true for one in images]
    for fewer, more, one, other in zip(
        changed[:-1], changed[1:], images[:-1], images[1:], strict=True
    ):
        assert bool((more | ~fewer).all())  # what is random at a share is random at a larger one
        assert torch.equal(one.y[fewer], other.y[fewer])
    # A label drawn from all ten classes is the true one in one case of ten.
    shares = [float(one.double().mean()) for one in changed]
    np.testing.assert_allclose(shares, [0, 0.225, 0.45, 0.675, 0.9], atol=0.045)


def test_random_labels_are_spread_over_the_classes_and_know_nothing_of_the_image() -> None:
    one = prepared(ARMS["random labels"], 0)
    counts = torch.bincount(one.y, minlength=10).double()
    assert float((counts - 100).square().sum() / 100) < 27.9  # chi-squared, 9 degrees, p = 0.001
    table = torch.zeros(10, 10, dtype=torch.float64)
    for label, true in zip(one.y.tolist(), one.true.tolist(), strict=True):
        table[label, true] += 1
    expected = table.sum(1, keepdim=True) * table.sum(0, keepdim=True) / 1000
    assert float(((table - expected) ** 2 / expected).sum()) < 126.1  # 81 degrees, p = 0.001


def test_labels_stay_the_same_however_often_they_are_asked_for() -> None:
    first, second = (prepared(ARMS["random labels"], 7) for _ in range(2))
    assert torch.equal(first.y, second.y)
    assert not torch.equal(first.y, prepared(ARMS["random labels"], 8).y)


def test_one_shuffle_is_the_same_for_all_images_and_own_shuffles_are_not() -> None:
    kept, one, own = (
        prepared(ARMS[arm], 5) for arm in ("true labels", "shuffled pixels", "own shuffles")
    )
    for shuffled in (one, own):
        assert torch.equal(shuffled.y, kept.y)
        for mine, theirs in ((shuffled.x, kept.x), (shuffled.x_test, kept.x_test)):
            assert torch.equal(mine.sort(1).values, theirs.sort(1).values)  # no pixel is lost
            assert not torch.equal(mine, theirs)
    # Pixels that no other pixel equals in training tell the shuffle; the test images have the same.
    matches = [(kept.x == one.x[:, [pixel]]).all(0).nonzero().ravel() for pixel in range(64)]
    told = {pixel: int(found[0]) for pixel, found in enumerate(matches) if len(found) == 1}
    assert len(told) > 40
    assert len(set(told.values())) == len(told)
    assert torch.equal(kept.x_test[:, list(told.values())], one.x_test[:, list(told)])
    # With shuffles of their own the place says nothing: every pixel has the same mean.
    assert float(kept.x.mean(0).std()) > 0.5
    assert float(own.x.mean(0).std()) < 0.1


def test_whitening_leaves_every_image_with_mean_zero_and_deviation_one() -> None:
    x = torch.rand(5, 12, dtype=torch.float64) * 7 + 3
    x[2] = 4.0
    w = whitened(x)
    np.testing.assert_allclose(w.mean(1), 0.0, atol=1e-12)
    deviation = w.std(1, unbiased=False)
    np.testing.assert_allclose(deviation[[0, 1, 3, 4]], 1.0, rtol=1e-12)
    assert torch.equal(w[2], torch.zeros(12, dtype=torch.float64))


def test_more_images_than_there_are_is_refused() -> None:
    with pytest.raises(PracticumError, match="train_size"):
        prepared(replaced(Setup(), {"train_size": 2000}), 0)


# --- what is held equal


def test_arms_differ_only_in_what_the_header_says() -> None:
    for arm, setup in ARMS.items():
        same = {"corruption": 0.0, "pixels": "kept", "hidden": (256,)}
        assert replaced(setup, same) == ARMS["true labels"], arm
    assert [ARMS[arm].corruption for arm in DOSES] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert [(ARMS[arm].corruption, ARMS[arm].pixels) for arm in FITTED] == [
        (0.0, "kept"), (1.0, "kept"), (0.0, "one shuffle"), (0.0, "own shuffles")
    ]  # fmt: skip


def test_an_arm_without_any_random_label_is_the_true_arm_bit_for_bit() -> None:
    plain = trial(tiny("true labels"), [4], Services())
    undone = trial(replaced(tiny("random labels"), {"corruption": 0.0}), [4], Services())
    for name, value in plain.values.items():
        assert torch.equal(value, undone.values[name])


def test_start_and_order_of_batches_are_the_same_in_every_arm() -> None:
    """Train by hand: the seed's start, its order of batches, fixed labels, no decay."""
    for arm in ("true labels", "random labels", "shuffled pixels"):
        setup = tiny(arm)
        measured = trial(setup, [6], Services())
        images = prepared(setup, 6)
        with streams(6).init():
            network = MLP(64, setup.hidden, 10)
        order, velocity = streams(6).order(), [torch.zeros_like(p) for p in network.parameters()]
        for _ in range(setup.steps // 2):
            for index in torch.randperm(60, generator=order).split(30):
                loss = F.cross_entropy(network(images.x[index]), images.y[index])
                gradients = torch.autograd.grad(loss, list(network.parameters()))
                with torch.no_grad():
                    for p, v, g in zip(network.parameters(), velocity, gradients, strict=True):
                        v.mul_(setup.momentum).add_(g)
                        p.sub_(setup.rate * v)
        for name, value in network.state_dict().items():
            torch.testing.assert_close(
                measured.weights[0][f"network.{name}"], value, rtol=1e-4, atol=1e-5
            )


def test_labels_drawn_anew_in_every_epoch_would_be_noticed() -> None:
    """The twin above with changing labels must end somewhere else."""
    setup = tiny("random labels")
    measured = trial(setup, [6], Services())
    images = prepared(setup, 6)
    with streams(6).init():
        network = MLP(64, setup.hidden, 10)
    optimizer = torch.optim.SGD(network.parameters(), lr=setup.rate, momentum=setup.momentum)
    order, fresh = streams(6).order(), torch.Generator().manual_seed(0)
    for _ in range(setup.steps // 2):
        labels = torch.randint(10, (60,), generator=fresh)
        for index in torch.randperm(60, generator=order).split(30):
            optimizer.zero_grad()
            F.cross_entropy(network(images.x[index]), labels[index]).backward()
            optimizer.step()
    weight = measured.weights[0]["network.layers.0.weight"]
    assert (weight - network.layers[0].weight).abs().max() > 0.01


# --- what is measured


def test_measures_are_counts_of_the_final_network() -> None:
    setup = tiny("50 % random")
    measured = trial(setup, [2, 9], Services())
    for i, seed in enumerate((2, 9)):
        images = prepared(setup, seed)
        network = MLP(64, setup.hidden, 10)
        network.load_state_dict(
            {name.removeprefix("network."): value for name, value in measured.weights[i].items()}
        )
        answers = network(images.x).argmax(1)
        given = 100 * float((answers == images.y).double().mean())
        true = 100 * float((answers == images.true).double().mean())
        test = 100 * float((network(images.x_test).argmax(1) == images.y_test).double().mean())
        assert float(measured.values["training accuracy"][i]) == pytest.approx(given)
        assert float(measured.values["true label restored"][i]) == pytest.approx(true)
        assert float(measured.values["test accuracy"][i]) == pytest.approx(test)
        assert float(measured.values["accuracy while training"][i, -1]) == pytest.approx(given)
    assert measured.steps["accuracy while training"].tolist() == [10, 20]


def test_a_small_network_remembers_random_labels_of_few_images() -> None:
    setup = replaced(Setup(), {**TINY, "corruption": 1.0, "steps": 300, "every": 300})
    measured = trial(setup, [0], Services())
    assert float(measured.values["training accuracy"][0]) == 100.0
    assert float(measured.values["test accuracy"][0]) < 35.0
    linear = trial(replaced(setup, {"hidden": (), "train_size": 500}), [0], Services())
    assert float(linear.values["training accuracy"][0]) < 60.0


@pytest.mark.parametrize("arm", ["random labels", "own shuffles"])
def test_a_seed_gives_the_same_bits_alone_and_among_others(arm: str) -> None:
    together = trial(tiny(arm), [4, 1, 7], Services())
    alone = trial(tiny(arm), [7], Services())
    for name, values in together.values.items():
        assert torch.equal(values[2], alone.values[name][0]), name


def test_randomizing_never_touches_the_data_set() -> None:
    loaded = load_data("digits")
    before = loaded.train[0].clone(), loaded.train[1].clone()
    randomized(loaded.train, loaded.test, 0, size=50, corruption=1.0, pixels="own shuffles")
    assert torch.equal(before[0], loaded.train[0])
    assert torch.equal(before[1], loaded.train[1])
