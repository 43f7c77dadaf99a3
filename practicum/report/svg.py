"""Figures as SVG that can stand inside an HTML page, in light, in dark and on paper.

matplotlib writes complete files. Inside a page, several of them would share identifiers and style
rules, and their black and white would stay black and white in dark mode. So identifiers get the
figure's own prefix, rules that reach beyond the figure go, black becomes the reader's text colour
(`currentColor`) and white the page's (`var(--paper)`).
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_REFERENCE = re.compile(r'\b(id="|href="#|url\(#)([^")]+)')
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_STYLE = re.compile(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", re.DOTALL)
_INK = re.compile(r"(?<![\w#])#000000\b")
_PAPER = re.compile(r"(?<![\w#])#ffffff\b", re.IGNORECASE)


def inline(figure: Figure, *, name: str, alt: str) -> Markup:
    """Return a figure as an `<svg>` element.

    Args:
        figure: what to draw.
        name: prefix of every identifier, different for each figure of a page.
        alt: what the figure shows, for those who cannot see it.
    """
    text = _file(figure)
    body = text[text.index("<svg") :]
    head, rest = body.split(">", 1)
    rest = _STYLE.sub("", _METADATA.sub("", rest), count=1)
    rest = re.sub(r"<!--.*?-->\s*", "", rest, flags=re.DOTALL)
    rest = _PAPER.sub("var(--paper)", _INK.sub("currentColor", rest))
    rest = _REFERENCE.sub(lambda found: f"{found.group(1)}{name}-{found.group(2)}", rest)
    box = re.search(r'viewBox="([^"]+)"', head)
    assert box is not None, "matplotlib writes a viewBox"
    width = float(box.group(1).split()[2])
    # Names, sizes and text are escaped above or by matplotlib; the rest is matplotlib's markup.
    opening = Markup(
        '<svg class="figure" role="img" aria-label="{}" viewBox="{}" style="max-width:{:.0f}px"'
        ' fill="currentColor" stroke-linejoin="round">'
    ).format(escape(alt), box.group(1), width * 4 / 3)
    return opening + Markup(re.sub(r"\n\s*", "\n", rest.strip()))


def _file(figure: Figure) -> str:
    import matplotlib as mpl

    file = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    rules = {"svg.fonttype": "path", "svg.hashsalt": "practicum", "svg.image_inline": True}
    with mpl.rc_context(rules):  # type: ignore[arg-type]  # the stubs want literal keys
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    return file.getvalue()
