"""What a worker of Multi Model Server tells: answers that the server can read, and why a model did not load."""

from __future__ import annotations

import functools
import os
import re
import traceback
from collections.abc import Callable
from typing import Any

Handle = Callable[[list[dict[str, Any]] | None, Any], Any]

_UNSAFE = re.compile(r"[^ -~]")


def framed(handle: Handle) -> Handle:
    """Keep a handler's status phrase and headers to printable ASCII, and log itself why a model does not load.

    One ``é`` in a phrase, such as that of an error that quotes the request, makes the server misread the worker's
    frame, whose characters it takes for bytes: it kills the worker or waits for more until its timeout. And it ends a
    worker whose load failed without reading what that has printed.
    """

    @functools.wraps(handle)
    def safe(data: list[dict[str, Any]] | None, context: Any) -> Any:
        try:
            answer = handle(data, context)
        except Exception:
            if data is None:
                _log(traceback.format_exc())
            raise
        if data is not None:
            status, phrase = context.get_response_status(0)
            context.set_response_status(status, _printable(phrase), 0)
            for name, value in context.get_response_headers(0).items():
                context.set_response_header(0, name, _printable(value))
        return answer

    return safe


def _printable(text: object) -> str:
    return "" if text is None else _UNSAFE.sub("?", str(text))


def _log(text: str) -> None:
    if (log := os.environ.get("MME_LOCAL_SERVER_LOG")) is not None:
        with open(log, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
