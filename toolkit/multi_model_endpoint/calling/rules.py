"""Which failures pass by themselves, and after which a request may have been executed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from botocore.exceptions import (
    ConnectionError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ProxyConnectionError,
)


class Failure(Enum):
    """What to do after a failed attempt."""

    FINAL = "sending it again would not help"
    NOT_EXECUTED = "sending it again does no harm"
    MAYBE_EXECUTED = "sending it again may execute it twice"
    IN_CONTAINER = "so it may, and what does not pass soon is likely to be the container's answer to this request"


_NOT_CONNECTED = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_BROKEN_OFF = (ConnectionError, HTTPClientError, IncompleteReadError)
_THROTTLED = {
    "ModelNotReadyException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
}
_TRANSIENT = {500, 502, 503, 504, 530}
# No answer at all, no worker to take it, no memory for it: what AWS passes on of a container in trouble
_TRANSIENT_IN_CONTAINER = {0, 503, 507}
# Multi Model Server's 503 for an exception of the model's own code
_EXCEPTION_IN_MODEL = "Prediction failed"


def failure_of(exception: Exception) -> Failure:
    """Of an attempt that got no answer, or a part of one."""
    if isinstance(exception, _NOT_CONNECTED):
        return Failure.NOT_EXECUTED
    if isinstance(exception, _BROKEN_OFF) and "CERTIFICATE_VERIFY_FAILED" not in str(exception):
        return Failure.MAYBE_EXECUTED
    return Failure.FINAL


def failure_in(status: int, answer: Mapping[str, Any]) -> Failure:
    """Of an attempt that was answered with an error, as botocore parses it."""
    code = answer.get("Error", {}).get("Code")
    if status == 429 or code in _THROTTLED:
        return Failure.NOT_EXECUTED
    if status in _TRANSIENT:
        return Failure.MAYBE_EXECUTED
    if code == "ModelError" and answer.get("OriginalStatusCode") in _TRANSIENT_IN_CONTAINER:
        said = answer.get("OriginalMessage") or ""
        return Failure.FINAL if _EXCEPTION_IN_MODEL in said else Failure.IN_CONTAINER
    return Failure.FINAL
