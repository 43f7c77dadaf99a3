"""From trials to intervals to verdicts. docs/evidence.md says what each kind of claim means.

Importing this room costs little: scipy is imported when a claim is judged.
"""

from practicum.evidence.bounds import bounded, exact
from practicum.evidence.claims import Claim, check
from practicum.evidence.differences import equivalent, higher, lower, ratio
from practicum.evidence.intervals import (
    LEVEL,
    Comparison,
    compare,
    half_width,
    mean_interval,
    share_interval,
)
from practicum.evidence.judge import judge
from practicum.evidence.measures import Measure
from practicum.evidence.orders import ordered
from practicum.evidence.outcomes import Outcomes
from practicum.evidence.patterns import interaction, slope
from practicum.evidence.shares import share
from practicum.evidence.times import sooner
from practicum.evidence.verdicts import Verdict

__all__ = [
    "LEVEL",
    "Claim",
    "Comparison",
    "Measure",
    "Outcomes",
    "Verdict",
    "bounded",
    "check",
    "compare",
    "equivalent",
    "exact",
    "half_width",
    "higher",
    "interaction",
    "judge",
    "lower",
    "mean_interval",
    "ordered",
    "ratio",
    "share",
    "share_interval",
    "slope",
    "sooner",
]
