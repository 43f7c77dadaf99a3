"""Lessons: Markdown with equations, as HTML that can stand inside a report.

Comments vanish, and with them a section that has nothing else; other raw HTML is shown as text,
pictures become their description (the report is one file), and only
links to the web stay links. Headings move down so that they continue the report's own order.
Equations stand between `$$` (displayed) or `$` (inside a sentence).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from practicum.report import equations

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token


def html(markdown: str, *, below: int = 2) -> Markup:
    """Return a lesson as HTML.

    Args:
        markdown: the lesson's text.
        below: the level of the heading under which the lesson stands; its own begin one deeper.
    """
    reader = _reader()
    tokens = reader.parse(markdown)
    tokens = _without_empty_sections(tokens)
    _shift_headings(tokens, below)
    _only_web_links(tokens)
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.block.ruler.before(
        "fence", "equation", _block_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    reader.block.ruler.before(
        "fence", "comment", _comment_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    reader.inline.ruler.before("escape", "equation", _inline_rule)
    rules: dict[str, Any] = {
        "display_equation": lambda tokens, i, *_: equations.display(tokens[i].content) + "\n",
        "inline_equation": lambda tokens, i, *_: equations.inline(tokens[i].content),
        "comment": lambda *_: "",
        "image": lambda tokens, i, *_: Markup("<em>[{}]</em>").format(tokens[i].content),
        "table_open": lambda *_: '<div class="box" tabindex="0"><table>\n',
        "table_close": lambda *_: "</table></div>\n",
    }
    reader.renderer.rules.update(rules)  # type: ignore[attr-defined]  # a plain dict in the class
    return reader


def _block_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read `$$ ... $$` that begins a line and ends one."""
    if state.is_code_block(start) or not _line(state, start).startswith("$$"):
        return False
    first = _line(state, start)[2:]
    lines, last = [first], start
    while not lines[-1].rstrip().endswith("$$"):
        last += 1
        if last >= end:
            return False
        lines.append(_line(state, last))
    if silent:
        return True
    token = state.push("display_equation", "", 0)
    token.content = "\n".join(lines).rstrip()[:-2].strip()
    token.block = True
    token.map = [start, last + 1]
    state.line = last + 1
    return True


def _comment_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read `<!-- ... -->` that begins a line and ends one."""
    if state.is_code_block(start) or not _line(state, start).startswith("<!--"):
        return False
    last = next((i for i in range(start, end) if "-->" in _line(state, i)), None)
    if last is None or not _line(state, last).rstrip().endswith("-->"):
        return False
    if not silent:
        state.push("comment", "", 0).map = [start, last + 1]
        state.line = last + 1
    return True


def _without_empty_sections(tokens: Sequence[Token]) -> list[Token]:
    """Leave out headings under which comments stand and nothing else, not even a deeper heading."""
    kept: list[Token] = []
    for token in [*tokens, None]:
        if token is None or token.type == "heading_open":
            commented = False
            while kept and kept[-1].type == "comment":
                kept.pop()
                commented = True
            above = kept[-1] if kept and kept[-1].type == "heading_close" else None
            if commented and above and (token is None or token.tag <= above.tag):
                del kept[-3:]
        if token is not None:
            kept.append(token)
    return kept


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _inline_rule(state: StateInline, silent: bool) -> bool:
    """Read `$...$`, or `$$...$$` in the middle of a paragraph.

    As in Pandoc, a dollar before a blank opens nothing, and one before a digit closes nothing, so
    that prices stay prices.
    """
    source, start = state.src, state.pos
    if source[start] != "$":
        return False
    mark = "$$" if source.startswith("$$", start) else "$"
    begin = start + len(mark)
    stop = source.find(mark, begin)
    body = source[begin:stop]
    after = source[stop + len(mark) : stop + len(mark) + 1]
    if stop < 0 or not body.strip():
        return False
    if mark == "$" and (body != body.strip() or after.isdigit()):
        return False
    if not silent:
        state.push("inline_equation", "", 0).content = body
    state.pos = stop + len(mark)
    return True


def _shift_headings(tokens: Sequence[Token], below: int) -> None:
    """Renumber headings so that the first is one deeper than `below` and none skips a level."""
    opened: list[int] = []  # the source levels above the current heading, one a level deeper
    for token in tokens:
        if token.type == "heading_open":
            level = int(token.tag[1])
            while opened and opened[-1] >= level:
                opened.pop()
            opened.append(level)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, below + len(opened))}"


def _only_web_links(tokens: Sequence[Token]) -> None:
    """Keep links to the web; a link to a neighbouring file leads nowhere from a single file."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open":
                to = str(child.attrs.get("href", ""))
                if to.startswith(("https://", "http://")):
                    child.attrs["rel"] = "noreferrer"
                else:
                    child.attrs = {}
