"""Clipping lets PPO use a batch many times; details that the paper does not name help as well.

Question
    Does clipping the ratio raise the return where every batch is used for many epochs, do many
    epochs learn sooner than one, and how much is owed to details of the code?

What would refute it
    Without clipping the mean return over training is not lower. Nor is the policy further from
    the old one at the end of an iteration. One epoch a batch does as well as twenty. Leaving out
    all the details costs less than leaving out clipping; leaving out one of them costs nothing.

Arms and what is held equal
    ppo                 20 epochs a batch, ratio clipped, all details on
    no-clip             the ratio is left alone (in one epoch of one minibatch this changes nothing)
    no-clip-slow        the same at 0.3 times the learning rate: does a slow rate do for a clip?
    one-epoch           each batch is used once
    no-details          clipped, but none of these: what the next three arms lack, gradient norm
                        clipped at 0.5, Adam's epsilon 1e-5, values of the last state after a cut
    no-normalization    advantages as they are, not mean 0 and deviation 1
    plain-weights       torch's first weights in the place of orthogonal ones
    constant-rate       the rate does not fall
    monte-carlo         lambda = 1: no bootstrapping within an episode
    random              control: actions drawn at random
    Equal: environment, its starts, draws of actions and order of samples, and environment steps.
    Not equal: updates (one-epoch has a twentieth), processor time. Nothing is tuned here: settings
    are customary ones for CartPole, all arms but those named have the same, and so the claims
    speak of these settings. no-clip-slow is there because a tuned rate could make up for clipping.

Primary measure
    return_over_training: mean return of the last 20 finished episodes, averaged over all
    iterations (area under the learning curve). The return of CartPole is at most 500.

Smallest effect that matters
    10 of return; 2 points of samples with a far ratio.

Changed after a first look
    quick has 40 iterations in the place of 50, after a pilot (seeds 1000-1003) that timed it. full
    has 200; it had 150 for a while, for time, until quick's result was there and time was to spare.

Pitfalls of naive reproductions
    A look at the best seed, or at the end only: CartPole is capped at 500 and late collapses are
    common. An episode cut by the clock taken for one that ended. A comparison in which one arm has
    the details and the other has not, credited to the objective. Ratios that are never far from 1,
    so that clipping has nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from practicum.engine.clipping import ClipNorm
from practicum.engine.optimizers import Adam
from practicum.engine.services import Measurements, Services
from practicum.engine.train import Recipe, Trains, train
from practicum.engine.updates import Update
from practicum.evidence import Measure, higher
from practicum.labs import figures as draw
from practicum.labs.agents.ppo.acting import Watched, at_random
from practicum.labs.lab import Scale, setting
from practicum.learning.environments import sizes
from practicum.learning.ppo import Annealing, Details, ppo_loss
from practicum.nn.actor_critic import ActorCritic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

TITLE = "PPO: clipping allows many epochs, and details of the code matter too"
SOURCE = (
    "Schulman, Wolski, Dhariwal, Radford, Klimov 2017, Proximal policy optimization algorithms, "
    "arXiv:1707.06347v2"
)
YEAR = 2017
DATA = ()
EXCEPTIONS = {
    "state": "gymnasium's environments cannot be saved: an interrupted trial begins anew from its "
    "seed, with the same bits."
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm of the comparison."""

    player: str = setting("ppo", "who plays", choices=("ppo", "random"))
    environment: str = setting("CartPole-v1", "gymnasium's name of the environment")
    iterations: int = setting(40, "batches of experience", low=1)
    copies: int = setting(8, "environments a seed", low=1)
    horizon: int = setting(32, "steps of each copy a batch", unit="steps", paper=2048, low=1)
    epochs: int = setting(20, "times that a batch is used", paper=10, low=1)
    minibatches: int = setting(1, "parts of an epoch", paper=32, low=1)
    rate: float = setting(1e-3, "Adam's learning rate at the beginning", paper=3e-4, low=0)
    clip: float | None = setting(0.2, "epsilon: limit of the ratio", paper=0.2, low=0)
    discount: float = setting(0.98, "gamma", paper=0.99, low=0, high=1)
    trace: float = setting(0.8, "lambda of the advantages", paper=0.95, low=0, high=1)
    entropy_share: float = setting(0.0, "weight of the entropy", paper=0.0, low=0)
    normalize: bool = setting(True, "advantages with mean 0 and deviation 1")
    orthogonal: bool = setting(True, "orthogonal first weights, small ones for the policy")
    anneal: bool = setting(True, "the rate falls to 0 in a straight line")
    gradient_norm: float | None = setting(0.5, "limit of the gradient's norm", low=0)
    adam_epsilon: float = setting(1e-5, "Adam's epsilon", low=0)
    bootstrap_cuts: bool = setting(True, "an episode that was only cut off has a future")
    value_clip: float | None = setting(None, "limit of a value's move within an iteration", low=0)
    hidden: tuple[int, ...] = setting((64, 64), "units of each hidden layer", paper=(64, 64))


