"""The Transformer's ablations: right answers, equal starts, and what each arm really takes away.

Catches: a task whose answers are wrong, padding that counts, arms with other first weights or
sequences, scores still divided in the arm without scaling, an arm "without positions" that knows
the order, a warm-up arm that differs after the warm-up, a picture of the wrong attention.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from practicum.engine.noise import GlobalNoise
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.attention.transformer.experiment import ARMS, Setup, trial
from practicum.labs.attention.transformer.learning import (
    drawn,
    looking,
    loss_on,
    measured,
    network_of,
    train,
)
from practicum.labs.attention.transformer.networks import (
    InverseSquareRoot,
    Unscaled,
    build,
    reading,
)
from practicum.labs.attention.transformer.tasks import SPECIAL, Sequences, blanked, draw, unseen
from practicum.labs.lab import replaced
from practicum.learning.sequence_to_sequence import inputs_of, teacher_forcing
from practicum.nn.attention import MultiHeadAttention
from practicum.nn.seq2seq import BEGIN, END, PAD

SMALL = {"width": 8, "hidden": 12, "longest": 5, "beyond": 2, "train_size": 24, "batch_size": 8}
TINY = {**SMALL, "steps": 3, "points": 1, "validation_size": 6, "test_size": 7, "rates": (0.01,)}


def small(arm: str) -> Setup:
    setup: Setup = replaced(ARMS[arm], TINY)
    return setup


@pytest.mark.parametrize("task", ["reverse", "sort", "mirror"])
def test_the_answers_are_the_tasks(task: str) -> None:
    found = draw(task, 60, (2, 5), 7, torch.Generator().manual_seed(1))
    assert set(found.lengths.tolist()) == {2, 3, 4, 5}
    for source, target, n in zip(*(one.tolist() for one in found), strict=True):
        tokens = [one - SPECIAL for one in source[:n]]
        assert all(0 <= one < 7 for one in tokens)
        right = {
            "reverse": tokens[::-1],
            "sort": sorted(tokens),
            "mirror": [(a + b) % 7 for a, b in zip(tokens, reversed(tokens), strict=True)],
        }[task]
        assert source[n:] == [PAD] * (5 - n)
        assert target == [one + SPECIAL for one in right] + [END] + [PAD] * (5 - n)


def test_a_blank_source_keeps_answers_and_lengths_and_tells_nothing_else() -> None:
    usual = draw("reverse", 30, (2, 5), 7, torch.Generator().manual_seed(2))
    blank = blanked(usual)
    assert torch.equal(blank.target, usual.target)
    assert torch.equal(blank.lengths, usual.lengths)
    assert set(blank.source.flatten().tolist()) == {PAD, SPECIAL}
    assert torch.equal(blank.source == PAD, usual.source == PAD)


def test_every_arm_starts_from_the_same_weights_and_sequences() -> None:
    def start(arm: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        return build(small(arm)).state_dict()

    base, data = start("transformer"), drawn(small("transformer"), 4, Services())
    for arm in ARMS:
        there = start(arm)
        shared = [name for name in base if name in there]
        assert all(torch.equal(base[name], there[name]) for name in shared)
        extra = set(there) - set(base)
        assert extra <= {"positions.weight"} | {
            f"{side}_norm.{name}" for side in ("encoder", "decoder") for name in ("weight", "bias")
        }
        if arm != "blank":
            for one, other in zip(data.train, drawn(small(arm), 4, Services()).train, strict=True):
                assert torch.equal(one, other)
    assert "positions.weight" in start("learned positions")


def test_training_and_test_sequences_are_drawn_apart_and_the_longer_ones_are_longer() -> None:
    data = drawn(small("transformer"), 5, Services())
    assert data.train.source.shape == (24, 5)
    assert not torch.equal(data.train.source[:6], data.validation.source)
    assert not torch.equal(data.validation.source, data.test.source[:6])
    assert data.test.source.shape == (7, 5)
    assert data.train.lengths.max() <= 5 < data.longer.lengths.min()
    assert data.longest.lengths.tolist() == [5] * 6
    other = drawn(small("transformer"), 6, Services())
    assert not torch.equal(other.train.source, data.train.source)


def test_no_test_sequence_stood_in_training() -> None:
    setup = replaced(small("transformer"), {"kinds": 3, "test_size": 40, "train_size": 60})
    data = drawn(setup, 5, Services())
    trained = {tuple(one) for one in data.train.source.tolist()}
    assert not trained & {tuple(one) for one in data.test.source.tolist()}
    assert (data.test.lengths == 3).any()  # of 27 kinds some were not trained
    more = draw("reverse", 40, (3, 5), 3, torch.Generator().manual_seed(6))
    kept = unseen(more, data.train)
    assert 0 < len(kept.source) < 40
    for source, target, n in zip(*(one.tolist() for one in kept), strict=True):
        assert target[: n + 1] == [*source[:n][::-1], END]  # its own answer still
    seeing = drawn(replaced(setup, {"blank": True}), 5, Services()).test
    assert torch.equal(seeing.target, data.test.target)


def test_a_test_that_training_leaves_nothing_of_is_refused() -> None:
    setup = replaced(small("transformer"), {"kinds": 2, "longest": 3, "train_size": 200})
    with pytest.raises(PracticumError, match="training has not seen 0, and test_size is 7"):
        drawn(setup, 0, Services())


def test_without_scaling_the_scores_are_the_plain_products() -> None:
    torch.manual_seed(7)
    scaled = MultiHeadAttention(6, 2).double()
    plain = Unscaled(6, 2).double()
    plain.load_state_dict(scaled.state_dict())
    x, memory = torch.randn(2, 3, 6).double(), torch.randn(2, 4, 6).double()
    w, b = scaled.in_proj_weight, scaled.in_proj_bias
    assert b is not None
    q, k = x @ w[:6].T + b[:6], memory @ w[6:12].T + b[6:12]
    for head in range(2):
        at = slice(3 * head, 3 * head + 3)
        scores = q[..., at] @ k[..., at].transpose(1, 2)
        weights = plain.attend(x, memory)[1][:, head]
        assert torch.allclose(weights, scores.softmax(-1))
        assert not torch.allclose(weights, (scores / math.sqrt(3)).softmax(-1), atol=1e-3)
    assert torch.allclose(plain(x, memory), plain.attend(x, memory)[0])  # the fused kernel, too


def test_the_unscaled_arm_has_no_scaled_attention_left() -> None:
    network = build(replaced(small("unscaled"), {"layers": 2}))
    found = [one for one in network.modules() if isinstance(one, MultiHeadAttention)]
    assert len(found) == 6
    assert all(isinstance(one, Unscaled) for one in found)
    others = build(small("transformer")).modules()
    assert not any(isinstance(one, Unscaled) for one in others)


@pytest.mark.parametrize("arm", ["transformer", "learned positions", "no positions"])
def test_only_the_arm_without_positions_reads_a_set(arm: str) -> None:
    torch.manual_seed(8)
    network = build(small(arm)).eval()
    source = torch.tensor([[3, 4, 5, 6, 7]])
    fed = torch.tensor([[BEGIN, 4, 5]])
    moved = network(source[:, [4, 2, 0, 1, 3]], fed)
    same = torch.allclose(network(source, fed), moved, atol=1e-6)
    assert same == (arm == "no positions")


def test_the_schedule_is_the_papers_up_to_its_largest_value() -> None:
    width, warmup = 512, 50
    paper = [width**-0.5 * min(n**-0.5, n * warmup**-1.5) for n in range(1, 301)]
    rising = InverseSquareRoot(warmup=warmup)
    level = InverseSquareRoot(warmup=warmup, rises=False)
    assert [rising(n) for n in range(300)] == pytest.approx([one / max(paper) for one in paper])
    assert [level(n) for n in range(50)] == [1.0] * 50
    assert [level(n) for n in range(50, 300)] == [rising(n) for n in range(50, 300)]
    assert max(paper) == pytest.approx((width * warmup) ** -0.5)


def test_the_loss_does_not_count_padding() -> None:
    torch.manual_seed(9)
    network = build(small("transformer")).eval()
    data = drawn(small("transformer"), 1, Services()).test
    total, count = 0.0, 0
    for source, target, n in zip(*data, strict=True):
        logits = network(source[None, :n], inputs_of(target[None, : n + 1]))[0]
        chances = logits.log_softmax(-1)
        total -= sum(float(chances[t, target[t]].detach()) for t in range(int(n) + 1))
        count += int(n) + 1
    assert float(loss_on(network, data)) == pytest.approx(total / count, rel=1e-5)
    padded = Sequences(data.source, torch.nn.functional.pad(data.target, (0, 1)), data.lengths)
    longer = teacher_forcing(network, tuple(padded), GlobalNoise())
    assert float(longer.detach()) == pytest.approx(total / count, rel=1e-5)


def test_the_picture_is_what_the_last_layer_really_weighs_with() -> None:
    torch.manual_seed(10)
    network = build(replaced(small("transformer"), {"layers": 2})).eval()
    data = drawn(small("transformer"), 1, Services()).test
    weights = reading(network, data.source, inputs_of(data.target), data.lengths)
    assert weights.shape == (7, 4, 6, 5)
    assert torch.allclose(weights.sum(-1), torch.ones(7, 4, 6))
    beyond = torch.arange(5) >= data.lengths[:, None]
    assert not weights[beyond[:, None, None].expand_as(weights)].any()
    last: Any = network.decoder[-1].multihead_attn
    seen: dict[str, Any] = {}
    last.register_forward_hook(lambda module, given, output: seen.update(x=given, y=output))
    network(data.source, inputs_of(data.target), data.lengths)
    values = torch.nn.functional.linear(
        seen["x"][1], last.in_proj_weight[16:], last.in_proj_bias[16:]
    )
    heads = weights @ values.reshape(7, 5, 4, 2).transpose(1, 2)
    joined = last.out_proj(heads.transpose(1, 2).flatten(2))
    assert torch.allclose(joined, seen["y"], atol=1e-6)


def test_a_trained_network_reverses_and_looks_where_it_should() -> None:
    setup = replaced(
        Setup(),
        {
            "kinds": 16, "shortest": 2, "longest": 2, "beyond": 1, "width": 16, "hidden": 16,
            "heads": 2, "steps": 160, "points": 1, "train_size": 320, "test_size": 40,
            "validation_size": 40, "warmup": 10,
        },
    )  # fmt: skip
    data = {0: drawn(setup, 0, Services())}
    network = network_of(train(setup, 0.02, data, [0], Services()), 0)
    assert float(measured(network, data[0])["sequence_error"]) <= 5
    assert looking(network, data[0]).mean(0)[:2].argmax(1).tolist() == [1, 0]


def test_a_seed_does_not_see_its_neighbours_and_a_diverged_rate_is_never_chosen() -> None:
    setup = replaced(small("transformer"), {"rates": (1e30, 0.01)})
    together, alone = trial(setup, [4, 7], Services()), trial(setup, [7], Services())
    for name, value in alone.values.items():
        assert torch.equal(together.values[name][1:], value)
    assert together.values["rate"].tolist() == pytest.approx([0.01, 0.01])
    assert not together.diverged.any()


def test_lengths_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(PracticumError, match="raise longest"):
        trial(replaced(Setup(), {"shortest": 9, "longest": 4}), [0], Services())
