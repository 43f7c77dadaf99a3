"""One integer fixes a repetition, through three named streams that do not touch each other.

`initialisation` builds the network, `order` shuffles the data, `noise` draws everything that is
random inside a step (dropout masks, sampled noise). Two arms that draw different amounts of noise
therefore keep the same start and the same order of data: that is what makes seeds paired.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Stream = Literal["initialisation", "order", "noise"]


@dataclass(frozen=True)
class Streams:
    """The three random streams of one seed.

    A loop written by hand uses them so:

        s = streams(7)
        with s.init():
            network = build()
        order = s.order()                 # torch.randperm(n, generator=order)
        with s.noise():                   # F.dropout and torch.randn draw from the noise stream
            ... the loop ...
    """

    seed: int

    def number(self, stream: Stream) -> int:
        """Return the 63-bit number that seeds one stream (SHA-256 of seed and name)."""
        text = f"practicum/{self.seed}/{stream}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1

    @contextmanager
    def init(self) -> Iterator[None]:
        """Within, torch's global generator is the initialisation stream; restored after."""
        with _global_generator(self.number("initialisation")):
            yield

    @contextmanager
    def noise(self) -> Iterator[None]:
        """Within, torch's global generator is the noise stream; restored after."""
        with _global_generator(self.number("noise")):
            yield

    def order(self) -> torch.Generator:
        """Return a fresh CPU generator of the order stream."""
        return self.generator("order")

    def generator(self, stream: Stream) -> torch.Generator:
        """Return a fresh CPU generator at the start of a stream."""
        return torch.Generator().manual_seed(self.number(stream))

    def numpy(self, stream: Stream) -> np.random.Generator:
        """Return a fresh NumPy generator of a stream, for labs that need no torch."""
        return np.random.default_rng(self.number(stream))


def streams(seed: int) -> Streams:
    """Return the random streams of a seed (any integer >= 0).

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"a seed is an integer >= 0, not {seed}")
    return Streams(seed)


def generator_states() -> dict[str, Tensor]:
    """Return the states of torch's global generators: the CPU's, and CUDA's if it is in use.

    On CUDA, `F.dropout` draws from the device's own generator, so it belongs to the noise stream.
    """
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_generator_states(states: Mapping[str, Tensor]) -> None:
    """Set torch's global generators to what `generator_states` returned."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


@contextmanager
def _global_generator(number: int) -> Iterator[None]:
    states = generator_states()
    torch.default_generator.manual_seed(number)
    if "cuda" in states:
        torch.cuda.manual_seed(number)
    try:
        yield
    finally:
        set_generator_states(states)
