"""Q-network: the value of every action in a state, in one pass.

Papers: Mnih et al., "Human-level control through deep reinforcement learning", Nature 518 (2015)
529-533 (one output an action). Wang et al., "Dueling network architectures for deep reinforcement
learning", arXiv:1511.06581v3 (two streams).

Equations:
    (1)  Q(s, .) = W h(s) + b                                        plain
    (9)  Q(s, a) = V(s) + (A(s, a) - mean over a' of A(s, a'))       dueling, the paper's number

Shapes: B states, D numbers in an observation, A actions.

Deviations:
    1. The trunk is a multilayer perceptron: observations are vectors here, not frames of a screen.

Known failure signs: values that grow without bound (no target network, or one that follows too
fast); equal values for all actions.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError, unknown
from practicum.nn.mlp import ACTIVATIONS, MLP


class QNetwork(nn.Module):
    """Values of discrete actions.

    Args:
        observation: D.
        actions: A.
        hidden: units of each hidden layer; the heads stand on the last one.
        activation: "relu", "tanh" or "sigmoid".
        dueling: two streams, Eq. (9), instead of one layer.

    Raises:
        PracticumError: no such activation, or no hidden layer.
    """

    def __init__(
        self,
        observation: int,
        actions: int,
        *,
        hidden: tuple[int, ...] = (64, 64),
        activation: str = "relu",
        dueling: bool = False,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        if not hidden:
            raise PracticumError("a Q-network needs at least one hidden layer")
        self.activation = activation
        self.trunk = MLP(observation, hidden[:-1], hidden[-1], activation=activation)
        self.actions = nn.Linear(hidden[-1], actions)
        self.state = nn.Linear(hidden[-1], 1) if dueling else None

    def forward(self, s: Float[Tensor, "B D"]) -> Float[Tensor, "B A"]:
        """Return Q(s, a) for every action a."""
        h = ACTIVATIONS[self.activation](self.trunk(s))
        values: Tensor = self.actions(h)
        if self.state is None:
            return values  # Eq. (1)
        V: Tensor = self.state(h)
        return V + (values - values.mean(-1, keepdim=True))  # Eq. (9)
