"""Every kind of claim, judged where the truth lies exactly on its boundary.

There neither verdict is right, and a rule at 5 % may reach one in at most 5 % of the runs. The runs
go through `judge`, as those of a lab do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from practicum.evidence.bounds import bounded
from practicum.evidence.claims import Claim
from practicum.evidence.differences import equivalent, lower, ratio
from practicum.evidence.judge import judge
from practicum.evidence.measures import Measure
from practicum.evidence.orders import ordered
from practicum.evidence.outcomes import Outcomes
from practicum.evidence.patterns import interaction, slope
from practicum.evidence.shares import share
from practicum.evidence.times import sooner

RUNS = 2_000
SEEDS = 10
M = Measure("m", better="lower")

Arms = Mapping[str, Float[np.ndarray, "seeds *points"]]


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """Claims, and outcomes for which the truth lies on the boundary of every one of them."""

    name: str
    claims: tuple[Claim, ...]
    arms: Callable[[np.random.Generator, int], Arms]


def _levels(**means: float) -> Callable[[np.random.Generator, int], Arms]:
    """Return arms with these means, which share a part of what each seed does to them."""

    def draw(rng: np.random.Generator, n: int) -> Arms:
        common = rng.normal(size=n)
        return {arm: mean + common + rng.normal(size=n) for arm, mean in means.items()}

    return draw


def _exponentials(**means: float) -> Callable[[np.random.Generator, int], Arms]:
    draw = _levels(**means)
    return lambda rng, n: {arm: np.exp(x) for arm, x in draw(rng, n).items()}


def _curves(rng: np.random.Generator, n: int) -> Arms:
    """Two curves that reach 0.5 in times of one distribution; about a third is censored at 20."""
    steps = np.arange(1, 21)
    reach = np.exp(rng.normal(2.5, 0.6, (2, n, 1)) + rng.normal(0.0, 0.6, (1, n, 1)))
    return dict(zip("ab", np.where(steps < reach, 1.0, 0.0), strict=True))


def _violations(rng: np.random.Generator, n: int) -> Arms:
    return {"a": (rng.random(n) < 0.2).astype(float)}


BOUNDARIES = (
    Boundary(
        name="lower, by 0.5",
        claims=(lower("m", "a", than="b", by=0.5, sentence="s"),),
        arms=_levels(a=0.0, b=0.5),
    ),
    Boundary(
        name="ratio at least 2",
        claims=(ratio("m", "a", to="b", at_least=2.0, sentence="s"),),
        arms=_exponentials(a=float(np.log(2.0)), b=0.0),
    ),
    Boundary(
        name="equivalent within 1",
        claims=(equivalent("m", "a", to="b", within=1.0, sentence="s"),),
        arms=_levels(a=1.0, b=0.0),
    ),
    Boundary(
        name="slope between 0.5 and 2",
        claims=(slope("m", over={"a": 0, "b": 1, "c": 3}, at_least=0.5, at_most=2, sentence="s"),),
        arms=_levels(a=0.0, b=0.5, c=1.5),
    ),
    Boundary(
        name="interaction above 0",
        claims=(
            interaction(
                "m", neither="a", first="b", second="c", both="d", at_least=0, sentence="s"
            ),
        ),
        arms=_levels(a=0.0, b=1.0, c=2.0, d=3.0),
    ),
    Boundary(
        name="ordered, all three equal",
        claims=(ordered("m", rising=["a", "b", "c"], sentence="s"),),
        arms=_levels(a=0.0, b=0.0, c=0.0),
    ),
    Boundary(
        name="ordered, one clear step and a tie",
        claims=(ordered("m", rising=["a", "b", "c"], sentence="s"),),
        arms=_levels(a=-9.0, b=0.0, c=0.0),
    ),
    Boundary(
        name="share at least 0.4",
        claims=(share("m", "a", value_at_least=0.2533471031, at_least=0.4, sentence="s"),),
        arms=lambda rng, n: {"a": rng.normal(size=n)},  # P(X >= 0.2533471031) = 0.4
    ),
    Boundary(
        name="sooner, a third censored",
        claims=(sooner("m", "a", than="b", target=0.5, sentence="s"),),
        arms=_curves,
    ),
    Boundary(
        name="five claims against one arm, with Holm",
        claims=tuple(lower("m", arm, than="z", sentence=arm) for arm in "abcde"),
        arms=_levels(a=0.0, b=0.0, c=0.0, d=0.0, e=0.0, z=0.0),
    ),
)

VIOLATED = Boundary(
    name="bounded, a fifth of the seeds violate",
    claims=(bounded("m", arms=["a"], at_most=0.5, rare=0.2, sentence="s"),),
    arms=_violations,
)


def count(boundary: Boundary, n: int, runs: int, seed: int = 0) -> tuple[int, int]:
    """Return in how many runs a claim was supported, and in how many more one was refuted."""
    rng = np.random.default_rng([seed, n])
    supported = refuted = 0
    for _ in range(runs):
        values = {arm: {"m": x} for arm, x in boundary.arms(rng, n).items()}
        found = {v.verdict for v in judge(boundary.claims, Outcomes(tuple(range(n)), values), [M])}
        supported += "supported" in found
        refuted += "refuted" in found and "supported" not in found
    return supported, refuted


def wrong_verdicts(runs: int = RUNS) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield name, seeds, runs, wrongly supported and wrongly refuted of every kind.

    A bound that a fifth of the seeds violate is false, so that only supporting it is wrong.
    """
    for boundary in BOUNDARIES:
        yield boundary.name, SEEDS, runs, *count(boundary, SEEDS, runs)
    supported, _ = count(VIOLATED, 20, runs)
    yield VIOLATED.name, 20, runs, supported, 0
