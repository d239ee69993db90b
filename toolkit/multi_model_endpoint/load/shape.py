"""Locust's shape: a ramp that ends where a target breaks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from time import monotonic
from typing import ClassVar

import gevent
from locust import LoadTestShape
from locust.env import Environment
from locust.runners import WORKER_REPORT_INTERVAL, MasterRunner

from .outcome import Found, found, found_step
from .ramp import Ramp, Step, Targets
from .recording import BETWEEN
from .reporting import recorder_of, tell
from .text import step_line, summary
from .user import MultiModelUser

_REPORT_SECONDS = WORKER_REPORT_INTERVAL + 1
"""After so long the workers have told what they know."""

_SPAWNED_A_SECOND = 100


class TargetShape(LoadTestShape):
    """Raises the rate until a target breaks, and closes in on the highest that holds.

    The rate is doubled from ``start_rps`` on; after one that breaks, the endpoint gets time to answer what is left, and
    the gap to the highest that held is halved until it is 10 percent. Each rate is held for a step, whose calls count
    when it is reached. At the end the figures are printed.

    Use it beside one ``MultiModelUser``, whose number it sets.

    Attributes:
        targets: What must hold.
        start_rps: The first rate, calls a second of the whole endpoint.
        max_rps: The highest to try.
        step_seconds: How long each is measured. Make it ten times the wanted latency or more: at little more than what
            the endpoint takes, waiting grows slowly.
    """

    abstract = True
    targets: ClassVar[Targets]
    start_rps: ClassVar[float] = 10.0
    max_rps: ClassVar[float] = 100_000.0
    step_seconds: ClassVar[float] = 20.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._ticks = self._run()

    def tick(self) -> tuple[int, float] | None:
        """How many users there are to be, or None at the end."""
        return next(self._ticks, None)

    def finished(self, result: Found) -> None:
        """Say what was found; yours to override."""
        print(summary(result))

    def _run(self) -> Iterator[tuple[int, float]]:
        environment = self._environment
        (user,) = environment.user_classes
        if not issubclass(user, MultiModelUser):
            raise TypeError(f"the users must be MultiModelUsers, got {user.__name__}")
        each = user.calls_per_second
        ramp = Ramp(self.start_rps, most=self.max_rps, unit=each)
        steps: list[Step] = []
        while (rate := ramp.next()) is not None:
            users = max(1, round(rate / each))
            yield users, min(users, _SPAWNED_A_SECOND)
            self._reach(users)
            step = self._measure(len(steps), rate)
            steps.append(step)
            broke = step.broke(self.targets)
            print(step_line(found_step(step, self.targets)), file=sys.stderr)
            ramp.saw(rate, held=broke is None)
            if broke is not None:
                self._drain(user.timeout)
        self.finished(found(self.targets, steps, recorder_of(environment)))

    @property
    def _environment(self) -> Environment:
        assert self.runner is not None
        return self.runner.environment

    def _reach(self, users: int) -> None:
        runner = self.runner
        assert runner is not None
        self._await(lambda: runner.user_count == users, 10 + users / _SPAWNED_A_SECOND)

    def _measure(self, number: int, rate: float) -> Step:
        recorder = recorder_of(self._environment)
        tell(self._environment, step=number)
        gevent.sleep(self.step_seconds)
        tell(self._environment, step=BETWEEN)
        # what has no answer when the wanted latency is over has missed it
        self._hear()
        self._await(lambda: not recorder.of_step(number).unanswered, self.targets.p99_ms / 1000)
        cell = recorder.of_step(number)
        late, sent = recorder.late[number], recorder.sent[number]
        return Step(rate, cell.calls, cell.errors, cell.unanswered, cell.latencies, late, sent)

    def _drain(self, seconds: float) -> None:
        # until the next step is measured: there are as many users as before until then
        tell(self._environment, step=BETWEEN, resting=True)
        self._hear()
        self._await(lambda: not recorder_of(self._environment).unanswered, seconds)

    def _hear(self) -> None:
        if isinstance(self.runner, MasterRunner):
            gevent.sleep(_REPORT_SECONDS)

    def _await(self, condition: Callable[[], bool], seconds: float) -> None:
        end = monotonic() + seconds
        while not condition() and monotonic() < end:
            gevent.sleep(0.05)
