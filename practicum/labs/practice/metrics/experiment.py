"""What accuracy hides, what a confidence is worth, and what the error is made of.

Question
    Which numbers see through a useless classifier when one class is rare, and which of them change
    when only the share of the rare class in the test changes? Is a network that has learnt its
    images by heart as sure as it should be, and does one number correct that? Does squared error
    split into bias, variance and noise, and how do the parts move with the size of the model?

What would refute it
    The classifier that always says no has the lower accuracy, or F1, the area under the ROC curve
    or average precision do not tell it from a useful one. The area changes by 0.02 or more between
    test sets with half and with a hundredth of positives, or precision and F1 change by less than
    0.2. Temperature scaling leaves the calibration error where it was, or changes an answer. The
    parts differ from the measured error by 2 % or more, or do not move in order with the degree.

Arms and what is held equal
    never           control: says no to every image
    coin            control: scores drawn at random; says yes to half of the images
    plain           linear classifier, cross-entropy
    weighted        the same, both classes weighted alike though one is rare: the useful one
    weighted half, weighted rare
                    the very same classifiers as weighted, tested on other shares of positives
    raw             a network with one hidden layer, trained on few images until it knows them
    scaled          its logits divided by a temperature fitted on validation images
    fitted on training
                    control: the temperature fitted on the images it was trained on
    degree 1, 3, 5, 9
                    polynomials fitted by least squares to noisy points of a known curve
    At one seed, the first six arms learn from the same images with the same updates and starting
    weights, and are tested on images of which only the mixture differs; raw, scaled and fitted on
    training are one network; the degrees see the same training sets. Nothing is tuned between arms
    that are compared: rate, updates, number of images and where training points lie were settled on
    training images held out for it, with seeds that no run uses by default (1000, 1001); for the
    full scale that was after a first run at the quick scale. After that run, a temperature whose
    likelihood is flat to rounding was made to be the lowest allowed. No claim was changed.

Primary measure
    accuracy, percent of test images answered rightly, and what the other measures say beside it.

Smallest effect that matters
    0.2 in F1, area, average precision and precision; 1 point of calibration error; 2 % of the
    squared error.

Pitfalls of naive reproductions
    Accuracy without the accuracy of a constant answer beside it. Comparing precision, F1 or average
    precision between test sets with different shares of positives. A temperature fitted on training
    images, all of which are answered rightly, or on the test images themselves. The estimated
    calibration error is too large when bins hold few images: it is compared between answers
    to the same images, and is never 0. Measuring the error on the training sets that the parts were
    computed from, which makes the sum an identity that cannot fail. Training points that fall
    anywhere: then a model that is too small varies with where they fell, so that its variance may
    exceed that of a larger one, and a polynomial of high degree runs away where points are lacking;
    here every part of the interval has its point. A test set that is drawn once holds few
    positives: each measure is the mean over several draws from the test images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, equivalent, exact, higher, lower, ordered
from practicum.labs import figures as draw
from practicum.labs.lab import Scale, setting
from practicum.labs.practice.metrics import calibration, detection, drawing, tradeoff

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Accuracy hides a useless classifier, and a network is too sure of itself"
SOURCE = (
    "Fawcett 2006, An introduction to ROC analysis, Pattern Recognition Letters 27:861-874; Guo, "
    "Pleiss, Sun, Weinberger 2017, On calibration of modern neural networks, arXiv:1706.04599v2; "
    "Geman, Bienenstock, Doursat 1992, Neural networks and the bias/variance dilemma, Neural "
    "Computation 4:1-58"
)
YEAR = 2017
DATA = ("digits", "mnist", "fashion-mnist")

DETECTORS = ("never", "coin", "plain", "weighted")
DEGREES = ("degree 1", "degree 3", "degree 5", "degree 9")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: what answers, and what it is asked."""

    data: str = setting("digits", "data set of the images; the polynomials use none")
    classifier: str = setting(
        "network",
        "what answers",
        choices=("never", "coin", "plain", "weighted", "network", "polynomial"),
    )
    positive: int = setting(8, "the class to find among all others", low=0)
    share: float = setting(0.05, "share of positives in training", low=0.001, high=0.5)
    test_share: float = setting(0.05, "share of positives in the test", low=0.001, high=0.9)
    draws: int = setting(40, "test sets drawn and averaged", low=1)
    images: int = setting(300, "training images", unit="images", low=10)
    temperature: str = setting(
        "none", "images that choose the temperature", choices=("none", "validation", "training")
    )
    validation_images: int = setting(400, "images that may choose it", unit="images", low=10)
    hidden: int = setting(256, "hidden units of the network", unit="units", low=1)
    bins: int = setting(15, "bins of the reliability diagram", paper=15, low=1)
    rate: float = setting(0.1, "learning rate", low=1e-6)
    momentum: float = setting(0.9, "heavy-ball momentum", low=0, high=0.999)
    batch_size: int = setting(50, "images an update", unit="images", low=1)
    steps: int = setting(100, "updates", unit="updates", low=1)
    degree: int = setting(1, "degree of the polynomial", low=0)
    sets: int = setting(1000, "training sets that are split, and as many for the error", low=2)
    points: int = setting(30, "points in a training set", unit="points", low=2)
    design: str = setting(
        "even", "where training points lie: one in each part, or anywhere", choices=("even", "any")
    )
    noise: float = setting(0.3, "deviation of the noise in a point", low=0)


