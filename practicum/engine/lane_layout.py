"""How many seeds' tensors lie in memory: every parameter and buffer stacked, lanes first.

What an optimizer moves are `leaves`, [lanes, width], whose rows are multiples of 64 numbers: fused
kernels compute the last few numbers of a tensor otherwise than the rest, so without the padding a
lane's bits would depend on its position. Large parameters are leaves of their own (their gradients
need no copy); small ones share a leaf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from practicum.engine.noise import Noise
from practicum.engine.state import State
from practicum.engine.updates import Batch, Loss
from practicum.errors import PracticumError

ROW = 64  # numbers; a multiple of every vector register and of a cache line
PLAIN = (bool, int, float, str, tuple, type(None))


class Whole(nn.Module):
    """All networks of one seed as one module, so that one `functional_call` replaces everything.

    Tensors that two networks share are one tensor here too.
    """

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(networks)
        for i, network in enumerate(networks.values()):
            self.add_module(f"part{i}", network)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {name: self.get_submodule(f"part{i}") for i, name in enumerate(self.names)}

    def forward(
        self, loss: Loss, batch: Batch, noise: Noise
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss and metrics of one seed's batch."""
        return loss(self.networks, batch, noise)

    def public(self, name: str) -> str:
        """Return the name of a part or tensor as its owner knows it."""
        head, _, rest = name.partition(".")
        if not head.startswith("part"):
            return "the loss"
        network = self.names[int(head.removeprefix("part"))]
        return f"{network}.{rest}" if rest else network


@dataclass(frozen=True)
class Leaf:
    """Parameters that lie in one tensor [lanes, width]: names, sizes, and what makes them alike.

    Attributes:
        optimizers: the optimizers that move it.
        used: by number, the updates whose loss reaches it.
        names: its parameters in order.
        shapes: their shapes, without lanes.
        width: numbers in a row, padding included.
        dtype: their type.
    """

    optimizers: tuple[str, ...]
    used: frozenset[int]
    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    width: int
    dtype: torch.dtype

    def split(self, tensor: Tensor) -> dict[str, Tensor]:
        """Return the parameters as views of the leaf, [lanes, *shape] each."""
        if len(self.shapes) == 1 and self.shapes[0].numel() == self.width:
            return {self.names[0]: tensor.view(len(tensor), *self.shapes[0])}
        sizes = [shape.numel() for shape in self.shapes]
        pieces = torch.split(tensor, [*sizes, self.width - sum(sizes)], dim=1)
        lanes = len(tensor)
        return {
            name: piece.view(lanes, *shape)
            for name, shape, piece in zip(self.names, self.shapes, pieces, strict=False)
        }

    def join(self, pieces: Mapping[str, Tensor | None], lanes: int) -> Tensor | None:
        """Return tensors [lanes, *shape] by name as one [lanes, width]; None if all are."""
        found = [pieces[name] for name in self.names]
        if all(piece is None for piece in found):
            return None
        some = next(piece for piece in found if piece is not None)
        rows = [
            some.new_zeros(lanes, shape.numel()) if piece is None else piece.reshape(lanes, -1)
            for piece, shape in zip(found, self.shapes, strict=True)
        ]
        padding = self.width - sum(shape.numel() for shape in self.shapes)
        if padding:
            rows.append(some.new_zeros(lanes, padding))
        return rows[0].contiguous() if len(rows) == 1 else torch.cat(rows, dim=1)


