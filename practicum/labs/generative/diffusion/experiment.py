"""What a diffusion model should minimise, and how few steps its samples can take.

Question
    Does the simple loss give better samples than the variational bound, and the bound a better
    bound? On one trained network: how much worse do samples get when most steps are left out, with
    the noise of DDPM and without it, as in DDIM? And does DDIM's way from data to noise and back
    lose more with few steps?

What would refute it
    Samples of the simple loss at least as far from test data as those of the bound (claim 1). A
    bound that is not lower where it was minimised (2). With few steps, DDPM less than twice as far
    from the data as DDIM (3), or not farther than with all steps (4). Samples that are not twice as
    near to the data as those of a single Gaussian (5). There and back with few steps, less than
    twice the squared error of all steps (6).

Arms and what is held equal
    simple      trained with L_simple, Eq. (14) of Ho et al.
    weighted    trained with the variational bound, Eq. (12), variance beta_t
    gaussian    control: one Gaussian with the training data's mean and covariance
    Equal: examples, network, first weights, order, times and noise of training, optimizer, number
    of updates, schedule of the noise, and the noise from which samples begin. Weights are not
    averaged in either arm; the learning rate falls to zero. Tuning: of the rates 0.001, 0.003 and
    0.01 each arm has the one with the lowest mean of its own validation loss on seeds 1000 and
    1001, which no scale uses.

Primary measure
    distance, the squared sliced 2-Wasserstein distance between samples (DDPM, all steps) and as
    many test examples: points in the plane; images in their leading principal components, scaled.
    Two sets of the same distribution are not at distance zero: `floor` is that of training
    examples from the test examples.

Smallest effect that matters
    A factor of 1.2 in a distance; 0.02 nats a number in the bound.

Pitfalls of naive reproductions
    1. Comparing distances from different numbers of samples: the floor falls with the number.
    2. Averaged weights in one arm only.
    3. A sampler that skips steps from the front: walks here begin at the last time, however few
       their steps.
    4. DDPM with few steps depends on its variance: here it is the posterior's, which is DDIM's with
       eta = 1. With beta_t it is far worse.
    5. Samples that are training examples have a small distance, too; with little data look for the
       nearest neighbours.
    6. A bound on continuous data can be as low as one likes if they are whole numbers: images get
       noise of one level of grey.

Claims and margins were fixed before the first run of a scale, the sixth claim's before the first
run that measured it, after the verdicts on the others; rates on the pilot seeds. In a first
publication full had the rates of quick, with eight times the updates; a review found that a lower
rate is better there for both losses, more so for the bound, so both were tuned again, at full. The
full scale was set after the first quick run and one pilot seed with 4,000 updates: it has points,
because the U-Net takes too long on two cores, and 12,000 updates, because the samples of quick's
1,500 are visibly blurred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from practicum.engine import evaluation
from practicum.engine.seeds import streams
from practicum.engine.services import Measurements, Services
from practicum.errors import PracticumError
from practicum.evidence import Measure, lower, ratio
from practicum.labs import figures as draw
from practicum.labs.generative.diffusion import drawing, learning, tasks
from practicum.labs.generative.diffusion.measuring import all_counts, distance, gathered, results
from practicum.labs.lab import Scale, setting
from practicum.learning.diffusion import bound

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "Diffusion: the simple loss makes samples, the bound likelihood; DDIM needs few steps"
SOURCE = (
    "Ho, Jain, Abbeel 2020, Denoising diffusion probabilistic models, arXiv:2006.11239; Song, "
    "Meng, Ermon 2021, Denoising diffusion implicit models, arXiv:2010.02502"
)
YEAR = 2020
DATA = ("digits", "mnist", "fashion-mnist")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: a task, and how the noise in it is learned."""

    task: str = setting("moons", "points of two moons, or images", choices=("moons", "images"))
    data: str = setting("digits", "data set of the images", paper="CIFAR-10")
    loss: str = setting(
        "simple", "what is minimised", choices=("simple", "bound", "gaussian"), paper="simple"
    )
    train_size: int = setting(2000, "training examples", unit="examples", paper=50000, low=10)
    validation_size: int = setting(500, "examples that choose rates", unit="examples", low=10)
    test_size: int = setting(1000, "test examples, and samples", unit="examples", low=10)
    components: int = setting(10, "principal components in which images are compared", low=1)
    directions: int = setting(200, "directions of the sliced distance", low=1)
    times: int = setting(100, "T, steps from data to noise", paper=1000, low=2)
    counts: tuple[int, ...] = setting((5, 10, 20, 50), "fewer steps that samples take, rising")
    few: int = setting(10, "the few steps of the claims; one of the counts", low=1)
    hidden: tuple[int, ...] = setting((128, 128), "hidden units of the network for points")
    width: int = setting(8, "channels of the U-Net's first level", paper=128, low=4)
    rate: float = setting(
        0.01, "learning rate of Adam at the start; it falls to zero", paper=2e-4, low=0
    )
    batch_size: int = setting(128, "examples an update", unit="examples", paper=128, low=1)
    steps: int = setting(1500, "updates", unit="updates", paper=800000, low=1)
    points: int = setting(10, "evaluations on the way", low=1)


