"""The settings of a run's arms, side by side with the paper's, for the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from practicum.report import format

if TYPE_CHECKING:
    from practicum.engine.record import Record
    from practicum.labs.lab import Lab

_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting.

    Attributes:
        name: field of the setup.
        says: what it is.
        unit: its unit.
        values: its value in each arm, `—` where the arm has no such field.
        paper: the paper's value, `—` where it has none.
        between_arms: whether the arms differ: this is what the comparison varies.
        from_paper: whether an arm differs from the paper's value.
    """

    name: str
    says: str
    unit: str
    values: tuple[str, ...]
    paper: str
    between_arms: bool
    from_paper: bool


def rows(record: Record, lab: Lab) -> list[Row]:
    """Return every setting of the run; first those in which the arms differ."""
    about: dict[str, Mapping[str, Any]] = {}
    for setup in lab.arms.values():
        for one in dataclasses.fields(setup):
            about.setdefault(one.name, one.metadata)
    names = dict.fromkeys([*about, *(name for arm in record.arms for name in record.setups[arm])])
    found = [_row(record, name, about.get(name, {})) for name in names]
    return sorted(found, key=lambda row: not row.between_arms)


def _row(record: Record, name: str, about: Mapping[str, Any]) -> Row:
    values = [record.setups[arm].get(name, _MISSING) for arm in record.arms]
    paper = about.get("paper")
    there = [_plain(one) for one in values if one is not _MISSING]
    return Row(
        name=name,
        says=str(about.get("says", "")),
        unit=str(about.get("unit", "")),
        values=tuple("—" if one is _MISSING else format.setting(one) for one in values),
        paper="—" if paper is None else format.setting(paper),
        between_arms=any(_plain(one) != _plain(values[0]) for one in values),
        from_paper=paper is not None and any(one != _plain(paper) for one in there),
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back, so that a tuple equals the list it became."""
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
