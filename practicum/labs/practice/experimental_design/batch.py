"""One trial: a batch of studies, what each of them tries, and what the batch measures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.labs.practice.experimental_design import networks
from practicum.labs.practice.experimental_design.researcher import (
    SIGNIFICANT,
    Freedom,
    Studies,
    every_p,
    peeking,
    reported,
)
from practicum.labs.practice.experimental_design.setup import Setup

BINS = 5  # of the p-curve, between 0 and 0.05
MIDDLES = (np.arange(BINS) + 0.5) * SIGNIFICANT / BINS


def every_look(
    setup: Setup, seed: int, services: Services
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the p of everything that a batch's studies try, in order, [S, A], and where they look.

    The second is the number of people or runs in each group at every look of a peeking arm.
    """
    if setup.subjects == "networks":
        first = seed * setup.pool  # no two batches share a network
        pool = networks.train_pool(_training(setup), range(first, first + setup.pool), services)
        random = streams(seed).numpy("noise")
        if not setup.peek:
            p = networks.compare(pool, setup.report, setup.runs, setup.studies, random)
            return p[:, None], np.array([float(setup.runs)])
        last = setup.pool // 2
        looks = np.arange(setup.peek_first, last + 1, dtype=float)
        return networks.peek_p(pool, setup.peek_first, last, setup.studies, random), looks
    random = streams(seed).numpy("order")
    if setup.peek:
        p = peeking(setup.studies, setup.peek_every, setup.peek_last, random)
        return p, setup.peek_every * np.arange(1.0, p.shape[1] + 1)
    everyone = setup.people + setup.more
    data = Studies.draw(setup.studies, everyone, setup.correlation, setup.effect, random)
    if setup.coding == "dummy":
        data = data.dummies()
    freedom = Freedom(
        outcomes=setup.outcomes,
        covariate=setup.covariate,
        conditions=setup.conditions,
        stopping=setup.stopping,
    )
    return every_p(data, freedom, setup.people), np.array([float(setup.people)])


def measured(setup: Setup, p: NDArray[np.float64]) -> dict[str, Any]:
    """Return the measures of one batch from the p of everything that was tried, [S, A]."""
    told = reported(p)
    significant = told[told < SIGNIFICANT]
    curve, slope = p_curve(significant)
    found: dict[str, Any] = {
        "significant": 100.0 * len(significant) / len(told),
        "p-curve slope": slope,
        "p-curve": curve,
    }
    if setup.peek:
        so_far = 100.0 * np.logical_or.accumulate(p < SIGNIFICANT, axis=1).mean(axis=0)
        if setup.subjects == "networks":
            return found | {"significant so far, runs": so_far}
        found |= {"p while peeking": p[0], "significant so far": so_far}
    return found


def p_curve(significant: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the share of significant p in each fifth, in percent, and their slope a hundredth.

    Both are nan if nothing is significant.
    """
    if not len(significant):
        return np.full(BINS, np.nan), float("nan")
    counts, edges = np.histogram(significant, BINS, (0.0, SIGNIFICANT))
    curve = 100.0 * counts / len(significant)
    middle = 100.0 * (edges[:-1] + edges[1:]) / 2.0  # in hundredths
    return curve, float(np.polyfit(middle, curve, 1)[0])


def _training(setup: Setup) -> networks.Training:
    return networks.Training(
        data=setup.data,
        hidden=setup.hidden,
        rate=setup.rate,
        batch_size=setup.batch_size,
        steps=setup.steps,
        points=setup.points,
        validation_size=setup.validation_size,
        test_size=setup.test_size,
    )
