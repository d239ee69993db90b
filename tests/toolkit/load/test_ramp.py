"""The search for the highest rate that holds."""

from __future__ import annotations

import pytest

from multi_model_endpoint.load import Targets
from multi_model_endpoint.load.latencies import Latencies
from multi_model_endpoint.load.ramp import Ramp, Step

TARGETS = Targets(p99_ms=100, errors_percent=1)


def tried(ramp: Ramp, limit: float) -> list[float]:
    """The rates, on an endpoint that takes so many."""
    rates = []
    while (rate := ramp.next()) is not None:
        rates.append(rate)
        ramp.saw(rate, held=rate <= limit)
    return rates


def latencies(milliseconds: float, calls: int = 100) -> Latencies:
    whole = Latencies()
    for _ in range(calls):
        whole.add(milliseconds / 1000)
    return whole


def step(
    *,
    milliseconds: float = 50,
    late: float = 1,
    sent: float = 150,
    unanswered: int = 0,
    errors: dict[str, int] | None = None,
) -> Step:
    errors = errors or {}
    answered = latencies(milliseconds, 100 - unanswered - sum(errors.values()))
    return Step(20, 100, errors, unanswered, answered, latencies(late), latencies(sent))


def test_doubles_and_then_halves_the_gap() -> None:
    ramp = Ramp(10, most=1000)
    assert tried(ramp, 57) == [10, 20, 40, 80, 60, 50, 55]
    assert (ramp.held, ramp.broke) == (55, 60)


def test_ends_at_the_highest_rate_to_try() -> None:
    ramp = Ramp(10, most=50)
    assert tried(ramp, 1000) == [10, 20, 40, 50]
    assert (ramp.held, ramp.broke) == (50, None)


def test_ends_where_the_first_rate_breaks() -> None:
    ramp = Ramp(10, most=1000)
    assert tried(ramp, 5) == [10]
    assert ramp.held is None


@pytest.mark.parametrize("limit", [1.0, 1.1, 1.7, 2.0, 3.9])
def test_ends_where_there_is_no_rate_between(limit: float) -> None:
    ramp = Ramp(1, most=1000)
    tried(ramp, limit)
    assert ramp.held == int(limit)


def test_tries_multiples_of_the_unit() -> None:
    ramp = Ramp(1, most=1000, unit=0.1)
    tried(ramp, 2.34)
    assert ramp.held == pytest.approx(2.3, abs=0.15)


def test_a_step_holds_that_was_fast_enough_although_this_machine_was_late() -> None:
    assert step(late=30).broke(TARGETS) is None


def test_a_step_holds() -> None:
    assert step().broke(TARGETS) is None


@pytest.mark.parametrize(
    ("broken", "by"),
    [
        (step(milliseconds=150), "p99"),
        (step(unanswered=2), "p99"),
        (step(errors={"ModelError": 2}), "errors"),
        (step(milliseconds=150, late=9), "p99"),
        (step(milliseconds=150, late=11), "generator"),
        (step(milliseconds=150, sent=90), "generator"),
        (step(milliseconds=150, late=11, errors={"ModelError": 2}), "errors"),
        (Step(20, 0, {}, 0, Latencies(), Latencies(), Latencies()), "p99"),
    ],
)
def test_a_step_breaks(broken: Step, by: str) -> None:
    assert broken.broke(TARGETS) == by


def test_a_step_holds_with_as_many_errors_as_may_be() -> None:
    assert step(errors={"ModelError": 1}).broke(TARGETS) is None
