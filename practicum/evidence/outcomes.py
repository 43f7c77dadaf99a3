"""What the trials of a run gave, arm by arm, with the same seeds in every arm.

Divergence is handled here, once, for every kind of claim: a diverged trial is never dropped, it
counts with the value that its measure declared before the run (`Measure.diverged`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from practicum.errors import PracticumError, unknown
from practicum.evidence.measures import Measure


@dataclass(frozen=True, eq=False)
class Outcomes:
    """All that a verdict may look at.

    Attributes:
        seeds: the seeds, in the order of the leading axis of every array.
        values: arm, then measure, to array [seeds] (a number) or [seeds, points] (a curve).
        diverged: arm to array of bool [seeds]; an arm that is not named has no diverged trial.
        steps: for a curve, [points]: the step at which each point was taken; 1, 2, ... if absent.

    Raises:
        PracticumError: a seed appears twice, or an array does not have the seeds as leading axis.
    """

    seeds: tuple[int, ...]
    values: Mapping[str, Mapping[str, Any]]
    diverged: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise PracticumError(f"the seeds must be different, and at least one: {self.seeds}")
        for arm in self.diverged:
            self._know(arm)
        for arm, measures in self.values.items():
            arrays = {**{f"measure {m!r}": v for m, v in measures.items()}}
            arrays["`diverged`"] = self.diverged.get(arm, np.zeros(len(self.seeds)))
            for name, array in arrays.items():
                if np.shape(array)[:1] != (len(self.seeds),):
                    raise PracticumError(
                        f"arm {arm!r}, {name}: shape {np.shape(array)} does not begin with the"
                        f" {len(self.seeds)} seeds"
                    )

    def numbers(
        self, measure: Measure, arm: str
    ) -> tuple[Float[np.ndarray, "seeds"], Bool[np.ndarray, "seeds"]]:
        """Return one number per seed, and which trials diverged.

        A trial diverged if its arm says so or its number is not finite. Its number is replaced by
        `measure.diverged`, or by NaN where the measure declares none.

        Raises:
            PracticumError: unknown arm or measure, or the measure is a curve.
        """
        found = np.asarray(self._find(measure.name, arm), dtype=float)
        if found.ndim != 1:
            raise PracticumError(
                f"measure {measure.name!r} is a curve (shape {found.shape}); this kind of claim"
                " needs one number per trial: report, for example, its last point as a measure"
            )
        lost = self._lost(arm) | ~np.isfinite(found)
        counted = np.nan if measure.diverged is None else measure.diverged
        return np.where(lost, counted, found), lost

    def unmeasured(self, measure: Measure, arm: str) -> bool:
        """Tell whether no trial of an arm has a number, though none diverged.

        Only for a measure that declares no value for diverged trials: of the others, no number at
        all is a failure that counts.
        """
        found = np.asarray(self._find(measure.name, arm), dtype=float)
        missing = bool(np.isnan(found).all()) and not self._lost(arm).any()
        return missing and measure.diverged is None

    def curves(
        self, measure: Measure, arm: str
    ) -> tuple[
        Float[np.ndarray, "seeds points"], Float[np.ndarray, "points"], Bool[np.ndarray, "seeds"]
    ]:
        """Return the curve of every seed, the steps of its points, and which trials diverged.

        Raises:
            PracticumError: unknown arm or measure, or the measure is no curve.
        """
        found = np.asarray(self._find(measure.name, arm), dtype=float)
        if found.ndim != 2:
            raise PracticumError(
                f"measure {measure.name!r} has shape {found.shape}; a time to a target needs a"
                " curve, [seeds, points]"
            )
        steps = np.asarray(self.steps.get(measure.name, range(1, found.shape[1] + 1)), dtype=float)
        if steps.shape != found.shape[1:] or np.any(np.diff(steps) <= 0):
            raise PracticumError(
                f"measure {measure.name!r}: {found.shape[1]} points need as many rising steps,"
                f" not {steps.tolist()}"
            )
        return found, steps, self._lost(arm)

    def _know(self, arm: str) -> None:
        if arm not in self.values:
            raise unknown("arm", arm, self.values)

    def _find(self, measure: str, arm: str) -> Any:
        self._know(arm)
        if measure not in self.values[arm]:
            raise unknown(f"measure of arm {arm!r}", measure, self.values[arm])
        return self.values[arm][measure]

    def _lost(self, arm: str) -> Bool[np.ndarray, "seeds"]:
        return np.asarray(self.diverged.get(arm, np.zeros(len(self.seeds))), dtype=bool)
