"""Test loss peaks where features are as many as training examples, and falls again beyond.

Question
    In least-squares regression on random features, does the test loss of the fit with the smallest
    weights peak at N = n, end lower than it ever was before the peak, and is the peak the work of
    the fit (a tuned ridge removes it) and of noise (wrong labels make it wider)?

What would refute it
    A peak elsewhere, or lower than three times the losses on either side; a far end that is not
    below the best fit with fewer features than examples (for the wide kernel: that is); a ridge
    chosen on validation images that leaves a rise of more than 10 %; a peak that wrong labels do
    not widen.

Arms and what is held equal
    wrong labels           one label in five drawn from all classes, weights of least norm
    wrong labels, ridge    the same images and features, ridge chosen on validation images
    clean, clean, ridge    the same two without wrong labels
    wide kernel            wrong labels, least norm, features that vary four times as slowly
    linear teacher         control: least-norm linear regression on isotropic inputs, whose risk is
                           known in theory at every N / n
    Arms share a seed's images, test images, features and numbers of features; the two arms with
    wrong labels share these too. A larger set of features contains the smaller one. The ridge is
    chosen anew at every N, from 13 values half a decade apart, on validation images whose labels
    are as wrong as those in training. Test labels are true, and choose nothing. The kernel's width
    was chosen from 0.25, 0.5, 1 and 2 by the least-norm fit's loss on validation images at the
    largest N (pilot seeds 1000 and 1001). That suits the far end; what a width that suits few
    features does is in the arm with the wide kernel. One width serves all other arms.

Primary measure
    rise, the largest factor by which a test loss exceeds the lowest at fewer features (1: no peak).
    Loss is the squared distance to the one-hot target, summed over classes, which is 1 for a model
    that answers zero.

Smallest effect that matters
    A factor of 1.1 in loss, a tenth of an octave in width.

Pitfalls of naive reproductions
    1. Without wrong labels the peak is narrow: a coarse grid steps over it. Here N / n goes in
       steps of a twentieth beside the peak.
    2. At the threshold one seed's loss can be a thousand times another's: losses are compared as
       logarithms of ratios within a seed, never as means over seeds.
    3. A fit that stops early, single precision or a solver with a large cut-off is a hidden ridge:
       this is a singular value decomposition in float64 with a cut-off of 1e-13.
    4. The threshold is N = n per output: ten classes have ten sets of weights, not ten times fewer.
    5. A ridge chosen on test images would remove any peak.
    6. Whether the second descent beats the first is no law: it depends on the features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray as Array

from practicum.engine.seeds import Streams, streams
from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, higher, ratio
from practicum.labs.generalization.double_descent.drawing import (
    losses_over_features,
    norms_over_features,
    teacher_against_theory,
)
from practicum.labs.generalization.double_descent.fitting import (
    check_sizes,
    features_at,
    over_images,
    over_teachers,
)
from practicum.labs.generalization.double_descent.problems import Images, images
from practicum.labs.generalization.double_descent.shape import numbers, over_theory
from practicum.labs.lab import Scale, setting
from practicum.nn.random_features import KINDS, RCOND, RandomFeatures, isotropic_risk

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Test loss peaks at N = n and falls again"
SOURCE = (
    "Belkin, Hsu, Ma, Mandal 2019, Reconciling modern machine-learning practice "
    "and the classical bias-variance trade-off, arXiv:1812.11118"
)
YEAR = 2019
DATA = ("digits", "mnist", "fashion-mnist")
PRECISION = "float64"  # near N = n the smallest singular values need it
EXCEPTIONS = {
    "gradients": "Nothing is trained by gradients: the weights solve a least-squares problem.",
    "state": "There is no network and no optimizer whose state could be kept.",
    "lanes": "There are no training steps: each seed is a few matrix decompositions.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: a problem, and how the weights are fitted."""

    data: str = setting("digits", "data set of the images", paper="MNIST")
    task: str = setting("images", "what is learnt", choices=("images", "linear teacher"))
    fit: str = setting("least norm", "how weights are found", choices=("least norm", "ridge"))
    train_size: int = setting(200, "training examples n", unit="examples", paper=10000, low=10)
    validation_size: int = setting(400, "images that choose the ridge", unit="images", low=10)
    test_size: int = setting(1000, "test images, at most", unit="images", low=10)
    noise: float = setting(0.2, "chance that a label is random", low=0.0, high=1.0)
    kind: str = setting("fourier", "kind of random features", choices=KINDS)
    width: float = setting(0.5, "kernel width", unit="input length (root mean square)", low=0.0)
    sizes: tuple[float, ...] = setting(
        (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 4, 8),
        "features by examples N / n, rising, from below 1 to above 1",
    )
    ridges: tuple[float, ...] = setting(
        tuple(10.0 ** (power / 2) for power in range(-12, 1)), "ridges tried"
    )
    rcond: float = setting(RCOND, "singular values below this share of the largest are zero", low=0)
    signal: float = setting(1.0, "squared length of the teacher's rule", low=0.0)
    variance: float = setting(0.25, "variance of the teacher's noise", low=0.0)