ARMS = {
    "ppo": Setup(),
    "no-clip": Setup(clip=None),
    "no-clip-slow": Setup(clip=None, rate=3e-4),
    "one-epoch": Setup(epochs=1),
    "no-details": Setup(
        normalize=False,
        orthogonal=False,
        anneal=False,
        gradient_norm=None,
        adam_epsilon=1e-8,
        bootstrap_cuts=False,
    ),
    "no-normalization": Setup(normalize=False),
    "plain-weights": Setup(orthogonal=False),
    "constant-rate": Setup(anneal=False),
    "monte-carlo": Setup(trace=1.0),
    "random": Setup(player="random"),
}

MEASURES = (
    Measure(
        "return_over_training",
        better="higher",
        says="mean return of the last 20 finished episodes, averaged over all iterations",
        diverged=9.0,
    ),
    Measure(
        "final_return",
        better="higher",
        says="the same, averaged over the last tenth of the iterations",
        diverged=9.0,
    ),
    Measure(
        "far_ratios",
        unit="%",
        says="samples whose ratio is further than 0.2 from 1 at the end of an iteration, mean",
        diverged=100.0,
    ),
    Measure("returns", better="higher", says="mean return of the last 20 finished episodes"),
    Measure("far", unit="%", says="samples with a far ratio after each iteration"),
)

_OVER = "return_over_training"
CLAIMS = (
    higher(
        _OVER,
        "ppo",
        than="no-clip",
        matters=10.0,
        sentence="With twenty epochs a batch, clipping the ratio raises the return over training.",
    ),
    higher(
        _OVER,
        "ppo",
        than="no-clip-slow",
        matters=10.0,
        sentence="It does so, too, where the arm without clipping has 0.3 times the rate.",
    ),
    higher(
        "far_ratios",
        "no-clip",
        than="ppo",
        matters=2.0,
        sentence="Without clipping, more ratios end an iteration far from 1.",
    ),
    higher(
        _OVER,
        "ppo",
        than="one-epoch",
        matters=10.0,
        sentence="Twenty epochs a batch bring a higher return over training than one.",
    ),
    higher(
        _OVER,
        "no-clip",
        than="no-details",
        matters=10.0,
        sentence="Leaving out the details costs more than leaving out clipping.",
    ),
    higher(
        _OVER,
        "ppo",
        than="no-normalization",
        matters=10.0,
        sentence="Normalizing the advantages raises the return over training.",
    ),
    higher(
        _OVER,
        "ppo",
        than="plain-weights",
        matters=10.0,
        sentence="Orthogonal first weights raise the return over training.",
    ),
    higher(
        "final_return",
        "ppo",
        than="constant-rate",
        matters=10.0,
        sentence="A rate that falls to 0 raises the final return.",
    ),
    higher(
        _OVER,
        "ppo",
        than="monte-carlo",
        matters=10.0,
        sentence="Lambda 0.8 brings a higher return over training than lambda 1.",
    ),
)