ARMS = {
    "simple": Setup(),
    "weighted": Setup(loss="bound"),
    "gaussian": Setup(loss="gaussian"),
}

MEASURES = (
    Measure(
        "distance",
        better="lower",
        says="squared sliced Wasserstein distance of samples (DDPM, all steps) from test examples",
        diverged=10.0,
    ),
    Measure(
        "nll_bound",
        unit="nats",
        better="lower",
        says="variational bound on - log p of test examples, a number of the example; for the "
        "Gaussian, - log p itself",
        diverged=10.0,
    ),
    Measure(
        "few_ratio",
        better="neither",
        says="with few steps: distance of DDPM's samples divided by that of DDIM's",
        diverged=1.0,
    ),
    Measure(
        "few_cost",
        better="neither",
        says="DDPM: distance of samples with few steps divided by that with all steps",
        diverged=1.0,
    ),
    Measure(
        "back_ratio",
        better="neither",
        says="there and back by DDIM: error with few steps divided by that with all steps; 1 for "
        "the Gaussian, which has no steps",
        diverged=1.0,
    ),
    Measure("floor", better="neither", says="distance of training examples from test examples"),
    Measure("ddpm", better="lower", says="distance of DDPM's samples, over steps", diverged=10.0),
    Measure("ddim", better="lower", says="distance of DDIM's samples, over steps", diverged=10.0),
    Measure(
        "back",
        better="lower",
        says="squared error of test examples, a number, after DDIM there and back, over steps",
        diverged=10.0,
    ),
    Measure(
        "validation_loss",
        better="lower",
        says="the arm's own loss on validation examples while training",
        diverged=10.0,
    ),
)

CLAIMS = (
    ratio(
        "distance",
        "simple",
        to="weighted",
        at_most=1.0,
        matters=1.2,
        sentence="The simple loss gives samples that are nearer to test data than the bound's.",
    ),
    lower(
        "nll_bound",
        "weighted",
        than="simple",
        matters=0.02,
        sentence="Minimising the bound gives the lower bound on test data.",
    ),
    ratio(
        "few_ratio",
        "simple",
        to=1.0,
        at_least=2.0,
        matters=1.2,
        sentence="With few steps on the same network, DDPM's samples are at least twice as far "
        "from test data as DDIM's.",
    ),
    ratio(
        "few_cost",
        "simple",
        to=1.0,
        at_least=1.0,
        matters=1.2,
        sentence="DDPM's samples with few steps are farther from test data than with all.",
    ),
    ratio(
        "distance",
        "simple",
        to="gaussian",
        at_most=0.5,
        matters=1.2,
        sentence="Samples are at least twice as near to test data as those of one Gaussian.",
    ),
    ratio(
        "back_ratio",
        "simple",
        to=1.0,
        at_least=2.0,
        matters=1.2,
        sentence="From test examples to noise and back, DDIM loses at least twice as much with few "
        "steps as with all.",
    ),
)

