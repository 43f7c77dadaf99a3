"""From claims and outcomes to verdicts: the one place where a verdict is made.

Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics
6 (1979) 65-70: with the p of m claims in rising order p_1, ..., p_m,

    adjusted p_i = max over j <= i of min(1, (m - j + 1) p_j)                        (1)

A verdict is reached where the adjusted p is at most 5 %. Then the chance of any verdict among the
claims whose boundary is met exactly is at most 5 %, however the claims depend on each other.
That the directions are right as well, at 5 % together, is proved for independent tests (Shaffer,
"Control of directional errors with stagewise multiple test procedures", Annals of Statistics 8
(1980) 1342-1347), not for every dependence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from practicum.evidence import power
from practicum.evidence.claims import Claim, Finding, check, number, undecidable
from practicum.evidence.intervals import LEVEL
from practicum.evidence.measures import Measure
from practicum.evidence.outcomes import Outcomes
from practicum.evidence.verdicts import Decision, Verdict


def judge(
    claims: Sequence[Claim], outcomes: Outcomes, measures: Sequence[Measure]
) -> list[Verdict]:
    """Judge all claims of a lab together.

    Args:
        claims: all claims of the lab: leaving one out would change Holm's adjustment.
        outcomes: what the trials gave.
        measures: the measures of the lab.

    Raises:
        PracticumError: a claim names an arm or measure that does not exist, or does not fit it.
    """
    check(claims, outcomes.values, measures)
    by_name = {measure.name: measure for measure in measures}
    findings = [_find(claim, outcomes, by_name[claim.measure]) for claim in claims]
    family = sum(finding.p is not None for finding in findings)
    return [
        _verdict(claim, finding, adjusted, by_name[claim.measure], family=family)
        for claim, finding, adjusted in zip(claims, findings, holm(findings), strict=True)
    ]


def _find(claim: Claim, outcomes: Outcomes, measure: Measure) -> Finding:
    """Look at what a claim speaks of, unless these trials never measured it.

    Such a claim stays in the family of Holm's rule, as any that cannot be judged: which claims are
    in it must not depend on what came out.
    """
    if any(outcomes.unmeasured(measure, arm) for arm in claim.arms):
        note = f"{measure.name} is not measured with these settings or data"
        return undecidable(len(outcomes.seeds), 0, note)
    return claim.find(outcomes, measure)


def holm(findings: Sequence[Finding]) -> list[float | None]:
    """Return the adjusted p of every finding, Eq. (1); None stays None and does not count."""
    # Six lines rather than statsmodels' multipletests (the tests compare the two): that one runs
    # the garbage collector at each call, which would be nearly all the time of a verdict.
    tested = np.array([finding.p for finding in findings if finding.p is not None])
    order = np.argsort(tested)
    steps = (tested.size - np.arange(tested.size)) * tested[order]
    tested[order] = np.minimum(1.0, np.maximum.accumulate(steps))  # Eq. (1)
    adjusted = iter(tested.tolist())
    return [None if finding.p is None else next(adjusted) for finding in findings]


def decide(favours: bool | None, adjusted: float | None) -> Decision:
    """Return the verdict from the direction and the adjusted p."""
    if favours is None or (adjusted is not None and adjusted > LEVEL):
        return "undecided"
    return "supported" if favours else "refuted"


def _verdict(
    claim: Claim, finding: Finding, adjusted: float | None, measure: Measure, *, family: int
) -> Verdict:
    verdict = decide(finding.favours, adjusted)
    # With several claims the smallest p must pass level / m; a number of seeds computed at the
    # full level could be one that the run already had.
    needed = finding.needs(LEVEL / max(family, 1)) if verdict == "undecided" else None
    unit = claim.unit(measure)
    return Verdict(
        sentence=claim.sentence,
        kind=claim.kind,
        measure=claim.measure,
        arms=claim.arms,
        verdict=verdict,
        effect=finding.effect,
        low=finding.low,
        high=finding.high,
        unit=unit,
        n=finding.n,
        p=finding.p,
        p_adjusted=adjusted,
        skewed=finding.skewed,
        skewness=finding.skewness,
        diverged=finding.diverged,
        seeds_needed=needed,
        matters=getattr(claim, "matters", None),
        rule=claim.rule,
        note=finding.note,
        says=_says(claim, finding, verdict, adjusted, needed, unit),
    )


def _says(
    claim: Claim,
    finding: Finding,
    verdict: Decision,
    adjusted: float | None,
    needed: int | None,
    unit: str,
) -> str:
    """Put the verdict into words."""
    width = finding.high - finding.low
    effect, low, high = (number(x, width) for x in (finding.effect, finding.low, finding.high))
    parts = [f"{verdict.upper()}: {claim.quantity()} is {effect} {unit}".rstrip()]
    if math.isnan(finding.effect):
        parts = [f"{verdict.upper()}: {claim.quantity()} cannot be judged"]
    else:
        parts.append(f"{'values' if adjusted is None else '95 % interval'} {low} to {high}")
    parts.append(f"n = {finding.n} seeds on this data and split")
    if adjusted is not None:
        small = "p < 0.001" if adjusted < 0.001 else f"p = {adjusted:.3f}"
        parts.append(f"Holm-adjusted {small}")
    if finding.diverged:
        trials = "trial" if finding.diverged == 1 else "trials"
        parts.append(f"{finding.diverged} {trials} diverged")
    text = ", ".join(parts)
    if finding.note:
        text += f"; {finding.note}"
    if needed is not None:
        many = f"{needed} or more" if needed >= power.MOST else f"{needed}"
        text += f"; it would take {many} fresh seeds to see the smallest effect that matters"
    return text + "."
