"""What a lab is made of: settings, scales, and the lab itself, loaded from its `experiment.py`.

A lab's module is checked once, here, when it is loaded; everything later may rely on it.
"""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from practicum.errors import PracticumError, unknown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record
    from practicum.engine.services import Measurements, Services
    from practicum.evidence import Claim, Measure

SCALE_NAMES = ("smoke", "quick", "full", "paper")


def setting(
    default: Any,
    says: str,
    *,
    unit: str = "",
    paper: Any = None,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[Any] | None = None,
) -> Any:
    """Declare one field of a setup.

    Args:
        default: the value of the quick scale.
        says: what the setting is, in one line.
        unit: its unit, empty for a pure number.
        paper: the value the paper used, None where the paper has no such setting.
        low: the smallest value allowed; of several, for each.
        high: the largest value allowed.
        choices: the only values allowed.
    """
    about = {"says": says, "unit": unit, "paper": paper, "low": low, "high": high}
    about["choices"] = None if choices is None else tuple(choices)
    return field(default=default, metadata=about)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a run is: how many seeds, and which settings differ from the arms' own.

    Attributes:
        seeds: number of repetitions, the same seeds in every arm.
        set: settings changed in every arm that has the field; `arm.field` changes one arm only.
        data: data set used unless `--data` names another; None keeps the arms' own.
    """

    seeds: int
    set: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lab:
    """One lab as its `experiment.py` states it."""

    name: str
    topic: str
    title: str
    source: str
    year: int
    data: tuple[str, ...]
    arms: Mapping[str, Any]
    measures: tuple[Measure, ...]
    claims: tuple[Claim, ...]
    scales: Mapping[str, Scale]
    trial: Callable[[Any, Sequence[int], Services], Measurements]
    figures: Callable[[Record], dict[str, Figure]]
    module: str
    header: str
    precision: str | None = None
    """The lab's own precision where it does not follow the engine's; then on the CPU only."""


def load(module_name: str) -> Lab:
    """Import a lab's module and check that every part is there and fits the others.

    Raises:
        PracticumError: a part is missing or contradicts another one; the message names it.
    """
    module = importlib.import_module(module_name)
    parts = module_name.split(".")
    lab = Lab(
        name=parts[-2].replace("_", "-"),
        topic=parts[-3],
        title=_part(module, "TITLE"),
        source=_part(module, "SOURCE"),
        year=_part(module, "YEAR"),
        data=_part(module, "DATA"),
        arms=_part(module, "ARMS"),
        measures=_part(module, "MEASURES"),
        claims=_part(module, "CLAIMS"),
        scales=_part(module, "SCALES"),
        trial=_part(module, "trial"),
        figures=_part(module, "figures"),
        module=module_name,
        header=module.__doc__ or "",
        precision=getattr(module, "PRECISION", None),
    )
    _check(lab)
    return lab


def _part(module: ModuleType, name: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        raise PracticumError(f"{module.__name__} lacks {name}; a lab needs it") from None


def _check(lab: Lab) -> None:
    from practicum import evidence

    if tuple(lab.scales) != SCALE_NAMES:
        raise PracticumError(
            f"lab {lab.name}: SCALES are {tuple(lab.scales)}, expected {SCALE_NAMES} in this order"
        )
    for arm, setup in lab.arms.items():
        if not dataclasses.is_dataclass(setup):
            raise PracticumError(f"lab {lab.name}: arm {arm!r} is no setup dataclass: {setup!r}")
        validate(setup)
        if lab.data and "data" not in fields(setup):
            raise PracticumError(f"lab {lab.name}: DATA is named but Setup has no field `data`")
    for scale in lab.scales.values():
        setups_at(lab, scale, {})
    evidence.check(lab.claims, lab.arms, lab.measures)


def setups_at(lab: Lab, scale: Scale, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return every arm's setup at a scale, with further changes on top.

    Args:
        lab: the lab.
        scale: one of its scales.
        changes: `field` (every arm that has it) or `arm.field` to a value, or to its text.

    Raises:
        PracticumError: no such arm or field (the near one is named), or a value does not fit.
    """
    arms = lab.arms
    wanted: dict[str, dict[str, Any]] = {arm: {} for arm in arms}
    for key, value in [*scale.set.items(), *changes.items()]:
        arm, _, name = key.rpartition(".")
        if arm and arm not in arms:
            raise unknown("arm", arm, arms)
        chosen = [arm] if arm else [a for a, setup in arms.items() if name in fields(setup)]
        if not chosen:
            raise unknown("setting", name, {f for one in arms.values() for f in fields(one)})
        for one in chosen:
            wanted[one][name] = value
    return {arm: replaced(setup, wanted[arm]) for arm, setup in arms.items()}