def plan_leaves(state: State, whole: Whole, used: Sequence[frozenset[str]]) -> tuple[Leaf, ...]:
    """Decide which parameters share a leaf.

    Args:
        state: one seed's networks and optimizers.
        whole: its networks as one module.
        used: for each update, the parameters that its loss reaches.
    """
    owners: dict[int, list[str]] = {}
    for name, optimizer in state.optimizers.items():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                owners.setdefault(id(parameter), []).append(name)
    alike: dict[Any, list[tuple[str, Tensor]]] = {}
    for name, parameter in whole.named_parameters():
        reached = frozenset(i for i, names in enumerate(used) if name in names)
        if id(parameter) in owners and parameter.requires_grad and reached:
            key: tuple[Any, ...] = (tuple(owners[id(parameter)]), reached, parameter.dtype)
            alone = (name,) if parameter.numel() % ROW == 0 else ()
            alike.setdefault((*key, alone), []).append((name, parameter))
    return tuple(
        Leaf(
            optimizers=key[0],
            used=key[1],
            names=tuple(name for name, _ in members),
            shapes=tuple(parameter.shape for _, parameter in members),
            width=-(-sum(parameter.numel() for _, parameter in members) // ROW) * ROW,
            dtype=key[2],
        )
        for key, members in alike.items()
    )


class Stacked:
    """The tensors of all lanes.

    Attributes:
        leaves: what the optimizers move, [lanes, width] each.
        moved: the parameters in the leaves, views by name, [lanes, *shape] each.
        others: parameters that nothing moves, and buffers, by name, [lanes, *shape] each.
    """

    def __init__(self, plan: tuple[Leaf, ...], wholes: Sequence[Whole]) -> None:
        self.plan, self.lanes = plan, len(wholes)
        first = next(iter(wholes[0].parameters()), None)
        device = None if first is None else first.device
        self.leaves = [
            torch.zeros(self.lanes, leaf.width, dtype=leaf.dtype, device=device) for leaf in plan
        ]
        self.moved = {
            name: view
            for leaf, tensor in zip(plan, self.leaves, strict=True)
            for name, view in leaf.split(tensor.detach()).items()
        }
        self._parts = {name: f"part{i}." for i, name in enumerate(wholes[0].names)}
        rows = [tensors_of(whole) for whole in wholes]
        with torch.no_grad():
            for name, view in self.moved.items():
                for lane, tensors in enumerate(rows):
                    view[lane].copy_(tensors[name])
            self.others = {
                name: torch.stack([tensors[name].detach() for tensors in rows])
                for name in rows[0]
                if name not in self.moved
            }
        for leaf in self.leaves:
            leaf.requires_grad_()

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors as a program takes them: the moved ones, then the others."""
        return [*self.moved.values(), *self.others.values()]

    def of(self, network: str) -> dict[str, Tensor]:
        """Return all tensors of one network by their names in it, [lanes, *shape] each."""
        part = self._parts[network]
        return {
            name.removeprefix(part): tensor
            for name, tensor in {**self.moved, **self.others}.items()
            if name.startswith(part)
        }

    @torch.no_grad()
    def copy_lane(self, lane: int, whole: Whole) -> None:
        """Write one lane's numbers into the modules of its seed."""
        stacked = {**self.moved, **self.others}
        for name, tensor in tensors_of(whole).items():
            tensor.copy_(stacked[name][lane])

    def state_dict(self) -> dict[str, Any]:
        """Return every number."""
        return {"leaves": [leaf.detach() for leaf in self.leaves], "others": self.others}

    @torch.no_grad()
    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Set every number."""
        for leaf, values in zip(self.leaves, saved["leaves"], strict=True):
            leaf.copy_(values)
        for name, values in saved["others"].items():
            self.others[name].copy_(values)


def tensors_of(whole: Whole) -> dict[str, Tensor]:
    """Return a seed's parameters and buffers by name, each tensor once."""
    return {**dict(whole.named_parameters()), **dict(whole.named_buffers())}


def check_alike(wholes: Sequence[Whole]) -> None:
    """Refuse seeds whose networks differ in more than the numbers in parameters and buffers.

    Raises:
        PracticumError: names the part that differs.
    """
    reference = wholes[0]
    shapes = {name: (one.shape, one.dtype) for name, one in tensors_of(reference).items()}
    for whole in wholes[1:]:
        if {name: (one.shape, one.dtype) for name, one in tensors_of(whole).items()} != shapes:
            raise PracticumError(
                "the seeds' networks differ in the names or shapes of their tensors, so they "
                "cannot share a program of lanes; they run seed by seed in workers"
            )
        for (name, mine), theirs in zip(reference.named_modules(), whole.modules(), strict=True):
            for key, value in vars(mine).items():
                if not _same(value, vars(theirs).get(key)):
                    raise PracticumError(
                        f"{reference.public(name)}: attribute {key!r} of {type(mine).__name__} "
                        "differs between seeds, and lanes only give each seed its own parameters "
                        "and buffers; register it as a buffer, or let it run seed by seed"
                    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    return not isinstance(one, PLAIN) or bool(one == other)
