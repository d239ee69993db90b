"""A recorder in each of Locust's processes, and what the workers' tell the master's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from .recording import Recorder

_KEY = "mme.load"
_recorders: WeakKeyDictionary[Environment, Recorder] = WeakKeyDictionary()


def recorder_of(environment: Environment) -> Recorder:
    """The recorder of this process."""
    return _recorders[environment]


def tell(environment: Environment, *, step: int, resting: bool = False) -> None:
    """Have all calls from now on belong to a step, or have none made."""
    assert environment.runner is not None
    environment.runner.send_message(_KEY, {"step": step, "resting": resting})


def _attach(environment: Environment, **_: Any) -> None:
    recorder = _recorders[environment] = Recorder()
    runner = environment.runner
    assert runner is not None

    def told(msg: Any, **_: Any) -> None:
        recorder.step, recorder.resting = msg.data["step"], msg.data["resting"]

    def report(data: dict[str, Any], **_: Any) -> None:
        data[_KEY] = recorder.take()

    def reported(data: dict[str, Any], **_: Any) -> None:
        if _KEY in data:
            recorder.merge(data[_KEY])

    runner.register_message(_KEY, told)
    if isinstance(runner, WorkerRunner):
        _listen(environment.events.report_to_master, report)
    else:
        _listen(environment.events.worker_report, reported)


def _listen(hook: Any, listener: Callable[..., None]) -> None:
    hook.add_listener(listener)


_listen(events.init, _attach)
