"""One thread, reproducible hypothesis, and a reason for each test that cannot run here."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import settings

settings.register_profile("practicum", deadline=None, derandomize=True)
settings.load_profile("practicum")


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)  # the arithmetic of the reference loop


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    lacking = {}
    if not torch.cuda.is_available():
        lacking["gpu"] = "needs a CUDA device; there is none here"
    if not os.environ.get("PRACTICUM_DATA"):
        lacking["data"] = "needs real data; PRACTICUM_DATA is not set"
    if "soak" not in config.option.markexpr:
        lacking["soak"] = "long; run it with `make soak`"
    for item in items:
        for marker, reason in lacking.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
