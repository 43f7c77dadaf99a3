r"""Equations in LaTeX as inline SVG, drawn with matplotlib's mathtext: no TeX, no script, no font.

An equation becomes one path in the reader's text colour, with its LaTeX source as the accessible
name. What mathtext cannot set is shown as its LaTeX source instead, never dropped.

mathtext knows a part of LaTeX. What the lessons need beyond it is rewritten here: short names
(`\le`, `\tfrac`), `\tag`, several aligned rows, and cases.
"""

from __future__ import annotations

import re
from functools import lru_cache

from markupsafe import Markup, escape

_SIZE = 100.0  # units per em in the path's coordinates
_NAMES = {
    r"\le": r"\leq", r"\ge": r"\geq", r"\ne": r"\neq", r"\lt": "<", r"\gt": ">",
    r"\lVert": r"\|", r"\rVert": r"\|", r"\Vert": r"\|", r"\lvert": "|", r"\rvert": "|",
    r"\tfrac": r"\frac", r"\bm": r"\boldsymbol", r"\implies": r"\Rightarrow",
    r"\iff": r"\Leftrightarrow", r"\land": r"\wedge", r"\lor": r"\vee", r"\dots": r"\ldots",
    r"\displaystyle": "", r"\textstyle": "", r"\nonumber": "", r"\limits": "",
    **{rf"\{size}{side}": "" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r")},
}  # fmt: skip
_CASES = re.compile(r"\\begin\{cases\}(.*?)\\end\{cases\}", re.DOTALL)
_ROWS = re.compile(r"\\begin\{(aligned|align\*?|gathered|split)\}(.*)\\end\{\1\}", re.DOTALL)


def display(latex: str) -> Markup:
    r"""Return a displayed equation as HTML: its rows, and the number that `\tag` gave it."""
    tag = re.search(r"\\tag\{([^}]*)\}", latex)
    body = re.sub(r"\\(tag|label)\{[^}]*\}", "", latex).strip()
    rows = _ROWS.fullmatch(body)
    lines = re.split(r"\\\\", rows.group(2)) if rows else [body]
    cells = [[part.strip() for part in line.split("&")] if rows else [line] for line in lines]
    cells = [row for row in cells if any(row)]
    drawn = [[_svg(_tall(cell)) if cell else Markup("") for cell in row] for row in cells]
    if any(cell is None for row in drawn for cell in row):
        return Markup('<pre class="latex"><code>{}</code></pre>').format(latex.strip())
    lines_html = Markup("").join(_row(row, columns=rows is not None) for row in drawn)
    number = Markup('<span class="number">({})</span>').format(tag.group(1)) if tag else ""
    return Markup('<div class="equation"><div class="rows">{}</div>{}</div>').format(
        lines_html, number
    )


def inline(latex: str) -> Markup:
    """Return an equation inside a sentence as HTML."""
    return _svg(latex.strip()) or Markup('<code class="latex">{}</code>').format(latex.strip())


def _row(cells: list[Markup | None], *, columns: bool) -> Markup:
    if not columns:
        return Markup("<span>{}</span>").format(cells[0])
    left, right = cells[0], Markup(" ").join(cell for cell in cells[1:] if cell is not None)
    return Markup('<span class="left">{}</span><span class="right">{}</span>').format(left, right)


def _tall(latex: str) -> str:
    """Give a displayed equation's own fractions full height; those inside braces stay small."""
    parts, depth = re.split(r"(\\[dt]?frac(?![A-Za-z])|[{}])", latex), 0
    for i, part in enumerate(parts):
        depth += (part == "{") - (part == "}")
        if part == r"\frac" and depth == 0:
            parts[i] = r"\dfrac"
    return "".join(parts)


def to_mathtext(latex: str) -> str:
    """Rewrite LaTeX into what mathtext reads."""
    text = " ".join(latex.split())
    text = _CASES.sub(lambda found: _cases(found.group(1)), text)
    text = re.sub(r"\\[A-Za-z]+", lambda found: _NAMES.get(found.group(), found.group()), text)
    # \frac12 is \frac{1}{2}: mathtext wants the braces.
    return re.sub(r"\\(d?)frac\s*([0-9])\s*([0-9])", r"\\\1frac{\2}{\3}", text)


def _cases(body: str) -> str:
    rows = [row.replace("&", r"\quad ").strip() for row in re.split(r"\\\\", body)]
    return r"\left\{ \substack{" + r" \\ ".join(row for row in rows if row) + r"} \right."


@lru_cache(maxsize=1024)
def _svg(latex: str) -> Markup | None:
    """Draw one piece of an equation; None where mathtext cannot."""
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    with mpl.rc_context({"mathtext.fontset": "stix"}):
        try:
            path = TextPath((0, 0), f"${to_mathtext(latex)}$", size=_SIZE, prop=FontProperties())
        except (ValueError, RuntimeError):  # a parse error, or a glyph that the font lacks
            return None
    box = path.get_extents()
    if not (box.width > 0 and box.height > 0):
        return None
    pad = 2.0
    left, bottom = box.x0 - pad, box.y0 - pad
    width, height = box.width + 2 * pad, box.height + 2 * pad
    return Markup(
        '<svg class="math" role="img" aria-label="{}" viewBox="{:.0f} {:.0f} {:.0f} {:.0f}" '
        'style="width:{:.2f}em;height:{:.2f}em;vertical-align:{:.2f}em">'
        '<path fill="currentColor" d="{}"/></svg>'
    ).format(
        escape(latex), left, -(bottom + height), width, height,
        width / _SIZE, height / _SIZE, bottom / _SIZE, _d(path),
    )  # fmt: skip


def _d(path: object) -> str:
    """Return a matplotlib path as an SVG path, the vertical axis turned round."""
    from matplotlib.path import Path

    assert isinstance(path, Path)
    letters = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}
    parts = []
    for points, code in path.iter_segments(curves=True, simplify=False):
        if code == Path.CLOSEPOLY:
            parts.append("Z")
            continue
        pairs = zip(points[::2], points[1::2], strict=True)
        parts.append(letters[code] + " ".join(f"{x:.1f} {-y:.1f}" for x, y in pairs))
    return "".join(parts)
