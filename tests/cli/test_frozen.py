"""The verbs and flags, frozen: scripts and lessons depend on them.

Catches: a verb or flag that disappears, is renamed, or is added without a decision.
"""

from __future__ import annotations

import typer

from practicum.cli.main import app

VERBS: dict[str, set[str]] = {
    "list": {"text", "--topic", "--json"},
    "show": {"lab", "--lesson", "--json"},
    "run": {
        "labs", "--scale", "--seeds", "--data", "--set", "--workers", "--device", "--precision",
        "--compile", "--plan", "--fresh", "--quiet", "-q", "--json", "--runs",
    },
    "runs": {"lab", "--runs", "--json"},
    "report": {"run", "--runs"},
    "open": {"run", "--runs"},
    "compare": {"first", "second", "--runs"},
    "catalogue": {"--out"},
    "new-lab": {"name", "--package", "--into"},
    "selftest": {"what", "--pairs", "--out"},
    "doctor": set(),
    "data": {"list", "get", "where", "check"},
}  # fmt: skip


def test_verbs_and_flags_are_the_frozen_ones() -> None:
    group = typer.main.get_command(app)
    found: dict[str, set[str]] = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]  # it is a group
        if hasattr(command, "commands"):
            found[name] = set(command.commands)
            continue
        found[name] = {
            word
            for parameter in command.params
            for word in (
                parameter.opts if parameter.param_type_name == "option" else [parameter.name]
            )
            if word != "--help"
        }
    assert found == VERBS
