"""What ``mme load`` gives to Locust."""

from __future__ import annotations

from multi_model_endpoint.load import MultiModelUser, Payload, Popularity, Targets, TargetShape
from multi_model_endpoint.load.outcome import Found
from multi_model_endpoint.load.plan import given, save

_plan = given()
_payloads = _plan.read_payloads()


class Planned(MultiModelUser):
    """Calls what the plan says."""

    endpoint = _plan.endpoint
    models = _plan.store
    variant = _plan.variant
    popularity = Popularity(_plan.weights)
    calls_per_second = min(1.0, _plan.start_rps / 10)
    warmed = True

    def payload(self, model: str) -> Payload:
        """As planned."""
        return _payloads[model]


class Ramp(TargetShape):
    """Ends where the plan says."""

    targets = Targets(p99_ms=_plan.p99_ms, errors_percent=_plan.errors_percent)
    start_rps = _plan.start_rps
    max_rps = _plan.max_rps
    step_seconds = _plan.step_seconds

    def finished(self, result: Found) -> None:
        """Hand it over."""
        save(result)
