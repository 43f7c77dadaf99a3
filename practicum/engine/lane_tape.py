"""Recording a function of tensors as the list of tensor operations that it comes down to.

What `make_fx` does, without symbolic shapes and the metadata that torch.compile would need: a
recording costs about as much as ten calls of the function, not hundreds. Shapes, Python numbers and
branches are those of the recorded call.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from practicum.errors import PracticumError

aten = torch.ops.aten


def record(function: Callable[..., tuple[Any, ...]], example: Sequence[Tensor]) -> fx.GraphModule:
    """Call a function once and return its operations; node.meta["val"] is what each returned.

    Args:
        function: takes tensors; returns a tuple of tensors and None.
        example: its arguments; they are not written to if the function does not.
    """
    with _Tape(example) as tape:
        results = function(*example)
    tape.graph.output(tuple(None if one is None else tape.node(one) for one in results))
    return fx.GraphModule(tape.constants, tape.graph)


class _Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    """Writes down every operation below autograd and vmap."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self.graph, self.constants = fx.Graph(), nn.Module()
        self._nodes: dict[int, fx.Node] = {}
        self._alive: list[Tensor] = []  # so that no number of a tensor is given twice
        self._computed: set[int] = set()  # where in memory the results lie
        self._outside: set[int] = set()  # and where the constants do
        for i, one in enumerate(inputs):
            self._know(one, self.graph.placeholder(f"input{i}"))

    def _know(self, tensor: Tensor, node: fx.Node) -> None:
        self._nodes[id(tensor)] = node
        self._alive.append(tensor)
        node.meta["val"] = tensor

    def node(self, tensor: Tensor) -> fx.Node:
        """Return what computed a tensor; one from outside is a constant of the program."""
        if id(tensor) not in self._nodes:
            where = tensor.untyped_storage().data_ptr()
            if where in self._computed:  # as a constant it would be the same in every run
                raise PracticumError("a tensor was computed out of sight of torch's dispatcher")
            self._outside.add(where)
            name = f"constant{len(self._alive)}"
            setattr(self.constants, name, tensor)
            self._know(tensor, self.graph.get_attr(name))
        return self._nodes[id(tensor)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is aten.lift_fresh.default:  # a literal: every run needs its own
            func = aten.lift_fresh_copy.default
        node = self.graph.call_function(func, *tree_map(self._argument, (args, kwargs)))
        if isinstance(result, Tensor):
            self._compute(result, node)
        elif isinstance(result, (tuple, list)):
            for i, one in enumerate(result):
                if isinstance(one, Tensor):
                    self._compute(one, self.graph.call_function(operator.getitem, (node, i)))
        return result

    def _compute(self, tensor: Tensor, node: fx.Node) -> None:
        self._know(tensor, node)
        where = tensor.untyped_storage().data_ptr()
        if where not in self._outside and where != 0:
            self._computed.add(where)

    def _argument(self, one: Any) -> Any:
        return self.node(one) if isinstance(one, Tensor) else one