SCALES = {
    "smoke": Scale(
        seeds=2,
        set={"iterations": 3, "copies": 2, "horizon": 16, "epochs": 2, "one-epoch.epochs": 1},
    ),
    "quick": Scale(seeds=8),
    "full": Scale(seeds=10, set={"iterations": 200}),
    "paper": Scale(seeds=20, set={"iterations": 2000}),
}


def trial(setup: Setup, seeds: Sequence[int], services: Services) -> Measurements:
    """Play and learn once for every seed."""
    steps = setup.copies * setup.horizon * torch.arange(1, setup.iterations + 1)
    if setup.player == "random":
        curves = torch.stack(
            [
                at_random(
                    setup.environment, seed, setup.copies, setup.horizon, setup.iterations, services
                )
                for seed in seeds
            ]
        )
        return measured(curves, torch.zeros_like(curves), steps)
    ran = train(recipe(setup), seeds, services)
    found = measured(ran.curves["return"], ran.curves["far"], steps)
    return Measurements(
        values=found.values, steps=found.steps, diverged=ran.diverged, weights=ran.weights()
    )


def measured(returns: Tensor, far: Tensor, steps: Tensor) -> Measurements:
    """Return the measures of curves [seeds, iterations]."""
    last = max(1, returns.shape[1] // 10)
    return Measurements(
        values={
            "return_over_training": returns.mean(1),
            "final_return": returns[:, -last:].mean(1),
            "far_ratios": far.mean(1),
            "returns": returns,
            "far": far,
        },
        steps={"returns": steps, "far": steps},
    )


def recipe(setup: Setup) -> Recipe:
    """Return the training of an arm."""
    observation, actions = sizes(setup.environment)
    details = Details(
        discount=setup.discount,
        trace=setup.trace,
        clip=setup.clip,
        value_clip=setup.value_clip,
        entropy_share=setup.entropy_share,
        normalize_advantages=setup.normalize,
        bootstrap_cuts=setup.bootstrap_cuts,
        copies=setup.copies,
        horizon=setup.horizon,
        epochs=setup.epochs,
        minibatches=setup.minibatches,
    )
    falling = Annealing(iterations=setup.iterations, updates=details.updates)
    limit = setup.gradient_norm
    return Recipe(
        networks={
            "main": lambda: ActorCritic(
                observation, actions, hidden=setup.hidden, orthogonal=setup.orthogonal
            )
        },
        optimizers={
            "main": Trains(spec=Adam(lr=setup.rate, eps=setup.adam_epsilon), networks=("main",))
        },
        updates=(
            Update(
                loss=partial(ppo_loss, details),
                clip=None if limit is None else ClipNorm(norm=limit),
                schedule=falling if setup.anneal else None,
            ),
        ),
        experience=partial(Watched, details, setup.environment),
        steps=setup.iterations * details.updates,
        every=details.updates,
    )


def figures(record: Record) -> dict[str, Figure]:
    """Draw learning curves, the ablation seed by seed, and how far the policy moves."""
    objective = there(record, "ppo", "no-clip", "no-clip-slow", "one-epoch", "random")
    details = there(
        record, "ppo", "no-details", "no-normalization", "plain-weights", "constant-rate",
        "monte-carlo",
    )  # fmt: skip
    x = "environment steps"
    return {
        "Clipping and epochs: mean return while learning; thin lines are seeds": draw.curves(
            record, "returns", arms=objective, x_label=x
        ),
        "Details left out: mean return while learning, mean and 95 % interval": draw.curves(
            record, "returns", arms=details, x_label=x, each_seed=False
        ),
        "Return over training of every seed; lines join the arms of one seed": draw.dots(
            record, "return_over_training"
        ),
        "Samples whose ratio is far from 1 at the end of each iteration": draw.curves(
            record,
            "far",
            arms=[arm for arm in objective if arm != "random"],
            x_label=x,
            each_seed=False,
        ),
    }


def there(record: Record, *arms: str) -> list[str]:
    """Return those of the arms that the record has."""
    return [arm for arm in arms if arm in record.arms]
