"""Sends requests again, by botocore's own events, as long as it helps and time is left."""

from __future__ import annotations

import io
import random
from contextlib import suppress
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import set_socket_timeout
from botocore.exceptions import BotoCoreError, ReadTimeoutError
from botocore.response import StreamingBody

from .deadlines import Call, bound, given, sending
from .rules import Failure, failure_in, failure_of

_CONNECT_SECONDS = 30.0  # and to send a large body
_FIRST_SECONDS = 0.1  # twice as long after each attempt
_MOST_SECONDS = 5.0
_CHUNK = 64 * 1024
_TOO_LATE = 0.05
_MOST_IN_CONTAINER = 8
_CALL = "multi_model_endpoint.call"


class Retries:
    """The retries of a client in place of botocore's, which a deadline ends rather than a number of attempts.

    A handler of ``needs-retry`` is how botocore itself retries: each attempt is signed anew, counted in
    ``ResponseMetadata`` and sent on the same connections.

    Args:
        client: Of boto3, made with ``total_max_attempts`` 1.
        timeout: Seconds that a call may take which was made for no ``Call``.
        read: Seconds to wait for an answer to one attempt, and for each part of it.
    """

    def __init__(self, client: Any, timeout: float, *, read: float) -> None:
        self._timeout = timeout
        self._read = read
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"request-created.{service}", self._attempt)
        client.meta.events.register(f"needs-retry.{service}", self._needs_retry)
        bound(client, connect=_CONNECT_SECONDS, read=read)

    def _attempt(self, request: Any, **_: Any) -> None:
        call = request.context.get(_CALL) or given() or Call(self._timeout, idempotent=True)
        request.context[_CALL] = call
        call.attempts += 1
        sending(call)

    def _needs_retry(
        self,
        response: tuple[AWSResponse, dict[str, Any]] | None,
        attempts: int,
        caught_exception: Exception | None,
        request_dict: dict[str, Any],
        **_: Any,
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None when this was the last."""
        call: Call = request_dict["context"][_CALL]
        if caught_exception is not None:
            return self._pause(failure_of(caught_exception), attempts, call)
        assert response is not None
        http, answer = response
        metadata = answer.setdefault("ResponseMetadata", {})
        metadata.pop("MaxAttemptsReached", None)  # botocore's own handler allows one
        if http.status_code >= 300:
            failure = failure_in(http.status_code, answer)
            pause = self._pause(failure, attempts, call)
            if pause is None and call.may_repeat(failure):
                metadata["MaxAttemptsReached"] = True
            return pause
        if isinstance(answer.get("Body"), StreamingBody):
            try:
                body = _read(http, answer["Body"], call, self._read)
            except BotoCoreError as error:
                http.raw.close()
                pause = self._pause(failure_of(error), attempts, call)
                if pause is None:
                    raise
                return pause
            answer["Body"] = StreamingBody(io.BytesIO(body), len(body))
        return None

    def _pause(self, failure: Failure, attempts: int, call: Call) -> float | None:
        call.failed_in_container += failure is Failure.IN_CONTAINER
        if not call.may_repeat(failure) or call.failed_in_container == _MOST_IN_CONTAINER or _too_late(call):
            return None
        most = min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** min(attempts - 1, 10))
        # A last attempt just before the end rather than none at all
        return min(random.uniform(0, most), 0.9 * call.left)  # noqa: S311


def _too_late(call: Call) -> bool:
    return call.left < _TOO_LATE * call.timeout


def _read(http: AWSResponse, body: StreamingBody, call: Call, seconds: float) -> bytes:
    """Read a body while its request can still be sent again, and no longer than the call may take."""
    chunks: list[bytes] = []
    while not chunks or chunks[-1]:
        if call.over:
            raise ReadTimeoutError(endpoint_url=http.url)
        with suppress(AttributeError):  # at its end a response lets go of its socket
            set_socket_timeout(http.raw, min(call.left, seconds))
        chunks.append(body.read(_CHUNK))
    return b"".join(chunks)
