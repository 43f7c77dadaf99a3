"""The size of the first weights decides whether signals and gradients reach the ends of a network.

Question
    Do signals and gradients keep their size through five layers of tanh units if the first weights
    have Glorot's variance, and fade with the older one? Do thirty layers of rectified units learn
    with He's variance, which is twice as large, and not with Glorot's?

What would refute it
    Tanh, at the start: under the normalised initialisation the mean square of the layers' outputs,
    or of the gradients, differs by more than a factor of 2 between layers; under the standard one
    the far end keeps more than a tenth of it. After training: the error is not lower.
    Rectified, 30 layers: He's network stays below 50 % of the training images, or Glorot's gets
    above 20 %. 10 layers: one of the two stays below 50 %, or He's does not get there sooner.

Arms and what is held equal
    tanh standard, tanh normalized   five hidden layers; weights from G(1) and G(16)
    he 30, xavier 30                 29 hidden layers of rectified units; weights from H(10), G(12)
    he 10, xavier 10                 9 of them
    linear                           control: softmax regression
    Within a pair everything is equal but the variance of the first weights: images and their order,
    the random numbers that the weights are made of (a weight of one arm is a weight of the other
    times a constant of the layer), biases (zero), plain gradient descent with momentum, number of
    updates, and the tuning: each arm and seed tries the pair's learning rates and keeps the one
    with the lowest validation error. Test images choose nothing. No normalisation, no Adam: both
    hide bad first weights. Images are centred, not scaled.

Primary measure
    test_error, percent of test images misclassified after the last update.

Smallest effect that matters
    Half a point of test error. The bounds on signals and gradients leave no smaller effect.

Pitfalls of naive reproductions
    Batch normalisation or Adam in the recipe. A framework's default in place of one of the arms:
    torch.nn.Linear draws from G(1), with biases that are not zero. Exchanging units before and
    after. Inputs that are not centred: their mean acts as a large bias, the same for all units.
    Inputs so large that tanh saturates at once: the derivation takes it as linear. Calling a deep
    network's failure a vanishing gradient without looking: under Glorot's variance signal and
    gradient shrink alike. Counting the two claims about a signal's factor as two observations:
    rectified units pass on any constant, so with the same random numbers one factor is half of the
    other, and the second claim checks the arithmetic only. Long training may make up for a slow
    start; here it is short, which favours networks that begin to learn at once.
    Number of updates, learning rates (for the pairs tanh 0.01 to 0.3, 30 layers 0.001 to 0.03, 10
    layers 0.003 to 0.03 were looked at) were chosen on validation images with seeds that no run
    uses by default (1000 and above), and so was the width of the tanh pair: with fewer units than
    inputs the first layer's weights become large, and with few units layers differ by chance. The
    thresholds were fixed before any run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.data import load
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.evidence import Measure, bounded, lower, ratio, sooner
from practicum.labs import figures as draw
from practicum.labs.lab import Scale, setting
from practicum.labs.training.initialization.drawing import learning, through_the_layers
from practicum.labs.training.initialization.learning import build, split, train
from practicum.labs.training.initialization.signals import at_the_start
from practicum.learning.supervised import error_percent
from practicum.nn.mlp import MLP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "First weights of the right size carry signals through thirty layers"
SOURCE = (
    "Glorot, Bengio 2010, Understanding the difficulty of training deep feedforward neural "
    "networks, PMLR 9:249-256; He, Zhang, Ren, Sun 2015, Delving deep into rectifiers, "
    "arXiv:1502.01852v1"
)
YEAR = 2010
DATA = ("digits", "mnist", "fashion-mnist")

DEEPEST = 40  # hidden layers that curves over layers have room for
PROBED = 500  # training images with which signals and gradients are measured
RARE = 0.3  # 16 seeds without an exception exclude it, for as many claims as there are


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    data: str = setting("digits", "data set of the images", paper="MNIST")
    train_size: int = setting(1000, "training images", unit="images", paper=50000, low=10)
    validation_size: int = setting(
        437, "images that choose the learning rate", unit="images", paper=10000, low=10
    )
    watched: int = setting(250, "training images measured on the way", unit="images", low=10)
    scheme: str = setting(
        "glorot", "variance of the first weights", choices=("standard", "glorot", "he")
    )
    distribution: str = setting(
        "uniform", "distribution of the first weights", choices=("uniform", "normal")
    )
    activation: str = setting("tanh", "nonlinearity", choices=("tanh", "relu", "sigmoid"))
    hidden_layers: int = setting(5, "hidden layers", paper=5, low=0, high=DEEPEST)
    width: int = setting(64, "units of each hidden layer", paper=1000, low=1)
    rates: tuple[float, ...] = setting((0.01, 0.03, 0.1), "learning rates tried")
    momentum: float = setting(0.9, "heavy-ball momentum", low=0, high=0.999)
    batch_size: int = setting(32, "images an update", unit="images", paper=10, low=1)
    steps: int = setting(300, "updates", unit="updates", low=1)
    points: int = setting(30, "evaluations on the way", low=1)


_DEEP, _SHALLOW = (0.001, 0.003), (0.01, 0.03)
ARMS = {
    "tanh standard": Setup(scheme="standard", width=100),
    "tanh normalized": Setup(scheme="glorot", width=100),
    "he 30": Setup(
        scheme="he", distribution="normal", activation="relu", hidden_layers=29, rates=_DEEP
    ),
    "xavier 30": Setup(
        scheme="glorot", distribution="normal", activation="relu", hidden_layers=29, rates=_DEEP
    ),
    "he 10": Setup(
        scheme="he", distribution="normal", activation="relu", hidden_layers=9, rates=_SHALLOW
    ),
    "xavier 10": Setup(
        scheme="glorot", distribution="normal", activation="relu", hidden_layers=9, rates=_SHALLOW
    ),
    "linear": Setup(hidden_layers=0),
}

FEW_LAYERS = ("tanh standard", "tanh normalized", "he 10", "xavier 10", "linear")

MEASURES = (
    Measure(
        "test_error",
        unit="%",
        better="lower",
        says="test images misclassified after the last update, at the rate that validation chose",
        diverged=90.0,
    ),
    Measure(
        "train_accuracy",
        unit="%",
        better="higher",
        says="training images classified after the last update, at the chosen rate",
        diverged=10.0,
    ),
    Measure("rate", better="neither", says="the rate that validation chose"),
    Measure(
        "train_error",
        unit="%",
        better="lower",
        says="some training images misclassified over updates, at the chosen rate",
        diverged=90.0,
    ),
    Measure(
        "signal_spread",
        better="lower",
        says="largest by smallest mean square of a hidden layer's outputs, at the start",
    ),
    Measure(
        "gradient_spread",
        better="lower",
        says="the same of the gradients by the layers' weighted sums",
    ),
    Measure(
        "signal_end",
        better="neither",
        says="mean square of the last hidden layer's outputs by that of the first",
    ),
    Measure(
        "gradient_end",
        better="neither",
        says="mean square of the first hidden layer's gradients by that of the last",
    ),
    Measure(
        "signal_factor",
        better="neither",
        says="geometric mean of the factors from one hidden layer's signal to the next",
    ),
    Measure("signal", better="neither", says="mean square of the outputs over hidden layers"),
    Measure("gradient", better="neither", says="mean square of the gradients over hidden layers"),
)

CLAIMS = (
    lower(
        "test_error",
        "tanh normalized",
        than="tanh standard",
        matters=0.5,
        sentence="Five layers of tanh units end at a lower error from the normalised "
        "initialisation than from the standard one.",
    ),
    bounded(
        "signal_spread",
        arms=["tanh normalized"],
        at_most=2.0,
        rare=RARE,
        sentence="From the normalised initialisation signals stay within a factor of 2 across "
        "the layers.",
    ),
    bounded(
        "gradient_spread",
        arms=["tanh normalized"],
        at_most=2.0,
        rare=RARE,
        sentence="From the normalised initialisation gradients stay within a factor of 2 across "
        "the layers.",
    ),
    bounded(
        "signal_end",
        arms=["tanh standard"],
        at_most=0.1,
        rare=RARE,
        sentence="From the standard one less than a tenth of the first layer's signal reaches the "
        "last.",
    ),
    bounded(
        "gradient_end",
        arms=["tanh standard"],
        at_most=0.1,
        rare=RARE,
        sentence="From the standard one less than a tenth of the last layer's gradient reaches "
        "the first.",
    ),
    ratio(
        "signal_factor",
        "he 30",
        to=1.0,
        at_least=0.9,
        at_most=1.1,
        sentence="Under He's variance a signal keeps its size from layer to layer of rectified "
        "units (within 10 %).",
    ),
    ratio(
        "signal_factor",
        "xavier 30",
        to=0.5,
        at_least=0.9,
        at_most=1.1,
        sentence="Under Glorot's it halves from layer to layer (within 10 %).",
    ),
    bounded(
        "train_accuracy",
        arms=["he 30"],
        at_least=50.0,
        rare=RARE,
        sentence="With 30 layers He's network learns at least half of the training images.",
    ),
    bounded(
        "train_accuracy",
        arms=["xavier 30"],
        at_most=20.0,
        rare=RARE,
        sentence="With 30 layers Glorot's stays near chance, below 20 %.",
    ),
    bounded(
        "train_accuracy",
        arms=["he 10", "xavier 10"],
        at_least=50.0,
        rare=RARE,
        sentence="With 10 layers both learn at least half of the training images.",
    ),
    sooner(
        "train_error",
        "he 10",
        than="xavier 10",
        target=50.0,
        matters=1.5,
        sentence="With 10 layers He's network is sooner right for half of the training images.",
    ),
)

_MNIST = {
    "train_size": 5000,
    "validation_size": 1000,
    "width": 128,
    "tanh standard.width": 256,
    "tanh normalized.width": 256,
    "steps": 400,
}
SCALES = {
    "smoke": Scale(seeds=2, set={"steps": 6, "points": 2, "width": 24}),
    "quick": Scale(seeds=16),
    "full": Scale(seeds=16, data="mnist", set={**_MNIST, "points": 20}),
    "paper": Scale(
        seeds=16,
        data="mnist",
        set={
            "train_size": 50000,
            "validation_size": 10000,
            "width": 1000,
            "batch_size": 10,
            "steps": 100000,
            "points": 100,
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Look at the layers before training, train at every rate, keep what validation prefers."""
    images = load(setup.data)
    centre = images.train[0].mean(0)
    x, y = services.place(images.train[0] - centre, images.train[1])
    x_test, y_test = services.place(images.test[0] - centre, images.test[1])
    rows = partial(split, setup, len(x))
    runs = [train(setup, rate, (x, y), rows, seeds, services) for rate in setup.rates]

    validation = torch.stack([run.final("validation_error") for run in runs])  # [rates, seeds]
    best = validation.nan_to_num(nan=torch.inf).argmin(0)  # a diverged rate is never chosen
    chosen = [runs[rate] for rate in best.tolist()]
    test_error, accuracy = [], []
    for i, (seed, run) in enumerate(zip(seeds, chosen, strict=True)):
        network = run.networks[i]["network"].eval()
        mine = rows(seed)[0]
        with torch.no_grad():
            test_error.append(error_percent(network(x_test), y_test))
            accuracy.append(100 - error_percent(network(x[mine]), y[mine]))
    values: dict[str, Tensor] = {
        "test_error": torch.stack(test_error),
        "train_accuracy": torch.stack(accuracy),
        "rate": torch.tensor(setup.rates, dtype=torch.float64)[best],
        "train_error": torch.stack([run.curves["train_error"][i] for i, run in enumerate(chosen)]),
    }
    steps = {"train_error": runs[0].steps}
    if setup.hidden_layers:
        layers = torch.arange(1, DEEPEST + 1)
        probed = [(x[mine], y[mine]) for mine in (rows(seed)[0][:PROBED] for seed in seeds)]
        begun = [begin(setup, x, y, seed) for seed in seeds]
        values |= at_the_start(begun, probed, DEEPEST)
        steps |= {"signal": layers, "gradient": layers}
    return Measurements(
        values=values,
        diverged=torch.stack([run.diverged for run in runs]).all(0),
        steps=steps,
        weights=tuple(run.weights()[i] for i, run in enumerate(chosen)),
    )


def begin(setup: Setup, x: Tensor, y: Tensor, seed: int) -> MLP:
    """Return a seed's network as training finds it."""
    with streams(seed).init():
        return build(setup, x[0].numel(), int(y.max()) + 1).to(x.device)


def figures(record: Record) -> dict[str, Figure]:
    """Draw signals and gradients over the layers, and how each depth learns."""
    pairs = {
        "5 layers of tanh units": ("tanh normalized", "tanh standard"),
        "30 layers of rectified units": ("he 30", "xavier 30"),
    }
    curves = {**pairs, "10 layers of rectified units": ("he 10", "xavier 10")}
    return {
        "Mean square of the outputs and of the gradients in every hidden layer before training, "
        "geometric mean over seeds; thin lines are seeds": through_the_layers(record, pairs),
        "Training images misclassified over updates, mean and 95 % interval, each arm and seed at "
        "the learning rate that validation chose; dotted, guessing": learning(record, curves),
        "Test error of every seed, 30 layers left out; lines join the arms of one seed": draw.dots(
            record, "test_error", arms=FEW_LAYERS
        ),
    }
