"""The figures of the lab `gcn` that no other lab has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from practicum.engine.record import Record

SHOWN = 700  # nodes in a panel; more would cover each other


def hidden_layers(record: Record, arms: Sequence[str]) -> Figure:
    """Draw the hidden representation of the first seed's nodes, one panel for each arm."""
    figure, axes = draw.canvas(1, len(arms), height=2.5)
    with draw.style():
        for ax, arm in zip(axes, arms, strict=True):
            kept = record.weights(arm, record.seeds[0])
            at = main_directions(kept["hidden"].double().numpy())[:SHOWN]
            classes = kept["classes"].numpy()[:SHOWN]
            names = [str(one) for one in range(int(kept["classes"].max()) + 1)]
            for kind, look in enumerate(draw.looks(names).values()):
                mine = at[classes == kind]
                ax.scatter(
                    mine[:, 0], mine[:, 1], s=7, color=look["color"], marker=look["marker"],
                    alpha=0.7, linewidths=0,
                )  # fmt: skip
            ax.set_title(arm)
            ax.set_xticks([])
            ax.set_yticks([])
    return figure


def main_directions(h: Float[Array, "n H"]) -> Float[Array, "n 2"]:
    """Return the coordinates along the two directions of largest variance.

    The sign of each is chosen so that its longest entry points up or right.
    """
    centred = h - h.mean(0)
    u, s, _ = np.linalg.svd(np.pad(centred, ((0, 0), (0, 2))), full_matrices=False)
    at = u[:, :2] * s[:2]
    signs = np.sign(at[np.abs(at).argmax(0), [0, 1]])
    return np.asarray(at * np.where(signs == 0, 1.0, signs))


def club(record: Record, arm: str) -> Figure:
    """Draw the karate club: who was placed in which faction by the first seed."""
    from practicum.data import load_graph

    graph = load_graph("karate")
    kept = record.weights(arm, record.seeds[0])
    figure, (ax,) = draw.canvas(height=3.9)
    if len(kept["classes"]) != len(graph.y):  # the arm was run on another graph
        ax.text(0.5, 0.5, "drawn for the karate club only", ha="center", transform=ax.transAxes)
        return figure
    truth, said = graph.y.numpy(), kept["logits"].argmax(1).numpy()
    at = laid_out(graph.edges.numpy(), len(truth))
    with draw.style():
        for one, other in graph.edges.T.tolist():
            ax.plot(*at[[one, other]].T, color=draw.MUTED, linewidth=0.6, alpha=0.6, zorder=1)
        leaders = np.isin(np.arange(len(truth)), graph.train.numpy())
        for kind, look in enumerate(draw.looks(graph.classes).values()):
            _members(ax, at, (truth == kind) & ~leaders, 60, look)
            _members(ax, at, (truth == kind) & leaders, 190, look, label=graph.classes[kind])
        wrong = said != truth
        ax.scatter(
            at[wrong, 0],
            at[wrong, 1],
            s=150,
            facecolors="none",
            edgecolors=draw.INK,
            linewidths=1.5,
        )
        ax.set_axis_off()
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def _members(
    ax: Axes,
    at: Float[Array, "n 2"],
    which: Bool[Array, "n"],
    size: float,
    look: dict[str, str],
    label: str | None = None,
) -> None:
    x, y = at[which].T
    ax.scatter(x, y, s=size, color=look["color"], marker=look["marker"], label=label, zorder=2)


def laid_out(edges: Int[Array, "2 E"], nodes: int, *, rounds: int = 300) -> Float[Array, "n 2"]:
    """Return a place for every node: edges pull, all nodes push, and moves get smaller.

    Source: Fruchterman and Reingold 1991, Graph drawing by force-directed placement, Software:
    Practice and Experience 21:1129-1164; nodes begin on a circle, so nothing is random.
    """
    turn = 2 * np.pi * np.arange(nodes) / nodes
    at = np.stack([np.cos(turn), np.sin(turn)], 1)
    joined = np.zeros((nodes, nodes))
    joined[edges[0], edges[1]] = joined[edges[1], edges[0]] = 1
    k = np.sqrt(4 / nodes)
    for one in range(rounds):
        apart = at[:, None] - at[None]
        far = np.maximum(np.linalg.norm(apart, axis=2), 1e-3)
        force = k**2 / far - joined * far**2 / k
        push = (apart / far[..., None] * force[..., None]).sum(1)
        length = np.maximum(np.linalg.norm(push, axis=1, keepdims=True), 1e-9)
        at = at + push / length * np.minimum(length, 0.2 * (1 - one / rounds))
    return np.asarray(at)
