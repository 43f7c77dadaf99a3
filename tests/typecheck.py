"""The type checker of the test run: every annotated call in practicum, shapes included."""

from beartype import BeartypeConf, beartype

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as Python reads it