ARMS = {
    "wrong labels": Setup(),
    "wrong labels, ridge": Setup(fit="ridge"),
    "clean": Setup(noise=0.0),
    "clean, ridge": Setup(noise=0.0, fit="ridge"),
    "wide kernel": Setup(width=2.0),
    "linear teacher": Setup(task="linear teacher"),
}

MEASURES = (
    Measure("rise", better="lower", says="largest factor of a loss over any at fewer features"),
    Measure("peak place", better="neither", says="N / n where the test loss is highest"),
    Measure("fall", better="neither", says="highest test loss / the one at the most features"),
    Measure("far end", better="lower", says="loss at the most features / lowest below N = n"),
    Measure("width", unit="octaves", better="lower", says="range of N with a test loss above 1"),
    Measure("over theory", better="neither", says="risk / theory, geometric mean off N = n"),
    Measure("test loss", better="lower", says="squared error on test images, at each N / n"),
    Measure("training loss", better="lower", says="squared error in training, at each N / n"),
    Measure(
        "test error", unit="%", better="lower", says="wrong answers on test images, at each N / n"
    ),
    Measure("weight norm", better="neither", says="length of all weights, at each N / n"),
    Measure("ridge", better="neither", says="the ridge that validation chose, at each N / n"),
)

CLAIMS = (
    ratio(
        "peak place",
        "wrong labels",
        to=1.0,
        at_least=0.95,
        at_most=1.05,
        sentence="Test loss is highest where features are as many as training examples (± 5 %).",
    ),
    ratio(
        "rise",
        "wrong labels",
        to=1.0,
        at_least=3.0,
        matters=1.1,
        sentence="The peak is at least three times as high as the lowest loss before it.",
    ),
    ratio(
        "fall",
        "wrong labels",
        to=1.0,
        at_least=3.0,
        matters=1.1,
        sentence="It is at least three times as high as the loss at the most features.",
    ),
    ratio(
        "far end",
        "wrong labels",
        to=1.0,
        at_most=1.0,
        matters=1.1,
        sentence="The second descent ends below the first one's lowest loss, with wrong labels.",
    ),
    ratio(
        "far end",
        "clean",
        to=1.0,
        at_most=1.0,
        matters=1.1,
        sentence="It does so without wrong labels too.",
    ),
    ratio(
        "far end",
        "wide kernel",
        to=1.0,
        at_least=1.0,
        matters=1.1,
        sentence="It does not with a kernel four times as wide: the features decide.",
    ),
    ratio(
        "rise",
        "clean",
        to=1.0,
        at_least=3.0,
        matters=1.1,
        sentence="Without wrong labels there is still a peak, at least threefold.",
    ),
    higher(
        "width",
        "wrong labels",
        than="clean",
        matters=0.1,
        sentence="Wrong labels make the peak wider.",
    ),
    ratio(
        "rise",
        "wrong labels, ridge",
        to=1.0,
        at_most=1.1,
        matters=1.1,
        sentence="With a ridge chosen on validation images no rise of more than 10 % is left.",
    ),
    ratio(
        "over theory",
        "linear teacher",
        to=1.0,
        at_least=0.9,
        at_most=1.1,
        matters=1.1,
        sentence="Control: on a linear teacher the risk is the one known from theory (± 10 %).",
    ),
)

