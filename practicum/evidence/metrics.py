"""How good are the answers of a classifier: counts at a threshold, ranking, and probabilities.

Three questions, three families. None of them sees what another one sees:
    at a threshold      accuracy, precision, recall, F1
    the ranking         ROC curve and its area, precision over recall and its average
    the probabilities   expected calibration error, Brier score

Sources:
    van Rijsbergen, "Information retrieval", Butterworths 1979: F (here with equal weights).
    Hanley, McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC)
    curve", Radiology 143 (1982) 29-36: the area is the Wilcoxon-Mann-Whitney statistic.
    Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006) 861-874: ties.
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", arXiv:1706.04599v2.
    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78
    (1950) 1-3.

Equations (TP, FP, FN, TN counts of right and wrong yes and no):
    precision = TP / (TP + FP)      recall = TP / (TP + FN)                     (1)
    F1 = 2 TP / (2 TP + FP + FN), their harmonic mean                           (2)
    AUC = P(s+ > s-) + P(s+ = s-) / 2, a positive and a negative at random      (3)
    AP = sum over thresholds t of (R_t - R_t-1) P_t                             (4)
    ECE = sum over bins m of |B_m| / n * |acc(B_m) - conf(B_m)|                 (5)
    Brier = mean over examples of sum over classes k of (p_k - [y = k])^2       (6)

Shapes: n examples, K classes, T thresholds, M bins.

Deviation: a share of nothing is 0 (precision without a yes, F1 without positives), as scikit-learn
counts it; an area without both classes is nan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from practicum.errors import PracticumError

Array = np.ndarray


def accuracy(answers: Shaped[Array, "n"], truth: Shaped[Array, "n"]) -> float:
    """Return the share of answers that are right."""
    return float(np.mean(answers == truth))


def precision_recall_f1(
    answers: Bool[Array, "n"], truth: Bool[Array, "n"]
) -> tuple[float, float, float]:
    """Return precision, recall and F1 of yes-or-no answers."""
    hits = int(np.sum(answers & truth))
    said, there = int(answers.sum()), int(truth.sum())
    return _share(hits, said), _share(hits, there), _share(2 * hits, said + there)  # Eq. (1), (2)


def roc_curve(
    scores: Float[Array, "n"], truth: Bool[Array, "n"]
) -> tuple[Float[Array, "T"], Float[Array, "T"]]:
    """Return the false and the true positive rates from "no to all" to "yes to all".

    Examples with equal scores change sides together, so each different score gives one point.
    A rate among no examples is nan.
    """
    yes, said = _accepted(scores, truth)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    no = np.full(len(yes), np.nan)
    false = (said - yes) / negatives if negatives else no
    return false, yes / positives if positives else no


def roc_auc(scores: Float[Array, "n"], truth: Bool[Array, "n"]) -> float:
    """Return the area under the ROC curve; nan unless there are positives and negatives."""
    false, true = roc_curve(scores, truth)
    # Straight lines between the points count ties one half: Eq. (3).
    return float(np.trapezoid(true, false))


def precision_recall_curve(
    scores: Float[Array, "n"], truth: Bool[Array, "n"]
) -> tuple[Float[Array, "T"], Float[Array, "T"]]:
    """Return precision and recall from the strictest threshold that accepts any to "yes to all"."""
    yes, said = (counts[1:] for counts in _accepted(scores, truth))
    positives = int(truth.sum())
    return yes / said, yes / positives if positives else np.zeros(len(yes))


def average_precision(scores: Float[Array, "n"], truth: Bool[Array, "n"]) -> float:
    """Return the mean of the precisions at which the recall rises; 0 without positives."""
    precision, recall = precision_recall_curve(scores, truth)
    return float(np.diff(recall, prepend=0.0) @ precision)  # Eq. (4)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Confidences sorted into bins of equal width, as sums, so that several can be added.

    Attributes:
        count: [M] examples of each bin.
        right: [M] right answers among them.
        confidence: [M] the sum of their confidences.
    """

    count: Float[Array, "M"]
    right: Float[Array, "M"]
    confidence: Float[Array, "M"]

    @property
    def error(self) -> float:
        """The expected calibration error, Eq. (5)."""
        return float(np.abs(self.right - self.confidence).sum() / self.count.sum())


def reliability(
    probabilities: Float[Array, "n K"], truth: Int[Array, "n"], bins: int = 15
) -> Reliability:
    """Sort examples by the probability of their answer; bin m holds ((m - 1) / M, m / M].

    Raises:
        PracticumError: fewer than one bin.
    """
    if bins < 1:
        raise PracticumError(f"a reliability diagram needs at least one bin, not {bins}")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    edges = np.linspace(0.0, 1.0, bins + 1)
    bin_of = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count, hits, total = (
        np.bincount(bin_of, weights=one, minlength=bins)
        for one in (np.ones(len(right)), right, confidence)
    )
    return Reliability(count=count, right=hits, confidence=total)


def expected_calibration_error(
    probabilities: Float[Array, "n K"], truth: Int[Array, "n"], bins: int = 15
) -> float:
    """Return by how much confidence and accuracy differ in a bin, on average."""
    return reliability(probabilities, truth, bins).error


def brier(probabilities: Float[Array, "n K"], truth: Int[Array, "n"]) -> float:
    """Return the mean squared distance of the probabilities from the truth, 0 to 2."""
    wanted = np.eye(probabilities.shape[1])[truth]
    return float(np.mean(np.sum((probabilities - wanted) ** 2, axis=1)))  # Eq. (6)


def _accepted(
    scores: Float[Array, "n"], truth: Bool[Array, "n"]
) -> tuple[Float[Array, "T"], Float[Array, "T"]]:
    """Count the positives, and all examples, above each threshold, from above the highest score."""
    values, level = np.unique(-scores, return_inverse=True)  # the highest score first
    positives, everything = (
        np.cumsum(np.bincount(level, weights=one, minlength=len(values)))
        for one in (truth, np.ones(len(truth)))
    )
    return np.concatenate([[0.0], positives]), np.concatenate([[0.0], everything])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
