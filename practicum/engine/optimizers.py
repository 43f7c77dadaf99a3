"""Optimizers as data: a frozen description that builds a `torch.optim` optimizer.

Only optimizers whose update is elementwise may train lanes: lanes share one tensor, and an update
that looks at a whole tensor (Adafactor's row means, LAMB's norms) would mix them silently.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, SupportsIndex

import torch
from torch import Tensor
from torch.optim import Optimizer

from practicum.errors import PracticumError

# Elementwise updates that torch.optim offers; `tests/engine/test_lanes.py` proves each of them.
ELEMENTWISE = ("SGD", "Adam", "AdamW", "NAdam", "RMSprop", "Adagrad")


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent, with heavy-ball momentum and L2 decay (`torch.optim.SGD`)."""

    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam, Kingma and Ba 2015, arXiv:1412.6980v9 (`torch.optim.Adam`)."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled decay, Loshchilov and Hutter 2019, arXiv:1711.05101v3."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    amsgrad: bool = False


@dataclass(frozen=True, kw_only=True)
class NAdam:
    """Adam with Nesterov momentum, Dozat 2016 (`torch.optim.NAdam`)."""

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3


@dataclass(frozen=True, kw_only=True)
class RMSprop:
    """Root mean square propagation, Tieleman and Hinton 2012 (`torch.optim.RMSprop`)."""

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False


@dataclass(frozen=True, kw_only=True)
class Adagrad:
    """Adaptive subgradients, Duchi, Hazan and Singer 2011, JMLR 12 (`torch.optim.Adagrad`)."""

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    eps: float = 1e-10


@dataclass(frozen=True, kw_only=True)
class Adafactor:
    """Adam with factored second moments, Shazeer and Stern 2018, arXiv:1804.04235v1.

    Its row means and norms look at whole tensors: never in lanes.
    """

    lr: float = 1e-2
    beta2_decay: float = -0.8
    weight_decay: float = 0.0


OptimizerSpec = SGD | Adam | AdamW | NAdam | RMSprop | Adagrad | Adafactor


def build(spec: OptimizerSpec, parameters: Iterable[Tensor], *, fused: bool = True) -> Optimizer:
    """Build the `torch.optim` optimizer that a description stands for.

    Args:
        spec: the description.
        parameters: the tensors to train.
        fused: use the kernel that updates everything in one pass (another rounding, faster),
            where the optimizer has one.

    Raises:
        PracticumError: torch refuses a number of the description (a negative rate), or there is
            nothing to train.
    """
    settings: dict[str, Any] = asdict(spec)
    kind = _without_compiler(getattr(torch.optim, type(spec).__name__))
    if "fused" in inspect.signature(kind).parameters:
        settings["fused"] = fused
    try:
        return kind(list(parameters), **settings)
    except ValueError as error:
        raise PracticumError(f"{kind.__name__} cannot train with these settings: {error}") from None


@cache
def _without_compiler(kind: type[Optimizer]) -> type[Optimizer]:
    """Return the optimizer with its methods as they are under torch's wrappers.

    The wrappers only tell torch's compiler to leave these methods alone, and import it for that:
    more than a second in every process. Losses are compiled here, never an optimizer.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    bare: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    bare["step"] = torch.no_grad()(inspect.unwrap(kind.step))

    def reduced(self: Optimizer, protocol: SupportsIndex) -> Any:  # pickled as torch's own
        state = object.__reduce_ex__(self, protocol)[2]
        return object.__new__, (kind,), state

    bare["__reduce_ex__"] = reduced
    return type(kind.__name__, (kind,), bare)
