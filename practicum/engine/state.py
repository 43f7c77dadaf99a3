"""What a step reads and returns: everything that training changes, by name.

Several networks and several optimizers are ordinary: each is one named part. Nothing that decides
the next step lives anywhere else, so a state (with the source's position and the generators') is
all that a checkpoint needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass
class State:
    """The named parts of a training run.

    Attributes:
        networks: the modules, by name.
        optimizers: the optimizers, by name; each holds parameters of one or several networks.
        buffers: tensors that a rule keeps (a chain's particles, the norms that a clip has seen).
        counters: whole numbers; the loop keeps `step` here.
    """

    networks: dict[str, nn.Module] = field(default_factory=dict)
    optimizers: dict[str, Optimizer] = field(default_factory=dict)
    buffers: dict[str, Tensor] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """The number of steps done."""
        return self.counters.get("step", 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as nested dicts of tensors and numbers, for a checkpoint."""
        return {
            "networks": {name: one.state_dict() for name, one in self.networks.items()},
            "optimizers": {name: one.state_dict() for name, one in self.optimizers.items()},
            "buffers": dict(self.buffers),
            "counters": dict(self.counters),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Set every part to what `state_dict` returned for a state with the same parts."""
        for name, network in self.networks.items():
            network.load_state_dict(saved["networks"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(saved["optimizers"][name])
        self.buffers = dict(saved["buffers"])
        self.counters = dict(saved["counters"])
