"""What a load test has found, as plain values: the JSON of ``mme load --json``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypedDict

from .ramp import Step, Targets
from .recording import FIRST, Cell, Recorder

Broke = Literal["p99", "errors", "generator"]


class FoundStep(TypedDict):
    """What was measured at one rate; milliseconds are None where there was no answer in time."""

    rps: float
    broke: Broke | None
    calls: int
    errors: dict[str, int]
    unanswered: int
    p50_ms: float | None
    p99_ms: float | None
    late_p99_ms: float | None


class FoundModel(TypedDict):
    """The calls of one model."""

    calls: int
    errors: dict[str, int]
    unanswered: int
    p50_ms: float | None
    p99_ms: float | None


class Found(TypedDict):
    """All of it; ``models`` are the calls at the highest rate that held, without the first of each model."""

    p99_target_ms: float
    errors_target_percent: float
    held_rps: float | None
    broke_rps: float | None
    ended_by: Broke | None
    steps: list[FoundStep]
    first_calls: dict[str, FoundModel]
    models: dict[str, FoundModel]


class Report(Found):
    """What is found of an endpoint, with what is known of it."""

    endpoint: str
    variant: str
    instance_type: str | None
    instances: int
    max_requests_per_second: float | None
    cache_hit_percent: float | None


def found(targets: Targets, steps: Sequence[Step], recorder: Recorder) -> Found:
    """Sum up a test: its steps, in their order, and the models' calls at the highest rate that held."""
    held = max((step for step in steps if not step.broke(targets)), key=lambda step: step.rate, default=None)
    broken = min((step for step in steps if step.broke(targets)), key=lambda step: step.rate, default=None)
    models = {} if held is None else recorder.of_models(steps.index(held))
    return {
        "p99_target_ms": targets.p99_ms,
        "errors_target_percent": targets.errors_percent,
        "held_rps": None if held is None else held.rate,
        "broke_rps": None if broken is None else broken.rate,
        "ended_by": None if broken is None else broken.broke(targets),
        "steps": [found_step(step, targets) for step in steps],
        "first_calls": {model: found_model(cell) for model, cell in recorder.of_models(FIRST).items()},
        "models": {model: found_model(cell) for model, cell in models.items()},
    }


def found_model(cell: Cell) -> FoundModel:
    """Sum up the calls of a model."""
    return {
        "calls": cell.calls,
        "errors": dict(cell.errors),
        "unanswered": cell.unanswered,
        "p50_ms": _finite(cell.latencies.percentile(50, unanswered=cell.unanswered)),
        "p99_ms": _finite(cell.latencies.percentile(99, unanswered=cell.unanswered)),
    }


def found_step(step: Step, targets: Targets) -> FoundStep:
    """Sum up a step."""
    return {
        "rps": step.rate,
        "broke": step.broke(targets),
        "calls": step.calls,
        "errors": dict(step.errors),
        "unanswered": step.unanswered,
        "p50_ms": _finite(step.percentile(50)),
        "p99_ms": _finite(step.percentile(99)),
        "late_p99_ms": _finite(step.late.percentile(99)),
    }


def _finite(milliseconds: float) -> float | None:
    return round(milliseconds, 1) if math.isfinite(milliseconds) else None
