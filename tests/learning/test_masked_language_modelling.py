"""Masked language modelling: what is hidden, how often, and the loss word by word."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from scipy.stats import binom
from torch import Tensor

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.fit import fit
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import Adam
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.errors import PracticumError
from practicum.learning.masked_language_modelling import Masking, masked_loss
from practicum.nn.bert import BERT, BERTConfig

B, T, V, MASK, SPECIAL = 5, 6, 11, 2, 3
HOW = Masking(mask=MASK, words=V, special=SPECIAL)


def tokens(n: int = B, t: int = T) -> Tensor:
    return torch.randint(V, (n, t), generator=torch.Generator().manual_seed(1))


def test_shares_of_what_is_shown() -> None:
    torch.manual_seed(1)
    text = tokens(2000, 50)
    shown, chosen = HOW.hide(text, GlobalNoise())
    ordinary = text >= SPECIAL
    assert not (chosen & ~ordinary).any()
    assert torch.equal(shown[~chosen], text[~chosen])
    n = int(ordinary.sum())
    assert int(chosen.sum()) / n == pytest.approx(0.15, abs=5 * (0.15 * 0.85 / n) ** 0.5)
    masked = (shown == MASK) & chosen
    other = chosen & ~masked & (shown != text)
    m = int(chosen.sum())
    assert int(masked.sum()) / m == pytest.approx(0.8, abs=0.02)
    # one of ten is drawn among 8 words, one of which is the right one
    assert int(other.sum()) / m == pytest.approx(0.1 * 7 / 8, abs=0.015)
    assert set(shown[other].tolist()) == set(range(SPECIAL, V))


def made() -> BERT:
    torch.manual_seed(5)
    sizes = {"vocabulary": V, "positions": T, "width": 8, "layers": 1, "heads": 2, "hidden": 12}
    return BERT(BERTConfig(**sizes, dropout=0.0, next_sentence=False)).double()


def word_by_word(network: BERT, text: Tensor, everywhere: bool = False) -> tuple[Tensor, float]:
    """Write (1) out; `everywhere` counts the words that were not chosen too."""
    torch.manual_seed(9)
    shown, chosen = HOW.hide(text, GlobalNoise())
    total, right, count = torch.zeros((), dtype=torch.float64), 0, 0
    for b in range(len(text)):
        logits = network(shown[b : b + 1])
        for t in range(T):
            if chosen[b, t] or everywhere:
                p = logits[0, t].exp() / logits[0, t].exp().sum()
                total, count = total - p[text[b, t]].log(), count + 1
                right += int(p.argmax()) == int(text[b, t])
    return total / count, right / count


def test_the_loss_word_by_word() -> None:
    network, text, found = made(), tokens(40), []
    torch.manual_seed(9)
    ours, metrics = masked_loss(network, (text,), GlobalNoise(), masking=HOW)
    theirs, right = word_by_word(network, text)
    for loss in (ours, theirs):
        network.zero_grad()
        loss.backward()
        found.append({name: p.grad.clone() for name, p in network.named_parameters()})
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-12)
    assert metrics["right"].item() == pytest.approx(right)
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=0, atol=1e-12)
    assert abs(word_by_word(network, text, everywhere=True)[0].item() - ours.item()) > 1e-3


def test_padding_is_not_read() -> None:
    network, text = made(), tokens()
    text[:, 4:] = 0
    short = text[:, :4]
    everything = Masking(mask=MASK, words=V, special=SPECIAL, share=1.0, masked=1.0, random=0.0)
    with_padding = masked_loss(network, (text,), GlobalNoise(), masking=everything, padding=0)[0]
    without = masked_loss(network, (short,), GlobalNoise(), masking=everything, padding=0)[0]
    assert with_padding.item() == pytest.approx(without.item(), abs=1e-12)


def test_too_few_places_take_the_first_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    network, text = made(), tokens(40)
    torch.manual_seed(9)
    shown, chosen = HOW.hide(text, GlobalNoise())
    log_p = network(shown).log_softmax(-1).detach()
    each = [-log_p[b, t, text[b, t]].item() for b, t in chosen.nonzero().tolist()]
    assert len(each) > 7
    monkeypatch.setattr(Masking, "asked", lambda *_: 7)
    torch.manual_seed(9)
    found = masked_loss(network, (text,), GlobalNoise(), masking=HOW)[0]
    assert found.item() == pytest.approx(sum(each[:7]) / 7, abs=1e-12)


@pytest.mark.parametrize("share", [0.01, 0.15, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 10, 100, 768, 30_000])
def test_more_are_chosen_than_asked_for_once_in_65_million(n: int, share: float) -> None:
    places = replace(HOW, share=share).asked(n)
    assert places <= n
    assert binom.sf(places, n, share) < math.exp(-18)
    assert places < n or n * share > n - 6 * math.sqrt(n * share * (1 - share)) - 13


def test_the_output_is_computed_at_the_places_only() -> None:
    network, text, seen = made(), tokens(40), []
    forget = network.transform.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    masked_loss(network, (text,), GlobalNoise(), masking=HOW)
    forget.remove()
    assert seen[0].shape == (HOW.asked(text.numel()), 8)
    assert len(seen[0]) < text.numel() / 2


def test_nothing_hidden_teaches_nothing() -> None:
    text = torch.zeros(B, T, dtype=torch.long)
    loss = masked_loss(made(), (text,), GlobalNoise(), masking=HOW)[0]
    assert loss.item() == 0


def learned(path: str) -> Trained:
    first = torch.randint(SPECIAL, V, (60, 1), generator=torch.Generator().manual_seed(2))
    text = SPECIAL + (first - SPECIAL + torch.arange(T)) % (V - SPECIAL)  # words in a row
    how = Masking(mask=MASK, words=V, special=SPECIAL, share=0.3)
    sizes = {"vocabulary": V, "positions": T, "width": 16, "layers": 1, "heads": 2, "hidden": 32}
    return fit(
        lambda: BERT(BERTConfig(**sizes, dropout=0.0, next_sentence=False)),
        loss=lambda network, batch, noise: masked_loss(network, batch, noise, masking=how)[0],
        optimizer=Adam(lr=0.01),
        data=(text,),
        batch_size=20,
        steps=120,
        every=60,
        seeds=(1, 2),
        services=Services(arithmetic=Arithmetic(path=path, lane_group=2, precision="float64")),
    )


def test_it_learns_what_stands_between_in_loop_and_lanes() -> None:
    loop, lanes = learned("loop"), learned("lanes")
    assert loop.curves["loss"][:, -1].max() < 1.8  # single words: log 8 = 2.08
    torch.testing.assert_close(lanes.curves["loss"], loop.curves["loss"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "numbers", [{"share": 0.0}, {"masked": 0.95}, {"mask": 3}, {"special": 11}, {"random": -0.1}]
)
def test_bad_numbers_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(PracticumError):
        partial(Masking, **({"mask": MASK, "words": V, "special": SPECIAL} | numbers))()