_TINY = {
    "train_size": 60,
    "validation_size": 20,
    "test_size": 30,
    "directions": 10,
    "times": 10,
    "counts": (2, 5),
    "few": 2,
    "hidden": (8,),
    "batch_size": 20,
    "steps": 8,
    "points": 2,
}
SCALES = {
    "smoke": Scale(seeds=2, set=_TINY),
    "quick": Scale(seeds=10),
    "full": Scale(
        seeds=10, set={"train_size": 5000, "test_size": 2000, "steps": 12000, "rate": 0.003}
    ),
    "paper": Scale(
        seeds=10,
        data="mnist",
        set={
            "task": "images",
            "train_size": 50000,
            "validation_size": 5000,
            "test_size": 5000,
            "width": 64,
            "times": 1000,
            "counts": (10, 20, 50, 100),
            "batch_size": 128,
            "steps": 100000,
        },
    ),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Train every seed, draw its samples in every way, and compare them with test examples."""
    if setup.few not in setup.counts or max(setup.counts) >= setup.times:
        raise PracticumError(
            f"few = {setup.few} must be one of the counts {setup.counts}, and these below the "
            f"{setup.times} times"
        )
    task = tasks.build(setup, seeds, services)
    if setup.loss == "gaussian":
        return control(setup, task, seeds)
    run = learning.train(setup, task, seeds, services)
    rows = []
    for seed, one, gone in zip(seeds, run.networks, run.diverged.tolist(), strict=True):
        network = one["network"].eval()
        held = task.x[task.test[seed]]

        def far(count: int, eta: float, network: Any = network, seed: int = seed) -> Tensor:
            like = task.x[task.test[seed]]
            made = learning.samples(setup, network, like, seed, count=count, eta=eta)
            return distance(setup, task, seed, made)

        nats = bound(network, learning.schedule(setup), held, learning.normals(seed, held))
        lost = [learning.lost(setup, network, held, count=count) for count in all_counts(setup)]
        nll = nats.mean() / held[0].numel()
        rows.append(results(setup, task, seed, far, nll, torch.stack(lost)))
        if gone:  # what such a network samples is no number
            rows[-1] = {name: torch.full_like(value, torch.nan) for name, value in rows[-1].items()}
    return gathered(setup, rows, run.curves["validation_loss"], run.diverged, run.weights())


def control(setup: Setup, task: tasks.Task, seeds: Sequence[int]) -> Measurements:
    """Measure the Gaussian of every seed; it has no steps, so every number of them is the same."""
    rows, weights = [], []
    for seed in seeds:
        fitted = learning.gaussian(task.x[task.train[seed]].flatten(1))
        held = task.x[task.test[seed]].flatten(1).double().cpu()
        made = fitted.sample(len(held), streams(seed).generator("noise"))
        far = distance(setup, task, seed, made)
        nll = fitted.nll(held).mean() / held.shape[1]
        lost = torch.zeros(len(all_counts(setup)), dtype=torch.float64)
        rows.append(results(setup, task, seed, lambda count, eta, far=far: far, nll, lost))  # type: ignore[misc]  # the default is bound now
        weights.append({"mean": fitted.mean, "factor": fitted.factor})
    at = evaluation.points(setup.steps, max(1, setup.steps // setup.points))
    nats = torch.stack([row["nll_bound"] for row in rows])[:, None].expand(-1, len(at))
    return gathered(setup, rows, nats, torch.zeros(len(seeds)).bool(), tuple(weights))


def of_record(record: Record, arm: str) -> Setup:
    """Return an arm's setup; a record writes tuples as lists."""
    values: dict[str, Any] = {}
    for one in fields(Setup):
        value = record.setups[arm][one.name]
        values[one.name] = tuple(value) if isinstance(value, list) else value
    return Setup(**values)


def figures(record: Record) -> dict[str, Figure]:
    """Draw samples, the way to them, and their distance over the number of steps."""
    setups = {arm: of_record(record, arm) for arm in record.arms}
    seed = record.seeds[0]
    trained = {
        arm: (setup, record.weights(arm, seed))
        for arm, setup in setups.items()
        if setup.loss != "gaussian"
    }
    drawn = {
        "Distance of samples from test data over the number of steps, mean and 95 % interval; the "
        "grey line is the floor, training data": drawing.steps(record, list(trained)),
    }
    if trained:
        drawn |= {
            "Samples with all steps and with few, first seed, all from the same noise": (
                drawing.gallery(trained, seed)
            ),
            "From noise to samples, first seed of the first arm": drawing.ways(trained, seed),
        }
        drawn["What DDIM loses from test examples to noise and back, over the number of steps"] = (
            draw.curves(
                record, "back", arms=list(trained), x_label="steps each way", log_x=True, log_y=True
            )
        )
    drawn["Bound on - log p of test data, every seed"] = draw.dots(record, "nll_bound")
    return drawn
