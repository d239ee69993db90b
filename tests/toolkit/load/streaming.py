"""One user and a client of which the test says how long its calls take; run by test_user.py, for gevent stays."""

from __future__ import annotations

import sys
from typing import Any

import gevent
from gevent.lock import Semaphore
from locust import events
from locust.env import Environment

from multi_model_endpoint.calling import Answer
from multi_model_endpoint.load import MultiModelUser, Payload, Popularity, user
from multi_model_endpoint.load.recording import FIRST
from multi_model_endpoint.load.reporting import recorder_of


class Client:
    """Answers after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def invoke(self, model: str, body: bytes, **_: Any) -> Answer:
        gevent.sleep(self.seconds)
        return Answer(body, None, model, None, None)


class Caller(MultiModelUser):
    """Calls one model."""

    endpoint = "scoring"
    popularity = Popularity({"churn": 1})
    calls_per_second = 50

    def payload(self, model: str) -> Payload:
        """Anything."""
        return Payload(model.encode())


def run(seconds: float, calls: int, *, at_once: int) -> None:
    """Wait for so many answers or, where none comes, calls, and print them with the longest latency."""
    user._clients[Caller] = Client(seconds)  # type: ignore[assignment]
    user._connections = Semaphore(at_once)
    environment = Environment(user_classes=[Caller], events=events)
    runner = environment.create_local_runner()
    initialised: Any = events.init
    initialised.fire(environment=environment, runner=runner, web_ui=None)
    recorder = recorder_of(environment)
    runner.start(1, spawn_rate=1)
    with gevent.Timeout(60):
        while sum(cell.calls - cell.unanswered * (seconds < 60) for cell in recorder.cells.values()) < calls:
            gevent.sleep(0.01)
    runner.quit()
    slowest = max(cell.latencies.percentile(100) for cell in recorder.cells.values())
    print(sum(cell.calls for cell in recorder.cells.values()), recorder.cells[FIRST, "churn"].calls, slowest)


if __name__ == "__main__":
    run(float(sys.argv[1]), int(sys.argv[2]), at_once=int(sys.argv[3]))
