"""Where the batches of all lanes come from: tensors in memory, or experience."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from practicum.engine.experience import Act, Experience
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.source import Batches, Resumable
from practicum.engine.train import Recipe
from practicum.engine.updates import Batch, parts_of
from practicum.errors import PracticumError


def lane_source(
    recipe: Recipe, seeds: Sequence[int], act: Act, services: Services
) -> LaneBatches | LaneExperience:
    """Return what gives the batches of these seeds, lanes first."""
    if recipe.experience is None:
        return LaneBatches(recipe, seeds, services)
    return LaneExperience(recipe.experience(seeds, act), services)


class LaneBatches:
    """The batches of all lanes, each in its own seed's order: `Batches`, lane by lane."""

    resumable = True

    def __init__(self, recipe: Recipe, seeds: Sequence[int], services: Services) -> None:
        self.data = services.place(*recipe.data)
        self.device = services.device
        self.lanes = [
            Batches(self.data, recipe.batch_size, streams(seed).order(), recipe.rows_of(seed))
            for seed in seeds
        ]
        if len({one.n for one in self.lanes}) > 1:
            counts = ", ".join(f"seed {s}: {b.n}" for s, b in zip(seeds, self.lanes, strict=True))
            raise PracticumError(
                f"the seeds have different numbers of training examples ({counts}), so their "
                "batches differ in size and cannot share a program of lanes; they run seed by seed"
            )
        self._permutations: list[Tensor] = []
        self._stacked = torch.empty(0)

    def next(self) -> Batch:
        """Return the next batch, [lanes, batch, ...] each."""
        taken = [one.indices() for one in self.lanes]
        first = self.lanes[0]
        if not self._permutations or first.permutation is not self._permutations[0]:
            # A new epoch: one copy of all permutations to the device.
            self._permutations = [one.permutation for one in self.lanes]
            self._stacked = torch.stack(self._permutations).to(self.device)
        end = first.cursor - first.batch_size + len(taken[0])
        index = self._stacked[:, end - len(taken[0]) : end]
        return self.at(index)

    def at(self, index: Int[Tensor, "lanes batch"]) -> Batch:
        """Return the examples at these indices, [lanes, batch, ...] each."""
        flat = index.reshape(-1)
        return tuple(
            one.index_select(0, flat).view(*index.shape, *one.shape[1:]) for one in self.data
        )

    def state_dict(self) -> dict[str, Any]:
        """Return every lane's position."""
        return {"lanes": [one.state_dict() for one in self.lanes]}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go to a saved position."""
        for one, position in zip(self.lanes, saved["lanes"], strict=True):
            one.load_state_dict(position)
        self._permutations = []


class LaneExperience:
    """The experience of all lanes as a source of batches."""

    def __init__(self, experience: Experience, services: Services) -> None:
        self.experience, self.services = experience, services

    @property
    def resumable(self) -> bool:
        """Whether a checkpoint can hold it."""
        return isinstance(self.experience, Resumable)

    def next(self) -> Batch:
        """Return the next batch, [lanes, batch, ...] each."""
        return self.services.place(*self.experience.next())

    def state_dict(self) -> dict[str, Any]:
        """Return the experience's state; nothing if it has none, for then no file is written."""
        return self.experience.state_dict() if isinstance(self.experience, Resumable) else {}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a saved state."""
        assert isinstance(self.experience, Resumable)
        self.experience.load_state_dict(saved)


def lane_parts(batch: Batch, parts: int) -> list[Batch]:
    """Cut every lane's batch into parts, as `parts_of` cuts one seed's."""
    if parts == 1:
        return [batch]
    turned = tuple(one.transpose(0, 1) for one in batch)
    return [
        tuple(one.transpose(0, 1).contiguous() for one in part) for part in parts_of(turned, parts)
    ]
