"""The lab `bert`: would catch arms with another start or other labelled sentences, an encoder that
is not handed on, pretraining that reads held-out sentences or labels, a left-to-right arm that
sees ahead, shuffling that changes words, a control tuned on test sentences, and blanks that show
their answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from practicum.data.sentences import Labelled, load_sentences
from practicum.engine.noise import GlobalNoise
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, train
from practicum.errors import PracticumError
from practicum.labs.attention.bert import controls, experiment, learning, measuring
from practicum.labs.attention.bert.controls import bag_of_words, majority
from practicum.labs.attention.bert.experiment import ARMS, SCALES, Setup, trial
from practicum.labs.attention.bert.learning import config_of, labelled, next_word_loss
from practicum.labs.attention.bert.measuring import blanks, looked_at, measures
from practicum.labs.attention.bert.networks import Classifier, Guesser, attention
from practicum.labs.attention.bert.words import (
    BEGIN,
    MASK,
    PADDING,
    SPECIAL,
    UNKNOWN,
    Corpus,
    corpus,
    encode,
    shuffled,
)
from practicum.labs.lab import load, replaced, setups_at

LAB = load(experiment.__name__)
TINY = dict(SCALES["smoke"].set)
V, T = 12, 6
CONFIG = config_of(Setup(width=8, layers=2, heads=2, length=T), V, 0.0)
SENTENCES = torch.tensor([
    [BEGIN, 4, 5, 6, 7, 8],
    [BEGIN, 9, 10, UNKNOWN, PADDING, PADDING],
])  # fmt: skip


def trained(arm: str, **changes: object) -> list[dict[str, Tensor]]:
    """Return the weights of two seeds of an arm at smoke."""
    return [
        dict(one) for one in trial(replaced(ARMS[arm], TINY | changes), [0, 1], Services()).weights
    ]


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_the_arms_differ_in_what_they_learn_first_and_in_their_rates_only(scale: str) -> None:
    setups = setups_at(LAB, SCALES[scale], {})
    for arm, setup in setups.items():
        own = {name: getattr(setup, name) for name in ("method", "shuffle", "rate", "tune_rate")}
        assert replaced(setups["masked"], own) == setup, arm


def test_every_network_begins_with_the_same_encoder_and_hands_it_on() -> None:
    torch.manual_seed(5)
    guesser = Guesser(CONFIG, causal=False)
    torch.manual_seed(5)
    classifier = Classifier(CONFIG, 3, causal=True)
    ours, handed = classifier.state_dict(), learning.encoder(guesser)

    assert set(ours) - set(handed) == {"head.weight", "head.bias"}
    assert set(handed) <= set(ours)
    assert all(torch.equal(ours[name], handed[name]) for name in handed)


def test_what_was_pretrained_is_where_the_classes_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[int, Tensor] = {}

    def looking(recipe: Recipe, seeds: Sequence[int], services: Services) -> Trained:
        assert recipe.initial is not None
        for seed in seeds:
            seen[seed] = recipe.initial(seed)["network"]["bert.words.weight"]
        return train(recipe, seeds, services)

    monkeypatch.setattr(learning, "train", looking)
    still = trained("masked", tune_rate=1e-30, decay=0.0)
    for seed in (0, 1):
        assert torch.equal(still[seed]["network.bert.words.weight"], seen[seed])
    monkeypatch.undo()
    scratch = trained("scratch", tune_rate=1e-30, decay=0.0)
    assert not torch.allclose(scratch[0]["network.bert.words.weight"], seen[0])


def test_the_weights_begin_as_large_for_their_width_as_the_published_ones() -> None:
    torch.manual_seed(0)
    network = Guesser(config_of(Setup(width=48, length=T), 400, 0.0), causal=False).bert
    weights = {name: one.detach() for name, one in network.named_parameters()}
    for name in ("words.weight", "layers.0.inner.weight"):
        assert float(weights[name].std()) == pytest.approx(0.02 * math.sqrt(768 / 48), rel=0.05)
    assert float(weights["layers.0.last.weight"].min()) == 1.0  # LayerNorm is left as it is


def test_left_to_right_sees_nothing_ahead_and_both_sides_do() -> None:
    torch.manual_seed(1)
    for causal in (True, False):
        network = Guesser(CONFIG, causal=causal).eval()
        changed = SENTENCES.clone()
        changed[0, 4] = 11
        same = torch.isclose(network(SENTENCES), network(changed), atol=1e-6).all(-1)[0]
        assert same[:4].all() == causal
        assert not same[4:].any()


def test_the_logits_of_some_places_are_those_of_all() -> None:
    torch.manual_seed(1)
    places = torch.tensor([7, 3, 8])
    for causal in (True, False):
        network = Guesser(CONFIG, causal=causal).eval()
        all_of_them = network(SENTENCES)
        some = network(SENTENCES, places=places)
        assert torch.allclose(some, all_of_them[[1, 0, 1], [1, 3, 2]], atol=1e-6)


def test_a_class_does_not_depend_on_padding() -> None:
    torch.manual_seed(1)
    for causal in (True, False):
        network = Classifier(CONFIG, 3, causal=causal).eval()
        alone = network(SENTENCES[1:, :4])
        assert torch.allclose(network(SENTENCES)[1:], alone, atol=1e-6)


def test_the_next_word_loss_is_the_mean_over_words_that_are_not_special() -> None:
    torch.manual_seed(2)
    network = Guesser(CONFIG, causal=True).eval()
    logits = network(SENTENCES).log_softmax(-1).detach()
    each = [
        -float(logits[row, t - 1, SENTENCES[row, t]])
        for row, t in ((0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 1), (1, 2))
    ]
    found = next_word_loss(network, (SENTENCES,), GlobalNoise()).detach()
    assert float(found) == pytest.approx(sum(each) / 7, rel=1e-5)


def test_attention_is_what_the_network_computes() -> None:
    torch.manual_seed(3)
    for causal in (True, False):
        guesser = Guesser(CONFIG, causal=causal).eval()
        maps = attention(guesser.bert, SENTENCES[0], causal=causal)
        assert maps.shape == (2, 2, T, T)
        assert torch.allclose(maps.sum(-1), torch.ones(2, 2, T))
        assert (maps.triu(1) == 0).all() == causal
        layer = guesser.bert.layers[0]
        seen: dict[str, Tensor] = {}
        handle = layer.register_forward_hook(partial(remember, seen))
        guesser(SENTENCES[:1])
        handle.remove()
        x = seen["in"]
        does = {name: one for name, one in layer.named_children()}
        mixed = [maps[0, head] @ does["value"](x)[:, 4 * head : 4 * head + 4] for head in (0, 1)]
        y = does["norm"](x + does["joined"](torch.cat(mixed, -1)))
        y = does["last"](y + does["outer"](F.gelu(does["inner"](y))))
        assert torch.allclose(seen["out"], y, atol=1e-5)


def remember(seen: dict[str, Tensor], _: object, given: tuple[Tensor, ...], out: Tensor) -> None:
    """Keep what a layer read and gave for the first sentence."""
    seen.update({"in": given[0][0], "out": out[0]})


def test_sentences_are_cut_and_padded_and_rare_words_unknown() -> None:
    words = (*SPECIAL, "a", "b")
    found = encode(["a c b", "b", "a b a b a"], words, 4)
    assert found.tolist() == [[2, 4, 3, 5], [2, 5, 0, 0], [2, 4, 5, 4]]


def test_shuffling_moves_words_and_nothing_else() -> None:
    text = corpus("pydoc", 600, 24).text
    mixed = shuffled(text)
    assert torch.equal(mixed[:, 0], text[:, 0])
    assert torch.equal(mixed == PADDING, text == PADDING)
    assert torch.equal(mixed.sort(1).values, text.sort(1).values)
    assert (mixed != text).float().mean() > 0.5
    assert torch.equal(mixed, shuffled(text))


def test_no_held_out_sentence_is_read_in_pretraining() -> None:
    found = load_sentences("pydoc")
    read = {*found.train.sentences, *found.further}
    assert not read & {*found.validation.sentences, *found.test.sentences}
    assert len(corpus("pydoc", 600, 24).text) == len(read)


def test_few_labels_are_among_many_and_the_same_in_all_arms() -> None:
    text = corpus("pydoc", 600, 24)
    few, many = (labelled(text, n, 3, "pydoc") for n in (20, 300))
    assert torch.equal(few, many[:20])
    assert len(set(many.tolist())) == 300
    with pytest.raises(PracticumError, match="pydoc"):
        labelled(text, 10**5, 3, "pydoc")


def test_the_test_sentences_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {
        arm: trial(replaced(ARMS[arm], TINY), [4], Services()) for arm in ("masked", "scratch")
    }
    real = corpus("pydoc", 40, 8, 40)
    tokens, classes = real.test
    monkeypatch.setattr(
        experiment,
        "corpus",
        lambda *_: replaced_test(real, (tokens, (classes + 1) % 4)),
    )
    for arm, one in before.items():
        after = trial(replaced(ARMS[arm], TINY), [4], Services())
        for name, tensor in one.weights[0].items():
            assert torch.equal(tensor, after.weights[0][name])
        assert torch.equal(one.values["validation_accuracy"], after.values["validation_accuracy"])


def replaced_test(real: Corpus, test: tuple[Tensor, Tensor]) -> Corpus:
    """Return the corpus with another test part."""
    return Corpus(
        vocabulary=real.vocabulary,
        text=real.text,
        train=real.train,
        validation=real.validation,
        test=test,
        classes=real.classes,
    )


def test_the_majority_is_of_the_labelled_and_measured_on_the_others() -> None:
    assert majority(torch.tensor([2, 1, 2]), torch.tensor([2, 1, 1, 1])) == 25.0


def test_counting_words_learns_what_words_tell_and_validation_chooses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = Labelled(("good film", "good", "bad film", "bad"), (1, 1, 0, 0))
    held = Labelled(("a good one", "a bad one"), (1, 0))
    assert bag_of_words(train, held, held) == (100.0, 100.0)
    wrong = Labelled(held.sentences, (0, 1))
    assert bag_of_words(train, held, wrong)[0] == 0.0
    assert bag_of_words(train, wrong, held) == (100.0, 0.0)  # validation does not fit or flip it
    one = Labelled(("good", "fine"), (1, 1))
    assert bag_of_words(one, held, held) == (50.0, 50.0)

    # Of two strengths the one that validation prefers is taken, whatever the test says.
    noisy = Labelled(("x y", "x", "y z", "z z w", "x w"), (1, 1, 0, 0, 1))
    chooses = Labelled(("z", "x", "w"), (0, 1, 1))
    alone = {}
    for strength in (1e-6, 10.0):
        monkeypatch.setattr(controls, "STRENGTHS", (strength,))
        alone[strength] = bag_of_words(noisy, chooses, held)
    monkeypatch.setattr(controls, "STRENGTHS", (1e-6, 10.0))
    assert alone[1e-6][1] < alone[10.0][1]
    assert bag_of_words(noisy, chooses, held) == alone[10.0]


def test_the_measures_are_read_off_the_accuracies() -> None:
    found = torch.tensor([[[50.0, 60.0, 75.0]], [[51.0, 62.0, 73.0]]])
    got = measures(Setup(labels=(20, 60, 300), few=60), found)
    assert [float(got[name][0]) for name in ("accuracy_few", "accuracy_many", "worth")] == [
        60.0,
        75.0,
        15.0,
    ]
    assert got["validation_accuracy"].tolist() == [[51.0, 62.0, 73.0]]


def test_a_blank_does_not_show_its_answer() -> None:
    text = corpus("pydoc", 600, 24)
    tokens, at = blanks(text)
    assert all(tokens[i, place] >= len(SPECIAL) for i, place in enumerate(at.tolist()))
    changed = tokens.clone()
    changed[torch.arange(len(tokens)), at] = len(SPECIAL)

    class Other:
        vocabulary, test = text.vocabulary, (changed, text.test[1])

    torch.manual_seed(1)
    config = config_of(Setup(), len(text.vocabulary), 0.0)
    for causal in (True, False):
        guesser = Guesser(config, causal=causal)
        own = looked_at(guesser, text)["guesses"]
        assert own.shape == (6, measuring.BEST)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(measuring, "blanks", lambda _, places=at: (changed, places))
            assert torch.equal(own, looked_at(guesser, Other())["guesses"])  # type: ignore[arg-type]
        assert int(own.min()) > max(MASK, UNKNOWN)


def test_settings_that_cannot_be_are_refused() -> None:
    for change in ({"few": 21}, {"labels": (60, 20)}, {"labels": (0, 60)}):
        with pytest.raises(PracticumError, match="labels"):
            trial(replaced(Setup(), change), [0], Services())
