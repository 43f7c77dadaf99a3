"""The one error that a user is meant to read: bad input, or something missing outside.

The command line prints its message without a traceback and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PracticumError(Exception):
    """What was asked cannot be done; the message says what was wrong and what to do about it."""


def unknown(kind: str, name: str, known: Iterable[str]) -> PracticumError:
    """Build the error for a name that does not exist, suggesting the nearest one that does.

    Args:
        kind: what the name stands for, in the singular ("lab", "data set").
        name: what was asked for.
        known: every name that would have been right.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        hint = f"did you mean {near[0]!r}?"
    elif names:
        hint = f"there are: {', '.join(names)}"
    else:
        hint = f"there is no {kind} at all"
    return PracticumError(f"no {kind} named {name!r}; {hint}")
