"""A page with the curve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from multi_model_endpoint.pages import Axis, Line, document, figure, key, table

from .outcome import FoundStep, Report
from .text import HEADER, arguments, rows, shown, slowest, summary


def page(report: Report) -> str:
    """All that was found, in one file that needs no other."""
    return document(f"Load test of {report['endpoint']}", _parts(report))


def _parts(report: Report) -> Iterator[str]:
    kind = f"{report['instances']} x {report['instance_type'] or 'instance'}"
    yield f"<h1>{escape(report['endpoint'])}, variant {escape(report['variant'])}, {escape(kind)}</h1>"
    wanted = f"{report['p99_target_ms']:g} ms for 99 %, at most {report['errors_target_percent']:g} % failed"
    yield f"<p>Wanted: {wanted}.<br>Found: {escape(summary(report))}.</p>"
    rate = report["max_requests_per_second"]
    if rate is not None:
        yield f"<p>One instance takes:</p><pre>{escape(arguments(rate))}</pre>"
    steps = sorted(report["steps"], key=lambda step: step["rps"])
    yield _curve(steps, report["p99_target_ms"])
    yield table(["RPS", "CALLS", "FAILED", "P50", "P99", ""], map(_row, steps))
    yield "<h2>Slowest models</h2>"
    yield table(HEADER, rows(slowest(report["models"])))
    yield "<h2>First calls</h2>"
    yield table(HEADER, rows(slowest(report["first_calls"])))


def _row(step: FoundStep) -> list[str]:
    failed = sum(step["errors"].values())
    verdict = "held" if step["broke"] is None else f"broke: {step['broke']}"
    return [f"{step['rps']:g}", str(step["calls"]), str(failed), shown(step["p50_ms"]), shown(step["p99_ms"]), verdict]


def _curve(steps: Sequence[FoundStep], target: float) -> str:
    """What had no answer in time is not drawn."""
    curves = {
        "p50": [(step["rps"], step["p50_ms"]) for step in steps if step["p50_ms"]],
        "p99": [(step["rps"], step["p99_ms"]) for step in steps if step["p99_ms"]],
    }
    rates = [step["rps"] for step in steps]
    rate = Axis.from_zero("calls a second", rates)
    latencies = [latency for curve in curves.values() for _, latency in curve]
    latency = Axis.in_decades("milliseconds", [*latencies, target], "{:,g}".format)
    lines = [
        Line(curve, [f"{name} at {at:g} calls a second: {shown(found)}" for at, found in curve], colour=number)
        for number, (name, curve) in enumerate(curves.items())
    ]
    lines.append(Line([(0, target), (rate.high, target)], colour=len(lines)))
    return figure("Latency by rate", rate, latency, lines, key([*curves, "wanted p99"]))
