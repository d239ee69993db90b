"""AWS's JSON protocol: requests from bytes, answers and errors to bytes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mme_local.aws.errors import SerializationError, ServiceError

Answer = tuple[int, dict[str, str], bytes]


async def answer_json(call: Callable[[Any], Awaitable[Mapping[str, Any]]], body: bytes) -> Answer:
    """Answer one request by what ``call`` returns, or by the error that it raises."""
    try:
        return _json(200, await call(_parsed(body)))
    except ServiceError as error:
        return _json(error.status, {"__type": error.code, "message": str(error)}, error.code)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except ValueError as error:
        raise SerializationError(f"the body is not JSON: {error}") from error


def _json(status: int, content: Mapping[str, Any], error_type: str | None = None) -> Answer:
    headers = {"Content-Type": "application/x-amz-json-1.1"}
    if error_type is not None:
        headers["x-amzn-errortype"] = error_type
    return status, headers, json.dumps(content).encode()
