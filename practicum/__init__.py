"""Practicum: a deep-learning course that runs.

Every topic is a lab: a claim from the literature, an experiment that anyone can rerun in minutes,
and a verdict computed by a rule that was fixed before the run.
"""

__version__ = "0.1.0"
