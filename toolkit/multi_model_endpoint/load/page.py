"""A page with the curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from .outcome import FoundStep, Report
from .text import HEADER, arguments, rows, shown, slowest, summary

_WIDTH, _HEIGHT = 480, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 40
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
h1 { font-size: 1.4rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem }
svg { width: 100%; height: auto } svg text { font-size: 14px; fill: #57606a }
pre { background: #f3f4f6; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; font-size: .85rem }
th, td { padding: .2rem 0 .2rem .6rem; text-align: right; vertical-align: top; white-space: nowrap }
th:first-child, td:first-child { padding-left: 0; text-align: left; white-space: normal; overflow-wrap: anywhere }
"""


def page(report: Report) -> str:
    """All that was found, in one file that needs no other."""
    rate = report["max_requests_per_second"]
    kind = f"{report['instances']} x {report['instance_type'] or 'instance'}"
    steps = sorted(report["steps"], key=lambda step: step["rps"])
    paste = "" if rate is None else f"<p>One instance takes:</p><pre>{escape(arguments(rate))}</pre>"
    wanted = f"{report['p99_target_ms']:g} ms for 99 %, at most {report['errors_target_percent']:g} % failed"
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Load test of {escape(report["endpoint"])}</title>
<style>{_STYLE}</style>
<h1>{escape(report["endpoint"])}, variant {escape(report["variant"])}, {escape(kind)}</h1>
<p>Wanted: {wanted}.<br>Found: {escape(summary(report))}.</p>
{paste}
<h2>Latency by rate</h2>
{_chart(steps, report["p99_target_ms"])}
{_table(["RPS", "CALLS", "FAILED", "P50", "P99", ""], map(_row, steps))}
<h2>Slowest models</h2>
{_table(HEADER, rows(slowest(report["models"])))}
<h2>First calls</h2>
{_table(HEADER, rows(slowest(report["first_calls"])))}
</html>
"""


def _row(step: FoundStep) -> list[str]:
    failed = sum(step["errors"].values())
    verdict = "held" if step["broke"] is None else f"broke: {step['broke']}"
    return [f"{step['rps']:g}", str(step["calls"]), str(failed), shown(step["p50_ms"]), shown(step["p99_ms"]), verdict]


def _table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(header, 'th')}{''.join(line(cells, 'td') for cells in body)}</table>"


def _chart(steps: Sequence[FoundStep], target: float) -> str:
    """The p50 and the p99 by rate, both axes logarithmic; what had no answer in time is not drawn."""
    values = [value for step in steps for value in (step["p50_ms"], step["p99_ms"]) if value]
    x, _ = _axis([step["rps"] for step in steps], _LEFT, _WIDTH - _RIGHT)
    y, ticks = _axis([*values, target], _HEIGHT - _BOTTOM, _TOP)
    parts = [_label(_LEFT - 8, y(tick) + 4, f"{tick:g} ms", "end") + _level(y(tick), "#d8dee4") for tick in ticks]
    parts += [_level(y(target), "#cf222e", dashed=True), _label(_WIDTH - _RIGHT, y(target) - 6, "wanted p99", "end")]
    for name, colour in (("p50_ms", "#0969da"), ("p99_ms", "#8250df")):
        points = [(x(step["rps"]), y(value)) for step in steps if (value := _value(step, name))]
        line = " ".join(f"{across:.1f},{up:.1f}" for across, up in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4" fill="{colour}"/>' for across, up in points]
        if points:
            parts.append(_label(points[0][0] + 8, points[0][1] - 8, name.removesuffix("_ms"), "start"))
    edges = dict.fromkeys((steps[0]["rps"], steps[-1]["rps"]))
    parts += [_label(x(rate), _HEIGHT - _BOTTOM + 18, f"{rate:g}", "middle") for rate in edges]
    parts.append(_label((_LEFT + _WIDTH) / 2, _HEIGHT - 6, "calls a second", "middle"))
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="latency by rate">{"".join(parts)}</svg>'


def _value(step: FoundStep, name: str) -> float | None:
    return step["p50_ms"] if name == "p50_ms" else step["p99_ms"]


def _axis(values: Sequence[float], begin: float, end: float) -> tuple[Callable[[float], float], list[float]]:
    """Where a value is between two places, and the powers of ten between."""
    low, high = math.log10(min(values) / 1.2), math.log10(max(values) * 1.2)
    ticks = [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)]
    return lambda value: begin + (end - begin) * (math.log10(value) - low) / (high - low), ticks


def _level(y: float, colour: str, *, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="6 4"' if dashed else ""
    return f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"{dashes}/>'


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
