"""What a classifier is worth, against scikit-learn and against the definitions counted by hand.

Would catch: ties that are broken by position, an area that depends on prevalence, a precision of
nothing that is nan, bins that lose a confidence on their edge, a Brier score of one class only.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import sklearn.metrics as peer
from hypothesis import given
from hypothesis import strategies as st

from practicum.errors import PracticumError
from practicum.evidence.metrics import (
    accuracy,
    average_precision,
    brier,
    expected_calibration_error,
    precision_recall_curve,
    precision_recall_f1,
    reliability,
    roc_auc,
    roc_curve,
)

# Few different scores: most examples are tied with others.
EXAMPLES = st.lists(st.tuples(st.sampled_from([-2.0, 0.0, 0.5, 3.0]), st.booleans()), min_size=1)


def arrays(examples: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    scores, truth = zip(*examples, strict=True)
    return np.array(scores), np.array(truth)


def quietly(function, *arguments, **named):  # type: ignore[no-untyped-def]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns where a class is missing
        return function(*arguments, **named)


@given(EXAMPLES)
def test_every_measure_of_a_ranking_is_scikit_learns(examples: list[tuple[float, bool]]) -> None:
    scores, truth = arrays(examples)
    if truth.any() and not truth.all():
        assert roc_auc(scores, truth) == pytest.approx(peer.roc_auc_score(truth, scores))
        false, true, _ = peer.roc_curve(truth, scores, drop_intermediate=False)
        np.testing.assert_allclose(roc_curve(scores, truth), (false, true))
    else:
        assert np.isnan(roc_auc(scores, truth))
    expected = quietly(peer.average_precision_score, truth, scores)
    assert average_precision(scores, truth) == pytest.approx(expected)
    if truth.any():
        precision, recall, _ = peer.precision_recall_curve(truth, scores)
        ours = precision_recall_curve(scores, truth)
        np.testing.assert_allclose(ours, (precision[-2::-1], recall[-2::-1]))


@given(EXAMPLES)
def test_every_measure_at_a_threshold_is_scikit_learns(examples: list[tuple[float, bool]]) -> None:
    scores, truth = arrays(examples)
    answers = scores > 0
    expected = peer.precision_recall_fscore_support(
        truth, answers, average="binary", zero_division=0
    )[:3]
    assert precision_recall_f1(answers, truth) == pytest.approx(expected)
    assert accuracy(answers, truth) == pytest.approx(peer.accuracy_score(truth, answers))


def pairwise_area(scores: np.ndarray, truth: np.ndarray, tie: float) -> float:
    pairs = list(itertools.product(scores[truth], scores[~truth]))
    return sum(1.0 if p > n else tie if p == n else 0.0 for p, n in pairs) / len(pairs)


def test_the_area_is_the_chance_that_a_positive_is_ranked_above_a_negative() -> None:
    random = np.random.default_rng(0)
    truth = random.random(60) < 0.3
    scores = np.round(random.normal(size=60) + truth)
    assert roc_auc(scores, truth) == pytest.approx(pairwise_area(scores, truth, 0.5))
    # Breaking ties for or against the positives is another number, and is not what is computed.
    for broken in (0.0, 1.0):
        assert abs(roc_auc(scores, truth) - pairwise_area(scores, truth, broken)) > 0.02


def test_a_classifier_that_always_says_no_is_seen_through_by_all_but_accuracy() -> None:
    truth = np.arange(100) < 5
    scores = np.zeros(100)
    assert accuracy(scores > 0, truth) == 0.95
    assert precision_recall_f1(scores > 0, truth) == (0.0, 0.0, 0.0)
    assert roc_auc(scores, truth) == 0.5
    assert average_precision(scores, truth) == pytest.approx(0.05)


def test_repeating_the_negatives_changes_precision_and_not_the_area() -> None:
    random = np.random.default_rng(1)
    truth = random.random(200) < 0.5
    scores = random.normal(size=200) + 1.5 * truth
    often = np.concatenate([np.flatnonzero(truth), *[np.flatnonzero(~truth)] * 9])
    assert roc_auc(scores[often], truth[often]) == pytest.approx(roc_auc(scores, truth))
    few, many = (
        precision_recall_f1(scores[rows] > 0.75, truth[rows]) for rows in (often, slice(None))
    )
    assert few[1] == many[1]
    assert few[0] < many[0] - 0.2
    assert few[2] < many[2] - 0.2


def naive_calibration(probabilities: np.ndarray, truth: np.ndarray, bins: int) -> float:
    total = 0.0
    for m in range(1, bins + 1):
        low, high = (m - 1) / bins, m / bins
        inside = [
            (row.max(), row.argmax() == y)
            for row, y in zip(probabilities, truth, strict=True)
            if low < row.max() <= high
        ]
        if inside:
            confidence = sum(p for p, _ in inside) / len(inside)
            hits = sum(right for _, right in inside) / len(inside)
            total += len(inside) / len(truth) * abs(hits - confidence)
    return total


@pytest.mark.parametrize(("n", "classes", "bins"), [(200, 3, 15), (37, 10, 4), (5, 2, 1)])
def test_the_calibration_error_is_that_of_the_definition(n: int, classes: int, bins: int) -> None:
    random = np.random.default_rng(n)
    probabilities = random.dirichlet(np.ones(classes), size=n)
    truth = random.integers(classes, size=n)
    found = expected_calibration_error(probabilities, truth, bins)
    assert found == pytest.approx(naive_calibration(probabilities, truth, bins))
    assert reliability(probabilities, truth, bins).count.sum() == n


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it() -> None:
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0], [0.75, 0.25], [0.76, 0.24]])
    found = reliability(probabilities, np.zeros(4, int), 4)
    assert found.count.tolist() == [0, 1, 1, 2]
    with pytest.raises(PracticumError, match="at least one bin"):
        reliability(probabilities, np.zeros(4, int), 0)


def test_probabilities_that_are_frequencies_are_calibrated() -> None:
    probabilities = np.tile([0.7, 0.3], (10, 1))
    truth = np.array([0] * 7 + [1] * 3)
    assert expected_calibration_error(probabilities, truth) == pytest.approx(0.0)
    # Signed gaps that cancel between bins must not: over-confident here, under-confident there.
    mixed = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    truth = np.array(([0] * 8 + [1] * 2) + ([0] * 7 + [1] * 3))
    assert expected_calibration_error(mixed, truth) == pytest.approx(0.1)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_brier_score_is_the_squared_distance_from_the_truth(classes: int) -> None:
    random = np.random.default_rng(classes)
    probabilities = random.dirichlet(np.ones(classes), size=40)
    truth = random.integers(classes, size=40)
    by_hand = sum(
        (probabilities[i, k] - (truth[i] == k)) ** 2 for i in range(40) for k in range(classes)
    )
    assert brier(probabilities, truth) == pytest.approx(by_hand / 40)
    if classes == 2:  # scikit-learn looks at one of two classes, and gets half
        ours = brier(probabilities, truth) / 2
        assert ours == pytest.approx(peer.brier_score_loss(truth, probabilities[:, 1]))