ARMS = {
    "never": Setup(classifier="never"),
    "coin": Setup(classifier="coin"),
    "plain": Setup(classifier="plain"),
    "weighted": Setup(classifier="weighted"),
    "weighted half": Setup(classifier="weighted", test_share=0.5),
    "weighted rare": Setup(classifier="weighted", test_share=0.01),
    "raw": Setup(images=60, steps=1000),
    "scaled": Setup(images=60, steps=1000, temperature="validation"),
    "fitted on training": Setup(images=60, steps=1000, temperature="training"),
    "degree 1": Setup(classifier="polynomial", degree=1),
    "degree 3": Setup(classifier="polynomial", degree=3),
    "degree 5": Setup(classifier="polynomial", degree=5),
    "degree 9": Setup(classifier="polynomial", degree=9),
}

MEASURES = (
    Measure("accuracy", unit="%", better="higher", says="test images answered rightly"),
    Measure("precision", better="higher", says="share of positives among those said to be"),
    Measure("recall", better="higher", says="share of the positives that are found"),
    Measure("f1", better="higher", says="harmonic mean of precision and recall"),
    Measure("auc", better="higher", says="chance that a positive outscores a negative"),
    Measure("average_precision", better="higher", says="mean precision at which recall rises"),
    Measure(
        "calibration_error",
        unit="%",
        better="lower",
        says="expected calibration error: accuracy and confidence differ by it in a bin",
    ),
    Measure("brier", better="lower", says="squared distance of the probabilities from the truth"),
    Measure("nll", unit="nats", better="lower", says="negative log-likelihood of the classes"),
    Measure("temperature", better="neither", says="what the logits were divided by"),
    Measure("changed_answers", unit="images", better="lower", says="answers changed by scaling"),
    Measure("bias", better="lower", says="square of the mean fit's distance from the truth"),
    Measure("variance", better="lower", says="of the fits over training sets"),
    Measure("noise", better="neither", says="variance of the noise in a test point"),
    Measure("squared_error", better="lower", says="on new points, after other training sets"),
    Measure("gap", unit="%", better="neither", says="sum of the parts against the squared error"),
    Measure("roc", better="higher", says="true positive rate over the false positive rate"),
    Measure("pr", better="higher", says="precision over recall"),
    Measure("bin_share", better="neither", says="share of the images in each bin of confidence"),
    Measure("bin_right", better="neither", says="share that is there and answered rightly"),
    Measure("bin_confidence", better="neither", says="summed confidence there, over all images"),
)

