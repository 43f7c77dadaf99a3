"""An equation that vanishes, a price read as an equation, smuggled HTML: caught here."""

from __future__ import annotations

import re

import pytest

from practicum.report import equations, prose


@pytest.mark.parametrize(
    "latex",
    [
        r"\hat{y} = \operatorname{sign}(\mathbf{w}^\top x + b)",
        r"\tfrac12 \sum_{i \ne j} w_{ij} s_i s_j \le \lVert s \rVert^2",
        r"\begin{aligned} a &= b \\ c &= d + e \end{aligned} \tag{4}",
        r"f(x) = \begin{cases} 1 & \text{if } x \ge 0 \\ -1 & \text{otherwise} \end{cases}",
        r"\mathbb{E}_{x \sim p}\bigl[ \log q(x) \bigr]",
        "a +\nb",
    ],
)
def test_the_latex_of_the_lessons_is_drawn(latex: str) -> None:
    html = equations.display(latex)
    assert "<path" in html
    assert "<code>" not in html


def test_rows_are_aligned_at_their_ampersands_and_keep_their_number() -> None:
    html = equations.display(r"\begin{aligned} a &= b \\ c &= d \end{aligned} \tag{4}")
    assert html.count('class="left"') == html.count('class="right"') == 2
    assert ">(4)<" in html


def test_what_cannot_be_drawn_is_shown_as_its_source() -> None:
    latex = r"a \underbrace{b}_{\text{<b>}}"
    assert equations.display(latex) == (
        r'<pre class="latex"><code>a \underbrace{b}_{\text{&lt;b&gt;}}</code></pre>'
    )
    assert equations.inline(r"\nosuch") == r'<code class="latex">\nosuch</code>'


def test_two_different_equations_give_different_paths() -> None:
    paths = [re.search(r' d="([^"]+)"', equations.inline(one)) for one in ("x_i", "x_j", "x^i")]
    assert len({found.group(1) for found in paths if found}) == 3


def test_an_equation_sits_on_the_line() -> None:
    """A minus sign lies above the baseline, a subscript reaches below it."""
    shift = {
        one: float(re.search(r"vertical-align:(-?[\d.]+)em", equations.inline(one)).group(1))  # type: ignore[union-attr]
        for one in ("-", "x_j")
    }
    assert shift["x_j"] < -0.1 < 0.1 < shift["-"]


@pytest.mark.parametrize(
    ("markdown", "drawn"),
    [
        ("costs $5 and $6 more", 0),
        ("costs $5, not $ 6", 0),
        ("with $x$ and $y$", 2),
        (r"a \$x\$ stays", 0),
        ("`$x$` is code", 0),
        ("one $$x$$ inside", 1),
        ("$$\nx\n$$", 1),
        ("- item\n\n  $$ x $$", 1),
        ("$$ never closed", 0),
        ("    $$ x $$", 0),
    ],
)
def test_dollars_are_equations_only_where_they_enclose_one(markdown: str, drawn: int) -> None:
    assert prose.html(markdown).count("<svg") == drawn


def test_underscores_in_equations_are_not_emphasis() -> None:
    assert "<em>" not in prose.html("$a_i b_i$ and $c_i d_i$")


def test_headings_continue_the_pages_own_and_skip_no_level() -> None:
    html = prose.html("# A\n\n### B\n\n###### C\n\n## D\n\n# E")
    assert re.findall(r"<(h\d)>(\w)", html) == [
        ("h3", "A"), ("h4", "B"), ("h5", "C"), ("h4", "D"), ("h3", "E"),
    ]  # fmt: skip
    assert "</h3>" in html
    assert "</h1>" not in html


@pytest.mark.parametrize(
    ("markdown", "allowed"),
    [
        ("<script>x</script>", "&lt;script&gt;"),
        ("[a](javascript:alert(1))", "[a]"),
        ("[a](../x.md)", "<a>a</a>"),
        ("[a](https://x.org/)", 'href="https://x.org/"'),
        ("![a](https://x.org/a.png)", "<em>[a]</em>"),
        ('$x"onload=1$', "&#34;"),
        ("![<b>](x)", "&lt;b&gt;"),
    ],
)
def test_nothing_in_a_lesson_runs_or_loads(markdown: str, allowed: str) -> None:
    html = prose.html(markdown)
    assert allowed in html
    assert "<script" not in html
    assert "<img" not in html
    assert not re.search(r'href="(?!https://x\.org/")', html)


def test_tables_scroll_in_their_own_box() -> None:
    html = prose.html("| a | b |\n|---|---|\n| 1 | 2 |")
    assert '<div class="box" tabindex="0"><table>' in html


@pytest.mark.parametrize(
    ("markdown", "there", "gone"),
    [
        ("a\n<!-- b -->\nc", "a", "b"),
        ("<!-- b\nb -->\nc", "c", "b"),
        ("`<!-- b -->`", "&lt;!-- b --&gt;", "<!--"),
        ("```\n<!-- b -->\n```", "&lt;!-- b --&gt;", "<!--"),
        ("<!-- b", "&lt;!-- b", "<!--"),
        ("<!-- b --> c", "&lt;!-- b --&gt; c", "<!--"),
        ("# E\n\n<!-- b -->\n\n# F\n\nc", "F</h3>", "E</h3>"),
        ("# E\n\n# F\n\n<!-- b -->\nc", "E</h3>", "b"),
        ("# E\n\n<!-- b -->\n\n## F\n\nc", "E</h3>", "b"),
        ("# D\n\n## E\n\n<!-- b -->\n\n# F\n\nc", "D</h3>", "E</h4>"),
        ("# D\n\nc\n\n# E\n\n<!-- b -->", "D</h3>", "E</h3>"),
    ],
)
def test_comments_on_lines_of_their_own_vanish(markdown: str, there: str, gone: str) -> None:
    html = prose.html(markdown)
    assert there in html
    assert gone not in html.replace("blockquote", "")
