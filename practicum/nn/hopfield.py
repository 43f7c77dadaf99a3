"""The Hopfield network: units that update one at a time and run downhill into a memory.

Papers: J. J. Hopfield, "Neural networks and physical systems with emergent collective computational
abilities", Proceedings of the National Academy of Sciences 79, 2554-2558, 1982.
D. J. Amit, H. Gutfreund and H. Sompolinsky, "Storing infinite numbers of patterns in a spin-glass
model of neural networks", Physical Review Letters 55, 1530-1533, 1985; "Statistical mechanics of
neural networks near saturation", Annals of Physics 173, 30-67, 1987 (the storage limit).

Idea: symmetric couplings without self-coupling give every state an energy that no single update
can raise, so the state comes to rest; patterns stored by `practicum.learning.hebbian` are such
resting points as long as there are not too many of them.

Equations (numbered for this file; Eq. (1), the couplings J, is in `practicum.learning.hebbian`):
    (2)  h_i = sum over j of J_ij s_j                field on unit i
    (3)  s_i <- sign(h_i), s_i stays where h_i = 0   one unit at a time, in random order
    (4)  E = -1/2 sum over i, j of J_ij s_i s_j      energy
    (5)  m = (1/N) sum over i of xi_i s_i            overlap with a pattern
    (6)  load = (1/2) (erf(y)/y - (2/sqrt(pi)) exp(-y^2))^2,  m = erf(y)
         what m the theory of Amit et al. predicts for endless N and zero temperature, their
         equations for m and for the noise of the other patterns eliminated into one

Shapes: n units (N in the equations), b states that run side by side without touching each other.

Deviations from the papers:
    1. Units are -1 and +1 instead of 0 and 1, thresholds are zero (as in Amit et al.).
    2. Hopfield's units update at random times; here every sweep visits each unit once, in a new
       random order, the same order for all states of the batch.
    3. Couplings are kept as whole numbers N J: exact in float32 up to 2**24.

Cost: a sweep looks n times at b fields; only a unit that turns costs n additions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Where a batch of states came to rest.

    Attributes:
        states: [b, n] the final states.
        at_rest: [b] True where no unit would turn any more.
        sweeps: sweeps made, the last one included.
    """

    states: Tensor
    at_rest: Tensor
    sweeps: int


class Hopfield(nn.Module):
    """A network with fixed couplings.

    Args:
        couplings: [n, n], N times the couplings of Eq. (1): symmetric. A diagonal that is not zero
            is allowed, to show what it does.

    Raises:
        PracticumError: the couplings are not square and symmetric.
    """

    couplings: Tensor

    def __init__(self, couplings: Float[Tensor, "n columns"]) -> None:
        super().__init__()
        if couplings.ndim != 2 or not torch.equal(couplings, couplings.T):
            raise PracticumError(
                f"couplings of shape {tuple(couplings.shape)} are not square and symmetric; "
                "without symmetry there is no energy and the state need not come to rest"
            )
        self.register_buffer("couplings", couplings)

    def forward(self, states: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        """Return the fields N h of a batch of states."""
        fields: Tensor = states @ self.couplings  # Eq. (2)
        return fields

    def energy(self, states: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
        """Return the energy of each state."""
        energy: Tensor = -0.5 * (self(states) * states).sum(1) / states.shape[1]  # Eq. (4)
        return energy

    def settle(
        self, states: Float[Tensor, "b n"], order: np.random.Generator, *, sweeps: int = 200
    ) -> Rest:
        """Update one unit at a time until nothing turns, or for a number of sweeps.

        Args:
            states: where to start; not changed.
            order: draws the order of each sweep.
            sweeps: the most sweeps made.
        """
        n = states.shape[1]
        # NumPy, because at this size of operation its calls cost a fraction of torch's.
        couplings = self.couplings.cpu().numpy()
        ends = states.cpu().numpy().copy()
        moving = np.arange(len(ends))  # the states that may still change, and s and h are theirs
        s = ends.copy()
        h = s @ couplings  # Eq. (2), kept up to date from here on
        made = 0
        while made < sweeps and len(moving):
            turned = np.zeros(len(moving), dtype=bool)
            made += 1
            for i in order.permutation(n):
                wrong = (h[:, i] * s[:, i] < 0).nonzero()[0]  # Eq. (3)
                if not len(wrong):
                    continue
                turned[wrong] = True
                s[wrong, i] *= -1
                change = 2 * couplings[i]
                for b in wrong:  # row by row: each row and its change fit the cache
                    if s[b, i] > 0:
                        h[b] += change
                    else:
                        h[b] -= change
            ends[moving] = s
            s, h, moving = s[turned], h[turned], moving[turned]
        at_rest = np.ones(len(ends), dtype=bool)
        at_rest[moving] = ~(h * s < 0).any(axis=1)
        return Rest(states=torch.from_numpy(ends), at_rest=torch.from_numpy(at_rest), sweeps=made)

    def settle_together(self, states: Float[Tensor, "b n"], *, sweeps: int = 200) -> Rest:
        """Update all units at the same time: Eq. (3) without its "one at a time".

        The energy can then rise, and the state can go to and fro between two states for ever. With
        symmetric couplings nothing longer than two states can repeat, so the updates end when all
        states are where they were two updates ago.
        """
        s, before = states.clone(), states.clone()
        made, goes_on = 0, True
        while made < sweeps and goes_on:
            h = self(s)
            after = torch.where(h == 0, s, h.sign())
            made, goes_on = made + 1, not torch.equal(after, before)
            before, s = s, after
        return Rest(states=s, at_rest=~(self(s) * s < 0).any(1), sweeps=made)


def overlap(states: Float[Tensor, "b n"], patterns: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Return how well each state agrees with its pattern: 1 the same, 0 unrelated."""
    return (states * patterns).mean(1)  # Eq. (5)


def load_for(y: float) -> float:
    """Return the load at which y solves the theory's equation at zero temperature, Eq. (6)."""
    bracket = math.erf(y) / y - 2.0 / math.sqrt(math.pi) * math.exp(-y * y)
    return 0.5 * bracket**2  # Eq. (6)


def critical_load() -> tuple[float, float]:
    """Return the largest load with a retrieval state, and the overlap there."""
    low, high = 0.5, 6.0  # load_for has one maximum in between; golden-section search
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    while high - low > 1e-9:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (left, high) if load_for(left) < load_for(right) else (low, right)
    return load_for(low), math.erf(low)


def retrieval_overlap(load: float) -> float:
    """Return the overlap m that theory predicts for endlessly many units, 0 beyond the limit.

    Args:
        load: patterns per unit, above zero.

    Raises:
        PracticumError: the load is not above zero.
    """
    if not load > 0:
        raise PracticumError(f"a load is above zero, not {load}")
    limit, at_limit = critical_load()
    if load > limit:
        return 0.0
    # The branch with the larger overlap; on it the load falls as y grows.
    low, high = 0.5, 30.0
    while math.erf(low) < at_limit:
        low += 1e-3
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if load_for(middle) > load else (low, middle)
    return math.erf(low)