CLAIMS = (
    higher(
        "accuracy",
        "never",
        than="weighted",
        matters=1.0,
        sentence="Saying no to every image has the higher accuracy of the two.",
    ),
    higher(
        "f1",
        "weighted",
        than="never",
        by=0.2,
        sentence="F1 tells the useful classifier from the one that always says no (by 0.2).",
    ),
    higher(
        "auc",
        "weighted",
        than="never",
        by=0.2,
        sentence="The area under the ROC curve tells them apart (by 0.2).",
    ),
    higher(
        "average_precision",
        "weighted",
        than="never",
        by=0.2,
        sentence="Average precision tells them apart (by 0.2).",
    ),
    equivalent(
        "auc",
        "weighted rare",
        to="weighted half",
        within=0.02,
        sentence="The area is the same whether half or a hundredth of the test images are positive "
        "(within 0.02).",
    ),
    lower(
        "precision",
        "weighted rare",
        than="weighted half",
        by=0.2,
        sentence="The precision of the same classifier is lower where positives are rare (by 0.2).",
    ),
    lower(
        "f1",
        "weighted rare",
        than="weighted half",
        by=0.2,
        sentence="Its F1 is lower where positives are rare (by 0.2).",
    ),
    lower(
        "calibration_error",
        "scaled",
        than="raw",
        matters=1.0,
        sentence="A temperature fitted on validation images lowers the calibration error of the "
        "network.",
    ),
    exact(
        "changed_answers",
        "scaled",
        value=0.0,
        sentence="Temperature scaling changes no answer, so that accuracy is exactly the same.",
    ),
    higher(
        "calibration_error",
        "fitted on training",
        than="raw",
        matters=1.0,
        sentence="A temperature fitted on the training images raises the calibration error.",
    ),
    ordered(
        "bias",
        falling=DEGREES,
        sentence="Squared bias falls from each degree to the next.",
    ),
    ordered(
        "variance",
        rising=DEGREES,
        sentence="Variance rises from each degree to the next.",
    ),
    equivalent(
        "gap",
        "degree 1",
        to=0.0,
        within=2.0,
        sentence="Bias, variance and noise add up to the error at degree 1 (within 2 %).",
    ),
    equivalent(
        "gap",
        "degree 3",
        to=0.0,
        within=2.0,
        sentence="Bias, variance and noise add up to the error at degree 3 (within 2 %).",
    ),
    equivalent(
        "gap",
        "degree 5",
        to=0.0,
        within=2.0,
        sentence="Bias, variance and noise add up to the error at degree 5 (within 2 %).",
    ),
    equivalent(
        "gap",
        "degree 9",
        to=0.0,
        within=2.0,
        sentence="Bias, variance and noise add up to the error at degree 9 (within 2 %).",
    ),
)

_LEARNT = ("plain", "weighted", "weighted half", "weighted rare")
_MNIST = {
    "images": 5000,
    **{f"{arm}.rate": 0.02 for arm in _LEARNT},  # ten times as many pixels as the small digits
    **{f"{arm}.steps": 400 for arm in _LEARNT},
    **{f"{arm}.images": 500 for arm in ("raw", "scaled", "fitted on training")},
    "validation_images": 2000,
}
SCALES = {
    "smoke": Scale(seeds=2, set={"steps": 20, "draws": 2, "sets": 50, "hidden": 16}),
    "quick": Scale(seeds=20),
    "full": Scale(seeds=20, data="mnist", set=_MNIST),
    "paper": Scale(seeds=50, data="mnist", set={**_MNIST, "draws": 200, "sets": 10000}),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train what the arm trains, and measure its answers."""
    if services.poll is not None:
        services.poll()
    kinds = {"network": calibration.trial, "polynomial": tradeoff.trial}
    return kinds.get(setup.classifier, detection.trial)(setup, seeds, services)


def figures(record: Record) -> dict[str, Figure]:
    """Draw the curves of the detectors, the reliability diagrams, and the parts of the error."""
    detectors = [arm for arm in record.arms if arm in DETECTORS]
    return {
        "Left: true positives over false positives, the diagonal is guessing. Right: precision "
        "over recall, the dotted line is the share of positives. Means with 95 % intervals": (
            drawing.detector_curves(record, detectors)
        ),
        "The same classifiers on test sets that differ in their share of positives": (
            drawing.by_share(record, ["weighted half", "weighted", "weighted rare"])
        ),
        "Accuracy over confidence, all seeds together; the area of a dot is its share of the "
        "images, the diagonal is perfect calibration, dots below it are too sure": (
            drawing.reliability_diagrams(record, ["raw", "scaled", "fitted on training"])
        ),
        "Parts of the squared error over the size of the model, and the error measured on other "
        "training sets (dots, with 95 % interval)": (
            drawing.stacked_parts(record, [arm for arm in DEGREES if arm in record.arms])
        ),
        "Accuracy of every seed of the detectors; lines join the arms of one seed": draw.dots(
            record, "accuracy", arms=detectors
        ),
    }
