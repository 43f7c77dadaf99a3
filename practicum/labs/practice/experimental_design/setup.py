"""The settings of an arm: who is studied, and what the researcher may choose afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from practicum.labs.lab import setting
from practicum.labs.practice.experimental_design.networks import REPORTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One arm: who is studied, and what the researcher may choose afterwards."""

    subjects: str = setting("people", "who is studied", choices=("people", "networks"))
    studies: int = setting(4000, "studies in a batch", low=20)

    people: int = setting(20, "people in each condition", paper=20, low=3)
    more: int = setting(10, "people added to each condition at the second look", paper=10, low=1)
    correlation: float = setting(0.5, "of the two outcomes", paper=0.5, low=0.0, high=0.99)
    effect: float = setting(0.0, "true difference of two conditions", unit="sd", paper=0.0)
    outcomes: bool = setting(False, "whether a second outcome may be reported")
    covariate: bool = setting(False, "whether a covariate may be added")
    coding: str = setting(
        "effect",
        "values of the covariate: -1 and 1 (effect), 0 and 1 (dummy)",
        choices=("effect", "dummy"),
    )
    conditions: bool = setting(False, "whether a condition may be dropped")
    stopping: bool = setting(False, "whether people may be added after a first look")

    peek: bool = setting(False, "whether every look may be the last one")
    peek_every: int = setting(10, "people in each group between two looks", low=3)
    peek_last: int = setting(1000, "people in each group at the last look", low=3)

    data: str = setting("digits", "data set of the networks")
    pool: int = setting(60, "networks in a pool", low=6)
    runs: int = setting(10, "runs that a method reports", low=2)
    report: str = setting("every run", "what method two reports", choices=REPORTS)
    peek_first: int = setting(3, "runs of each method at the first look", low=2)
    hidden: int = setting(16, "hidden units of a network", low=1)
    rate: float = setting(0.01, "Adam's learning rate", low=1e-6)
    batch_size: int = setting(32, "images an update", low=1)
    steps: int = setting(300, "updates", low=1)
    points: int = setting(15, "evaluations on the way", low=1)
    validation_size: int = setting(300, "images that may choose a checkpoint", low=1)
    test_size: int = setting(350, "test images", low=1)
