"""A page's frame and its parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .charts import COLOURS, Axis, Line, chart

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --back: #fff; --quiet: #59636e; --line: #d1d9e0; --box: #f6f8fa;
  --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #7d6000; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --back: #0d1117; --quiet: #9198a1; --line: #3d444d;
  --box: #151b23; --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; --c4: #f778ba; --c5: #d9b949; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 16px; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 1.75rem 0 .5rem; }
.charts { display: grid; gap: 0 32px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); }
figure { margin: 0 0 12px; } figcaption, .quiet { color: var(--quiet); font-size: .875rem; }
svg { display: block; width: 100%; max-width: 560px; font-size: 12px; } svg text { fill: var(--quiet); }
.grid { stroke: var(--line); stroke-width: 1; } polyline { fill: none; stroke-width: 2; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; white-space: nowrap; }
th, td { padding: 4px 12px 4px 0; text-align: right; border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-size: .75rem; font-weight: 600; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: 12px; font-size: .8125rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.key { display: inline-block; margin-right: 12px; } .key::before { content: "●"; margin-right: 4px; }
"""
_COLOURS = "\n".join(
    f".s{number} {{ stroke: var(--c{number}); }} circle.s{number} {{ fill: var(--c{number}); stroke: var(--back); }} "
    f".k{number}::before {{ color: var(--c{number}); }}"
    for number in range(COLOURS)
)


def document(title: str, parts: Iterable[str]) -> str:
    """The whole page."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}{_COLOURS}</style></head><body>",
            *parts,
            "</body></html>\n",
        ]
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, which scrolls where the screen is too narrow."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join([line(header, "th"), *(line(cells, "td") for cells in rows)])
    return f'<div class="scroll"><table>{body}</table></div>'


def figure(title: str, x: Axis, y: Axis, lines: Sequence[Line], caption: str) -> str:
    """A chart with its title above and a caption, which is HTML, below."""
    return f"<figure><h2>{title}</h2>\n{chart(title, x, y, lines)}\n<figcaption>{caption}</figcaption></figure>"


def key(names: Sequence[str]) -> str:
    """What the colours of a chart's lines mean, for its caption."""
    return "".join(f'<span class="key k{number}">{escape(name)}</span>' for number, name in enumerate(names))
