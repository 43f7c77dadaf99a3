"""Two runs side by side: what was asked differently, and whether the numbers agree.

Numbers are compared seed by seed, for the seeds, arms and measures that both runs have. Equal means
equal in every bit. Where they differ, the paired difference (second run minus first) is given with
its 95 % t-interval; it describes these two runs and is no verdict about a claim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from practicum.errors import PracticumError
from practicum.report import format, view

if TYPE_CHECKING:
    from practicum.engine.record import Record

_IGNORED = ("format", "lab", "request_sha256", "command", "title")
_ORDER = ("arms", "data", "scale", "seeds", "claims", "measures", "arithmetic", "versions")
_WORDS = {"arms": "setting", "claims": "claim", "measures": "measure", "versions": "version"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One entry of the protocol that differs.

    Attributes:
        part: the part of the protocol: `arms`, `data`, `arithmetic`, ...
        where: the entry within it, `dropout.rate`.
        first: its value in the first run, None where it has none.
        second: its value in the second run.
    """

    part: str
    where: str
    first: Any
    second: Any

    def __str__(self) -> str:
        """Return the change in a line."""
        name = " ".join(part for part in (_WORDS.get(self.part, self.part), self.where) if part)
        if self.part in ("claims", "measures"):
            kind = "only in the second run" if self.first is None else "only in the first run"
            return f"{name}: {kind if None in (self.first, self.second) else 'stated differently'}"
        return f"{name}: {_text(self.first)} → {_text(self.second)}"


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """One arm's numbers of one measure in both runs.

    Attributes:
        arm: the arm.
        measure: the measure, in words.
        unit: its unit.
        n: seeds that both runs have.
        same_bits: whether every number is the same in every bit.
        largest: the largest absolute difference; nan if a number is missing in one run only.
        difference: mean of second minus first, with unit and interval; empty if there is none.
    """

    arm: str
    measure: str
    unit: str
    n: int
    same_bits: bool
    largest: float
    difference: str

    def __str__(self) -> str:
        """Return the comparison in a line."""
        if self.same_bits:
            return f"{self.arm}, {self.measure}: same bits"
        largest = (
            "a number is missing in one of them"
            if np.isnan(self.largest)
            else f"largest difference {format.with_unit(format.number(self.largest), self.unit)}"
        )
        rest = f"; second − first: {self.difference}" if self.difference else ""
        return f"{self.arm}, {self.measure}: {largest}{rest}"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two runs of one lab, compared.

    Attributes:
        first: name of the first run.
        second: name of the second run.
        changes: what the protocols differ in.
        seeds: seeds that both runs have.
        numbers: the numbers of every arm and measure that both runs have.
        alone: arms that only one of the runs has.
    """

    first: str
    second: str
    changes: tuple[Change, ...]
    seeds: tuple[int, ...]
    numbers: tuple[Numbers, ...]
    alone: tuple[str, ...]

    @property
    def same_bits(self) -> bool:
        """Whether every number that both runs have is the same in every bit."""
        return all(one.same_bits for one in self.numbers)

    def __str__(self) -> str:
        """Return the comparison as the terminal shows it."""
        lines = [f"first   {self.first}", f"second  {self.second}", ""]
        lines += ["protocol"]
        lines += [f"  {one}" for one in self.changes] or ["  the same in every part"]
        lines += ["", f"numbers  ({view.count(len(self.seeds), 'seed')} in both runs)"]
        if not self.seeds or not self.numbers:
            lines.append("  nothing to compare: the runs share no seed, arm or measure")
        elif self.same_bits:
            lines.append(f"  same bits in {view.count(len(self.numbers), 'arm and measure pair')}")
        else:
            lines += [f"  {one}" for one in self.numbers]
        lines += [f"  {one}" for one in self.alone]
        return "\n".join(lines)


def compare(first: Record, second: Record) -> Compared:
    """Compare two runs of one lab.

    Raises:
        PracticumError: the runs are of different labs, or a trial is missing or damaged.
    """
    if first.lab != second.lab:
        raise PracticumError(
            f"a run of {first.lab} and one of {second.lab} measure different things; "
            "name two runs of the same lab"
        )
    seeds = tuple(seed for seed in first.seeds if seed in second.seeds)
    both = [arm for arm in first.arms if arm in second.arms]
    alone = [f"arm {arm}: only in the first run" for arm in first.arms if arm not in both]
    alone += [f"arm {arm}: only in the second run" for arm in second.arms if arm not in both]
    return Compared(
        first=_name(first),
        second=_name(second),
        changes=tuple(changes(first.protocol, second.protocol)),
        seeds=seeds,
        numbers=tuple(_numbers(first, second, both, seeds)) if seeds else (),
        alone=tuple(alone),
    )


def changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Change]:
    """Yield every entry in which two protocols differ, in the order of the parts."""
    parts = [*_ORDER, *sorted((set(first) | set(second)) - {*_ORDER, *_IGNORED})]
    for part in parts:
        a, b = (dict(_flat(_keyed(one.get(part)))) for one in (first, second))
        for where in dict.fromkeys([*a, *b]):
            if a.get(where) != b.get(where):
                yield Change(part=part, where=where, first=a.get(where), second=b.get(where))


def _keyed(part: Any) -> Any:
    """Return a part of a protocol with its entries under names, so that they meet their like."""
    if isinstance(part, Mapping):
        return {key: one for key, one in part.items() if key != "planned"}  # timings, in words
    if isinstance(part, list) and part and isinstance(part[0], Mapping):
        return {str(one.get("sentence") or one.get("name")): repr(one) for one in part}
    return part


def _flat(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(one, f"{where}.{key}" if where else str(key))
    else:
        yield where, value


def _numbers(
    first: Record, second: Record, arms: Sequence[str], seeds: Sequence[int]
) -> Iterator[Numbers]:
    columns = {one.name: one for one in view.columns(second)}
    for column in view.columns(first):
        for arm in arms:
            pair = [_cell(run, column, arm, seeds) for run in (first, second)]
            if column.name in columns and pair[0] is not None and pair[1] is not None:
                yield _compared(column, arm, pair[0], pair[1])


def _cell(
    run: Record, column: view.Column, arm: str, seeds: Sequence[int]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Return all numbers, and one number a seed as a verdict would count it."""
    values, cell = view.values(run, column.name, arm), view.cell(run, column, arm)
    if values is None or cell is None:
        return None
    rows = [run.seeds.index(seed) for seed in seeds]
    return values[rows], cell.counted[rows]


def _compared(column: view.Column, arm: str, first: Any, second: Any) -> Numbers:
    (a, counted_a), (b, counted_b) = first, second
    # Bytes, not values: 0.0 and -0.0 are different bits, and a nan equals itself.
    same = a.shape == b.shape and a.tobytes() == b.tobytes()
    largest = float(np.max(np.abs(b - a))) if a.shape == b.shape and not same else float("nan")
    return Numbers(
        arm=arm,
        measure=column.title,
        unit=column.unit,
        n=len(counted_a),
        same_bits=same,
        largest=0.0 if same else largest,
        difference="" if same else _difference(column, counted_a, counted_b),
    )


def _difference(column: view.Column, first: Any, second: Any) -> str:
    from practicum import evidence

    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return ""
    found = evidence.compare(second, first)
    unit = "points" if column.unit == "%" else column.unit
    return format.effect(
        {"effect": found.effect, "low": found.low, "high": found.high, "unit": unit,
         "kind": "lower"}
    )  # fmt: skip


def _name(record: Record) -> str:
    return f"{record.lab}/{record.path.name} ({record.scale})"


def _text(value: Any) -> str:
    return "not there" if value is None else format.setting(value)
