"""Arms that a colour-blind reader cannot tell apart, a band that is no 95 % interval, a diverged
trial that vanishes from a picture, figures whose parts collide in one page: caught here."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from practicum.engine.record import Record
from practicum.errors import PracticumError
from practicum.labs import figures
from practicum.report import svg

LIGHT, DARK = "#fdfdfc", "#16191d"  # the two papers of report.css
# Machado, Oliveira, Fernandes 2009, severity 1: what protanopes, deuteranopes, tritanopes see.
SIGHT = {
    name: np.array(rows.split(), dtype=float).reshape(3, 3)
    for name, rows in {
        "normal": "1 0 0  0 1 0  0 0 1",
        "protanopia": """0.152286 1.052583 -0.204868  0.114503 0.786281 0.099216
                         -0.003882 -0.048116 1.051998""",
        "deuteranopia": """0.367322 0.860646 -0.227968  0.280085 0.672501 0.047413
                           -0.011820 0.042940 0.968881""",
        "tritanopia": """1.255528 -0.076749 -0.178779  -0.078411 0.930809 0.147602
                         0.004733 0.691367 0.303900""",
    }.items()
}


def linear(colour: str) -> Any:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of WCAG 2."""
    low, high = sorted(float(linear(one) @ [0.2126, 0.7152, 0.0722]) for one in (first, second))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: Any) -> Any:
    """Return CIE L*a*b* (D65) of linear sRGB."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    scaled = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("paper", [LIGHT, DARK, "#ffffff"])
def test_every_colour_stands_out_from_the_paper(paper: str) -> None:
    assert min(contrast(colour, paper) for colour in figures.COLOURS) >= 3


@pytest.mark.parametrize("sight", list(SIGHT))
def test_the_first_five_colours_differ_for_every_kind_of_sight(sight: str) -> None:
    seen = [lab(SIGHT[sight] @ linear(colour)) for colour in figures.COLOURS[:5]]
    nearest = min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))
    assert nearest > 12
    # The check can fail: a green and a red of one lightness are one colour to a deuteranope.
    same = [lab(SIGHT["deuteranopia"] @ linear(colour)) for colour in ("#b8733f", "#8f8a3d")]
    assert float(np.linalg.norm(same[0] - same[1])) < 12


def test_no_two_of_forty_arms_look_the_same() -> None:
    looks = figures.looks([str(i) for i in range(40)])
    seen = {(look["color"], look["marker"]) for look in looks.values()}
    assert len(seen) == 40
    first = list(looks.values())[:6]
    assert len({str(look["linestyle"]) for look in first}) == 6


def test_the_half_width_is_students_and_leaves_out_what_is_not_finite() -> None:
    values = np.array([[1.0, 5.0], [2.0, np.nan], [4.0, 7.0], [9.0, np.inf]])
    mean, half = figures.mean_and_half_width(values)
    for column, left in ((0, values[:, 0]), (1, np.array([5.0, 7.0]))):
        low, high = stats.t.interval(0.95, len(left) - 1, left.mean(), stats.sem(left))
        assert mean[column] == pytest.approx(left.mean())
        assert half[column] == pytest.approx((high - low) / 2)
    assert np.isnan(figures.mean_and_half_width(np.array([[1.0]]))[1]).all()


def test_the_band_and_the_line_of_a_curve_are_the_means(record: Record) -> None:
    (axes,) = figures.curves(record, "loss").axes
    values = record.values("loss", "plain")
    mean, half = figures.mean_and_half_width(values)
    line = next(one for one in axes.lines if one.get_label() == "plain")
    np.testing.assert_array_equal(line.get_xdata(), range(0, 90, 10))
    np.testing.assert_allclose(line.get_ydata(), mean)
    edge = axes.collections[0].get_paths()[0].vertices
    assert edge[:, 1].max() == pytest.approx((mean + half).max())
    assert len(axes.lines) == 3 * (6 + 1)  # every seed and the mean, of every arm
    assert axes.get_ylabel() == "loss (nats)"


def test_a_diverged_trial_stands_at_its_declared_value_and_is_named(record: Record) -> None:
    (axes,) = figures.dots(record, "test_error").axes
    shown = np.concatenate([np.ravel(one.get_xdata()) for one in axes.lines])
    assert 90.0 in shown
    assert "<b>wide</b>\n(1 of 6 diverged)" in [one.get_text() for one in axes.get_yticklabels()]


def test_a_setting_is_drawn_in_order_and_ticked_where_it_was_tried(record: Record) -> None:
    by = {"narrow to wide": ["<b>wide</b>", "plain"]}
    (axes,) = figures.against(record, "accuracy", "width", by=by, log_x=True).axes
    lines = [one for one in axes.lines if len(np.ravel(one.get_xdata())) == 2]
    assert all(list(np.ravel(one.get_xdata())) == [32, 64] for one in lines)
    assert [one.get_text() for one in axes.get_xticklabels()] == ["32", "64"]


def test_wrong_shapes_and_names_are_refused(record: Record) -> None:
    with pytest.raises(PracticumError, match="no curve named 'accuracy'"):
        figures.curves(record, "accuracy")
    with pytest.raises(PracticumError, match="draw a curve with `curves`"):
        figures.dots(record, "loss")
    with pytest.raises(PracticumError, match="did you mean 'plain'"):
        figures.dots(record, "accuracy", arms=["plane"])
    with pytest.raises(PracticumError, match=r"\[images, height, width\]"):
        figures.tiles(np.zeros((3, 4)))


def test_pictures_need_no_pyplot() -> None:
    """pyplot keeps every figure alive and picks a window system; neither belongs in a run."""
    code = (
        "import sys, numpy as np; from practicum.labs import figures; "
        "figures.tiles(np.zeros((5, 3, 4)), list('abcde')).canvas.draw(); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_two_figures_share_no_identifier_and_give_the_same_bytes_twice(
    record: Record, toy: SimpleNamespace
) -> None:
    first, again, second = (
        svg.inline(figures.dots(record, "accuracy"), name=name, alt=toy.hostile)
        for name in ("a", "a", "b")
    )
    assert first == again
    ids = [set(re.findall(r'\bid="([^"]+)"', one)) for one in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert "<script" not in first
