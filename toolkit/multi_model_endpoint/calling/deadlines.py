"""When a call must be over, whatever it is doing just then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any

from urllib3 import HTTPConnectionPool, Timeout

from .rules import Failure

_LEAST = 0.001  # of a second: no socket takes 0


class Call:
    """A call with all its attempts.

    Args:
        timeout: Seconds that it may take.
        idempotent: Whether it may be executed twice.

    Attributes:
        attempts: How many requests were made so far.
        failed_in_container: How many of them a container in trouble has answered.
    """

    def __init__(self, timeout: float, *, idempotent: bool) -> None:
        self.timeout = timeout
        self.idempotent = idempotent
        self.attempts = 0
        self.failed_in_container = 0
        self._began = monotonic()

    @property
    def seconds(self) -> float:
        """How long it takes so far."""
        return monotonic() - self._began

    @property
    def left(self) -> float:
        """The seconds that are left, never none, so that they can be a socket's timeout."""
        return max(self.timeout - self.seconds, _LEAST)

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return self.seconds >= self.timeout

    def may_repeat(self, failure: Failure) -> bool:
        """Whether a request that failed so may be sent again."""
        return failure is Failure.NOT_EXECUTED or (failure is not Failure.FINAL and self.idempotent)


_given: ContextVar[Call | None] = ContextVar("given", default=None)
_sending: ContextVar[Call | None] = ContextVar("sending", default=None)


@contextmanager
def calling(call: Call) -> Iterator[None]:
    """Have the requests in this block be made for a call."""
    token = _given.set(call)
    try:
        yield
    finally:
        _given.reset(token)


def given() -> Call | None:
    """The call that requests are made for here, if any."""
    return _given.get()


def sending(call: Call) -> None:
    """Say which call the next request of this thread belongs to."""
    _sending.set(call)


def bound(client: Any, *, connect: float, read: float) -> None:
    """Let no request of a client wait longer than its call may still take.

    botocore's timeouts are a client's, for all its requests; here its connection pools ask for each. They are no public
    part of botocore, and have been where they are since 2018.
    """
    pools = client._endpoint.http_session._pool_classes_by_scheme
    for scheme, pool in pools.items():
        pools[scheme] = _bounded(pool, connect, read)


def _bounded(pool: type[HTTPConnectionPool], connect: float, read: float) -> type[HTTPConnectionPool]:
    class Bounded(pool):  # type: ignore[misc, valid-type]
        def urlopen(self, *arguments: Any, **options: Any) -> Any:
            call = _sending.get()
            if call is not None:
                options["timeout"] = Timeout(total=call.left, connect=connect, read=read)
            return super().urlopen(*arguments, **options)

    return Bounded
