"""Autoregressive training: would catch targets that are not shifted by one, windows that miss or
repeat a token, a mean over the wrong things, logs in another base, sampling that ignores the
network, its context or the temperature, and windows that copy the text.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.fit import fit
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import SGD
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.learning.autoregressive import (
    alphabet,
    bits,
    decode,
    encode,
    losses,
    next_token_loss,
    perplexity,
    sample,
    windows,
)
from practicum.nn.gpt2 import GPT2, GPT2Config

V = 5


class Pairs(nn.Module):
    """A network whose logits depend on the last token only."""

    def __init__(self, vocabulary: int = V) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.table(tokens)
        return logits


def naive(table: Tensor, window: list[int]) -> list[float]:
    """Return the loss of each target of a window, one after the other."""
    found = []
    for read, target in itertools.pairwise(window):
        scores = [math.exp(float(z)) for z in table[read].detach()]
        found.append(-math.log(scores[target] / sum(scores)))
    return found


def test_the_loss_and_its_gradient_are_those_of_the_equations() -> None:
    torch.manual_seed(0)
    network = Pairs().double()
    batch = torch.tensor([[0, 1, 4, 2], [3, 3, 0, 1]])
    table = network.table.weight
    loss = next_token_loss(network, (batch,), GlobalNoise())
    each = [naive(table, window) for window in batch.tolist()]
    assert loss.item() == pytest.approx(sum(map(sum, each)) / 6)
    (gradient,) = torch.autograd.grad(loss, table)
    expected = torch.zeros_like(table)
    for window in batch.tolist():
        for read, target in itertools.pairwise(window):
            expected[read] += table[read].detach().softmax(0) / 6
            expected[read, target] -= 1 / 6
    torch.testing.assert_close(gradient, expected)


def test_targets_that_are_not_shifted_are_rejected() -> None:
    torch.manual_seed(0)
    network = Pairs()
    window = torch.tensor([[0, 1, 4, 2]])
    unshifted = nn.functional.cross_entropy(network(window).flatten(0, 1), window.flatten())
    right = sum(naive(network.table.weight.detach(), window[0].tolist())) / 3
    assert next_token_loss(network, (window,), GlobalNoise()).item() == pytest.approx(right)
    assert unshifted.item() != pytest.approx(right)


@given(st.integers(1, 7), st.integers(0, 40))
def test_windows_side_by_side_ask_for_each_token_once_and_in_order(block: int, more: int) -> None:
    text = torch.arange(block + 1 + more)
    held = windows(text, block, step=block)
    asked = held[:, 1:].flatten()
    assert torch.equal(asked, torch.arange(1, len(asked) + 1))
    assert len(text) - 1 - len(asked) < block  # only a rest shorter than a window is left out
    assert len(windows(text, block)) == len(text) - block


def test_windows_are_views_of_the_text() -> None:
    text = torch.arange(1000)
    every = windows(text, 20)
    assert every.shape == (980, 21)
    assert every.untyped_storage().data_ptr() == text.untyped_storage().data_ptr()


@pytest.mark.parametrize(("length", "step"), [(10, 1), (0, 1), (3, 0)])
def test_windows_that_cannot_be_are_refused(length: int, step: int) -> None:
    with pytest.raises(PracticumError):
        windows(torch.arange(10), length, step=step)


def test_losses_by_position_average_to_the_loss() -> None:
    torch.manual_seed(1)
    network = GPT2(GPT2Config(vocabulary=V, positions=6, width=8, layers=1, heads=2, dropout=0.0))
    held = windows(torch.randint(V, (1000,)), 6, step=4)
    assert len(held) > 128  # several parts
    each = losses(network, held)
    assert each.shape == (len(held), 6)
    whole = next_token_loss(network, (held,), GlobalNoise())
    assert each.mean().item() == pytest.approx(whole.item(), rel=1e-5)
    one = network(held[7:8, :-1])[0].detach().double().log_softmax(-1)
    expected = [-float(one[t, held[7, t + 1]]) for t in range(6)]
    assert each[7].tolist() == pytest.approx(expected, rel=1e-5)


def test_bits_and_perplexity_of_a_fair_coin() -> None:
    assert bits(math.log(2)) == pytest.approx(1)
    assert perplexity(math.log(7)) == pytest.approx(7)


def test_text_comes_back_from_its_numbers() -> None:
    text, other = "abba\nc", "xa"
    characters = alphabet(text, other)
    assert characters == "\nabcx"
    assert decode(encode(text, characters), characters) == text
    with pytest.raises(PracticumError, match="lacks 'q'"):
        encode("aq", characters)


def test_training_reaches_the_entropy_of_the_text_in_loop_and_lanes() -> None:
    # after 0 comes 1; after 1 comes 0 or 1 with equal chances: half of the ... is known
    generator = torch.Generator().manual_seed(0)
    text = [0]
    for draw in torch.rand(4000, generator=generator).tolist():
        text.append(1 if text[-1] == 0 else int(draw < 0.5))
    tokens = torch.tensor(text)
    ones = float((tokens[:-1] == 1).double().mean())
    after_one = float((tokens[1:][tokens[:-1] == 1] == 1).double().mean())
    entropy = -ones * (after_one * math.log(after_one) + (1 - after_one) * math.log(1 - after_one))
    found = {}
    for path in ("loop", "lanes"):
        run = fit(
            lambda: Pairs(2),
            loss=next_token_loss,
            optimizer=SGD(lr=4.0),
            data=(windows(tokens, 8),),
            batch_size=64,
            steps=120,
            seeds=[3, 4],
            services=Services(
                arithmetic=Arithmetic(
                    path=path, precision="float64", lane_group=2 if path == "lanes" else 1
                )
            ),
            evaluate=lambda network, seed: {
                "held": losses(network, windows(tokens, 8, step=8)).mean()
            },
        )
        found[path] = run.final("held")
    assert torch.allclose(found["loop"], found["lanes"], rtol=1e-10)
    assert found["loop"].tolist() == pytest.approx([entropy] * 2, abs=0.01)


def test_samples_follow_the_network_and_depend_on_its_generator_only() -> None:
    network = Pairs()
    with torch.no_grad():  # after i comes i + 1, nearly always
        network.table.weight.copy_(20 * torch.eye(V).roll(1, 1))

    def draw(seed: int, temperature: float = 1.0) -> list[int]:
        drawn = sample(
            network,
            torch.tensor([3, 1]),
            9,
            context=4,
            generator=torch.Generator().manual_seed(seed),
            temperature=temperature,
        )
        return drawn.tolist()

    assert draw(0) == [2, 3, 4, 0, 1, 2, 3, 4, 0]
    assert draw(7, 100.0) == draw(7, 100.0)
    assert len({tuple(draw(seed, 100.0)) for seed in range(5)}) == 5


def test_frequencies_of_samples_are_the_chances() -> None:
    network = Pairs(3)
    chances = torch.tensor([0.2, 0.5, 0.3])
    with torch.no_grad():
        network.table.weight.copy_(chances.log().expand(3, 3))
    drawn = sample(
        network,
        torch.tensor([0]),
        2000,
        context=1,
        generator=torch.Generator().manual_seed(0),
    )
    shares = drawn.bincount(minlength=3) / 2000
    assert shares.tolist() == pytest.approx(chances.tolist(), abs=0.04)


def test_sampling_never_reads_more_than_the_context() -> None:
    seen = []

    def network(tokens: Tensor) -> Tensor:
        seen.append(tokens.shape[1])
        return torch.zeros(1, tokens.shape[1], V)

    sample(network, torch.tensor([0, 1]), 5, context=4, generator=torch.Generator())
    assert seen == [2, 3, 4, 4, 4]


@pytest.mark.parametrize(
    ("prompt", "context", "temperature"), [([], 4, 1.0), ([0], 0, 1.0), ([0], 4, 0.0)]
)
def test_what_cannot_be_sampled_is_refused(
    prompt: list[int], context: int, temperature: float
) -> None:
    with pytest.raises(PracticumError, match="prompt"):
        sample(
            Pairs(),
            torch.tensor(prompt, dtype=torch.long),
            3,
            context=context,
            generator=torch.Generator(),
            temperature=temperature,
        )