def fields(setup: Any) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of a setup by name."""
    return {one.name: one for one in dataclasses.fields(setup)}


def _hints(setup: object) -> dict[str, Any]:
    """Return the declared types of a setup's fields."""
    kind: Any = type(setup)
    return _hints_of(kind)


@cache
def _hints_of(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)  # takes long, and is asked for at every change


def validate(setup: Any) -> None:
    """Check each field of a setup against its declared type, range and choices.

    Raises:
        PracticumError: names the field, the value, and what was expected.
    """
    hints = _hints(setup)
    for name, declared in fields(setup).items():
        value, about = getattr(setup, name), declared.metadata
        if not _is(value, hints[name]):
            raise PracticumError(
                f"setting {name!r} is {value!r}; expected {_type_name(hints[name])}"
            )
        choices, low, high = about.get("choices"), about.get("low"), about.get("high")
        if choices is not None and value not in choices:
            raise unknown(f"choice of {name!r}", str(value), [str(c) for c in choices])
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None and low is not None and not one >= low:
                raise PracticumError(f"setting {name!r} is {value!r}; it must be at least {low}")
            if one is not None and high is not None and not one <= high:
                raise PracticumError(f"setting {name!r} is {value!r}; it must be at most {high}")


def replaced(setup: Any, changes: Mapping[str, str | Any]) -> Any:
    """Return the setup with some fields replaced; text is read as the field's type.

    Raises:
        PracticumError: no such field (the near one is named), or the value does not fit it.
    """
    hints = _hints(setup)
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in hints:
            raise unknown("setting", name, hints)
        values[name] = parse(name, value, hints[name]) if isinstance(value, str) else value
        # No hidden layer is a network; no rate to try is a slip, unless the arm tries none.
        if values[name] == () != getattr(setup, name) and hints[name] == tuple[float, ...]:
            raise PracticumError(f"setting {name!r} is empty; give at least one number")
    changed = dataclasses.replace(setup, **values)
    validate(changed)
    return changed


def parse(name: str, text: str, hint: Any) -> Any:
    """Read a setting's value from text, as its declared type says.

    Raises:
        PracticumError: the text is no such value.
    """
    allowed = typing.get_args(hint) if _is_union(hint) else (hint,)
    for one in allowed:
        try:
            return _parse_one(text, one)
        except ValueError:
            continue
    raise PracticumError(f"setting {name!r} is {text!r}; expected {_type_name(hint)}")


def _parse_one(text: str, hint: Any) -> Any:
    if hint is bool:
        truth = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in truth:
            raise ValueError(text)
        return truth[text.lower()]
    if hint is type(None):
        if text.lower() != "none":
            raise ValueError(text)
        return None
    if hint in (int, float):
        return hint(text)
    if hint is str:
        return text
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_parse_one(one, inner) for one in text.split(",") if one)
    raise ValueError(text)


def _is(value: Any, hint: Any) -> bool:
    if _is_union(hint):
        return any(_is(value, one) for one in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return isinstance(value, tuple) and all(_is(one, inner) for one in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _is_union(hint: Any) -> bool:
    import types

    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _type_name(hint: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if _is_union(hint):
        return " or ".join(_type_name(one) for one in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"{_type_name(typing.get_args(hint)[0])}, several with commas between"
    return "none" if hint is type(None) else words.get(hint, str(hint))
