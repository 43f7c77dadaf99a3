"""The translation lab: what an example is made of, what is equal, and what is measured.

Catches: a target beside the wrong source, a reversed source with its padding in front, test
sentences in training, unknown words that count as right, arms of different size or data, a rise
with the wrong sign, translations that go on after END.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from practicum.data.pairs import Pairs, Part
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.labs.attention.translation import data
from practicum.labs.attention.translation.data import (
    UNKNOWN,
    Examples,
    blinded,
    commonest,
    corpus,
    joined,
    numbered,
    short,
    spoken,
    turned,
)
from practicum.labs.attention.translation.experiment import (
    ARMS,
    SCALES,
    Setup,
    seen,
    text_of,
    trial,
)
from practicum.labs.attention.translation.language import (
    ADJECTIVES,
    ARTICLES,
    NOUNS,
    VERBS,
    captions,
    made,
    phrase,
)
from practicum.labs.attention.translation.measuring import Placed, measures_of, translated
from practicum.labs.attention.translation.networks import build, matched, parameters
from practicum.labs.lab import replaced
from practicum.nn.seq2seq import BEGIN, END, PAD, Seq2Seq

TINY = {
    "known": 20, "train_size": 24, "pool": 32, "validation_size": 6, "test_size": 6, "width": 4,
    "hidden": 6, "heads": 2, "batch_size": 8, "steps": 2, "points": 1,
}  # fmt: skip

SMALL = Part(("a b .", "c .", "d e f ."), ("A B .", "C .", "D E ."))


# ---- the made language


def test_a_caption_of_the_made_language_is_turned_as_its_rules_say() -> None:
    assert phrase(1, None, definite=True) == (f"ke {made('n', 1)}", f"the {NOUNS[1]}")
    assert phrase(0, 2, definite=False) == (
        f"mo {made('n', 0)} {made('a', 2)}",
        f"a {ADJECTIVES[2]} {NOUNS[0]}",
    )
    words = [made("n", i) for i in range(len(NOUNS))] + [made("v", i) for i in range(len(VERBS))]
    words += [made("a", i) for i in range(len(ADJECTIVES))] + list(ARTICLES.values())
    assert len(set(words)) == len(words)


def test_captions_can_be_translated_word_by_word_from_the_rules_alone() -> None:
    part = captions(60, torch.Generator().manual_seed(1))
    nouns = {made("n", i): word for i, word in enumerate(NOUNS)}
    adjectives = {made("a", i): word for i, word in enumerate(ADJECTIVES)}
    verbs = {made("v", i): word for i, word in enumerate(VERBS)}
    articles = {ours: english for (english, _), ours in ARTICLES.items()}
    for source, target in zip(part.source, part.target, strict=True):
        *rest, verb, dot = source.split()
        phrases: list[list[str]] = []
        for word in rest:
            if word in articles:
                phrases.append([articles[word]])
            elif word in adjectives:
                phrases[-1].insert(1, adjectives[word])
            else:
                phrases[-1].append(nouns[word])
        said = [*phrases[0], verbs[verb], *phrases[1], dot]
        assert " ".join(said) == target
    first, last = (sum(f" {NOUNS[i]} " in t for t in part.target) for i in (0, -1))
    assert first > 3 * last  # Zipf


# ---- examples


def test_sentences_are_joined_with_their_own_translations_in_the_same_order() -> None:
    found = joined(SMALL, [[2], [0, 1]])
    assert found == Part(("d e f .", "a b . c ."), ("D E .", "A B . C ."))


def test_a_pair_with_one_long_side_is_left_out() -> None:
    assert short(SMALL, 3) == Part(("a b .", "c ."), ("A B .", "C ."))
    assert short(Part(("a",), ("A B",)), 1) == Part((), ())


def test_words_are_numbered_by_frequency_and_the_rest_is_unknown() -> None:
    known = commonest(("b a .", "b .", "c ."), 6)
    assert known == (*data.SPECIAL, ".", "b")
    examples = numbered(Part(("b c .", "."), ("b .", "c b .")), known, known)
    assert examples.source.tolist() == [[5, UNKNOWN, 4], [4, PAD, PAD]]
    assert examples.target.tolist() == [[5, 4, END, PAD], [UNKNOWN, 5, 4, END]]
    assert examples.lengths.tolist() == [3, 1]


def test_a_source_is_turned_round_before_its_padding() -> None:
    one = Examples(
        torch.tensor([[5, 6, 7], [8, 9, PAD]]), torch.tensor([[4], [5]]), torch.tensor([3, 2])
    )
    assert turned(one).source.tolist() == [[7, 6, 5], [9, 8, PAD]]
    assert torch.equal(turned(turned(one)).source, one.source)
    assert torch.equal(turned(one).target, one.target)


def test_blind_means_another_examples_source_with_its_own_length() -> None:
    one = Examples(torch.tensor([[5, 6], [7, PAD]]), torch.tensor([[4], [5]]), torch.tensor([2, 1]))
    found = blinded(one)
    assert found.source.tolist() == [[7, PAD], [5, 6]]
    assert found.lengths.tolist() == [1, 2]
    assert torch.equal(found.target, one.target)


def test_what_is_said_ends_at_end() -> None:
    words = (*data.SPECIAL, "a", "b")
    assert spoken([4, PAD, 5, END, 4], words) == ["a", "b"]
    assert spoken([5, UNKNOWN], words) == ["b", "<unk>"]


def test_parts_stay_apart_and_tests_hold_one_two_and_three_sentences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = {
        name: Part(tuple(f"{name}{i} ." for i in range(n)), tuple(f"{name}{i} !" for i in range(n)))
        for name, n in (("train", 9), ("validation", 5), ("test", 7))
    }
    monkeypatch.setattr(data, "sentences", lambda name: Pairs(**parts))
    corpus.cache_clear()
    found = corpus("x", 30, 4, (40, 20, 6))
    corpus.cache_clear()
    assert set(found.source_words[5:]) == {f"train{i}" for i in range(9)}
    ends = found.source_words.index(".")
    counts = (found.train.source == ends).sum(1)
    assert set(counts.tolist()) == {1, 2}  # sentences of a training example
    assert found.unknown == pytest.approx(50)  # the names; ! stands in training, too
    assert list(found.tests) == [1, 2, 3]
    for k, text in found.texts.items():
        assert all(len(one.split()) == 2 * k for one in text.source)
        assert all("test" in one and "train" not in one for one in text.source)
        for source, target in zip(text.source, text.target, strict=True):
            assert source.replace(".", "!") == target
        first = [one.split()[0] for one in text.source]
        assert first == [one.split()[0] for one in found.texts[1].source]
        assert len(set(first)) == 6


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(PracticumError, match="special words alone are 4"):
        corpus("", 4, 8, (8, 8, 8))
    with pytest.raises(PracticumError, match="raise longest"):
        corpus("", 20, 8, (8, 8, 4000))
    with pytest.raises(PracticumError, match="raise longest"):
        corpus("", 20, 2, (8, 8, 8))
    with pytest.raises(PracticumError, match="the pool"):
        trial(replaced(Setup(), {**TINY, "train_size": 33}), [0], Services())


# ---- arms


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_all_networks_have_nearly_as_many_parameters(scale: str) -> None:
    found = {}
    for arm, setup in ARMS.items():
        sized = replaced(setup, {k: v for k, v in SCALES[scale].set.items() if "." not in k})
        with torch.device("meta"):
            found[arm] = parameters(build(sized, sized.known, sized.known, 40))
    assert found["blind"] == found["attention"]
    assert all(abs(one / found["attention"] - 1) < 0.02 for one in found.values())
    attention = build(ARMS["attention"], 40, 40, 40)
    assert isinstance(attention, Seq2Seq)
    assert attention.decoder.hidden == Setup().hidden  # it is its own measure


def test_the_size_that_is_nearest_is_found() -> None:
    def square(n: int) -> torch.nn.Module:
        return torch.nn.Linear(n, n, bias=False)

    assert matched(square, 49) == 7
    assert matched(square, 55) == 7
    assert matched(square, 58) == 8
    assert matched(square, 1) == 1


def test_arms_differ_only_in_their_networks_and_what_they_see_of_the_source() -> None:
    same = {"reads": "additive", "two_way": True, "reverse": False, "blind": False}
    for name, setup in ARMS.items():
        changed = replaced(setup, {**same, "network": "recurrent", "rate": Setup().rate})
        assert changed == Setup(), name
    text = text_of(replaced(Setup(), TINY))
    for setup in ARMS.values():
        shown = seen(setup, text.train, Services())
        assert torch.equal(shown.target, text.train.target)
        mine = torch.sort(shown.source, 1).values
        assert torch.equal(mine, torch.sort(text.train.source, 1).values) != setup.blind


# ---- measures


class Known(Seq2Seq):
    """Says the target; where told, each word of it is in doubt between two."""

    def __init__(self, targets: list[Tensor], doubts: list[int]) -> None:
        super().__init__(9, 9, width=2, hidden=2)
        self.targets, self.doubts = targets, doubts

    def which(self, source: Tensor) -> int:
        return [one.shape[1] for one in self.targets].index(source.shape[1] + 1)

    def forward(self, source: Tensor, *_: object) -> Tensor:
        at = self.which(source)
        logits = torch.full((*self.targets[at].shape, 9), -50.0)
        logits.scatter_(2, self.targets[at].unsqueeze(2), 0.0)
        logits[..., : self.doubts[at]] = 0.0
        return logits

    def greedy(self, source: Tensor, steps: int, *_: object) -> tuple[Tensor, Tensor]:
        said = torch.nn.functional.pad(self.targets[self.which(source)], (0, 1), value=4)
        return said[:, :steps], torch.zeros(*said.shape, source.shape[1])


def test_what_is_measured_of_a_network_that_is_known() -> None:
    words = (*data.SPECIAL, "a", "b", "c", "d", "e")
    texts = {
        1: Part((), ("a b c d e", "a b c d x")),
        2: Part((), ("a b c d e a", "e d c b a a")),
        3: Part((), ("e d c b a a d", "e d c b a a e")),
    }
    number = {word: i for i, word in enumerate(words)}
    targets = [
        torch.tensor([[*(number.get(w, UNKNOWN) for w in t.split()), END] for t in one.target])
        for one in texts.values()
    ]
    # Words are numbers from 3 on: among the numbers below the doubt each is as likely as the right.
    network = Known(targets, [0, 2, 2])
    tests = {
        k: Placed(torch.full((2, t.shape[1] - 1), 4), t, torch.tensor([t.shape[1] - 1] * 2))
        for k, t in zip(texts, targets, strict=True)
    }
    found = measures_of(network, tests, texts, words, longest=7)
    log3 = float(torch.tensor(3.0).log())  # the right one, PAD and BEGIN
    assert found["nll_by_sentences"].tolist() == pytest.approx([0, log3, log3], abs=1e-5)
    assert float(found["rise"]) == pytest.approx(log3, abs=1e-5)
    assert float(found["rise_beyond"]) == pytest.approx(0, abs=1e-5)
    assert float(found["nll"]) == pytest.approx(0, abs=1e-5)
    assert float(found["nll_beyond"]) == pytest.approx(log3, abs=1e-5)
    # One word of ten is unknown: 9/10, 7/8, 5/6, 3/4.
    expected = 100 * (9 / 10 * 7 / 8 * 5 / 6 * 3 / 4) ** 0.25
    assert found["bleu_by_sentences"].tolist() == pytest.approx([expected, 100, 100])
    assert float(found["bleu"]) == pytest.approx(expected)


@pytest.mark.parametrize("arm", ["attention", "transformer"])
def test_a_translation_is_the_likeliest_word_after_each_one(arm: str) -> None:
    torch.manual_seed(0)
    network = build(replaced(ARMS[arm], TINY), 9, 11, 30).eval()
    source, lengths = torch.tensor([[5, 6, 7], [8, 4, PAD]]), torch.tensor([3, 2])
    said, looked = translated(network, source, lengths, 4)
    assert looked.shape == (2, 4, 3)
    fed = torch.full((2, 1), BEGIN)
    ended = torch.zeros(2, dtype=torch.bool)
    with torch.no_grad():
        for i in range(4):
            best = network(source, fed, lengths)[:, -1].argmax(-1)
            assert torch.equal(best[~ended], said[~ended, i])
            ended |= best == END
            fed = torch.cat((fed, best.unsqueeze(1)), 1)


def test_a_seed_draws_its_own_examples_and_test_size_changes_no_training() -> None:
    setup = replaced(ARMS["attention"], TINY)
    few, many = (trial(replace(setup, test_size=n), [3], Services()) for n in (6, 7))
    weights = [name for name in few.weights[0] if name.startswith("network.")]
    assert all(torch.equal(few.weights[0][n], many.weights[0][n]) for n in weights)
    other = trial(setup, [4], Services())
    assert any(not torch.equal(few.weights[0][n], other.weights[0][n]) for n in weights)


def test_blind_and_attention_start_alike() -> None:
    made = [
        trial(replaced(ARMS[arm], {**TINY, "rate": 0.0}), [3], Services()).weights[0]
        for arm in ("attention", "blind")
    ]
    assert all(torch.equal(made[0][n], made[1][n]) for n in made[0] if n.startswith("network."))
