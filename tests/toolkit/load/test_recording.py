"""What became of each call."""

from __future__ import annotations

from multi_model_endpoint.load import Targets
from multi_model_endpoint.load.latencies import Latencies
from multi_model_endpoint.load.outcome import found
from multi_model_endpoint.load.ramp import Step
from multi_model_endpoint.load.recording import FIRST, Recorder


def called(recorder: Recorder, step: int, model: str, error: str | None = None, seconds: float = 0.01) -> None:
    recorder.cells[step, model].calls += 1
    recorder.ended(step, model, seconds, error)


def test_counts_by_step_and_model() -> None:
    recorder = Recorder()
    called(recorder, 0, "a")
    called(recorder, 0, "b", "ModelError")
    called(recorder, 1, "a")
    whole = recorder.of_step(0)
    assert (whole.calls, len(whole.latencies), dict(whole.errors)) == (2, 1, {"ModelError": 1})
    assert set(recorder.of_models(0)) == {"a", "b"}


def test_knows_the_unanswered() -> None:
    recorder = Recorder()
    recorder.cells[0, "a"].calls += 1
    assert recorder.of_step(0).unanswered == recorder.unanswered == 1


def test_a_model_has_answered_once_a_call_succeeded() -> None:
    recorder = Recorder()
    called(recorder, FIRST, "a", "ModelError")
    assert not recorder.has_answered("a")
    called(recorder, FIRST, "a")
    assert recorder.has_answered("a")


def test_brings_workers_together_whose_calls_end_after_a_report() -> None:
    master, one, other = Recorder(), Recorder(), Recorder()
    one.cells[0, "a"].calls += 1
    one.late[0].add(0.001)
    other.sent[0].add(0.01)
    called(other, 0, "a")
    master.merge(one.take())
    master.merge(other.take())
    assert master.of_step(0).unanswered == 1
    one.ended(0, "a", 0.02, None)
    master.merge(one.take())
    whole = master.of_step(0)
    assert (whole.calls, len(whole.latencies), whole.unanswered) == (2, 2, 0)
    assert len(master.late[0]) == len(master.sent[0]) == 1


def test_tells_nothing_twice() -> None:
    recorder = Recorder()
    called(recorder, 0, "a")
    recorder.take()
    assert recorder.take() == {"cells": [], "late": [], "sent": []}


def test_shows_models_at_the_highest_rate_that_held() -> None:
    recorder = Recorder()
    for number, (model, seconds) in enumerate([("low", 0.01), ("high", 0.01), ("broken", 9.0)]):
        called(recorder, number, model, seconds=seconds)
    called(recorder, FIRST, "first")
    steps = [
        Step(rate, 1, {}, 0, recorder.of_step(number).latencies, recorder.late[number], Latencies())
        for number, rate in enumerate([10, 20, 40])
    ]
    result = found(Targets(p99_ms=100), steps, recorder)
    assert (result["held_rps"], result["broke_rps"], result["ended_by"]) == (20, 40, "p99")
    assert set(result["models"]) == {"high"}
    assert set(result["first_calls"]) == {"first"}
