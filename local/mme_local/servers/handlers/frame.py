"""What Multi Model Server's worker writes must be ASCII: it counts characters where the server reads bytes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

Handle = Callable[[list[dict[str, Any]] | None, Any], Any]

_UNSAFE = re.compile(r"[^ -~]")


def framed(handle: Handle) -> Handle:
    """Keep a handler's status phrase and headers to printable ASCII.

    One ``é`` in a phrase, such as that of an error that quotes the request, makes the server misread the worker's
    frame: it kills the worker or waits for more until its timeout.
    """

    @functools.wraps(handle)
    def safe(data: list[dict[str, Any]] | None, context: Any) -> Any:
        answer = handle(data, context)
        if data is not None:
            status, phrase = context.get_response_status(0)
            context.set_response_status(status, _printable(phrase), 0)
            for name, value in context.get_response_headers(0).items():
                context.set_response_header(0, name, _printable(value))
        return answer

    return safe


def _printable(text: object) -> str:
    return "" if text is None else _UNSAFE.sub("?", str(text))
