"""The tables of docs/data.md, made from the cards; `python -m practicum.data.page` renews them."""

from __future__ import annotations

from pathlib import Path

from practicum.data.cards import Card, registry

_BEGIN = "<!-- made by practicum.data.page -->"
_END = "<!-- end -->"


def table() -> str:
    """Return the list of all data sets as Markdown."""
    cards = registry().values()
    lines = ["## Always at hand", "", *_rows([one for one in cards if one.always_at_hand])]
    lines += ["", "## Fetched on request", "", *_rows([one for one in cards if one.files])]
    lines += ["", "## Licences and citations", ""]
    for one in cards:
        note = f" {one.note}" if one.note else ""
        lines.append(
            f"- **{one.name}**: {one.citation}. Licence: {one.licence}. <{one.source}>{note}"
        )
    return "\n".join(lines)


def renewed(page: str) -> str:
    """Return a page with the part between its two marks replaced by the table."""
    before, rest = page.split(_BEGIN)
    after = rest.split(_END)[1]
    return f"{before}{_BEGIN}\n\n{table()}\n\n{_END}{after}"


def _rows(cards: list[Card]) -> list[str]:
    lines = ["| name | what it is | handed out by | download |", "|---|---|---|---|"]
    for one in cards:
        loader = {"tensors": "load", "files": "paths"}.get(one.form, f"load_{one.form}")
        lines.append(f"| `{one.name}` | {one.title}: {one.what} | `{loader}` | {_download(one)} |")
    return lines


def _download(one: Card) -> str:
    if one.always_at_hand:
        return "none"
    size = f"{one.bytes / 1e6:.1f} MB" if one.bytes >= 50_000 else f"{one.bytes / 1e3:.0f} kB"
    return size if one.fetchable else f"{size}, by hand only"


if __name__ == "__main__":
    _page = Path("docs/data.md")
    _page.write_text(renewed(_page.read_text(encoding="utf-8")), encoding="utf-8")
