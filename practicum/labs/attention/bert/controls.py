"""What the lab `bert` is compared with that no gradient teaches words: counts, and the majority."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.data.sentences import Labelled, load_sentences
from practicum.labs.attention.bert.learning import labelled
from practicum.labs.attention.bert.words import Corpus

if TYPE_CHECKING:
    from practicum.labs.attention.bert.experiment import Setup

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Inverse strengths of the penalty that validation chooses from."""


def majority(classes: Int[Tensor, "n"], held_out: Int[Tensor, "m"]) -> float:
    """Return the percentage of held-out sentences in the commonest class of the labelled ones."""
    return 100 * float((held_out == classes.bincount().argmax()).double().mean())


def bag_of_words(train: Labelled, validation: Labelled, test: Labelled) -> tuple[float, float]:
    """Return test and validation accuracy of logistic regression on which words there are.

    It reads whole sentences, and knows every word of the training sentences. The penalty is the
    one with the highest validation accuracy; the stronger one of equals.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    if len(set(train.classes)) == 1:  # nothing to tell apart
        classes = [torch.tensor(part.classes) for part in (train, test, validation)]
        return majority(classes[0], classes[1]), majority(classes[0], classes[2])
    counter = CountVectorizer(binary=True, tokenizer=str.split, token_pattern=None)
    x = counter.fit_transform(train.sentences)
    held = [counter.transform(part.sentences) for part in (test, validation)]
    best = (-1.0, -1.0)
    for strength in STRENGTHS:
        model: Any = LogisticRegression(C=strength, max_iter=1000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a weak penalty may stop early, and then is not chosen
            model.fit(x, train.classes)
        mine, chosen_by = (
            100 * float(np.mean(model.predict(words) == np.array(part.classes)))
            for words, part in zip(held, (test, validation), strict=True)
        )
        if chosen_by > best[1]:
            best = (mine, chosen_by)
    return best


def control(setup: Setup, text: Corpus, seed: int) -> Float[Tensor, "2 labels"]:
    """Return a seed's test and validation accuracy, by number of labels."""
    found = load_sentences(setup.data)
    parts = [cut(part, setup.most) for part in (found.train, found.validation, found.test)]
    each = []
    for labels in setup.labels:
        rows = labelled(text, labels, seed, setup.data)
        if setup.method == "majority":
            classes = text.train[1][rows]
            each.append([majority(classes, part[1]) for part in (text.test, text.validation)])
        else:
            mine = Labelled(
                tuple(parts[0].sentences[i] for i in rows.tolist()),
                tuple(parts[0].classes[i] for i in rows.tolist()),
            )
            each.append([*bag_of_words(mine, parts[1], parts[2])])
    return torch.tensor(each).T


def cut(part: Labelled, most: int | None) -> Labelled:
    """Return the first sentences of a part."""
    return Labelled(part.sentences[:most], part.classes[:most])
