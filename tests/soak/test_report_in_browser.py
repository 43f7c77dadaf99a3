"""What only a browser can tell about a report: overflow on a phone, colours in dark mode, blank
figures, a request to the network, an error in the console, pages that do not print. Caught here.

The report itself has no script. A copy gets one that measures the page and posts what it found to
an outer page, which holds the copy in frames as wide as a phone, a tablet and a desktop screen;
headless Chromium then prints the outer page's DOM. Nothing resolves: the browser is offline.
"""

from __future__ import annotations

import html as markup
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from practicum.report import html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium"),
]

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=8000",
)  # fmt: skip
WIDTHS = {"phone": 375, "tablet": 768, "desktop": 1280}
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')
LESSON = r"""# A lesson

A sentence with $x_i^2$ in it, [a link](https://example.org) and
`code_that_is_rather_long_for_a_phone`.

$$
\begin{aligned} m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
\theta_t &= \theta_{t-1} - \eta \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon} \end{aligned} \tag{12}
$$

```console
$ practicum run dropout --scale full --data fashion-mnist --set dropout.dropout=0.8 --workers 2
```

| measure | a | b | c | d | e |
|---|---|---|---|---|---|
| something long to read | 0.123456 | 0.123456 | 0.123456 | 0.123456 | 0.123456 |
"""

PROBE = r"""
<script>
window.problems = [];
addEventListener("error", e => problems.push("error: " + (e.message || e.target.outerHTML)), true);
document.addEventListener("securitypolicyviolation", e => problems.push("blocked " + e.blockedURI));
console.error = (...all) => problems.push("console: " + all.join(" "));
function channels(text) {
  const found = text.match(/[\d.]+/g).map(Number);
  return {rgb: found.slice(0, 3), alpha: found.length > 3 ? found[3] : 1};
}
function luminance(rgb) {
  const [r, g, b] = rgb.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}
function ground(element) {
  for (let one = element; one; one = one.parentElement) {
    const found = channels(getComputedStyle(one).backgroundColor);
    if (found.alpha === 1) return found.rgb;
  }
  return [255, 255, 255];
}
function texts() {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const box = element.getBoundingClientRect();
    if (!walker.currentNode.data.trim() || !box.width || !box.height) continue;
    if (element.closest(".skip, script, style")) continue;
    const look = getComputedStyle(element);
    found.push({text: walker.currentNode.data.trim().slice(0, 40),
      contrast: contrast(channels(look.color).rgb, ground(element)),
      size: parseFloat(look.fontSize)});
  }
  return found;
}
addEventListener("load", () => {
  const root = document.documentElement, seen = texts();
  const box = e => { const r = e.getBoundingClientRect(); return [r.width, r.height, r.right]; };
  const drawn = svg => [...svg.querySelectorAll("path, use")].filter(e => {
    const r = e.getBoundingClientRect(); return r.width + r.height > 0; }).length;
  parent.postMessage({
    width: innerWidth, overflow: root.scrollWidth - root.clientWidth, problems,
    loads: performance.getEntriesByType("resource").map(one => one.name),
    paper: channels(getComputedStyle(document.body).backgroundColor).rgb,
    words: seen.length, faint: seen.filter(one => one.contrast < 4.5),
    small: seen.filter(one => one.size < 11),
    figures: [...document.querySelectorAll("svg.figure")].map(svg => ({box: box(svg),
      drawn: drawn(svg),
      ink: contrast(channels(getComputedStyle(svg).fill).rgb, ground(svg))})),
    math: [...document.querySelectorAll("svg.math")].map(box),
  }, "*");
});
</script>
"""
OUTER = """<!doctype html><meta charset="utf-8"><body><script>
const found = {};
addEventListener("message", e => {
  found[e.data.width] = e.data;
  document.querySelector("pre").textContent = JSON.stringify(found);
});
</script><pre></pre>FRAMES</body>"""


def toy() -> ModuleType:
    """The toy run of tests/report, hostile names and a diverged trial included."""
    path = Path(__file__).parents[1] / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("report_toy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["report_toy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = toy()
    record = made.make_record(tmp_path_factory.mktemp("runs"))
    return html.render(record, made.make_lab(), lesson=LESSON, command=made.COMMAND)


def browse(folder: Path, *arguments: str) -> str:
    assert CHROMIUM is not None
    profile = folder / "profile"
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *arguments],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


