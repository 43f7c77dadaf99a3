"""A measure: one named number that every trial reports, with its unit and better direction."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, Literal, get_args

from practicum.errors import PracticumError, unknown

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Measure:
    """What is measured in every trial: a number, or a curve over steps.

    Attributes:
        name: the name by which claims and records refer to it ("test error").
        unit: unit of the values, empty for a pure number ("%", "nats", "steps").
        better: which direction is better; `sooner` needs it.
        says: formula or meaning in one line.
        diverged: the value with which a diverged trial counts (chance level, the budget);
            None says that the measure cannot diverge, and if a trial does so all the same,
            every claim that needs the trial stays undecided.

    Raises:
        PracticumError: empty name, or `better` is none of the three words.
    """

    name: str
    _: KW_ONLY
    unit: str = ""
    better: Better = "neither"
    says: str = ""
    diverged: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise PracticumError("a measure needs a name")
        if self.better not in get_args(Better):
            raise unknown("direction (better)", self.better, get_args(Better))

    @property
    def difference_unit(self) -> str:
        """Unit of a difference of two values: percentages differ by points, not by per cent."""
        return "points" if self.unit == "%" else self.unit

    def spec(self) -> dict[str, Any]:
        """Return the measure as JSON, for the protocol."""
        return asdict(self)