_LARGE = {
    "train_size": 1000,
    "linear teacher.train_size": 200,
    "sizes": (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 5),
}
SCALES = {
    "smoke": Scale(
        seeds=2,
        set={"train_size": 20, "sizes": (0.2, 0.5, 0.9, 1.0, 1.1, 2.0, 4.0), "ridges": (1e-3, 0.1)},
    ),
    "quick": Scale(seeds=20),
    "full": Scale(seeds=10, data="mnist", set=_LARGE),
    "paper": Scale(seeds=10, data="mnist", set={**_LARGE, "train_size": 10000}),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Fit every number of features, for every seed."""
    check_sizes(setup.sizes)
    rows: list[dict[str, Any]] = []
    for done, seed in enumerate(seeds):
        points = []
        for point in fits(setup, streams(seed)):
            points.append(point)
            if services.poll is not None:
                services.poll()
        rows.append(summary(setup, {k: np.array([p[k] for p in points]) for k in points[0]}))
        services.progress(done + 1, len(seeds))
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    curves = [name for name, value in values.items() if value.ndim == 2]
    return Measurements(values=values, steps={name: np.array(setup.sizes) for name in curves})


def fits(setup: Setup, random: Streams) -> Iterator[dict[str, float]]:
    """Return a seed's fits, as many as there are sizes."""
    if setup.task == "linear teacher":
        return over_teachers(
            random,
            setup.sizes,
            examples=setup.train_size,
            signal=setup.signal,
            variance=setup.variance,
            rcond=setup.rcond,
        )
    drawn = draw(setup, random)
    ridges = setup.ridges if setup.fit == "ridge" else ()
    layer = RandomFeatures.draw(
        setup.kind,
        drawn.train[0].shape[1],
        features_at(setup.sizes[-1], setup.train_size),
        random.numpy("initialisation"),
        setup.width,
    )
    return over_images(drawn, layer, setup.sizes, ridges=ridges, rcond=setup.rcond)


def summary(setup: Setup, curves: Mapping[str, Array]) -> dict[str, Any]:
    """Return a seed's curves and the numbers that the claims are about."""
    losses = curves["test loss"]
    found = {**curves, **numbers(losses, setup.sizes)}
    if setup.task == "linear teacher":
        theory = partial(isotropic_risk, signal=setup.signal, noise=setup.variance)
        found["over theory"] = over_theory(losses, setup.sizes, theory)
    return found


def draw(setup: Setup, random: Streams) -> Images:
    """Return a seed's images, the same ones in every arm with the same share of wrong labels."""
    return images(
        setup.data,
        random,
        train=setup.train_size,
        validation=setup.validation_size,
        test=setup.test_size,
        noise=setup.noise,
    )


def figures(record: Record) -> dict[str, Figure]:
    """Draw losses and weights over the number of features, and the control beside its theory."""
    return {
        "Test loss, and training loss (thin, dashed), over features by examples: geometric mean, "
        "95 % interval; the peak goes far beyond the upper edge": losses_over_features(record),
        "Length of the weights over features by examples": norms_over_features(record),
        "The control: risk of a linear teacher, thin lines are seeds, and what theory says": (
            teacher_against_theory(record, isotropic_risk)
        ),
    }