def measured(page: str, folder: Path, *, dark: bool = False) -> dict[str, dict[str, Any]]:
    """Return what the probe found in each width."""
    assert "<script" not in page
    opened = POLICY.sub(
        lambda found: found.group().replace("style-src", "script-src 'unsafe-inline'; style-src"),
        page,
    )
    (folder / "page.html").write_text(opened.replace("<title>", PROBE + "<title>", 1))
    frames = "".join(
        f'<iframe src="page.html" width="{width}" height="812" style="border:0"></iframe>'
        for width in WIDTHS.values()
    )
    (folder / "outer.html").write_text(OUTER.replace("FRAMES", frames))
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    dom = browse(folder, scheme, "--dump-dom", (folder / "outer.html").as_uri())
    text = re.search(r"<pre>(.*?)</pre>", dom, re.DOTALL)
    assert text is not None
    assert text.group(1), "the probe said nothing"
    found = json.loads(markup.unescape(text.group(1)))
    return {name: found[str(width)] for name, width in WIDTHS.items()}


@pytest.fixture(scope="module")
def light(report: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return measured(report, tmp_path_factory.mktemp("light"))


@pytest.fixture(scope="module")
def dark(report: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return measured(report, tmp_path_factory.mktemp("dark"), dark=True)


@pytest.fixture(params=["light", "dark"])
def seen(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("width", list(WIDTHS))
def test_nothing_overflows_sideways(seen: dict[str, dict[str, Any]], width: str) -> None:
    assert seen[width]["overflow"] == 0


@pytest.mark.parametrize("width", list(WIDTHS))
def test_no_error_and_no_request(seen: dict[str, dict[str, Any]], width: str) -> None:
    assert seen[width]["problems"] == []
    assert seen[width]["loads"] == []


@pytest.mark.parametrize("width", list(WIDTHS))
def test_every_word_can_be_read(seen: dict[str, dict[str, Any]], width: str) -> None:
    assert seen[width]["words"] > 100
    assert seen[width]["faint"] == []  # WCAG 2 level AA: 4.5 : 1
    assert seen[width]["small"] == []


@pytest.mark.parametrize("width", list(WIDTHS))
def test_figures_and_equations_are_drawn(seen: dict[str, dict[str, Any]], width: str) -> None:
    assert len(seen[width]["figures"]) == 3
    for figure in seen[width]["figures"]:
        wide, high, right = figure["box"]
        assert wide > 0.75 * min(WIDTHS[width], 500)
        assert high > 80
        assert right <= WIDTHS[width]
        assert figure["drawn"] > 20
        assert figure["ink"] > 7
    assert len(seen[width]["math"]) == 5
    assert all(wide > 5 and high > 5 for wide, high, _ in seen[width]["math"])


def test_the_dark_page_is_dark_and_the_light_one_light(
    light: dict[str, dict[str, Any]], dark: dict[str, dict[str, Any]]
) -> None:
    assert min(light["phone"]["paper"]) > 240
    assert max(dark["phone"]["paper"]) < 40


def test_it_prints_on_several_pages(report: str, tmp_path: Path) -> None:
    page, pdf = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(report)
    browse(tmp_path, f"--print-to-pdf={pdf}", "--no-pdf-header-footer", page.as_uri())
    raw = pdf.read_bytes()
    assert raw.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", raw)) <= 12


@pytest.mark.parametrize(
    ("broken", "part"),
    [
        ('<div style="width:600px">x</div>', "overflow"),
        ('<img src="https://cdn.example/x.png">', "problems"),
        ('<p style="color:var(--paper)">nobody can read this</p>', "faint"),
        ('<svg class="figure" viewBox="0 0 9 9"></svg>', "figures"),
    ],
)
def test_the_probe_sees_a_broken_page(report: str, tmp_path: Path, broken: str, part: str) -> None:
    found = measured(report.replace("</main>", f"{broken}</main>"), tmp_path)["phone"]
    if part == "figures":
        assert found["figures"][-1]["drawn"] == 0
    else:
        assert found[part]
