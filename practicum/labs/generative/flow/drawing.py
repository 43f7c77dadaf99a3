"""The figures of the lab `flow` that no other lab has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from practicum.labs import figures as draw
from practicum.labs.generative.flow.models import Flowing, Model
from practicum.nn.realnvp import RealNVP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REACH, CELLS, SAMPLES, LINES = 2.6, 110, 500, 25


def maps(fits: Mapping[str, Model]) -> Figure:
    """Draw each model's density, one row for each set."""
    sets = list(dict.fromkeys(arm.split()[0] for arm in fits))
    columns = max(sum(arm.startswith(name) for arm in fits) for name in sets)
    figure, axes = draw.canvas(len(sets), columns, height=1.25 * len(sets) + 0.1)
    side = torch.linspace(-REACH, REACH, CELLS)
    grid = torch.cartesian_prod(side, side)
    with draw.style():
        for ax in axes:
            ax.set_axis_off()
        for row, name in enumerate(sets):
            mine = [arm for arm in fits if arm.startswith(name)]
            top = max(float(fits[arm].log_density(grid).max()) for arm in mine[-1:])
            for column, arm in enumerate(mine):
                density = fits[arm].log_density(grid).double().exp().sqrt().reshape(CELLS, CELLS)
                ax = axes[row * columns + column]
                ax.imshow(
                    density.T.numpy(),
                    origin="lower",
                    cmap="magma",
                    vmin=0,
                    vmax=torch.tensor(top).exp().sqrt().item(),
                )
                ax.set_title(arm.removeprefix(f"{name} "), fontsize=8, loc="center")
    return figure


def warped(fits: Mapping[str, Model]) -> Figure:
    """Draw how normal points and a grid become data, some couplings at a time."""
    flows = {
        arm: one.network
        for arm, one in fits.items()
        if isinstance(one, Flowing) and isinstance(one.network, RealNVP) and "realnvp" in arm
    }
    stages = 4
    figure, axes = draw.canvas(max(1, len(flows)), stages, height=1.75 * max(1, len(flows)))
    noise = torch.randn(SAMPLES, 2, generator=torch.Generator().manual_seed(0))
    along = torch.linspace(-2.5, 2.5, 200)
    with draw.style():
        for row, (arm, network) in enumerate(flows.items()):
            number = len(network.couplings)
            marks = [round(number * stage / (stages - 1)) for stage in range(stages)]
            for column, undone in enumerate(marks):
                ax = axes[row * stages + column]
                for level in torch.linspace(-2.5, 2.5, LINES):
                    for line in (
                        torch.stack([level.expand(200), along], 1),
                        torch.stack([along, level.expand(200)], 1),
                    ):
                        ax.plot(
                            *back(network, line, undone).T.numpy(),
                            color=draw.MUTED, linewidth=0.35, alpha=0.6,
                        )  # fmt: skip
                ax.plot(
                    *back(network, noise, undone).T.numpy(),
                    ".", color=draw.COLOURS[row], markersize=1.6,
                )  # fmt: skip
                ax.set_xlim(-2.8, 2.8)
                ax.set_ylim(-2.8, 2.8)
                ax.set_aspect("equal")
                ax.set_xticks([])
                ax.set_yticks([])
                ax.set_title(f"{undone} of {number}", fontsize=8, loc="center")
            axes[row * stages].set_ylabel(arm.split()[0])
    return figure


@torch.no_grad()
def back(network: RealNVP, z: torch.Tensor, couplings: int) -> torch.Tensor:
    """Return points after the last so many couplings have been undone."""
    for coupling in list(reversed(network.couplings))[:couplings]:
        z = coupling.inverse(z)  # type: ignore[operator]  # torch takes a list's items for Any
    return z
