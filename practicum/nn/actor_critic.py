"""Actor-critic: a policy head that chooses among actions, and a value head that judges the state.

Papers: Mnih et al., "Asynchronous methods for deep reinforcement learning", arXiv:1602.01783v2,
section 4 (two heads on one trunk). Schulman et al., "Proximal policy optimization algorithms",
arXiv:1707.06347v2, section 6.1 (two trunks of two tanh layers of 64 units).

Equations:
    (1)  pi(a | s) = exp(z_a) / sum over b of exp(z_b)       policy head: z = W_pi h(s) + b_pi
    (2)  V(s) = w_V h'(s) + b_V                              value head; h' = h if shared
    (3)  H(s) = - sum over a of pi(a | s) log pi(a | s)      entropy, in nats

Shapes: B states, D numbers in an observation, A actions.

Deviations: none. Orthogonal weights (Saxe et al., arXiv:1312.6120v3) are what the authors' code
uses, with gain sqrt(2) in the trunk, 0.01 for the policy and 1 for the value, and biases 0; the
PPO paper does not say so.

Known failure signs: entropy near 0 while returns are low (the policy has stopped to explore).
"""

from __future__ import annotations

import itertools
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError, unknown
from practicum.nn.mlp import ACTIVATIONS


class ActorCritic(nn.Module):
    """Policy and value of discrete actions.

    Args:
        observation: D.
        actions: A.
        hidden: units of each hidden layer of a trunk.
        shared: one trunk for both heads instead of one each.
        activation: "tanh", "relu" or "sigmoid".
        orthogonal: orthogonal weights and zero biases instead of torch's default.

    Raises:
        PracticumError: no such activation, or no hidden layer.
    """

    def __init__(
        self,
        observation: int,
        actions: int,
        *,
        hidden: tuple[int, ...] = (64, 64),
        shared: bool = False,
        activation: str = "tanh",
        orthogonal: bool = True,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        if not hidden:
            raise PracticumError("an actor-critic needs at least one hidden layer")
        self.activation = activation
        sizes = (observation, *hidden)
        self.actor = nn.ModuleList(_layers(sizes, orthogonal))
        self.critic = self.actor if shared else nn.ModuleList(_layers(sizes, orthogonal))
        self.policy = _linear(hidden[-1], actions, 0.01 if orthogonal else None)
        self.value = _linear(hidden[-1], 1, 1.0 if orthogonal else None)

    def forward(self, s: Float[Tensor, "B D"]) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B"]]:
        """Return the logits z of Eq. (1), and the values of Eq. (2)."""
        h = self._trunk(self.actor, s)
        h_critic = h if self.critic is self.actor else self._trunk(self.critic, s)
        return self.policy(h), self.value(h_critic).squeeze(-1)

    def _trunk(self, layers: nn.ModuleList, s: Tensor) -> Tensor:
        f = ACTIVATIONS[self.activation]
        for layer in layers:
            s = f(layer(s))
        return s


def _layers(sizes: tuple[int, ...], orthogonal: bool) -> list[nn.Linear]:
    gain = math.sqrt(2) if orthogonal else None
    return [_linear(fan_in, fan_out, gain) for fan_in, fan_out in itertools.pairwise(sizes)]


def _linear(fan_in: int, fan_out: int, gain: float | None) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out)
    if gain is not None:
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return layer


def log_probability(logits: Float[Tensor, "*B A"], a: Int[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Return log pi(a | s) of Eq. (1), in nats."""
    return torch.log_softmax(logits, -1).gather(-1, a.unsqueeze(-1)).squeeze(-1)


def entropy(logits: Float[Tensor, "*B A"]) -> Float[Tensor, "*B"]:
    """Return the entropy of Eq. (3), in nats."""
    log_pi = torch.log_softmax(logits, -1)
    return -(log_pi.exp() * log_pi).sum(-1)


def sample(logits: Float[Tensor, "*B A"], u: Float[Tensor, "*B"]) -> Int[Tensor, "*B"]:
    """Return the action at which the cumulated probability passes u, uniform in [0, 1)."""
    passed = torch.softmax(logits, -1).cumsum(-1) <= u.unsqueeze(-1)
    return passed[..., :-1].sum(-1)  # rounding may leave the last sum below 1
