"""The figures of the lab `autoencoder` that no other lab has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from practicum.labs import figures as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from practicum.engine.record import Record


def reconstructions(record: Record, arms: Sequence[str]) -> Figure:
    """Draw test images in the first row, and below them what each arm makes of their codes."""
    kept = {arm: record.weights(arm, record.seeds[0]) for arm in arms}
    rows = {"image": kept[arms[0]]["shown.images"]}
    rows |= {arm: kept[arm]["shown.made"] for arm in arms}
    columns, pixels = rows["image"].shape
    side = round(pixels**0.5)
    shape = (side, side) if side**2 == pixels else (1, pixels)
    figure, axes = draw.canvas(len(rows), columns, height=0.55 * len(rows))
    with draw.style():
        for i, ax in enumerate(axes):
            name = list(rows)[i // columns]
            image = rows[name][i % columns].double().reshape(shape)
            ax.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if i % columns == 0:
                ax.set_ylabel(name, rotation=0, horizontalalignment="right", va="center")
    return figure


def codes(record: Record, panels: Mapping[str, str]) -> Figure:
    """Draw the codes of two numbers of test images, one panel for each of some arms."""
    from matplotlib import colormaps

    figure, axes = draw.canvas(1, len(panels), height=3.1)
    with draw.style():
        for ax, (title, arm) in zip(axes, panels.items(), strict=True):
            kept = record.weights(arm, record.seeds[0])
            ax.set_title(title)
            ax.set_axis_off()
            if "shown.codes" not in kept:  # the setting `code` was changed
                ax.set_title(f"{title}: no code of two numbers")
                continue
            found, classes = kept["shown.codes"].double().numpy(), kept["shown.classes"].numpy()
            for k in sorted({int(one) for one in classes}):
                mine = found[classes == k]
                ax.plot(
                    mine[:, 0], mine[:, 1], linestyle="none", marker=f"${k}$", markersize=4.5,
                    color=colormaps["tab10"](k % 10), markeredgewidth=0,
                )  # fmt: skip
    return figure
