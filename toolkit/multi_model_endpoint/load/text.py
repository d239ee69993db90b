"""What a load test has found, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .outcome import Found, FoundModel, FoundStep

_TAIL = 10
_WHY = {
    "p99": "the p99 was too high",
    "errors": "too many calls failed",
    "generator": "this machine made its calls too late",
}


def summary(found: Found) -> str:
    """The rate, and what ended the search."""
    why = _WHY.get(found["ended_by"] or "")
    if found["held_rps"] is None:
        return f"no rate held: at {found['broke_rps']:g} calls a second {why}"
    if why is None:
        return f"held {found['held_rps']:g} calls a second, the highest rate to try"
    return f"held {found['held_rps']:g} calls a second; at {found['broke_rps']:g} {why}"


def step_line(step: FoundStep) -> str:
    """A step, when it is over."""
    failed = sum(step["errors"].values())
    errors = "".join(f", {count} {code}" for code, count in step["errors"].items())
    verdict = _WHY.get(step["broke"] or "", "held")
    times = f"p50 {shown(step['p50_ms'])}, p99 {shown(step['p99_ms'])}"
    return f"{step['rps']:g} calls a second: {times}, {failed} of {step['calls']} failed{errors}: {verdict}"


def slowest(models: Mapping[str, FoundModel]) -> list[tuple[str, FoundModel]]:
    """The models whose calls took longest, the slowest first, without an answer before all."""
    return sorted(models.items(), key=lambda each: -(each[1]["p99_ms"] or float("inf")))[:_TAIL]


def rows(models: Iterable[tuple[str, FoundModel]]) -> list[list[str]]:
    """A table of models."""
    return [
        [name, str(model["calls"]), str(sum(model["errors"].values())), shown(model["p50_ms"]), shown(model["p99_ms"])]
        for name, model in models
    ]


HEADER = ["MODEL", "CALLS", "FAILED", "P50", "P99"]
"""Of such a table."""


def shown(milliseconds: float | None) -> str:
    """A latency, to three digits."""
    return "no answer" if milliseconds is None else f"{float(f'{milliseconds:.3g}'):g} ms"


def arguments(rate: float) -> str:
    """What to paste into the app."""
    return f'scale_on_invocations("Load", max_requests_per_second={rate:g})'
