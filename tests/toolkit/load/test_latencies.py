"""Percentiles."""

from __future__ import annotations

import math

import pytest

from multi_model_endpoint.load.latencies import Latencies


def latencies(*milliseconds: float) -> Latencies:
    all_of_them = Latencies()
    for each in milliseconds:
        all_of_them.add(each / 1000)
    return all_of_them


@pytest.mark.parametrize("value", [0.5, 7.0, 300.0, 60_000.0])
def test_are_exact_to_two_percent(value: float) -> None:
    assert latencies(value).percentile(99) == pytest.approx(value, rel=0.02)


def test_are_of_so_many_of_the_calls() -> None:
    whole = latencies(*range(1, 101))
    assert whole.percentile(50) == pytest.approx(50, rel=0.02)
    assert whole.percentile(99) == pytest.approx(99, rel=0.02)
    assert whole.percentile(100) == pytest.approx(100, rel=0.02)


def test_count_the_unanswered_as_the_slowest() -> None:
    assert latencies(*[5.0] * 99).percentile(99, unanswered=1) == pytest.approx(5, rel=0.02)
    assert latencies(*[5.0] * 98).percentile(99, unanswered=2) == math.inf


def test_of_no_calls_are_no_number() -> None:
    assert math.isnan(Latencies().percentile(99))


def test_of_two_processes_are_those_of_all_their_calls() -> None:
    sent = Latencies(latencies(1, 2, 3).pairs())
    sent.merge(latencies(4, 5))
    assert len(sent) == 5
    assert sent.percentile(100) == pytest.approx(5, rel=0.02)


def test_take_what_took_no_time() -> None:
    assert latencies(0).percentile(50) == pytest.approx(0.1)
