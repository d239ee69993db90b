"""Locust's user: a stream of calls that does not wait for answers."""

from __future__ import annotations

import random
import threading
from time import monotonic
from typing import ClassVar

import gevent
from botocore.exceptions import BotoCoreError, ClientError
from gevent.lock import Semaphore
from locust import User, task
from locust.env import Environment

from multi_model_endpoint.calling import MultiModelClient
from multi_model_endpoint.traffic import Payload

from .popularity import Popularity
from .recording import FIRST
from .reporting import recorder_of

_AT_ONCE = 256  # as many connections as the client keeps
_lock = threading.Lock()
_clients: dict[type[MultiModelUser], MultiModelClient] = {}
_connections = Semaphore(_AT_ONCE)


class MultiModelUser(User):
    """Calls the models of an endpoint at random times, ``calls_per_second`` on average, whatever the answers take.

    So Locust's number of users is a rate: 200 users make 200 calls a second, or with ``calls_per_second = 0.5`` half of
    that, on one worker or spread over many. A call that is made late, since the endpoint or this machine is slow,
    counts from when it was to be made.

    All users of a process share one ``MultiModelClient``: what is said of retries and aliases there holds here.
    Locust's own tables have a line for each model, ``warm`` apart from ``first``, the calls of a model that had no
    answer yet.

    Example:
        ```python
        class Scoring(MultiModelUser):
            endpoint = "scoring"
            models = "s3://my-bucket/models/"
            popularity = Popularity.zipf(["churn@prod", "fraud@prod"], 1.1)

            def payload(self, model: str) -> Payload:
                return Payload(b"3,95.5,5", "text/csv")
        ```

    Attributes:
        endpoint: The endpoint's name.
        models: The S3 prefix of the models, if ``popularity`` has aliases.
        variant: The production variant; None leaves it to SageMaker.
        popularity: What is called.
        calls_per_second: Of each user.
        timeout: Seconds that a call may take, retries included.
        warmed: Whether each model was called before, so that no call counts as the first.
    """

    abstract = True
    endpoint: ClassVar[str]
    models: ClassVar[str | None] = None
    variant: ClassVar[str | None] = None
    popularity: ClassVar[Popularity]
    calls_per_second: ClassVar[float] = 1.0
    timeout: ClassVar[float] = 60.0
    warmed: ClassVar[bool] = False

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._recorder = recorder_of(environment)
        self._client = _client(type(self))

    def payload(self, model: str) -> Payload:
        """What to send to a model or an alias; yours to write."""
        raise NotImplementedError(f"{type(self).__name__} must have a method payload(self, model)")

    @task
    def stream(self) -> None:
        """Make calls for as long as Locust lets the user live."""
        source = random.Random()  # noqa: S311
        due = monotonic()
        while True:
            due += source.expovariate(self.calls_per_second)
            gevent.sleep(max(0.0, due - monotonic()))
            if self._recorder.resting:
                continue
            model = self.popularity.choose(source)
            payload = self.payload(model)
            step = self._recorder.step if self.warmed or self._recorder.has_answered(model) else FIRST
            self._recorder.cells[step, model].calls += 1
            self._recorder.late[step].add(max(0.0, monotonic() - due))
            # not this user's: Locust ends users to lower the rate, and what they have asked goes on
            gevent.spawn(self._call, model, payload, step, due)

    def _call(self, model: str, payload: Payload, step: int, due: float) -> None:
        failure: Exception | None = None
        size = 0
        try:
            with _connections:
                if self._recorder.resting:
                    self._recorder.ended(step, model, 0, "NotSent")
                    return
                began = monotonic()
                answer = self._client.invoke(
                    model, payload.body, content_type=payload.content_type, variant=self.variant
                )
                self._recorder.sent[step].add(monotonic() - began)
            size = len(answer.body)
        except (BotoCoreError, ClientError) as error:
            failure = error
        seconds = monotonic() - due
        self._recorder.ended(step, model, seconds, None if failure is None else _code(failure))
        self.environment.events.request.fire(
            request_type="first" if step == FIRST else "warm",
            name=model,
            response_time=seconds * 1000,
            response_length=size,
            exception=failure,
            context={},
        )


def _client(user: type[MultiModelUser]) -> MultiModelClient:
    with _lock:
        if user not in _clients:
            _clients[user] = MultiModelClient(user.endpoint, models=user.models, timeout=user.timeout)
        return _clients[user]


def _code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else type(error).__name__
