"""How long steps are: schedules that fall with time, and an average of the iterates.

Equations (t updates are done; gamma is the optimizer's learning rate):
    gamma_t = gamma / (1 + t / offset)^power                             (1) falling steps
    v_{t+1} = (1 - rho_t) v_t + rho_t w_{t+1},  rho_t = min(1, (1 + e) / (t + 1 + e)) (2) average

power 1 is Robbins and Monro, "A stochastic approximation method", Ann. Math. Statist. 22 (1951)
400-407. The uniform average, e = 0, is Polyak and Juditsky, "Acceleration of stochastic
approximation by averaging", SIAM J. Control Optim. 30 (1992) 838-855; e > 0 weights the iterate
number t like t^e and so forgets the start sooner (Shamir and Zhang, ICML 2013, arXiv:1212.1824v2).

Eq. (2) is a gradient update too: of half the squared distance between v and w, with rate 1 and
schedule rho. So the engine averages as it trains, in the loop and in lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.engine.updates import Batch, Networks


@dataclass(frozen=True, kw_only=True)
class Falling:
    """Eq. (1) as a factor on the learning rate; power 0 is a constant step."""

    offset: float
    power: float

    def __call__(self, step: int) -> float:
        """Return the factor after `step` updates."""
        return float((1 + step / self.offset) ** -self.power)


@dataclass(frozen=True, kw_only=True)
class Averaging:
    """rho of Eq. (2)."""

    emphasis: float = 0.0

    def __call__(self, step: int) -> float:
        """Return the share of the newest iterate after `step` earlier ones."""
        return min(1.0, (1 + self.emphasis) / (step + 1 + self.emphasis))


def distance_to_iterate(
    networks: Networks, batch: Batch, noise: Noise
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return half the squared distance of the average's weights from the network's.

    A linear model's outputs for the unit vectors are its weights.
    """
    unit = torch.eye(batch[0].shape[1], dtype=batch[0].dtype, device=batch[0].device)
    apart = networks["average"](unit) - networks["network"](unit).detach()
    return apart.square().sum() / 2, {}
